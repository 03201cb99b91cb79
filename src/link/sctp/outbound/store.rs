//! The bytes of messages, from `write` until they are acknowledged: a log in segments.
//!
//! A message is copied once, to the end of the log, and known by its position there. Positions count all bytes ever
//! written; the segment of one is its quotient by [`SEGMENT`]. Each segment counts the bytes in it that are still
//! wanted. One without any gives its memory to the next, and when nothing at all is wanted the last segment begins
//! anew, so a trickle of small messages lives in a few warm kilobytes.
//!
//! *Bounds.* A segment lives as long as one byte of it does, so messages that wait could pin far more than they have.
//! [`room`](Store::room) therefore counts segments as well: never more than twice what the bound asks for, and two.

use std::collections::VecDeque;

/// Bytes of a segment.
const SEGMENT: usize = 64 << 10;
/// Memory that a segment begins with, in bytes: enough for who sends little.
const FEW: usize = 4 << 10;

#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    live: usize,
    /// Whether its memory has gone elsewhere.
    is_gone: bool,
}

impl Segment {
    const fn is_full(&self) -> bool {
        self.bytes.len() == SEGMENT
    }

    const fn is_spent(&self) -> bool {
        self.live == 0 && self.is_full()
    }

    /// Whether so many bytes go into it without more memory.
    #[inline]
    const fn takes(&self, len: usize) -> bool {
        let len = self.bytes.len() + len;
        len <= SEGMENT && len <= self.bytes.capacity() && !self.is_gone
    }

    fn reserve(&mut self, len: usize) {
        let len = self.bytes.len() + len;
        if len > self.bytes.capacity() {
            let capacity = if len <= FEW { FEW } else { SEGMENT };
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.live += bytes.len();
    }
}

/// The log.
#[derive(Debug)]
pub(super) struct Store {
    segments: VecDeque<Segment>,
    /// The number of the first segment.
    base: u64,
    /// The position of the next byte.
    end: u64,
    spare: Vec<Vec<u8>>,
    live: usize,
    held: usize,
    bound: usize,
}

impl Store {
    /// An empty log, which holds no memory; `bound` is the most bytes that may be wanted at a time.
    pub(super) const fn new(bound: usize) -> Self {
        Self { segments: VecDeque::new(), base: 0, end: 0, spare: Vec::new(), live: 0, held: 0, bound }
    }

    /// Bytes that are still wanted.
    pub(super) const fn live(&self) -> usize {
        self.live
    }

    /// The most bytes that may be wanted.
    pub(super) const fn bound(&self) -> usize {
        self.bound
    }

    /// Bytes that may be appended at once.
    pub(super) fn room(&self) -> usize {
        let segments = (self.most_segments().saturating_sub(self.held)) * SEGMENT + self.tail();
        self.bound.saturating_sub(self.live).min(segments)
    }

    /// Whether so many bytes may be appended at once.
    #[inline]
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.live + len <= self.bound && (len <= self.tail() || len <= self.room())
    }

    /// Copies a message to the end; where it begins.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) -> u64 {
        let start = self.end;
        match self.segments.back_mut().filter(|last| last.takes(bytes.len())) {
            Some(last) => last.append(bytes),
            None => self.append_slowly(bytes),
        }
        self.live += bytes.len();
        self.end += bytes.len() as u64;
        start
    }

    /// The bytes there, in two pieces where a segment ends within.
    #[inline]
    pub(super) fn read(&self, start: u64, len: usize) -> (&[u8], &[u8]) {
        let (index, at) = self.locate(start);
        let first = &self.segments[index].bytes[at..];
        match first.get(..len) {
            Some(all) => (all, &[]),
            None => (first, &self.segments[index + 1].bytes[..len - first.len()]),
        }
    }

    /// Some bytes are no longer wanted, each once.
    pub(super) fn release(&mut self, start: u64, len: usize) {
        let (mut index, at) = self.locate(start);
        let mut here = len.min(SEGMENT - at);
        let mut left = len;
        self.live -= len;
        while left > 0 {
            self.segments[index].live -= here;
            if self.segments[index].is_spent() {
                self.recycle(index);
            }
            left -= here;
            here = left.min(SEGMENT);
            index += 1;
        }
        if self.live == 0 || self.segments.front().is_some_and(|segment| segment.is_gone) {
            self.advance();
        }
    }

    /// Gives back the memory that waits for more.
    pub(super) fn trim(&mut self) {
        self.spare = Vec::new();
        if self.live == 0 {
            self.base += self.segments.len() as u64;
            self.end = self.base * SEGMENT as u64;
            self.segments = VecDeque::new();
            self.held = 0;
        }
    }

    const fn most_segments(&self) -> usize {
        2 * self.bound.div_ceil(SEGMENT) + 2
    }

    /// Bytes that the last segment has room for.
    fn tail(&self) -> usize {
        self.segments.back().filter(|last| !last.is_gone).map_or(0, |last| SEGMENT - last.bytes.len())
    }

    fn append_slowly(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(self.open_tail()));
            let Some(segment) = self.segments.back_mut() else { return };
            segment.reserve(now.len());
            segment.append(now);
            bytes = rest;
        }
    }

    /// As [`tail`](Self::tail), with a new segment where the last is full.
    fn open_tail(&mut self) -> usize {
        if self.tail() == 0 {
            self.segments.push_back(Segment { bytes: self.spare.pop().unwrap_or_default(), live: 0, is_gone: false });
            self.held += 1;
        }
        self.tail()
    }

    #[expect(clippy::cast_possible_truncation, reason = "the quotient is below the number of segments held")]
    const fn locate(&self, position: u64) -> (usize, usize) {
        let segment = SEGMENT as u64;
        ((position / segment - self.base) as usize, (position % segment) as usize)
    }

    /// Takes the memory of a segment that nobody wants.
    fn recycle(&mut self, index: usize) {
        let segment = &mut self.segments[index];
        let mut bytes = std::mem::take(&mut segment.bytes);
        segment.is_gone = true;
        self.held -= 1;
        bytes.clear();
        if self.spare.len() + self.held < self.most_segments() {
            self.spare.push(bytes);
        }
    }

    /// Lets go of spent segments at the front; a log of which nothing is wanted begins anew in its last one.
    fn advance(&mut self) {
        while self.segments.front().is_some_and(|segment| segment.is_gone) {
            self.segments.pop_front();
            self.base += 1;
        }
        if let Some(last) = self.segments.back_mut().filter(|_| self.live == 0) {
            last.bytes.clear();
            self.base += 1;
            self.end = self.base * SEGMENT as u64;
        }
    }
}
