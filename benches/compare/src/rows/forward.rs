//! `ws-forward-64B`, `ws-single-64B`, `ws-forward-64KiB`: CPU time per forwarded message.

use std::time::Duration;

use crate::child::Actor;
use crate::load::Load;
use crate::plan::{Better, Comparison, Plan, median, median_pair};

struct Row {
    name: &'static str,
    size: usize,
    /// Pairs of clients, and messages under way in each.
    loads: &'static [(usize, usize)],
    /// The ratio to each rival that shall be reached.
    goals: [f64; 2],
}

const OURS: [&str; 2] = ["mio", "tokio"];
const RIVALS: [&str; 2] = ["forward", "send"];

const ROWS: [Row; 3] = [
    Row { name: "ws-forward-64B", size: 64, loads: &[(100, 16), (100, 256), (1, 256)], goals: [0.55, 0.1] },
    Row { name: "ws-single-64B", size: 64, loads: &[(1, 1), (100, 1)], goals: [1.0, 1.0] },
    Row { name: "ws-forward-64KiB", size: 64 * 1024, loads: &[(100, 4), (100, 16), (1, 16)], goals: [1.1, 1.1] },
];

pub fn run(plan: &Plan) {
    for row in ROWS.iter().filter(|row| plan.wants_some(&format!("{}/", row.name))) {
        for &(pairs, window) in row.loads {
            let names = OURS.map(|ours| RIVALS.map(|rival| name(row, pairs, window, ours, rival)));
            if names.iter().flatten().any(|name| plan.wants(name)) {
                compare(plan, row, pairs, window);
            }
        }
    }
}

fn compare(plan: &Plan, row: &Row, pairs: usize, window: usize) {
    let mut runners: Vec<_> =
        OURS.iter().chain(&RIVALS).map(|role| Runner::start(role, pairs, window, row.size)).collect();
    for _ in 0..plan.slices {
        for runner in &mut runners {
            runner.slice(plan.slice);
        }
    }
    for runner in &runners {
        let (cpu, rate) = (median(&runner.nanos), median(&runner.rates));
        eprintln!("{}/{}-{pairs}x{window}: {cpu:.0} ns of CPU per message, {rate:.0}/s", row.name, runner.role);
    }
    let (ours, rivals) = runners.split_at(OURS.len());
    for ours in ours {
        for (rival, goal) in rivals.iter().zip(row.goals) {
            let (own, baseline) = median_pair(&ours.nanos, &rival.nanos);
            let name = name(row, pairs, window, ours.role, rival.role);
            plan.report(&Comparison { name, ours: own, baseline, better: Better::Lower, unit: "ns", goal: Some(goal) });
        }
    }
}

fn name(row: &Row, pairs: usize, window: usize, ours: &str, rival: &str) -> String {
    format!("{}/{ours}-{pairs}x{window}-vs-{rival}", row.name)
}

/// One forwarder with its load.
struct Runner {
    role: &'static str,
    actor: Actor,
    load: Load,
    /// CPU time per message, one figure for each slice.
    nanos: Vec<f64>,
    rates: Vec<f64>,
}

impl Runner {
    fn start(role: &'static str, pairs: usize, window: usize, size: usize) -> Self {
        let (actor, address) = Actor::start(role, &["ws"]);
        let address = address.trim().parse().expect("a forwarder says its address");
        let mut load = Load::connect(address, pairs, window, size);
        load.run(Duration::from_millis(50));
        Self { role, actor, load, nanos: Vec::new(), rates: Vec::new() }
    }

    fn slice(&mut self, time: Duration) {
        let before = self.actor.cpu();
        let messages = self.load.run(time) as f64;
        let spent = self.actor.cpu() - before;
        self.nanos.push(spent.as_secs_f64() * 1e9 / messages);
        self.rates.push(messages / time.as_secs_f64());
    }
}
