//! The ports that clients come by.

use std::net::SocketAddr;

use super::config::Listener;
use super::{Listening, Tuple, TurnServer, TurnServerEvent};
use crate::machine::Cx;
use crate::machine::ids::PortId;
use crate::machine::port::{PortChange, PortRequest, PortSpec};
use crate::machine::time::Instant;

impl TurnServer {
    /// Opens a listener for clients over UDP. Whatever the server did before ends.
    pub fn listen(&mut self, cx: &mut Cx<'_>, address: SocketAddr) {
        self.close();
        self.listen_by(cx, Listener::Udp, address);
    }

    /// Opens a further listener, on an address of this host. On an unspecified one, clients over UDP are answered from
    /// the address that they ask at.
    pub fn listen_by(&mut self, cx: &mut Cx<'_>, kind: Listener, address: SocketAddr) {
        let port = cx.ids.port();
        let spec = if matches!(kind, Listener::Udp) { PortSpec::Bind(address) } else { PortSpec::Listen(address) };
        self.requests.push_back((port, PortRequest::Open(spec)));
        self.listeners.insert(port, Listening { kind, address: None });
        if address.ip().is_unspecified() && self.addresses.is_none() {
            let port = cx.ids.port();
            self.requests.push_back((port, PortRequest::Open(PortSpec::Addresses)));
            self.addresses = Some(port);
        }
    }

    /// Forgets all clients and closes all ports.
    pub fn close(&mut self) {
        for client in self.clients.keys().copied().collect::<Vec<_>>() {
            self.lose(client);
        }
        for port in self.streams.ports() {
            self.abort_connection(port);
        }
        let ports: Vec<_> = self.listeners.keys().chain(self.addresses.take()).collect();
        for port in ports {
            self.listeners.remove(port);
            self.outbox.forget(port);
            self.requests.push_back((port, PortRequest::Abort));
        }
    }

    /// Where the engine of a client believes to listen.
    pub(super) fn listen_address(&self, client: Tuple) -> Option<SocketAddr> {
        let listening = self.listeners.get(client.port).and_then(|listening| listening.address);
        listening.or_else(|| self.streams.listen_address(client.port))
    }

    pub(super) fn on_listener(&mut self, now: Instant, listener: PortId, change: PortChange) {
        match change {
            PortChange::Opened { local: Some(local), .. } => {
                let Some(listening) = self.listeners.get_mut(listener) else { return };
                listening.address = Some(local);
                self.events.push_back(TurnServerEvent::Listening(local));
            }
            PortChange::Accepted { port, peer } => self.on_accepted(now, listener, port, peer),
            PortChange::Failed(error) => {
                self.forget_listener(listener);
                self.events.push_back(TurnServerEvent::Failed(error));
            }
            _ => {}
        }
    }

    /// Its port is dead, and who came by it is lost.
    fn forget_listener(&mut self, listener: PortId) {
        self.outbox.forget(listener);
        let Some(Listening { kind, address }) = self.listeners.remove(listener) else { return };
        let of_listener: Vec<_> = self.clients.keys().filter(|client| client.port == listener).copied().collect();
        for client in of_listener {
            self.lose(client);
        }
        if let Some(address) = address {
            self.abort_connections_of(address, &kind);
        }
    }
}
