//! Datagrams that wait to be sent, by port.
//!
//! A port's queue is bounded in bytes; what does not fit is dropped by whoever pushes, as a network drops what a full
//! queue can't take. A port that has nothing to send costs nothing.
//!
//! Datagrams of one size to one destination leave in one batch (GSO), in the order in which they came: the first that
//! is longer, or goes elsewhere, begins the next batch, and one that is shorter ends its own.

use std::collections::VecDeque;

use super::Fill;
use super::buf::Buf;
use super::datagram::Transmit;
use super::ids::{PortId, Table};
use super::queue::ReadyList;

/// Datagrams of one batch, as kernels allow.
const MOST_SEGMENTS: usize = 64;
/// Bytes of one batch: what one UDP payload may have.
const MOST_BYTES: usize = 65_507;

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

    /// Writes the next datagrams of a port: as many as make one batch and fit the buffer, at least one.
    pub fn fill(&mut self, port: PortId, buf: &mut Buf) -> Fill {
        let Some(lane) = self.lanes.get_mut(port) else { return Fill::Done };
        let Some((first, bytes)) = lane.datagrams.pop_front() else {
            self.lanes.remove(port);
            return Fill::Done;
        };
        let transmit = Transmit { segment: bytes.len(), ..first };
        lane.bytes -= bytes.len();
        buf.extend(&bytes);
        lane.batch(transmit, buf);
        Fill::Datagrams(transmit)
    }

    /// Drops what waits for a port that is gone.
    pub fn forget(&mut self, port: PortId) {
        self.lanes.remove(port);
        self.ready.remove(port);
    }
}

impl Lane {
    /// Appends what may follow a first datagram.
    fn batch(&mut self, transmit: Transmit, buf: &mut Buf) {
        let (mut segments, mut total, mut last) = (1, transmit.segment, transmit.segment);
        while last == transmit.segment && segments < MOST_SEGMENTS {
            let most = transmit.segment.min(buf.room()).min(MOST_BYTES.saturating_sub(total));
            let fits = |(next, bytes): &&(Transmit, Vec<u8>)| {
                Transmit { segment: transmit.segment, ..*next } == transmit && bytes.len() <= most
            };
            if self.datagrams.front().filter(fits).is_none() {
                return;
            }
            let Some((_, bytes)) = self.datagrams.pop_front() else { return };
            last = bytes.len();
            (segments, total) = (segments + 1, total + last);
            self.bytes -= last;
            buf.extend(&bytes);
        }
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

    /// What each fill brings: the size of its segments, and its bytes.
    fn batches(lengths: &[usize], limit: usize) -> Vec<(usize, usize)> {
        let (mut outbox, port) = (Outbox::new(1 << 20), Ids::new().port());
        for length in lengths {
            assert!(outbox.push(port, to(), vec![0; *length]));
        }
        let mut batches = Vec::new();
        loop {
            let mut buf = Buf::new(limit);
            match outbox.fill(port, &mut buf) {
                Fill::Datagrams(transmit) => batches.push((transmit.segment, buf.len())),
                _ => return batches,
            }
        }
    }

    #[test]
    fn datagrams_of_one_size_leave_at_once_and_a_shorter_one_ends_the_batch() {
        assert_eq!(batches(&[100, 100, 100, 50, 100], 65_536), [(100, 350), (100, 100)]);
        assert_eq!(batches(&[50, 100, 100], 65_536), [(50, 50), (100, 200)]);
    }

    #[test]
    fn a_batch_fits_the_buffer_and_what_kernels_take() {
        assert_eq!(batches(&[100; 5], 250), [(100, 200), (100, 200), (100, 100)]);
        assert_eq!(batches(&[10; 70], 65_536), [(10, 640), (10, 60)]);
        assert_eq!(batches(&[1200; 64], 1 << 20), [(1200, 54 * 1200), (1200, 10 * 1200)]);
        assert_eq!(batches(&[300, 300], 100), [(300, 300), (300, 300)]);
    }

    #[test]
    fn what_goes_elsewhere_goes_by_itself() {
        let (mut outbox, port, mut buf) = (Outbox::new(100), Ids::new().port(), Buf::new(100));
        let elsewhere = Transmit::to(SocketAddr::from(([192, 0, 2, 2], 1)), 4);
        let marked = Transmit { ecn: Some(crate::machine::datagram::Ecn::Ect0), ..to() };
        for transmit in [to(), elsewhere, elsewhere, marked] {
            assert!(outbox.push(port, transmit, b"1234".to_vec()));
        }
        let lengths = [to(), elsewhere, marked].map(|transmit| {
            buf.clear();
            assert_eq!(outbox.fill(port, &mut buf), Fill::Datagrams(transmit));
            buf.len()
        });
        assert_eq!((lengths, outbox.fill(port, &mut buf)), ([4, 8, 4], Fill::Done));
    }
}
