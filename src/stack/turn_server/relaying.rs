//! Between relayed ports and peers: what is passed on, and what never is.

use std::net::{IpAddr, SocketAddr};

use turn_server_proto::api::SocketAllocateError;

use super::client::Outgoing;
use super::request::Request;
use super::{Listening, Relay, Tuple, TurnServer};
use crate::machine::Cx;
use crate::machine::bucket::Bucket;
use crate::machine::datagram::Transmit;
use crate::machine::ids::PortId;
use crate::machine::time::Instant;

impl TurnServer {
    pub(super) fn on_peer_datagram(&mut self, now: Instant, port: PortId, peer: SocketAddr, data: &[u8]) {
        if self.relays.contains(port) && self.passes(data) {
            self.on_peer(now, port, peer, data);
        }
    }

    pub(super) fn on_peer(&mut self, now: Instant, port: PortId, peer: SocketAddr, data: &[u8]) {
        let Some(&Relay { client, address: Some(relayed), .. }) = self.relays.get(port) else { return };
        let Some(state) = self.clients.get_mut(&client) else { return };
        let Some((_, _, out)) = state.receive(now, peer, relayed, data) else {
            self.statistics.unwanted += 1;
            return;
        };
        if self.has_rate(now, client, data.len()) {
            self.statistics.to_clients += 1;
            self.statistics.bytes_to_clients += data.len() as u64;
            self.answer(client, Some(out));
        }
    }

    /// Whether a client's user may have so many bytes relayed.
    pub(super) fn has_rate(&mut self, now: Instant, client: Tuple, bytes: usize) -> bool {
        let Some(rate) = self.config.rate_per_user else { return true };
        let Some(user) = self.clients.get(&client).and_then(|state| state.user.as_deref()) else { return true };
        if !self.rates.contains_key(user) {
            self.rates.insert(user.to_owned(), Bucket::new(now, rate));
        }
        let passes = self.rates.get_mut(user).is_some_and(|bucket| bucket.take(now, bytes as u64));
        self.statistics.over_rate += u64::from(!passes);
        passes
    }

    pub(super) fn send_to_peer(&mut self, now: Instant, client: Tuple, port: PortId, (from, to, bytes): Outgoing) {
        let near = self.relayed.get(&to).copied();
        if near.is_none() && self.is_own(to.ip()) {
            self.statistics.forbidden += 1;
            return;
        }
        if !self.has_rate(now, client, bytes.len()) {
            return;
        }
        let len = bytes.len() as u64;
        let sent = match near {
            Some(near) => {
                self.on_peer(now, near, from, &bytes);
                true
            }
            None => self.queue(port, Transmit::to(to, bytes.len()), bytes),
        };
        self.statistics.overflows += u64::from(!sent);
        if sent {
            self.statistics.to_peers += 1;
            self.statistics.bytes_to_peers += len;
        }
    }

    pub(super) fn may_reach_all(&self, request: &Request<'_>) -> bool {
        let reaches = |peer: &SocketAddr| {
            if self.is_own(peer.ip()) {
                // A channel leads to one port, a permission to all.
                return !request.is_channel_bind() || self.relayed.contains_key(peer);
            }
            let is_forbidden = self.config.forbidden.contains(&peer.ip()) || self.own.contains(&peer.ip());
            !is_forbidden && self.config.peers.allows(peer.ip(), self.config.loopback)
        };
        request.peers().iter().all(reaches)
    }

    /// Whether relayed ports are at that address, or may be.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        if self.config.loopback && address.is_loopback() {
            return false;
        }
        let listens = |listening: &Listening| listening.address.is_some_and(|at| at.ip() == address);
        let first = self.relayed.range(SocketAddr::new(address, 0)..).next();
        let is_set = self.config.announce.contains(&address) || self.config.relays.contains(&address);
        is_set || first.is_some_and(|(at, _)| at.ip() == address) || self.listeners.iter().any(|(_, it)| listens(it))
    }

    pub(super) fn on_relay(&mut self, cx: &mut Cx<'_>, port: PortId, result: Result<SocketAddr, SocketAllocateError>) {
        let Some(relay) = self.relays.get_mut(port) else { return };
        let announce = relay.announce;
        let result = result.map(|local| SocketAddr::new(announce.unwrap_or_else(|| local.ip()), local.port()));
        let client = relay.client;
        let before = std::mem::replace(&mut relay.address, result.ok());
        if let Ok(address) = result {
            self.relayed.insert(address, port);
        } else {
            self.relays.remove(port);
            self.outbox.forget(port);
        }
        if let Some(before) = before {
            // The engine can't be told that a socket of its own has failed.
            self.relayed.remove(&before);
            return self.lose(client);
        }
        let asking = self.clients.get_mut(&client).and_then(|state| state.asking.as_mut());
        let mut families = asking.into_iter().flat_map(|asking| &mut asking.families);
        if let Some(asked) = families.find(|asked| asked.port == Some(port)) {
            asked.result = Some(result);
        }
        self.settle(cx, client, None);
    }
}
