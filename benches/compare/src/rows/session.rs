//! `session-64B` and `session-16KiB`: CPU time of two sessions that hand each other packets in memory, both ends
//! together.

use std::process::Command;

use nix::time::{ClockId, clock_gettime};
use switchboard::hub::session::event::PathInfo;
use switchboard::link::noise::{Opener, Sealer, TAG};
use switchboard_compare::exchange::{Exchange, PRIVATE, RELAYED};

use crate::plan::{Better, Comparison, Plan, median, median_pair};

/// Small messages that are sent at once.
const BURST: usize = 1000;
const LARGE: usize = 16 * 1024;
/// Each way of a small message, and its goal in nanoseconds: 10 and 5 million per second.
const WAYS: [(&str, PathInfo, f64); 2] = [("unsealed", PRIVATE, 100.0), ("sealed", RELAYED, 200.0)];
const ALLOCATIONS: f64 = 0.05;

pub fn run(plan: &Plan) {
    for (way, info, goal) in WAYS {
        let name = format!("session-64B/{way}");
        if plan.wants(&name) {
            plan.report(&Comparison::with_goal(name, small(plan, info), goal, "ns"));
        }
    }
    if plan.wants_some("session-64B/allocations-") {
        let counted = allocations(&["session-64B"]);
        for ((way, ..), counted) in WAYS.iter().zip(counted) {
            let name = format!("session-64B/allocations-{way}");
            plan.report(&Comparison::with_goal(name, counted, ALLOCATIONS, "allocations"));
        }
    }
    large(plan);
}

fn small(plan: &Plan, info: PathInfo) -> f64 {
    let mut exchange = Exchange::new(info);
    let bursts = if plan.quick { 100 } else { 2000 };
    let mut slice = || spent(|| (0..bursts).for_each(|_| exchange.burst(&[7; 64], BURST))) / (bursts * BURST) as f64;
    slice();
    median(&(0..plan.slices).map(|_| slice()).collect::<Vec<_>>())
}

/// A message of 16 KiB through two sessions, and the same bytes sealed and opened, per KiB.
fn large(plan: &Plan) {
    let name = "session-16KiB/sealed-vs-sealing";
    if !plan.wants(name) {
        return;
    }
    let rounds = if plan.quick { 500 } else { 10_000 };
    let per_kib = |nanos: f64| nanos / (rounds * LARGE / 1024) as f64;
    let mut exchange = Exchange::new(RELAYED);
    let (mut sealer, mut opener) = (Sealer::new(&[1; 32]), Opener::new(&[1; 32]));
    let (message, mut packet) = (vec![7; LARGE], vec![7; LARGE + TAG]);
    let (mut ours, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..=plan.slices {
        ours.push(per_kib(spent(|| (0..rounds / 4).for_each(|_| exchange.burst(&message, 4)))));
        alone.push(per_kib(spent(|| (0..rounds).for_each(|_| seal_and_open(&mut sealer, &mut opener, &mut packet)))));
    }
    let (ours, baseline) = median_pair(&ours[1..], &alone[1..]);
    let name = name.to_owned();
    plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "ns/KiB", goal: Some(1.5) });
}

fn seal_and_open(sealer: &mut Sealer, opener: &mut Opener, packet: &mut [u8]) {
    let (text, room) = packet.split_at_mut(LARGE);
    let (counter, tag) = sealer.seal(&[], text);
    room.copy_from_slice(&tag);
    assert_eq!(opener.open(counter, &[], packet), Ok(LARGE), "what was sealed is opened");
}

/// Nanoseconds of CPU that this process spends on something.
fn spent(act: impl FnOnce()) -> f64 {
    let cpu = || clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a process has a CPU clock");
    let before = cpu();
    act();
    std::time::Duration::from(cpu() - before).as_secs_f64() * 1e9
}

/// What the counting program answers, line by line.
pub fn allocations(arguments: &[&str]) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program has a path").with_file_name("switchboard-allocations");
    let output = Command::new(program).args(arguments).output().expect("it was built with this one");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures = String::from_utf8(output.stdout).expect("it prints numbers");
    figures.lines().map(|line| line.parse().expect("it prints numbers")).collect()
}
