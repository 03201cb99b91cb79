//! Discovery against a real server through networks with one peculiarity each. All kinds of NAT are in
//! `tests/probe.rs`.

use std::collections::VecDeque;

use super::*;
use crate::link::stun::{Endpoints, Server, TransactionId, message};

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

const INSIDE: &str = "10.0.0.2:5000";
const OUTSIDE: &str = "203.0.113.5:5000";

/// A NAT that maps by nothing and filters by nothing, and a server behind it.
struct Network {
    server: Server,
    /// Answers leave from where they were asked for, whatever CHANGE-REQUEST says.
    ignores_changes: bool,
    hairpins: bool,
    /// Datagrams that get lost, of those that the client sends.
    loses: usize,
    translates: bool,
    sent: usize,
}

impl Network {
    fn new(other: Option<&str>) -> Self {
        let endpoints = Endpoints { primary: at("192.0.2.1:3478"), other: other.map(at) };
        let server = Server::new(endpoints, None);
        Self { server, ignores_changes: false, hairpins: false, loses: 0, translates: true, sent: 0 }
    }

    fn outside(&self) -> SocketAddr {
        at(if self.translates { OUTSIDE } else { INSIDE })
    }

    fn pass(&mut self, sent: &Outgoing) -> Option<(SocketAddr, Vec<u8>)> {
        self.sent += 1;
        if self.sent <= self.loses {
            return None;
        }
        if sent.to == self.outside() {
            return self.hairpins.then(|| (sent.to, sent.bytes.clone()));
        }
        let reply = self.server.answer(sent.to, self.outside(), &sent.bytes).ok()?;
        Some((if self.ignores_changes { sent.to } else { reply.from }, reply.bytes))
    }

    fn discover(&mut self) -> (Discovered, Duration) {
        let (mut now, mut rng) = (Instant::ZERO, Rng::from_u64(1));
        let (server, bound) = (at("192.0.2.1:3478"), at(INSIDE));
        let mut discovery = Discovery::new(now, &mut rng, server, bound, DiscoveryConfig::default());
        let mut air = VecDeque::new();
        while discovery.ended().is_none() {
            now = discovery.deadline().expect("it waits for nothing").at;
            discovery.on_timeout(now, &mut rng, &mut |sent| air.push_back(sent));
            while let Some(sent) = air.pop_front() {
                let Some((from, data)) = self.pass(&sent) else { continue };
                now = now + Duration::from_millis(20);
                discovery.receive(now, &mut rng, from, None, &data, &mut |sent| air.push_back(sent));
            }
        }
        assert_eq!(discovery.deadline(), None);
        (discovery.ended().unwrap(), now - Instant::ZERO)
    }
}

fn behaviour(discovered: Discovered) -> Behaviour {
    match discovered {
        Discovered::Behaviour(behaviour) => behaviour,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_open_nat_is_found_out() {
    let found = behaviour(Network::new(Some("192.0.2.2:3479")).discover().0);
    let expected = Behaviour {
        local: Some(at(INSIDE)),
        reflexive: at(OUTSIDE),
        mapping: Some(Dependence::EndpointIndependent),
        filtering: Some(Dependence::EndpointIndependent),
        hairpins: Some(false),
        rtt: Duration::from_millis(20),
    };
    assert_eq!((found, found.is_translated()), (expected, Some(true)));
}

#[test]
fn hairpinning_is_seen_where_it_is() {
    let found = behaviour(Network { hairpins: true, ..Network::new(Some("192.0.2.2:3479")) }.discover().0);
    assert_eq!(found.hairpins, Some(true));
}

#[test]
fn a_server_with_one_address_tells_the_address_and_not_the_behaviour() {
    let found = behaviour(Network::new(None).discover().0);
    assert_eq!((found.reflexive, found.mapping, found.filtering), (at(OUTSIDE), None, None));
}

#[test]
fn another_endpoint_that_shares_the_address_or_the_port_is_none() {
    for other in ["192.0.2.1:3479", "192.0.2.2:3478", "0.0.0.0:3479", "[2001:db8::1]:3479"] {
        let found = behaviour(Network::new(Some(other)).discover().0);
        assert_eq!((found.mapping, found.filtering), (None, None), "{other}");
    }
}

#[test]
fn where_nothing_translates_the_mapping_depends_on_nothing() {
    let found = behaviour(Network { translates: false, ..Network::new(None) }.discover().0);
    assert_eq!((found.mapping, found.hairpins), (Some(Dependence::EndpointIndependent), None));
    assert_eq!(found.is_translated(), Some(false));
}

#[test]
fn a_server_that_ignores_what_it_was_asked_does_not_pass_for_an_open_filter() {
    let mut network = Network { ignores_changes: true, ..Network::new(Some("192.0.2.2:3479")) };
    let found = behaviour(network.discover().0);
    assert_eq!((found.mapping, found.filtering), (Some(Dependence::EndpointIndependent), None));
}

#[test]
fn lost_requests_are_repeated() {
    let network = &mut Network { loses: 3, ..Network::new(Some("192.0.2.2:3479")) };
    let (found, took) = network.discover();
    assert_eq!(behaviour(found).filtering, Some(Dependence::EndpointIndependent));
    assert!(took > Duration::from_secs(3), "{took:?}");
}

#[test]
fn silence_ends_it_when_the_last_request_is_given_up() {
    let (found, took) = Network { loses: usize::MAX, ..Network::new(None) }.discover();
    assert_eq!((found, took), (Discovered::NoAnswer, Duration::from_millis(39_500)));
}

#[test]
fn answers_of_others_are_handed_back() {
    let (now, mut rng) = (Instant::ZERO, Rng::from_u64(1));
    let config = DiscoveryConfig::default();
    let mut discovery = Discovery::new(now, &mut rng, at("192.0.2.1:3478"), at(INSIDE), config);
    let forged = Success { mapped: Some(at("198.51.100.1:1")), ..Success::default() };
    let data = forged.encode(TransactionId([0; 12]));
    assert!(!discovery.receive(now, &mut rng, at("192.0.2.1:3478"), None, &data, &mut |_| panic!("it spoke")));
    assert!(!discovery.receive(now, &mut rng, at("192.0.2.1:3478"), None, b"hello", &mut |_| panic!("it spoke")));
}

#[test]
fn a_refusal_is_told_with_its_code() {
    let (now, mut rng) = (Instant::ZERO, Rng::from_u64(1));
    let config = DiscoveryConfig::default();
    let server = at("192.0.2.1:3478");
    let mut discovery = Discovery::new(now, &mut rng, server, at(INSIDE), config);
    let mut id = None;
    discovery.on_timeout(now, &mut rng, &mut |sent| id = Message::parse(&sent.bytes).ok().map(|message| message.id));
    let refused = message::encode_error(id.unwrap(), 500, &[], None);
    assert!(discovery.receive(now, &mut rng, server, None, &refused, &mut |_| panic!("it spoke")));
    assert_eq!(discovery.ended(), Some(Discovered::Refused(500)));
}
