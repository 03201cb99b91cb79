//! Packets under way: what was sent when, for round trips, delivery rates and losses.
//!
//! Each packet with data has a number of its own, which never repeats, so it is always clear what was sent after what;
//! TSNs do not tell that once something has been sent again. Its record lasts until all of its bytes are acknowledged or
//! declared lost. Chunks that a packet carries for the first time have consecutive TSNs: a range. The others are
//! listed aside, in the order in which they were sent.

use std::collections::VecDeque;

use crate::machine::time::Instant;

/// Records at most; a sender that has as many waits for its timer.
pub(super) const MOST: usize = 1 << 16;

/// A packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// When it left.
    pub(super) at: Instant,
    /// Bytes that had been delivered then, and when the last of them were.
    pub(super) delivered: u64,
    pub(super) delivered_at: Instant,
    /// When the packet left that these measured from: the start of the interval in which it was sent.
    pub(super) first_sent: Instant,
    /// The serial of its first new chunk.
    pub(super) first: u64,
    /// Bytes of its chunks that are neither acknowledged nor declared lost.
    pub(super) flying: u16,
    /// How many new chunks it has.
    pub(super) fresh: u16,
    pub(super) is_app_limited: bool,
    /// Whether it is larger than packets are in the beginning.
    pub(super) is_large: bool,
    /// Whether it was declared lost.
    pub(super) is_lost: bool,
}

/// A chunk that was sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resent {
    pub(super) serial: u64,
    /// The packet that it went in.
    pub(super) packet: u64,
}

/// All of them. The first has the number 1.
#[derive(Debug)]
pub(super) struct Packets {
    sent: VecDeque<Sent>,
    /// The number of the first record.
    base: u64,
    /// What was sent again, in order.
    pub(super) resent: VecDeque<Resent>,
    /// The first packet whose new chunks have not been judged.
    pub(super) judged: u64,
}

impl Packets {
    pub(super) const fn new() -> Self {
        Self { sent: VecDeque::new(), base: 1, resent: VecDeque::new(), judged: 1 }
    }

    /// The number of the first record.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    /// The number of the next packet.
    pub(super) fn next(&self) -> u64 {
        self.base + self.sent.len() as u64
    }

    /// Whether another one may be sent, and another chunk be sent again.
    pub(super) fn has_room(&self) -> bool {
        self.sent.len() < MOST && self.resent.len() < MOST
    }

    pub(super) fn push(&mut self, packet: Sent) {
        self.sent.push_back(packet);
    }

    /// The number whose low half a chunk remembers.
    #[inline]
    pub(super) const fn number(&self, low: u32) -> u64 {
        self.base.wrapping_add_signed(low.wrapping_sub(low_half(self.base)).cast_signed() as i64)
    }

    /// The packet of that number, if it still has bytes under way or one before it has.
    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<&Sent> {
        self.sent.get(self.index(number)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Sent> {
        let index = self.index(number)?;
        self.sent.get_mut(index)
    }

    /// Lets go of those at the front that have nothing under way.
    pub(super) fn settle(&mut self) {
        while self.sent.front().is_some_and(|packet| packet.flying == 0) {
            self.sent.pop_front();
            self.base += 1;
        }
        self.judged = self.judged.max(self.base);
    }

    /// Gives the memory back when there are none.
    pub(super) fn trim(&mut self) {
        if self.sent.is_empty() {
            self.sent = VecDeque::new();
            self.resent = VecDeque::new();
        }
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.base)?).ok()
    }
}

/// What a chunk remembers of a number.
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
pub(super) const fn low_half(number: u64) -> u32 {
    number as u32
}
