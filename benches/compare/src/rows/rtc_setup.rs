//! `rtc-setup`: CPU time of a direct connection, both ends together, against what `str0m` takes by default; and
//! `rtc-first-message`: how long the first message takes in virtual time, when signals take none.

use std::time::Duration;

use switchboard::connect::Endpoint;
use switchboard::stack::peer::Crypto;
use switchboard::sim::World;
use switchboard_compare::engines::{ours, raw};
use switchboard_compare::lab::Lab;

use super::rtc_bulk::{config, spent};
use crate::plan::{Better, Comparison, Plan, median_pair};

const RTT: Duration = Duration::from_millis(50);
const LOSS: f64 = 0.01;

pub fn run(plan: &Plan) {
    if plan.wants_some("rtc-setup/") {
        setup(plan);
    }
    if plan.wants_some("rtc-first-message/") {
        first_message(plan);
    }
}

fn setup(plan: &Plan) {
    let count = if plan.quick { 5 } else { 60 };
    let config = config();
    let [mut alone, mut endpoints, mut raw] = [const { Vec::new() }; 3];
    for _ in 0..=plan.slices {
        let mut labs: Vec<_> = (0..count).map(|_| Lab::direct(&config)).collect();
        let per_pair = |spent: f64| spent * 1e6 / count as f64;
        alone.push(per_pair(spent(|| (0..count).for_each(|n| engines(&config.crypto, n)))));
        raw.push(per_pair(spent(|| (0..count).for_each(|_| drop(raw::Pair::with_defaults())))));
        endpoints.push(per_pair(spent(|| labs.iter_mut().for_each(|lab| _ = lab.open_direct()))));
    }
    for (variant, ours, goal) in [("peers", alone, 0.2), ("endpoints", endpoints, 0.55)] {
        let (ours, baseline) = median_pair(&ours[1..], &raw[1..]);
        let name = format!("rtc-setup/{variant}-vs-str0m");
        plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "us", goal: Some(goal) });
    }
}

fn engines(crypto: &Crypto, seed: u64) {
    ours::Pair::new(crypto, seed, ours::Wire::default()).connect();
}

fn first_message(plan: &Plan) {
    let crypto = World::<Endpoint>::new(1).crypto(ours::epoch());
    let seeds = if plan.quick { 20 } else { 400 };
    let time = |seed, loss| {
        let wire = ours::Wire { delay: RTT / 2, loss };
        ours::Pair::new(&crypto, seed, wire).first_message().as_secs_f64() * 1e3
    };
    let without = time(1, 0.0);
    let mut times: Vec<_> = (0..seeds).map(|seed| time(seed, LOSS)).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[times.len() * percent / 100];
    eprintln!("rtc-first-message: at 1 % loss p50 {:.0}, p90 {:.0}, p99 {:.0} ms", at(50), at(90), at(99));
    let goal = RTT.as_secs_f64() * 2.5e3;
    plan.report(&Comparison::with_goal("rtc-first-message/no-loss".to_owned(), without, goal, "ms"));
    plan.report(&Comparison::with_goal("rtc-first-message/1%-loss-p99".to_owned(), at(99), 400.0, "ms"));
}
