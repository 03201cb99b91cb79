//! One relayed address or two: an allocation, the way to its server, and what becomes of both.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::GatherEvent;
use super::addresses::can_reach;
use super::config::{GatherConfig, GatherCounters};
use super::connection::Connection;
use super::host::Host;
use super::server::{Server, ServerError, Servers};
use crate::link::turn::{Received, Turn, TurnConfig, TurnEvent};
use crate::machine::datagram::Transmit;
use crate::machine::ids::PortId;
use crate::machine::outbox::Outbox;
use crate::machine::port::{PortError, PortRequest};
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};
use crate::wire::ice_server::{IceServer, IceTransport, IceUri, Secret};

/// Between two beginnings of an allocation that was lost.
const AGAIN: Duration = Duration::from_secs(5);
/// Before what was lost is begun again, at least.
const SOON: Duration = Duration::from_millis(50);
/// How often it is begun again, the last time more than ten minutes after it was lost.
const ATTEMPTS: u32 = 8;
/// A server that was heard since is not asked whether it still knows us.
const FRESH: Duration = Duration::from_secs(15);

type Requests = VecDeque<(PortId, PortRequest)>;

/// How the server is reached.
#[derive(Debug)]
pub(super) enum Way {
    /// From the socket of a host's address.
    Udp {
        /// The socket.
        port: PortId,
        /// Where it is bound.
        base: SocketAddr,
        /// The server.
        server: SocketAddr,
    },
    /// By a connection; none while there is none.
    Stream(Option<Box<Connection>>),
}

#[derive(Debug)]
pub(super) struct Relay {
    pub(super) uri: IceUri,
    pub(super) way: Way,
    pub(super) turn: Option<Turn>,
    /// Whose credentials it began with.
    user: (String, Secret),
    /// Why there is nothing; none while there is, or may be.
    pub(super) error: Option<ServerError>,
    /// Whether it ever had an allocation.
    worked: bool,
    /// Attempts since it had one.
    attempts: u32,
    began: Instant,
    retry: Option<Instant>,
}

/// The allocations that should be and are not: by UDP one for each open socket that reaches the server.
pub(super) fn missing(config: &GatherConfig, hosts: &[Host], servers: &Servers, relays: &[Relay]) -> Vec<Relay> {
    let mut missing = Vec::new();
    for server in servers.all().iter().filter(|server| config.policy.relay && server.is_turn()) {
        if server.given.uri.transport != IceTransport::Udp {
            let is_there = relays.iter().any(|relay| relay.uri == server.given.uri);
            if !is_there && server.addresses().next().is_some() {
                missing.push(Relay::new(&server.given, Way::Stream(None)));
            }
            continue;
        }
        for host in hosts {
            let Some((base, address)) = host.local.zip(server.address(host.ip.is_ipv4())) else { continue };
            let is_there = relays.iter().any(|relay| relay.uri == server.given.uri && relay.port() == Some(host.port));
            if !is_there && can_reach(host.ip, address.ip()) {
                let way = Way::Udp { port: host.port, base, server: address };
                missing.push(Relay::new(&server.given, way));
            }
        }
    }
    missing
}

impl Relay {
    pub(super) fn new(given: &IceServer, way: Way) -> Self {
        Self {
            uri: given.uri.clone(),
            way,
            turn: None,
            user: (given.username.clone(), given.credential.clone()),
            error: None,
            worked: false,
            attempts: 0,
            began: Instant::ZERO,
            retry: None,
        }
    }

    /// The port of its socket or connection.
    pub(super) fn port(&self) -> Option<PortId> {
        match &self.way {
            Way::Udp { port, .. } => Some(*port),
            Way::Stream(connection) => connection.as_ref().map(|connection| connection.port),
        }
    }

    /// The connection's port, for a socket is not its own.
    pub(super) fn own_port(&self) -> Option<PortId> {
        matches!(self.way, Way::Stream(_)).then(|| self.port()).flatten()
    }

    pub(super) fn is_over(&self, port: PortId, server: SocketAddr) -> bool {
        matches!(&self.way, Way::Udp { port: ours, server: theirs, .. } if (*ours, *theirs) == (port, server))
    }

    pub(super) fn relayed(&self) -> &[SocketAddr] {
        self.turn.as_ref().map_or(&[], |turn| turn.relayed())
    }

    /// Our address as the server sees it, with the base that it is of: for UDP, where it says something to peers.
    pub(super) fn reflexive(&self) -> Option<(SocketAddr, SocketAddr)> {
        let Way::Udp { base, .. } = self.way else { return None };
        let mapped = self.turn.as_ref()?.mapped()?;
        (mapped.is_ipv4() == base.is_ipv4() && mapped.port() != 0).then_some((base, mapped))
    }

    /// Whether it works or has failed.
    pub(super) fn is_settled(&self) -> bool {
        self.error.is_some() || !self.relayed().is_empty()
    }

    /// Begins, if it has not: from the socket, or by dialling.
    pub(super) fn begin(&mut self, cx: &mut Cx<'_>, config: &GatherConfig, server: &Server, requests: &mut Requests) {
        self.take_credentials(server);
        let is_waiting = self.retry.is_some_and(|retry| retry > cx.now);
        if self.turn.is_some() || is_waiting || (self.error.is_some() && self.retry.is_none()) {
            return;
        }
        match &mut self.way {
            Way::Udp { .. } => self.allocate(cx, config),
            Way::Stream(None) => {
                (self.began, self.retry, self.error) = (cx.now, None, None);
                match Connection::open(cx, config, &self.uri, server.addresses(), requests) {
                    Ok(connection) => self.way = Way::Stream(Some(Box::new(connection))),
                    Err(error) => self.error = Some(error),
                }
            }
            Way::Stream(Some(connection)) if connection.is_open() => self.allocate(cx, config),
            Way::Stream(Some(_)) => {}
        }
    }

    /// Newer credentials: for the allocation in use when the server wants them, at once where the old ones failed.
    fn take_credentials(&mut self, server: &Server) {
        let IceServer { username, credential, .. } = &server.given;
        if let Some(turn) = &mut self.turn {
            turn.set_credentials(username, credential);
        }
        if self.user.0 != *username || self.user.1 != *credential {
            self.user = (username.clone(), credential.clone());
            if self.turn.is_none() {
                self.forgive();
            }
        }
    }

    fn allocate(&mut self, cx: &mut Cx<'_>, config: &GatherConfig) {
        let config = TurnConfig {
            username: self.user.0.clone(),
            credential: self.user.1.clone(),
            ipv4: true,
            ipv6: true,
            stream: matches!(self.way, Way::Stream(_)),
            first: config.retransmission.first,
            sends: config.retransmission.sends,
            patience: config.retransmission.patience,
            permissions: config.permissions,
        };
        (self.began, self.retry, self.error) = (cx.now, None, None);
        self.turn = Some(Turn::new(cx.now, cx.rng, config));
    }

    /// Lets what has failed be tried again.
    pub(super) fn forgive(&mut self) {
        if self.turn.is_none() && self.retry.is_none() {
            (self.error, self.attempts) = (None, 0);
        }
    }

    /// Begins anew at once.
    pub(super) const fn retry_now(&mut self, now: Instant) {
        self.retry = Some(now);
    }

    /// Finds out whether the server still knows us, unless it was heard lately; tries again what has failed long ago.
    pub(super) fn refresh(&mut self, cx: &mut Cx<'_>) {
        match &mut self.turn {
            Some(turn) if turn.heard().is_none_or(|at| cx.now - at >= FRESH) => turn.check(cx.now, cx.rng),
            Some(_) => {}
            None if cx.now - self.began >= FRESH => self.forgive(),
            None => {}
        }
    }

    /// Takes in one message of the server.
    pub(super) fn receive(&mut self, cx: &mut Cx<'_>, data: &[u8], counters: &mut GatherCounters) -> Received {
        let Some(turn) = &mut self.turn else { return Received::Useless };
        let received = turn.receive(cx.now, cx.rng, data);
        match received {
            Received::Useless => counters.useless += 1,
            Received::Unwanted => counters.unwanted += 1,
            Received::Handled | Received::Data(..) => {}
        }
        received
    }

    /// Sends what the protocol has to say, does what is due, and tells what has become known.
    pub(super) fn drive(
        &mut self,
        cx: &mut Cx<'_>,
        outbox: &mut Outbox,
        requests: &mut Requests,
        events: &mut VecDeque<GatherEvent>,
    ) {
        self.give_up_overdue(cx, requests);
        if let Some(turn) = &mut self.turn {
            turn.on_timeout(cx.now, cx.rng);
        }
        while let Some(message) = self.turn.as_mut().and_then(Turn::poll_transmit) {
            // What does not fit is lost, and asked for again.
            self.transmit(message, outbox);
        }
        while let Some(event) = self.turn.as_mut().and_then(Turn::poll_event) {
            self.on_event(cx.now, event, requests, events);
        }
    }

    fn give_up_overdue(&mut self, cx: &mut Cx<'_>, requests: &mut Requests) {
        let Way::Stream(Some(connection)) = &self.way else { return };
        if connection.is_overdue(cx.now) {
            requests.push_back((connection.port, PortRequest::Abort));
            self.on_broken(cx, PortError::TimedOut, requests);
        }
    }

    fn on_event(
        &mut self,
        now: Instant,
        event: TurnEvent,
        requests: &mut Requests,
        events: &mut VecDeque<GatherEvent>,
    ) {
        let relayed_for = |is_ipv4: bool| self.relayed().iter().find(|ip| ip.is_ipv4() == is_ipv4).copied();
        match event {
            TurnEvent::Allocated => (self.worked, self.attempts) = (true, 0),
            TurnEvent::Permitted(peer) => {
                let told = relayed_for(peer.is_ipv4()).map(|relayed| GatherEvent::Permitted { relayed, peer });
                events.extend(told);
            }
            TurnEvent::Refused(peer) => {
                let told = relayed_for(peer.is_ipv4()).map(|relayed| GatherEvent::Refused { relayed, peer });
                events.extend(told);
            }
            TurnEvent::Ended(error) => self.fail(now, ServerError::Turn(error), requests),
        }
    }

    /// There is no allocation any more. What has worked is begun again, at growing intervals.
    pub(super) fn fail(&mut self, now: Instant, error: ServerError, requests: &mut Requests) {
        self.turn = None;
        if let Way::Stream(connection) = &mut self.way
            && let Some(connection) = connection.take()
        {
            requests.push_back((connection.port, PortRequest::Abort));
        }
        let is_retried = self.worked && self.attempts < ATTEMPTS;
        self.retry = is_retried.then(|| (now + SOON).max(self.began + AGAIN * (1 << self.attempts)));
        self.attempts += 1;
        self.error = Some(error);
    }

    /// Its port has ended.
    pub(super) fn on_broken(&mut self, cx: &mut Cx<'_>, error: PortError, requests: &mut Requests) {
        let Way::Stream(slot) = &mut self.way else { return };
        let Some(connection) = slot else { return };
        let failure = match connection.is_open() {
            true => Err(ServerError::Connection(error)),
            false => connection.failed(cx, error, requests),
        };
        if let Err(failure) = failure {
            *slot = None;
            self.fail(cx.now, failure, requests);
        }
    }

    /// Sends a message to the server. False: no room, or no way.
    pub(super) fn transmit(&mut self, message: Vec<u8>, outbox: &mut Outbox) -> bool {
        match &mut self.way {
            Way::Udp { port, server, .. } => outbox.push(*port, Transmit::to(*server, message.len()), message),
            Way::Stream(Some(connection)) => connection.send(&message),
            Way::Stream(None) => false,
        }
    }

    /// Gives the allocation back and lets go of the connection.
    pub(super) fn release(&mut self, cx: &mut Cx<'_>, outbox: &mut Outbox, requests: &mut Requests) {
        if let Some(mut turn) = self.turn.take() {
            turn.release(cx.now, cx.rng);
            while let Some(message) = turn.poll_transmit() {
                self.transmit(message, outbox);
            }
        }
        // The end of the connection is the end of the allocation.
        if let Some(port) = self.own_port() {
            requests.push_back((port, PortRequest::Abort));
            self.way = Way::Stream(None);
        }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let turn = self.turn.as_ref().and_then(Turn::deadline);
        let retry = self.retry.map(|at| Deadline::new(at, "TURN again"));
        let connection = match &self.way {
            Way::Stream(Some(connection)) => connection.deadline(),
            Way::Stream(None) | Way::Udp { .. } => None,
        };
        turn.into_iter().chain(retry).chain(connection).min_by_key(|deadline| deadline.at)
    }
}
