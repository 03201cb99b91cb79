//! Checks between two probes, as ICE makes them (RFC 8445, section 7), without its roles and without pairs: each side
//! sends to every address of the other that it knows, from the one socket of that family.
//!
//! Checks and answers are signed by the secret of whoever is asked, which came through the rendezvous; what is not is
//! counted and forgotten. A check is answered to where it came from, and that address is checked too from then on (a
//! peer-reflexive candidate). An answer counts only if it comes from where the check was sent to (section 7.2.5.2.1).
//!
//! What is sent is bounded: at most [`PunchConfig::candidates`] addresses, each once in [`PunchConfig::pace`], for
//! [`PunchConfig::lasts`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::introduction::Introduction;
use crate::link::stun::{Body, Message, Outgoing, Request, Success, TransactionId};
use crate::machine::Deadline;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// How two probes check each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PunchConfig {
    /// From one check of an address to the next: 200 ms by default; less than 10 ms counts as that.
    pub pace: Duration,
    /// For how long checks are sent: 5 s by default.
    pub lasts: Duration,
    /// How long a probe that has a direct path goes on, for the other to find it too: 1 s by default.
    pub linger: Duration,
    /// The most addresses of the other that are checked, those included that are learnt from its checks: 32 by default.
    pub candidates: usize,
}

impl Default for PunchConfig {
    fn default() -> Self {
        let [pace, lasts, linger] = [200, 5000, 1000].map(Duration::from_millis);
        Self { pace, lasts, linger, candidates: 32 }
    }
}

/// A path between two probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direct {
    /// Our address, as the other sees it on this path.
    pub local: SocketAddr,
    /// The other's, as we see it.
    pub remote: SocketAddr,
    /// From a check to its answer.
    pub rtt: Duration,
    /// From when the other's addresses were known to the first answer.
    pub after: Duration,
}

/// What a probe has seen while it punched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PunchCounters {
    /// Checks that were sent.
    pub checks: u64,
    /// Checks of the other that were answered.
    pub answered: u64,
    /// Answers that came from elsewhere than their check was sent to.
    pub elsewhere: u64,
    /// Messages that are not of this exchange: with no signature or a wrong one, or to nobody's check.
    pub foreign: u64,
    /// Addresses that were not checked because there were too many.
    pub surplus: u64,
}

/// The exchange, from one side.
#[derive(Debug)]
pub(super) struct Punch {
    config: PunchConfig,
    id: String,
    secret: String,
    peer: Option<Introduction>,
    began: Option<Instant>,
    remotes: Vec<Remote>,
    checks: BTreeMap<TransactionId, Check>,
    direct: Option<(Instant, Direct)>,
    counters: PunchCounters,
}

#[derive(Debug)]
struct Remote {
    socket: usize,
    address: SocketAddr,
    next: Instant,
}

#[derive(Debug)]
struct Check {
    socket: usize,
    to: SocketAddr,
    at: Instant,
}

/// Sends from the socket of that number.
pub(super) type Send<'a> = &'a mut dyn FnMut(usize, Outgoing);

impl Punch {
    pub(super) fn new(rng: &mut Rng, config: PunchConfig) -> Self {
        let config = PunchConfig { pace: config.pace.max(Duration::from_millis(10)), ..config };
        Self {
            config,
            id: hex(&rng.array::<4>()),
            secret: hex(&rng.array::<16>()),
            peer: None,
            began: None,
            remotes: Vec::new(),
            checks: BTreeMap::new(),
            direct: None,
            counters: PunchCounters::default(),
        }
    }

    /// What the other shall know of us.
    pub(super) fn introduction(&self, candidates: Vec<SocketAddr>) -> Introduction {
        Introduction { id: self.id.clone(), secret: self.secret.clone(), candidates }
    }

    /// The other is known: its addresses are checked from these sockets, given as number and family (true: IPv4).
    pub(super) fn begin(&mut self, now: Instant, peer: Introduction, sockets: &[(usize, bool)]) {
        self.began = Some(now);
        for remote in &mut self.remotes {
            remote.next = now;
        }
        for address in peer.candidates.iter().filter(|address| is_usable(address)) {
            for (socket, _) in sockets.iter().filter(|(_, is_v4)| *is_v4 == address.is_ipv4()) {
                self.learn(now, *socket, *address);
            }
        }
        self.peer = Some(peer);
    }

    pub(super) const fn direct(&self) -> Option<Direct> {
        match self.direct {
            Some((_, direct)) => Some(direct),
            None => None,
        }
    }

    pub(super) const fn counters(&self) -> PunchCounters {
        self.counters
    }

    /// When the exchange is over: soon after a path was found, else when its time has passed.
    pub(super) fn end(&self) -> Option<Instant> {
        let began = self.began?;
        Some(match self.direct {
            Some((at, _)) => at + self.config.linger,
            None => began + self.config.lasts,
        })
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let end = Deadline::new(self.end()?, "end of the checks");
        let next = self.remotes.iter().map(|remote| Deadline::new(remote.next, "connectivity check"));
        next.chain([end]).min_by_key(|deadline| deadline.at)
    }

    /// Sends the checks that are due.
    pub(super) fn on_timeout(&mut self, now: Instant, rng: &mut Rng, send: Send<'_>) {
        let Some(peer) = self.peer.as_ref().filter(|_| self.end().is_some_and(|end| end > now)) else { return };
        let username = format!("{}:{}", peer.id, self.id);
        let request = Request { username: Some(username), ..Request::default() };
        for remote in self.remotes.iter_mut().filter(|remote| remote.next <= now) {
            let Remote { socket, address: to, .. } = *remote;
            remote.next = now + self.config.pace;
            let id = TransactionId::random(rng);
            self.checks.insert(id, Check { socket, to, at: now });
            self.counters.checks += 1;
            send(socket, Outgoing { to, bytes: request.encode_signed(id, &peer.secret) });
        }
    }

    /// Takes a datagram in that came to that socket.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        socket: usize,
        source: SocketAddr,
        data: &[u8],
        send: Send<'_>,
    ) {
        match Message::parse(data) {
            Ok(message) => match &message.body {
                Body::Request { request, unknown } if unknown.is_empty() => {
                    self.on_check(now, rng, socket, source, &message, request, send);
                }
                Body::Success(success) => self.on_answer(now, socket, source, &message, success),
                _ => self.counters.foreign += 1,
            },
            Err(_) => self.counters.foreign += 1,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "what came, from where, and the means to answer")]
    fn on_check(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        socket: usize,
        source: SocketAddr,
        message: &Message<'_>,
        request: &Request,
        send: Send<'_>,
    ) {
        let to_us = request.username.as_deref().and_then(|name| name.strip_prefix(self.id.as_str())?.strip_prefix(':'));
        if to_us.is_none() || !message.is_signed_by(&self.secret) {
            self.counters.foreign += 1;
            return;
        }
        let answer = Success { mapped: Some(source), ..Success::default() };
        self.counters.answered += 1;
        send(socket, Outgoing { to: source, bytes: answer.encode_signed(message.id, &self.secret) });
        self.learn(now, socket, source);
        self.on_timeout(now, rng, send);
    }

    fn on_answer(&mut self, now: Instant, socket: usize, source: SocketAddr, message: &Message<'_>, success: &Success) {
        let is_theirs = self.peer.as_ref().is_some_and(|peer| message.is_signed_by(&peer.secret));
        let check = self.checks.get(&message.id).filter(|check| is_theirs && check.socket == socket);
        let (Some(check), Some(local), Some(began)) = (check, success.mapped, self.began) else {
            self.counters.foreign += 1;
            return;
        };
        if check.to != source {
            self.counters.elsewhere += 1;
            return;
        }
        let direct = Direct { local, remote: source, rtt: now - check.at, after: now - began };
        self.direct.get_or_insert((now, direct));
    }

    fn learn(&mut self, now: Instant, socket: usize, address: SocketAddr) {
        if self.remotes.iter().any(|remote| remote.socket == socket && remote.address == address) {
            return;
        }
        if self.remotes.len() >= self.config.candidates {
            self.counters.surplus += 1;
            return;
        }
        self.remotes.push(Remote { socket, address, next: now });
    }
}

/// Nobody makes us send to many at once.
fn is_usable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let is_broadcast = matches!(ip, std::net::IpAddr::V4(ip) if ip.is_broadcast());
    address.port() > 0 && !(ip.is_unspecified() || ip.is_multicast() || is_broadcast)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
