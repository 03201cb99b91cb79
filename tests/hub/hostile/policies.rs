//! Whom a relay serves, how much of it each may have, and what it answers to those who want more.

use std::time::Duration;

use switchboard::hub::event::LinkEnd;
use switchboard::hub::{Closed, Event, Policy, Quotas};
use switchboard::link::noise::{Claims, Token};
use switchboard::wire::frame::{Farewell, Frame, Unreachable};
use switchboard::wire::identity::{Address, EndpointId, Instance};

use super::frames::{neighbour, stranger};
use super::rogue::{Conduct, Rogue};
use super::scene::Scene;
use crate::party::Recipe;

fn relay(policy: Policy, quotas: Quotas) -> Recipe {
    Recipe { policy, quotas, ..Recipe::relay("relay", 1) }
}

fn id(key: u64) -> EndpointId {
    Recipe::new("", key).secret().id()
}

#[test]
fn a_relay_with_a_list_sends_others_away() {
    let mut scene = Scene::new(1);
    let listed = Policy::AllowList([id(2), id(3)].into());
    let (relay, a, b) = scene.board_with(relay(listed, Quotas::default()));
    let other = scene.honest(Recipe::new("other", 4).over("tcp:relay.test:7000"));
    assert_eq!(scene.end(relay), LinkEnd::Left(Farewell::NotAllowed));
    assert_eq!(scene.end(other), LinkEnd::Goodbye { reason: Farewell::NotAllowed, text: String::new() });
    assert_eq!(scene.statistics(relay).refused_links, 1);
    assert!(!scene.parties[relay.0].events.iter().any(|event| matches!(event, Event::NeighbourDown { .. })));
    scene.talk(a, b);
}

#[test]
fn a_relay_that_wants_a_word_hears_it_from_its_friends_only() {
    let mut scene = Scene::new(2);
    let token = |word: &[u8]| Token::new(word).unwrap();
    let relay = scene.honest(relay(Policy::JoinToken(vec![token(b"sesame")]), Quotas::default()));
    for (n, word) in [None, Some(&b"sesam"[..]), Some(b"sesame!"), Some(b"")].into_iter().enumerate() {
        let claims = Claims { token: word.and_then(Token::new), ..Claims::default() };
        let name = ["one", "two", "three", "four"][n];
        let rogue = scene.rogue_that(name, Rogue::new(20 + n as u64, claims, Conduct::Proves));
        scene.forget();
        scene.dial(rogue, "relay.test");
        assert_eq!(scene.end(relay), LinkEnd::Left(Farewell::NotAllowed));
    }
    let claims = Claims { token: Some(token(b"sesame")), ..Claims::default() };
    let friend = scene.rogue_that("friend", Rogue::new(9, claims, Conduct::Proves));
    scene.proved(friend, relay, "relay.test");
    assert_eq!(scene.neighbours(relay), 1);
    assert_eq!(scene.statistics(relay).refused_links, 4);
}

#[test]
fn a_key_gets_no_more_links_than_its_quota() {
    let mut scene = Scene::new(3);
    let (relay, a, b) = scene.board_with(relay(Policy::Open, Quotas { links: 3, ..Quotas::default() }));
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    for _ in 0..10 {
        scene.dial(rogue, "relay.test");
    }
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.neighbours(relay), 2 + 3);
    assert_eq!(scene.statistics(relay).refused_links, 7);
    assert_eq!(scene.end(relay), LinkEnd::Left(Farewell::TooManyLinks));
    scene.talk(a, b);
    // When one goes, another may come.
    scene
        .world
        .reboot(rogue, super::scene::Someone::Rogue(Box::new(Rogue::new(9, Claims::default(), Conduct::Proves))));
    scene.until(|scene| scene.neighbours(relay) == 2);
    scene.proved(rogue, relay, "relay.test");
}

#[test]
fn a_key_gets_no_more_sessions_than_its_quota_and_others_have_theirs() {
    let mut scene = Scene::new(4);
    let (relay, a, b) = scene.board_with(relay(Policy::Open, Quotas { sessions: 4, ..Quotas::default() }));
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    let link = scene.proved(rogue, relay, "relay.test");
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    for route in 0..10 {
        scene.say(rogue, link, &Frame::Open { route, to, from, hops: 4 });
    }
    scene.pass(Duration::from_secs(1));
    let heard = scene.with(rogue, |rogue, _| rogue.heard(link));
    let refused =
        |frame: &Vec<u8>| matches!(Frame::decode(frame), Ok(Frame::Unreachable { reason: Unreachable::Quota, .. }));
    assert_eq!((heard.len(), heard.iter().filter(|frame| refused(frame)).count()), (10, 6));
    scene.talk(a, b);
    // What times out is given back.
    scene.pass(Duration::from_secs(11));
    let heard = scene.asked(rogue, link, &Frame::Open { route: 77, to, from, hops: 4 });
    assert!(heard.iter().any(|frame| matches!(Frame::decode(frame), Ok(Frame::Opened { route: 77, .. }))), "{heard:?}");
}

#[test]
fn a_key_gets_no_more_bytes_than_its_quota_and_others_have_theirs() {
    let mut scene = Scene::new(5);
    let (relay, a, b) =
        scene.board_with(relay(Policy::Open, Quotas { bytes_per_second: 100_000, ..Quotas::default() }));
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    let link = scene.proved(rogue, relay, "relay.test");
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    let heard = scene.asked(rogue, link, &Frame::Open { route: 5, to, from, hops: 4 });
    let Ok(Frame::Opened { yours, .. }) = Frame::decode(&heard[0]) else { panic!("{heard:?}") };
    let before = scene.statistics(relay);
    for _ in 0..10 {
        for _ in 0..100 {
            // No handshake begins like this, so the route is closed on the other side; the relay forwards as long
            // as it is not.
            scene.say(rogue, link, &Frame::Data { route: yours, packet: &[1; 1000] });
        }
        scene.pass(Duration::from_millis(100));
    }
    let after = scene.statistics(relay);
    assert!(after.forwarded_bytes - before.forwarded_bytes <= 200_000);
    let dropped = (after.dropped_quota - before.dropped_quota) + (after.dropped_route - before.dropped_route);
    assert!(dropped >= 800, "{dropped}");
    scene.talk(a, b);
}

#[test]
fn every_way_of_being_unreachable_is_told_by_its_reason() {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(6);
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    let other = Address { instance: Instance(to.instance.0 ^ 1), ..to };
    let mut asked = |to, from, hops| {
        let heard = scene.asked(rogue, link, &Frame::Open { route: 9, to, from, hops });
        match Frame::decode(&heard[0]) {
            Ok(Frame::Unreachable { route: 9, reason }) => reason,
            answer => panic!("{answer:?}"),
        }
    };
    assert_eq!(asked(stranger(7), from, 4), Unreachable::Unknown);
    assert_eq!(asked(other, from, 4), Unreachable::Instance);
    assert_eq!(asked(from, from, 4), Unreachable::Instance);
    assert_eq!(scene.statistics(relay).refused_routes, 3);
    scene.talk(a, b);
}

#[test]
fn an_endpoint_that_is_no_relay_passes_nothing_on() {
    let mut scene = Scene::new(7);
    let (relay, a, b) = scene.board();
    let plain = scene.honest(
        Recipe { listens: vec!["tcp:0.0.0.0:7000".into()], ..Recipe::new("plain", 4) }.over("tcp:relay.test:7000"),
    );
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    let link = scene.proved(rogue, plain, "plain.test");
    let from = scene.with(rogue, |rogue, _| rogue.identity.address());
    for to in
        [scene.address(a), scene.address(relay), stranger(7), Address { instance: Instance(5), ..scene.address(plain) }]
    {
        let heard = scene.asked(rogue, link, &Frame::Open { route: 9, to, from, hops: 4 });
        assert_eq!(heard, [Frame::Unreachable { route: 9, reason: Unreachable::NotARelay }.encode()]);
    }
    scene.talk(a, b);
}

#[test]
fn what_was_passed_on_too_often_is_passed_on_no_more() {
    let mut scene = Scene::new(8);
    // Two relays that hold each other for the one that knows the rest.
    let first = scene.honest(Recipe::relay("first", 1).over("tcp:second.test:7000"));
    let second = scene.honest(Recipe::relay("second", 5).over("tcp:first.test:7000"));
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    scene.pass(Duration::from_secs(2));
    let link = scene.proved(rogue, first, "first.test");
    let from = scene.with(rogue, |rogue, _| rogue.identity.address());
    let heard = scene.asked(rogue, link, &Frame::Open { route: 9, to: stranger(7), from, hops: 4 });
    let Ok(Frame::Unreachable { route: 9, reason }) = Frame::decode(&heard[0]) else { panic!("{heard:?}") };
    assert!([Unreachable::Hops, Unreachable::Unknown].contains(&reason), "{reason:?}");
    let heard = scene.asked(rogue, link, &Frame::Open { route: 9, to: stranger(7), from, hops: 0 });
    assert_eq!(heard, [Frame::Unreachable { route: 9, reason: Unreachable::Hops }.encode()]);
    for relay in [first, second] {
        assert_eq!(scene.statistics(relay).routes, 0);
    }
}

#[test]
fn a_link_that_goes_down_on_the_way_is_told_as_that() {
    let (mut scene, relay, [a, b], rogue, link) = neighbour(9);
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    let heard = scene.asked(rogue, link, &Frame::Open { route: 9, to, from, hops: 4 });
    assert!(matches!(Frame::decode(&heard[0]), Ok(Frame::Opened { route: 9, .. })));
    scene.world.reboot(
        scene.parties[b.0].host,
        super::scene::Someone::Rogue(Box::new(Rogue::new(3, Claims::default(), Conduct::Mute))),
    );
    scene.parties.truncate(b.0);
    scene.until(|scene| scene.neighbours(relay) == 2);
    scene.pass(Duration::from_millis(100));
    let heard = scene.with(rogue, |rogue, _| rogue.heard(link));
    assert_eq!(heard, [Frame::CloseRoute { route: 9, reason: Unreachable::LinkDown }.encode()]);
    let session = scene.open(a, to);
    assert_eq!(scene.ends(a, session), Closed::Unreachable(Unreachable::Unknown));
    assert_eq!(scene.statistics(relay).routes, 0);
}

#[test]
fn nobody_hears_of_an_endpoint_from_somebody_who_was_not_asked() {
    let mut scene = Scene::new(10);
    let (_, a, _) = scene.board();
    let listener = scene.honest(
        Recipe { listens: vec!["tcp:0.0.0.0:7000".into()], ..Recipe::new("plain", 4) }.over("tcp:relay.test:7000"),
    );
    let watched = scene.address(a);
    scene.act(listener, |endpoint, cx| endpoint.watch(cx, watched.id));
    scene.pass(Duration::from_secs(1));
    for relays in [false, true] {
        let claims = Claims { relays, ..Claims::default() };
        let name = if relays { "one" } else { "two" };
        let rogue = scene.rogue_that(name, Rogue::new(9 + u64::from(relays), claims, Conduct::Proves));
        let link = scene.proved(rogue, listener, "plain.test");
        let heard = scene.asked(rogue, link, &Frame::Presence(Address { instance: Instance(7), ..watched }));
        assert_eq!(heard, Vec::<Vec<u8>>::new(), "whom we watch is nobody else's business");
    }
    let told = scene.filter(listener, |event| match event {
        Event::Presence { instance, .. } => Some(*instance),
        _ => None,
    });
    assert_eq!(told, [Some(watched.instance)]);
}
