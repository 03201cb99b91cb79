//! STUN and TURN servers as transports, so that an endpoint can carry them beside its links: `stun:`, `turn:`, `turns:`.
//!
//! [`Serving`] brings up no link. It tells of each listener by [`TransportEvent::Listening`]; when one can't be opened
//! or breaks, all are closed and [`TransportEvent::Failed`] says why. What a server has done is read from outside by a
//! [`Meter`], since the hub that owns the transport knows nothing of servers.
//!
//! A [`TurnService`] says whom a TURN server serves, and grants what a relay hands out: for each of its URIs credentials
//! made from the shared secret, under the endpoint's id. Two strings make two servers that do not know each other's
//! relayed ports; so a program that serves UDP and TCP and TLS does it by one [`turn`] with all its listeners.

#[cfg(feature = "turn")]
mod granting;

use std::fmt;
#[cfg(any(feature = "stun", feature = "turn"))]
use std::net::SocketAddr;

#[cfg(feature = "turn")]
pub use granting::{Meter, TurnFigures, TurnService};

use super::{DownReason, Transport, TransportCommand, TransportEvent};
#[cfg(feature = "stun")]
use crate::link::stun::Endpoints;
use crate::machine::buf::Buf;
use crate::machine::ids::PortId;
use crate::machine::payload::Upper;
use crate::machine::port::PortError;
use crate::machine::{Cx, Fill, Input, Machine, Output};
#[cfg(feature = "stun")]
use crate::stack::stun_server::{StunServer, StunServerEvent};
#[cfg(feature = "turn")]
use crate::stack::turn_server::{Listener, TurnServer, TurnServerEvent};

/// What a [`Serving`] carries.
pub trait Server: fmt::Debug {
    /// The machine that serves.
    type Machine: Machine;

    /// The machine.
    fn machine(&mut self) -> &mut Self::Machine;

    /// Opens its listeners.
    fn open(&mut self, cx: &mut Cx<'_>);

    /// Closes all ports.
    fn close(&mut self);

    /// What the layer above should know of an event.
    fn told(event: <Self::Machine as Machine>::Event) -> Option<Result<SocketAddr, PortError>>;

    /// Shows what it has done to whoever watches.
    fn publish(&self) {}
}

/// A server as a transport.
#[derive(Debug)]
pub struct Serving<S> {
    server: S,
    open: bool,
    /// What is told once no port is left.
    last: Option<TransportEvent>,
}

impl<S: Server> Serving<S> {
    /// A server that will open its listeners on [`TransportCommand::Start`].
    pub const fn new(server: S) -> Self {
        Self { server, open: false, last: None }
    }

    fn end(&mut self, last: TransportEvent) {
        self.server.close();
        self.open = false;
        self.last = Some(last);
    }

    fn command(&mut self, cx: &mut Cx<'_>, command: TransportCommand) {
        match command {
            TransportCommand::Start => {
                self.open = true;
                self.server.open(cx);
            }
            TransportCommand::Stop => self.end(TransportEvent::Stopped),
            // It has no links.
            TransportCommand::Wake(_) | TransportCommand::Resume(_) | TransportCommand::Close(_) => {}
        }
    }
}

impl<S: Server> Transport for Serving<S> {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, _: &mut dyn Upper) {
        match input {
            Input::Timeout => self.server.machine().handle(cx, Input::Timeout),
            Input::Receive(port, data) => self.server.machine().handle(cx, Input::Receive(port, data)),
            Input::Datagrams(port, datagrams) => self.server.machine().handle(cx, Input::Datagrams(port, datagrams)),
            Input::Port(port, change) => self.server.machine().handle(cx, Input::Port(port, change)),
            Input::Command(command) => self.command(cx, command),
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<TransportEvent> {
        if !self.open && self.last.is_none() {
            return Output::Wait(None);
        }
        loop {
            match self.server.machine().poll(cx) {
                Output::Port(port, request) => return Output::Port(port, request),
                Output::Ready(port) => return Output::Ready(port),
                Output::Event(event) => match S::told(event) {
                    Some(Ok(address)) if self.open => return Output::Event(TransportEvent::Listening(address)),
                    Some(Err(error)) if self.open => self.end(TransportEvent::Failed(DownReason::Port(error))),
                    _ => {}
                },
                Output::Wait(deadline) => {
                    self.server.publish();
                    return self.last.take().map_or(Output::Wait(deadline), Output::Event);
                }
            }
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, _: &mut dyn Upper) -> Fill {
        self.server.machine().fill(cx, port, buf)
    }
}

/// A STUN server at one address.
#[cfg(feature = "stun")]
#[derive(Debug)]
pub struct Stun {
    address: SocketAddr,
    server: StunServer,
}

/// A transport that serves STUN over UDP at that address.
#[cfg(feature = "stun")]
pub fn stun(address: SocketAddr) -> Serving<Stun> {
    Serving::new(Stun { address, server: stun_server(address) })
}

#[cfg(feature = "stun")]
fn stun_server(primary: SocketAddr) -> StunServer {
    StunServer::new(Endpoints { primary, other: None }, None)
}

#[cfg(feature = "stun")]
impl Server for Stun {
    type Machine = StunServer;

    fn machine(&mut self) -> &mut StunServer {
        &mut self.server
    }

    fn open(&mut self, _: &mut Cx<'_>) {
        self.server = stun_server(self.address);
    }

    fn close(&mut self) {
        self.server.close();
    }

    fn told(event: StunServerEvent) -> Option<Result<SocketAddr, PortError>> {
        Some(match event {
            StunServerEvent::Listening(address) => Ok(address),
            StunServerEvent::Failed { error, .. } => Err(error),
        })
    }
}

/// A TURN server with its listeners.
#[cfg(feature = "turn")]
#[derive(Debug)]
pub struct Turn {
    server: TurnServer,
    listeners: Vec<(Listener, SocketAddr)>,
    meter: Meter,
}

/// A transport that serves TURN, and STUN, by all these listeners.
#[cfg(feature = "turn")]
pub fn turn(service: &TurnService, listeners: Vec<(Listener, SocketAddr)>) -> Serving<Turn> {
    let server = TurnServer::new(service.config.clone());
    Serving::new(Turn { server, listeners, meter: service.meter.clone() })
}

#[cfg(feature = "turn")]
impl Server for Turn {
    type Machine = TurnServer;

    fn machine(&mut self) -> &mut TurnServer {
        &mut self.server
    }

    fn open(&mut self, cx: &mut Cx<'_>) {
        for (listener, address) in &self.listeners {
            self.server.listen_by(cx, listener.clone(), *address);
        }
    }

    fn close(&mut self) {
        self.server.close();
    }

    fn told(event: TurnServerEvent) -> Option<Result<SocketAddr, PortError>> {
        match event {
            TurnServerEvent::Listening(address) => Some(Ok(address)),
            TurnServerEvent::Failed(error) => Some(Err(error)),
            TurnServerEvent::Allocated { .. } | TurnServerEvent::Released { .. } => None,
        }
    }

    fn publish(&self) {
        self.meter.set(TurnFigures {
            allocations: self.server.allocations(),
            connections: self.server.connections(),
            statistics: self.server.statistics(),
        });
    }
}
