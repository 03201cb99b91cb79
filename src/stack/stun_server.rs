//! A STUN server on the ports of its host (RFC 8489), with two addresses for NAT discovery (RFC 5780).
//!
//! It binds each of its [`Endpoints`], answers what comes there, and keeps nothing between requests. Answers wait in
//! one bounded queue for each socket; what does not fit is dropped and counted, as a network would drop it.
//!
//! Where only one endpoint is wanted its address may be unspecified: an answer then leaves from the address that the
//! request came to.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::link::stun::{Endpoints, Reply, Server, ServerCounters};
use crate::machine::buf::Buf;
use crate::machine::datagram::{Datagram, Transmit};
use crate::machine::ids::PortId;
use crate::machine::outbox::Outbox;
use crate::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use crate::machine::{Cx, Fill, Input, Machine, Output};

/// Answers that wait on one socket, in bytes: some hundreds, more than a burst and less than a second of a flood.
const WAITING: usize = 64 * 1024;

/// What a [`StunServer`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StunServerEvent {
    /// It answers at that address, with the port that the system chose.
    Listening(SocketAddr),
    /// It cannot be asked at that address; it goes on with the others.
    Failed {
        /// Where.
        endpoint: SocketAddr,
        /// Why.
        error: PortError,
    },
}

/// A STUN server. It takes no commands.
#[derive(Debug)]
pub struct StunServer {
    server: Server,
    sockets: Vec<Socket>,
    started: bool,
    overflowed: u64,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<StunServerEvent>,
    outbox: Outbox,
}

#[derive(Debug)]
struct Socket {
    endpoint: SocketAddr,
    port: PortId,
    is_open: bool,
}

impl StunServer {
    /// A server on these endpoints, which calls itself `software` in its answers.
    pub fn new(endpoints: Endpoints, software: Option<String>) -> Self {
        Self {
            server: Server::new(endpoints, software),
            sockets: Vec::new(),
            started: false,
            overflowed: 0,
            requests: VecDeque::new(),
            events: VecDeque::new(),
            outbox: Outbox::new(WAITING),
        }
    }

    /// What it has seen.
    pub const fn counters(&self) -> ServerCounters {
        self.server.counters()
    }

    /// Answers that were dropped because too many waited on their socket.
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Closes its sockets, for good.
    pub fn close(&mut self) {
        self.started = true;
        self.events.clear();
        for Socket { port, .. } in std::mem::take(&mut self.sockets) {
            self.outbox.forget(port);
            self.requests.push_back((port, PortRequest::Abort));
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        self.started = true;
        for endpoint in self.server.endpoints().all() {
            let port = cx.ids.port();
            self.requests.push_back((port, PortRequest::Open(PortSpec::Bind(endpoint))));
            self.sockets.push(Socket { endpoint, port, is_open: false });
        }
    }

    fn on_port(&mut self, port: PortId, change: &PortChange) {
        let Some(at) = self.sockets.iter().position(|socket| socket.port == port) else { return };
        match *change {
            PortChange::Opened { local, .. } => {
                let socket = &mut self.sockets[at];
                socket.is_open = true;
                socket.endpoint = local.unwrap_or(socket.endpoint);
                self.events.push_back(StunServerEvent::Listening(socket.endpoint));
            }
            PortChange::Failed(error) => {
                let Socket { endpoint, .. } = self.sockets.remove(at);
                self.outbox.forget(port);
                self.events.push_back(StunServerEvent::Failed { endpoint, error });
            }
            _ => {}
        }
    }

    fn on_datagram(&mut self, port: PortId, datagram: &Datagram<'_>) {
        let Some(socket) = self.sockets.iter().find(|socket| socket.port == port) else { return };
        let ip = Some(socket.endpoint.ip()).filter(|ip| !ip.is_unspecified()).or(datagram.destination);
        let at = SocketAddr::new(ip.unwrap_or_else(|| socket.endpoint.ip()), socket.endpoint.port());
        if let Ok(reply) = self.server.answer(at, datagram.source, datagram.data) {
            self.enqueue(port, reply);
        }
    }

    /// Puts an answer to the socket that it leaves from, else to the one that was asked.
    fn enqueue(&mut self, asked: PortId, reply: Reply) {
        let Reply { from, to, bytes } = reply;
        let leaves = self.sockets.iter().find(|socket| socket.endpoint == from).map_or(asked, |socket| socket.port);
        let Some(socket) = self.sockets.iter().find(|socket| socket.port == leaves && socket.is_open) else {
            self.overflowed += 1;
            return;
        };
        let source = Some(from.ip()).filter(|ip| socket.endpoint.ip().is_unspecified() && !ip.is_unspecified());
        let transmit = Transmit { source, ..Transmit::to(to, bytes.len()) };
        self.overflowed += u64::from(!self.outbox.push(leaves, transmit, bytes));
    }
}

impl Machine for StunServer {
    type Command = ();
    type Event = StunServerEvent;

    fn handle(&mut self, _: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Datagrams(port, datagrams) => datagrams.for_each(|one| self.on_datagram(port, &one)),
            Input::Port(port, change) => self.on_port(port, &change),
            Input::Timeout | Input::Receive(..) | Input::Command(()) => {}
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<StunServerEvent> {
        if !self.started {
            self.start(cx);
        }
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        self.outbox.pop_ready().map_or(Output::Wait(None), Output::Ready)
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.outbox.fill(port, buf)
    }
}
