//! `hub-idle`: what an idle session costs one end of it, and what many of them add to the wake-up of another.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use switchboard_compare::lab::Lab;

use super::session::allocations;
use crate::plan::{Better, Comparison, Plan, median_pair};

const BYTES: f64 = 4096.0;
const WAKE_UPS: usize = 2000;
const IDLE: Duration = Duration::from_secs(600);

pub fn run(plan: &Plan) {
    if !plan.wants_some("hub-idle/") {
        return;
    }
    let numbers = if plan.quick { [100, 1000] } else { [100, 10_000] };
    for number in numbers {
        let name = format!("hub-idle/bytes-{number}");
        if plan.wants(&name) {
            let bytes = allocations(&["hub-idle", &number.to_string()])[0];
            plan.report(&Comparison::with_goal(name, bytes, BYTES, "bytes"));
        }
    }
    let mut labs = numbers.map(Lab::idle);
    for (lab, number) in labs.iter_mut().zip(numbers) {
        rest(lab, number);
    }
    wake_up(plan, labs, numbers);
}

/// The CPU time of both hubs while nothing is sent, which has no goal.
fn rest(lab: &mut Lab, number: usize) {
    lab.pass(Duration::from_secs(10));
    let before = cpu();
    let timeouts = lab.pass(IDLE);
    let per_session = (cpu() - before) * 1e6 / number as f64 / IDLE.as_secs_f64();
    eprintln!("hub-idle/{number}: {per_session:.4} us of CPU per session and second, {timeouts} time-outs in {IDLE:?}");
}

fn wake_up(plan: &Plan, [few, many]: [Lab; 2], [_, number]: [usize; 2]) {
    let mut candidates = [many, few].map(|mut lab| {
        let session = lab.open(0, 1);
        lab.look(1);
        lab.look(0);
        (lab, session, Vec::new())
    });
    for _ in 0..=plan.slices {
        for (lab, session, micros) in &mut candidates {
            let before = cpu();
            for _ in 0..WAKE_UPS {
                lab.send(0, *session, &[7; 64]);
                assert_eq!(lab.look(1).messages, 1, "a message has not arrived");
            }
            micros.push((cpu() - before) * 1e6 / WAKE_UPS as f64);
        }
    }
    let [(.., many), (.., few)] = &candidates;
    let (ours, baseline) = median_pair(&many[1..], &few[1..]);
    let name = format!("hub-idle/wake-up-{number}-vs-100");
    plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "us", goal: Some(1.1) });
}

/// Seconds of CPU that this process has spent.
pub(super) fn cpu() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a process has a CPU clock");
    Duration::from(time).as_secs_f64()
}
