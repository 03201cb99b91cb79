//! Datagrams that wait to be sent, by port.
//!
//! A port's queue is bounded in bytes; what does not fit is dropped by whoever pushes, as a network drops what a full
//! queue can't take. A port that has nothing to send costs nothing.

use std::collections::VecDeque;

use super::Fill;
use super::buf::Buf;
use super::datagram::Transmit;
use super::ids::{PortId, Table};
use super::queue::ReadyList;

/// The datagrams of all bound ports of a machine.
#[derive(Debug)]
pub struct Outbox {
    limit: usize,
    lanes: Table<PortId, Lane>,
    ready: ReadyList<PortId>,
}

#[derive(Debug, Default)]
struct Lane {
    datagrams: VecDeque<(Transmit, Vec<u8>)>,
    bytes: usize,
}

impl Outbox {
    /// An empty one, in which at most `limit` bytes wait for each port.
    pub fn new(limit: usize) -> Self {
        Self { limit, lanes: Table::new(), ready: ReadyList::new() }
    }

    /// Queues one datagram, which is not empty. False: it does not fit, and is dropped.
    pub fn push(&mut self, port: PortId, transmit: Transmit, bytes: Vec<u8>) -> bool {
        if bytes.is_empty() || bytes.len() > self.limit {
            return false;
        }
        if !self.lanes.contains(port) {
            self.lanes.insert(port, Lane::default());
            self.ready.push(port);
        }
        let Some(lane) = self.lanes.get_mut(port).filter(|lane| lane.bytes + bytes.len() <= self.limit) else {
            return false;
        };
        lane.bytes += bytes.len();
        lane.datagrams.push_back((transmit, bytes));
        true
    }

    /// A port that has something to send since the last time that it had nothing: to be told as `Ready`.
    pub fn pop_ready(&mut self) -> Option<PortId> {
        self.ready.pop()
    }

    /// Writes the next datagram of a port.
    pub fn fill(&mut self, port: PortId, buf: &mut Buf) -> Fill {
        let Some(lane) = self.lanes.get_mut(port) else { return Fill::Done };
        let Some((transmit, bytes)) = lane.datagrams.pop_front() else {
            self.lanes.remove(port);
            return Fill::Done;
        };
        lane.bytes -= bytes.len();
        buf.extend(&bytes);
        Fill::Datagrams(transmit)
    }

    /// Drops what waits for a port that is gone.
    pub fn forget(&mut self, port: PortId) {
        self.lanes.remove(port);
        self.ready.remove(port);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::machine::ids::Ids;

    fn to() -> Transmit {
        Transmit::to(SocketAddr::from(([192, 0, 2, 1], 1)), 4)
    }

    #[test]
    fn a_port_is_ready_once_until_it_had_nothing() {
        let (mut outbox, port, mut buf) = (Outbox::new(100), Ids::new().port(), Buf::new(100));
        assert!(outbox.push(port, to(), b"1234".to_vec()) && outbox.push(port, to(), b"5678".to_vec()));
        assert_eq!((outbox.pop_ready(), outbox.pop_ready()), (Some(port), None));
        assert_eq!(outbox.fill(port, &mut buf), Fill::Datagrams(to()));
        assert!(outbox.push(port, to(), b"9abc".to_vec()));
        assert_eq!(outbox.fill(port, &mut buf), Fill::Datagrams(to()));
        assert_eq!(outbox.fill(port, &mut buf), Fill::Datagrams(to()));
        assert_eq!((outbox.fill(port, &mut buf), buf.as_slice()), (Fill::Done, &b"123456789abc"[..]));
        assert!(outbox.push(port, to(), b"once more".to_vec()));
        assert_eq!(outbox.pop_ready(), Some(port));
    }

    #[test]
    fn what_does_not_fit_is_dropped() {
        let (mut outbox, port) = (Outbox::new(8), Ids::new().port());
        assert!(!outbox.push(port, to(), vec![0; 9]) && !outbox.push(port, to(), Vec::new()));
        assert_eq!(outbox.pop_ready(), None);
        assert!(outbox.push(port, to(), vec![0; 8]) && !outbox.push(port, to(), vec![0; 1]));
    }
}
