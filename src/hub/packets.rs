//! Packets that wait to be passed on over one link.

use crate::wire::frame::data_head;

/// Bytes of a length before each frame.
const LEN: usize = 4;

/// A first-in, first-out queue of packets with the heads of their frames, bounded in bytes.
///
/// Overflow policy: what does not fit is dropped and counted by the caller, so that no neighbour waits for another;
/// the sessions on both ends see a loss. An emptied queue owns no memory.
#[derive(Debug, Default)]
pub(super) struct Packets {
    /// Frames, each behind its length.
    bytes: Vec<u8>,
    read: usize,
}

impl Packets {
    /// What waiting costs, in bytes.
    pub(super) const fn load(&self) -> usize {
        self.bytes.len() - self.read
    }

    /// Appends a packet; false: it does not fit `limit`.
    pub(super) fn push(&mut self, route: u32, packet: &[u8], limit: usize) -> bool {
        let head = data_head(route);
        let len = head.len() + packet.len();
        if self.load() + LEN + len > limit {
            return false;
        }
        self.bytes.reserve(LEN + len);
        self.bytes.extend_from_slice(&(len as u32).to_ne_bytes());
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(packet);
        true
    }

    /// Lends the oldest frame to `take`, to be sealed where it lies, and forgets it; false: there is none.
    pub(super) fn pop(&mut self, take: impl FnOnce(&mut [u8])) -> bool {
        let Some((len, rest)) = self.bytes[self.read..].split_first_chunk_mut::<LEN>() else { return false };
        let len = u32::from_ne_bytes(*len) as usize;
        take(&mut rest[..len]);
        self.read += LEN + len;
        self.tidy();
        true
    }

    fn tidy(&mut self) {
        if self.read == self.bytes.len() {
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
        while packets.pop(|frame| out.push(frame.to_vec())) {}
        assert_eq!(out, [b"\0\0\0\0\x01one", b"\0\0\0\0\x02two"]);
        assert_eq!((packets.load(), packets.bytes.capacity()), (0, 0));
    }

    #[test]
    fn a_queue_that_never_empties_does_not_grow() {
        let mut packets = Packets::default();
        packets.push(0, &[0; 100], 10_000);
        for n in 0..10_000 {
            assert!(packets.push(n, &[1; 100], 10_000));
            packets.pop(|_| {});
        }
        assert!(packets.bytes.capacity() < 1_000);
    }
}
