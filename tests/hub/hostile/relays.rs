//! Relays that do other than they should. They can lose a session's packets, and no more.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use switchboard::hub::opening::{Opening, OpeningError};
use switchboard::hub::{Closed, Event};
use switchboard::link::noise::{Claims, Handshake, HandshakeError, Protocol, Role};
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::sim::HostId;
use switchboard::wire::frame::{Frame, Unreachable};
use switchboard::wire::identity::{Address, Instance};

use super::board::Board;
use super::rogue::{Conduct, Rogue};
use super::scene::{Scene, Who, string};
use crate::party::Recipe;

/// A rogue that says it is a relay, and two that believe it.
pub(super) fn crooked(seed: u64, board: Option<Board>) -> (Scene, HostId, Who, Who) {
    let mut scene = Scene::new(seed);
    let crook = crook(&mut scene, board);
    let [a, b] =
        [("a", 2), ("b", 3)].map(|(name, key)| scene.honest(Recipe::new(name, key).over("tcp:crook.test:7000")));
    scene.until(|scene| {
        scene.with(crook, |rogue, _| rogue.lines.values().filter(|line| line.peer().is_some()).count()) == 2
    });
    (scene, crook, a, b)
}

/// The same with an honest relay besides, and which of the two is asked first.
pub(super) fn mixed(seed: u64, board: Option<Board>, order: [&str; 2]) -> (Scene, HostId, Who, Who) {
    let mut scene = Scene::new(seed);
    let crook = crook(&mut scene, board);
    let relay = scene.honest(Recipe::relay("relay", 1));
    let [a, b] = [("a", 2), ("b", 3)].map(|(name, key)| {
        scene.honest(Recipe::new(name, key).over(&string("tcp", order[0])).over(&string("tcp", order[1])))
    });
    scene.until(|scene| [a, b].iter().all(|who| scene.neighbours(*who) == 2) && scene.neighbours(relay) == 2);
    scene.pass(Duration::from_millis(100));
    (scene, crook, a, b)
}

pub(super) const CROOK_FIRST: [&str; 2] = ["crook.test", "relay.test"];
pub(super) const CROOK_SECOND: [&str; 2] = ["relay.test", "crook.test"];

fn crook(scene: &mut Scene, board: Option<Board>) -> HostId {
    let claims = Claims { relays: true, ..Claims::default() };
    let mut rogue = Rogue::new(9, claims, Conduct::Proves);
    rogue.board = board;
    let crook = scene.rogue_that("crook", rogue);
    scene.listen(crook);
    crook
}

/// A switch that a test and a board share.
pub(super) fn switch() -> (Rc<Cell<bool>>, Rc<Cell<bool>>) {
    let on = Rc::new(Cell::new(false));
    (on.clone(), on)
}

fn exchange(scene: &mut Scene, a: Who, b: Who, count: usize) {
    let (near, far) = scene.meet(a, b);
    let mut expected = [Vec::new(), Vec::new()];
    for _ in 0..count {
        expected[0].push(scene.send(a, near));
        expected[1].push(scene.send(b, far));
        scene.pass(Duration::from_millis(5));
    }
    scene.until(|scene| scene.messages(a).len() == count && scene.messages(b).len() == count);
    assert_eq!([scene.messages(b), scene.messages(a)], expected);
}

#[test]
fn a_relay_that_drops_all_packets_keeps_a_session_from_standing_and_no_longer_than_that() {
    let (mut scene, _, a, b) = crooked(1, Some(Board::packets(|_| Vec::new())));
    let start = scene.world.now();
    let session = scene.open(a, scene.address(b));
    assert_eq!(scene.ends(a, session), Closed::TimedOut);
    assert!(scene.world.now().since(start) < Duration::from_secs(11));
    scene.pass(Duration::from_secs(20));
    assert_eq!((scene.statistics(a).sessions, scene.statistics(b).sessions), (0, 0));
}

#[test]
fn a_relay_that_never_answers_is_told_from_no_relay_at_all() {
    let (mut scene, _, a, b) = crooked(2, Some(Board::new(|_, _| Vec::new())));
    let session = scene.open(a, scene.address(b));
    assert_eq!(scene.ends(a, session), Closed::Unreachable(Unreachable::TimedOut));
}

#[test]
fn a_relay_that_never_answers_is_passed_over_for_one_that_does() {
    let (mut scene, _, a, b) = mixed(3, Some(Board::new(|_, _| Vec::new())), CROOK_FIRST);
    scene.talk(a, b);
}

#[test]
fn a_session_leaves_a_relay_that_begins_to_drop_everything() {
    let (on, drops) = switch();
    let (mut scene, _, a, b) =
        mixed(4, Some(Board::packets(move |packet| if drops.get() { vec![] } else { vec![packet] })), CROOK_FIRST);
    let (near, _) = scene.meet(a, b);
    scene.carries(a, near, b);
    on.set(true);
    let expected: Vec<_> = (0..100).map(|_| scene.send(a, near)).collect();
    scene.until(|scene| scene.messages(b).len() == 101);
    assert_eq!(scene.messages(b)[1..], expected);
    assert_eq!(scene.closed(a, near), None);
}

#[test]
fn a_relay_that_reorders_everything_changes_no_order() {
    let mut held = Vec::new();
    let shuffle = move |link, frame: Vec<u8>| {
        let Ok(Frame::Data { packet, .. }) = Frame::decode(&frame) else { return vec![(link, frame)] };
        let most = if packet[0] == 1 { 2 } else { 4 };
        held.push((link, frame));
        if held.len() < most { Vec::new() } else { held.drain(..).rev().collect() }
    };
    let (mut scene, _, a, b) = crooked(5, Some(Board::new(shuffle)));
    exchange(&mut scene, a, b, 200);
}

#[test]
fn a_relay_that_repeats_everything_repeats_no_message() {
    let (mut scene, _, a, b) = crooked(6, Some(Board::packets(|packet| vec![packet.clone(), packet.clone(), packet])));
    exchange(&mut scene, a, b, 200);
    assert!(scene.statistics(b).dropped_packets > 100);
}

#[test]
fn a_relay_that_changes_packets_changes_no_message() {
    let mut n = 0usize;
    let damage = move |mut packet: Vec<u8>| {
        n += 1;
        let at = n % packet.len();
        if n.is_multiple_of(3) && packet[0] == 2 {
            packet[at.max(1)] ^= 1 << (n % 8);
        }
        vec![packet]
    };
    let (mut scene, _, a, b) = crooked(7, Some(Board::packets(damage)));
    exchange(&mut scene, a, b, 200);
    assert!(scene.statistics(b).dropped_packets > 20);
    assert_eq!(scene.statistics(b).misbehaved_paths, 0);
}

#[test]
fn a_relay_that_cuts_and_lengthens_packets_changes_no_message() {
    let mut n = 0usize;
    let damage = move |mut packet: Vec<u8>| {
        n += 1;
        match n % 5 {
            0 if packet[0] == 2 => packet.truncate(9 + n % 20),
            1 if packet[0] == 2 => packet.resize(packet.len() + n % 20, 7),
            _ => {}
        }
        vec![packet]
    };
    let (mut scene, _, a, b) = crooked(8, Some(Board::packets(damage)));
    exchange(&mut scene, a, b, 100);
}

/// `Opened` names somebody else.
#[test]
fn a_relay_that_reaches_somebody_else_reaches_nobody() {
    let other = super::frames::stranger(8);
    let (mut scene, _, a, b) = crooked(9, Some(opened_by(move |_| other)));
    let session = scene.open(a, scene.address(b));
    assert_eq!(scene.ends(a, session), Closed::Unreachable(Unreachable::Misbehaved));
    let session = scene.open(a, scene.address(b).id);
    assert_eq!(scene.ends(a, session), Closed::Unreachable(Unreachable::Misbehaved));
}

/// Another process of the same endpoint, where one was asked for.
#[test]
fn a_relay_that_reaches_another_instance_reaches_nobody() {
    let (mut scene, _, a, b) =
        crooked(10, Some(opened_by(|from| Address { instance: Instance(from.instance.0 ^ 1), ..from })));
    let session = scene.open(a, scene.address(b));
    assert_eq!(scene.ends(a, session), Closed::Unreachable(Unreachable::Instance));
    // Whoever asks for any instance is told which one by the relay, and the handshake proves it wrong.
    let session = scene.open(a, scene.address(b).id);
    assert_eq!(scene.ends(a, session), Closed::Handshake(HandshakeError::Forged.into()));
    assert!(!scene.parties[b.0].events.iter().any(|event| matches!(event, Event::Incoming { .. })));
}

/// `Open` is passed on to an instance that was not asked for, and the answer is made to look right.
#[test]
fn a_session_for_another_instance_is_not_for_this_one() {
    let asked = Instance(77);
    let board = Board::new(move |link, frame| {
        let changed = match Frame::decode(&frame) {
            Ok(Frame::Opened { route, yours, from }) => {
                Frame::Opened { route, yours, from: Address { instance: asked, ..from } }.encode()
            }
            // Any instance will do.
            Ok(Frame::Open { route, to, from, hops }) => {
                Frame::Open { route, to: Address { instance: Instance::NEWEST, ..to }, from, hops }.encode()
            }
            _ => frame,
        };
        vec![(link, changed)]
    });
    let (mut scene, _, a, b) = crooked(11, Some(board));
    let session = scene.open(a, Address { instance: asked, ..scene.address(b) });
    assert_eq!(scene.ends(a, session), Closed::Handshake(HandshakeError::Forged.into()));
    assert!(!scene.parties[b.0].events.iter().any(|event| matches!(event, Event::Incoming { .. })));
}

fn opened_by(change: impl Fn(Address) -> Address + 'static) -> Board {
    Board::new(move |link, frame| match Frame::decode(&frame) {
        Ok(Frame::Opened { route, yours, from }) => {
            vec![(link, Frame::Opened { route, yours, from: change(from) }.encode())]
        }
        _ => vec![(link, frame)],
    })
}

/// The crook answers the route itself; `answer` makes the second step from the first.
fn impostor(seed: u64, answer: impl FnOnce(&mut Scene, HostId, [Address; 2], &[u8]) -> Vec<u8>) -> Closed {
    let (mut scene, crook, a, b) = crooked(seed, None);
    let [near, far] = [scene.address(a), scene.address(b)];
    let session = scene.open(a, far);
    let link = scene.with(crook, |rogue, _| rogue.link_to(near)).unwrap();
    scene.pass(Duration::from_millis(100));
    let heard = scene.with(crook, |rogue, _| rogue.heard(link));
    let Ok(Frame::Open { route, .. }) = Frame::decode(&heard[0]) else { panic!("{heard:?}") };
    let data = scene.asked(crook, link, &Frame::Opened { route, yours: 5, from: far });
    let Ok(Frame::Data { route: 5, packet }) = Frame::decode(&data[0]) else { panic!("{data:?}") };
    let second = answer(&mut scene, crook, [near, far], packet);
    scene.say(crook, link, &Frame::Data { route, packet: &second });
    scene.ends(a, session)
}

#[test]
fn a_relay_that_answers_for_an_endpoint_by_a_handshake_of_its_own_is_found_out() {
    let closed = impostor(12, |scene, crook, [near, _], first| {
        scene.with(crook, |rogue, _| {
            let mut rng = Rng::from_u64(1);
            let now = switchboard::machine::time::Instant::ZERO;
            let limits = Limits::default();
            Opening::answer(now, &limits, &rogue.identity, near, first, &mut rng).unwrap().supply().unwrap()
        })
    });
    assert_eq!(closed, Closed::Handshake(HandshakeError::Forged.into()));
}

#[test]
fn a_relay_that_answers_in_an_endpoint_s_name_must_show_its_own_key() {
    let mut crooks = None;
    let closed = impostor(13, |scene, crook, [near, far], first| {
        scene.with(crook, |rogue, _| {
            let mut prologue = Vec::new();
            near.put(&mut prologue);
            far.put(&mut prologue);
            crooks = Some(rogue.identity.address());
            let role = Role::Responder;
            let mut handshake =
                Handshake::new(&rogue.identity, role, Protocol::Session, &prologue, &mut Rng::from_u64(1));
            handshake.read(&first[2..]).unwrap();
            [&[1, 2], &handshake.write(&[1]).unwrap()[..]].concat()
        })
    });
    assert_eq!(closed, Closed::Handshake(OpeningError::WrongPeer(crooks.unwrap())));
}

/// The crook opens a session in the name of somebody else.
#[test]
fn a_relay_that_opens_a_session_in_an_endpoint_s_name_is_not_let_in() {
    let (mut scene, crook, a, b) = crooked(14, None);
    let [near, far] = [scene.address(a), scene.address(b)];
    let link = scene.with(crook, |rogue, _| rogue.link_to(far)).unwrap();
    let heard = scene.asked(crook, link, &Frame::Open { route: 5, to: far, from: near, hops: 1 });
    let Ok(Frame::Opened { route: 5, yours, .. }) = Frame::decode(&heard[0]) else { panic!("{heard:?}") };
    let mut rng = Rng::from_u64(1);
    let (mut prologue, role) = (Vec::new(), Role::Initiator);
    near.put(&mut prologue);
    far.put(&mut prologue);
    let mut handshake =
        scene.with(crook, |rogue, _| Handshake::new(&rogue.identity, role, Protocol::Session, &prologue, &mut rng));
    let first = [&[1, 1], &handshake.write(b"").unwrap()[..]].concat();
    let heard = scene.asked(crook, link, &Frame::Data { route: yours, packet: &first });
    let Ok(Frame::Data { route: 5, packet: second }) = Frame::decode(&heard[0]) else { panic!("{heard:?}") };
    handshake.read(&second[2..]).unwrap();
    let third = [&[1, 3], &handshake.write(&[1, 0, 0]).unwrap()[..]].concat();
    let heard = scene.asked(crook, link, &Frame::Data { route: yours, packet: &third });
    assert_eq!(heard, [Frame::CloseRoute { route: 5, reason: Unreachable::Closed }.encode()]);
    let events = &scene.parties[b.0].events;
    assert!(!events.iter().any(|event| matches!(event, Event::Incoming { .. } | Event::Opened { .. })), "{events:?}");
    assert_eq!(scene.statistics(b).sessions, 0);
}
