//! What is due, by time and then by the order in which it was said.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::machine::time::Instant;

/// A queue of things with a moment each. Its heap moves small entries only; the things stay where they were put.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    sequence: u64,
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), sequence: 0 }
    }

    pub(super) fn push(&mut self, at: Instant, thing: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.slots[slot as usize] = Some(thing);
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, slot)));
    }

    /// When the next thing is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next thing, to be looked at.
    pub(super) fn peek(&self) -> Option<(Instant, &T)> {
        let Reverse((at, _, slot)) = self.heap.peek()?;
        Some((*at, self.slots[*slot as usize].as_ref()?))
    }

    /// Takes out the next thing if it is due at `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse((_, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot as usize].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_one_moment_comes_in_the_order_in_which_it_was_said() {
        let mut queue = Queue::new();
        for (at, thing) in [(2, 'c'), (1, 'a'), (1, 'b'), (3, 'd')] {
            queue.push(Instant::from_nanos(at), thing);
        }
        let mut popped = Vec::new();
        while let Some(thing) = queue.pop(Instant::from_nanos(2)) {
            popped.push(thing);
        }
        assert_eq!(popped, ['a', 'b', 'c']);
        assert_eq!(queue.next_at(), Some(Instant::from_nanos(3)));
    }
}
