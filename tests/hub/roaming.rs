//! Endpoints whose network changes, where the system lets old streams linger: nothing but the list of their own
//! addresses tells them.

use std::time::Duration;

use switchboard::connect::Endpoint;
use switchboard::hub::Event;
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::machine::time::Instant;
use switchboard::sim::{INTERNET, OldStreams, World};

use crate::party::{Party, met, run};

const CHAT: ChannelId = ChannelId(1);
const SECOND: Duration = Duration::from_secs(1);
/// Between two hosts and back.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// How long until `a` has a link to its relay again.
fn back(world: &mut World<Endpoint>, parties: &mut [&mut Party; 3], since: Instant) -> Duration {
    let before = parties[1].neighbours();
    run(world, parties, |parties| parties[1].neighbours() > before);
    world.now() - since
}

#[test]
fn a_laptop_that_roams_is_back_at_its_relay_within_a_second_instead_of_40() {
    for kind in ["tcp", "ws"] {
        let (mut world, mut relay, mut a, mut b, session) = met(1, kind, &[Channel::reliable("chat")]);
        world.run_for(10 * SECOND).unwrap();
        let moved = world.now();
        world.roam(a.host, INTERNET, OldStreams::Linger);
        world.act(a.host, |a, cx| a.send(cx, session, CHAT, b"from the train")).unwrap();
        let back = back(&mut world, &mut [&mut relay, &mut a, &mut b], moved);
        run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| parties[2].messages(CHAT).len() == 1);
        let arrived = world.now() - moved;
        println!("{kind}: link after {back:?}, message after {arrived:?}");
        assert!(back <= SECOND + 6 * ROUND_TRIP, "{kind}: {back:?}");
        assert!(arrived <= 2 * SECOND, "{kind}: {arrived:?}");
        assert!(!a.saw(|event| matches!(event, Event::Closed { .. })), "{:?}", a.events);
    }
}

#[test]
fn a_cable_that_is_plugged_in_again_ends_the_pause_between_two_dials() {
    for away in [7, 12, 25] {
        let (mut world, mut relay, mut a, mut b, session) = met(1, "tcp", &[Channel::reliable("chat")]);
        world.unplug(a.host);
        world.run_for(away * SECOND).unwrap();
        let plugged = world.now();
        world.plug(a.host);
        let back = back(&mut world, &mut [&mut relay, &mut a, &mut b], plugged);
        println!("away {away} s: link after {back:?}");
        assert!(back <= SECOND + 6 * ROUND_TRIP, "away {away} s: {back:?}");
        world.act(a.host, |a, cx| a.send(cx, session, CHAT, b"again")).unwrap();
        run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| parties[2].messages(CHAT).len() == 1);
    }
}
