//! Bounded queues. Each states its overflow policy: [`Bounded`] hands back, [`ReadyList`] cannot overflow.

use std::collections::VecDeque;

use super::ids::{Key, Table};

/// A first-in, first-out queue with a limit; what does not fit is handed back.
#[derive(Debug)]
pub struct Bounded<T> {
    items: VecDeque<T>,
    limit: usize,
}

impl<T> Bounded<T> {
    /// An empty queue of at most `limit` items.
    pub const fn new(limit: usize) -> Self {
        Self { items: VecDeque::new(), limit }
    }

    /// Appends an item, or hands it back when the queue is full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.is_full() {
            return Err(item);
        }
        self.items.push_back(item);
        Ok(())
    }

    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front();
        if self.items.is_empty() && self.items.capacity() > 64 {
            self.items = VecDeque::new();
        }
        item
    }

    /// Whether the next item would be handed back.
    pub fn is_full(&self) -> bool {
        self.items.len() >= self.limit
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// Which of many children have something to do, each at most once: at most as long as there are children.
#[derive(Debug)]
pub struct ReadyList<K> {
    order: VecDeque<K>,
    listed: Table<K, ()>,
}

impl<K> Default for ReadyList<K> {
    fn default() -> Self {
        Self { order: VecDeque::new(), listed: Table::default() }
    }
}

impl<K: Key> ReadyList<K> {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a child, unless it is in the list.
    pub fn push(&mut self, key: K) {
        if self.listed.contains(key) {
            return;
        }
        self.listed.insert(key, ());
        self.order.push_back(key);
    }

    /// Takes the child that has waited longest.
    pub fn pop(&mut self) -> Option<K> {
        while let Some(key) = self.order.pop_front() {
            if self.listed.remove(key).is_some() {
                return Some(key);
            }
        }
        None
    }

    /// Takes one child out, wherever it stands.
    pub fn remove(&mut self, key: K) {
        self.listed.remove(key);
    }

    /// Whether no child waits.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ids::Ids;

    #[test]
    fn a_full_queue_hands_back() {
        let mut queue = Bounded::new(1);
        assert_eq!(queue.push('a'), Ok(()));
        assert_eq!(queue.push('b'), Err('b'));
        assert_eq!(queue.pop(), Some('a'));
    }

    #[test]
    fn a_ready_list_names_each_child_once_in_order() {
        let mut ids = Ids::new();
        let (a, b) = (ids.port(), ids.port());
        let mut list = ReadyList::new();
        for port in [a, b, a] {
            list.push(port);
        }
        assert_eq!([list.pop(), list.pop(), list.pop()], [Some(a), Some(b), None]);
    }
}
