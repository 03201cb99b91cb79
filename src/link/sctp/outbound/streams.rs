//! What waits on which stream, and whose turn it is.
//!
//! *Queues* are lists through the records of messages, so a stream costs a record and no memory of its own. A stream
//! exists from the first message, or the first priority, on; a table sorted by id finds it, and the last one found is
//! remembered.
//!
//! *Turns* go round by bytes (deficit round robin): a stream sends until what it was granted is used up, then the next
//! one does. Overdraft is carried along, so a stream of large messages, which without interleaving can't be stopped
//! within one, waits as long as it held up the others. Debts end when nothing is queued at all. Grants are as the
//! priorities: 128, 256, 512, 1,024 of W3C's four are 1 : 2 : 4 : 8 (RFC 8831, section 6.4; the weighted fair queueing of
//! RFC 8260, section 3.6). A stream without anything queued is in no list and costs nothing.
//!
//! *Without interleaving* the fragments of a message have consecutive TSNs (RFC 9260, section 6.9): once begun, a message
//! keeps the turn until it is cut to its end or given up.

use std::collections::VecDeque;

use super::message::{Id, Messages};

/// The priority of a stream of which none was told: W3C's "low", which is the default there.
const PRIORITY: u16 = 256;
/// Bytes granted at a time for that priority: about a packet.
const GRANT: i64 = 1_200;
/// No grant is less, in bytes.
const LEAST_GRANT: i64 = 256;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u16,
    is_ready: bool,
    head: Option<Id>,
    tail: Option<Id>,
    /// Bytes written and not yet cut.
    pub(super) queued: usize,
    /// Chunks in the ring.
    pub(super) chunks: u32,
    /// The numbers of the next ordered and of the next unordered message.
    numbers: [u32; 2],
    grant: i64,
    credit: i64,
    round: u32,
}

impl Stream {
    const fn new(id: u16) -> Self {
        Self {
            id,
            is_ready: false,
            head: None,
            tail: None,
            queued: 0,
            chunks: 0,
            numbers: [0; 2],
            grant: GRANT,
            credit: 0,
            round: 0,
        }
    }

    /// The number of a message that begins now.
    pub(super) const fn take_number(&mut self, is_unordered: bool) -> u32 {
        let number = &mut self.numbers[is_unordered as usize];
        let taken = *number;
        *number = number.wrapping_add(1);
        taken
    }

    /// Whether nothing of it is queued or under way.
    const fn is_unused(&self) -> bool {
        self.head.is_none() && self.chunks == 0
    }
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    all: Vec<Stream>,
    free: Vec<u32>,
    /// Where each id's record is, by id.
    index: Vec<(u16, u32)>,
    last: Option<(u16, u32)>,
    ready: VecDeque<u32>,
    /// Whether the stream whose turn it is may not be stopped.
    is_locked: bool,
    round: u32,
    queued: usize,
}

impl Streams {
    /// Bytes written and not yet cut, on all of them.
    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    /// The stream of that record.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> &Stream {
        &self.all[slot as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Stream {
        &mut self.all[slot as usize]
    }

    /// The stream with that id, if it is in use.
    pub(super) fn find(&self, id: u16) -> Option<&Stream> {
        self.slot(id).map(|slot| &self.all[slot as usize])
    }

    /// The record of the stream with that id, new if need be.
    #[inline]
    pub(super) fn open(&mut self, id: u16) -> u32 {
        match self.last {
            Some((last, slot)) if last == id => slot,
            _ => self.open_slowly(id),
        }
    }

    fn open_slowly(&mut self, id: u16) -> u32 {
        let slot = match self.index.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => self.index[at].1,
            Err(at) => self.create(id, at),
        };
        self.last = Some((id, slot));
        slot
    }

    /// The share of a stream, as a multiple of 1/256 of the default's.
    pub(super) fn set_priority(&mut self, id: u16, priority: u16) {
        let slot = self.open(id);
        self.get_mut(slot).grant = (GRANT * i64::from(priority) / i64::from(PRIORITY)).max(LEAST_GRANT);
    }

    /// Appends a message to the queue of its stream.
    #[inline]
    pub(super) fn push(&mut self, messages: &mut Messages, id: Id) {
        let message = messages.get(id);
        let (slot, len) = (message.stream, message.len as usize);
        self.queued += len;
        let stream = &mut self.all[slot as usize];
        stream.queued += len;
        match stream.tail.replace(id) {
            Some(tail) => messages.get_mut(tail).next = Some(id),
            None => stream.head = Some(id),
        }
        if !stream.is_ready {
            self.make_ready(slot);
        }
    }

    /// Whose turn it is, and its message.
    #[inline]
    pub(super) fn pick(&mut self) -> Option<(u32, Id)> {
        loop {
            let slot = *self.ready.front()?;
            let is_alone = self.ready.len() == 1;
            let stream = &mut self.all[slot as usize];
            let Some(head) = stream.head else {
                self.leave_turn();
                continue;
            };
            if is_alone && stream.credit <= 0 {
                stream.credit = stream.grant;
            }
            if self.is_locked || stream.credit > 0 {
                return Some((slot, head));
            }
            stream.credit += stream.grant;
            self.ready.rotate_left(1);
        }
    }

    /// Bytes of the message whose turn it is were cut, in a chunk of `size` bytes.
    #[inline]
    pub(super) fn on_cut(&mut self, slot: u32, len: usize, size: usize, is_locked: bool) {
        self.queued -= len;
        self.is_locked = is_locked;
        let stream = &mut self.all[slot as usize];
        stream.queued -= len;
        stream.credit -= size.cast_signed() as i64;
    }

    /// The first message of a stream is cut to its end.
    #[inline]
    pub(super) fn finish(&mut self, messages: &mut Messages, slot: u32) {
        self.pop(messages, slot);
        self.pass_abandoned(messages, slot);
    }

    /// Takes the first message of a stream out of its queue.
    #[inline]
    fn pop(&mut self, messages: &mut Messages, slot: u32) -> Option<Id> {
        let stream = &mut self.all[slot as usize];
        let id = stream.head?;
        let message = messages.get_mut(id);
        message.is_queued = false;
        stream.head = message.next.take();
        if stream.head.is_none() {
            stream.tail = None;
            if self.ready.front() == Some(&slot) {
                self.leave_turn();
            }
        }
        Some(id)
    }

    /// A queued message will not be cut any further: what is left of it goes off the books, and it leaves the queue as soon
    /// as it is the first.
    pub(super) fn on_abandoned(&mut self, messages: &mut Messages, slot: u32, left: usize, has_begun: bool) {
        self.queued -= left;
        self.get_mut(slot).queued -= left;
        if has_begun && self.ready.front() == Some(&slot) {
            self.is_locked = false;
        }
        self.pass_abandoned(messages, slot);
    }

    /// Takes messages that were given up off the head of a queue.
    #[inline]
    fn pass_abandoned(&mut self, messages: &mut Messages, slot: u32) {
        while self.get(slot).head.is_some_and(|head| messages.get(head).is_abandoned) {
            let Some(id) = self.pop(messages, slot) else { break };
            messages.free_unused(id);
        }
    }

    /// The first message of a stream's queue.
    pub(super) fn head(&self, id: u16) -> Option<Id> {
        self.find(id)?.head
    }

    /// Ids in use from `first` on.
    pub(super) fn ids_from(&self, first: u16) -> impl Iterator<Item = u16> + use<'_> {
        self.index[self.index.partition_point(|(id, _)| *id < first)..].iter().map(|(id, _)| *id)
    }

    /// Forgets a stream, so that its messages count from zero; one in use keeps its record.
    pub(super) fn restart(&mut self, id: u16) {
        let Ok(at) = self.index.binary_search_by_key(&id, |(id, _)| *id) else { return };
        let slot = self.index[at].1;
        let stream = &mut self.all[slot as usize];
        stream.numbers = [0; 2];
        if stream.is_unused() {
            self.ready.retain(|ready| *ready != slot);
            self.index.remove(at);
            self.free.push(slot);
            self.last = None;
        }
    }

    /// Gives back memory that is not needed; nothing is queued.
    pub(super) fn trim(&mut self) {
        while !self.ready.is_empty() && self.pick().is_none() {}
        self.ready.shrink_to_fit();
        if self.index.is_empty() {
            *self = Self::default();
        }
    }

    fn slot(&self, id: u16) -> Option<u32> {
        let at = self.index.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.index[at].1)
    }

    #[expect(clippy::cast_possible_truncation, reason = "there are at most 65,536 streams")]
    fn create(&mut self, id: u16, at: usize) -> u32 {
        let slot = self.free.pop().unwrap_or(self.all.len() as u32);
        match self.all.get_mut(slot as usize) {
            Some(record) => *record = Stream::new(id),
            None => self.all.push(Stream::new(id)),
        }
        self.index.insert(at, (id, slot));
        slot
    }

    fn make_ready(&mut self, slot: u32) {
        let stream = &mut self.all[slot as usize];
        stream.is_ready = true;
        if stream.round != self.round {
            stream.credit = 0;
        }
        stream.round = self.round;
        self.ready.push_back(slot);
    }

    /// The stream whose turn it is has nothing queued.
    fn leave_turn(&mut self) {
        let Some(slot) = self.ready.pop_front() else { return };
        let stream = &mut self.all[slot as usize];
        stream.is_ready = false;
        stream.credit = stream.credit.min(0);
        self.is_locked = false;
        if self.ready.is_empty() {
            self.round = self.round.wrapping_add(1);
        }
    }
}
