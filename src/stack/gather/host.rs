//! One address of the host: its socket, and how STUN servers see it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::addresses::can_reach;
use super::config::GatherConfig;
use super::server::Servers;
use crate::link::stun::{Body, Due, Message, Request, Retransmission, Transaction};
use crate::machine::datagram::Transmit;
use crate::machine::ids::PortId;
use crate::machine::outbox::Outbox;
use crate::machine::port::{PortRequest, PortSpec};
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};
use crate::wire::outlook::Mapping;

/// An answer that is older is asked for again when a peer starts: NATs forget after 30 s, some after 20.
const FRESH: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Host {
    pub(super) port: PortId,
    pub(super) ip: IpAddr,
    pub(super) bind: SocketAddr,
    /// Where the socket is bound, once it is.
    pub(super) local: Option<SocketAddr>,
    bindings: Vec<Binding>,
}

/// How one server sees the socket.
#[derive(Debug)]
struct Binding {
    server: SocketAddr,
    /// Asked only to compare: the other address of a server.
    compares: bool,
    asking: Option<Transaction>,
    mapped: Option<SocketAddr>,
    /// When it was answered or given up.
    settled: Option<Instant>,
    answered: bool,
}

impl Binding {
    fn new(cx: &mut Cx<'_>, server: SocketAddr, compares: bool, retransmission: Retransmission) -> Self {
        let asking = Some(ask(cx, server, retransmission));
        Self { server, compares, asking, mapped: None, settled: None, answered: false }
    }
}

fn ask(cx: &mut Cx<'_>, server: SocketAddr, retransmission: Retransmission) -> Transaction {
    Transaction::new(cx.now, cx.rng, server, &Request::default(), retransmission)
}

impl Host {
    pub(super) fn open(cx: &mut Cx<'_>, bind: SocketAddr, requests: &mut VecDeque<(PortId, PortRequest)>) -> Self {
        let port = cx.ids.port();
        requests.push_back((port, PortRequest::Open(PortSpec::Bind(bind))));
        Self { port, ip: bind.ip(), bind, local: None, bindings: Vec::new() }
    }

    pub(super) fn opened(&mut self, local: Option<SocketAddr>) {
        self.local = Some(local.unwrap_or(self.bind));
    }

    /// Asks the servers that were not asked yet, and forgets those that are gone.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>, config: &GatherConfig, servers: &Servers) {
        if self.local.is_none() || !config.policy.srflx {
            return;
        }
        let wanted = servers.stun(self.ip.is_ipv4());
        self.bindings.retain(|binding| binding.compares || wanted.contains(&binding.server));
        for server in wanted.into_iter().filter(|server| can_reach(self.ip, server.ip())) {
            if !self.bindings.iter().any(|binding| binding.server == server && !binding.compares) {
                self.bindings.push(Binding::new(cx, server, false, config.retransmission));
            }
        }
        if self.bindings.iter().all(|binding| binding.compares) {
            self.bindings.clear();
        }
    }

    /// Asks again where the answer is old.
    pub(super) fn refresh(&mut self, cx: &mut Cx<'_>, retransmission: Retransmission) {
        for binding in &mut self.bindings {
            let is_old = binding.settled.is_some_and(|at| cx.now - at >= FRESH);
            if is_old && binding.asking.is_none() && !binding.compares {
                binding.asking = Some(ask(cx, binding.server, retransmission));
            }
        }
    }

    /// Whether a question to that server is open.
    pub(super) fn asks(&self, server: SocketAddr) -> bool {
        self.bindings.iter().any(|binding| binding.server == server && binding.asking.is_some())
    }

    /// Takes a response. False: it answers no question of ours.
    pub(super) fn answered(
        &mut self,
        cx: &mut Cx<'_>,
        source: SocketAddr,
        message: &Message<'_>,
        retransmission: Retransmission,
    ) -> bool {
        let is_of = |asking: &Transaction| asking.to() == source && asking.is_of(message);
        let Some(at) = self.bindings.iter().position(|binding| binding.asking.as_ref().is_some_and(is_of)) else {
            return false;
        };
        let binding = &mut self.bindings[at];
        (binding.asking, binding.settled, binding.answered) = (None, Some(cx.now), true);
        let Body::Success(success) = &message.body else { return true };
        binding.mapped = success.mapped.filter(|mapped| mapped.is_ipv4() == self.ip.is_ipv4() && mapped.port() != 0);
        if let Some(other) = success.other {
            self.compare(cx, source, other, retransmission);
        }
        true
    }

    /// With one server only, its other address tells whether the mapping depends on whom we send to.
    fn compare(&mut self, cx: &mut Cx<'_>, server: SocketAddr, other: SocketAddr, retransmission: Retransmission) {
        let is_useful = other.ip() != server.ip() && other.port() != 0 && can_reach(self.ip, other.ip());
        if is_useful && !other.ip().is_multicast() && self.bindings.len() == 1 && self.local != self.bindings[0].mapped
        {
            self.bindings.push(Binding::new(cx, other, true, retransmission));
        }
    }

    pub(super) fn on_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        for binding in &mut self.bindings {
            let Some(asking) = &mut binding.asking else { continue };
            match asking.poll(now) {
                Due::Nothing => {}
                Due::Send => {
                    let request = asking.request().to_vec();
                    outbox.push(self.port, Transmit::to(asking.to(), request.len()), request);
                }
                // What was seen before may still hold: that a server is gone says nothing of a NAT.
                Due::GaveUp => (binding.asking, binding.settled) = (None, Some(now)),
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let asking = self.bindings.iter().filter_map(|binding| binding.asking.as_ref());
        asking.map(|asking| Deadline::new(asking.deadline(), "our address outside")).min_by_key(|deadline| deadline.at)
    }

    /// Whether its socket is open and every server has answered once or was given up.
    pub(super) fn is_gathered(&self) -> bool {
        self.local.is_some() && self.bindings.iter().all(|binding| binding.compares || binding.settled.is_some())
    }

    /// How servers see it.
    pub(super) fn mapped(&self) -> impl Iterator<Item = SocketAddr> {
        self.bindings.iter().filter(|binding| !binding.compares).filter_map(|binding| binding.mapped)
    }

    /// What became of asking that server: answered or not; none while that is open.
    pub(super) fn verdict(&self, server: SocketAddr) -> Option<bool> {
        let binding = self.bindings.iter().find(|binding| binding.server == server && !binding.compares)?;
        binding.settled.map(|_| binding.answered)
    }

    /// Whether any server answered; none while one may, or none was asked.
    pub(super) fn is_answered(&self) -> Option<bool> {
        if self.bindings.iter().any(|binding| binding.answered) {
            return Some(true);
        }
        let all = !self.bindings.is_empty() && self.bindings.iter().all(|binding| binding.settled.is_some());
        all.then_some(false)
    }

    /// Whether any STUN server was asked.
    pub(super) const fn is_asked(&self) -> bool {
        !self.bindings.is_empty()
    }

    /// How NATs map, by what STUN servers see, and others by `also`: each by its address.
    pub(super) fn mapping(&self, also: impl Iterator<Item = (SocketAddr, SocketAddr)>) -> Mapping {
        let by_stun = self.bindings.iter().filter_map(|binding| Some((binding.server, binding.mapped?)));
        let mut seen = by_stun.chain(also);
        let Some((server, first)) = seen.next() else { return Mapping::Unknown };
        if Some(first) == self.local {
            return Mapping::Direct;
        }
        let others: Vec<_> = seen.filter(|(other, _)| *other != server).collect();
        match others.iter().all(|(_, mapped)| *mapped == first) {
            _ if others.is_empty() => Mapping::Unknown,
            true => Mapping::EndpointIndependent,
            false => Mapping::Dependent,
        }
    }
}
