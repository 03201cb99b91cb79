//! Gathering: the sockets below ICE, and what the world sees of them (RFC 8445, section 5.1).
//!
//! A [`Gatherer`] is a plain structure without a protocol above it: it opens sockets, learns what they look like from
//! outside, has addresses relayed, and tells all this as [`Candidate`]s. Any ICE agent can stand on it, and any number
//! of peers share it: sockets and allocations are there once, whoever uses them. Its owner hands it what comes on
//! its ports and carries its requests out.
//!
//! # How it works
//!
//! *Addresses.* The host's own addresses come from a port of their own ([`PortSpec::Addresses`]). Each that is usable
//! has one UDP socket, bound to it, so that the address that something leaves from is never a guess. Not usable are the
//! unspecified address, multicast and link-local ones, and loopback ones while there is any other. When the list
//! changes, sockets are opened and closed within the same call.
//!
//! *Server-reflexive* addresses are what STUN servers see (RFC 8489): each socket asks one address of each server, of
//! its own family. Only an answer of the right transaction from the right source counts. One that equals an own address
//! is no candidate, and two servers that see the same make one candidate.
//!
//! *Relayed* addresses are TURN's (RFC 8656), asked for by UDP from each socket, or by a TCP or TLS connection of its
//! own. What a peer sends to them comes back unwrapped as [`Inbound`], what is sent from them is wrapped. Nothing passes
//! before [`Gatherer::permit`], which counts its users. What was lost (a restart of the server, a connection that broke)
//! is allocated anew; what never worked is tried again only when the network changes or a new peer
//! [asks](Gatherer::refresh).
//!
//! *Policy.* Kinds of candidates that are not allowed are never given out, and gathered only as far as others need
//! them: with relayed ones alone no STUN server is asked, and the sockets are there for TURN. What a candidate is
//! related to is left out (`0.0.0.0:9`, as browsers do) where it would tell an address that may not be told.
//!
//! *Mapping.* Whether NATs give each destination a port of its own is seen by comparing what two servers say to the same
//! socket; where there is one only, its other address (RFC 5780, OTHER-ADDRESS) is asked once too.
//!
//! *Done* is told when every server has answered or failed, and again after each change of the network or of the
//! servers.
//!
//! # Bounds
//!
//! All are in [`GatherConfig`]. What does not fit into a socket's queue is dropped and counted, as a network drops it;
//! what servers send and no rule allows costs a counter.

mod addresses;
mod config;
mod connection;
mod host;
mod local;
mod relay;
mod relays;
#[cfg(feature = "tls")]
mod seal;
#[cfg(not(feature = "tls"))]
#[path = "gather/seal_without_tls.rs"]
mod seal;
mod server;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use crate::link::stun::{Body, Message};
use crate::link::turn::Received;
use crate::machine::buf::Buf;
use crate::machine::datagram::{Datagram, Ecn, Transmit};
use crate::machine::ids::PortId;
use crate::machine::outbox::Outbox;
use crate::machine::port::{Addrs, PortChange, PortRequest, PortSpec};
use crate::machine::queue::ReadyList;
use crate::machine::{Cx, Deadline, Fill};
use crate::wire::candidate::Candidate;
use crate::wire::ice_server::IceServer;
use crate::wire::outlook::Outlook;
pub use config::{GatherConfig, GatherCounters};
use host::Host;
use local::Local;
use relay::Relay;
use server::{Giver, Servers};
pub use server::{ServerError, ServerState};

/// What a [`Gatherer`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatherEvent {
    /// A local candidate is there.
    Candidate(Candidate),
    /// A candidate that was told is no longer: its address or its allocation has gone.
    Lost(Candidate),
    /// What is sent from that relayed address to that peer's address passes from now on, and back.
    Permitted {
        /// Our relayed address.
        relayed: SocketAddr,
        /// The peer's address; all its ports.
        peer: IpAddr,
    },
    /// The server does not let that relayed address send to that peer's address.
    Refused {
        /// Our relayed address.
        relayed: SocketAddr,
        /// The peer's address.
        peer: IpAddr,
    },
    /// Every server has answered or failed; comes again after each change of the network or of the servers.
    Done,
}

/// A datagram for ICE.
#[derive(Debug)]
pub struct Inbound<'a> {
    /// Where it came to: the address of a host's socket, or a relayed one.
    pub local: SocketAddr,
    /// Who sent it; for a relayed address the peer, not the server.
    pub source: SocketAddr,
    /// What the network says about congestion.
    pub ecn: Option<Ecn>,
    /// Its payload.
    pub data: &'a mut [u8],
}

/// The sockets below ICE. It does nothing until [`Self::start`].
#[derive(Debug)]
pub struct Gatherer {
    config: GatherConfig,
    started: bool,
    list: Option<PortId>,
    known: Option<Addrs>,
    hosts: Vec<Host>,
    relays: Vec<Relay>,
    /// Sockets that send what they still owe.
    closing: Vec<PortId>,
    servers: Servers,
    locals: Vec<Local>,
    told_done: bool,
    next: Option<Deadline>,
    revision: u64,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<GatherEvent>,
    outbox: Outbox,
    ready: ReadyList<PortId>,
    counters: GatherCounters,
}

impl Gatherer {
    /// A gatherer that has opened nothing.
    pub fn new(config: GatherConfig) -> Self {
        let mut servers = Servers::default();
        servers.set(Giver::Config, &config.servers);
        Self {
            outbox: Outbox::new(config.queue),
            config,
            started: false,
            list: None,
            known: None,
            hosts: Vec::new(),
            relays: Vec::new(),
            closing: Vec::new(),
            servers,
            locals: Vec::new(),
            told_done: false,
            next: None,
            revision: 0,
            requests: VecDeque::new(),
            events: VecDeque::new(),
            ready: ReadyList::new(),
            counters: GatherCounters::default(),
        }
    }

    /// Opens the list of own addresses and what follows from it. Again: nothing.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        if self.started {
            return;
        }
        self.started = true;
        let port = cx.ids.port();
        self.requests.push_back((port, PortRequest::Open(PortSpec::Addresses)));
        self.list = Some(port);
        self.servers.resolve(cx, &mut self.requests);
        self.settle(cx);
    }

    /// Gives allocations back and closes all ports. Candidates that were told are lost without a word.
    pub fn stop(&mut self, cx: &mut Cx<'_>) {
        for mut relay in std::mem::take(&mut self.relays) {
            self.let_go(cx, &mut relay);
        }
        for port in self.list.take().into_iter().chain(self.servers.give_up()) {
            self.requests.push_back((port, PortRequest::Abort));
        }
        for host in std::mem::take(&mut self.hosts) {
            self.close(&host);
        }
        self.locals.clear();
        self.events.clear();
        (self.started, self.known, self.told_done, self.next) = (false, None, false, None);
        self.revision += 1;
    }

    /// Replaces the servers that `from` gave, whoever that is; those that the configuration names stay.
    pub fn set_servers(&mut self, cx: &mut Cx<'_>, from: u64, servers: &[IceServer]) {
        if self.servers.set(Giver::Other(from), servers) {
            self.told_done = false;
        }
        self.revision += 1;
        if self.started {
            self.servers.resolve(cx, &mut self.requests);
            self.settle(cx);
        }
    }

    /// Asks anew what may have changed unseen: addresses outside that are older than 15 s, servers that failed, sockets
    /// that could not be opened. To be called when a new peer starts.
    pub fn refresh(&mut self, cx: &mut Cx<'_>) {
        if !self.started {
            return;
        }
        self.servers.resolve_again(cx, &mut self.requests);
        for host in &mut self.hosts {
            host.refresh(cx, self.config.retransmission);
        }
        for relay in &mut self.relays {
            relay.refresh(cx);
        }
        self.follow_addresses(cx);
        self.settle(cx);
    }

    /// The candidates that were told and not lost.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.locals.iter().map(|local| &local.candidate)
    }

    /// What [`Self::send`] takes as `local` for a candidate: the address of the socket behind it, or the relayed address
    /// itself.
    pub fn base(&self, candidate: &Candidate) -> Option<SocketAddr> {
        let of =
            |local: &&Local| (local.candidate.kind, local.candidate.address) == (candidate.kind, candidate.address);
        self.locals.iter().find(of).map(|local| local.base)
    }

    /// The port of the socket that sends from there; none: it is a relayed address, or not ours.
    pub fn port_at(&self, local: SocketAddr) -> Option<PortId> {
        self.hosts.iter().find(|host| host.local == Some(local)).map(|host| host.port)
    }

    /// Whether that port is one of its own.
    pub fn owns(&self, port: PortId) -> bool {
        let is_relays = self.relays.iter().any(|relay| relay.own_port() == Some(port));
        let is_hosts = self.hosts.iter().any(|host| host.port == port);
        self.list == Some(port) || is_hosts || is_relays || self.servers.owns(port) || self.closing.contains(&port)
    }

    /// Takes in what became of a port.
    pub fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: PortChange) {
        if self.list == Some(port) {
            self.on_list(cx, change);
        } else if self.servers.owns(port) {
            self.servers.on_port(port, change);
        } else if let Some(at) = self.hosts.iter().position(|host| host.port == port) {
            self.on_host(cx, at, change);
        } else if let Some(at) = self.relays.iter().position(|relay| relay.own_port() == Some(port)) {
            self.on_connection(cx, at, change);
        } else if matches!(change, PortChange::Closed | PortChange::Failed(_)) {
            self.closing.retain(|closing| *closing != port);
            self.outbox.forget(port);
        }
        self.settle(cx);
    }

    /// Takes in a datagram. What is for ICE is handed back, unwrapped.
    pub fn on_datagram<'a>(&mut self, cx: &mut Cx<'_>, port: PortId, datagram: Datagram<'a>) -> Option<Inbound<'a>> {
        let at = self.hosts.iter().position(|host| host.port == port)?;
        let Datagram { source, ecn, data, .. } = datagram;
        if self.hosts[at].asks(source) && self.on_stun(cx, at, source, data) {
            return None;
        }
        if let Some(relay) = self.relays.iter_mut().find(|relay| relay.is_over(port, source)) {
            return match relay.receive(cx, data, &mut self.counters) {
                Received::Data(local, source, range) => Some(Inbound { local, source, ecn, data: &mut data[range] }),
                Received::Handled => {
                    self.settle(cx);
                    None
                }
                Received::Unwanted | Received::Useless => None,
            };
        }
        let local = self.hosts[at].local?;
        Some(Inbound { local, source, ecn, data })
    }

    /// Sends from the base of a local candidate: a host's address, or a relayed one. False: there is no such base, no
    /// permission, or no room, and the datagram is dropped.
    pub fn send(&mut self, cx: &mut Cx<'_>, local: SocketAddr, to: SocketAddr, data: &[u8]) -> bool {
        let sent = match self.port_at(local) {
            Some(port) => self.outbox.push(port, Transmit::to(to, data.len()), data.to_vec()),
            None => return self.send_relayed(cx, local, to, data),
        };
        self.counters.overflows += u64::from(!sent);
        sent
    }

    /// Lets a peer's address send to that relayed address, and back. Each call wants one [`Self::forbid`].
    pub fn permit(&mut self, cx: &mut Cx<'_>, relayed: SocketAddr, peer: SocketAddr) {
        let (now, Some(turn)) = (cx.now, self.turn_of(relayed)) else {
            return self.events.push_back(GatherEvent::Refused { relayed, peer: peer.ip() });
        };
        turn.permit(now, cx.rng, peer);
        self.settle(cx);
    }

    /// Undoes one [`Self::permit`]: without a user a permission is no longer refreshed.
    pub fn forbid(&mut self, cx: &mut Cx<'_>, relayed: SocketAddr, peer: SocketAddr) {
        if let Some(turn) = self.turn_of(relayed) {
            turn.forbid(peer);
            self.settle(cx);
        }
    }

    /// Has datagrams between that relayed address and that peer cost four bytes instead of 36: for a pair that is
    /// nominated. It is given up with the permission.
    pub fn bind_channel(&mut self, cx: &mut Cx<'_>, relayed: SocketAddr, peer: SocketAddr) {
        let now = cx.now;
        if let Some(turn) = self.turn_of(relayed) {
            turn.bind_channel(now, cx.rng, peer);
            self.settle(cx);
        }
    }

    /// The next request for a port.
    pub fn poll_request(&mut self) -> Option<(PortId, PortRequest)> {
        self.requests.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<GatherEvent> {
        self.events.pop_front()
    }

    /// The next port that has something to be filled.
    pub fn poll_ready(&mut self) -> Option<PortId> {
        self.ready.pop().or_else(|| self.outbox.pop_ready())
    }

    /// When it wants [`Self::on_timeout`].
    pub const fn deadline(&self) -> Option<Deadline> {
        self.next
    }

    /// Sends again, gives up, refreshes: what is due.
    pub fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.next.is_none_or(|next| next.at > cx.now) {
            return;
        }
        for host in &mut self.hosts {
            host.on_timeout(cx.now, &mut self.outbox);
        }
        self.settle(cx);
    }

    /// Writes what waits for a port: datagrams of one size to one destination in one batch.
    pub fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.fill_connection(cx, port, buf).unwrap_or_else(|| self.outbox.fill(port, buf))
    }

    /// What is known of the ways out.
    pub fn outlook(&self) -> Outlook {
        let (hosts, relays) = (&self.hosts, &self.relays);
        local::outlook(&self.config, hosts, relays, &self.servers, &self.locals, self.is_gathered())
    }

    /// Another number whenever [`Self::outlook`] may be another. What peers send and receive does not change it.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// What was dropped since it was made.
    pub const fn counters(&self) -> GatherCounters {
        self.counters
    }

    /// The servers, and how each fares.
    pub fn server_states(&self) -> impl Iterator<Item = (&IceServer, ServerState)> {
        self.servers.all().iter().map(|server| (&server.given, server.state(&self.hosts, &self.relays)))
    }

    fn on_list(&mut self, cx: &mut Cx<'_>, change: PortChange) {
        match change {
            PortChange::Addresses(list) => {
                self.known = Some(list);
                self.told_done = false;
                self.relays.iter_mut().for_each(Relay::forgive);
                self.follow_addresses(cx);
            }
            PortChange::Failed(_) | PortChange::Closed => {
                // An environment without such a list still has its way to the servers that a peer can be reached by.
                self.list = None;
                self.known.get_or_insert_default();
            }
            _ => {}
        }
    }

    /// Closes the sockets of addresses that are gone, and opens those of new ones.
    fn follow_addresses(&mut self, cx: &mut Cx<'_>) {
        let list = self.known.as_deref().unwrap_or_default();
        let usable = addresses::usable(list, self.config.loopback, self.config.addresses);
        let gone: Vec<_> = self.hosts.extract_if(.., |host| !usable.contains(&host.ip)).collect();
        self.counters.moves += gone.len() as u64;
        for host in gone {
            self.relays.retain(|relay| relay.port() != Some(host.port));
            self.outbox.forget(host.port);
            self.requests.push_back((host.port, PortRequest::Abort));
        }
        self.leave_addresses(cx.now);
        for ip in usable {
            if !self.hosts.iter().any(|host| host.ip == ip) {
                let host = Host::open(cx, SocketAddr::new(ip, self.config.bind_port), &mut self.requests);
                self.hosts.push(host);
                self.counters.moves += 1;
            }
        }
    }

    fn on_host(&mut self, cx: &mut Cx<'_>, at: usize, change: PortChange) {
        match change {
            PortChange::Opened { local, .. } => self.hosts[at].opened(local),
            PortChange::Failed(_) | PortChange::Closed => {
                let host = self.hosts.remove(at);
                self.relays.retain(|relay| relay.port() != Some(host.port));
                self.outbox.forget(host.port);
                if host.local.is_none() && host.bind.port() != 0 {
                    self.hosts.push(Host::open(cx, SocketAddr::new(host.ip, 0), &mut self.requests));
                } else {
                    self.counters.sockets_failed += 1;
                }
            }
            _ => {}
        }
    }

    /// Takes an answer to one of our own questions. False: it is something else, a peer's perhaps.
    fn on_stun(&mut self, cx: &mut Cx<'_>, at: usize, source: SocketAddr, data: &[u8]) -> bool {
        let Ok(message) = Message::parse(data) else { return false };
        if !matches!(message.body, Body::Success(_) | Body::Error { .. }) {
            return false;
        }
        if !self.hosts[at].answered(cx, source, &message, self.config.retransmission) {
            self.counters.useless += 1;
            return false;
        }
        self.settle(cx);
        true
    }

    /// Draws the conclusions of whatever has changed: questions, candidates, events, the next deadline.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        self.revision += 1;
        if self.known.is_none() {
            self.next = None;
            return;
        }
        for host in &mut self.hosts {
            host.ask(cx, &self.config, &self.servers);
            host.on_timeout(cx.now, &mut self.outbox);
        }
        self.follow_servers(cx);
        self.drive_relays(cx);
        let wanted = local::wanted(&self.config, &self.hosts, &self.relays);
        local::replace(&mut self.locals, wanted, &mut self.events);
        if !self.told_done && self.is_gathered() {
            self.told_done = true;
            self.events.push_back(GatherEvent::Done);
        }
        let relays = self.relays.iter().filter_map(Relay::deadline);
        self.next = self.hosts.iter().filter_map(Host::deadline).chain(relays).min_by_key(|deadline| deadline.at);
    }

    fn is_gathered(&self) -> bool {
        let hosts = self.hosts.iter().all(Host::is_gathered);
        self.known.is_some() && !self.servers.is_resolving() && hosts && self.relays.iter().all(Relay::is_settled)
    }

    /// Lets a socket send what it owes.
    fn close(&mut self, host: &Host) {
        let request = if host.local.is_some() { PortRequest::Finish } else { PortRequest::Abort };
        if request == PortRequest::Finish {
            self.closing.push(host.port);
        }
        self.requests.push_back((host.port, request));
    }
}
