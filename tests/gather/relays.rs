//! Relayed candidates: what passes, how long they live, and what servers do to them.

#[cfg(feature = "tls")]
use std::net::SocketAddr;

use switchboard::link::turn::TurnError;
use switchboard::sim::{Dependence, HostId, INTERNET, NatKind, OldStreams};
use switchboard::stack::gather::{GatherEvent, ServerError, ServerState};
use switchboard::stack::turn_server::{Misbehaviour, TurnServerConfig, User};
use switchboard::wire::candidate::CandidateKind::{Host, Relayed, ServerReflexive};
use switchboard::wire::ice_server::IceServer;
use switchboard::wire::outlook::TurnState;

use crate::scene::{MINUTE, SECOND, Scene, turn, turn_config, with};

const SYMMETRIC: NatKind =
    NatKind::Nat { mapping: Dependence::AddressAndPortDependent, filtering: Dependence::AddressAndPortDependent };

/// A party with a relayed address by that transport, behind a NAT, and one with a public address.
fn two(transport: &str, kind: NatKind) -> (Scene, HostId, HostId) {
    let mut scene = Scene::new();
    let home = scene.world.behind("home", kind);
    let (alice, bob) = (scene.party_in(home, with(&[turn(transport)])), scene.party(with(&[])));
    scene.run(2 * SECOND);
    assert!(scene.is_done(alice), "{:?}", scene.at(alice));
    (scene, alice, bob)
}

#[test]
fn datagrams_pass_through_a_relay_both_ways_by_udp_and_tcp_and_by_channels() {
    for (transport, kind) in [("", SYMMETRIC), ("?transport=tcp", NatKind::UdpBlocked)] {
        let (mut scene, alice, bob) = two(transport, kind);
        let (relayed, address) = (scene.only(alice, Relayed), scene.only(bob, Host));
        assert!(!scene.send(alice, relayed, address, "too early"));
        assert_eq!(scene.at(alice).gatherer.counters().unsendable, 1);
        scene.permit(alice, relayed, address);
        scene.assert_passes(alice, relayed, bob, address);
        scene.call(alice, |gatherer, cx| gatherer.bind_channel(cx, relayed, address));
        scene.run(SECOND);
        scene.assert_passes(alice, relayed, bob, address);
    }
}

#[test]
fn an_allocation_and_what_it_permits_outlive_their_lifetimes() {
    for transport in ["", "?transport=tcp"] {
        let (mut scene, alice, bob) = two(transport, SYMMETRIC);
        let (relayed, address) = (scene.only(alice, Relayed), scene.only(bob, Host));
        scene.permit(alice, relayed, address);
        scene.call(alice, |gatherer, cx| gatherer.bind_channel(cx, relayed, address));
        scene.run(25 * MINUTE);
        scene.assert_passes(alice, relayed, bob, address);
        assert_eq!(scene.only(alice, Relayed), relayed);
    }
}

#[test]
fn a_permission_that_nobody_wants_any_more_ends() {
    let (mut scene, alice, bob) = two("", SYMMETRIC);
    let (relayed, address) = (scene.only(alice, Relayed), scene.only(bob, Host));
    scene.permit(alice, relayed, address);
    scene.permit(alice, relayed, address);
    scene.call(alice, |gatherer, cx| gatherer.forbid(cx, relayed, address));
    scene.assert_passes(alice, relayed, bob, address);
    scene.call(alice, |gatherer, cx| gatherer.forbid(cx, relayed, address));
    assert!(!scene.send(alice, relayed, address, "no more"));
    scene.run(6 * MINUTE);
    let before = scene.serve(|server, _| server.statistics()).unwanted;
    scene.send(bob, address, relayed, "too late");
    scene.run(SECOND);
    assert_eq!(scene.serve(|server, _| server.statistics()).unwanted, before + 1);
}

#[test]
fn the_relays_view_of_us_is_a_candidate_too() {
    let (scene, alice, _) = two("", SYMMETRIC);
    let reflexive = scene.only(alice, ServerReflexive);
    assert_eq!(scene.all(alice, Relayed)[0].related, Some(reflexive));
}

#[test]
fn a_wrong_password_is_known_after_two_round_trips() {
    let mut scene = Scene::new();
    let wrong = IceServer::new("turn:turn.example.org", "alice", "guess").unwrap();
    let party = scene.party(with(&[wrong]));
    let began = scene.world.now();
    scene.world.run_until(|world| matches!(world.machine(party), crate::scene::Node::Party(p) if p.events.contains(&GatherEvent::Done)), SECOND).unwrap();
    assert!(scene.world.now() - began < SECOND / 4, "{}", scene.world.now());
    assert_eq!(scene.states(party), [ServerState::Failed(ServerError::Turn(TurnError::WrongCredentials))]);
    assert_eq!(scene.at(party).gatherer.outlook().turn, TurnState::WrongCredentials);
    scene.call(party, |gatherer, cx| gatherer.set_servers(cx, 1, &[turn("")]));
    scene.run(SECOND);
    scene.only(party, Relayed);
}

#[test]
fn each_misbehaviour_of_a_server_has_its_name() {
    for misbehaviour in Misbehaviour::ALL {
        let mut scene = Scene::new();
        scene.misbehave(Some(misbehaviour));
        let party = scene.party(with(&[turn("")]));
        scene.run(7 * SECOND);
        assert!(scene.is_done(party), "{misbehaviour:?}");
        let failed = |error| ServerState::Failed(ServerError::Turn(error));
        let expected = match misbehaviour {
            Misbehaviour::AlwaysUnauthorized => failed(TurnError::WrongCredentials),
            Misbehaviour::AlwaysStaleNonce => failed(TurnError::Other(438)),
            Misbehaviour::QuotaReached => failed(TurnError::QuotaReached),
            Misbehaviour::WrongFamily => failed(TurnError::Family),
            Misbehaviour::Silent => failed(TurnError::Silent),
            _ => ServerState::Works,
        };
        assert_eq!(scene.states(party), [expected], "{misbehaviour:?}");
    }
}

#[test]
fn a_nonce_that_grows_stale_is_not_noticed() {
    let (mut scene, alice, bob) = two("", SYMMETRIC);
    let (relayed, address) = (scene.only(alice, Relayed), scene.only(bob, Host));
    scene.permit(alice, relayed, address);
    scene.misbehave(Some(Misbehaviour::StaleNonceOnRefresh));
    scene.run(12 * MINUTE);
    assert_eq!(scene.serve(|server, _| server.misbehaviour()), None);
    scene.assert_passes(alice, relayed, bob, address);
}

#[test]
fn a_restarted_server_is_found_out_by_the_next_peer_and_allocates_anew() {
    for transport in ["", "?transport=tcp"] {
        let (mut scene, alice, bob) = two(transport, SYMMETRIC);
        let lost = scene.all(alice, Relayed)[0].clone();
        scene.run(20 * SECOND);
        scene.start_turn(turn_config());
        scene.call(alice, |gatherer, cx| gatherer.refresh(cx));
        scene.run(12 * SECOND);
        assert!(scene.at(alice).events.contains(&GatherEvent::Lost(lost)), "{:?}", scene.at(alice));
        let (relayed, address) = (scene.only(alice, Relayed), scene.only(bob, Host));
        scene.permit(alice, relayed, address);
        scene.assert_passes(alice, relayed, bob, address);
    }
}

#[test]
fn a_server_that_was_silent_is_asked_again_when_a_peer_starts() {
    let mut scene = Scene::new();
    scene.misbehave(Some(Misbehaviour::Silent));
    let party = scene.party(with(&[turn("")]));
    scene.run(20 * SECOND);
    assert!(scene.all(party, Relayed).is_empty());
    scene.misbehave(None);
    scene.call(party, |gatherer, cx| gatherer.refresh(cx));
    scene.run(SECOND);
    scene.only(party, Relayed);
}

#[test]
fn a_connection_whose_address_is_gone_is_dialled_again_before_it_times_out() {
    let (mut scene, alice, bob) = two("?transport=tcp", SYMMETRIC);
    let lost = scene.all(alice, Relayed)[0].clone();
    scene.world.roam(alice, INTERNET, OldStreams::Linger);
    scene.run(2 * SECOND);
    assert!(scene.at(alice).events.contains(&GatherEvent::Lost(lost)));
    let (relayed, address) = (scene.only(alice, Relayed), scene.only(bob, Host));
    scene.permit(alice, relayed, address);
    scene.assert_passes(alice, relayed, bob, address);
}

#[test]
fn a_peer_that_the_server_forbids_is_told() {
    let (mut scene, alice, _) = two("", SYMMETRIC);
    let relayed = scene.only(alice, Relayed);
    let peer = "10.0.0.1:9".parse().unwrap();
    scene.call(alice, |gatherer, cx| gatherer.permit(cx, relayed, peer));
    scene.run(SECOND);
    assert!(scene.at(alice).events.contains(&GatherEvent::Refused { relayed, peer: peer.ip() }));
    assert!(!scene.send(alice, relayed, peer, "no"));
}

#[test]
fn time_limited_credentials_that_end_are_replaced_by_newer_ones() {
    let (mut scene, alice, bob) = two("", SYMMETRIC);
    let later = IceServer::new("turn:turn.example.org", "bob", "swordfish").unwrap();
    scene.call(alice, |gatherer, cx| gatherer.set_servers(cx, 1, std::slice::from_ref(&later)));
    scene.run(12 * MINUTE);
    scene.start_turn(TurnServerConfig::new("example.org", [User::new("bob", "swordfish")]));
    scene.call(alice, |gatherer, cx| gatherer.refresh(cx));
    scene.run(7 * SECOND);
    let (relayed, address) = (scene.only(alice, Relayed), scene.only(bob, Host));
    scene.permit(alice, relayed, address);
    scene.assert_passes(alice, relayed, bob, address);
}

#[cfg(feature = "tls")]
#[test]
fn a_relay_is_reached_by_tls_and_only_where_it_is_trusted() {
    use switchboard::link::tls;
    use switchboard::stack::gather::GatherConfig;
    use switchboard::stack::turn_server::Listener;
    let mut scene = Scene::new();
    let authority = crate::common::Authority::new();
    let identity = tls::ServerConfig::new(&authority.identity(&["turn.example.org"])).unwrap();
    let address = SocketAddr::new(scene.world.address(scene.turn), 443);
    scene.serve(|server, cx| server.listen_by(cx, Listener::Tls(identity), address));
    let office = scene.world.behind("office", NatKind::TcpOnly443);
    let server = IceServer::new("turns:turn.example.org:443", "alice", "open sesame").unwrap();
    let trusting = GatherConfig { trust: Some(authority.trust()), ..with(std::slice::from_ref(&server)) };
    let doubting = GatherConfig { trust: Some(crate::common::Authority::new().trust()), ..trusting.clone() };
    let bob = scene.party(with(&[]));
    let [alice, carol] = [trusting, doubting].map(|config| scene.party_in(office, config));
    let dave = scene.party_in(office, with(&[server]));
    scene.run(2 * SECOND);
    let (relayed, address) = (scene.only(alice, Relayed), scene.only(bob, Host));
    scene.permit(alice, relayed, address);
    scene.assert_passes(alice, relayed, bob, address);
    assert!(scene.is_done(carol) && scene.is_done(dave));
    assert!(matches!(scene.states(carol)[..], [ServerState::Failed(ServerError::Tls(_))]));
    assert_eq!(scene.states(dave), [ServerState::Failed(ServerError::NoTls)]);
}
