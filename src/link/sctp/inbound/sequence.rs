//! Which TSNs have come: all up to the cumulative one, and ranges above it.
//!
//! Inside, a TSN is a [`Number`] of 64 bits that never wraps; its low half is the TSN. Finding a number's place costs a
//! comparison when it is the next or the newest, and the logarithm of the ranges else. At most [`MOST_RANGES`] are
//! kept: what would make one more is not taken, so that the peer sends it again when there is less disorder. Neither is
//! what lies farther ahead than a gap block can tell ([`MOST_AHEAD`]).

use std::collections::VecDeque;

use crate::wire::sctp::Tsn;

/// A TSN that never wraps.
pub(super) type Number = u64;

/// Ranges above the cumulative TSN.
pub(super) const MOST_RANGES: usize = 512;
/// Distance from the cumulative TSN: a gap block has 16 bits.
pub(super) const MOST_AHEAD: u64 = 65_535;
/// Ranges that an acknowledgement tells, the lowest ones. What it leaves out above them counts as on its way with the
/// peer; would it tell the newest too, all between would look lost.
const MOST_BLOCKS: usize = 128;

/// What is to be thought of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The one after the cumulative one.
    Next,
    /// Another that has not come.
    Ahead,
    /// It has come already.
    Duplicate,
    /// It lies too far ahead.
    TooFar,
    /// There would be too many ranges.
    TooScattered,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    first: Number,
    last: Number,
}

#[derive(Debug)]
pub(super) struct Sequence {
    cumulative: Number,
    ranges: VecDeque<Range>,
}

impl Sequence {
    /// Nothing has come; `first` will be the first.
    pub(super) fn new(first: Tsn) -> Self {
        Self { cumulative: (1 << 32) | u64::from(first.previous().0), ranges: VecDeque::new() }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is the TSN")]
    pub(super) const fn cumulative(&self) -> Tsn {
        Tsn(self.cumulative as u32)
    }

    pub(super) const fn reached(&self) -> Number {
        self.cumulative
    }

    /// The number that a TSN means: the one nearest to the cumulative.
    #[inline]
    pub(super) fn number(&self, tsn: Tsn) -> Number {
        let distance = tsn.since(self.cumulative()).cast_signed();
        self.cumulative.wrapping_add_signed(i64::from(distance))
    }

    #[inline]
    pub(super) fn has_gaps(&self) -> bool {
        !self.ranges.is_empty()
    }

    #[inline]
    pub(super) fn judge(&self, number: Number) -> Verdict {
        match number.wrapping_sub(self.cumulative).cast_signed() {
            1 => Verdict::Next,
            ..=0 => Verdict::Duplicate,
            distance if distance.unsigned_abs() > MOST_AHEAD => Verdict::TooFar,
            _ => self.judge_ahead(number),
        }
    }

    fn judge_ahead(&self, number: Number) -> Verdict {
        let at = self.place(number);
        match self.ranges.get(at) {
            Some(range) if range.first <= number => Verdict::Duplicate,
            _ if self.ranges.len() < MOST_RANGES || self.touches(at, number) => Verdict::Ahead,
            _ => Verdict::TooScattered,
        }
    }

    /// The first range that does not end before `number`.
    fn place(&self, number: Number) -> usize {
        match self.ranges.back() {
            Some(newest) if newest.last >= number => self.ranges.partition_point(|range| range.last < number),
            _ => self.ranges.len(),
        }
    }

    /// Whether `number` would lengthen the range at `at`, or the one before it.
    fn touches(&self, at: usize, number: Number) -> bool {
        self.follows(at, number) || self.precedes(at, number)
    }

    fn follows(&self, at: usize, number: Number) -> bool {
        at > 0 && self.ranges[at - 1].last + 1 == number
    }

    fn precedes(&self, at: usize, number: Number) -> bool {
        self.ranges.get(at).is_some_and(|range| range.first == number + 1)
    }

    /// Takes a number in that is [`Verdict::Next`] or [`Verdict::Ahead`].
    #[inline]
    pub(super) fn insert(&mut self, number: Number) {
        if number == self.cumulative + 1 {
            self.cumulative = number;
            self.absorb();
        } else {
            self.insert_ahead(number);
        }
    }

    fn insert_ahead(&mut self, number: Number) {
        let at = self.place(number);
        match (self.follows(at, number), self.precedes(at, number)) {
            (true, true) => {
                self.ranges[at - 1].last = self.ranges[at].last;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].last = number,
            (false, true) => self.ranges[at].first = number,
            (false, false) => self.ranges.insert(at, Range { first: number, last: number }),
        }
    }

    /// Counts all up to `number` as come.
    pub(super) fn forward(&mut self, number: Number) {
        self.cumulative = self.cumulative.max(number);
        self.absorb();
    }

    #[inline]
    fn absorb(&mut self) {
        while let Some(range) = self.ranges.front().filter(|range| range.first <= self.cumulative + 1) {
            self.cumulative = self.cumulative.max(range.last);
            self.ranges.pop_front();
        }
    }

    /// Gap blocks, as distances from the cumulative TSN.
    #[expect(clippy::cast_possible_truncation, reason = "nothing lies farther ahead than 65,535")]
    pub(super) fn gaps(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        let base = self.cumulative;
        self.ranges.iter().take(MOST_BLOCKS).map(move |range| ((range.first - base) as u16, (range.last - base) as u16))
    }

    pub(super) fn trim(&mut self) {
        self.ranges.shrink_to_fit();
    }
}
