//! `rtc-idle`: what an endpoint costs that has 10,000 direct peers by the default engine which say nothing: CPU time per
//! second of virtual time, and memory. In a world; only what the endpoint itself does is counted.

use std::cell::Cell;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use switchboard_compare::crowd::Crowd;

use super::rtc_bulk::config;
use super::session::allocations;
use crate::plan::{Comparison, Plan};

const PEERS: usize = 10_000;
/// Peers that are made; the figures are scaled.
const MADE: usize = 1000;
const TIME: Duration = Duration::from_secs(60);
const CPU_GOAL: f64 = 3.0;
const MEMORY_GOAL: f64 = 540.0;

std::thread_local! {
    static SPENT: Cell<f64> = const { Cell::new(0.0) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

pub fn run(plan: &Plan) {
    let made = if plan.quick { 50 } else { MADE };
    let scale = PEERS as f64 / made as f64;
    let name = format!("rtc-idle/cpu-of-{PEERS}-from-{made}");
    if plan.wants(&name) {
        let percent = share(made) * scale * 100.0;
        plan.report(&Comparison::with_goal(name, percent, CPU_GOAL, "% of a core"));
    }
    let name = format!("rtc-idle/memory-of-{PEERS}-from-{made}");
    if plan.wants(&name) {
        let bytes = allocations(&["rtc-idle", &made.to_string()])[0];
        plan.report(&Comparison::with_goal(name, bytes * scale / 1e6, MEMORY_GOAL, "MB"));
    }
}

/// CPU seconds per second.
fn share(peers: usize) -> f64 {
    let mut crowd = Crowd::new(&config().crypto, meter);
    crowd.grow(peers);
    let (spent, calls) = (SPENT.get(), CALLS.get());
    crowd.pass(TIME);
    let (spent, calls) = (SPENT.get() - spent, CALLS.get() - calls);
    (spent - f64::from(calls) * metering()) / TIME.as_secs_f64()
}

/// Seconds that the meter itself counts each time.
fn metering() -> f64 {
    let (before, calls) = (SPENT.get(), 100_000);
    (0..calls).for_each(|_| meter(&mut || ()));
    (SPENT.get() - before) / f64::from(calls)
}

fn meter(act: &mut dyn FnMut()) {
    let cpu = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a thread has a CPU clock");
    let before = cpu();
    act();
    CALLS.set(CALLS.get() + 1);
    SPENT.set(SPENT.get() + Duration::from(cpu() - before).as_secs_f64());
}
