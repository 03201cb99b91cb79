//! Timers of one machine as a table indexed by an enum, and a heap over many machines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Deadline;
use super::ids::{Key, Table};
use super::time::Instant;

/// An enum whose variants are timers; each variant's documentation is that timer's specification.
pub trait Timer: Copy + 'static {
    /// All variants, each at its own index.
    const ALL: &'static [Self];

    /// The position in [`Self::ALL`].
    fn index(self) -> usize;

    /// The reason that its deadline carries.
    fn why(self) -> &'static str;
}

/// The timers of one machine; `N` is the number of variants.
#[derive(Debug)]
pub struct TimerTable<const N: usize> {
    at: [Option<Instant>; N],
}

impl<const N: usize> Default for TimerTable<N> {
    fn default() -> Self {
        Self { at: [None; N] }
    }
}

impl<const N: usize> TimerTable<N> {
    /// Starts a timer, or moves it.
    pub fn set<T: Timer>(&mut self, timer: T, at: Instant) {
        self.at[timer.index()] = Some(at);
    }

    /// Stops a timer.
    pub fn stop<T: Timer>(&mut self, timer: T) {
        self.at[timer.index()] = None;
    }

    /// Stops all timers.
    pub fn clear(&mut self) {
        self.at = [None; N];
    }

    /// Whether a timer runs.
    pub fn runs<T: Timer>(&self, timer: T) -> bool {
        self.at[timer.index()].is_some()
    }

    /// The earliest timer with its reason.
    pub fn earliest<T: Timer>(&self) -> Option<Deadline> {
        let earliest = T::ALL.iter().filter_map(|timer| Some((self.at[timer.index()]?, timer)));
        earliest.min_by_key(|(at, _)| *at).map(|(at, timer)| Deadline::new(at, timer.why()))
    }

    /// Stops and answers one timer that is due.
    pub fn take_due<T: Timer>(&mut self, now: Instant) -> Option<T> {
        let timer = *T::ALL.iter().find(|timer| self.at[timer.index()].is_some_and(|at| at <= now))?;
        self.stop(timer);
        Some(timer)
    }
}

/// The deadlines of many children: setting one and finding the earliest cost the logarithm of their number.
#[derive(Debug)]
pub struct DeadlineHeap<K> {
    current: Table<K, Deadline>,
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Key> Default for DeadlineHeap<K> {
    fn default() -> Self {
        Self { current: Table::new(), heap: BinaryHeap::new() }
    }
}

impl<K: Key> DeadlineHeap<K> {
    /// Sets or clears the deadline of one child.
    pub fn set(&mut self, key: K, deadline: Option<Deadline>) {
        let Some(deadline) = deadline else {
            self.current.remove(key);
            return;
        };
        let old = self.current.insert(key, deadline);
        if old.is_none_or(|old| old.at != deadline.at) {
            self.heap.push(Reverse((deadline.at, key)));
            self.compact();
        }
    }

    /// The earliest deadline.
    pub fn earliest(&mut self) -> Option<Deadline> {
        while let Some(Reverse((at, key))) = self.heap.peek() {
            match self.current.get(*key) {
                Some(deadline) if deadline.at == *at => return Some(*deadline),
                _ => self.heap.pop(),
            };
        }
        None
    }

    /// Clears and answers one child whose deadline is due.
    pub fn take_due(&mut self, now: Instant) -> Option<K> {
        self.earliest().filter(|deadline| deadline.at <= now)?;
        let Reverse((_, key)) = self.heap.pop()?;
        self.current.remove(key);
        Some(key)
    }

    fn compact(&mut self) {
        if self.heap.len() > 2 * self.current.len() + 64 {
            self.heap = self.current.iter().map(|(key, deadline)| Reverse((deadline.at, key))).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ids::{Ids, PortId};

    fn at(nanos: u64) -> Option<Deadline> {
        Some(Deadline::new(Instant::from_nanos(nanos), "test"))
    }

    #[test]
    fn the_heap_finds_the_earliest_and_forgets_what_was_moved() {
        let mut ids = Ids::new();
        let (a, b) = (ids.port(), ids.port());
        let mut heap = DeadlineHeap::default();
        heap.set(a, at(10));
        heap.set(b, at(20));
        heap.set(a, at(30));
        assert_eq!(heap.earliest(), at(20));
        assert_eq!(heap.take_due(Instant::from_nanos(25)), Some(b));
        assert_eq!(heap.take_due(Instant::from_nanos(25)), None);
        heap.set(a, None);
        assert_eq!(heap.earliest(), None);
    }

    #[test]
    fn a_deadline_set_ten_thousand_times_is_held_once() {
        let mut ids = Ids::new();
        let port: PortId = ids.port();
        let mut heap = DeadlineHeap::default();
        for nanos in 0..10_000 {
            heap.set(port, at(nanos));
        }
        assert!(heap.heap.len() < 100);
        assert_eq!(heap.earliest(), at(9_999));
    }
}
