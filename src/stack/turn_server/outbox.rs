//! Datagrams that wait to be sent, by port.
//!
//! A port's queue is bounded in bytes; what does not fit is dropped by whoever pushes, as a network drops what a full
//! queue can't take.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::machine::Fill;
use crate::machine::buf::Buf;
use crate::machine::datagram::Transmit;
use crate::machine::ids::{PortId, Table};
use crate::machine::queue::ReadyList;

#[derive(Debug)]
pub(super) struct Outbox {
    /// Bytes that may wait on one port.
    limit: usize,
    lanes: Table<PortId, Lane>,
    ready: ReadyList<PortId>,
}

#[derive(Debug, Default)]
struct Lane {
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, lanes: Table::new(), ready: ReadyList::new() }
    }

    /// Queues a datagram that is not empty; false if it does not fit.
    pub(super) fn push(&mut self, port: PortId, to: SocketAddr, bytes: Vec<u8>) -> bool {
        if !self.lanes.contains(port) {
            self.lanes.insert(port, Lane::default());
            self.ready.push(port);
        }
        let Some(lane) = self.lanes.get_mut(port) else { return false };
        let fits = lane.bytes + bytes.len() <= self.limit;
        if fits {
            lane.bytes += bytes.len();
            lane.datagrams.push_back((to, bytes));
        }
        fits
    }

    /// A port that has something to send since the last time that it had nothing.
    pub(super) fn pop_ready(&mut self) -> Option<PortId> {
        self.ready.pop()
    }

    pub(super) fn fill(&mut self, port: PortId, buf: &mut Buf) -> Fill {
        let Some(lane) = self.lanes.get_mut(port) else { return Fill::Done };
        let Some((to, bytes)) = lane.datagrams.pop_front() else {
            self.lanes.remove(port);
            return Fill::Done;
        };
        lane.bytes -= bytes.len();
        buf.extend(&bytes);
        Fill::Datagrams(Transmit::to(to, bytes.len()))
    }

    pub(super) fn forget(&mut self, port: PortId) {
        self.lanes.remove(port);
        self.ready.remove(port);
    }
}
