//! Clocks that drift, are off or stand still, and hosts that sleep and move.

use std::time::Duration;

use switchboard::sim::{Clock, DropReason, INTERNET, OldStreams, Sleep, World};

use crate::talker::{Talker, place, say, talker, words};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A host that says "beat" each second to another, whose name comes first.
fn beating(world: &mut World<Talker>) -> (switchboard::sim::HostId, switchboard::sim::HostId) {
    let (listener, beater) = (talker(world, INTERNET, "listener"), talker(world, INTERNET, "beater"));
    let to = place(world, listener);
    world.act(beater, |talker, cx| talker.beat(cx.now, SECOND, to));
    (listener, beater)
}

#[test]
fn a_clock_that_runs_fast_beats_more_often() {
    let mut world = World::new(1);
    let (listener, beater) = beating(&mut world);
    world.clock(beater, Clock { drift: 100_000, ..Clock::default() });
    world.run_for(1000 * SECOND).unwrap();
    let beats = world.machine(listener).heard.len();
    assert!((1099..=1100).contains(&beats), "{beats} beats in 1,000 s");
}

#[test]
fn a_wall_clock_that_is_an_hour_ahead_says_so_and_time_goes_on_as_ever() {
    let mut world = World::new(1);
    let (listener, beater) = beating(&mut world);
    world.clock(beater, Clock { ahead: HOUR, ..Clock::default() });
    world.run_for(10 * SECOND).unwrap();
    assert_eq!(world.machine(listener).heard.len(), 9);
    let [here, there] = [listener, beater].map(|host| world.machine(host).unix);
    assert!(there > here + HOUR - SECOND && there < here + HOUR + SECOND, "{here:?}, {there:?}");
}

#[test]
fn a_host_that_slept_catches_up_where_its_clock_went_on_and_not_where_it_stood_still() {
    for (clock, expected) in [(Sleep::Counts, 409), (Sleep::StandsStill, 109)] {
        let mut world = World::new(1);
        let (listener, beater) = beating(&mut world);
        world.run_for(10 * SECOND).unwrap();
        world.sleep(beater);
        world.run_for(300 * SECOND).unwrap();
        assert_eq!(world.machine(listener).heard.len(), 10, "it sleeps");
        world.wake_up(beater, clock);
        world.run_for(100 * SECOND).unwrap();
        let beats = world.machine(listener).heard.len();
        assert!((expected..=expected + 1).contains(&beats), "{clock:?}: {beats} beats");
        let unix = world.machine(beater).unix.as_secs();
        assert!((1_767_225_600 + 409..=1_767_225_600 + 410).contains(&unix), "{clock:?}: the wall clock shows {unix}");
    }
}

#[test]
fn what_comes_to_a_host_that_sleeps_is_lost() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    world.sleep(b);
    let to = place(&world, b);
    say(&mut world, a, to, b"are you there");
    world.run_for(SECOND).unwrap();
    world.wake_up(b, Sleep::Counts);
    say(&mut world, a, to, b"and now");
    world.run_for(SECOND).unwrap();
    assert_eq!(words(&world, b), ["and now"]);
    assert_eq!(world.drops().collect::<Vec<_>>(), [(DropReason::HostDown, 1)]);
}

#[test]
fn a_host_that_moves_is_reached_at_its_new_address_only() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    let old = place(&world, b);
    world.roam(b, INTERNET, OldStreams::Linger);
    let new = place(&world, b);
    assert_ne!(old, new);
    say(&mut world, a, old, b"old");
    say(&mut world, a, new, b"new");
    world.run_for(SECOND).unwrap();
    assert_eq!(words(&world, b), ["new"]);
}
