//! One path of a probe: two UDP sockets of one family, one that discovers and one that is punched from.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::{PathConfig, PathVerdict, ProbeConfig, ProbeEvent};
use crate::link::stun::{Body, Discovery, Due, Message, Outgoing, Request, Transaction};
use crate::machine::datagram::Transmit;
use crate::machine::ids::PortId;
use crate::machine::outbox::Outbox;
use crate::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use crate::machine::{Cx, Deadline};

/// What a socket of a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Discovery,
    Punching,
}

#[derive(Debug)]
pub(super) struct Path {
    config: PathConfig,
    discovering: Option<Socket>,
    punching: Option<Socket>,
    discovery: Option<Discovery>,
    /// What came of discovery, and whether it was told.
    discovered: Option<(PathVerdict, bool)>,
    binding: Option<Transaction>,
    /// Whether there is nothing more to learn of our address, and whether that was told.
    gathered: Option<bool>,
    own: Option<IpAddr>,
    reflexive: Option<SocketAddr>,
}

/// A UDP socket.
#[derive(Debug)]
struct Socket {
    port: PortId,
    /// Where it is bound, once it is.
    local: Option<SocketAddr>,
}

impl Socket {
    fn open(cx: &mut Cx<'_>, bind: SocketAddr, requests: &mut VecDeque<(PortId, PortRequest)>) -> Self {
        let port = cx.ids.port();
        requests.push_back((port, PortRequest::Open(PortSpec::Bind(bind))));
        Self { port, local: None }
    }

    /// What does not fit is lost, as on a network.
    fn send(&self, outgoing: Outgoing, outbox: &mut Outbox) {
        let Outgoing { to, bytes } = outgoing;
        outbox.push(self.port, Transmit::to(to, bytes.len()), bytes);
    }
}

impl Path {
    /// Opens its sockets: that for discovery if there is a server, that for punching if `punches`.
    pub(super) fn open(
        cx: &mut Cx<'_>,
        config: PathConfig,
        punches: bool,
        requests: &mut VecDeque<(PortId, PortRequest)>,
    ) -> Self {
        let punching = punches.then(|| Socket::open(cx, config.bind, requests));
        let any_port = SocketAddr::new(config.bind.ip(), 0);
        let discovering = config.stun.map(|_| Socket::open(cx, any_port, requests));
        Self {
            config,
            discovered: discovering.is_none().then_some((PathVerdict::NotAsked, false)),
            gathered: punching.is_none().then_some(true),
            discovering,
            punching,
            discovery: None,
            binding: None,
            own: None,
            reflexive: None,
        }
    }

    pub(super) fn role(&self, port: PortId) -> Option<Role> {
        let is = |socket: &Option<Socket>| socket.as_ref().is_some_and(|socket| socket.port == port);
        if is(&self.discovering) {
            return Some(Role::Discovery);
        }
        is(&self.punching).then_some(Role::Punching)
    }

    pub(super) fn on_port(
        &mut self,
        cx: &mut Cx<'_>,
        role: Role,
        change: &PortChange,
        config: &ProbeConfig,
        outbox: &mut Outbox,
    ) {
        match (change, role) {
            (PortChange::Opened { local, .. }, _) => self.opened(cx, role, *local, config, outbox),
            (PortChange::Failed(error), Role::Discovery) => self.no_discovery(*error),
            (PortChange::Failed(_), Role::Punching) => {
                (self.punching, self.binding) = (None, None);
                self.gathered.get_or_insert(false);
            }
            _ => {}
        }
    }

    fn no_discovery(&mut self, error: PortError) {
        (self.discovering, self.discovery) = (None, None);
        self.discovered.get_or_insert((PathVerdict::NoSocket(error), false));
    }

    fn opened(
        &mut self,
        cx: &mut Cx<'_>,
        role: Role,
        local: Option<SocketAddr>,
        config: &ProbeConfig,
        outbox: &mut Outbox,
    ) {
        let local = local.unwrap_or(self.config.bind);
        if let Some(socket) = self.socket(role) {
            socket.local = Some(local);
        }
        match (self.config.stun, role) {
            (Some(server), Role::Discovery) => {
                self.discovery = Some(Discovery::new(cx.now, cx.rng, server, local, config.discovery));
            }
            (Some(server), Role::Punching) => {
                let request = Request::default();
                self.binding = Some(Transaction::new(cx.now, cx.rng, server, &request, config.binding));
            }
            (None, _) => self.gathered = Some(false),
        }
        self.on_timeout(cx, outbox);
    }

    /// Takes in what is of discovery or answers our request for our address. False: it is not.
    pub(super) fn receive(
        &mut self,
        cx: &mut Cx<'_>,
        role: Role,
        source: SocketAddr,
        to: Option<IpAddr>,
        data: &[u8],
        outbox: &mut Outbox,
    ) -> bool {
        match role {
            Role::Discovery => self.on_discovery(cx, source, to, data, outbox),
            Role::Punching => self.on_binding(source, to, data),
        }
    }

    fn on_discovery(
        &mut self,
        cx: &mut Cx<'_>,
        source: SocketAddr,
        to: Option<IpAddr>,
        data: &[u8],
        outbox: &mut Outbox,
    ) -> bool {
        let (Some(discovery), Some(socket)) = (&mut self.discovery, &mut self.discovering) else { return false };
        let taken = discovery.receive(cx.now, cx.rng, source, to, data, &mut |outgoing| socket.send(outgoing, outbox));
        self.note_discovery();
        taken
    }

    fn on_binding(&mut self, source: SocketAddr, to: Option<IpAddr>, data: &[u8]) -> bool {
        let Some(binding) = self.binding.as_ref().filter(|binding| binding.to() == source) else { return false };
        let Ok(message) = Message::parse(data) else { return false };
        if !binding.is_of(&message) {
            return false;
        }
        if let Body::Success(success) = message.body {
            (self.reflexive, self.own) = (success.mapped, to);
        }
        (self.binding, self.gathered) = (None, Some(false));
        true
    }

    pub(super) fn on_timeout(&mut self, cx: &mut Cx<'_>, outbox: &mut Outbox) {
        if let (Some(discovery), Some(socket)) = (&mut self.discovery, &mut self.discovering) {
            discovery.on_timeout(cx.now, cx.rng, &mut |outgoing| socket.send(outgoing, outbox));
            self.note_discovery();
        }
        let (Some(binding), Some(socket)) = (&mut self.binding, &mut self.punching) else { return };
        match binding.poll(cx.now) {
            Due::Nothing => {}
            Due::Send => socket.send(Outgoing { to: binding.to(), bytes: binding.request().to_vec() }, outbox),
            Due::GaveUp => (self.binding, self.gathered) = (None, Some(false)),
        }
    }

    fn note_discovery(&mut self) {
        if let Some(discovered) = self.discovery.as_ref().and_then(Discovery::ended) {
            self.discovered.get_or_insert((PathVerdict::Asked(discovered), false));
            self.discovery = None;
        }
    }

    /// Says what has become known and was not told.
    pub(super) fn tell(&mut self, path: usize, events: &mut VecDeque<ProbeEvent>) {
        if let Some((verdict, told @ false)) = &mut self.discovered {
            *told = true;
            events.push_back(ProbeEvent::Discovered { path, verdict: *verdict });
        }
        if let Some(told @ false) = &mut self.gathered {
            *told = true;
            events.push_back(ProbeEvent::Gathered { path, reflexive: self.reflexive });
        }
    }

    pub(super) const fn is_gathered(&self) -> bool {
        self.gathered.is_some()
    }

    pub(super) const fn is_discovered(&self) -> bool {
        self.discovered.is_some()
    }

    pub(super) fn verdict(&self) -> PathVerdict {
        self.discovered.map_or(PathVerdict::NotAsked, |(verdict, _)| verdict)
    }

    /// Whether its socket for punching is of IPv4, if it has one.
    pub(super) fn punching(&self) -> Option<bool> {
        self.punching.as_ref().map(|_| self.config.bind.is_ipv4())
    }

    pub(super) const fn reflexive(&self) -> Option<SocketAddr> {
        self.reflexive
    }

    /// The addresses of its socket for punching, as this host knows them; `hosts` are those of all families.
    pub(super) fn own<'a>(&self, hosts: &'a [IpAddr]) -> impl Iterator<Item = SocketAddr> + use<'a> {
        let local = self.punching.as_ref().and_then(|socket| socket.local);
        let bound = local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
        let others: &[IpAddr] = if bound.is_some() { &[] } else { hosts };
        let is_v4 = self.config.bind.is_ipv4();
        let ips = bound.into_iter().chain(self.own).chain(others.iter().copied());
        let ips = ips.filter(move |ip| ip.is_ipv4() == is_v4 && !ip.is_unspecified());
        ips.filter_map(move |ip| Some(SocketAddr::new(ip, local?.port())))
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let binding = self.binding.as_ref().map(|binding| Deadline::new(binding.deadline(), "our address outside"));
        let discovery = self.discovery.as_ref().and_then(Discovery::deadline);
        binding.into_iter().chain(discovery).min_by_key(|deadline| deadline.at)
    }

    pub(super) fn send(&mut self, role: Role, outgoing: Outgoing, outbox: &mut Outbox) {
        if let Some(socket) = self.socket(role) {
            socket.send(outgoing, outbox);
        }
    }

    pub(super) fn close(&mut self, requests: &mut VecDeque<(PortId, PortRequest)>, outbox: &mut Outbox) {
        for socket in [self.discovering.take(), self.punching.take()].into_iter().flatten() {
            outbox.forget(socket.port);
            requests.push_back((socket.port, PortRequest::Abort));
        }
    }

    const fn socket(&mut self, role: Role) -> Option<&mut Socket> {
        match role {
            Role::Discovery => self.discovering.as_mut(),
            Role::Punching => self.punching.as_mut(),
        }
    }
}
