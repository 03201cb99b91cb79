//! `pump`: what the contract costs for one wake-up, without a system beneath.

#[path = "../../../support/memory.rs"]
mod memory;

use std::time::Instant;

use memory::WakeUps;

use crate::plan::{Comparison, Plan, median};

const NAME: &str = "pump/wake-up-in-memory";
const GOAL: f64 = 200.0;

pub fn run(plan: &Plan) {
    if !plan.wants(NAME) {
        return;
    }
    let mut wake_ups = WakeUps::new();
    let rounds = if plan.quick { 20_000 } else { 500_000 };
    let slices: Vec<f64> = (0..plan.slices)
        .map(|_| {
            let start = Instant::now();
            (0..rounds).for_each(|_| wake_ups.wake_up());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
        })
        .collect();
    plan.report(&Comparison::with_goal(NAME.to_owned(), median(&slices), GOAL, "ns"));
}
