//! Other sides that signal what they should not, and strangers who send what they like: no session ends by it, nothing
//! unproved is bound, and nobody else gets more than a few packets.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchboard::connect::Endpoint;
use switchboard::hub::{Event, PathPolicy};
use switchboard::link::noise::SecretKey;
use switchboard::link::stun::TransactionId;
use switchboard::machine::rng::Rng;
use switchboard::sim::timeline::{Body, Frame, What};
use switchboard::sim::{HostId, Recording};
use switchboard::transport::upgrade::PeerState;
use switchboard::transport::webrtc::Webrtc;
use switchboard::wire::candidate::{Candidate, CandidateKind};
use switchboard::wire::signal::{DescriptionKind, Signal};

use crate::common::campaign;
use crate::evil::{Evil, Flood, Tamper, Volley};
use crate::party::config;
use crate::stage::{MS, Plan, RELAY, SECOND, Scene};

type More = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// Ada signals what `tamper` makes of what she should; `first` tells whether she opens the session.
fn scene(seed: u64, tamper: Tamper) -> (Scene, More) {
    scene_with(seed, tamper, false)
}

fn scene_with(seed: u64, tamper: Tamper, deaf: bool) -> (Scene, More) {
    let plan = Plan { direct: [false, true], ..Plan::new(seed) };
    let mut scene = Scene::new(plan);
    let more = More::default();
    let mut evil = Evil::new(Webrtc::new(config(&scene.world, scene.plan.engines[0])), tamper, more.clone());
    evil.deaf = deaf;
    scene.act(0, |endpoint, cx| endpoint.set_upgrade(cx, Box::new(evil)));
    (scene, more)
}

/// A description changed line by line; all else as it is.
fn lines(change: impl Fn(&str) -> Option<String> + Send + 'static) -> Tamper {
    Box::new(move |signal| {
        let Signal::Description { attempt, kind, sdp } = signal else { return vec![signal.encode().to_vec()] };
        let sdp: Vec<_> = sdp.lines().filter_map(&change).collect();
        let sdp = sdp.join("\r\n") + "\r\n";
        vec![Signal::Description { attempt: *attempt, kind: *kind, sdp: &sdp }.encode().to_vec()]
    })
}

/// Both speak to each other, through the relay if need be.
#[track_caller]
fn lives(scene: &mut Scene) {
    for n in 0..2 {
        let before = scene.actors[1 - n].heard.len();
        scene.send(n, 0, b"still here").unwrap();
        scene.until("a word", 5 * SECOND, |scene| scene.actors[1 - n].heard.len() > before);
    }
}

fn states(scene: &Scene, n: usize) -> Vec<PeerState> {
    let state = |(_, event): &(Duration, Event)| match event {
        Event::Peer { state, .. } => Some(*state),
        _ => None,
    };
    scene.actors[n].events.iter().filter_map(state).collect()
}

/// Datagrams that were sent to that address, and their bytes, headers included.
fn towards(scene: &Scene, to: IpAddr) -> (usize, usize) {
    let timeline = scene.world.timeline();
    let size = |what: &What| match what {
        What::Sent(Frame { destination, body: Body::Udp { len, .. }, .. }) if destination.ip() == to => Some(len + 28),
        _ => None,
    };
    let sizes: Vec<_> = timeline.records.iter().filter_map(|record| size(&record.what)).collect();
    (sizes.len(), sizes.iter().sum())
}

fn record(scene: &mut Scene) {
    scene.world.record(Recording { payloads: false, most: 5_000_000 });
}

#[test]
fn an_offer_without_a_fingerprint_ends_the_attempt_and_not_the_session() {
    let (mut scene, _) = scene(1, lines(|line| (!line.starts_with("a=fingerprint")).then(|| line.to_owned())));
    let sessions = scene.open();
    scene.run_for(5 * SECOND);
    assert!(states(&scene, 1).contains(&PeerState::Failed) && !states(&scene, 1).contains(&PeerState::Checking));
    let why = scene.act(1, |endpoint, cx| endpoint.explain(cx, sessions[1])).unwrap();
    println!("{why}");
    lives(&mut scene);
    assert!(!scene.is_direct());
}

#[test]
fn a_certificate_that_is_not_the_one_announced_is_not_connected_to() {
    let wrong = "00:".repeat(31) + "01";
    let change = move |line: &str| {
        Some(if line.starts_with("a=fingerprint") { format!("a=fingerprint:sha-256 {wrong}") } else { line.to_owned() })
    };
    let (mut scene, _) = scene(2, lines(change));
    scene.open();
    scene.run_for(40 * SECOND);
    assert!(!states(&scene, 1).contains(&PeerState::Connected), "{}", scene.account());
    assert!(states(&scene, 1).contains(&PeerState::Failed), "{}", scene.account());
    lives(&mut scene);
    assert!(!scene.actors[1].path.unwrap().direct);
}

#[test]
fn a_description_of_a_megabyte_is_refused() {
    let huge = "a=x-padding:".to_owned() + &"x".repeat(1_000);
    let tamper: Tamper = Box::new(move |signal| {
        let Signal::Description { attempt, kind, sdp } = signal else { return vec![signal.encode().to_vec()] };
        let sdp = sdp.to_string() + &(huge.clone() + "\r\n").repeat(1_024);
        vec![Signal::Description { attempt: *attempt, kind: *kind, sdp: &sdp }.encode().to_vec()]
    });
    let (mut scene, _) = scene(3, tamper);
    scene.open();
    scene.run_for(5 * SECOND);
    lives(&mut scene);
    assert!(!scene.is_direct());
}

#[test]
fn a_hundred_thousand_candidates_cost_no_more_than_thirty_two() {
    let (mut scene, more) = scene(4, Box::new(|signal| vec![signal.encode().to_vec()]));
    record(&mut scene);
    scene.open();
    scene.until("an attempt", SECOND, |scene| states(scene, 0).contains(&PeerState::Checking));
    let attempt = 128;
    let total = if campaign::is_full() { 100_000 } else { 20_000 };
    for n in (0..total).step_by(40) {
        let signals = (n..n + 40).map(|n: u32| {
            let at = SocketAddr::from(([203, 0, (n >> 8) as u8, n as u8], 1_000 + (n >> 16) as u16));
            let text = Candidate::new(CandidateKind::Host, at, None).to_string();
            Signal::Candidate { attempt, text: &text }.encode().to_vec()
        });
        more.lock().unwrap().extend(signals);
        scene.act(0, |endpoint, cx| endpoint.set_ice_servers(cx, &[]));
        scene.run_for(5 * MS);
    }
    scene.run_for(10 * SECOND);
    let to: std::collections::BTreeSet<_> = scene
        .world
        .timeline()
        .records
        .iter()
        .filter_map(|record| match &record.what {
            What::Sent(Frame { source, destination, body: Body::Udp { .. }, .. })
                if source.ip() == scene.world.address(scene.actors[1].host) && destination.ip() != source.ip() =>
            {
                Some(*destination)
            }
            _ => None,
        })
        .collect();
    println!("{total} candidates: {} addresses were sent to; {:?}", to.len(), states(&scene, 1));
    assert!(to.len() <= 64, "{}", to.len());
    lives(&mut scene);
}

/// Offers and answers without candidates of its own, and `text` as often as it is to be.
fn pointing(candidates: Vec<Candidate>) -> Tamper {
    Box::new(move |signal| match signal {
        Signal::Description { attempt, kind, sdp } => {
            let sdp: Vec<_> = sdp.lines().filter(|line| !line.starts_with("a=candidate")).collect();
            let sdp = sdp.join("\r\n") + "\r\n";
            let description = Signal::Description { attempt: *attempt, kind: *kind, sdp: &sdp }.encode().to_vec();
            let text = |candidate: &Candidate| candidate.to_string();
            let candidates = candidates.iter().map(text);
            let candidate = |text: String| Signal::Candidate { attempt: *attempt, text: &text }.encode().to_vec();
            [description].into_iter().chain(candidates.map(candidate)).collect()
        }
        Signal::Candidate { .. } => Vec::new(),
        other => vec![other.encode().to_vec()],
    })
}

fn hosts(addresses: impl Iterator<Item = SocketAddr>) -> Vec<Candidate> {
    addresses.map(|address| Candidate::new(CandidateKind::Host, address, None)).collect()
}

/// Somebody who has to do with nobody.
fn bystander(scene: &mut Scene) -> HostId {
    let endpoint =
        Endpoint::builder(SecretKey::generate(&mut Rng::from_u64(77))).build(&mut Rng::from_u64(77)).unwrap();
    scene.world.host("bystander", endpoint)
}

#[test]
fn candidates_that_point_at_somebody_else_cost_him_a_bounded_number_of_packets() {
    let victim = SocketAddr::from(([198, 18, 0, 4], 0));
    let candidates = hosts((0..32).map(|n| SocketAddr::new(victim.ip(), 5_000 + n)));
    let (mut scene, _) = scene_with(5, pointing(candidates), true);
    let bystander = bystander(&mut scene);
    assert_eq!(scene.world.address(bystander), victim.ip());
    record(&mut scene);
    let sessions = scene.open();
    scene.run_for(14 * SECOND);
    let (datagrams, bytes) = towards(&scene, victim.ip());
    println!(
        "towards a victim that does not answer, one attempt with 32 candidates: {datagrams} datagrams, {bytes} bytes"
    );
    assert!((32..=32 * 7).contains(&datagrams), "{datagrams}");
    assert!(bytes <= 32 * 10 * 1024, "{bytes}");
    let end = scene.now() + 60 * SECOND;
    while scene.now() < end {
        for policy in [PathPolicy::RelayOnly, PathPolicy::PreferDirect] {
            scene.act(0, |endpoint, cx| endpoint.set_path_policy(cx, sessions[0], policy));
        }
        scene.run_for(100 * MS);
    }
    let (all, bytes) = towards(&scene, victim.ip());
    println!("and in a minute with as many attempts as are taken: {} datagrams, {bytes} bytes in all", all - datagrams);
    assert!(all <= 21 * 32 * 7, "{all}");
    lives(&mut scene);
}

#[test]
fn candidates_at_loopback_are_never_checked_and_private_ones_and_the_relay_seldom() {
    let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
    let relay = at(&format!("198.18.0.1:{RELAY}"));
    let list = ["127.0.0.1:7000", "127.8.8.8:53", "[::1]:7000", "10.1.2.3:80", "192.168.0.1:80", "172.16.0.1:80"];
    let candidates = hosts(list.iter().map(|text| at(text)).chain([relay]));
    let (mut scene, _) = scene(6, pointing(candidates));
    record(&mut scene);
    scene.open();
    scene.run_for(25 * SECOND);
    for text in ["127.0.0.1", "127.8.8.8", "::1"] {
        assert_eq!(towards(&scene, text.parse().unwrap()), (0, 0), "{text}");
    }
    for text in ["10.1.2.3", "192.168.0.1", "172.16.0.1"] {
        let (datagrams, _) = towards(&scene, text.parse().unwrap());
        assert!((1..=7).contains(&datagrams), "{text}: {datagrams}");
    }
    let (datagrams, bytes) = towards(&scene, relay.ip());
    assert!(datagrams <= 7, "{datagrams} datagrams, {bytes} bytes to the relay");
    lives(&mut scene);
}

/// The two ends of a session's direct path.
fn ends(scene: &Scene) -> [SocketAddr; 2] {
    let session = scene.actors[1].session.unwrap();
    let paths = scene.world.machine(scene.actors[1].host).path_statistics(session);
    let pair = paths.iter().find_map(|path| path.peer.as_ref()?.pair).unwrap();
    [pair.remote.address, pair.local.address]
}

fn stranger(scene: &mut Scene) -> (HostId, Volley) {
    let volley = Volley::default();
    let host = bystander(scene);
    let flood = Flood::new(volley.clone());
    scene.world.act(host, |endpoint, cx| endpoint.add(cx, Box::new(flood), None));
    scene.run_for(5 * MS);
    (host, volley)
}

/// A binding request or answer that nobody has signed, or somebody else.
fn forged(rng: &mut Rng, name: &str) -> Vec<u8> {
    let kinds = [0x0001_u16, 0x0101, 0x0111, 0x0011];
    let mut attributes = Vec::new();
    let mut attribute = |kind: u16, value: &[u8]| {
        attributes.extend(kind.to_be_bytes());
        attributes.extend((value.len() as u16).to_be_bytes());
        attributes.extend(value);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
    };
    attribute(0x0006, name.as_bytes());
    attribute(0x0024, &0x6e00_1eff_u32.to_be_bytes());
    attribute(0x0025, &[]);
    if rng.below(2) == 0 {
        attribute(0x0008, &rng.array::<20>());
    }
    let mut data = kinds[rng.below(4) as usize].to_be_bytes().to_vec();
    data.extend((attributes.len() as u16).to_be_bytes());
    data.extend(0x2112_a442_u32.to_be_bytes());
    data.extend(TransactionId::random(rng).0);
    data.extend(attributes);
    data
}

#[test]
fn what_strangers_send_to_a_peer_binds_nothing_and_a_flood_of_it_leaves_the_path_alone() {
    let (mut scene, _) = Scene::met(Plan::new(7));
    let (stranger, volley) = stranger(&mut scene);
    let from = scene.world.address(stranger);
    record(&mut scene);
    let to = ends(&scene);
    let mut rng = Rng::from_u64(7);
    let mut sent = 0_u32;
    for n in 0..1_000_u32 {
        for _ in 0..20 {
            let data = match rng.below(3) {
                0 => forged(&mut rng, "AAAAAAAA:BBBBBBBB"),
                1 => [&[22, 254, 253][..], &rng.array::<60>()].concat(),
                _ => rng.array::<64>().to_vec(),
            };
            volley.lock().unwrap().push_back((to[rng.below(2) as usize], data));
            sent += 1;
        }
        if n % 10 == 0 {
            for side in 0..2 {
                scene.send(side, 0, &n.to_be_bytes()).unwrap();
            }
        }
        scene.run_for(2 * MS);
    }
    scene.run_for(SECOND);
    assert!(scene.is_direct() && scene.actors.iter().all(|actor| actor.heard.len() == 100), "{}", scene.account());
    assert_eq!((scene.changes(0).1, scene.changes(1).1), (0, 0));
    let (answers, bytes) = towards(&scene, from);
    println!("{sent} datagrams of a stranger: {answers} answers, {bytes} bytes");
    assert_eq!(answers, 0);
    assert_eq!(ends(&scene), to);
}

#[test]
fn a_flood_while_a_path_is_made_does_not_keep_it_from_being_made() {
    let mut scene = Scene::new(Plan::new(8));
    let (_, volley) = stranger(&mut scene);
    let mut rng = Rng::from_u64(8);
    scene.open();
    let to = scene.actors.each_ref().map(|actor| scene.world.address(actor.host));
    let took = {
        let start = scene.now();
        while !scene.is_direct() {
            assert!(scene.now() < start + 5 * SECOND, "{}", scene.account());
            for _ in 0..50 {
                // Ports are given one after the other.
                let port = 49_152 + rng.below(16) as u16;
                volley
                    .lock()
                    .unwrap()
                    .push_back((SocketAddr::new(to[rng.below(2) as usize], port), forged(&mut rng, "x:y")));
            }
            scene.run_for(MS);
        }
        scene.now() - start
    };
    println!("direct after {took:?}");
    lives(&mut scene);
}

#[test]
fn a_second_offer_with_another_certificate_ends_the_attempt() {
    let seen = Arc::new(Mutex::new(None::<Vec<u8>>));
    let keep = seen.clone();
    let tamper: Tamper = Box::new(move |signal| {
        if let Signal::Description { attempt, kind: DescriptionKind::Offer, sdp } = signal {
            let other = sdp.lines().map(|line| match line.strip_prefix("a=fingerprint:") {
                Some(_) => format!("a=fingerprint:sha-256 {}", "11:".repeat(31) + "11"),
                None => line.to_owned(),
            });
            let sdp = other.collect::<Vec<_>>().join("\r\n") + "\r\n";
            *keep.lock().unwrap() = Some(
                Signal::Description { attempt: *attempt, kind: DescriptionKind::Offer, sdp: &sdp }.encode().to_vec(),
            );
        }
        vec![signal.encode().to_vec()]
    });
    let (mut scene, more) = scene(9, tamper);
    scene.open();
    scene.until("a direct path", 5 * SECOND, |scene| scene.is_direct());
    more.lock().unwrap().extend(seen.lock().unwrap().clone());
    scene.act(0, |endpoint, cx| endpoint.set_ice_servers(cx, &[]));
    scene.until("the end of that", 5 * SECOND, |scene| states(scene, 1).contains(&PeerState::Closed));
    lives(&mut scene);
}

#[test]
fn a_stranger_who_knows_a_peers_name_but_not_its_password_is_not_answered() {
    let name = Arc::new(Mutex::new(String::new()));
    let keep = name.clone();
    let tamper: Tamper = Box::new(move |signal| {
        if let Signal::Description { sdp, .. } = signal {
            let ufrag = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"));
            *keep.lock().unwrap() = ufrag.unwrap_or_default().to_owned();
        }
        vec![signal.encode().to_vec()]
    });
    let (mut scene, _) = scene(10, tamper);
    scene.open();
    scene.until("a direct path", 5 * SECOND, |scene| scene.is_direct());
    let (stranger, volley) = stranger(&mut scene);
    let from = scene.world.address(stranger);
    record(&mut scene);
    let ends = ends(&scene);
    let mut rng = Rng::from_u64(10);
    let name = format!("{}:x", name.lock().unwrap());
    for _ in 0..500 {
        volley.lock().unwrap().extend((0..10).map(|_| (ends[0], forged(&mut rng, &name))));
        scene.run_for(2 * MS);
    }
    let (answers, bytes) = towards(&scene, from);
    println!("5000 requests that name a peer and are not signed: {answers} answers, {bytes} bytes");
    assert!(answers == 0, "{answers}");
    assert!(scene.is_direct());
    lives(&mut scene);
}
