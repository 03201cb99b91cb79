//! Fragments that have come before what they belong to, joined as far as they touch.
//!
//! A fragment's place is a lane and a number in it. Plain DATA has one lane, the TSN: the fragments of a message follow
//! each other there. With I-DATA each message is a lane, and the number is the FSN. A part is a run of fragments of one
//! message; a fragment finds the part before and the part after it by the logarithm of their count, and joins them in
//! one step.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::cells::{Cells, Chain};
use super::sequence::Number;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) lane: u64,
    pub(super) at: u64,
}

impl Place {
    /// A message as a lane: those of a stream lie side by side, first the ordered ones.
    pub(super) fn lane(stream: u16, is_unordered: bool, message: u32) -> u64 {
        (u64::from(stream) << 33) | (u64::from(is_unordered) << 32) | u64::from(message)
    }

    pub(super) const fn after(self) -> Self {
        Self { lane: self.lane, at: self.at + 1 }
    }
}

/// Which message, in the words of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) stream: u16,
    pub(super) is_unordered: bool,
    pub(super) message: u32,
    pub(super) ppid: u32,
}

/// Fragments that follow each other.
#[derive(Debug)]
pub(super) struct Part {
    /// The place of the last one in the lane.
    pub(super) last: u64,
    pub(super) has_begin: bool,
    pub(super) has_end: bool,
    pub(super) head: Head,
    pub(super) chain: Chain,
}

#[derive(Debug, Default)]
pub(super) struct Parts {
    map: BTreeMap<Place, Part>,
}

impl Parts {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Gives the memory back, if nothing waits.
    pub(super) fn trim(&mut self) {
        if self.map.is_empty() {
            self.map = BTreeMap::new();
        }
    }

    /// The part that ends right before a place.
    pub(super) fn before(&self, place: Place) -> Option<(Place, &Part)> {
        let (start, part) = self.map.range(..place).next_back()?;
        (start.lane == place.lane && part.last + 1 == place.at).then_some((*start, part))
    }

    /// The part that begins at a place.
    pub(super) fn at(&self, place: Place) -> Option<&Part> {
        self.map.get(&place)
    }

    /// Whether a place is taken already.
    pub(super) fn covers(&self, place: Place) -> bool {
        let nearest = self.map.range(..=place).next_back();
        nearest.is_some_and(|(start, part)| start.lane == place.lane && part.last >= place.at)
    }

    pub(super) fn insert(&mut self, start: Place, part: Part) {
        self.map.insert(start, part);
    }

    pub(super) fn take(&mut self, start: Place) -> Option<Part> {
        self.map.remove(&start)
    }

    pub(super) fn remove(&mut self, cells: &mut Cells, start: Place) {
        if let Some(part) = self.map.remove(&start) {
            cells.free(part.chain);
        }
    }

    /// Lets go of all lanes of a range.
    pub(super) fn remove_lanes(&mut self, cells: &mut Cells, lanes: RangeInclusive<u64>) {
        let (first, last) = (Place { lane: *lanes.start(), at: 0 }, Place { lane: *lanes.end(), at: u64::MAX });
        while let Some(start) = self.map.range(first..=last).next().map(|(start, _)| *start) {
            self.remove(cells, start);
        }
    }

    /// Lets go of all that begins up to a number in the one lane of plain DATA, but for what may still become whole:
    /// it has its begin, and the number does not lie beyond its end. Such a one is answered.
    pub(super) fn forward(&mut self, cells: &mut Cells, number: Number) -> Option<Place> {
        loop {
            let (start, part) = self.map.first_key_value().filter(|(start, _)| start.at <= number)?;
            let start = *start;
            if part.has_begin && part.last >= number {
                return Some(start);
            }
            self.remove(cells, start);
        }
    }
}
