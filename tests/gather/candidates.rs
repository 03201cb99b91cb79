//! Which candidates come, and what is known of the ways out.

use switchboard::sim::{Dependence, INTERNET, NatKind, OldStreams};
use switchboard::stack::gather::{GatherConfig, GatherEvent, ServerError, ServerState};
use switchboard::wire::candidate::CandidateKind::{Host, Relayed, ServerReflexive};
use switchboard::wire::outlook::{CandidatePolicy, Mapping, TurnState, UdpReach};

use crate::scene::{SECOND, Scene, stun, turn, with};

const CONE: NatKind =
    NatKind::Nat { mapping: Dependence::EndpointIndependent, filtering: Dependence::AddressAndPortDependent };
const SYMMETRIC: NatKind =
    NatKind::Nat { mapping: Dependence::AddressAndPortDependent, filtering: Dependence::AddressAndPortDependent };

#[test]
fn without_servers_there_are_the_hosts_own_addresses_at_once() {
    let mut scene = Scene::new();
    let party = scene.party(with(&[]));
    assert!(scene.is_done(party));
    assert_eq!(scene.only(party, Host).ip(), scene.world.address(party));
    let outlook = scene.at(party).gatherer.outlook();
    assert!(outlook.ipv4 && outlook.ipv6 && outlook.host && outlook.gathered && !outlook.reflexive);
    assert_eq!((outlook.turn, outlook.udp), (TurnState::NotConfigured, UdpReach::Unknown));
}

#[test]
fn behind_a_nat_there_is_what_the_server_sees_too() {
    let mut scene = Scene::new();
    let home = scene.world.behind("home", CONE);
    let party = scene.party_in(home, with(&[stun()]));
    scene.run(SECOND);
    assert!(scene.is_done(party));
    let [reflexive] = &scene.all(party, ServerReflexive)[..] else { panic!("{:?}", scene.at(party)) };
    assert_eq!(reflexive.related, Some(scene.only(party, Host)));
    assert_ne!(reflexive.address.ip(), scene.world.address(party));
    let outlook = scene.at(party).gatherer.outlook();
    assert_eq!((outlook.mapping, outlook.udp), (Mapping::EndpointIndependent, UdpReach::Answers));
    assert_eq!(scene.states(party), [ServerState::Works]);
}

#[test]
fn a_nat_with_a_port_for_each_destination_is_seen() {
    let mut scene = Scene::new();
    let home = scene.world.behind("home", SYMMETRIC);
    let party = scene.party_in(home, with(&[stun()]));
    scene.run(SECOND);
    assert_eq!(scene.at(party).gatherer.outlook().mapping, Mapping::Dependent);
}

#[test]
fn what_the_server_sees_is_no_candidate_where_nothing_translates() {
    let mut scene = Scene::new();
    let party = scene.party(with(&[stun()]));
    scene.run(SECOND);
    assert!(scene.is_done(party) && scene.all(party, ServerReflexive).is_empty());
    assert_eq!(scene.at(party).gatherer.outlook().mapping, Mapping::Direct);
}

#[test]
fn where_udp_is_blocked_gathering_ends_after_some_seconds_and_says_so() {
    let mut scene = Scene::new();
    let office = scene.world.behind("office", NatKind::UdpBlocked);
    let party = scene.party_in(office, with(&[stun(), turn("")]));
    scene.run(5 * SECOND);
    assert!(!scene.is_done(party));
    scene.run(2 * SECOND);
    assert!(scene.is_done(party));
    let outlook = scene.at(party).gatherer.outlook();
    assert_eq!((outlook.udp, outlook.turn), (UdpReach::Silent, TurnState::Unreachable));
    assert_eq!(scene.states(party)[0], ServerState::Failed(ServerError::Silent));
}

#[test]
fn a_name_that_is_not_found_fails_its_server_and_nothing_else() {
    let mut scene = Scene::new();
    scene.world.name_fails("stun.example.org");
    let party = scene.party(with(&[stun(), turn("")]));
    scene.run(SECOND);
    assert!(scene.is_done(party));
    assert!(matches!(scene.states(party)[..], [ServerState::Failed(ServerError::Resolve(_)), ServerState::Works]));
}

#[test]
fn with_relayed_candidates_alone_no_other_address_is_told() {
    let mut scene = Scene::new();
    let home = scene.world.behind("home", CONE);
    let config = GatherConfig { policy: CandidatePolicy::RELAY, ..with(&[stun(), turn("")]) };
    let party = scene.party_in(home, config);
    scene.run(SECOND);
    assert!(scene.is_done(party));
    let candidates: Vec<_> = scene.at(party).gatherer.candidates().collect();
    assert!(candidates.iter().all(|candidate| candidate.kind == Relayed) && !candidates.is_empty());
    assert_eq!(candidates[0].related, Some("0.0.0.0:9".parse().unwrap()));
}

#[test]
fn who_roams_loses_old_candidates_and_gets_new_ones() {
    let mut scene = Scene::new();
    let home = scene.world.behind("home", CONE);
    let party = scene.party_in(home, with(&[stun(), turn("")]));
    scene.run(SECOND);
    let before: Vec<_> = scene.at(party).gatherer.candidates().cloned().collect();
    scene.forget_events(party);
    scene.world.roam(party, INTERNET, OldStreams::Linger);
    scene.run(2 * SECOND);
    for candidate in before {
        assert!(scene.at(party).events.contains(&GatherEvent::Lost(candidate)));
    }
    assert!(scene.is_done(party));
    assert_eq!(scene.only(party, Host).ip(), scene.world.address(party));
    scene.only(party, Relayed);
}

#[test]
fn a_mapping_that_has_changed_is_seen_when_a_peer_starts() {
    let mut scene = Scene::new();
    let gateway = scene.world.gateways(INTERNET, "home", CONE).unwrap();
    let party = scene.party_in(gateway.inside(), with(&[stun()]));
    scene.run(SECOND);
    let before = scene.all(party, ServerReflexive)[0].clone();
    scene.world.rebind_gateway(gateway);
    scene.call(party, |gatherer, cx| gatherer.refresh(cx));
    scene.run(SECOND);
    assert_eq!(scene.all(party, ServerReflexive), std::slice::from_ref(&before), "asked too soon");
    scene.run(20 * SECOND);
    scene.call(party, |gatherer, cx| gatherer.refresh(cx));
    scene.run(SECOND);
    assert!(scene.at(party).events.contains(&GatherEvent::Lost(before.clone())));
    assert_ne!(scene.only(party, ServerReflexive), before.address);
}

#[test]
fn servers_come_and_go_by_who_gave_them() {
    let mut scene = Scene::new();
    let home = scene.world.behind("home", CONE);
    let party = scene.party_in(home, with(&[stun()]));
    scene.run(SECOND);
    scene.call(party, |gatherer, cx| gatherer.set_servers(cx, 7, &[turn(""), stun()]));
    scene.run(SECOND);
    scene.only(party, Relayed);
    scene.call(party, |gatherer, cx| gatherer.set_servers(cx, 8, &[]));
    scene.run(SECOND);
    scene.only(party, Relayed);
    scene.call(party, |gatherer, cx| gatherer.set_servers(cx, 7, &[]));
    scene.run(SECOND);
    assert!(scene.all(party, Relayed).is_empty());
    scene.only(party, ServerReflexive);
    assert_eq!(scene.serve(|server, _| server.allocations()), 0);
}

#[test]
fn who_stops_leaves_no_port_and_no_allocation() {
    let mut scene = Scene::new();
    let party = scene.party(with(&[stun(), turn(""), turn("?transport=tcp")]));
    scene.run(SECOND);
    assert_eq!(scene.serve(|server, _| server.allocations()), 2);
    scene.call(party, |gatherer, cx| gatherer.stop(cx));
    scene.run(SECOND);
    assert_eq!((scene.world.ports(party), scene.serve(|server, _| server.allocations())), (0, 0));
    scene.call(party, |gatherer, cx| gatherer.start(cx));
    scene.run(SECOND);
    assert_eq!(scene.all(party, Relayed).len(), 2);
}
