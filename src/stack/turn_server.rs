//! A TURN server (RFC 8656) over UDP, for relays of one's own and for worlds.
//!
//! The protocol is the engine of `turn-server-proto`. Each client, that is each address that asks, has an engine of its
//! own: an engine never forgets an address that it has given a nonce, so one for all would grow with every forged
//! source. A client without an allocation is forgotten after a silence, or when too many others ask; it loses no more
//! than its nonce and learns a new one by 438.
//!
//! *What is added to the engine*: quotas (486, 508), bounds of permissions and channels (508), channels bound to one
//! peer only (400), no relaying to loopback, unspecified and multicast addresses (403), the same answer to an Allocate
//! that comes again (RFC 8656, section 7.2), and answers to Binding, which the engine addresses to itself.
//!
//! *What is left out*: clients over TCP, TLS and DTLS, and peers over TCP (RFC 6062); EVEN-PORT, RESERVATION-TOKEN and
//! DONT-FRAGMENT, which the engine reads and does not heed; ICMP. The engine gives an allocation no less than ten
//! minutes, whatever lifetime is asked for.
//!
//! *Ports*: one for the listener and one for each relayed address, all opened by [`PortSpec::Bind`]. What waits on a
//! port is bounded; what does not fit, and what the protocol has no use for, is dropped and counted.
//!
//! # Determinism
//!
//! The engine draws from the system, past [`Cx`]: the last 16 letters of each nonce, the transaction ids of Data
//! indications, and the keys of hash tables that are looked up and never iterated. These have always the same size and
//! decide nothing, so that times, sizes, addresses and events follow from the seed; bytes do not.

mod allocating;
mod client;
mod config;
mod deadlines;
mod peers;
mod request;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use turn_server_proto::api::SocketAllocateError;
use turn_server_proto::types::message::REFRESH;

use crate::machine::buf::Buf;
use crate::machine::datagram::Transmit;
use crate::machine::ids::{PortId, Table};
use crate::machine::outbox::Outbox;
use crate::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use crate::machine::time::Instant;
use crate::machine::{Cx, Fill, Input, Machine, Output};
use client::{Asking, Client, Outgoing};
use deadlines::{Deadlines, Due};
use request::{Request, Users};

pub use config::{Misbehaviour, TurnServerConfig, User};

/// More than this of a peer's datagram may not fit a Data indication, whose length has 16 bits.
const LARGEST: usize = 65_000;

const MOMENT: Duration = Duration::from_nanos(1);

/// What a [`TurnServer`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnServerEvent {
    /// It serves at that address.
    Listening(SocketAddr),
    /// It can't listen, or no longer: all allocations are gone.
    Failed(PortError),
    /// A client has an allocation with that relayed address.
    Allocated {
        /// The client, as the server sees it.
        client: SocketAddr,
        /// Its relayed address.
        relayed: SocketAddr,
        /// Whose credentials it has.
        user: String,
    },
    /// A relayed address is gone: given back, expired, or its port has failed.
    Released {
        /// The client that had it.
        client: SocketAddr,
        /// The relayed address.
        relayed: SocketAddr,
    },
}

/// What a [`TurnServer`] has passed on and dropped since it was made, in datagrams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnServerStatistics {
    /// From clients to peers.
    pub to_peers: u64,
    /// From peers to clients.
    pub to_clients: u64,
    /// Dropped: from a client and good for nothing, that is no STUN, an unknown channel, no permission for the peer.
    pub useless: u64,
    /// Dropped: from a peer that the client has no permission for.
    pub unwanted: u64,
    /// Dropped: larger than an indication can carry, or empty.
    pub unfit: u64,
    /// Dropped: too much waited on the port.
    pub overflows: u64,
    /// Dropped: an Allocate that came again while it was being served.
    pub repeats: u64,
    /// Dropped because of [`Misbehaviour::Silent`].
    pub silenced: u64,
    /// Allocations refused by 486.
    pub over_quota: u64,
    /// Allocations refused by 508.
    pub over_capacity: u64,
    /// Clients without an allocation that were forgotten for the sake of others.
    pub evicted: u64,
}

/// Serves TURN to clients over UDP. It does nothing until [`Self::listen`].
#[derive(Debug)]
pub struct TurnServer {
    config: TurnServerConfig,
    users: Users,
    listener: Option<PortId>,
    /// Where it listens, once it does.
    address: Option<SocketAddr>,
    clients: BTreeMap<SocketAddr, Client>,
    relays: Table<PortId, Relay>,
    deadlines: Deadlines,
    outbox: Outbox,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<TurnServerEvent>,
    misbehaviour: Option<Misbehaviour>,
    statistics: TurnServerStatistics,
}

#[derive(Debug)]
struct Relay {
    client: SocketAddr,
    /// None: its port is not open yet.
    address: Option<SocketAddr>,
}

impl TurnServer {
    /// A server that behaves.
    pub fn new(config: TurnServerConfig) -> Self {
        Self {
            users: Users::new(&config.realm, &config.users),
            outbox: Outbox::new(config.queue),
            config,
            listener: None,
            address: None,
            clients: BTreeMap::new(),
            relays: Table::new(),
            deadlines: Deadlines::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            misbehaviour: None,
            statistics: TurnServerStatistics::default(),
        }
    }

    /// Opens the listener on an address of this host, which must not be the unspecified one: clients are answered from
    /// it. Whatever the server did before ends.
    pub fn listen(&mut self, cx: &mut Cx<'_>, address: SocketAddr) {
        self.close();
        let port = cx.ids.port();
        self.requests.push_back((port, PortRequest::Open(PortSpec::Bind(address))));
        self.listener = Some(port);
    }

    /// Forgets all clients and closes all ports.
    pub fn close(&mut self) {
        for client in self.clients.keys().copied().collect::<Vec<_>>() {
            self.lose(client);
        }
        if let Some(port) = self.listener {
            self.abort(port);
        }
        self.listener = None;
        self.address = None;
    }

    /// From now on the server misbehaves like that, or behaves. What it has granted stays.
    pub const fn misbehave(&mut self, misbehaviour: Option<Misbehaviour>) {
        self.misbehaviour = misbehaviour;
    }

    /// How it misbehaves now.
    pub const fn misbehaviour(&self) -> Option<Misbehaviour> {
        self.misbehaviour
    }

    /// What it has passed on and dropped.
    pub const fn statistics(&self) -> TurnServerStatistics {
        self.statistics
    }

    /// How many clients have an allocation or wait for one.
    pub fn allocations(&self) -> usize {
        self.clients.len() - self.strangers()
    }

    /// How many clients have asked and have no allocation.
    pub fn strangers(&self) -> usize {
        self.deadlines.silent().0
    }

    fn on_datagram(&mut self, cx: &mut Cx<'_>, port: PortId, source: SocketAddr, data: &[u8]) {
        if self.misbehaviour == Some(Misbehaviour::Silent) {
            self.statistics.silenced += 1;
        } else if data.is_empty() || data.len() > LARGEST {
            self.statistics.unfit += 1;
        } else if self.listener == Some(port) {
            self.on_client(cx, source, data);
        } else {
            self.on_peer(cx.now, port, source, data);
        }
    }

    fn on_peer(&mut self, now: Instant, port: PortId, peer: SocketAddr, data: &[u8]) {
        let Some(&Relay { client, address: Some(relayed) }) = self.relays.get(port) else { return };
        let Some(state) = self.clients.get_mut(&client) else { return };
        match state.receive(now, peer, relayed, data) {
            Some(out) => {
                self.statistics.to_clients += 1;
                self.send(client, out);
            }
            None => self.statistics.unwanted += 1,
        }
    }

    fn on_client(&mut self, cx: &mut Cx<'_>, client: SocketAddr, data: &[u8]) {
        let Some(listen) = self.address else { return };
        match Request::parse(data) {
            Some(request) => self.on_request(cx, listen, client, &request, data),
            None => {
                let out = self.clients.get_mut(&client).and_then(|state| state.receive(cx.now, client, listen, data));
                self.send_or_count(client, out);
            }
        }
    }

    fn on_request(
        &mut self,
        cx: &mut Cx<'_>,
        listen: SocketAddr,
        client: SocketAddr,
        request: &Request<'_>,
        data: &[u8],
    ) {
        if request.is_binding() {
            return self.answer(client, request.mapped(client));
        }
        match self.misbehaviour {
            Some(Misbehaviour::AlwaysUnauthorized) => {
                self.answer_anew(cx.now, listen, client, &request.without_credentials());
            }
            Some(Misbehaviour::AlwaysStaleNonce) => self.answer_anew(cx.now, listen, client, data),
            _ => self.serve(cx, listen, client, request, data),
        }
    }

    /// Answers as an engine does that knows nobody and has given no nonce yet.
    fn answer_anew(&mut self, now: Instant, listen: SocketAddr, client: SocketAddr, data: &[u8]) {
        let mut engine = client::engine(&self.config, now, listen, client);
        let out = client::receive(&mut engine, now, client, listen, data);
        self.send_or_count(client, out);
    }

    fn serve(&mut self, cx: &mut Cx<'_>, listen: SocketAddr, client: SocketAddr, request: &Request<'_>, data: &[u8]) {
        self.meet(cx.now, listen, client);
        let signer = self.users.signer(request).map(|(signer, user)| (signer, user.clone()));
        let Some(state) = self.clients.get_mut(&client) else { return };
        if request.is_allocate() {
            if state.asking.is_some() {
                self.statistics.repeats += 1;
                return;
            }
            if let Some(again) = state.answer_again(request) {
                return self.answer(client, Some(again));
            }
        }
        if let Some((signer, user)) = &signer {
            state.introduce(user);
            if let Some(code) = state.peers.refuse(cx.now, request, self.config.permissions) {
                return self.answer(client, request::refusal(request.method(), request.transaction(), code, signer));
            }
        }
        let out = self.ask_engine(cx.now, listen, client, request, data);
        let asking = signer.map(|(signer, user)| Asking::new(request.transaction(), signer, user.name));
        self.settle(cx, client, asking);
        if out.is_some() || !request.is_allocate() {
            self.send_or_count(client, out);
        }
    }

    /// A client that asks is known from now on; if too many are strangers, one of them is forgotten for it.
    fn meet(&mut self, now: Instant, listen: SocketAddr, client: SocketAddr) {
        if self.clients.contains_key(&client) {
            return;
        }
        let (strangers, oldest) = self.deadlines.silent();
        if strangers >= self.config.strangers.max(1)
            && let Some(oldest) = oldest
        {
            self.statistics.evicted += 1;
            self.lose(oldest);
        }
        self.clients.insert(client, Client::new(&self.config, now, listen, client));
        self.deadlines.set(client, Some((Due::Silence, now + self.config.stranger_time.max(MOMENT))));
    }

    fn ask_engine(
        &mut self,
        now: Instant,
        listen: SocketAddr,
        client: SocketAddr,
        request: &Request<'_>,
        data: &[u8],
    ) -> Option<Outgoing> {
        let state = self.clients.get_mut(&client)?;
        let is_signed_refresh = request.method() == REFRESH && request.is_signed();
        if self.misbehaviour == Some(Misbehaviour::StaleNonceOnRefresh) && is_signed_refresh {
            self.misbehaviour = None;
            return state.receive_late(now, data);
        }
        let out = state.receive(now, client, listen, data);
        if out.as_ref().is_some_and(|(.., answer)| request::is_success(answer)) {
            state.peers.allow(now, request);
        }
        out
    }

    fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: PortChange) {
        match change {
            PortChange::Opened { local: Some(local), .. } if self.listener == Some(port) => {
                self.address = Some(local);
                self.events.push_back(TurnServerEvent::Listening(local));
            }
            PortChange::Failed(error) if self.listener == Some(port) => {
                self.listener = None;
                self.close();
                self.events.push_back(TurnServerEvent::Failed(error));
            }
            PortChange::Opened { local: Some(local), .. } => self.on_relay(cx, port, Ok(local)),
            PortChange::Failed(_) => self.on_relay(cx, port, Err(SocketAllocateError::InsufficientCapacity)),
            _ => {}
        }
    }

    fn on_relay(&mut self, cx: &mut Cx<'_>, port: PortId, result: Result<SocketAddr, SocketAllocateError>) {
        let Some(relay) = self.relays.get_mut(port) else { return };
        let (client, was_open) = (relay.client, relay.address.is_some());
        relay.address = result.ok();
        if result.is_err() {
            self.relays.remove(port);
            self.outbox.forget(port);
        }
        if was_open {
            // The engine can't be told that a socket of its own has failed.
            return self.lose(client);
        }
        let asking = self.clients.get_mut(&client).and_then(|state| state.asking.as_mut());
        let mut families = asking.into_iter().flat_map(|asking| &mut asking.families);
        if let Some(asked) = families.find(|asked| asked.port == Some(port)) {
            asked.result = Some(result);
        }
        self.settle(cx, client, None);
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        while let Some((due, client)) = self.deadlines.take_due(cx.now) {
            match due {
                Due::Expiry => self.settle(cx, client, None),
                Due::Silence => self.lose(client),
            }
        }
    }

    fn send_or_count(&mut self, client: SocketAddr, out: Option<Outgoing>) {
        match out {
            Some(out) => self.send(client, out),
            None => self.statistics.useless += 1,
        }
    }

    /// Sends what an engine made: to its client by the listener, to a peer by a relayed port.
    fn send(&mut self, client: SocketAddr, (from, to, bytes): Outgoing) {
        let relays = self.clients.get(&client).map(|state| state.relays.as_slice()).unwrap_or_default();
        match relays.iter().find(|(address, _)| *address == from) {
            None => self.answer(client, Some(bytes)),
            Some(_) if bytes.is_empty() => self.statistics.unfit += 1,
            Some(&(_, port)) => {
                let sent = self.queue(port, to, bytes);
                self.statistics.to_peers += u64::from(sent);
                self.statistics.overflows += u64::from(!sent);
            }
        }
    }

    fn answer(&mut self, client: SocketAddr, bytes: Option<Vec<u8>>) {
        let (Some(port), Some(bytes)) = (self.listener, bytes) else { return };
        self.statistics.overflows += u64::from(!self.queue(port, client, bytes));
    }

    /// False: it does not fit.
    fn queue(&mut self, port: PortId, to: SocketAddr, bytes: Vec<u8>) -> bool {
        self.outbox.push(port, Transmit::to(to, bytes.len()), bytes)
    }
}

impl Machine for TurnServer {
    /// None: the owner calls its methods.
    type Command = Infallible;
    type Event = TurnServerEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Infallible>) {
        match input {
            Input::Timeout => self.on_timeout(cx),
            Input::Datagram(port, datagram) => self.on_datagram(cx, port, datagram.source, datagram.data),
            Input::Port(port, change) => self.on_port(cx, port, change),
            Input::Receive(..) => {}
            Input::Command(never) => match never {},
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<TurnServerEvent> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        match self.outbox.pop_ready() {
            Some(port) => Output::Ready(port),
            None => Output::Wait(self.deadlines.earliest()),
        }
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.outbox.fill(port, buf)
    }
}
