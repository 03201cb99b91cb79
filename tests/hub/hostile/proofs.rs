//! Who is not who it says it is, before anything else passes on a link.

use std::time::Duration;

use switchboard::hub::event::{LinkEnd, Misbehaved};
use switchboard::link::noise::{HandshakeError, ProofError};
use switchboard::machine::payload::Kind;
use switchboard::transport::{DownReason, Side};

use super::rogue::Conduct;
use super::scene::Scene;
use crate::party::Recipe;

const FORGED: LinkEnd = LinkEnd::Proof(ProofError::Handshake(HandshakeError::Forged));

#[test]
fn a_neighbour_with_a_copy_of_our_key_is_refused() {
    let mut scene = Scene::new(1);
    let (relay, a, b) = scene.board();
    let thief = scene.rogue("thief", 4, Conduct::Proves);
    scene.listen(thief);
    let victim = scene.honest(Recipe::new("victim", 4).over("tcp:relay.test:7000").over("tcp:thief.test:7000"));
    assert_eq!(scene.end(victim), LinkEnd::Proof(ProofError::Myself));
    assert_eq!(scene.neighbours(relay), 3);
    scene.talk(a, b);
}

#[test]
fn a_proof_that_is_replayed_proves_nothing() {
    let mut scene = Scene::new(2);
    let (relay, a, b) = scene.board();
    let middle = scene.rogue("middle", 9, Conduct::Middle);
    scene.dial(middle, "relay.test");
    scene.listen(middle);
    scene.honest(Recipe::new("victim", 4).over("tcp:middle.test:7000"));
    scene.until(|scene| scene.neighbours(relay) == 3);
    let said = scene.with(middle, |rogue, _| {
        let line = rogue.lines.values().find(|line| line.side == Side::Accepted).unwrap();
        line.wire.clone()
    });
    scene.with(middle, |rogue, _| rogue.conduct = Conduct::Mute);
    scene.forget();
    scene.dial(middle, "relay.test");
    scene.pass(Duration::from_secs(1));
    let link = scene.with(middle, |rogue, _| rogue.link().unwrap());
    for message in &said[..2] {
        scene.with(middle, |rogue, cx| rogue.shout(cx, link, Kind::Binary, message));
    }
    assert_eq!(scene.end(relay), FORGED);
    scene.talk(a, b);
}

#[test]
fn a_middle_that_passes_a_proof_on_is_no_party_to_it_and_can_change_nothing() {
    let mut scene = Scene::new(3);
    let (relay, a, b) = scene.board();
    let middle = scene.rogue("middle", 9, Conduct::Middle);
    scene.dial(middle, "relay.test");
    scene.listen(middle);
    let victim = scene.honest(Recipe::new("victim", 4).over("tcp:middle.test:7000"));
    scene.until(|scene| scene.neighbours(relay) == 3);
    let known = [scene.endpoint(victim).neighbours().next().unwrap().1, scene.address(victim)];
    assert_eq!(known[0], scene.address(relay));
    assert!(scene.endpoint(relay).neighbours().any(|(_, neighbour)| neighbour == known[1]));
    scene.talk(victim, a);
    scene.with(middle, |rogue, _| {
        let seen: Vec<_> = rogue.lines.values().flat_map(|line| line.wire.concat()).collect();
        for secret in [&b"message"[..], &known[0].id.0, &known[1].id.0] {
            assert!(!seen.windows(secret.len()).any(|window| window == secret));
        }
        rogue.meddle = |_, _, message| *message.last_mut().unwrap() ^= 1;
    });
    scene.forget();
    let _ = scene.open(victim, scene.address(b));
    assert_eq!(scene.end(relay), LinkEnd::Misbehaved(Misbehaved::Seal));
    scene.talk(a, b);
}

#[test]
fn a_middle_that_changes_a_proof_stops_it() {
    for (n, which) in [(0, Side::Accepted), (0, Side::Dialled), (1, Side::Accepted)] {
        let mut scene = Scene::new(4);
        let (relay, a, b) = scene.board();
        let middle = scene.rogue("middle", 9, Conduct::Middle);
        scene.with(middle, |rogue, _| {
            rogue.meddle = match (n, which) {
                (0, Side::Accepted) => |side, n, message| change(side == Side::Accepted && n == 0, message),
                (0, _) => |side, n, message| change(side == Side::Dialled && n == 0, message),
                _ => |side, n, message| change(side == Side::Accepted && n == 1, message),
            }
        });
        scene.dial(middle, "relay.test");
        scene.listen(middle);
        let victim = scene.honest(Recipe::new("victim", 4).over("tcp:middle.test:7000"));
        let judge = if which == Side::Dialled || n == 0 { victim } else { relay };
        assert_eq!(scene.end(judge), FORGED, "message {n} from the {which:?} side");
        scene.talk(a, b);
    }
}

fn change(wanted: bool, message: &mut [u8]) {
    if wanted {
        message[20] ^= 1;
    }
}

/// A machine that ends TLS on both sides, with certificates that both trust, is told from one end to the other.
#[test]
fn a_middle_that_ends_tls_reads_nothing() {
    let mut scene = Scene::new(5);
    let options = super::scene::loud();
    let other = crate::common::Authority::named("other");
    let own = other.identity(&["server.test"]);
    let middle_options = switchboard::connect::Options {
        identity: Some(switchboard::link::tls::ServerConfig::new(&own).unwrap()),
        ..options.clone()
    };
    let relay = scene.honest(Recipe {
        listens: vec!["tls:0.0.0.0:7000".into()],
        options: options.clone(),
        ..Recipe::relay("relay", 1)
    });
    let middle = scene.rogue("middle", 9, Conduct::Middle);
    let hosts = [scene.parties[relay.0].host, middle];
    scene.world.name("server.test", &[hosts[0]]);
    scene.dial_by(middle, "tls:server.test:7000", &options);
    scene.pass(Duration::from_secs(1));
    scene.world.name("server.test", &[hosts[1]]);
    let node = crate::common::listening("tls:0.0.0.0:7000", &middle_options);
    scene.with(middle, |rogue, cx| rogue.add(cx, node));
    let trusting = switchboard::connect::Options { trust: Some(other.trust()), ..options };
    let victim = Recipe { options: trusting, ..Recipe::new("victim", 4).over("tls:server.test:7000") };
    let victim = scene.honest(victim);
    scene.until(|scene| scene.neighbours(victim) == 1 && scene.neighbours(relay) == 1);
    scene.with(middle, |rogue, _| {
        rogue.lines.values_mut().for_each(|line| line.wire.clear());
    });
    let link = scene.endpoint(victim).neighbours().next().unwrap().0;
    scene.act(victim, |endpoint, cx| endpoint.ping(cx, link));
    scene.pass(Duration::from_secs(1));
    scene.with(middle, |rogue, _| {
        let seen: Vec<_> = rogue.lines.values().flat_map(|line| &line.wire).collect();
        assert!(
            seen.len() >= 2 && seen.iter().all(|message| message.len() == 9 + 16),
            "a ping, and its seal: {seen:?}"
        );
    });
}

#[test]
fn who_says_nothing_in_place_of_a_proof_is_sent_away_in_time() {
    let mut scene = Scene::new(6);
    let (relay, a, b) = scene.board();
    let mute = scene.rogue("mute", 9, Conduct::Mute);
    let start = scene.world.now();
    scene.dial(mute, "relay.test");
    assert_eq!(scene.end(relay), LinkEnd::Down(DownReason::HandshakeTimeout));
    let took = scene.world.now().since(start);
    assert!((Duration::from_secs(10)..Duration::from_secs(11)).contains(&took), "{took:?}");
    scene.listen(mute);
    let victim = scene.honest(Recipe::new("victim", 4).over("tcp:mute.test:7000"));
    assert_eq!(scene.end(victim), LinkEnd::Down(DownReason::HandshakeTimeout));
    scene.talk(a, b);
}

#[test]
fn what_is_no_proof_ends_a_link_by_its_reason() {
    let short = LinkEnd::Proof(ProofError::Handshake(HandshakeError::Short));
    let cases = [
        (Kind::Binary, Vec::new(), short.clone()),
        (Kind::Binary, vec![1; 31], short),
        (Kind::Binary, vec![1; 2000], LinkEnd::Proof(ProofError::TooLarge)),
        (Kind::Binary, vec![1; 100_000], LinkEnd::Misbehaved(Misbehaved::TooLarge)),
        (Kind::Binary, vec![1; 33], LinkEnd::Proof(ProofError::EarlyPayload)),
        (Kind::Text, b"hello".to_vec(), LinkEnd::Misbehaved(Misbehaved::Text)),
    ];
    for (kind, bytes, expected) in cases {
        let mut scene = Scene::new(7);
        let relay = Recipe {
            listens: vec!["ws://0.0.0.0:7000/".into(), "tcp:0.0.0.0:7001".into()],
            ..Recipe::relay("relay", 1)
        };
        let relay = scene.honest(relay);
        let mute = scene.rogue("mute", 9, Conduct::Mute);
        scene.dial_by(mute, "ws://relay.test:7000/", &super::scene::loud());
        scene.pass(Duration::from_secs(1));
        let link = scene.with(mute, |rogue, _| rogue.link().unwrap());
        scene.with(mute, |rogue, cx| rogue.shout(cx, link, kind, &bytes));
        assert_eq!(scene.end(relay), expected, "{} bytes", bytes.len());
        let [a, b] =
            [("a", 2), ("b", 3)].map(|(name, key)| scene.honest(Recipe::new(name, key).over("tcp:relay.test:7001")));
        scene.until(|scene| scene.neighbours(relay) == 2);
        scene.talk(a, b);
    }
}

/// The claims of the second message are read by the dialler.
#[test]
fn a_listener_that_throws_the_dialler_s_message_back_is_no_neighbour() {
    let mut scene = Scene::new(8);
    let mirror = scene.rogue("mirror", 9, Conduct::Mute);
    scene.listen(mirror);
    let victim = scene.honest(Recipe::new("victim", 4).over("tcp:mirror.test:7000"));
    scene.until(|scene| scene.with(mirror, |rogue, _| rogue.lines.values().any(|line| !line.wire.is_empty())));
    scene.with(mirror, |rogue, cx| {
        let link = rogue.link().unwrap();
        let message = rogue.line(link).wire[0].clone();
        rogue.shout(cx, link, Kind::Binary, &message);
    });
    assert_eq!(scene.end(victim), LinkEnd::Proof(ProofError::Handshake(HandshakeError::Short)));
}
