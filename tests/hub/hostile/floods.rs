//! Too much of everything, while others want to talk.

use std::time::Duration;

use switchboard::connect::Options;
use switchboard::hub::event::LinkEnd;
use switchboard::hub::{Event, Policy, Quotas};
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::transport::DownReason;
use switchboard::wire::frame::{Frame, Unreachable};
use switchboard::wire::identity::EndpointId;

use super::frames::neighbour;
use super::rogue::Conduct;
use super::scene::Scene;
use crate::party::Recipe;

fn limited(limits: Limits) -> Options {
    Options { limits, ..Options::default() }
}

#[test]
fn a_flood_of_opens_ends_at_the_quota() {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(1);
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    for route in 0..50_000 {
        scene.say(rogue, link, &Frame::Open { route, to, from, hops: 4 });
    }
    scene.talk(a, b);
    scene.pass(Duration::from_secs(2));
    assert!(scene.statistics(relay).routes <= 2 * Quotas::default().sessions as u64);
    let heard = scene.with(rogue, |rogue, _| rogue.heard(link));
    let opened = heard.iter().filter(|frame| matches!(Frame::decode(frame), Ok(Frame::Opened { .. }))).count();
    let refused =
        |frame: &&Vec<u8>| matches!(Frame::decode(frame), Ok(Frame::Unreachable { reason: Unreachable::Quota, .. }));
    assert_eq!(opened, Quotas::default().sessions);
    assert!(heard.iter().filter(refused).count() > 10_000);
    scene.talk(a, b);
    scene.pass(Duration::from_secs(11));
    assert_eq!(scene.statistics(relay).routes, 0);
}

#[test]
fn a_flood_of_routes_opened_and_closed_leaves_nothing_behind() {
    let mut scene = Scene::new(2);
    let (_, a, b) = scene.board();
    let plain = scene.honest(Recipe { listens: vec!["tcp:0.0.0.0:7000".into()], ..Recipe::new("plain", 4) });
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    let link = scene.proved(rogue, plain, "plain.test");
    let (to, from) = (scene.address(plain), scene.with(rogue, |rogue, _| rogue.identity.address()));
    let round = |scene: &mut Scene| {
        for route in 0..100 {
            scene.say(rogue, link, &Frame::Open { route, to, from, hops: 4 });
        }
        scene.pass(Duration::from_millis(10));
        let heard = scene.with(rogue, |rogue, _| {
            let heard = rogue.heard(link);
            rogue.line(link).wire = Vec::new();
            rogue.line(link).heard = Default::default();
            heard
        });
        for frame in heard {
            if let Ok(Frame::Opened { yours, .. }) = Frame::decode(&frame) {
                let reason = Unreachable::Closed;
                scene.say(rogue, link, &Frame::CloseRoute { route: yours, reason });
            }
        }
        scene.pass(Duration::from_millis(5));
    };
    (0..10).for_each(|_| round(&mut scene));
    let grown = allocation_counter::measure(|| (0..100).for_each(|_| round(&mut scene)));
    assert!(grown.bytes_current < 20_000, "{} bytes more for 10,000 routes that are gone", grown.bytes_current);
    scene.talk(a, b);
}

/// Each first step of a handshake makes the other side remember something.
#[test]
fn a_flood_of_handshakes_of_sessions_keeps_nobody_out() {
    let mut scene = Scene::new(3);
    let relay =
        scene.honest(Recipe { quotas: Quotas { sessions: 10_000, ..Quotas::default() }, ..Recipe::relay("relay", 1) });
    let small = limited(Limits { openings: 32, ..Limits::default() });
    let a = scene.honest(Recipe::new("a", 2).over("tcp:relay.test:7000"));
    let b = scene.honest(Recipe { options: small, ..Recipe::new("b", 3).over("tcp:relay.test:7000") });
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    let link = scene.proved(rogue, relay, "relay.test");
    scene.until(|scene| scene.neighbours(relay) == 3);
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    for route in 0..500 {
        scene.say(rogue, link, &Frame::Open { route, to, from, hops: 4 });
    }
    scene.pass(Duration::from_millis(500));
    let heard = scene.with(rogue, |rogue, _| rogue.heard(link));
    let opened: Vec<_> = heard
        .iter()
        .filter_map(|frame| match Frame::decode(frame) {
            Ok(Frame::Opened { yours, .. }) => Some(yours),
            _ => None,
        })
        .collect();
    assert_eq!(opened.len(), 500);
    // A point of X25519 that is none is refused at once; this one is good.
    let first = [&[1, 1, 9][..], &[0; 31]].concat();
    for route in opened {
        scene.say(rogue, link, &Frame::Data { route, packet: &first });
    }
    scene.pass(Duration::from_millis(100));
    assert!(scene.statistics(b).sessions <= 32);
    let start = scene.world.now();
    scene.talk(a, b);
    assert!(scene.world.now().since(start) < Duration::from_secs(3));
}

#[test]
fn a_flood_of_pings_costs_no_more_than_its_answers() {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(4);
    for nonce in 0..100_000 {
        scene.say(rogue, link, &Frame::Ping(nonce));
    }
    let start = scene.world.now();
    scene.talk(a, b);
    assert!(scene.world.now().since(start) < Duration::from_secs(1));
    scene.pass(Duration::from_secs(2));
    let pongs = scene.with(rogue, |rogue, _| rogue.line(link).heard.len());
    assert!(pongs > 0 && pongs < 10_000, "{pongs}");
    assert_eq!(scene.statistics(relay).dropped_frames, 0);
    assert_eq!(scene.neighbours(relay), 3);
}

#[test]
fn a_flood_of_watches_ends_at_the_limit() {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(5);
    for n in 0..5_000u32 {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        scene.say(rogue, link, &Frame::Watch(EndpointId(id)));
    }
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.statistics(relay).dropped_frames, 5_000 - 1024);
    let heard = scene.with(rogue, |rogue, _| rogue.heard(link));
    assert_eq!(heard.len(), 1024);
    scene.talk(a, b);
}

#[test]
fn a_flood_of_links_without_a_proof_is_over_in_time() {
    let mut scene = Scene::new(6);
    let (relay, a, b) = scene.board();
    let rogue = scene.rogue("rogue", 9, Conduct::Mute);
    for _ in 0..300 {
        scene.dial(rogue, "relay.test");
    }
    scene.talk(a, b);
    scene.pass(Duration::from_secs(11));
    assert_eq!(scene.neighbours(relay), 2);
    assert_eq!(scene.world.ports(scene.parties[relay.0].host), 3);
    let refused = scene.filter(relay, |event| match event {
        Event::Refused { reason } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(refused, vec![LinkEnd::Down(DownReason::HandshakeTimeout); 300]);
    scene.talk(a, b);
}

#[test]
fn a_flood_of_links_with_a_proof_ends_at_the_quota() {
    let mut scene = Scene::new(7);
    let (relay, a, b) = scene.board();
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    for _ in 0..100 {
        scene.dial(rogue, "relay.test");
    }
    scene.talk(a, b);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.neighbours(relay), 2 + Quotas::default().links);
    assert_eq!(scene.statistics(relay).refused_links, 100 - Quotas::default().links as u64);
}

/// The application looks at nothing; what waits for it is bounded all the same.
#[test]
fn links_that_fail_fill_no_memory_of_an_application_that_does_not_look() {
    let mut scene = Scene::new(8);
    let few = limited(Limits { events: 50, ..Limits::default() });
    let (relay, ..) = scene.board_with(Recipe { options: few, ..Recipe::relay("relay", 1) });
    let rogue = scene.rogue("rogue", 9, Conduct::Mute);
    scene.parties[relay.0].looks = false;
    for _ in 0..40 {
        for _ in 0..10 {
            scene.dial(rogue, "relay.test");
        }
        scene.pass(Duration::from_millis(50));
        scene.with(rogue, |rogue, cx| {
            for link in rogue.lines.keys().copied().collect::<Vec<_>>() {
                rogue.shout(cx, link, Kind::Binary, b"no proof");
            }
        });
        scene.pass(Duration::from_millis(50));
    }
    let waiting = scene.act(relay, |endpoint, cx| std::iter::from_fn(|| endpoint.next(cx)).count());
    assert!(waiting <= 50, "{waiting} events waited");
    scene.parties[relay.0].looks = true;
    scene.pass(Duration::from_secs(1));
    let told = waiting + scene.parties[relay.0].events.len();
    assert!(scene.statistics(relay).dropped_events > 200 && told < 200, "{told} events");
}

#[test]
fn a_packet_too_large_for_its_receiver_is_dropped_by_the_relay() {
    let mut scene = Scene::new(9);
    let options = super::scene::loud();
    let relay = Recipe {
        listens: vec!["tcp:0.0.0.0:7000".into(), "tls:0.0.0.0:7001".into()],
        options: options.clone(),
        ..Recipe::relay("relay", 1)
    };
    let (relay, a, b) = scene.board_with(relay);
    let hosts = [scene.parties[relay.0].host];
    scene.world.name("server.test", &hosts);
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    // TLS protects this link and Noise the others, whose messages are longer by a tag.
    scene.with(rogue, |rogue, _| rogue.tls = true);
    scene.dial_by(rogue, "tls:server.test:7001", &options);
    scene.until(|scene| scene.neighbours(relay) == 3);
    let link = scene.with(rogue, |rogue, _| rogue.link().unwrap());
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    let heard = scene.asked(rogue, link, &Frame::Open { route: 5, to, from, hops: 4 });
    let Ok(Frame::Opened { yours, .. }) = Frame::decode(&heard[0]) else { panic!("{heard:?}") };
    let largest = Limits::default().packet + 256 - 5;
    for len in largest - 100..=largest {
        scene.say(rogue, link, &Frame::Data { route: yours, packet: &vec![2; len] });
    }
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.neighbours(relay), 3, "the relay's link to the receiver, too");
    scene.talk(a, b);
}

/// Quiet links live as long as those that are pinged.
#[test]
fn a_link_without_keep_alive_outlives_the_time_for_its_proof() {
    let mut scene = Scene::new(10);
    let quiet = limited(Limits { ping_after: None, ..Limits::default() });
    let relay = scene.honest(Recipe { options: quiet.clone(), ..Recipe::relay("relay", 1) });
    let [a, b] = [("a", 2), ("b", 3)].map(|(name, key)| {
        scene.honest(Recipe { options: quiet.clone(), ..Recipe::new(name, key).over("tcp:relay.test:7000") })
    });
    scene.until(|scene| scene.neighbours(relay) == 2);
    scene.pass(Duration::from_secs(40));
    assert_eq!(scene.neighbours(relay), 2);
    for who in [relay, a, b] {
        assert!(scene.filter(who, |event| matches!(event, Event::NeighbourDown { .. }).then_some(())).is_empty());
    }
    scene.talk(a, b);
}

/// With the bytes that bring the link up comes more, which has to wait until the link is told of.
#[test]
fn what_comes_with_the_bytes_that_bring_a_link_up_is_counted_as_it_is_taken() {
    let mut scene = Scene::new(11);
    let relay = scene.honest(Recipe {
        policy: Policy::Open,
        listens: vec!["ws://0.0.0.0:7000/".into()],
        ..Recipe::relay("relay", 1)
    });
    let [a, b] =
        [("a", 2), ("b", 3)].map(|(name, key)| scene.honest(Recipe::new(name, key).over("ws://relay.test:7000/")));
    scene.until(|scene| scene.neighbours(relay) == 2);
    let mut rude = Vec::from(
        &b"GET / HTTP/1.1\r\nHost: relay.test:7000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"[..],
    );
    rude.extend_from_slice(&[0x82, 0x80 | 5, 0, 0, 0, 0, 1, 2, 3, 4, 5]);
    scene.raw("raw", &rude, relay);
    assert!(matches!(scene.end(relay), LinkEnd::Proof(_)));
    scene.talk(a, b);
}
