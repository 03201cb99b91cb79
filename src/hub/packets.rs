//! Packets that wait to be passed on over one link.

use std::collections::VecDeque;

/// A first-in, first-out queue of packets with their routes, bounded in bytes.
///
/// Overflow policy: what does not fit is dropped and counted by the caller, so that no neighbour waits for another;
/// the sessions on both ends see a loss. An emptied queue owns no memory.
#[derive(Debug, Default)]
pub(super) struct Packets {
    entries: VecDeque<(u32, usize)>,
    bytes: Vec<u8>,
    read: usize,
}

impl Packets {
    /// What waiting costs: bytes and places.
    pub(super) fn load(&self) -> usize {
        self.bytes.len() - self.read + self.entries.len() * size_of::<(u32, usize)>()
    }

    /// Appends a packet; false: it does not fit `limit`.
    pub(super) fn push(&mut self, route: u32, packet: &[u8], limit: usize) -> bool {
        if self.load() + packet.len() > limit {
            return false;
        }
        self.bytes.extend_from_slice(packet);
        self.entries.push_back((route, packet.len()));
        true
    }

    /// Lends the oldest packet to `take` and forgets it; false: there is none.
    pub(super) fn pop(&mut self, take: impl FnOnce(u32, &[u8])) -> bool {
        let Some((route, len)) = self.entries.pop_front() else { return false };
        take(route, &self.bytes[self.read..self.read + len]);
        self.read += len;
        self.tidy();
        true
    }

    fn tidy(&mut self) {
        if self.entries.is_empty() {
            *self = Self::default();
        } else if self.read > self.bytes.len() / 2 {
            self.bytes.drain(..std::mem::take(&mut self.read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_in_order_and_what_does_not_fit_is_refused() {
        let mut packets = Packets::default();
        assert!(packets.push(1, b"one", 100));
        assert!(packets.push(2, b"two", 100));
        assert!(!packets.push(3, &[0; 90], 100));
        let mut out = Vec::new();
        while packets.pop(|route, packet| out.push((route, packet.to_vec()))) {}
        assert_eq!(out, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
        assert_eq!((packets.load(), packets.bytes.capacity()), (0, 0));
    }

    #[test]
    fn a_queue_that_never_empties_does_not_grow() {
        let mut packets = Packets::default();
        packets.push(0, &[0; 100], 10_000);
        for n in 0..10_000 {
            assert!(packets.push(n, &[1; 100], 10_000));
            packets.pop(|_, _| {});
        }
        assert!(packets.bytes.capacity() < 1_000);
    }
}
