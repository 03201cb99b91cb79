//! Messages put together from fragments, and put in order.
//!
//! *The straight way.* A message that comes whole goes from the packet into the inbox. One whose fragments come in order
//! is put together in a buffer of its own, which then moves into the inbox. Either way a byte is copied once. One
//! message at a time goes that way, and only if nothing keeps it from being given out once it is whole.
//!
//! *The long way.* All other fragments wait in [`parts`](super::parts); a message that is whole but not the next of its
//! stream waits too. Their bytes lie in [`cells`](super::cells) and are copied once more. The straight way takes in parts
//! that it meets, so one lost packet costs only what comes between its loss and its repetition.
//!
//! *Order.* The messages of a stream are counted in 32 bits; the 16 bits of plain DATA mean the nearest such number.
//! What is older than the next is dropped: it was given up, or is a repetition of another kind.
//!
//! *Given up* (RFC 3758, RFC 8260). FORWARD-TSN moves on to a TSN and names streams. Whole messages up to the
//! named one are given out, parts that can't become whole are let go. It may end in the middle of a message that is *not*
//! given up, because all of it so far was acknowledged: a part that has its begin and reaches that TSN is kept, unless
//! its stream is named. A message that was given up half-sent may have no end; then another begins where it would go on.

use std::collections::BTreeMap;

use super::super::config::{Agreed, Config};
use super::super::error::Broken;
use super::cells::{Cells, Chain};
use super::inbox::Inbox;
use super::parts::{Head, Part, Parts, Place};
use super::sequence::Number;
use super::streams::Streams;
use crate::wire::sctp::{Data, Forward, Skipped};

/// The message that goes the straight way.
#[derive(Debug, Clone, Copy)]
struct Making {
    head: Head,
    /// Where its next fragment belongs.
    next: Place,
}

/// A message that waits for those before it.
#[derive(Debug)]
struct Whole {
    ppid: u32,
    chain: Chain,
}

/// Where the bytes of a whole message are.
enum Source<'a> {
    Packet(&'a [u8]),
    Buffer,
    Chain(Chain),
}

#[derive(Debug)]
pub(super) struct Assembly {
    is_interleaved: bool,
    has_forward: bool,
    max_message: usize,
    streams: Streams,
    making: Option<Making>,
    buffer: Vec<u8>,
    cells: Cells,
    parts: Parts,
    waiting: BTreeMap<(u16, u32), Whole>,
    /// Whether fragments without a begin may be the rest of something given up.
    is_skipping: bool,
    dropped: u64,
}

impl Assembly {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            is_interleaved: false,
            has_forward: false,
            max_message: config.max_message,
            streams: Streams::default(),
            making: None,
            buffer: Vec::new(),
            cells: Cells::default(),
            parts: Parts::default(),
            waiting: BTreeMap::new(),
            is_skipping: false,
            dropped: 0,
        }
    }

    pub(super) const fn start(&mut self, agreed: Agreed) {
        self.is_interleaved = agreed.is_interleaved;
        self.has_forward = agreed.has_forward_tsn;
    }

    #[inline]
    pub(super) const fn is_interleaved(&self) -> bool {
        self.is_interleaved
    }

    pub(super) const fn has_forward(&self) -> bool {
        self.has_forward
    }

    /// What waits outside of the message in the making, in bytes that count to the window.
    #[inline]
    pub(super) const fn charge(&self) -> usize {
        self.cells.charge()
    }

    /// Bytes of the message in the making.
    #[inline]
    pub(super) const fn making(&self) -> usize {
        self.buffer.len()
    }

    /// Messages and fragments dropped because they were given up, or repeat others.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes in a chunk that has not come before. `is_next`: all before it has come.
    #[inline]
    pub(super) fn on_data(
        &mut self,
        data: &Data<'_>,
        number: Number,
        is_next: bool,
        inbox: &mut Inbox,
    ) -> Result<(), Broken> {
        // The SSN of unordered DATA says nothing (RFC 9260, section 3.3.1).
        let message = if data.is_unordered && !self.is_interleaved { 0 } else { data.message };
        let head = Head { stream: data.stream, is_unordered: data.is_unordered, message, ppid: data.ppid };
        let is_whole = data.is_begin && data.is_end;
        if is_whole && self.making.is_none() && self.parts.is_empty() && data.payload.len() <= self.max_message {
            self.is_skipping &= !is_next;
            self.complete(head, Source::Packet(data.payload), inbox);
            return Ok(());
        }
        let place = self.place(data, number)?;
        if data.is_begin {
            self.cut_before(place)?;
            self.is_skipping &= !is_next;
        }
        if is_whole {
            self.check_len(data.payload.len())?;
            self.complete(head, Source::Packet(data.payload), inbox);
            return Ok(());
        }
        self.on_fragment(data, head, place, is_next, inbox)
    }

    fn place(&self, data: &Data<'_>, number: Number) -> Result<Place, Broken> {
        if !self.is_interleaved {
            return Ok(Place { lane: 0, at: number });
        }
        if !data.is_begin && data.fragment == 0 {
            return Err(Broken::FragmentWithoutBegin);
        }
        let lane = Place::lane(data.stream, data.is_unordered, data.message);
        Ok(Place { lane, at: u64::from(data.fragment) })
    }

    /// A message begins here: whatever would go on here has no end.
    fn cut_before(&mut self, place: Place) -> Result<(), Broken> {
        let is_making = self.making.is_some_and(|making| making.next == place);
        let before = self.parts.before(place).filter(|(_, part)| !part.has_end).map(|(start, _)| start);
        if !is_making && before.is_none() {
            return Ok(());
        }
        if !self.has_forward {
            return Err(Broken::BeginWithinMessage);
        }
        if is_making {
            self.unmake();
        }
        if let Some(start) = before {
            self.parts.remove(&mut self.cells, start);
        }
        Ok(())
    }

    const fn check_len(&self, len: usize) -> Result<(), Broken> {
        if len > self.max_message { Err(Broken::MessageTooLarge) } else { Ok(()) }
    }

    fn on_fragment(
        &mut self,
        data: &Data<'_>,
        head: Head,
        place: Place,
        is_next: bool,
        inbox: &mut Inbox,
    ) -> Result<(), Broken> {
        let is_straight = data.is_begin && self.making.is_none() && self.is_deliverable(head);
        match self.making {
            Some(making) if making.next == place => {
                self.check_same(making.head, head)?;
                return self.lengthen(data.payload, place, data.is_end, inbox);
            }
            Some(making) if making.next.lane == place.lane && self.is_interleaved && place.at < making.next.at => {
                self.dropped += 1;
                return Ok(());
            }
            None if is_straight && !self.parts.covers(place) => {
                self.making = Some(Making { head, next: place });
                return self.lengthen(data.payload, place, false, inbox);
            }
            _ => {}
        }
        if is_next && !data.is_begin && !self.is_interleaved && self.parts.before(place).is_none() {
            return self.on_orphan(place);
        }
        self.keep(data, head, place, inbox)
    }

    fn is_deliverable(&mut self, head: Head) -> bool {
        head.is_unordered || self.distance(head) == 0
    }

    /// How many messages of its stream come before this one; negative: it is over.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "SSNs have 16 bits")]
    fn distance(&mut self, head: Head) -> i32 {
        let next = *self.streams.next(head.stream);
        if self.is_interleaved {
            head.message.wrapping_sub(next).cast_signed()
        } else {
            i32::from((head.message as u16).wrapping_sub(next as u16).cast_signed())
        }
    }

    fn check_same(&self, one: Head, other: Head) -> Result<(), Broken> {
        let is_same = self.is_interleaved || one == other;
        if is_same { Ok(()) } else { Err(Broken::FragmentsDiffer) }
    }

    /// Appends to the message in the making, and what has waited for that.
    fn lengthen(&mut self, payload: &[u8], place: Place, is_end: bool, inbox: &mut Inbox) -> Result<(), Broken> {
        self.check_len(self.buffer.len() + payload.len())?;
        self.buffer.extend_from_slice(payload);
        let Some(making) = &mut self.making else { return Ok(()) };
        making.next = place.after();
        let (head, next) = (making.head, making.next);
        if is_end {
            self.finish(inbox);
        } else if !self.parts.is_empty() {
            self.absorb(head, next, inbox)?;
        }
        Ok(())
    }

    fn absorb(&mut self, head: Head, next: Place, inbox: &mut Inbox) -> Result<(), Broken> {
        let Some(part) = self.parts.at(next) else { return Ok(()) };
        if part.has_begin {
            return self.cut_making();
        }
        self.check_same(head, part.head)?;
        self.check_len(self.buffer.len() + part.chain.len())?;
        let Some(part) = self.parts.take(next) else { return Ok(()) };
        self.cells.pour(part.chain, &mut self.buffer);
        if part.has_end {
            self.finish(inbox);
        } else if let Some(making) = &mut self.making {
            making.next.at = part.last + 1;
        }
        Ok(())
    }

    /// Another message begins where the one in the making would go on.
    fn cut_making(&mut self) -> Result<(), Broken> {
        if !self.has_forward {
            return Err(Broken::BeginWithinMessage);
        }
        self.unmake();
        Ok(())
    }

    fn unmake(&mut self) {
        self.making = None;
        self.buffer.clear();
        self.dropped += 1;
    }

    fn finish(&mut self, inbox: &mut Inbox) {
        if let Some(making) = self.making.take() {
            self.complete(making.head, Source::Buffer, inbox);
        }
    }

    /// A fragment that follows nothing: the rest of a message that was given up, or a breach.
    fn on_orphan(&mut self, place: Place) -> Result<(), Broken> {
        if !self.is_skipping {
            return Err(Broken::FragmentWithoutBegin);
        }
        self.dropped += 1;
        if self.parts.at(place.after()).is_some_and(|part| !part.has_begin) {
            self.parts.remove(&mut self.cells, place.after());
        }
        Ok(())
    }

    /// The long way.
    fn keep(&mut self, data: &Data<'_>, head: Head, place: Place, inbox: &mut Inbox) -> Result<(), Broken> {
        if self.is_interleaved && (self.parts.covers(place) || self.is_over(head)) {
            self.dropped += 1;
            return Ok(());
        }
        let chain = self.cells.store(data.payload);
        let part = Part { last: place.at, has_begin: data.is_begin, has_end: data.is_end, head, chain };
        let (start, part) = self.join_before(place, part)?;
        let part = self.join_after(part, place)?;
        if part.has_begin && part.has_end {
            self.complete(part.head, Source::Chain(part.chain), inbox);
        } else {
            self.parts.insert(start, part);
        }
        Ok(())
    }

    fn is_over(&mut self, head: Head) -> bool {
        !head.is_unordered && self.distance(head) < 0
    }

    fn join_before(&mut self, place: Place, part: Part) -> Result<(Place, Part), Broken> {
        let before = self.parts.before(place).filter(|(_, before)| !part.has_begin && !before.has_end);
        let Some(start) = before.map(|(start, _)| start) else { return Ok((place, part)) };
        let Some(before) = self.parts.take(start) else { return Ok((place, part)) };
        Ok((start, self.join(before, part)?))
    }

    fn join_after(&mut self, part: Part, place: Place) -> Result<Part, Broken> {
        let after = self.parts.at(place.after()).filter(|after| !after.has_begin && !part.has_end);
        if after.is_none() {
            return Ok(part);
        }
        match self.parts.take(place.after()) {
            Some(after) => self.join(part, after),
            None => Ok(part),
        }
    }

    fn join(&mut self, first: Part, second: Part) -> Result<Part, Broken> {
        self.check_same(first.head, second.head)?;
        self.check_len(first.chain.len() + second.chain.len())?;
        let chain = self.cells.join(first.chain, second.chain);
        Ok(Part { last: second.last, has_end: second.has_end, chain, ..first })
    }

    /// A message is whole: it is given out, or waits for those before it.
    #[inline]
    fn complete(&mut self, head: Head, source: Source<'_>, inbox: &mut Inbox) {
        if head.is_unordered {
            return self.give_out(head.stream, head.ppid, source, inbox);
        }
        match self.distance(head) {
            0 => {
                self.give_out(head.stream, head.ppid, source, inbox);
                self.advance(head.stream, inbox);
            }
            distance @ 1.. => self.wait(head, distance.unsigned_abs(), source),
            _ => self.drop_whole(source),
        }
    }

    #[inline]
    fn give_out(&mut self, stream: u16, ppid: u32, source: Source<'_>, inbox: &mut Inbox) {
        match source {
            Source::Packet(bytes) => inbox.push(stream, ppid, bytes),
            Source::Buffer => inbox.push_made(stream, ppid, &mut self.buffer),
            Source::Chain(chain) => self.pour(stream, ppid, chain, inbox),
        }
    }

    /// Copies a chain into the inbox, by way of the buffer; if that is in use, by another.
    fn pour(&mut self, stream: u16, ppid: u32, chain: Chain, inbox: &mut Inbox) {
        let in_use = std::mem::take(&mut self.buffer);
        if self.making.is_none() {
            self.buffer = in_use;
            self.cells.pour(chain, &mut self.buffer);
            return inbox.push_made(stream, ppid, &mut self.buffer);
        }
        self.cells.pour(chain, &mut self.buffer);
        inbox.push_made(stream, ppid, &mut self.buffer);
        self.buffer = in_use;
    }

    /// The next message of a stream was given out: those that waited for it follow.
    #[inline]
    fn advance(&mut self, stream: u16, inbox: &mut Inbox) {
        let next = self.streams.next(stream);
        *next = next.wrapping_add(1);
        if !self.waiting.is_empty() {
            self.release(stream, inbox);
        }
    }

    fn release(&mut self, stream: u16, inbox: &mut Inbox) {
        loop {
            let next = *self.streams.next(stream);
            let Some(whole) = self.waiting.remove(&(stream, next)) else { return };
            self.pour(stream, whole.ppid, whole.chain, inbox);
            *self.streams.next(stream) = next.wrapping_add(1);
        }
    }

    fn wait(&mut self, head: Head, distance: u32, source: Source<'_>) {
        let key = (head.stream, self.streams.next(head.stream).wrapping_add(distance));
        if self.waiting.contains_key(&key) {
            return self.drop_whole(source);
        }
        let chain = match source {
            Source::Packet(bytes) => self.cells.store(bytes),
            Source::Chain(chain) => chain,
            Source::Buffer => {
                let chain = self.cells.store(&self.buffer);
                self.buffer.clear();
                chain
            }
        };
        self.waiting.insert(key, Whole { ppid: head.ppid, chain });
    }

    fn drop_whole(&mut self, source: Source<'_>) {
        self.dropped += 1;
        match source {
            Source::Packet(_) => {}
            Source::Buffer => self.buffer.clear(),
            Source::Chain(chain) => self.cells.free(chain),
        }
    }

    /// Nothing up to `reached` is waited for any more: neither what is given up, nor what has come beyond that.
    pub(super) fn on_forward(&mut self, forward: &Forward<'_>, reached: Number, inbox: &mut Inbox) {
        for skipped in forward.streams() {
            self.skip(skipped, inbox);
        }
        if !self.is_interleaved {
            self.is_skipping = true;
            self.forward_making(reached);
            self.forward_parts(reached);
        }
    }

    fn skip(&mut self, skipped: Skipped, inbox: &mut Inbox) {
        let Skipped { stream, is_unordered, message } = skipped;
        if self.is_interleaved {
            self.skip_lanes(skipped);
        }
        let distance = self.distance(Head { stream, is_unordered, message, ppid: 0 });
        if !is_unordered && distance >= 0 {
            self.skip_ordered(stream, distance.unsigned_abs(), inbox);
        }
    }

    /// Gives out what is whole up to a message, and goes on after it.
    fn skip_ordered(&mut self, stream: u16, distance: u32, inbox: &mut Inbox) {
        let first = *self.streams.next(stream);
        let last = first.wrapping_add(distance);
        loop {
            let next = *self.streams.next(stream);
            let left = last.wrapping_sub(next);
            let Some(at) = self.first_waiting(stream, next, left) else { break };
            let Some(whole) = self.waiting.remove(&(stream, at)) else { break };
            self.pour(stream, whole.ppid, whole.chain, inbox);
            *self.streams.next(stream) = at.wrapping_add(1);
            if at == last {
                break;
            }
        }
        *self.streams.next(stream) = last;
        self.advance(stream, inbox);
    }

    /// The first that waits among `left` + 1 messages from `next` on, whose numbers may wrap.
    fn first_waiting(&self, stream: u16, next: u32, left: u32) -> Option<u32> {
        let (low, high) = match next.checked_add(left) {
            Some(last) => (next..=last, None),
            None => (next..=u32::MAX, Some(0..=next.wrapping_add(left))),
        };
        let find = |range: std::ops::RangeInclusive<u32>| {
            let keys = (stream, *range.start())..=(stream, *range.end());
            self.waiting.range(keys).next().map(|(key, _)| key.1)
        };
        find(low).or_else(|| find(high?))
    }

    /// Lets go of messages of a stream up to one, the nearer half of all numbers.
    fn skip_lanes(&mut self, skipped: Skipped) {
        let Skipped { stream, is_unordered, message } = skipped;
        let lane = |message| Place::lane(stream, is_unordered, message);
        if let Some(making) = self.making
            && making.head.stream == stream
            && making.head.is_unordered == is_unordered
            && message.wrapping_sub(making.head.message).cast_signed() >= 0
        {
            self.unmake();
        }
        let first = message.wrapping_sub(u32::MAX / 2);
        if first <= message {
            self.parts.remove_lanes(&mut self.cells, lane(first)..=lane(message));
        } else {
            self.parts.remove_lanes(&mut self.cells, lane(0)..=lane(message));
            self.parts.remove_lanes(&mut self.cells, lane(first)..=lane(u32::MAX));
        }
    }

    fn forward_making(&mut self, reached: Number) {
        let Some(making) = self.making else { return };
        if making.next.at <= reached || self.is_over(making.head) {
            self.unmake();
        }
    }

    fn forward_parts(&mut self, reached: Number) {
        let Some(kept) = self.parts.forward(&mut self.cells, reached) else { return };
        if self.parts.at(kept).map(|part| part.head).is_some_and(|head| self.is_over(head)) {
            self.parts.remove(&mut self.cells, kept);
        }
    }

    /// A stream begins anew: what waits of it belongs to its former life.
    pub(super) fn reset(&mut self, stream: u16) {
        self.streams.reset(stream);
        if self.making.is_some_and(|making| making.head.stream == stream) {
            self.unmake();
            self.is_skipping = true;
        }
        while let Some(key) = self.waiting.range((stream, 0)..=(stream, u32::MAX)).next().map(|(key, _)| *key) {
            if let Some(whole) = self.waiting.remove(&key) {
                self.cells.free(whole.chain);
            }
        }
        if self.is_interleaved {
            let lanes = Place::lane(stream, false, 0)..=Place::lane(stream, true, u32::MAX);
            self.parts.remove_lanes(&mut self.cells, lanes);
        }
    }

    pub(super) fn trim(&mut self) {
        self.cells.trim();
        self.parts.trim();
        if self.waiting.is_empty() {
            self.waiting = BTreeMap::new();
        }
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }
}
