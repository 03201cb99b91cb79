//! Chunks from the first that is not acknowledged cumulatively to the last that was cut: a ring.
//!
//! TSNs wrap; here they are *serials*, counted in 64 bits, of which a TSN is the low half. The place of a chunk in the
//! ring is its distance from the first, so nothing is ever searched.

use std::collections::VecDeque;

use super::message::{Id, Message};
use super::packets::low_half;
use crate::wire::sctp::{DataHead, Tsn};

/// Chunks at most: gap blocks reach 65,535 beyond the cumulative TSN.
pub(super) const MOST: usize = 60_000;
/// The same without interleaving: messages of a stream have numbers of 16 bits, and of two numbers so far apart neither
/// is the later one (RFC 9260, section 1.6).
pub(super) const MOST_PLAIN: usize = 32_767;

/// Serials of lost chunks beyond twice the number of chunks.
const SURPLUS: usize = 64;

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// On its way.
    Flying,
    /// Declared lost, and to be sent again.
    Lost,
    /// Acknowledged by a gap block.
    Acked,
    /// Acknowledged once, and then no more: the receiver may have thrown it away (RFC 9260, section 6.2.1).
    Reneged,
    /// Never sent: it stands for the rest of a message that was given up half sent.
    Phantom,
}

/// A chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) message: Id,
    /// Where in the message it begins.
    pub(super) offset: u32,
    pub(super) fragment: u32,
    /// The low half of the number of the last packet that it went in.
    pub(super) packet: u32,
    pub(super) len: u16,
    pub(super) state: State,
    /// How often it was sent.
    pub(super) sends: u8,
}

impl Chunk {
    /// What it says of itself in a packet.
    #[inline]
    pub(super) fn head(&self, serial: u64, message: &Message, stream: u16, is_interleaved: bool) -> DataHead {
        DataHead {
            tsn: tsn(serial),
            stream,
            ppid: message.ppid,
            is_unordered: message.is_unordered,
            is_begin: self.offset == 0,
            is_end: self.offset + u32::from(self.len) == message.len,
            is_immediate: false,
            is_interleaved,
            message: message.number,
            fragment: self.fragment,
            len: self.len.into(),
        }
    }
}

/// The ring.
#[derive(Debug)]
pub(super) struct Flight {
    chunks: VecDeque<Chunk>,
    base: u64,
    /// Serials of chunks to be sent again; those acknowledged meanwhile are passed over.
    pub(super) lost: VecDeque<u64>,
}

/// Where an acknowledged TSN lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before what was acknowledged already.
    Old,
    /// All below this serial is acknowledged.
    Below(u64),
    /// Beyond all that was cut.
    Unsent,
}

impl Flight {
    /// An empty ring whose first chunk will have that TSN.
    pub(super) fn new(first: Tsn) -> Self {
        Self { chunks: VecDeque::new(), base: (1 << 32) | u64::from(first.0), lost: VecDeque::new() }
    }

    /// The serial of the first chunk.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    /// The serial of the next chunk.
    pub(super) fn end(&self) -> u64 {
        self.base + self.chunks.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Where a cumulative acknowledgement lies.
    #[inline]
    pub(super) fn place(&self, cumulative: Tsn) -> Place {
        let step = cumulative.next().since(tsn(self.base));
        match usize::try_from(step) {
            Ok(steps) if steps <= self.chunks.len() => Place::Below(self.base + u64::from(step)),
            _ if step.cast_signed() < 0 => Place::Old,
            _ => Place::Unsent,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.chunks.push_back(chunk);
    }

    /// Takes the first chunks out, up to that serial.
    pub(super) fn advance(&mut self, below: u64) {
        let count = usize::try_from(below - self.base).map_or(self.chunks.len(), |count| count.min(self.chunks.len()));
        self.chunks.drain(..count);
        self.base += count as u64;
    }

    #[inline]
    pub(super) fn get(&self, serial: u64) -> Option<&Chunk> {
        self.chunks.get(self.index(serial)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, serial: u64) -> Option<&mut Chunk> {
        let index = self.index(serial)?;
        self.chunks.get_mut(index)
    }

    /// Whether a chunk is on its way, and last went in that packet.
    pub(super) fn flies_in(&self, serial: u64, packet: u64) -> bool {
        self.get(serial).is_some_and(|chunk| chunk.state == State::Flying && chunk.packet == low_half(packet))
    }

    /// The first chunk that is to be sent again.
    pub(super) fn first_lost(&self) -> Option<u64> {
        self.lost.front().copied()
    }

    /// Queues a chunk to be sent again. Serials that are passed over later are thrown out when they are the most.
    pub(super) fn queue_lost(&mut self, serial: u64) {
        if self.lost.len() > 2 * self.chunks.len() + SURPLUS {
            let lost = self.chunks.iter().zip(self.base..).filter(|(chunk, _)| chunk.state == State::Lost);
            self.lost.clear();
            self.lost.extend(lost.map(|(_, serial)| serial));
        } else {
            self.lost.push_back(serial);
        }
    }

    /// Gives the memory back when there is nothing in the ring.
    pub(super) fn trim(&mut self) {
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
            self.lost = VecDeque::new();
        }
    }

    #[inline]
    fn index(&self, serial: u64) -> Option<usize> {
        usize::try_from(serial.checked_sub(self.base)?).ok()
    }
}

/// The TSN of a serial.
pub(super) const fn tsn(serial: u64) -> Tsn {
    Tsn(low_half(serial))
}
