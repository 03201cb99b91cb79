//! From a host and a port to one open stream: look-up, then attempts that race.
//!
//! The addresses of a name are tried in the resolver's order with the families interleaved (RFC 8305, section
//! 4); a further attempt starts when one fails or after [`Limits::attempt_delay`], and the first that opens wins.
//! The whole is bounded in time by its owner, which drops the dialler.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use crate::machine::ids::PortId;
use crate::machine::limits::Limits;
use crate::machine::port::{Addrs, PortChange, PortError, PortRequest, PortSpec};
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};

/// Requests that a transport has not polled out yet; bounded by the ports that it owns.
pub type Requests = VecDeque<(PortId, PortRequest)>;

/// Where to dial to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host, by name or address, and a TCP port.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A byte stream of the environment ([`PortSpec::Host`]).
    Host(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Host(name) => write!(f, "host stream {name}"),
        }
    }
}

/// Why no stream could be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DialError {
    /// The name could not be looked up.
    #[error("the host name could not be looked up: {0}")]
    Resolve(PortError),
    /// Every address was tried; this is what the last attempt met.
    #[error("no address could be connected to: {0}")]
    Connect(PortError),
}

/// What a change of a port meant to the dialler.
#[derive(Debug, PartialEq, Eq)]
pub enum Dialled {
    /// Nothing yet.
    Pending,
    /// This port is open; it is the caller's now.
    Open {
        /// The stream.
        port: PortId,
        /// Our address.
        local: Option<SocketAddr>,
        /// The other side's.
        peer: Option<SocketAddr>,
    },
    /// It is over.
    Failed(DialError),
}

/// One dial in progress.
#[derive(Debug)]
pub struct Dialer {
    port: u16,
    lookup: Option<PortId>,
    waiting: VecDeque<IpAddr>,
    attempts: SmallVec<[PortId; 2]>,
    next_attempt: Option<Instant>,
    last: PortError,
}

impl Dialer {
    /// Starts to dial.
    pub fn start(cx: &mut Cx<'_>, limits: &Limits, target: &Target, requests: &mut Requests) -> Self {
        let mut dialer = Self {
            port: 0,
            lookup: None,
            waiting: VecDeque::new(),
            attempts: SmallVec::new(),
            next_attempt: None,
            last: PortError::NameNotFound,
        };
        match target {
            Target::Host(name) => dialer.attempt(cx, PortSpec::Host(name.clone()), requests),
            Target::Tcp { host, port } => {
                dialer.port = *port;
                match host.parse::<IpAddr>() {
                    Ok(address) => dialer.try_addresses(cx, limits, [address].into_iter().collect(), requests),
                    Err(_) => dialer.look_up(cx, host, requests),
                }
            }
        }
        dialer
    }

    /// Whether a port belongs to this dial.
    pub fn owns(&self, port: PortId) -> bool {
        self.lookup == Some(port) || self.attempts.contains(&port)
    }

    /// Takes in what became of one of its ports.
    pub fn on_port(
        &mut self,
        cx: &mut Cx<'_>,
        limits: &Limits,
        port: PortId,
        change: PortChange,
        requests: &mut Requests,
    ) -> Dialled {
        match change {
            PortChange::Resolved(addresses) => {
                self.lookup = None;
                self.try_addresses(cx, limits, addresses, requests);
                self.verdict()
            }
            PortChange::Failed(error) if self.lookup == Some(port) => {
                self.lookup = None;
                Dialled::Failed(DialError::Resolve(error))
            }
            PortChange::Failed(error) => {
                self.attempts.retain(|attempt| *attempt != port);
                self.last = error;
                self.try_next(cx, limits, requests);
                self.verdict()
            }
            PortChange::Opened { local, peer } => {
                self.attempts.retain(|attempt| *attempt != port);
                self.abort(requests);
                Dialled::Open { port, local, peer }
            }
            PortChange::Accepted { .. } | PortChange::Addresses(_) | PortChange::Eof | PortChange::Closed => {
                Dialled::Pending
            }
        }
    }

    /// When the next attempt starts.
    pub fn deadline(&self) -> Option<Deadline> {
        self.next_attempt.map(|at| Deadline::new(at, "next address"))
    }

    /// Starts the next attempt if it is due.
    pub fn on_timeout(&mut self, cx: &mut Cx<'_>, limits: &Limits, requests: &mut Requests) {
        if self.next_attempt.is_some_and(|at| at <= cx.now) {
            self.try_next(cx, limits, requests);
        }
    }

    /// Gives everything up that is still in progress.
    pub fn abort(&mut self, requests: &mut Requests) {
        let ports = self.attempts.drain(..).chain(self.lookup.take());
        requests.extend(ports.map(|port| (port, PortRequest::Abort)));
        self.waiting.clear();
        self.next_attempt = None;
    }

    fn look_up(&mut self, cx: &mut Cx<'_>, host: &str, requests: &mut Requests) {
        let port = cx.ids.port();
        self.lookup = Some(port);
        requests.push_back((port, PortRequest::Resolve(host.to_owned())));
    }

    fn try_addresses(&mut self, cx: &mut Cx<'_>, limits: &Limits, addresses: Addrs, requests: &mut Requests) {
        self.waiting = interleave(addresses, limits.addresses);
        self.try_next(cx, limits, requests);
    }

    fn try_next(&mut self, cx: &mut Cx<'_>, limits: &Limits, requests: &mut Requests) {
        self.next_attempt = None;
        let Some(address) = self.waiting.pop_front() else { return };
        self.attempt(cx, PortSpec::Dial(SocketAddr::new(address, self.port)), requests);
        if !self.waiting.is_empty() {
            self.next_attempt = Some(cx.now + limits.attempt_delay);
        }
    }

    fn attempt(&mut self, cx: &mut Cx<'_>, spec: PortSpec, requests: &mut Requests) {
        let port = cx.ids.port();
        self.attempts.push(port);
        requests.push_back((port, PortRequest::Open(spec)));
    }

    fn verdict(&self) -> Dialled {
        if self.attempts.is_empty() && self.waiting.is_empty() {
            return Dialled::Failed(DialError::Connect(self.last));
        }
        Dialled::Pending
    }
}

/// The resolver's order, the families taking turns, beginning with the family that the resolver prefers.
fn interleave(addresses: Addrs, most: usize) -> VecDeque<IpAddr> {
    let Some(first) = addresses.first().copied() else { return VecDeque::new() };
    let (mut same, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut order = VecDeque::new();
    while order.len() < most && !(same.is_empty() && other.is_empty()) {
        order.extend(same.pop_front());
        order.extend(other.pop_front());
    }
    order.truncate(most);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let parse = |s: &str| s.parse::<IpAddr>().unwrap();
        let addresses = ["::1", "::2", "::3", "10.0.0.1"].map(parse).into_iter().collect();
        assert_eq!(interleave(addresses, 3), ["::1", "10.0.0.1", "::2"].map(parse));
    }
}
