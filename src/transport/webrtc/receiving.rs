//! Whose the datagrams of one input are.

use std::net::SocketAddr;

use super::entry::Entry;
use super::routes::Routes;
use super::{Webrtc, WebrtcCounters};
use crate::machine::Cx;
use crate::machine::datagram::Datagrams;
use crate::machine::ids::{PortId, Table};
use crate::machine::queue::ReadyList;
use crate::stack::gather::Inbound;
use crate::transport::PeerId;
use crate::wire::demux::is_stun;

impl Webrtc {
    pub(super) fn on_datagrams(&mut self, cx: &mut Cx<'_>, port: PortId, datagrams: Datagrams<'_>) {
        let Self { routes, peers, touched, counters, gatherer, .. } = self;
        let mut reception = Reception { routes, peers, touched, counters, latest: None };
        for datagram in datagrams {
            if let Some(inbound) = gatherer.on_datagram(cx, port, datagram) {
                reception.take_in(cx, inbound);
            }
        }
    }

    pub(super) fn on_bytes(&mut self, cx: &mut Cx<'_>, port: PortId, data: &mut [u8]) {
        let Self { routes, peers, touched, counters, gatherer, .. } = self;
        let mut reception = Reception { routes, peers, touched, counters, latest: None };
        gatherer.on_bytes(cx, port, data, &mut |cx, inbound| reception.take_in(cx, inbound));
    }
}

struct Reception<'a> {
    routes: &'a Routes,
    peers: &'a mut Table<PeerId, Entry>,
    touched: &'a mut ReadyList<PeerId>,
    counters: &'a mut WebrtcCounters,
    /// Between which addresses the latest data came, and whose it was: the next is likely to be as it.
    latest: Option<((SocketAddr, SocketAddr), PeerId)>,
}

impl Reception<'_> {
    fn take_in(&mut self, cx: &mut Cx<'_>, inbound: Inbound<'_>) {
        let Inbound { local, source, ecn, data } = inbound;
        let named = if is_stun(data) { self.routes.named(data) } else { None };
        let id = named.or_else(|| self.learned(local, source));
        let Some((id, entry)) = id.and_then(|id| Some((id, self.peers.get_mut(id)?))) else {
            self.counters.nobodys += 1;
            return;
        };
        entry.received += data.len() as u64;
        entry.heard(source, data);
        entry.peer.receive(cx, local, source, ecn, data);
        self.touched.push(id);
    }

    fn learned(&mut self, local: SocketAddr, source: SocketAddr) -> Option<PeerId> {
        if let Some((_, id)) = self.latest.filter(|(between, _)| *between == (local, source)) {
            return Some(id);
        }
        let id = self.routes.learned(local, source)?;
        self.latest = Some(((local, source), id));
        Some(id)
    }
}
