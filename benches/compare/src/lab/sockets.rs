//! Datagrams between the hubs of a lab: each has one address.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use switchboard::machine::datagram::{Datagrams, Transmit};
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::{Cx, Fill, Input, Machine};

use super::Lab;

/// A batch under way.
pub(super) struct Sent {
    source: SocketAddr,
    transmit: Transmit,
    data: Vec<u8>,
}

/// The sockets of one hub.
pub(super) struct Sockets {
    address: IpAddr,
    open: Vec<(PortId, SocketAddr)>,
    changes: VecDeque<(PortId, PortChange)>,
}

impl Sockets {
    pub(super) fn new(number: usize) -> Self {
        let address = IpAddr::from([10, 1, (number >> 8) as u8, number as u8]);
        Self { address, open: Vec::new(), changes: VecDeque::new() }
    }

    pub(super) fn on_request(&mut self, port: PortId, request: &PortRequest) {
        let opened = |local| PortChange::Opened { local, peer: None };
        match request {
            PortRequest::Open(PortSpec::Bind(_)) => {
                let local = SocketAddr::new(self.address, 5000 + self.open.len() as u16);
                self.open.push((port, local));
                self.changes.push_back((port, opened(Some(local))));
            }
            PortRequest::Open(PortSpec::Addresses) => {
                let addresses = [self.address].into_iter().collect();
                self.changes.extend([(port, opened(None)), (port, PortChange::Addresses(addresses))]);
            }
            _ => {}
        }
    }

    pub(super) fn next(&mut self) -> Option<(PortId, PortChange)> {
        self.changes.pop_front()
    }

    pub(super) fn address(&self, port: PortId) -> Option<SocketAddr> {
        self.open.iter().find(|(open, _)| *open == port).map(|(_, address)| *address)
    }

    fn at(&self, address: SocketAddr) -> Option<PortId> {
        self.open.iter().find(|(_, open)| *open == address).map(|(port, _)| *port)
    }
}

impl Lab {
    /// Takes out all that a socket has to send.
    pub(super) fn fill_datagrams(&mut self, index: usize, port: PortId, source: SocketAddr) {
        let node = &mut self.nodes[index];
        loop {
            let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut node.rng, ids: &mut node.ids };
            let Fill::Datagrams(transmit) = node.hub.fill(&mut cx, port, &mut node.buf) else { return };
            self.datagrams.push_back(Sent { source, transmit, data: node.buf.as_slice().to_vec() });
            node.buf.vec().clear();
            node.drain(self.now);
        }
    }

    pub(super) fn carry_datagrams(&mut self) {
        for Sent { source, transmit, mut data } in std::mem::take(&mut self.datagrams) {
            let found = self.nodes.iter_mut().find_map(|node| Some((node.sockets.at(transmit.destination)?, node)));
            let Some((port, node)) = found else { continue };
            self.carried += data.len().div_ceil(transmit.segment) as u64;
            let destination = Some(transmit.destination.ip());
            let datagrams = Datagrams::new(source, destination, None, transmit.segment, &mut data);
            node.act(self.now, |hub, cx| hub.handle(cx, Input::Datagrams(port, datagrams)));
            node.drain(self.now);
        }
    }
}
