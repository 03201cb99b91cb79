//! What a NAT must do, as checks that answer rather than panic, so that planted [faults](super::faults) can be put
//! to them; and the tests that it does.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use super::faults::Fault;
use super::{Nat, NatConfig, PortChoice};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::sim::filter::{Dependence, Protocol, Refresh};
use crate::sim::timeline::DropReason;

use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
use Protocol::{Tcp, Udp};

type Check = Result<(), String>;

/// RFC 4787, section 4.1: which destinations share an external port.
pub(super) fn mappings(fault: Option<Fault>) -> Check {
    let destinations = ["1.1.1.1:7000", "1.1.1.1:7001", "1.1.1.2:7000", "1.1.1.1:7000"];
    let expected = [[5000; 4], [5000, 5000, 5001, 5000], [5000, 5001, 5002, 5000]];
    for (mapping, expected) in Dependence::ALL.into_iter().zip(expected) {
        for protocol in [Udp, Tcp] {
            let mut nat = bench(NatConfig { fault, ..NatConfig::new(mapping, EndpointIndependent) });
            let ports = destinations.map(|to| nat.out(protocol, INSIDE, to).map(|source| source.port()));
            same(&format!("external ports by {mapping:?}"), ports, expected.map(Ok))?;
        }
    }
    Ok(())
}

/// RFC 4787, REQ-1 and REQ-3 b: an external port belongs to one inside endpoint.
pub(super) fn owners(fault: Option<Fault>) -> Check {
    let mut nat = bench(NatConfig { fault, ..NatConfig::default() });
    let peer = "1.1.1.1:7000";
    for inside in ["10.0.0.1:5000", "10.0.0.2:5000", "10.0.0.1:5001"] {
        let external = nat.out(Udp, inside, peer).map_err(|error| error.to_string())?;
        same("the endpoint behind a port", nat.back(Udp, peer, external), Ok(at(inside)))?;
    }
    Ok(())
}

/// RFC 4787, section 5: who is let in.
pub(super) fn filters(fault: Option<Fault>) -> Check {
    let senders = ["1.1.1.1:7000", "1.1.1.1:7001", "1.1.1.2:7000"];
    let expected = [[true; 3], [true, true, false], [true, false, false]];
    for (filtering, expected) in Dependence::ALL.into_iter().zip(expected) {
        for (protocol, expected) in [(Udp, expected), (Tcp, [true, false, false])] {
            let mut nat = bench(NatConfig { fault, ..NatConfig::new(EndpointIndependent, filtering) });
            let external = nat.out(protocol, INSIDE, "1.1.1.1:7000").map_err(|error| error.to_string())?;
            let answers = senders.map(|from| nat.back(protocol, from, external));
            let expected = expected.map(|is_let_in| if is_let_in { Ok(at(INSIDE)) } else { Err(DropReason::Filtered) });
            same(&format!("who comes in by {protocol:?} through a filter by {filtering:?}"), answers, expected)?;
        }
    }
    Ok(())
}

/// RFC 4787, section 4.2: preserved ports.
pub(super) fn ports_are_preserved(fault: Option<Fault>) -> Check {
    let mut nat = bench(NatConfig { fault, ..NatConfig::default() });
    let insides = ["10.0.0.1:5000", "10.0.0.1:6000", "10.0.0.2:5000", "10.0.0.3:80"];
    let ports = insides.map(|inside| nat.out(Udp, inside, "1.1.1.1:7000").map(|source| source.port()));
    same("preserved ports", ports, [5000, 6000, 5001, 1024].map(Ok))
}

/// RFC 4787, REQ-9.
pub(super) fn hairpins(fault: Option<Fault>) -> Check {
    let config = NatConfig { fault, ..NatConfig::new(EndpointIndependent, EndpointIndependent) };
    let (mut off, mut on) = (bench(config), bench(NatConfig { hairpin: true, ..config }));
    for nat in [&mut off, &mut on] {
        same("the other insider's address", nat.out(Udp, "10.0.0.2:6000", "1.1.1.1:7000"), Ok(at("9.9.9.9:6000")))?;
    }
    same("hairpinning that is off", off.out(Udp, INSIDE, "9.9.9.9:6000"), Err(DropReason::NoHairpin))?;
    same("the external sender", on.out(Udp, INSIDE, "9.9.9.9:6000"), Ok(at("9.9.9.9:5000")))?;
    same("the way in", on.back(Udp, "9.9.9.9:5000", at("9.9.9.9:6000")), Ok(at("10.0.0.2:6000")))
}

/// RFC 4787, REQ-5, and RFC 5382, REQ-5: how long a mapping lasts unused.
pub(super) fn expiry(fault: Option<Fault>) -> Check {
    for (protocol, seconds) in [(Udp, 120), (Tcp, 7_440)] {
        for (after, expected) in [(seconds - 1, Ok(at(INSIDE))), (seconds, Err(DropReason::NoMapping))] {
            let mut nat = bench(NatConfig { fault, ..NatConfig::default() });
            let external = nat.out(protocol, INSIDE, PEER).map_err(|error| error.to_string())?;
            nat.wait(after);
            same(&format!("{protocol:?} after {after} s"), nat.back(protocol, PEER, external), expected)?;
        }
    }
    Ok(())
}

/// RFC 4787, REQ-6: which packets keep a mapping, and the right to come in, alive.
pub(super) fn refresh(fault: Option<Fault>) -> Check {
    let expected = [(Refresh::Outbound, [true, false]), (Refresh::Inbound, [false, true]), (Refresh::Both, [true; 2])];
    for (refresh, expected) in expected {
        for (is_inbound, lives) in [false, true].into_iter().zip(expected) {
            let mut nat = bench(NatConfig { fault, refresh, ..NatConfig::default() });
            let external = nat.out(Udp, INSIDE, PEER).map_err(|error| error.to_string())?;
            nat.wait(100);
            if is_inbound {
                same("the answer", nat.back(Udp, PEER, external), Ok(at(INSIDE)))?;
            } else {
                same("the same port", nat.out(Udp, INSIDE, PEER), Ok(external))?;
            }
            nat.wait(100);
            let expected = if lives { Ok(at(INSIDE)) } else { Err(DropReason::NoMapping) };
            same(&format!("{refresh:?}, inbound: {is_inbound}"), nat.back(Udp, PEER, external), expected)?;
        }
    }
    Ok(())
}

const INSIDE: &str = "10.0.0.1:5000";
const PEER: &str = "1.1.1.1:7000";

/// A NAT at 9.9.9.9 with a clock.
struct Bench {
    nat: Nat,
    now: Instant,
}

fn bench(config: NatConfig) -> Bench {
    seeded(config, 1)
}

fn seeded(config: NatConfig, seed: u64) -> Bench {
    Bench { nat: Nat::new(config, "9.9.9.9".parse().unwrap(), Rng::from_u64(seed)), now: Instant::ZERO }
}

impl Bench {
    fn out(&mut self, protocol: Protocol, source: &str, destination: &str) -> Result<SocketAddr, DropReason> {
        self.nat.outbound(self.now, protocol, at(source), at(destination))
    }

    fn back(&mut self, protocol: Protocol, source: &str, external: SocketAddr) -> Result<SocketAddr, DropReason> {
        self.nat.inbound(self.now, protocol, at(source), external)
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn same<T: PartialEq + Debug>(what: &str, is: T, expected: T) -> Check {
    if is == expected { Ok(()) } else { Err(format!("{what}: {is:?}, not {expected:?}")) }
}

#[test]
fn the_external_port_depends_on_what_the_configuration_says() {
    mappings(None).unwrap();
}

#[test]
fn an_external_port_belongs_to_one_inside_endpoint() {
    owners(None).unwrap();
}

#[test]
fn a_filter_lets_in_whom_the_configuration_says_and_by_tcp_only_who_was_dialled() {
    filters(None).unwrap();
}

#[test]
fn a_contact_through_one_mapping_lets_nobody_in_through_another() {
    let mut nat = bench(NatConfig::new(AddressAndPortDependent, AddressDependent));
    let first = nat.out(Udp, INSIDE, "1.1.1.1:7000").unwrap();
    nat.out(Udp, INSIDE, "1.1.1.2:7000").unwrap();
    assert_eq!(nat.back(Udp, "1.1.1.1:7001", first), Ok(at(INSIDE)));
    assert_eq!(nat.back(Udp, "1.1.1.2:7000", first), Err(DropReason::Filtered));
}

#[test]
fn udp_and_tcp_have_external_ports_of_their_own() {
    let mut nat = bench(NatConfig::default());
    assert_eq!(nat.out(Udp, "10.0.0.1:5000", PEER).unwrap().port(), 5000);
    assert_eq!(nat.out(Tcp, "10.0.0.2:5000", PEER).unwrap().port(), 5000);
    assert_eq!(nat.back(Udp, PEER, at("9.9.9.9:5000")), Ok(at("10.0.0.1:5000")));
    assert_eq!(nat.back(Tcp, PEER, at("9.9.9.9:5000")), Ok(at("10.0.0.2:5000")));
}

#[test]
fn a_preserving_nat_keeps_the_inside_port_or_takes_the_next_free_one() {
    ports_are_preserved(None).unwrap();
}

#[test]
fn a_sequential_nat_counts_up_and_passes_over_ports_in_use() {
    let mut nat = bench(NatConfig { ports: PortChoice::Sequential, ..NatConfig::default() });
    let mut port = |inside| nat.out(Udp, inside, PEER).unwrap().port();
    assert_eq!(
        ["10.0.0.1:5000", "10.0.0.1:80", "10.0.0.2:5000", "10.0.0.1:80"].map(&mut port),
        [1024, 1025, 1026, 1025]
    );
}

#[test]
fn a_random_nat_takes_ports_that_follow_from_its_seed() {
    let ports = |seed| {
        let config = NatConfig::new(AddressAndPortDependent, EndpointIndependent);
        let mut nat = seeded(NatConfig { ports: PortChoice::Random, ..config }, seed);
        (1..=100u16).map(|to| nat.out(Udp, INSIDE, &format!("1.1.1.1:{to}")).unwrap().port()).collect::<Vec<_>>()
    };
    let (first, again, other) = (ports(1), ports(1), ports(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.windows(2).any(|pair| pair[0] > pair[1]), "{first:?}");
    assert!(first.iter().all(|port| *port >= 1024));
}

#[test]
fn insiders_reach_each_other_by_external_addresses_only_where_the_nat_hairpins() {
    hairpins(None).unwrap();
}

#[test]
fn a_packet_that_turns_back_meets_the_filter_with_its_external_source() {
    let mut nat = bench(NatConfig { hairpin: true, ..NatConfig::default() });
    let other = nat.out(Udp, "10.0.0.2:6000", PEER).unwrap();
    let source = nat.out(Udp, INSIDE, "9.9.9.9:6000").unwrap();
    assert_eq!(nat.back(Udp, &source.to_string(), other), Err(DropReason::Filtered));
    nat.out(Udp, "10.0.0.2:6000", &source.to_string()).unwrap();
    assert_eq!(nat.back(Udp, &source.to_string(), other), Ok(at("10.0.0.2:6000")));
}

#[test]
fn a_mapping_lasts_two_minutes_for_udp_and_two_hours_and_four_minutes_for_tcp() {
    expiry(None).unwrap();
}

#[test]
fn only_packets_of_the_configured_direction_keep_a_mapping_alive() {
    refresh(None).unwrap();
}

#[test]
fn a_contact_expires_although_its_mapping_is_in_use() {
    let mut nat = bench(NatConfig::default());
    let external = nat.out(Udp, INSIDE, "1.1.1.1:7000").unwrap();
    nat.wait(100);
    assert_eq!(nat.out(Udp, INSIDE, "1.1.1.2:7000"), Ok(external));
    nat.wait(100);
    assert_eq!(nat.back(Udp, "1.1.1.1:7000", external), Err(DropReason::Filtered));
    assert_eq!(nat.back(Udp, "1.1.1.2:7000", external), Ok(at(INSIDE)));
}

#[test]
fn what_a_filter_keeps_out_keeps_no_mapping_alive() {
    let mut nat = bench(NatConfig { refresh: Refresh::Both, ..NatConfig::default() });
    let external = nat.out(Udp, INSIDE, PEER).unwrap();
    nat.wait(100);
    assert_eq!(nat.back(Udp, "6.6.6.6:1", external), Err(DropReason::Filtered));
    nat.wait(20);
    assert_eq!(nat.back(Udp, PEER, external), Err(DropReason::NoMapping));
}

#[test]
fn a_reboot_forgets_mappings_and_a_rebound_nat_has_another_address() {
    let mut nat = bench(NatConfig::default());
    let external = nat.out(Udp, INSIDE, PEER).unwrap();
    nat.nat.reboot();
    assert_eq!(nat.back(Udp, PEER, external), Err(DropReason::NoMapping));
    assert_eq!(nat.out(Udp, "10.0.0.2:5000", PEER), Ok(external));
    nat.nat.rebind("8.8.8.8".parse().unwrap());
    assert_eq!(nat.nat.external.to_string(), "8.8.8.8");
    assert_eq!(nat.back(Udp, PEER, at("8.8.8.8:5000")), Err(DropReason::NoMapping));
    assert_eq!(nat.out(Udp, INSIDE, PEER), Ok(at("8.8.8.8:5000")));
}

#[test]
fn a_nat_without_a_free_port_drops_what_needs_one_until_a_mapping_expires() {
    let mut nat = bench(NatConfig::new(AddressAndPortDependent, EndpointIndependent));
    for port in 1024..=u16::MAX {
        nat.out(Udp, INSIDE, &format!("1.1.1.1:{port}")).unwrap();
    }
    assert_eq!(nat.nat.mappings(nat.now), 64_512);
    assert_eq!(nat.out(Udp, INSIDE, "1.1.1.2:7000"), Err(DropReason::PortsExhausted));
    assert_eq!(nat.out(Udp, INSIDE, "1.1.1.1:1024").unwrap().port(), 5000);
    assert!(nat.out(Tcp, INSIDE, "1.1.1.2:7000").is_ok());
    nat.wait(120);
    assert_eq!(nat.out(Udp, INSIDE, "1.1.1.2:7000").unwrap().port(), 5000);
    assert_eq!(nat.nat.mappings(nat.now), 2);
}

#[test]
fn mappings_and_contacts_are_as_many_as_the_configuration_allows() {
    let mut nat = bench(NatConfig { most: 2, ..NatConfig::new(EndpointIndependent, AddressDependent) });
    assert!(nat.out(Udp, "10.0.0.1:1", "1.1.1.1:1").is_ok());
    assert!(nat.out(Udp, "10.0.0.1:2", "1.1.1.1:1").is_ok());
    assert_eq!(nat.out(Udp, "10.0.0.1:3", "1.1.1.1:1"), Err(DropReason::PortsExhausted));
    assert_eq!(nat.out(Udp, "10.0.0.1:1", "1.1.1.2:1"), Err(DropReason::PortsExhausted));
    assert!(nat.out(Udp, "10.0.0.1:1", "1.1.1.1:9").is_ok());
}
