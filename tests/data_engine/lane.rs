//! One direction of a channel: what is written, and whether what arrives is that.
//!
//! The message at a place follows from the place alone, so nothing has to be kept. Where order is not kept, or messages
//! may be missing, each begins with its place, in eight digits; where all arrive in order there are shorter ones, empty
//! ones among them.

use std::ops::RangeInclusive;

use crate::partner::{Limit, Spec};

/// The largest message.
pub(crate) const LARGEST: usize = 256 * 1024;
const DIGITS: usize = 8;

#[derive(Debug)]
pub(crate) struct Lane {
    is_ordered: bool,
    is_reliable: bool,
    salt: u64,
    total: usize,
    sizes: RangeInclusive<usize>,
    pub(crate) written: usize,
    got: Vec<bool>,
    next: usize,
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

impl Lane {
    pub(crate) fn new(spec: &Spec, salt: u64, total: usize, sizes: RangeInclusive<usize>) -> Self {
        let (is_ordered, is_reliable) = (spec.is_ordered, spec.limit == Limit::None);
        let got = vec![false; total];
        Self { is_ordered, is_reliable, salt, total, sizes, written: 0, got, next: 0, count: 0, bytes: 0 }
    }

    /// The next message to be written, and whether it is binary.
    pub(crate) fn next(&self) -> Option<(bool, Vec<u8>)> {
        (self.written < self.total).then(|| self.message(self.written))
    }

    pub(crate) fn arrived(&mut self, is_binary: bool, bytes: &[u8]) {
        let place = self.place(bytes);
        assert!(place < self.written, "message {place} came before it was written");
        assert!(!std::mem::replace(&mut self.got[place], true), "message {place} came twice");
        assert!(!self.is_ordered || place >= self.next, "message {place} came after message {}", self.next);
        let (kind, expected) = self.message(place);
        assert_eq!((bytes.len(), is_binary), (expected.len(), kind), "message {place} is another");
        assert!(bytes == expected, "message {place} has other bytes");
        (self.next, self.count, self.bytes) = (place + 1, self.count + 1, self.bytes + bytes.len());
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.written == self.total && (!self.is_reliable || self.count == self.total)
    }

    fn is_numbered(&self) -> bool {
        !(self.is_ordered && self.is_reliable)
    }

    fn place(&self, bytes: &[u8]) -> usize {
        if !self.is_numbered() {
            return self.next;
        }
        let digits = bytes.get(..DIGITS).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| digits.parse().ok()).expect("a message begins with its place")
    }

    fn message(&self, place: usize) -> (bool, Vec<u8>) {
        let random = mixed(self.salt ^ (place as u64) << 20);
        let least = if self.is_numbered() { DIGITS } else { *self.sizes.start() };
        let len = match place % 50 {
            7 if place % 400 == 7 && self.is_reliable => *self.sizes.end(),
            3 => least + random as usize % (16 * 1024),
            0 => least,
            _ => least + random as usize % 300,
        };
        let mut message = if self.is_numbered() { format!("{place:08}").into_bytes() } else { Vec::new() };
        let filling = (message.len()..len).map(|at| b' ' + ((random >> 32) as usize + at * 7) as u8 % 95);
        message.extend(filling);
        (!place.is_multiple_of(3), message)
    }
}

/// A number that looks like chance.
fn mixed(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
