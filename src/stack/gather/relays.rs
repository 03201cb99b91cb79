//! All allocations of a gatherer: which there are, and what their ports bring.

use std::net::SocketAddr;

use super::relay::{Relay, Way, missing};
use super::server::ServerError;
use super::{Gatherer, Inbound};
use crate::link::turn::{Received, Turn};
use crate::machine::buf::Buf;
use crate::machine::ids::PortId;
use crate::machine::port::{PortChange, PortError};
use crate::machine::time::Instant;
use crate::machine::{Cx, Fill};

impl Gatherer {
    /// Takes in bytes of a connection to a TURN server. Each datagram of a peer in them is given to `take`.
    pub fn on_bytes(
        &mut self,
        cx: &mut Cx<'_>,
        port: PortId,
        data: &mut [u8],
        take: &mut dyn FnMut(&mut Cx<'_>, Inbound<'_>),
    ) {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.own_port() == Some(port)) else { return };
        let Way::Stream(slot) = &mut relay.way else { return };
        let Some(mut connection) = slot.take() else { return };
        let mut is_handled = connection.wants_fill();
        let result =
            connection.receive(cx.unix, data, &mut |message| match relay.receive(cx, message, &mut self.counters) {
                Received::Data(local, source, range) => {
                    take(cx, Inbound { local, source, ecn: None, data: &mut message[range] });
                }
                Received::Handled => is_handled = true,
                Received::Unwanted | Received::Useless => {}
            });
        is_handled |= connection.wants_fill();
        relay.way = Way::Stream(Some(connection));
        if let Err(error) = result {
            self.ready.remove(port);
            relay.fail(cx.now, error, &mut self.requests);
            is_handled = true;
        }
        if is_handled {
            self.settle(cx);
        }
    }

    /// Writes what waits for a connection; none: the port is none.
    pub(super) fn fill_connection(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Option<Fill> {
        let relay = self.relays.iter_mut().find(|relay| relay.own_port() == Some(port))?;
        let Way::Stream(Some(connection)) = &mut relay.way else { return Some(Fill::Done) };
        let filled = connection.fill(buf);
        if let Err(error) = &filled {
            relay.fail(cx.now, error.clone(), &mut self.requests);
            self.settle(cx);
        }
        Some(filled.unwrap_or(Fill::Done))
    }

    /// A connection from an address that is gone is of no use, though nobody has said so yet.
    pub(super) fn leave_addresses(&mut self, now: Instant) {
        let known = self.known.as_deref().unwrap_or_default();
        for relay in &mut self.relays {
            let Way::Stream(Some(connection)) = &relay.way else { continue };
            if connection.local.is_some_and(|local| !known.contains(&local.ip())) {
                self.ready.remove(connection.port);
                relay.fail(now, ServerError::Connection(PortError::AddressNotAvailable), &mut self.requests);
                relay.retry_now(now);
            }
        }
    }

    pub(super) fn on_connection(&mut self, cx: &mut Cx<'_>, at: usize, change: PortChange) {
        let relay = &mut self.relays[at];
        match change {
            PortChange::Opened { local, .. } => {
                if let Way::Stream(Some(connection)) = &mut relay.way {
                    connection.opened(cx.now, local);
                }
            }
            PortChange::Failed(error) => relay.on_broken(cx, error, &mut self.requests),
            PortChange::Eof => relay.fail(cx.now, ServerError::Closed, &mut self.requests),
            _ => {}
        }
    }

    /// Has an allocation for each socket or connection to each TURN server, and for none that is gone.
    pub(super) fn follow_servers(&mut self, cx: &mut Cx<'_>) {
        let gone = self.relays.extract_if(.., |relay| self.servers.get(&relay.uri).is_none());
        for mut relay in gone.collect::<Vec<_>>() {
            self.let_go(cx, &mut relay);
        }
        for relay in missing(&self.config, &self.hosts, &self.servers, &self.relays) {
            if self.relays.len() < self.config.allocations {
                self.relays.push(relay);
            }
        }
        for relay in &mut self.relays {
            if let Some(server) = self.servers.get(&relay.uri) {
                relay.begin(cx, &self.config, server, &mut self.requests);
            }
        }
    }

    pub(super) fn drive_relays(&mut self, cx: &mut Cx<'_>) {
        for relay in &mut self.relays {
            relay.drive(cx, &mut self.outbox, &mut self.requests, &mut self.events);
            if let Way::Stream(Some(connection)) = &relay.way
                && connection.wants_fill()
            {
                self.ready.push(connection.port);
            }
        }
    }

    pub(super) fn turn_of(&mut self, relayed: SocketAddr) -> Option<&mut Turn> {
        let relay = self.relays.iter_mut().find(|relay| relay.relayed().contains(&relayed))?;
        relay.turn.as_mut()
    }

    pub(super) fn send_relayed(&mut self, cx: &mut Cx<'_>, relayed: SocketAddr, to: SocketAddr, data: &[u8]) -> bool {
        let relay = self.relays.iter_mut().find(|relay| relay.relayed().contains(&relayed));
        let wrapped = relay.and_then(|relay| Some((relay.turn.as_ref()?.wrap(cx.rng, to, data).ok()?, relay)));
        let Some((message, relay)) = wrapped else {
            self.counters.unsendable += 1;
            return false;
        };
        let sent = relay.transmit(message, &mut self.outbox);
        if let Way::Stream(Some(connection)) = &relay.way
            && connection.wants_fill()
        {
            self.ready.push(connection.port);
        }
        self.counters.overflows += u64::from(!sent);
        sent
    }

    pub(super) fn let_go(&mut self, cx: &mut Cx<'_>, relay: &mut Relay) {
        if let Some(port) = relay.own_port() {
            self.ready.remove(port);
        }
        relay.release(cx, &mut self.outbox, &mut self.requests);
    }
}
