//! Which runs of a channel have arrived: all below a number, and ranges beyond it.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of numbers that is mostly a beginning of all numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    next: u64,
    /// Start to end, not touching, all beyond `next`.
    ranges: BTreeMap<u64, u64>,
}

impl Numbers {
    /// The lowest number that is missing.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether numbers beyond [`Self::next`] are there.
    pub(super) fn has_gap(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// What is there beyond [`Self::next`], ascending.
    pub(super) fn ranges(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        number < self.next || self.ranges.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    /// Adds a number; false if it was there.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        if number == self.next {
            self.forward(number + 1);
            return true;
        }
        let end = self.ranges.remove(&(number + 1)).unwrap_or(number + 1);
        match self.ranges.range_mut(..number).next_back() {
            Some((_, before)) if *before == number => *before = end,
            _ => {
                self.ranges.insert(number, end);
            }
        }
        true
    }

    /// Adds all numbers below `next`.
    pub(super) fn forward(&mut self, next: u64) {
        self.next = self.next.max(next);
        while let Some(first) = self.ranges.first_entry() {
            if *first.key() > self.next {
                return;
            }
            self.next = self.next.max(first.remove());
        }
    }

    /// Adds the lowest missing numbers until at most `most` ranges are left.
    pub(super) fn bound(&mut self, most: usize) {
        while self.ranges.len() > most {
            let Some((start, _)) = self.ranges.first_key_value() else { return };
            self.forward(*start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::rng::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn it_agrees_with_a_set() {
        let mut rng = Rng::from_u64(1);
        for round in 0..200 {
            let (mut numbers, mut set) = (Numbers::default(), BTreeSet::new());
            for _ in 0..rng.below(300) {
                let number = rng.below(120);
                assert_eq!(numbers.insert(number), set.insert(number), "round {round}");
                if rng.chance(0.02) {
                    let to = rng.below(60);
                    numbers.forward(to);
                    set.extend(0..to);
                }
                let known: Vec<_> = (0..numbers.next()).chain(numbers.ranges().flatten()).collect();
                assert!(known.iter().eq(set.iter()), "round {round}");
                assert!(!set.contains(&numbers.next()));
            }
        }
    }

    #[test]
    fn more_gaps_than_allowed_are_given_up_from_below() {
        let mut numbers = Numbers::default();
        for number in [1, 3, 5, 7] {
            numbers.insert(number);
        }
        numbers.bound(2);
        assert_eq!(numbers.next(), 4);
        assert_eq!(numbers.ranges().collect::<Vec<_>>(), [5..6, 7..8]);
    }
}
