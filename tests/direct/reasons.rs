//! Each reason that is explained, in a world in which it is the only one, from the sides that can know it.

use std::mem::discriminant;
use std::time::Duration;

use switchboard::hub::PathPolicy;
use switchboard::hub::explain::{NotDirect, Side as Where, Sides};
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;
use switchboard::sim::NatKind;
use switchboard::transport::upgrade::PeerState;
use switchboard::transport::webrtc::{Webrtc, WebrtcConfig};
use switchboard::wire::outlook::CandidatePolicy;

use crate::contrary::{Conduct, Contrary};
use crate::party::epoch;
use crate::scene::{ADA, BOB, MS, SECOND, Scene, Side, stun, turn, turn_service};

/// Longer than any attempt takes.
const ATTEMPT: Duration = Duration::from_secs(40);

fn behind(kind: &str) -> Side {
    let kind: NatKind = kind.parse().unwrap();
    Side { gateways: kind.gateways(), families: [true, false], servers: stun(), ..Side::default() }
}

fn opened(sides: [Side; 2]) -> Scene {
    let mut scene = Scene::new(1, sides);
    scene.open();
    scene
}

/// A scene whose first attempt has failed.
fn failed(sides: [Side; 2]) -> Scene {
    let mut scene = opened(sides);
    fail(&mut scene);
    scene
}

fn fail(scene: &mut Scene) {
    let failed = scene.until(ATTEMPT, |scene| scene.has_failed(ADA) && scene.has_failed(BOB));
    if failed.is_none() {
        let explained = [ADA, BOB].map(|n| scene.explain(n).to_string());
        panic!("{explained:?}; {:?}", scene.events);
    }
    scene.run_for(100 * MS);
}

/// Two that are direct.
fn direct(sides: [Side; 2]) -> Scene {
    let mut scene = opened(sides);
    scene.until(5 * SECOND, |scene| scene.is_direct(ADA) && scene.is_direct(BOB)).expect("no direct path");
    scene
}

/// What both sides explain, in words too.
#[track_caller]
fn explained(scene: &mut Scene, ada: &NotDirect, bob: &NotDirect) {
    for (n, name, expected) in [(ADA, "ada", ada), (BOB, "bob", bob)] {
        let explanation = scene.explain(n);
        println!("{name}: {explanation}");
        assert_eq!(explanation.not_direct.as_ref(), Some(expected), "at {name}");
    }
}

/// What one side explains, by its kind alone.
#[track_caller]
fn explains(scene: &mut Scene, n: usize, like: &NotDirect) {
    let explanation = scene.explain(n);
    println!("{}: {explanation}", ["ada", "bob"][n]);
    let reason = explanation.not_direct.expect("a reason");
    assert_eq!(discriminant(&reason), discriminant(like), "{reason:?}");
}

fn set_policy(scene: &mut Scene, n: usize, policy: PathPolicy) {
    let session = scene.sessions[n].unwrap();
    scene.act(n, |endpoint, cx| endpoint.set_path_policy(cx, session, policy));
}

fn trying() -> NotDirect {
    NotDirect::Trying { since: Instant::ZERO, attempt: 0, state: PeerState::New }
}

/// A world in which Bob does something wrong.
fn contrary(conduct: Conduct) -> Scene {
    let mut scene = Scene::new(1, [Side::default(), Side { direct: false, ..Side::default() }]);
    let config = WebrtcConfig::new(scene.world.crypto(epoch()));
    scene.act(BOB, |hub, cx| hub.set_upgrade(cx, Box::new(Contrary::new(Webrtc::new(config), conduct))));
    scene.open();
    scene
}

#[test]
fn an_endpoint_without_direct_paths_says_so_and_so_does_the_other() {
    let without = Side { direct: false, ..Side::default() };
    let mut scene = opened([Side::default(), without.clone()]);
    scene.run_for(SECOND);
    explained(&mut scene, &NotDirect::NoUpgradeThere, &NotDirect::NoUpgradeHere);
    let mut scene = opened([without, Side::default()]);
    scene.run_for(SECOND);
    explained(&mut scene, &NotDirect::NoUpgradeHere, &NotDirect::NotTried(Where::There));
}

#[test]
fn a_side_that_wants_to_be_relayed_says_so_and_so_does_the_other() {
    let mut scene = direct([Side::default(), Side::default()]);
    set_policy(&mut scene, BOB, PathPolicy::RelayOnly);
    scene.run_for(5 * SECOND);
    explained(&mut scene, &NotDirect::Policy(Where::There), &NotDirect::Policy(Where::Here));
    let mut scene = Scene::new(1, [Side::default(), Side::default()]);
    scene.policy = PathPolicy::RelayOnly;
    scene.open();
    scene.run_for(SECOND);
    explained(&mut scene, &NotDirect::Policy(Where::Here), &NotDirect::NotTried(Where::There));
}

#[test]
fn a_session_that_is_not_accepted_has_none() {
    let mut scene = opened([Side::default(), Side { accepts: false, ..Side::default() }]);
    scene.run_for(SECOND);
    explained(&mut scene, &NotDirect::NotAccepted, &NotDirect::NotAccepted);
}

#[test]
fn without_a_path_nothing_can_be_agreed_on() {
    let mut scene = Scene::new(1, [Side::default(), Side::default()]);
    scene.policy = PathPolicy::RelayOnly;
    scene.open();
    let relay = scene.relay;
    scene.world.kill(relay);
    scene.run_for(60 * SECOND);
    set_policy(&mut scene, ADA, PathPolicy::PreferDirect);
    scene.run_for(SECOND);
    explained(&mut scene, &NotDirect::NoPath, &NotDirect::NoPath);
}

#[test]
fn an_attempt_under_way_is_told_with_its_state() {
    let mut scene = opened([Side::default(), Side::default()]);
    scene.run_for(MS);
    explains(&mut scene, ADA, &trying());
    scene.run_for(60 * MS);
    explains(&mut scene, BOB, &trying());
}

#[test]
fn a_direct_path_that_was_lost_is_told_as_lost() {
    let mut scene = direct([Side::default(), Side::default()]);
    scene.run_for(5 * SECOND);
    scene.world.cut(scene.hosts[ADA], scene.hosts[BOB]);
    for n in [ADA, BOB] {
        let session = scene.sessions[n].unwrap();
        scene.act(n, |hub, cx| hub.send(cx, session, crate::scene::CHANNEL, b"hello")).unwrap();
    }
    scene.until(10 * SECOND, |scene| !scene.is_direct(ADA) && !scene.is_direct(BOB)).expect("it is still used");
    for n in [ADA, BOB] {
        explains(&mut scene, n, &NotDirect::PathLost { since: Instant::ZERO });
    }
}

#[test]
fn too_many_attempts_are_told_with_the_time_until_the_next() {
    let limits = Limits { attempts: 1, ..Limits::default() };
    let mut scene = direct([Side { limits, ..Side::default() }, Side::default()]);
    set_policy(&mut scene, ADA, PathPolicy::RelayOnly);
    set_policy(&mut scene, ADA, PathPolicy::PreferDirect);
    scene.run_for(SECOND);
    explains(&mut scene, ADA, &NotDirect::TooManyAttempts { until: Instant::ZERO });
    scene.run_for(60 * SECOND);
    assert!(scene.is_direct(ADA), "{:?}", scene.explain(ADA));
}

#[test]
fn a_side_with_as_many_peers_as_allowed_says_so() {
    let full = Side { peers: 0, ..Side::default() };
    let mut scene = opened([Side::default(), full.clone()]);
    scene.run_for(SECOND);
    explained(&mut scene, &NotDirect::TooManyPeers(Where::There), &NotDirect::TooManyPeers(Where::Here));
    let mut scene = opened([full, Side::default()]);
    scene.run_for(SECOND);
    explained(&mut scene, &NotDirect::TooManyPeers(Where::Here), &NotDirect::NotTried(Where::There));
}

#[test]
fn a_direct_path_that_the_other_side_has_closed_is_told_as_closed() {
    let mut scene = direct([Side::default(), Side::default()]);
    set_policy(&mut scene, BOB, PathPolicy::RelayOnly);
    scene.run_for(SECOND);
    let closed = NotDirect::ClosedThere { code: 0, text: String::new() };
    explained(&mut scene, &closed, &NotDirect::Policy(Where::Here));
}

#[test]
fn what_the_other_side_says_when_it_refuses_is_told() {
    let mut scene = contrary(Conduct::Refuses);
    scene.run_for(SECOND);
    let refused = NotDirect::RefusedThere { code: 77, text: "not on Sundays".into() };
    let explanation = scene.explain(ADA);
    println!("ada: {explanation}");
    assert_eq!(explanation.not_direct, Some(refused));
}

#[test]
fn an_offer_without_an_answer_is_told_as_unanswered() {
    let mut scene = contrary(Conduct::Mute);
    scene.until(ATTEMPT, |scene| scene.has_failed(ADA)).expect("it goes on");
    scene.run_for(MS);
    explains(&mut scene, ADA, &NotDirect::Unanswered);
}

#[test]
fn a_path_too_slow_for_signals_is_told() {
    let limits = Limits { waiting_signals: 0, session_send: 600, ..Limits::default() };
    let mut scene = Scene::new(1, [Side { limits, ..Side::default() }, Side::default()]);
    scene.policy = PathPolicy::RelayOnly;
    scene.open();
    scene.world.rate(scene.hosts[ADA], scene.relay, 100);
    set_policy(&mut scene, ADA, PathPolicy::PreferDirect);
    scene.run_for(MS);
    explains(&mut scene, ADA, &NotDirect::Unsignalled);
}

#[test]
fn a_side_without_an_address_of_its_own_is_told() {
    let mut scene = failed([Side::default(), Side { listed: false, ..Side::default() }]);
    explained(&mut scene, &NotDirect::NoAddress(Where::There), &NotDirect::NoAddress(Where::Here));
}

#[test]
fn two_sides_without_a_family_in_common_are_told() {
    let side = |families| Side { families, servers: stun(), ..Side::default() };
    let mut scene = failed([side([true, false]), side([false, true])]);
    explained(&mut scene, &NotDirect::FamiliesDiffer, &NotDirect::FamiliesDiffer);
}

#[test]
fn a_side_that_gives_out_relayed_addresses_only_and_has_none_is_told() {
    let only = Side { policy: CandidatePolicy::RELAY, servers: stun(), ..Side::default() };
    let mut scene = failed([only, Side::default()]);
    let reason = NotDirect::RelayOnlyWithoutTurn;
    explained(&mut scene, &reason(Where::Here), &reason(Where::There));
}

/// Behind NATs between which there is no direct path; the first has that TURN server.
fn with_turn(uri: &str, password: &str) -> [Side; 2] {
    let mut server = turn(uri);
    server = switchboard::wire::ice_server::IceServer::new(&server.uri.to_string(), "me", password).unwrap();
    let ada = Side { servers: [stun(), vec![server]].concat(), ..behind("apdm-apdf") };
    [ada, behind("apdm-apdf")]
}

#[test]
fn wrong_credentials_of_a_turn_server_are_told() {
    let mut scene = failed(with_turn("turn:turn.test", "a guess"));
    let reason = NotDirect::TurnWrongCredentials;
    explained(&mut scene, &reason(Where::Here), &reason(Where::There));
}

#[test]
fn a_turn_server_that_refuses_is_told_with_its_code() {
    let mut service = turn_service();
    service.config.allocations_per_user = 0;
    let mut scene = Scene::with(1, with_turn("turn:turn.test", "open sesame"), 0, service);
    scene.open();
    fail(&mut scene);
    let reason = |side| NotDirect::TurnRefused { side, code: 486 };
    explained(&mut scene, &reason(Where::Here), &reason(Where::There));
}

#[test]
fn a_turn_server_that_does_not_answer_is_told() {
    let mut scene = Scene::new(1, with_turn("turn:turn.test", "open sesame"));
    scene.world.kill(scene.turn);
    scene.open();
    fail(&mut scene);
    let reason = NotDirect::TurnUnreachable;
    explained(&mut scene, &reason(Where::Here), &reason(Where::There));
}

#[test]
fn udp_that_gets_nowhere_is_told_with_the_sides() {
    let mut scene = failed([behind("udp-blocked"), behind("eim-apdf")]);
    explained(&mut scene, &NotDirect::UdpBlocked(Sides::Here), &NotDirect::UdpBlocked(Sides::There));
    let mut scene = failed([behind("eim-eif"), behind("tcp-443")]);
    explained(&mut scene, &NotDirect::UdpBlocked(Sides::There), &NotDirect::UdpBlocked(Sides::Here));
    let mut scene = failed([behind("udp-blocked"), behind("tcp-443")]);
    explained(&mut scene, &NotDirect::UdpBlocked(Sides::Both), &NotDirect::UdpBlocked(Sides::Both));
}

#[test]
fn a_side_without_servers_behind_a_nat_is_told() {
    let without = || Side { servers: Vec::new(), ..behind("eim-apdf") };
    let mut scene = failed([without(), without()]);
    explained(&mut scene, &NotDirect::NoServers(Sides::Both), &NotDirect::NoServers(Sides::Both));
    let mut scene = failed([without(), behind("eim-apdf")]);
    explained(&mut scene, &NotDirect::NoServers(Sides::Here), &NotDirect::NoServers(Sides::There));
}

#[test]
fn two_nats_that_choose_new_ports_are_told() {
    let mut scene = failed([behind("apdm-apdf"), behind("nested-symmetric")]);
    explained(&mut scene, &NotDirect::BothNatsDependent, &NotDirect::BothNatsDependent);
}

#[test]
fn a_nat_that_chooses_new_ports_and_one_that_filters_them_are_told() {
    let mut scene = failed([behind("apdm-apdf"), behind("eim-apdf")]);
    let reason = |dependent| NotDirect::DependentAndFiltered { dependent };
    explained(&mut scene, &reason(Where::Here), &reason(Where::There));
}

#[test]
fn a_firewall_that_drops_all_checks_is_told() {
    let mut scene = Scene::new(1, [(); 2].map(|()| Side { servers: stun(), ..Side::default() }));
    scene.world.cut(scene.hosts[ADA], scene.hosts[BOB]);
    scene.open();
    fail(&mut scene);
    explained(&mut scene, &NotDirect::ChecksUnanswered, &NotDirect::ChecksUnanswered);
}

#[test]
fn a_handshake_that_fails_is_told() {
    let mut scene = contrary(Conduct::Forges);
    scene.until(ATTEMPT, |scene| scene.has_failed(ADA)).expect("it goes on");
    explains(&mut scene, ADA, &NotDirect::HandshakeFailed(String::new()));
}

#[test]
fn a_rule_that_the_other_side_broke_is_told() {
    let mut scene = contrary(Conduct::Babbles);
    scene.run_for(SECOND);
    explains(&mut scene, ADA, &NotDirect::PeerMisbehaved(String::new()));
}

/// A reason that is added needs a world above, and a place here.
#[test]
fn each_reason_has_its_world() {
    const fn has_a_world(reason: &NotDirect) -> bool {
        use NotDirect as N;
        match reason {
            N::NoUpgradeHere | N::NoUpgradeThere | N::Policy(_) | N::NotAccepted | N::NoPath | N::NotTried(_) => true,
            N::Trying { .. } | N::PathLost { .. } | N::TooManyAttempts { .. } | N::TooManyPeers(_) => true,
            N::ClosedThere { .. } | N::RefusedThere { .. } | N::Unanswered | N::Unsignalled => true,
            N::NoAddress(_) | N::FamiliesDiffer | N::RelayOnlyWithoutTurn(_) => true,
            N::TurnWrongCredentials(_) | N::TurnRefused { .. } | N::TurnUnreachable(_) => true,
            N::UdpBlocked(_) | N::NoServers(_) | N::BothNatsDependent | N::DependentAndFiltered { .. } => true,
            N::ChecksUnanswered | N::HandshakeFailed(_) | N::PeerMisbehaved(_) => true,
        }
    }
    assert!(has_a_world(&NotDirect::NoPath));
}
