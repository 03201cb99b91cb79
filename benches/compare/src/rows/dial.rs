//! `dial-ws`: the client's CPU time of a connection that is dialled, upgraded, used for one message and closed.

use crate::child::Actor;
use crate::plan::{Better, Comparison, Plan, median_pair};

const ROLES: [&str; 3] = ["dial-mio", "dial-tokio", "dial-tungstenite"];

pub fn run(plan: &Plan) {
    if !plan.wants_some("dial-ws/") {
        return;
    }
    let connections = if plan.quick { 100 } else { 400 };
    let (_server, address) = Actor::start("echo", &[]);
    let url = format!("ws://{address}");
    let mut clients = ROLES.map(|role| (Actor::start(role, &[&url]).0, Vec::new()));
    for (client, _) in &mut clients {
        client.ask("20");
    }
    for _ in 0..plan.slices {
        for (client, micros) in &mut clients {
            let before = client.cpu();
            client.ask(&connections.to_string());
            micros.push((client.cpu() - before).as_secs_f64() * 1e6 / f64::from(connections));
        }
    }
    let [(_, mio), (_, tokio), (_, rival)] = &clients;
    for (role, ours) in [("mio", mio), ("tokio", tokio)] {
        let (ours, baseline) = median_pair(ours, rival);
        let name = format!("dial-ws/{role}-vs-tungstenite");
        plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "us", goal: Some(1.0) });
    }
}
