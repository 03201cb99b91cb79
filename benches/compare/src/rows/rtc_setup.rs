//! `dc-setup` and `rtc-setup`: CPU time of a direct connection by our engine and by `str0m`, both ends together, against
//! what `str0m` takes by default; and how long the first message takes in virtual time, when signals take none.

use std::time::Duration;

use switchboard::connect::Endpoint;
use switchboard::sim::World;
use switchboard::stack::peer::{Crypto, EngineKind};
use switchboard_compare::engines::{ours, raw};
use switchboard_compare::lab::Lab;

use super::rtc_bulk::{config, spent};
use crate::plan::{Better, Comparison, Plan, median_pair};

const RTT: Duration = Duration::from_millis(50);
const LOSS: f64 = 0.01;

pub fn run(plan: &Plan) {
    if plan.wants_some("rtc-setup/") || plan.wants_some("dc-setup/") {
        setup(plan);
    }
    if plan.wants_some("rtc-first-message/") {
        first_message(plan, EngineKind::Str0m, "rtc-first-message");
    }
    if plan.wants_some("dc-setup/") {
        first_message(plan, EngineKind::Data, "dc-setup/first-message");
    }
}

fn setup(plan: &Plan) {
    let count = if plan.quick { 5 } else { 60 };
    let config = config();
    let [mut data, mut str0m, mut endpoints, mut raw] = [const { Vec::new() }; 4];
    for _ in 0..=plan.slices {
        let mut labs: Vec<_> = (0..count).map(|_| Lab::direct(&config)).collect();
        let per_pair = |spent: f64| spent * 1e6 / count as f64;
        let connect = |engine| (0..count).for_each(|n| engines(&config.crypto, engine, n));
        data.push(per_pair(spent(|| connect(EngineKind::Data))));
        str0m.push(per_pair(spent(|| connect(EngineKind::Str0m))));
        raw.push(per_pair(spent(|| (0..count).for_each(|_| drop(raw::Pair::with_defaults())))));
        endpoints.push(per_pair(spent(|| labs.iter_mut().for_each(|lab| _ = lab.open_direct()))));
    }
    let rows =
        [("dc-setup/peers", data, 0.18), ("rtc-setup/peers", str0m, 0.2), ("dc-setup/endpoints", endpoints, 0.55)];
    for (variant, ours, goal) in rows {
        let (ours, baseline) = median_pair(&ours[1..], &raw[1..]);
        let name = format!("{variant}-vs-str0m");
        plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "us", goal: Some(goal) });
    }
}

fn engines(crypto: &Crypto, engine: EngineKind, seed: u64) {
    ours::Pair::new(crypto, engine, seed, ours::Wire::default()).connect();
}

fn first_message(plan: &Plan, engine: EngineKind, name: &str) {
    let crypto = World::<Endpoint>::new(1).crypto(ours::epoch());
    let seeds = if plan.quick { 20 } else { 400 };
    let time = |seed, loss| {
        let wire = ours::Wire { delay: RTT / 2, loss };
        ours::Pair::new(&crypto, engine, seed, wire).first_message().as_secs_f64() * 1e3
    };
    let without = time(1, 0.0);
    let mut times: Vec<_> = (0..seeds).map(|seed| time(seed, LOSS)).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[times.len() * percent / 100];
    eprintln!("{name}: at 1 % loss p50 {:.0}, p90 {:.0}, p99 {:.0} ms", at(50), at(90), at(99));
    let goal = RTT.as_secs_f64() * 2.5e3;
    plan.report(&Comparison::with_goal(format!("{name}/no-loss"), without, goal, "ms"));
    plan.report(&Comparison::with_goal(format!("{name}/1%-loss-p99"), at(99), 400.0, "ms"));
}
