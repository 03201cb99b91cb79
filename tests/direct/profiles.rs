//! Rehearsals with direct paths: on every kind of link that people have, and in scenarios that do their worst.

use std::time::Duration;

use switchboard::connect::rehearsal::{Flaw, Outcome, Rehearsal, on_profile};
use switchboard::sim::scenario::{Failed, Shape};
use switchboard::sim::{Failure, Profile, Scenario, World};

use crate::common::campaign;
use crate::party::{config, engines};

fn play(scenario: &Scenario) -> Outcome {
    try_play(scenario).unwrap_or_else(|flaw| panic!("{flaw}"))
}

fn try_play(scenario: &Scenario) -> Result<Outcome, Flaw> {
    let config = config(&World::new(scenario.seed), engines(scenario.seed)[0]);
    Rehearsal::direct(scenario, &config).run(&mut |_| {})
}

/// Those that converged; of the others it is told how many there were.
fn converged(played: impl Iterator<Item = Result<Outcome, Flaw>>) -> (Vec<Outcome>, u64) {
    let (mut outcomes, mut stuck) = (Vec::new(), 0);
    for outcome in played {
        match outcome {
            Ok(outcome) => outcomes.push(outcome),
            Err(Flaw::Run { failed: Failed { failure: Failure::Stuck(_), .. }, .. }) => stuck += 1,
            Err(flaw) => panic!("{flaw}"),
        }
    }
    (outcomes, stuck)
}

/// The longest times without a message: in the median, and at most.
fn stalls(outcomes: &[Outcome]) -> (Duration, Duration) {
    let mut stalls: Vec<_> = outcomes.iter().map(|outcome| outcome.longest_stall).collect();
    stalls.sort();
    (stalls[stalls.len() / 2], stalls[stalls.len() - 1])
}

fn closed(outcomes: &[Outcome]) -> u64 {
    outcomes.iter().map(|outcome| outcome.closed).sum()
}

fn seeds(few: u64, many: u64) -> std::ops::Range<u64> {
    0..if campaign::is_full() { many } else { few }
}

/// How the same links fare without direct paths, for people to compare: no promise hangs on it.
fn relayed_only(scenarios: &[Scenario]) -> String {
    let (outcomes, stuck) = converged(scenarios.iter().map(|scenario| Rehearsal::new(scenario).run(&mut |_| {})));
    let closed = closed(&outcomes);
    format!("relayed only: longest stall {:?}; {closed} sessions ended; {stuck} never met", stalls(&outcomes))
}

#[test]
fn two_endpoints_connect_and_converge_on_every_kind_of_link() {
    for profile in Profile::ALL.into_iter().filter(|profile| *profile != Profile::Absurd) {
        // On the worst, handshakes of sessions may take longer than they have; how often, only many seeds tell.
        let is_hard = [Profile::VeryBadCellular, Profile::Satellite, Profile::BarelyUsable].contains(&profile);
        let few = if is_hard { 40 } else { 10 };
        let scenarios: Vec<_> = seeds(few, 100).map(|seed| on_profile(profile, seed)).collect();
        let (outcomes, stuck) = converged(scenarios.iter().map(try_play));
        let direct = outcomes.iter().filter(|outcome| outcome.went_direct > 0).count();
        let changes: u64 = outcomes.iter().map(|outcome| outcome.path_changes).sum();
        let slowest = outcomes.iter().map(|outcome| outcome.converged_after).max().unwrap();
        println!(
            "{profile}: {direct} of {} direct; longest stall {:?}; {changes} changes; converged within {slowest:?}; \
             {} sessions ended; {stuck} never met",
            outcomes.len(),
            stalls(&outcomes),
            closed(&outcomes),
        );
        if campaign::is_full() {
            println!("  {}", relayed_only(&scenarios));
        }
        assert!(is_hard || closed(&outcomes) == 0 && stuck == 0, "{outcomes:?}");
        assert!(stuck * 20 <= scenarios.len() as u64, "{stuck}");
        assert!(direct * 10 >= outcomes.len() * 7, "{profile}: {direct}");
    }
}

#[test]
fn scenarios_that_do_their_worst_break_no_promise() {
    let shape = Shape::default();
    let outcomes: Vec<_> = seeds(10, 300).map(|seed| play(&shape.from_seed(seed))).collect();
    let direct = outcomes.iter().filter(|outcome| outcome.went_direct > 0).count();
    let (changes, closed) = outcomes.iter().fold((0, 0), |(a, b), o| (a + o.path_changes, b + o.closed));
    println!("{} scenarios, {direct} with direct paths: {changes} changes, {closed} sessions ended", outcomes.len());
    assert!(direct > 0);
}

#[test]
fn a_rehearsal_with_direct_paths_repeats() {
    for seed in 0..3 {
        let scenario = Shape::default().from_seed(seed);
        assert_eq!(play(&scenario), play(&scenario), "seed {seed}");
        let scenario = on_profile(Profile::CongestedWifi, seed);
        assert_eq!(play(&scenario), play(&scenario), "seed {seed}");
    }
}
