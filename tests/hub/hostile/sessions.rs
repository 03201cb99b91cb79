//! Attacks on a session that stands, by whoever carries its packets or has seen its name.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use switchboard::link::noise::{Claims, SecretKey};
use switchboard::machine::ids::LinkId;
use switchboard::machine::rng::Rng;
use switchboard::sim::HostId;
use switchboard::wire::frame::{Frame, Unreachable};
use switchboard::wire::identity::Address;
use switchboard::wire::session::SessionKey;

use super::board::Board;
use super::frames::neighbour;
use super::relays::{CROOK_SECOND, crooked, mixed};
use super::rogue::{Conduct, Rogue};
use super::scene::{Scene, Who};

const SEALED: u8 = 2;
const PLAIN: u8 = 3;
const ATTACH: u8 = 4;
const UNKNOWN: u8 = 5;

/// A session over a crook and an honest relay, and what the crook has seen of it.
struct Watched {
    scene: Scene,
    crook: HostId,
    a: Who,
    b: Who,
    near: switchboard::hub::SessionId,
    far: switchboard::hub::SessionId,
    seen: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl Watched {
    fn new(seed: u64) -> Self {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let notes = seen.clone();
        let board = Board::packets(move |packet| {
            notes.borrow_mut().push(packet.clone());
            vec![packet]
        });
        let (mut scene, crook, a, b) = mixed(seed, Some(board), CROOK_SECOND);
        // The session is opened over the honest relay; the crook sees how it gets a further path.
        let (near, far) = scene.meet(a, b);
        scene.carries(a, near, b);
        scene.pass(Duration::from_secs(1));
        Self { scene, crook, a, b, near, far, seen }
    }

    /// The name of the session.
    fn key(&self) -> SessionKey {
        key_of(&self.seen.borrow())
    }

    /// The crook says that on all routes that it carries.
    fn inject(&mut self, packet: &[u8]) {
        self.scene.with(self.crook, |rogue, cx| {
            for (link, route) in rogue.board.as_ref().unwrap().ways() {
                rogue.say(cx, link, &Frame::Data { route, packet });
            }
        });
        self.scene.pass(Duration::from_millis(500));
    }

    #[track_caller]
    fn lives(&mut self) {
        let Self { scene, a, b, near, far, .. } = self;
        scene.carries(*a, *near, *b);
        scene.carries(*b, *far, *a);
        assert_eq!((scene.closed(*a, *near), scene.closed(*b, *far)), (None, None));
    }
}

/// The name that the first three steps of a handshake give to a session; anybody on its way can tell.
fn key_of(packets: &[Vec<u8>]) -> SessionKey {
    let attach = packets.iter().find(|packet| packet[0] == ATTACH).expect("a further path");
    SessionKey(attach[1..17].try_into().unwrap())
}

#[test]
fn an_unsealed_packet_on_a_relayed_path_closes_the_path_and_never_the_session() {
    let mut watched = Watched::new(1);
    let before = [watched.a, watched.b].map(|who| watched.scene.statistics(who).misbehaved_paths);
    // A goodbye, a message, nothing at all: none of it is believed.
    watched.inject(&[PLAIN, 9, 0, 0]);
    let after = [watched.a, watched.b].map(|who| watched.scene.statistics(who).misbehaved_paths);
    assert_eq!([after[0] - before[0], after[1] - before[1]], [1, 1]);
    watched.lives();
    watched.inject(&[PLAIN]);
    watched.lives();
}

#[test]
fn an_unsealed_packet_closes_the_only_path_and_another_one_is_found() {
    let (mut scene, crook, a, b) = crooked(2, Some(Board::honest()));
    let (near, far) = scene.meet(a, b);
    scene.carries(a, near, b);
    scene.with(crook, |rogue, cx| {
        for (link, route) in rogue.board.as_ref().unwrap().ways() {
            rogue.say(cx, link, &Frame::Data { route, packet: &[PLAIN, 1, 2, 3] });
        }
    });
    scene.pass(Duration::from_millis(10));
    scene.carries(a, near, b);
    scene.carries(b, far, a);
    assert!(scene.statistics(b).misbehaved_paths + scene.statistics(a).misbehaved_paths > 0);
    assert_eq!((scene.closed(a, near), scene.closed(b, far)), (None, None));
}

#[test]
fn what_is_no_packet_of_a_session_closes_no_session() {
    for packet in [&[][..], &[0], &[SEALED], &[SEALED; 9], &[6, 1, 2, 3], &[ATTACH; 30], &[1, 9], &[0xff; 2000]] {
        let mut watched = Watched::new(3);
        watched.inject(packet);
        watched.lives();
    }
}

#[test]
fn a_sealed_packet_that_is_replayed_is_dropped_and_counted() {
    let mut watched = Watched::new(4);
    let sealed: Vec<_> =
        watched.seen.borrow().iter().filter(|packet| [SEALED, ATTACH].contains(&packet[0])).cloned().collect();
    assert!(!sealed.is_empty());
    let before = watched.scene.statistics(watched.b).dropped_packets;
    for packet in &sealed {
        watched.inject(packet);
    }
    assert!(watched.scene.statistics(watched.b).dropped_packets > before);
    watched.lives();
}

#[test]
fn a_forged_disowning_ends_no_session() {
    let mut watched = Watched::new(5);
    let key = watched.key();
    let signed = |secret: &SecretKey, message: &[u8]| [&[UNKNOWN], &key.0[..], &secret.sign(message)].concat();
    let own = SecretKey::generate(&mut Rng::from_u64(9));
    watched.inject(&[&[UNKNOWN][..], &key.0, &[0; 64]].concat());
    watched.inject(&[&[UNKNOWN][..], &key.0, &[7; 64]].concat());
    watched.inject(&signed(&own, &key.0));
    watched.inject(&[UNKNOWN]);
    watched.lives();
}

/// Only who has been asked by the session itself may disown it. Before an endpoint knows a session, it would disown
/// it truly; a relay that can tell the session's name from its handshake must not be able to use that later.
#[test]
fn a_disowning_from_before_the_session_ends_it_not() {
    let held: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let (notes, released) = (held.clone(), Rc::new(RefCell::new(false)));
    let open = released.clone();
    let board = Board::packets(move |packet| {
        notes.borrow_mut().push(packet.clone());
        if packet[..2] == [1, 3] && !*open.borrow() { Vec::new() } else { vec![packet] }
    });
    let (mut scene, crook, a, b) = crooked(6, Some(board));
    let [near, far] = [scene.address(a), scene.address(b)];
    let session = scene.open(a, far);
    scene.until(|_| held.borrow().iter().any(|packet| packet[..2] == [1, 3]));
    let step = |n| held.borrow().iter().find(|packet| packet[..2] == [1, n]).unwrap()[2..].to_vec();
    let key = name([near, far], [step(1), step(2), step(3)]);
    let disowned = disowned(&mut scene, crook, far, key);
    *released.borrow_mut() = true;
    scene.until(|scene| scene.opened(a).contains(&session));
    scene.carries(a, session, b);
    scene.with(crook, |rogue, cx| {
        for (link, route) in rogue.board.as_ref().unwrap().ways() {
            rogue.say(cx, link, &Frame::Data { route, packet: &disowned });
        }
    });
    scene.pass(Duration::from_millis(500));
    assert_eq!(scene.closed(a, session), None);
    scene.carries(a, session, b);
}

/// The crook asks an endpoint for a session that it does not know, and is told so, with a signature.
fn disowned(scene: &mut Scene, crook: HostId, of: Address, key: SessionKey) -> Vec<u8> {
    let link = scene.with(crook, |rogue, _| rogue.link_to(of)).unwrap();
    let from = super::frames::stranger(1);
    scene.with(crook, |rogue, _| rogue.heard(link));
    scene.say(crook, link, &Frame::Open { route: 5, to: of, from, hops: 1 });
    scene.pass(Duration::from_millis(100));
    let heard = scene.with(crook, |rogue, _| rogue.heard(link));
    let yours = heard.iter().find_map(|frame| match Frame::decode(frame) {
        Ok(Frame::Opened { route: 5, yours, .. }) => Some(yours),
        _ => None,
    });
    let attach = [&[ATTACH], &key.0[..], &[0; 40]].concat();
    scene.say(crook, link, &Frame::Data { route: yours.unwrap(), packet: &attach });
    scene.pass(Duration::from_millis(100));
    let heard = scene.with(crook, |rogue, _| rogue.heard(link));
    let unknown = heard.iter().find_map(|frame| match Frame::decode(frame) {
        Ok(Frame::Data { route: 5, packet }) => Some(packet.to_vec()),
        _ => None,
    });
    let unknown = unknown.unwrap();
    assert_eq!((unknown[0], &unknown[1..17]), (UNKNOWN, &key.0[..]));
    unknown
}

/// The name of a session from its handshake, as anybody on its way can tell it (Noise, section 5.2, MixHash).
fn name(addresses: [Address; 2], steps: [Vec<u8>; 3]) -> SessionKey {
    let mut prologue = b"switchboard session 1\0".to_vec();
    addresses.iter().for_each(|address| address.put(&mut prologue));
    let mut protocol = b"Noise_XX_25519_AESGCM_SHA256".to_vec();
    protocol.resize(32, 0);
    let [first, second, third] = steps;
    let parts = [&prologue[..], &first, &[], &second[..32], &second[32..80], &second[80..], &third[..48], &third[48..]];
    let hash = parts.iter().fold(protocol, |hash, part| Sha256::digest([&hash, *part].concat()).to_vec());
    SessionKey(hash[..16].try_into().unwrap())
}

/// A neighbour opens a route to an endpoint; answers the number to send under.
fn route(scene: &mut Scene, rogue: HostId, link: LinkId, to: Address, from: Address) -> u32 {
    let heard = scene.asked(rogue, link, &Frame::Open { route: 5, to, from, hops: 4 });
    match Frame::decode(&heard[0]) {
        Ok(Frame::Opened { route: 5, yours, .. }) => yours,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stolen_name_resumes_no_session() {
    let mut watched = Watched::new(7);
    let key = watched.key();
    let Watched { scene, b, .. } = &mut watched;
    let to = scene.address(*b);
    let thief = scene.rogue("thief", 10, Conduct::Proves);
    // The honest relay came first, so the session's name is all that the thief has.
    let link = scene.proved(thief, Who(0), "relay.test");
    let from = scene.with(thief, |rogue, _| rogue.identity.address());
    let yours = route(scene, thief, link, to, from);
    let attach = [&[ATTACH], &key.0[..], &[0; 8], &[7; 40]].concat();
    let heard = scene.asked(thief, link, &Frame::Data { route: yours, packet: &attach });
    assert_eq!(heard, [Frame::CloseRoute { route: 5, reason: Unreachable::Misbehaved }.encode()]);
    watched.lives();
}

/// Here the thief is a relay, and speaks in the name of the session's other end, with a packet that was true once.
#[test]
fn a_stolen_packet_resumes_no_session_in_the_owner_s_name() {
    let mut watched = Watched::new(8);
    let attaches: Vec<_> = watched.seen.borrow().iter().filter(|packet| packet[0] == ATTACH).cloned().collect();
    let Watched { scene, a, b, .. } = &mut watched;
    let claims = Claims { relays: true, ..Claims::default() };
    let thief = scene.rogue_that("thief", Rogue::new(10, claims, Conduct::Proves));
    let link = scene.proved(thief, Who(0), "relay.test");
    let sides = [(scene.address(*a), scene.address(*b)), (scene.address(*b), scene.address(*a))];
    for (from, to) in sides {
        for attach in &attaches {
            let yours = route(scene, thief, link, to, from);
            let heard = scene.asked(thief, link, &Frame::Data { route: yours, packet: attach });
            assert_eq!(heard, [Frame::CloseRoute { route: 5, reason: Unreachable::Misbehaved }.encode()]);
        }
    }
    watched.lives();
}

#[test]
fn a_session_that_nobody_knows_is_disowned_and_nothing_else_follows() {
    let (mut scene, _, [a, b], rogue, link) = neighbour(9);
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    let yours = route(&mut scene, rogue, link, to, from);
    let attach = [&[ATTACH][..], &[7; 16], &[0; 8], &[7; 40]].concat();
    let heard = scene.asked(rogue, link, &Frame::Data { route: yours, packet: &attach });
    let Ok(Frame::Data { route: 5, packet }) = Frame::decode(&heard[0]) else { panic!("{heard:?}") };
    assert_eq!((packet[0], &packet[1..17]), (UNKNOWN, &[7; 16][..]));
    scene.talk(a, b);
}

#[test]
fn a_first_packet_that_begins_nothing_closes_its_route() {
    let (mut scene, _, [a, b], rogue, link) = neighbour(10);
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    for packet in [&[][..], &[9], &[SEALED; 40], &[PLAIN, 1], &[UNKNOWN; 81], &[1], &[1, 2, 3], &[1, 1], &[1, 1, 5, 5]]
    {
        let yours = route(&mut scene, rogue, link, to, from);
        let heard = scene.asked(rogue, link, &Frame::Data { route: yours, packet });
        assert_eq!(heard, [Frame::CloseRoute { route: 5, reason: Unreachable::Misbehaved }.encode()], "{packet:?}");
    }
    scene.talk(a, b);
}

#[test]
fn a_route_without_a_first_packet_is_taken_back_in_time() {
    let (mut scene, _, [a, b], rogue, link) = neighbour(11);
    let (to, from) = (scene.address(b), scene.with(rogue, |rogue, _| rogue.identity.address()));
    route(&mut scene, rogue, link, to, from);
    scene.pass(Duration::from_secs(11));
    let heard = scene.with(rogue, |rogue, _| rogue.heard(link));
    assert_eq!(heard, [Frame::CloseRoute { route: 5, reason: Unreachable::TimedOut }.encode()]);
    scene.talk(a, b);
}
