//! Whole messages, first in, first out, in memory that is used again.
//!
//! Small messages are copied into the segments of a log; a large one, which was put together in a buffer of its own, moves
//! in with its buffer, unless that is more than twice too large. When nothing waits the log begins anew in the same
//! segment, so whoever takes messages as they come runs in memory that is warm. What was taken is lent, and its memory
//! used again with the next call.
//!
//! *Bounds.* Each message counts its bytes and [`OVERHEAD`]. Segments are full but for the last and for what a message
//! larger than the rest has left, so memory is at most about twice of what is counted, and one segment.

use std::collections::VecDeque;

use super::{Next, Received};

/// What a message counts beyond its bytes.
pub(super) const OVERHEAD: usize = 16;
/// Bytes of a segment.
const SEGMENT: usize = 64 << 10;
/// Bytes of the first segment: enough for who receives little.
const FEW: usize = 2 << 10;
/// Up to so many bytes a message is copied, although it has a buffer of its own.
const SMALL: usize = 4 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its bytes are the next of the log.
    Logged,
    /// It is the next of the buffers.
    Made,
    /// It is no message, but marks a place.
    Mark,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    ppid: u32,
    len: u32,
    stream: u16,
    kind: Kind,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    segments: VecDeque<Vec<u8>>,
    /// Where the next message lies in the first segment.
    head: usize,
    /// Messages in the log.
    logged: usize,
    made: VecDeque<Vec<u8>>,
    lent: Vec<u8>,
    spare_segments: Vec<Vec<u8>>,
    spare_buffers: Vec<Vec<u8>>,
}

impl Queue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<Next> {
        let entry = self.entries.front()?;
        let (len, is_mark) = (entry.len as usize, entry.kind == Kind::Mark);
        Some(Next { stream: entry.stream, ppid: entry.ppid, len, is_mark })
    }

    #[inline]
    pub(super) fn push(&mut self, stream: u16, ppid: u32, bytes: &[u8]) {
        if self.logged == 0 {
            self.restart();
        }
        match self.segments.back_mut() {
            Some(segment) if segment.capacity() - segment.len() >= bytes.len() => segment.extend_from_slice(bytes),
            _ => self.add_segment(bytes),
        }
        self.logged += 1;
        self.enter(stream, ppid, bytes.len(), Kind::Logged);
    }

    /// Takes in a message with its buffer, and leaves another, empty one in its place.
    pub(super) fn push_made(&mut self, stream: u16, ppid: u32, buffer: &mut Vec<u8>) {
        let len = buffer.len();
        if len <= SMALL || len < buffer.capacity() / 2 {
            self.push(stream, ppid, buffer);
            buffer.clear();
            return;
        }
        let other = self.spare_buffers.pop().unwrap_or_default();
        self.made.push_back(std::mem::replace(buffer, other));
        self.enter(stream, ppid, len, Kind::Made);
    }

    pub(super) fn mark(&mut self, stream: u16) {
        self.enter(stream, 0, 0, Kind::Mark);
    }

    /// Takes the first; its bytes are lent until the next call.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Received<'_>> {
        self.reuse();
        let Entry { stream, ppid, len, kind } = self.entries.pop_front()?;
        let bytes = match kind {
            Kind::Logged => {
                let start = self.head;
                self.head += len as usize;
                self.logged -= 1;
                self.segments.front().and_then(|segment| segment.get(start..self.head)).unwrap_or_default()
            }
            Kind::Made => {
                self.lent = self.made.pop_front().unwrap_or_default();
                &self.lent
            }
            Kind::Mark => &[],
        };
        Some(Received { stream, ppid, bytes })
    }

    /// Moves the first to the end of another queue.
    pub(super) fn pass_on(&mut self, other: &mut Self) {
        let Some(Entry { kind, .. }) = self.entries.front().copied() else { return };
        let Some(Received { stream, ppid, bytes }) = self.take() else { return };
        match kind {
            Kind::Logged => other.push(stream, ppid, bytes),
            Kind::Made => other.push_made(stream, ppid, &mut self.lent),
            Kind::Mark => other.mark(stream),
        }
    }

    /// Gives memory back that nothing needs.
    pub(super) fn trim(&mut self) {
        self.reuse();
        self.spare_segments = Vec::new();
        self.spare_buffers = Vec::new();
        if self.entries.is_empty() {
            *self = Self::default();
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "no message has 2³² bytes")]
    fn enter(&mut self, stream: u16, ppid: u32, len: usize, kind: Kind) {
        self.entries.push_back(Entry { ppid, len: len as u32, stream, kind });
    }

    #[inline]
    fn restart(&mut self) {
        while self.segments.len() > 1 {
            self.drop_first_segment();
        }
        if let Some(segment) = self.segments.front_mut() {
            segment.clear();
        }
        self.head = 0;
    }

    fn add_segment(&mut self, bytes: &[u8]) {
        let least = if self.segments.is_empty() && bytes.len() <= FEW { FEW } else { SEGMENT.max(bytes.len()) };
        let spare = self.spare_segments.pop().filter(|spare| spare.capacity() >= bytes.len());
        let mut segment = spare.unwrap_or_else(|| Vec::with_capacity(least));
        segment.extend_from_slice(bytes);
        self.segments.push_back(segment);
    }

    /// Uses again what was lent.
    #[inline]
    fn reuse(&mut self) {
        if self.segments.len() > 1 && self.segments.front().is_some_and(|segment| segment.len() == self.head) {
            self.drop_first_segment();
        }
        if self.lent.capacity() > 0 {
            let mut buffer = std::mem::take(&mut self.lent);
            buffer.clear();
            self.spare_buffers.push(buffer);
        }
    }

    fn drop_first_segment(&mut self) {
        self.head = 0;
        let Some(mut segment) = self.segments.pop_front() else { return };
        if segment.capacity() == SEGMENT {
            segment.clear();
            self.spare_segments.push(segment);
        }
    }
}
