//! Neighbours that are who they say, and then break the rules of the link.

use std::time::Duration;

use switchboard::hub::event::{LinkEnd, Misbehaved};
use switchboard::link::noise::Claims;
use switchboard::machine::ids::LinkId;
use switchboard::machine::payload::Kind;
use switchboard::sim::HostId;
use switchboard::wire::cursor::Malformed;
use switchboard::wire::frame::{Farewell, Frame, FrameError, Unreachable};
use switchboard::wire::identity::{Address, EndpointId, Instance};
use switchboard::wire::reason::UnknownReason;

use super::rogue::{Conduct, Rogue};
use super::scene::{Scene, Someone, Who};

/// What a neighbour does, and what it is sent away for.
#[track_caller]
fn is_sent_away_for(rule: Misbehaved, deed: impl FnOnce(&mut Scene, HostId, LinkId)) {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(1);
    scene.forget();
    deed(&mut scene, rogue, link);
    assert_eq!(scene.end(relay), LinkEnd::Misbehaved(rule));
    assert_eq!(scene.statistics(relay).misbehaved_links, 1);
    assert_eq!(scene.neighbours(relay), 2);
    let frames = scene.with(rogue, |rogue, _| rogue.heard(link));
    let goodbye = Frame::Goodbye { reason: Farewell::Misbehaved, text: "" }.encode();
    assert_eq!(frames.last(), Some(&goodbye));
    scene.talk(a, b);
}

/// A relay with two friends, and a rogue that is its neighbour.
pub(super) fn neighbour(seed: u64) -> (Scene, Who, [Who; 2], HostId, LinkId) {
    let mut scene = Scene::new(seed);
    let (relay, a, b) = scene.board();
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    let link = scene.proved(rogue, relay, "relay.test");
    (scene, relay, [a, b], rogue, link)
}

pub(super) fn stranger(n: u8) -> Address {
    Address { id: EndpointId([n; 32]), instance: Instance(u32::from(n)) }
}

fn sealed(deed: impl FnOnce(&mut Rogue, LinkId) -> Vec<Vec<u8>>) -> impl FnOnce(&mut Scene, HostId, LinkId) {
    move |scene, rogue, link| {
        scene.with(rogue, |rogue, cx| {
            for message in deed(rogue, link) {
                rogue.shout(cx, link, Kind::Binary, &message);
            }
        });
    }
}

#[test]
fn a_sealed_frame_that_was_changed_ends_the_link() {
    for at in [0, 8, 9, 24] {
        is_sent_away_for(
            Misbehaved::Seal,
            sealed(|rogue, link| {
                let mut message = rogue.seal(link, &Frame::Ping(7).encode());
                message[at] ^= 1;
                vec![message]
            }),
        );
    }
}

#[test]
fn a_sealed_frame_that_comes_again_ends_the_link() {
    is_sent_away_for(Misbehaved::Seal, sealed(|rogue, link| vec![rogue.seal(link, &Frame::Ping(7).encode()); 2]));
}

#[test]
fn a_sealed_frame_that_was_left_out_ends_the_link() {
    is_sent_away_for(
        Misbehaved::Seal,
        sealed(|rogue, link| {
            rogue.seal(link, &Frame::Ping(7).encode());
            vec![rogue.seal(link, &Frame::Ping(8).encode())]
        }),
    );
}

#[test]
fn a_frame_that_is_not_sealed_where_it_should_be_ends_the_link() {
    is_sent_away_for(Misbehaved::Seal, sealed(|_, _| vec![Frame::Ping(7).encode()]));
    is_sent_away_for(Misbehaved::Seal, sealed(|_, _| vec![Vec::new()]));
}

#[test]
fn what_is_no_frame_ends_the_link_by_its_reason() {
    let cases = [
        (vec![], FrameError::Malformed(Malformed::Truncated)),
        (vec![99], FrameError::Kind(99)),
        (vec![0xff; 300], FrameError::Kind(0xff)),
        (vec![0, 1, 2], FrameError::Malformed(Malformed::Truncated)),
        (vec![1, 0, 0, 0, 1], FrameError::Malformed(Malformed::Truncated)),
        ([&Frame::Ping(1).encode()[..], &[0]].concat(), FrameError::Trailing),
        (vec![3, 0, 0, 0, 1, 77], FrameError::Reason(UnknownReason(77))),
        (vec![7, 99], FrameError::Reason(UnknownReason(99))),
        ([&[7, 0][..], &[b'x'; 257]].concat(), FrameError::Text),
        (vec![7, 0, 0xff], FrameError::Malformed(Malformed::Utf8)),
    ];
    for (bytes, error) in cases {
        is_sent_away_for(Misbehaved::Frame(error), sealed(|rogue, link| vec![rogue.seal(link, &bytes)]));
    }
}

#[test]
fn a_text_message_ends_the_link() {
    let mut scene = Scene::new(3);
    let relay =
        crate::party::Recipe { listens: vec!["ws://0.0.0.0:7000/".into()], ..crate::party::Recipe::relay("relay", 1) };
    let relay = scene.honest(relay);
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    scene.dial_by(rogue, "ws://relay.test:7000/", &super::scene::loud());
    scene.until(|scene| scene.neighbours(relay) == 1);
    scene.with(rogue, |rogue, cx| rogue.shout(cx, rogue.link().unwrap(), Kind::Text, b"hello"));
    assert_eq!(scene.end(relay), LinkEnd::Misbehaved(Misbehaved::Text));
}

#[test]
fn a_message_larger_than_a_frame_can_be_ends_the_link() {
    let large = |len| {
        move |scene: &mut Scene, rogue, link| scene.say(rogue, link, &Frame::Data { route: 1, packet: &vec![0; len] })
    };
    is_sent_away_for(Misbehaved::TooLarge, large(17 * 1024));
    is_sent_away_for(Misbehaved::TooLarge, large(16 * 1024 * 1024 - 1000));
}

#[test]
fn a_greeting_in_place_of_a_proof_ends_the_link() {
    let hello = Frame::Hello { address: stranger(7), relays: true };
    is_sent_away_for(Misbehaved::Hello, |scene, rogue, link| scene.say(rogue, link, &hello));
}

#[test]
fn a_route_asked_for_in_somebody_else_s_name_ends_the_link() {
    is_sent_away_for(Misbehaved::Source, |scene, rogue, link| {
        let (to, from) = (scene.address(Who(1)), scene.address(Who(2)));
        scene.say(rogue, link, &Frame::Open { route: 1, to, from, hops: 4 });
    });
}

#[test]
fn data_of_a_route_that_was_never_allotted_is_dropped_and_counted() {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(2);
    let (near, _) = scene.meet(a, b);
    // Those are in use on other links, and mean nothing on this one.
    for index in 0..2000 {
        for route in [index, 1 << 20 | index, index << 20, u32::MAX - index] {
            scene.say(rogue, link, &Frame::Data { route, packet: b"packet" });
        }
    }
    scene.until(|scene| scene.statistics(relay).dropped_route == 8000);
    assert_eq!(scene.neighbours(relay), 3);
    scene.carries(a, near, b);
    assert_eq!(scene.statistics(b).dropped_route, 0);
}

#[test]
fn data_for_a_route_that_has_ended_does_not_reach_its_successor() {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(5);
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    let mut routes = Vec::new();
    for route in 0..3 {
        let heard = scene.asked(rogue, link, &Frame::Open { route, to, from, hops: 4 });
        let Ok(Frame::Opened { yours, .. }) = Frame::decode(&heard[0]) else { panic!("{heard:?}") };
        let reason = Unreachable::Closed;
        scene.say(rogue, link, &Frame::CloseRoute { route: yours, reason });
        routes.push(yours);
    }
    let heard = scene.asked(rogue, link, &Frame::Open { route: 9, to, from, hops: 4 });
    assert!(matches!(Frame::decode(&heard[0]), Ok(Frame::Opened { .. })));
    for route in routes {
        assert_eq!(scene.asked(rogue, link, &Frame::Data { route, packet: b"what answers" }), Vec::<Vec<u8>>::new());
    }
    assert_eq!((scene.statistics(relay).dropped_route, scene.statistics(b).dropped_packets), (3, 0));
    scene.talk(a, b);
}

#[test]
fn answers_to_what_was_never_asked_change_nothing() {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(3);
    let (near, _) = scene.meet(a, b);
    let from = scene.address(b);
    let mut heard = Vec::new();
    for route in [0, 1, 1 << 20, 1 << 20 | 1, 2 << 20, u32::MAX] {
        let reason = Unreachable::Closed;
        heard.extend(scene.asked(rogue, link, &Frame::Opened { route, yours: 77, from }));
        heard.extend(scene.asked(rogue, link, &Frame::Unreachable { route, reason }));
        heard.extend(scene.asked(rogue, link, &Frame::CloseRoute { route, reason }));
        heard.extend(scene.asked(rogue, link, &Frame::Pong(route.into())));
        heard.extend(scene.asked(rogue, link, &Frame::Presence(from)));
        heard.extend(scene.asked(rogue, link, &Frame::Unwatch(from.id)));
    }
    let closed = Frame::CloseRoute { route: 77, reason: Unreachable::Closed }.encode();
    assert_eq!(heard, vec![closed; 6]);
    assert_eq!(scene.neighbours(relay), 3);
    scene.carries(a, near, b);
}

#[test]
fn a_goodbye_without_an_end_is_told_when_the_end_comes() {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(4);
    scene.forget();
    scene.say(rogue, link, &Frame::Goodbye { reason: Farewell::Removed, text: "so long" });
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.neighbours(relay), 3);
    scene.world.reboot(rogue, Someone::Rogue(Box::new(Rogue::new(9, Claims::default(), Conduct::Proves))));
    let text = "so long".to_owned();
    assert_eq!(scene.end(relay), LinkEnd::Goodbye { reason: Farewell::Removed, text });
    scene.talk(a, b);
}
