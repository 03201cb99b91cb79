//! The receiving half of an association: DATA in, messages out, acknowledgements back.
//!
//! An [`Inbound`] takes in chunks, says when an acknowledgement is due and writes it, and lends messages that are
//! whole. It knows no packets' headers; the association drives it.
//!
//! # How it works
//!
//! *Which TSNs have come* is in [`sequence`]: a number and few ranges above it. *When to acknowledge* is in [`acks`].
//! *Fragments become messages* in [`assembly`], in order by copying once, out of order by way of [`parts`] and [`cells`].
//! *Messages wait* in [`inbox`] until they are taken; one that is taken is lent from where it lies.
//!
//! *The window* is what [`Config::receive_window`] leaves beside the messages that wait and the fragments out of order,
//! each with what it costs beyond its bytes. The one message in the making does not count, and as long as no message
//! waits to be taken there is a window up to one message beyond: else messages larger than the window would never become
//! whole. What is left and less than a packet, or than a quarter, is told as nothing.
//!
//! *What does not fit* is not taken, and so not acknowledged; the peer sends it again. Data out of order must fit the
//! window. The next in order is what all else waits for: it may exceed all that by another message and [`SLACK`]. If even
//! that is used up by unfinished messages of many streams, so that nothing could be taken and nothing become whole, the
//! association is broken ([`Broken::UnfinishedMessages`]) rather than stuck. Without interleaving that can't be.
//!
//! # Bounds
//!
//! [`Config::receive_window`] + 2 [`Config::max_message`] + [`SLACK`] in bytes that count, whatever a peer sends. Memory is
//! at most about twice that: buffers are filled at least to half, and cells of 128 bytes count as such. Streams cost four
//! bytes each, those of all 65,535 together 264 KiB. Ranges, gap blocks and duplicates are few. No chunk costs more time
//! than its bytes and the logarithm of what waits; nothing is allocated per message or packet while they come in order,
//! and out of order only nodes of search trees. [`trim`](Inbound::trim) gives memory back.

mod acks;
mod assembly;
mod cells;
mod inbox;
mod parts;
mod queue;
mod sequence;
mod statistics;
mod streams;
#[cfg(test)]
mod tests;

use super::config::{Agreed, Config};
use super::error::Broken;
use crate::machine::Deadline;
use crate::machine::time::Instant;
use crate::wire::sctp::{Data, Forward, Packet, Tsn};
use acks::Acks;
use assembly::Assembly;
use inbox::Inbox;
use sequence::{Number, Sequence, Verdict};
pub use statistics::InboundStatistics;

/// Bytes that the next chunk in order may exceed all bounds by: it has less.
const SLACK: usize = 64 << 10;

/// TSNs that a peer may give up at once: more chunks than any has under way.
const MOST_SKIPPED: Number = 1 << 20;

/// A message that was taken; its bytes are lent until the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received<'a> {
    pub(super) stream: u16,
    pub(super) ppid: u32,
    pub(super) bytes: &'a [u8],
}

/// What would be taken next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) stream: u16,
    pub(super) ppid: u32,
    pub(super) len: usize,
    /// It is no message, but a mark left by [`Inbound::mark`].
    pub(super) is_mark: bool,
}

#[derive(Debug)]
pub(super) struct Inbound {
    receive_window: usize,
    max_message: usize,
    /// Windows below are told as zero.
    least_window: usize,
    streams: u16,
    sequence: Sequence,
    acks: Acks,
    assembly: Assembly,
    inbox: Inbox,
    invalid_stream: Option<u16>,
    statistics: InboundStatistics,
}

impl Inbound {
    pub(super) fn new(config: &Config) -> Self {
        let receive_window = config.receive_window as usize;
        Self {
            receive_window,
            max_message: config.max_message,
            least_window: (receive_window / 4).min(config.packet),
            streams: 0,
            sequence: Sequence::new(Tsn(0)),
            acks: Acks::new(config),
            assembly: Assembly::new(config),
            inbox: Inbox::default(),
            invalid_stream: None,
            statistics: InboundStatistics::default(),
        }
    }

    /// The peer is known; its first DATA chunk will have that number.
    pub(super) fn start(&mut self, first: Tsn, agreed: Agreed) {
        self.sequence = Sequence::new(first);
        self.streams = agreed.inbound_streams;
        self.assembly.start(agreed);
    }

    /// Takes in a chunk.
    #[inline]
    pub(super) fn on_data(&mut self, data: &Data<'_>) -> Result<(), Broken> {
        if data.is_interleaved != self.assembly.is_interleaved() {
            return Err(Broken::WrongDataKind);
        }
        let number = self.sequence.number(data.tsn);
        match self.sequence.judge(number) {
            Verdict::Next if self.has_room_for_next(data.payload.len()) => self.accept(data, number, true),
            Verdict::Next => self.refuse_next(),
            Verdict::Ahead if data.payload.len() <= self.free(self.inbox.charge()) => {
                self.statistics.out_of_order += 1;
                self.accept(data, number, false)
            }
            Verdict::Ahead => {
                self.refuse();
                Ok(())
            }
            Verdict::Duplicate => {
                self.statistics.duplicates += 1;
                self.acks.on_duplicate(data.tsn);
                Ok(())
            }
            Verdict::TooFar | Verdict::TooScattered => {
                self.statistics.too_far += 1;
                self.acks.on_trouble();
                Ok(())
            }
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a chunk has fewer than 65,536 bytes")]
    fn accept(&mut self, data: &Data<'_>, number: Number, is_next: bool) -> Result<(), Broken> {
        let is_urgent = data.is_immediate || !is_next || self.sequence.has_gaps();
        self.sequence.insert(number);
        self.acks.on_data(data.payload.len() as u32, is_urgent);
        if data.stream >= self.streams {
            self.statistics.invalid_stream += 1;
            self.invalid_stream = Some(data.stream);
            return Ok(());
        }
        self.assembly.on_data(data, number, is_next, &mut self.inbox)
    }

    #[inline]
    const fn has_room_for_next(&self, len: usize) -> bool {
        let held = self.inbox.charge() + self.assembly.charge() + self.assembly.making();
        held + len <= self.receive_window + 2 * self.max_message + SLACK
    }

    /// What the window has left when messages that wait count so much.
    #[inline]
    fn free(&self, waiting: usize) -> usize {
        let used = waiting + self.assembly.charge();
        let free = self.receive_window.saturating_sub(used);
        if waiting > 0 {
            return free;
        }
        let most = (self.receive_window + self.max_message).saturating_sub(used + self.assembly.making());
        free.max(most.min(self.receive_window))
    }

    #[cold]
    fn refuse_next(&mut self) -> Result<(), Broken> {
        self.refuse();
        if self.inbox.charge() == 0 { Err(Broken::UnfinishedMessages) } else { Ok(()) }
    }

    #[cold]
    const fn refuse(&mut self) {
        self.statistics.no_room += 1;
        self.acks.on_trouble();
    }

    /// The peer gives up all up to a TSN.
    pub(super) fn on_forward(&mut self, forward: &Forward<'_>) -> Result<(), Broken> {
        if !self.assembly.has_forward() || forward.is_interleaved != self.assembly.is_interleaved() {
            return Err(Broken::UnexpectedForward);
        }
        self.acks.on_trouble();
        let number = self.sequence.number(forward.cumulative);
        if number > self.sequence.reached() + MOST_SKIPPED {
            return Err(Broken::SkippedUnsent);
        }
        // Behind or at what has been reached it is out of date (RFC 3758, section 3.6).
        if number > self.sequence.reached() {
            self.sequence.forward(number);
            self.assembly.on_forward(forward, self.sequence.reached(), &mut self.inbox);
        }
        Ok(())
    }

    /// All chunks of a packet have been taken in.
    #[inline]
    pub(super) fn packet_ends(&mut self, now: Instant) {
        self.acks.packet_ends(now);
    }

    /// Whether an acknowledgement must go.
    #[inline]
    pub(super) fn wants_sack(&self, now: Instant) -> bool {
        self.acks.is_due(now)
    }

    /// Whether an acknowledgement may ride along.
    #[inline]
    pub(super) const fn has_unacknowledged(&self) -> bool {
        self.acks.is_pending()
    }

    /// Writes an acknowledgement, if there is room.
    pub(super) fn fill_sack(&mut self, packet: &mut Packet<'_>) {
        let window = self.window();
        let is_written = packet.sack(self.cumulative(), window, self.sequence.gaps(), self.acks.duplicates());
        if is_written {
            self.acks.written(window);
        }
    }

    /// When an acknowledgement is due.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.acks.deadline()
    }

    /// What would be taken next.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<Next> {
        self.inbox.peek()
    }

    /// Takes the next message, or mark; taking opens the window.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Received<'_>> {
        let next = self.inbox.peek()?;
        if !next.is_mark {
            self.statistics.messages += 1;
            self.statistics.bytes += next.len as u64;
        }
        let waiting = self.inbox.charge() - Inbox::charge_of(&next);
        self.acks.on_window(self.window_beside(waiting));
        self.inbox.take_peeked(&next)
    }

    /// Keeps messages of a stream here, while those of others pass; or lets them go.
    pub(super) fn hold(&mut self, stream: u16, is_held: bool) {
        self.inbox.hold(stream, is_held);
    }

    /// Leaves a mark of a stream behind the messages that are whole.
    pub(super) fn mark(&mut self, stream: u16) {
        self.inbox.mark(stream);
    }

    /// The peer has begun a stream anew.
    pub(super) fn reset(&mut self, stream: u16) {
        self.assembly.reset(stream);
    }

    /// A stream that does not exist, on which data has come since the last call (RFC 9260, section 6.5).
    pub(super) const fn take_invalid_stream(&mut self) -> Option<u16> {
        self.invalid_stream.take()
    }

    /// All up to this one has come.
    pub(super) fn cumulative(&self) -> Tsn {
        self.sequence.cumulative()
    }

    /// The window that the peer is told.
    pub(super) fn window(&self) -> u32 {
        self.window_beside(self.inbox.charge())
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the whole window has 32 bits")]
    fn window_beside(&self, waiting: usize) -> u32 {
        let free = self.free(waiting);
        if free < self.least_window { 0 } else { free as u32 }
    }

    /// Gives memory back that nothing needs.
    pub(super) fn trim(&mut self) {
        self.inbox.trim();
        self.assembly.trim();
        self.sequence.trim();
    }

    pub(super) fn statistics(&self) -> InboundStatistics {
        InboundStatistics { stale: self.assembly.dropped(), window: self.window(), ..self.statistics }
    }
}
