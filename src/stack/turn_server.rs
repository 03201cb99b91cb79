//! A TURN server (RFC 8656) for clients over UDP, TCP and TLS, for relays of one's own and for worlds.
//!
//! The protocol is the engine of `turn-server-proto`. Each client, that is each address that asks at one of our ports,
//! has an engine of its own: an engine never forgets an address that it has given a nonce, so one for all would grow
//! with every forged source. A client without an allocation is forgotten after a silence, or when too many others ask;
//! it loses no more than its nonce and learns a new one by 438.
//!
//! *What is added to the engine*: quotas (486, 508), bounds of permissions and channels (508), channels bound to one
//! peer only (400), peers that nobody may reach (403, `forbidden`), time-limited credentials (`users`), a rate for each
//! user, the same answer to an Allocate that comes again (RFC 8656, section 7.2), and answers to Binding, which the
//! engine addresses to itself.
//!
//! *Streams* (`streams`). The engine speaks TCP too, but does not pad ChannelData there (RFC 8656, section 12.5), goes on
//! after what is no message, and has no TLS. So messages are cut out of streams here, and it sees each client as one over UDP that asks at
//! port 0. It refuses TCP behind a relay to such a client (RFC 6062), as it should. When a connection ends, so does its
//! allocation.
//!
//! *Peers*. What a client sends to an address of this server itself reaches another client's relayed port or nobody, and
//! does not leave the server; so two clients of one relay find each other, whatever NAT it is behind, and its host's
//! own services stay out of reach. What is allowed is asked when a permission is given; the engine keeps to that.
//!
//! *What is left out*: DTLS, and peers over TCP (RFC 6062); EVEN-PORT, RESERVATION-TOKEN and DONT-FRAGMENT, which the
//! engine reads and does not heed; ICMP. The engine gives an allocation no less than ten minutes, whatever lifetime is
//! asked for.
//!
//! *Ports*: one for each listener and connection, and one for each relayed address, opened by [`PortSpec::Bind`](crate::machine::port::PortSpec::Bind). What
//! waits on a port is bounded; what does not fit, and what the protocol has no use for, is dropped and counted. Where it
//! listens on an unspecified address, it asks for its host's own addresses ([`PortSpec::Addresses`](crate::machine::port::PortSpec::Addresses)), to forbid them.
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
mod forbidden;
mod listening;
mod peers;
mod relaying;
mod request;
mod seal;
mod statistics;
mod streams;
mod users;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turn_server_proto::api::SocketAllocateError;
use turn_server_proto::types::message::REFRESH;
use turn_server_proto::types::stun::attribute::ErrorCode;

use crate::machine::bucket::Bucket;
use crate::machine::buf::Buf;
use crate::machine::datagram::{Datagram, Transmit};
use crate::machine::ids::{PortId, Table};
use crate::machine::outbox::Outbox;
use crate::machine::port::{PortChange, PortError, PortRequest};
use crate::machine::time::Instant;
use crate::machine::{Cx, Fill, Input, Machine, Output};
use client::{Asking, Client, Outgoing};
use deadlines::{Deadlines, Due};
use request::Request;
use streams::Streams;
use users::Users;

pub use config::{Listener, Misbehaviour, TurnServerConfig};
pub use forbidden::{NotAPrefix, PeerPolicy, Prefix};
pub use statistics::TurnServerStatistics;
pub use users::{TurnSecret, User};

/// More than this of a peer's datagram may not fit a Data indication, whose length has 16 bits.
const LARGEST: usize = 65_000;

const MOMENT: Duration = Duration::from_nanos(1);

/// Users whose rate is remembered beyond those that have an allocation.
const RATES: usize = 4096;

/// What a [`TurnServer`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnServerEvent {
    /// It serves at that address.
    Listening(SocketAddr),
    /// It can't listen at one of its addresses, or no longer: the allocations of those who came by it are gone.
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

/// A client: who asks, and at which of our ports (the 5-tuple of RFC 8656, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Tuple {
    address: SocketAddr,
    /// The listener's, or the connection's.
    port: PortId,
    /// Which of our addresses it asks at, where the listener does not say.
    local: Option<IpAddr>,
}

/// Serves TURN. It does nothing until [`Self::listen`] or [`Self::listen_by`].
#[derive(Debug)]
pub struct TurnServer {
    config: TurnServerConfig,
    users: Users,
    listeners: Table<PortId, Listening>,
    /// Tells this host's own addresses.
    addresses: Option<PortId>,
    own: Vec<IpAddr>,
    streams: Streams,
    clients: BTreeMap<Tuple, Client>,
    relays: Table<PortId, Relay>,
    /// The relayed ports that are open, by the address that peers know.
    relayed: BTreeMap<SocketAddr, PortId>,
    rates: BTreeMap<String, Bucket>,
    deadlines: Deadlines,
    outbox: Outbox,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<TurnServerEvent>,
    misbehaviour: Option<Misbehaviour>,
    statistics: TurnServerStatistics,
}

#[derive(Debug)]
struct Listening {
    kind: Listener,
    /// Where, once it does.
    address: Option<SocketAddr>,
}

#[derive(Debug)]
struct Relay {
    client: Tuple,
    /// By which address peers know it, if not by its own.
    announce: Option<IpAddr>,
    /// None: its port is not open yet.
    address: Option<SocketAddr>,
}

impl TurnServer {
    /// A server that behaves.
    pub fn new(config: TurnServerConfig) -> Self {
        Self {
            users: Users::new(&config.realm, &config.users, config.secret.clone()),
            outbox: Outbox::new(config.queue),
            config,
            listeners: Table::new(),
            addresses: None,
            own: Vec::new(),
            streams: Streams::default(),
            clients: BTreeMap::new(),
            relays: Table::new(),
            relayed: BTreeMap::new(),
            rates: BTreeMap::new(),
            deadlines: Deadlines::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            misbehaviour: None,
            statistics: TurnServerStatistics::default(),
        }
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

    /// How many connections there are over TCP and TLS.
    pub fn connections(&self) -> usize {
        self.streams.len()
    }

    /// How many clients have asked and have no allocation.
    pub fn strangers(&self) -> usize {
        self.deadlines.silent().0
    }

    fn on_datagram(&mut self, cx: &mut Cx<'_>, port: PortId, datagram: &Datagram<'_>) {
        let Some(listening) = self.listeners.get(port) else {
            return self.on_peer_datagram(cx.now, port, datagram.source, datagram.data);
        };
        let is_anywhere = listening.address.is_some_and(|address| address.ip().is_unspecified());
        let local = datagram.destination.filter(|_| is_anywhere);
        self.on_message(cx, Tuple { address: datagram.source, port, local }, datagram.data);
    }

    /// Whether it is to be looked at.
    fn passes(&mut self, data: &[u8]) -> bool {
        let is_fit = !data.is_empty() && data.len() <= LARGEST;
        if self.misbehaviour == Some(Misbehaviour::Silent) {
            self.statistics.silenced += 1;
            return false;
        }
        self.statistics.unfit += u64::from(!is_fit);
        is_fit
    }

    fn on_message(&mut self, cx: &mut Cx<'_>, client: Tuple, data: &[u8]) {
        if !self.passes(data) {
            return;
        }
        let Some(listen) = self.listen_address(client) else { return };
        match Request::parse(data) {
            Some(request) => self.on_request(cx, listen, client, &request, data),
            None => {
                let state = self.clients.get_mut(&client);
                let out = state.and_then(|state| state.receive(cx.now, client.address, listen, data));
                self.send_or_count(cx.now, client, out);
            }
        }
    }

    fn on_request(&mut self, cx: &mut Cx<'_>, listen: SocketAddr, client: Tuple, request: &Request<'_>, data: &[u8]) {
        if request.is_binding() {
            return self.answer(client, request.mapped(client.address));
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
    fn answer_anew(&mut self, now: Instant, listen: SocketAddr, client: Tuple, data: &[u8]) {
        let mut engine = client::engine(&self.config, now, listen, client.address);
        let out = client::receive(&mut engine, now, client.address, listen, data);
        self.send_or_count(now, client, out);
    }

    fn serve(&mut self, cx: &mut Cx<'_>, listen: SocketAddr, client: Tuple, request: &Request<'_>, data: &[u8]) {
        self.meet(cx.now, listen, client);
        let signer = self.users.signer(request);
        let is_forbidden = request.opens() && !self.may_reach_all(request);
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
        if let Some((signer, account)) = &signer {
            if account.has_expired(cx.unix) && !state.holds() {
                self.statistics.expired += 1;
                return self.answer_anew(cx.now, listen, client, &request.without_credentials());
            }
            state.introduce(&account.user);
            self.statistics.forbidden += u64::from(is_forbidden);
            let forbidden = is_forbidden.then_some(ErrorCode::FORBIDDEN);
            if let Some(code) = forbidden.or_else(|| state.peers.refuse(cx.now, request, self.config.permissions)) {
                return self.answer(client, request::refusal(request.method(), request.transaction(), code, signer));
            }
        }
        let out = self.ask_engine(cx.now, listen, client, request, data);
        let asking = signer.map(|(signer, account)| Asking::new(request.transaction(), signer, account.name));
        self.settle(cx, client, asking);
        if out.is_some() || !request.is_allocate() {
            self.send_or_count(cx.now, client, out);
        }
    }

    /// A client that asks is known from now on; if too many are strangers, one of them is forgotten for it.
    fn meet(&mut self, now: Instant, listen: SocketAddr, client: Tuple) {
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
        self.clients.insert(client, Client::new(&self.config, now, listen, client.address));
        self.deadlines.set(client, Some((Due::Silence, now + self.config.stranger_time.max(MOMENT))));
    }

    fn ask_engine(
        &mut self,
        now: Instant,
        listen: SocketAddr,
        client: Tuple,
        request: &Request<'_>,
        data: &[u8],
    ) -> Option<Outgoing> {
        let state = self.clients.get_mut(&client)?;
        let is_signed_refresh = request.method() == REFRESH && request.is_signed();
        if self.misbehaviour == Some(Misbehaviour::StaleNonceOnRefresh) && is_signed_refresh {
            self.misbehaviour = None;
            return state.receive_late(now, data);
        }
        let out = state.receive(now, client.address, listen, data);
        if out.as_ref().is_some_and(|(.., answer)| request::is_success(answer)) {
            state.peers.allow(now, request);
        }
        out
    }

    fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: PortChange) {
        if self.listeners.contains(port) {
            return self.on_listener(cx.now, port, change);
        }
        match change {
            PortChange::Addresses(addresses) if self.addresses == Some(port) => self.own = addresses.into_vec(),
            PortChange::Failed(_) if self.addresses == Some(port) => self.addresses = None,
            PortChange::Opened { local: Some(local), .. } if self.relays.contains(port) => {
                self.on_relay(cx, port, Ok(local));
            }
            PortChange::Failed(_) if self.relays.contains(port) => {
                self.on_relay(cx, port, Err(SocketAllocateError::InsufficientCapacity));
            }
            change => self.on_connection(cx.now, port, &change),
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        while let Some((due, client)) = self.deadlines.take_due(cx.now) {
            match due {
                Due::Expiry => self.settle(cx, client, None),
                Due::Silence => self.lose(client),
            }
        }
        self.on_connection_timeouts(cx.now);
        if self.rates.len() > RATES {
            let holders: BTreeSet<_> = self.clients.values().filter_map(Client::holder).collect();
            self.rates.retain(|user, _| holders.contains(user.as_str()));
        }
    }

    fn send_or_count(&mut self, now: Instant, client: Tuple, out: Option<Outgoing>) {
        match out {
            Some(out) => self.send(now, client, out),
            None => self.statistics.useless += 1,
        }
    }

    /// Sends what an engine made: to its client by the port that it came to, to a peer by a relayed port.
    fn send(&mut self, now: Instant, client: Tuple, (from, to, bytes): Outgoing) {
        let relays = self.clients.get(&client).map(|state| state.relays.as_slice()).unwrap_or_default();
        match relays.iter().find(|(address, _)| *address == from) {
            None => self.answer(client, Some(bytes)),
            Some(_) if bytes.is_empty() => self.statistics.unfit += 1,
            Some(&(_, port)) => self.send_to_peer(now, client, port, (from, to, bytes)),
        }
    }

    fn answer(&mut self, client: Tuple, bytes: Option<Vec<u8>>) {
        let Some(bytes) = bytes else { return };
        let sent = if self.listeners.contains(client.port) {
            let transmit = Transmit { source: client.local, ..Transmit::to(client.address, bytes.len()) };
            self.queue(client.port, transmit, bytes)
        } else {
            self.streams.push(client.port, bytes, self.config.queue).unwrap_or(true)
        };
        self.statistics.overflows += u64::from(!sent);
    }

    /// False: it does not fit.
    fn queue(&mut self, port: PortId, transmit: Transmit, bytes: Vec<u8>) -> bool {
        self.outbox.push(port, transmit, bytes)
    }
}

impl Machine for TurnServer {
    /// None: the owner calls its methods.
    type Command = Infallible;
    type Event = TurnServerEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Infallible>) {
        match input {
            Input::Timeout => self.on_timeout(cx),
            Input::Datagrams(port, datagrams) => datagrams.for_each(|one| self.on_datagram(cx, port, &one)),
            Input::Port(port, change) => self.on_port(cx, port, change),
            Input::Receive(port, data) => self.on_bytes(cx, port, data),
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
        if let Some(port) = self.outbox.pop_ready().or_else(|| self.streams.pop_ready()) {
            return Output::Ready(port);
        }
        let deadlines = [self.deadlines.earliest(), self.streams.earliest()];
        Output::Wait(deadlines.into_iter().flatten().min_by_key(|deadline| deadline.at))
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.fill_connection(port, buf).unwrap_or_else(|| self.outbox.fill(port, buf))
    }
}
