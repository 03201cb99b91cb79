//! Messages that wait to be sent on one link.

use std::collections::VecDeque;

use super::payload::{Flow, Framer, Kind, Payload};

/// From here on a message has memory of its own, so that it moves in or out without a copy and moves no other.
const LARGE: usize = 4096;

/// A first-in, first-out queue of messages, bounded in bytes.
///
/// Overflow policy: [`push`](Self::push) answers [`Flow::Stop`] once the limit is reached and the source stops;
/// so a lane holds at most its limit and what its sources had in hand. A message counts with its place, so that
/// empty ones are bounded too. A drained lane owns no memory.
#[derive(Debug)]
pub struct Lane {
    entries: VecDeque<Entry>,
    small: Vec<u8>,
    read: usize,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
enum Entry {
    Small(Kind, usize),
    Large(Kind, Vec<u8>),
}

impl Lane {
    /// An empty lane of about `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), small: Vec::new(), read: 0, bytes: 0, limit }
    }

    /// Appends a message. `Stop`: the limit is reached, the source should stop until the lane is drained.
    pub fn push(&mut self, kind: Kind, message: Payload<'_>) -> Flow {
        let len = message.as_slice().len();
        self.bytes += len;
        if len >= LARGE {
            self.entries.push_back(Entry::Large(kind, message.into_vec()));
        } else {
            self.small.extend_from_slice(message.as_slice());
            self.entries.push_back(Entry::Small(kind, len));
        }
        if self.is_full() { Flow::Stop } else { Flow::Go }
    }

    /// Writes the oldest message to `out`. False: there is none.
    pub fn pop(&mut self, out: &mut dyn Framer) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        match entry {
            Entry::Small(kind, len) => {
                out.message(kind, &[], &self.small[self.read..self.read + len]);
                self.read += len;
                self.bytes -= len;
            }
            Entry::Large(kind, bytes) => {
                out.message(kind, &[], &bytes);
                self.bytes -= bytes.len();
            }
        }
        self.tidy();
        true
    }

    /// Takes the oldest message out as an own vector.
    pub fn take(&mut self) -> Option<(Kind, Vec<u8>)> {
        struct Taken(Option<(Kind, Vec<u8>)>);
        impl Framer for Taken {
            fn message(&mut self, kind: Kind, head: &[u8], body: &[u8]) {
                self.0 = Some((kind, [head, body].concat()));
            }
            fn room(&self) -> usize {
                usize::MAX
            }
        }
        if let Some(Entry::Large(..)) = self.entries.front() {
            let Some(Entry::Large(kind, bytes)) = self.entries.pop_front() else { return None };
            self.bytes -= bytes.len();
            self.tidy();
            return Some((kind, bytes));
        }
        let mut taken = Taken(None);
        self.pop(&mut taken);
        taken.0
    }

    /// Bytes of the messages that wait.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the messages that wait and of their places: what the limit is for.
    pub fn load(&self) -> usize {
        self.bytes + self.entries.len() * size_of::<Entry>()
    }

    /// Whether the limit is reached.
    pub fn is_full(&self) -> bool {
        self.load() >= self.limit
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn tidy(&mut self) {
        if self.entries.is_empty() {
            *self = Self::new(self.limit);
        } else if self.read > self.small.len() / 2 {
            self.small.drain(..self.read);
            self.read = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_in_the_order_they_came_small_or_large() {
        let mut lane = Lane::new(1 << 20);
        let sizes = [0, 1, 70, LARGE, 3, LARGE + 1, 2, 500];
        for (n, size) in sizes.into_iter().enumerate() {
            let kind = if n % 2 == 0 { Kind::Binary } else { Kind::Text };
            assert_eq!(lane.push(kind, Payload::Owned(vec![n as u8; size])), Flow::Go);
        }
        for (n, size) in sizes.into_iter().enumerate() {
            let (kind, message) = lane.take().unwrap();
            assert_eq!(message, vec![n as u8; size]);
            assert_eq!(kind == Kind::Binary, n % 2 == 0);
        }
        assert_eq!(lane.take(), None);
    }

    #[test]
    fn a_full_lane_says_stop_and_a_drained_one_owns_nothing() {
        let mut lane = Lane::new(100 + size_of::<Entry>());
        assert_eq!(lane.push(Kind::Binary, Payload::Borrowed(&[0; 99])), Flow::Go);
        assert_eq!(lane.push(Kind::Binary, Payload::Borrowed(&[0; 50])), Flow::Stop);
        while lane.take().is_some() {}
        assert_eq!((lane.load(), lane.small.capacity(), lane.entries.capacity()), (0, 0, 0));
    }

    #[test]
    fn empty_messages_fill_a_lane_too() {
        let mut lane = Lane::new(1000);
        let pushed = (0..1000).take_while(|_| lane.push(Kind::Binary, Payload::Borrowed(&[])) == Flow::Go).count();
        assert_eq!(pushed, 1000 / size_of::<Entry>());
    }

    #[test]
    fn a_lane_that_never_drains_does_not_grow() {
        let mut lane = Lane::new(1000);
        lane.push(Kind::Binary, Payload::Borrowed(&[1; 100]));
        for _ in 0..10_000 {
            lane.push(Kind::Binary, Payload::Borrowed(&[2; 100]));
            lane.take();
        }
        assert!(lane.small.capacity() < 1000, "{}", lane.small.capacity());
    }
}
