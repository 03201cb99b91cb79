//! Giving up messages (RFC 3758, RFC 7496), and telling the receiver so.
//!
//! *By count:* a chunk is lost that has been sent as often as its message allows. *By time:* a list of expiries, ordered,
//! is a timer; it takes messages that wait in their queues as well as those under way. A message of which nothing was
//! sent just disappears. One that was sent in part is sent no further, and its rest, which has no TSN, gets a single one
//! that is never sent, a *phantom*: so there is always a TSN that the receiver waits for, and can be told not to. What is
//! still on its way counts as under way until it is acknowledged or lost: the network does not know.
//!
//! *The point* up to which the receiver is told not to wait (Advanced.Peer.Ack.Point) moves over chunks of messages given
//! up, and over chunks of messages that have arrived whole. It stops at a chunk that is acknowledged while its message is
//! not complete: receivers throw fragments below it away. It is found from where it was, not from the start.
//!
//! *FORWARD-TSN* is sent when the point has moved, again when the peer did not follow within a round trip, and when the
//! timer of what is under way expires. It lists for each stream the last message given up, but with DATA no unordered ones.
//! The point moves no further than to [`MOST_SKIPPED`] streams, so that all of them fit; the rest follows when the peer
//! has.
//!
//! Without the peer's consent nothing is given up of which a part was sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::Outbound;
use super::flight::{Chunk, State, tsn};
use super::message::{Id, Messages};
use crate::link::sctp::LEAST_PACKET;
use crate::machine::time::Instant;
use crate::wire::sctp::{COMMON_HEADER, Packet, Skipped};

/// Bytes of a FORWARD-TSN before its list.
const FORWARD_HEAD: usize = 8;
/// Bytes of a stream in it with interleaving; without, it has half of them.
const MOST_ENTRY: usize = 8;
/// Streams that one FORWARD-TSN lists: the least packet has room for all.
const MOST_SKIPPED: usize = (LEAST_PACKET - COMMON_HEADER - FORWARD_HEAD) / MOST_ENTRY;
/// Expiries of messages that are no more are thrown out when there are so many more of them than messages.
const SURPLUS: usize = 64;

/// A message's last moment.
type Expiry = Reverse<(Instant, Id, u32)>;

/// A stream in the list, with the serial of the last chunk given up on it.
#[derive(Debug, Clone, Copy)]
struct Skip {
    serial: u64,
    skipped: Skipped,
}

/// What is given up.
#[derive(Debug)]
pub(super) struct Partial {
    expiries: BinaryHeap<Expiry>,
    skips: Vec<Skip>,
    /// The receiver need not wait for what is below this serial.
    point: u64,
    /// What is below this one has been looked at.
    scanned: u64,
    /// The point of which the receiver was told last, and when.
    told: u64,
    told_at: Instant,
    is_repeat_due: bool,
}

impl Partial {
    pub(super) const fn new(base: u64) -> Self {
        Self {
            expiries: BinaryHeap::new(),
            skips: Vec::new(),
            point: base,
            scanned: base,
            told: base,
            told_at: Instant::ZERO,
            is_repeat_due: false,
        }
    }

    /// A message is given up then.
    pub(super) fn expect(&mut self, messages: &Messages, id: Id, at: Instant) {
        if self.expiries.len() > 2 * messages.len() + SURPLUS {
            self.expiries.retain(|Reverse((_, id, generation))| messages.find(*id, *generation).is_some());
        }
        self.expiries.push(Reverse((at, id, messages.get(id).generation)));
    }

    /// How many expiries are listed.
    #[cfg(test)]
    pub(super) fn expected(&self) -> usize {
        self.expiries.len()
    }

    /// When the next message is given up; it may have arrived by now.
    pub(super) fn expiry(&self) -> Option<Instant> {
        self.expiries.peek().map(|Reverse((at, ..))| *at)
    }

    fn take_expired(&mut self, now: Instant) -> Option<(Id, u32)> {
        self.expiry().filter(|at| *at <= now)?;
        self.expiries.pop().map(|Reverse((_, id, generation))| (id, generation))
    }

    /// Whether the receiver is to be told, all below `base` being settled.
    pub(super) const fn is_forward_due(&self, base: u64) -> bool {
        self.point > base && (self.told < self.point || self.is_repeat_due)
    }

    /// Whether the receiver was told not to wait for that chunk, so that an acknowledgement does not mean it arrived.
    #[inline]
    pub(super) const fn is_forwarded(&self, serial: u64) -> bool {
        serial < self.told
    }

    /// The receiver has followed so far.
    pub(super) fn advance(&mut self, base: u64) {
        self.point = self.point.max(base);
        self.scanned = self.scanned.max(base);
        if !self.skips.is_empty() {
            self.skips.retain(|skip| skip.serial >= base);
        }
    }

    /// From there on, what had arrived may not have.
    pub(super) fn on_reneged(&mut self, first: u64) {
        if first < self.scanned {
            self.scanned = self.point.max(first.min(self.scanned));
        }
    }

    /// The receiver is told again, if it has not followed.
    pub(super) const fn repeat(&mut self) {
        self.is_repeat_due = true;
    }

    /// Gives the memory back; there are no messages.
    pub(super) fn trim(&mut self) {
        self.expiries = BinaryHeap::new();
        self.skips = Vec::new();
    }

    /// Notes that a message was given up; `false`: the list is full.
    fn skip(&mut self, serial: u64, skipped: Skipped) -> bool {
        let of = |skipped: &Skipped| (skipped.stream, skipped.is_unordered);
        let at = self.skips.iter().position(|skip| of(&skip.skipped) == of(&skipped));
        match at {
            Some(at) => self.skips[at] = Skip { serial, skipped },
            None if self.skips.len() == MOST_SKIPPED => return false,
            None => self.skips.push(Skip { serial, skipped }),
        }
        true
    }
}

impl Outbound {
    /// Gives up what is too old by now.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((id, generation)) = self.partial.take_expired(now) {
            if self.messages.find(id, generation).is_some_and(|message| !message.is_delivered()) {
                self.abandon(id);
                self.advance_point(now);
            }
        }
    }

    /// Gives a message up, if that is allowed.
    pub(super) fn abandon(&mut self, id: Id) {
        let may_skip = self.agreed.is_some_and(|agreed| agreed.has_forward_tsn);
        let message = self.messages.get_mut(id);
        if message.is_abandoned || (message.has_begun() && !may_skip) {
            return;
        }
        message.is_abandoned = true;
        self.counts.abandoned += 1;
        self.is_window_blocked = false;
        if message.is_queued {
            self.drop_rest(id);
        }
    }

    /// What was not sent of a message never will be.
    fn drop_rest(&mut self, id: Id) {
        let message = self.messages.get_mut(id);
        let (start, left) = (message.start + u64::from(message.cut), message.remaining() as usize);
        let (slot, has_begun) = (message.stream, message.has_begun());
        if has_begun {
            message.chunks += 1;
            self.streams.get_mut(slot).chunks += 1;
            self.flight.push(Chunk {
                message: id,
                offset: message.cut,
                fragment: message.fragment,
                packet: 0,
                len: 0,
                state: State::Phantom,
                sends: 0,
            });
        }
        self.store.release(start, left);
        self.streams.on_abandoned(&mut self.messages, slot, left, has_begun);
    }

    /// Moves the point as far as it goes.
    pub(super) fn advance_point(&mut self, now: Instant) {
        let mut scanned = self.partial.scanned;
        while let Some(chunk) = self.flight.get(scanned) {
            let message = self.messages.get(chunk.message);
            if message.is_abandoned {
                let is_listed = self.is_interleaved() || !message.is_unordered;
                let stream = self.streams.get(message.stream).id;
                let (is_unordered, number) = (message.is_unordered, message.number);
                let skipped = Skipped { stream, is_unordered, message: number };
                if is_listed && !self.partial.skip(scanned, skipped) {
                    break;
                }
                self.partial.point = scanned + 1;
            } else if chunk.state != State::Acked || !message.is_delivered() {
                break;
            }
            scanned += 1;
        }
        self.partial.scanned = scanned;
        if self.has_not_followed(now) {
            self.partial.repeat();
        }
    }

    /// Whether the peer was told to go on long ago, and has not.
    fn has_not_followed(&self, now: Instant) -> bool {
        let patience = self.rtt.patience().max(Duration::from_millis(10));
        self.partial.told > self.flight.base() && now - self.partial.told_at > patience
    }

    /// Tells the receiver what it need not wait for.
    pub(super) fn fill_forward(&mut self, now: Instant, packet: &mut Packet<'_>) {
        if !self.partial.is_forward_due(self.flight.base()) {
            return;
        }
        let is_interleaved = self.is_interleaved();
        let entry = if is_interleaved { MOST_ENTRY } else { MOST_ENTRY / 2 };
        if packet.room() < FORWARD_HEAD + entry * self.partial.skips.len() {
            return;
        }
        let skipped = self.partial.skips.iter().map(|skip| skip.skipped);
        packet.forward_tsn(tsn(self.partial.point - 1), is_interleaved, skipped);
        self.partial.told = self.partial.point;
        self.partial.told_at = now;
        self.partial.is_repeat_due = false;
        self.counts.forwards += 1;
    }
}
