//! What the NATs on the way do: the tests of RFC 5780, section 4, from one socket.
//!
//! # Order
//!
//! Filters let in whom a host has sent to, so all tests of filtering come before anything is sent to the server's
//! other address:
//!
//! 1. *Binding*: what is our address towards the server, and has it another one?
//! 2. *Filtering* (section 4.4): two requests to the primary endpoint, to be answered from the other address and port,
//!    and from the other port. The first answered: filtering by nothing; only the second: by address; none: by address
//!    and port.
//! 3. *Mapping* (section 4.3): what is our address towards the other address, and if it is a new one, towards its
//!    other port? The same everywhere: mapping by nothing; the same for both ports: by address; else by address and
//!    port.
//! 4. *Hairpinning* (section 4.5): a request to our own address as it is outside. It goes from the same socket, so
//!    that a NAT that filters hairpinned packets too lets it in; behind mappings by address that is not enough, and
//!    hairpinning is not seen.
//!
//! An answer counts only if it comes from where it was asked to come from: a server that ignores CHANGE-REQUEST does
//! not pass for an open filter. Silence is an answer in 2 and 4, and lasts [`DiscoveryConfig::silence`].
//!
//! Steps 2 and 3 want a server with two addresses, and what it cannot tell is `None`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use smallvec::SmallVec;

use super::Outgoing;
use super::client::{Due, Retransmission, Transaction};
use super::message::{Body, Change, Message, Request, Success};
use crate::machine::Deadline;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// What a mapping or a filter depends on, of the other end (RFC 4787, sections 4.1 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependence {
    /// Nothing.
    EndpointIndependent,
    /// The address.
    AddressDependent,
    /// The address and the port.
    AddressAndPortDependent,
}

impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::EndpointIndependent => "endpoint-independent",
            Self::AddressDependent => "address-dependent",
            Self::AddressAndPortDependent => "address- and port-dependent",
        })
    }
}

/// How long discovery waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// For answers that should come: as RFC 8489 has it by default, 39.5 s in all.
    pub answer: Retransmission,
    /// For answers whose absence tells something: [`Retransmission::SHORT`] by default, 2.5 s.
    pub silence: Retransmission,
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self { answer: Retransmission::default(), silence: Retransmission::SHORT }
    }
}

/// What was found out about the NATs on the way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Our address as we know it; `None` where the system does not tell.
    pub local: Option<SocketAddr>,
    /// Our address as the server sees it.
    pub reflexive: SocketAddr,
    /// What the mapping depends on; by nothing where nothing translates. `None`: not to be told.
    pub mapping: Option<Dependence>,
    /// What it depends on who is let in, NATs and firewalls taken together. `None`: not to be told.
    pub filtering: Option<Dependence>,
    /// Whether a packet to our own reflexive address came back. `None`: nothing translates, or it is not to be told.
    pub hairpins: Option<bool>,
    /// From a request to its answer; after repetitions it may be too short.
    pub rtt: Duration,
}

impl Behaviour {
    /// Whether our address is another outside. `None`: our own is not known.
    pub fn is_translated(&self) -> Option<bool> {
        self.local.map(|local| local != self.reflexive)
    }
}

/// How discovery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovered {
    /// The server told what follows.
    Behaviour(Behaviour),
    /// The server did not answer: it is down, or no UDP gets through.
    NoAnswer,
    /// The server refused to answer, with that code.
    Refused(u16),
}

/// A test that runs. Its documentation is what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    /// The primary endpoint, for our address.
    Binding,
    /// The primary endpoint, for an answer from its other address and port.
    ChangeBoth,
    /// The primary endpoint, for an answer from its other port.
    ChangePort,
    /// The other address with the primary port, for our address.
    OtherAddress,
    /// The other address and port, for our address.
    OtherBoth,
    /// Ourselves.
    Hairpin,
}

impl Test {
    const fn change(self) -> Change {
        match self {
            Self::ChangeBoth => Change::BOTH,
            Self::ChangePort => Change::PORT,
            Self::Binding | Self::OtherAddress | Self::OtherBoth | Self::Hairpin => Change::NONE,
        }
    }

    const fn why(self) -> &'static str {
        match self {
            Self::Binding => "binding request",
            Self::ChangeBoth | Self::ChangePort => "filtering test",
            Self::OtherAddress | Self::OtherBoth => "mapping test",
            Self::Hairpin => "hairpin test",
        }
    }
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Answered as was asked: this is our address.
    Mapped(SocketAddr),
    /// Answered by something else.
    Useless,
    Silence,
}

/// What is known so far; each test that has ended by its [`Test`].
#[derive(Debug, Default)]
struct Findings {
    change_both: Option<Outcome>,
    change_port: Option<Outcome>,
    other_address: Option<Outcome>,
    other_both: Option<Outcome>,
}

/// Discovery under way.
#[derive(Debug)]
pub struct Discovery {
    config: DiscoveryConfig,
    server: SocketAddr,
    /// The server's other address and port, if it has both.
    other: Option<SocketAddr>,
    bound: SocketAddr,
    running: SmallVec<[(Test, Transaction); 2]>,
    findings: Findings,
    behaviour: Option<Behaviour>,
    ended: Option<Discovered>,
}

impl Discovery {
    /// Begins to ask `server` from a socket that is bound to `bound`, whose address may be unspecified. What is due at
    /// once is sent by [`Self::on_timeout`].
    pub fn new(now: Instant, rng: &mut Rng, server: SocketAddr, bound: SocketAddr, config: DiscoveryConfig) -> Self {
        let mut discovery = Self {
            config,
            server,
            other: None,
            bound,
            running: SmallVec::new(),
            findings: Findings::default(),
            behaviour: None,
            ended: None,
        };
        discovery.start(now, rng, Test::Binding, server);
        discovery
    }

    /// The verdict, once there is one.
    pub const fn ended(&self) -> Option<Discovered> {
        self.ended
    }

    /// When it wants [`Self::on_timeout`].
    pub fn deadline(&self) -> Option<Deadline> {
        let deadline = |(test, transaction): &(Test, Transaction)| Deadline::new(transaction.deadline(), test.why());
        self.running.iter().map(deadline).min_by_key(|deadline| deadline.at)
    }

    /// Sends what is due, and goes on where silence was the answer.
    pub fn on_timeout(&mut self, now: Instant, rng: &mut Rng, out: &mut dyn FnMut(Outgoing)) {
        let mut at = 0;
        while let Some((test, transaction)) = self.running.get_mut(at) {
            match transaction.poll(now) {
                Due::Nothing => at += 1,
                Due::Send => out(Outgoing { to: transaction.to(), bytes: transaction.request().to_vec() }),
                Due::GaveUp => {
                    let test = *test;
                    self.running.remove(at);
                    self.conclude(now, rng, test, Outcome::Silence);
                    at = 0;
                }
            }
        }
    }

    /// Takes a datagram in that came from `source` to our address `destination`. False: it is not of discovery.
    pub fn receive(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        source: SocketAddr,
        destination: Option<IpAddr>,
        data: &[u8],
        out: &mut dyn FnMut(Outgoing),
    ) -> bool {
        let Ok(message) = Message::parse(data) else { return false };
        let of = |(_, transaction): &(Test, Transaction)| transaction.is_of(&message);
        let Some(at) = self.running.iter().position(of) else { return false };
        let (test, transaction) = &self.running[at];
        let (test, elapsed) = (*test, transaction.elapsed(now));
        let outcome = match (&message.body, test) {
            (Body::Request { .. }, Test::Hairpin) => Outcome::Mapped(source),
            (Body::Success(success), _) => self.outcome(test, source, success),
            (Body::Error { code }, Test::Binding) => {
                self.end(Discovered::Refused(*code));
                return true;
            }
            (Body::Error { .. }, _) => Outcome::Useless,
            (Body::Request { .. } | Body::Indication, _) => return false,
        };
        self.running.remove(at);
        if let (Test::Binding, Outcome::Mapped(reflexive), Body::Success(success)) = (test, outcome, &message.body) {
            self.begin(reflexive, destination, elapsed, success);
        }
        self.conclude(now, rng, test, outcome);
        self.on_timeout(now, rng, out);
        true
    }

    fn outcome(&self, test: Test, source: SocketAddr, success: &Success) -> Outcome {
        match success.mapped {
            Some(mapped) if source == self.answers_from(test) => Outcome::Mapped(mapped),
            _ => Outcome::Useless,
        }
    }

    fn answers_from(&self, test: Test) -> SocketAddr {
        let other = self.other.unwrap_or(self.server);
        match test {
            Test::Binding | Test::Hairpin => self.server,
            Test::ChangeBoth | Test::OtherBoth => other,
            Test::ChangePort => SocketAddr::new(self.server.ip(), other.port()),
            Test::OtherAddress => SocketAddr::new(other.ip(), self.server.port()),
        }
    }

    /// The server has answered: what it says of us and of itself.
    fn begin(&mut self, reflexive: SocketAddr, destination: Option<IpAddr>, rtt: Duration, success: &Success) {
        let is_other = |other: &SocketAddr| {
            other.is_ipv4() == self.server.is_ipv4()
                && other.ip() != self.server.ip()
                && other.port() != self.server.port()
                && !other.ip().is_unspecified()
        };
        self.other = success.other.filter(is_other);
        let own = Some(self.bound.ip()).filter(|ip| !ip.is_unspecified()).or(destination);
        let local = own.map(|ip| SocketAddr::new(ip, self.bound.port()));
        let behaviour = Behaviour { local, reflexive, mapping: None, filtering: None, hairpins: None, rtt };
        self.behaviour = Some(behaviour);
    }

    fn conclude(&mut self, now: Instant, rng: &mut Rng, test: Test, outcome: Outcome) {
        match test {
            Test::Binding => self.after_binding(now, rng),
            Test::ChangeBoth => self.findings.change_both = Some(outcome),
            Test::ChangePort => self.findings.change_port = Some(outcome),
            Test::OtherAddress => self.findings.other_address = Some(outcome),
            Test::OtherBoth => self.findings.other_both = Some(outcome),
            Test::Hairpin => self.after_hairpin(outcome),
        }
        match test {
            Test::ChangeBoth | Test::ChangePort => self.after_filtering(now, rng),
            Test::OtherAddress | Test::OtherBoth => self.after_mapping(now, rng),
            Test::Binding | Test::Hairpin => {}
        }
    }

    fn after_binding(&mut self, now: Instant, rng: &mut Rng) {
        if self.behaviour.is_none() {
            self.end(Discovered::NoAnswer);
        } else if self.other.is_some() {
            self.start(now, rng, Test::ChangeBoth, self.server);
            self.start(now, rng, Test::ChangePort, self.server);
        } else {
            self.set_mapping(now, rng, None);
        }
    }

    fn after_filtering(&mut self, now: Instant, rng: &mut Rng) {
        let Findings { change_both, change_port, .. } = &self.findings;
        let filtering = match (change_both, change_port) {
            (Some(Outcome::Mapped(_)), _) => Some(Dependence::EndpointIndependent),
            (Some(Outcome::Silence), Some(Outcome::Mapped(_))) => Some(Dependence::AddressDependent),
            (Some(Outcome::Silence), Some(Outcome::Silence)) => Some(Dependence::AddressAndPortDependent),
            (None, _) | (_, None) => return,
            (Some(Outcome::Useless), _) | (_, Some(Outcome::Useless)) => None,
        };
        self.running.clear();
        if let Some(behaviour) = &mut self.behaviour {
            behaviour.filtering = filtering;
        }
        self.start(now, rng, Test::OtherAddress, self.answers_from(Test::OtherAddress));
    }

    fn after_mapping(&mut self, now: Instant, rng: &mut Rng) {
        let Some(first) = self.behaviour.map(|behaviour| Outcome::Mapped(behaviour.reflexive)) else { return };
        let mapping = match (self.findings.other_address, self.findings.other_both) {
            (Some(second), _) if second == first => Some(Dependence::EndpointIndependent),
            (Some(Outcome::Mapped(_)), None) => {
                return self.start(now, rng, Test::OtherBoth, self.answers_from(Test::OtherBoth));
            }
            (Some(second @ Outcome::Mapped(_)), Some(third)) if second == third => Some(Dependence::AddressDependent),
            (Some(Outcome::Mapped(_)), Some(Outcome::Mapped(_))) => Some(Dependence::AddressAndPortDependent),
            _ => None,
        };
        self.set_mapping(now, rng, mapping);
    }

    fn set_mapping(&mut self, now: Instant, rng: &mut Rng, mapping: Option<Dependence>) {
        let Some(behaviour) = &mut self.behaviour else { return };
        if behaviour.is_translated() == Some(false) {
            behaviour.mapping = Some(Dependence::EndpointIndependent);
            let behaviour = *behaviour;
            return self.end(Discovered::Behaviour(behaviour));
        }
        behaviour.mapping = mapping;
        let reflexive = behaviour.reflexive;
        self.start(now, rng, Test::Hairpin, reflexive);
    }

    fn after_hairpin(&mut self, outcome: Outcome) {
        let Some(mut behaviour) = self.behaviour else { return };
        behaviour.hairpins = Some(matches!(outcome, Outcome::Mapped(_)));
        self.end(Discovered::Behaviour(behaviour));
    }

    fn start(&mut self, now: Instant, rng: &mut Rng, test: Test, to: SocketAddr) {
        let retransmission = match test {
            Test::Binding | Test::OtherAddress | Test::OtherBoth => self.config.answer,
            Test::ChangeBoth | Test::ChangePort | Test::Hairpin => self.config.silence,
        };
        let request = Request { change: test.change(), ..Request::default() };
        self.running.push((test, Transaction::new(now, rng, to, &request, retransmission)));
    }

    fn end(&mut self, how: Discovered) {
        self.running.clear();
        self.ended = Some(how);
    }
}

#[cfg(test)]
mod tests;
