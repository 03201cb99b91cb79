//! Whatever happens to paths, relays and processes, each channel keeps what its kind promises.
//!
//! A [`plan`] follows from a seed: which ways there are between two endpoints, how much the relays let through, and
//! what happens when. A [`play`] carries it out in a world, and a [`Ledger`](crate::ledger::Ledger) judges each message that arrives. At the
//! end everything is healed, and what was sent on reliable channels must be there; then one side closes the session,
//! and both must hear why.
//!
//! `SWITCHBOARD_CAMPAIGN=full` plays ten times as many seeds.

mod plan;
mod play;

use std::collections::BTreeMap;

use plan::Plan;

/// How often each kind of thing happened.
type Histogram = BTreeMap<&'static str, u64>;

/// What the seeds of a run must have produced, each of it so often.
const EXPECTED: [&str; 22] = [
    "sessions opened",
    "worlds with two transports to one relay",
    "worlds with two relays",
    "worlds with a direct link",
    "path changes",
    "disconnects",
    "resumes",
    "drops over quota",
    "drops by a full queue",
    "cuts",
    "heals",
    "outages",
    "links dismissed",
    "stalls",
    "blocked sends",
    "wishes for paths",
    "relays killed",
    "relays rebooted",
    "restarts",
    "sessions without a path for too long",
    "messages lost on channels that may lose",
    "messages delivered",
];
const LEAST: u64 = 50;

fn seeds() -> u64 {
    if crate::common::campaign::is_full() { 3_000 } else { 300 }
}

/// Says which plan a failure belongs to.
struct Named<'a>(&'a Plan);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was {:?}", self.0);
            self.0.steps.iter().for_each(|step| eprintln!("    {step:?}"));
        }
    }
}

fn play(seed: u64, histogram: &mut Histogram) {
    let plan = Plan::new(seed);
    let _named = Named(&plan);
    play::Play::new(&plan, histogram).run();
}

#[test]
fn every_channel_keeps_its_promise_whatever_happens_to_its_paths() {
    let mut histogram = Histogram::new();
    (0..seeds()).for_each(|seed| play(seed, &mut histogram));
    println!("{} seeds: {histogram:#?}", seeds());
    for what in EXPECTED {
        let times = histogram.get(what).copied().unwrap_or(0);
        assert!(times >= LEAST, "{what}: {times} times in {} seeds", seeds());
    }
}

#[test]
fn worlds_that_once_broke_a_promise_keep_it() {
    for seed in [9, 228, 1107] {
        play(seed, &mut Histogram::new());
    }
}
