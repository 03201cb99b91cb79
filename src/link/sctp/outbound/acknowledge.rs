//! Taking acknowledgements in.
//!
//! The cumulative TSN takes chunks out of the ring, gap blocks mark them; either way a chunk is acknowledged once. What
//! a SACK acknowledges is summed up, and the newest packet in it gives a round trip and a delivery rate
//! (draft-cheng-iccrg-delivery-rate-estimation).
//!
//! *What was sent twice* is ambiguous: the acknowledgement may be for the first copy. No round trip is taken from it. If
//! it comes sooner than nine tenths of the least round trip after the second copy, it is for the first, which was not
//! lost at all: the controller takes the loss back, and more patience is had from then on. A duplicate that the receiver
//! reports says the same.
//!
//! *A report cut short.* A receiver tells of a limited number of gaps. As soon as one closes, it tells of one more, which
//! may be old; so when a SACK had as many blocks as any before, and many, the next gives no round trip.
//!
//! *Reneging.* What a later SACK no longer reports counts as under way again, without a packet: if no SACK takes it up
//! again, the timer has it sent anew. So a SACK that overtook another does no harm.

use super::Outbound;
use super::flight::{Chunk, Place, State};
use super::gaps::{Change, Run};
use super::message::Id;
use crate::link::sctp::congestion::Ack;
use crate::link::sctp::error::Broken;
use crate::machine::time::Instant;
use crate::wire::sctp::{Sack, Tsn};

/// A SACK with fewer blocks than this is not cut short.
const LEAST_LIMIT: usize = 20;
/// Duplicates looked at in one SACK.
const MOST_DUPLICATES: usize = 16;
/// Runs of chunks that may have been thrown away are listed up to this number; more are sent anew at once.
const MOST_RENEGED: usize = 64;

/// What one acknowledgement brings.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    pub(super) now: Instant,
    /// Bytes acknowledged for the first time.
    acked: usize,
    /// The newest packet acknowledged, and whether one of its chunks was sent for the first time in it; 0: none.
    newest: u64,
    is_first: bool,
    /// Whether one of the packets is larger than they are in the beginning.
    is_large: bool,
}

/// Chunks that leave the ring one after the other, as far as they have the same packet, stream or place in the store: so
/// that each of those is booked once.
#[derive(Debug, Clone, Copy, Default)]
struct Batch {
    /// The low half of the packet's number, and bytes of chunks and of payload of it.
    packet: u32,
    size: usize,
    payload: usize,
    /// Where in the store.
    start: u64,
    len: usize,
    stream: u32,
    chunks: u32,
}

impl News {
    pub(super) const fn new(now: Instant) -> Self {
        Self { now, acked: 0, newest: 0, is_first: false, is_large: false }
    }

    const fn see(&mut self, packet: u64, is_first: bool) {
        if packet > self.newest {
            (self.newest, self.is_first) = (packet, false);
        }
        self.is_first |= packet == self.newest && is_first;
    }
}

impl Outbound {
    /// Takes a SACK in. One that is older than another that came is ignored.
    ///
    /// # Errors
    /// It acknowledges what was never sent; nothing of it is taken in.
    pub(in super::super) fn on_sack(&mut self, now: Instant, sack: &Sack<'_>) -> Result<(), Broken> {
        let below = match self.flight.place(sack.cumulative) {
            Place::Below(below) => below,
            Place::Old => {
                self.counts.old_sacks += 1;
                return Ok(());
            }
            Place::Unsent => return Err(Broken::AcknowledgedUnsent),
        };
        let highest = sack.gaps().map(|(_, last)| below + u64::from(last)).max().unwrap_or(below);
        if highest > self.flight.end() {
            return Err(Broken::AcknowledgedUnsent);
        }
        self.is_heard = true;
        self.reported = self.reported.max(highest);
        let mut news = News::new(now);
        self.take_cumulative(&mut news, below);
        self.take_gaps(&mut news, sack, below);
        self.take_duplicates(sack);
        self.set_window(now, sack.window);
        self.conclude(&news, sack.gaps().len());
        Ok(())
    }

    /// The peer has all up to that TSN, as a SHUTDOWN says.
    ///
    /// # Errors
    /// It acknowledges what was never sent.
    pub(in super::super) fn on_cumulative(&mut self, now: Instant, cumulative: Tsn) -> Result<(), Broken> {
        let mut news = News::new(now);
        match self.flight.place(cumulative) {
            Place::Old => return Ok(()),
            Place::Unsent => return Err(Broken::AcknowledgedUnsent),
            Place::Below(below) => self.take_cumulative(&mut news, below),
        }
        self.conclude(&news, 0);
        Ok(())
    }

    /// The peer tells how much it has room for.
    pub(super) fn set_window(&mut self, now: Instant, window: u32) {
        let was_open = self.window > 0;
        self.window = window as usize;
        self.is_window_blocked = false;
        if window > 0 {
            (self.probe, self.probes) = (None, 0);
        } else if was_open || self.probe.is_none() {
            self.arm_probe(now);
        }
    }

    /// The peer is asked about its closed window a timeout from now, and later each time.
    pub(super) fn arm_probe(&mut self, now: Instant) {
        self.probe = Some(now + self.rtt.timeout_after(self.probes));
    }

    fn take_cumulative(&mut self, news: &mut News, below: u64) {
        if below == self.flight.base() {
            return;
        }
        let mut batch = Batch::default();
        for serial in self.flight.base()..below {
            let Some(&chunk) = self.flight.get(serial) else { break };
            if chunk.state == State::Flying && chunk.sends == 1 && !self.partial.is_forwarded(serial) {
                self.take_plain(news, &mut batch, &chunk);
            } else {
                self.take(news, serial, &chunk);
            }
            self.leave(&mut batch, &chunk);
        }
        self.book_packet(news, &batch);
        self.book_bytes(&batch);
        self.book_stream(&batch);
        self.flight.advance(below);
        self.reported = self.reported.max(below);
        self.gaps.advance(below);
        self.partial.advance(below);
        self.started = news.now;
    }

    fn take_gaps(&mut self, news: &mut News, sack: &Sack<'_>, below: u64) {
        if sack.gaps().len() == 0 && self.gaps.is_empty() {
            return;
        }
        let run = |(first, last)| Run { first: below + u64::from(first) - 1, last: below + u64::from(last) - 1 };
        let mut gaps = std::mem::take(&mut self.gaps);
        let strange = gaps.update(sack.gaps().map(run), |change| match change {
            Change::Acked(run) => self.take_run(news, run),
            Change::Reneged(run) => self.renege(run),
        });
        self.counts.strange_blocks += strange;
        self.gaps = gaps;
        self.lose_surplus_reneged();
    }

    fn take_run(&mut self, news: &mut News, run: Run) {
        for serial in run.first..=run.last {
            let Some(&chunk) = self.flight.get(serial) else { return };
            self.take(news, serial, &chunk);
            if let Some(chunk) = self.flight.get_mut(serial).filter(|chunk| chunk.state != State::Phantom) {
                chunk.state = State::Acked;
            }
        }
    }

    /// A chunk is acknowledged, perhaps not for the first time.
    #[inline]
    fn take(&mut self, news: &mut News, serial: u64, chunk: &Chunk) {
        match chunk.state {
            State::Flying => self.take_flying(news, serial, chunk),
            State::Lost if self.partial.is_forwarded(serial) => {}
            State::Lost => {
                news.acked += self.size(chunk.len.into());
                self.on_spurious(serial);
            }
            State::Reneged => {}
            State::Acked | State::Phantom => return,
        }
        self.outstanding -= usize::from(chunk.len);
        self.messages.get_mut(chunk.message).unacked -= 1;
    }

    #[expect(clippy::cast_possible_truncation, reason = "a chunk is shorter than a packet")]
    #[inline]
    fn take_flying(&mut self, news: &mut News, serial: u64, chunk: &Chunk) {
        let size = self.size(chunk.len.into());
        self.flying -= size;
        let number = self.packets.number(chunk.packet);
        let Some(packet) = self.packets.get_mut(number) else { return };
        packet.flying -= size as u16;
        if self.partial.is_forwarded(serial) {
            return;
        }
        news.acked += size;
        news.is_large |= packet.is_large;
        if chunk.sends > 1 && self.rtt.is_too_soon(news.now - packet.at) {
            self.on_spurious(serial);
        } else {
            news.see(number, chunk.sends == 1);
        }
    }

    /// A chunk of the ordinary kind is acknowledged: it was sent once.
    #[inline]
    fn take_plain(&mut self, news: &mut News, batch: &mut Batch, chunk: &Chunk) {
        if batch.packet != chunk.packet {
            self.book_packet(news, batch);
            (batch.packet, batch.size, batch.payload) = (chunk.packet, 0, 0);
        }
        batch.size += self.size(chunk.len.into());
        batch.payload += usize::from(chunk.len);
        self.messages.get_mut(chunk.message).unacked -= 1;
    }

    /// A chunk leaves the ring.
    #[inline]
    fn leave(&mut self, batch: &mut Batch, chunk: &Chunk) {
        let message = self.messages.get_mut(chunk.message);
        let (start, stream) = (message.start + u64::from(chunk.offset), message.stream);
        message.chunks -= 1;
        if message.chunks == 0 {
            self.messages.free_unused(chunk.message);
        }
        if batch.stream != stream {
            self.book_stream(batch);
            (batch.stream, batch.chunks) = (stream, 0);
        }
        if batch.start + batch.len as u64 != start {
            self.book_bytes(batch);
            (batch.start, batch.len) = (start, 0);
        }
        batch.chunks += 1;
        batch.len += usize::from(chunk.len);
    }

    #[expect(clippy::cast_possible_truncation, reason = "chunks of one packet are shorter than a packet")]
    fn book_packet(&mut self, news: &mut News, batch: &Batch) {
        if batch.size == 0 {
            return;
        }
        self.flying -= batch.size;
        self.outstanding -= batch.payload;
        news.acked += batch.size;
        let number = self.packets.number(batch.packet);
        if let Some(packet) = self.packets.get_mut(number) {
            packet.flying -= batch.size as u16;
            news.is_large |= packet.is_large;
            news.see(number, true);
        }
    }

    fn book_bytes(&mut self, batch: &Batch) {
        if batch.len > 0 {
            self.store.release(batch.start, batch.len);
        }
    }

    fn book_stream(&mut self, batch: &Batch) {
        if batch.chunks > 0 {
            self.streams.get_mut(batch.stream).chunks -= batch.chunks;
        }
    }

    /// The peer no longer reports these.
    fn renege(&mut self, run: Run) {
        for serial in run.first..=run.last {
            let Some(chunk) = self.flight.get_mut(serial).filter(|chunk| chunk.state == State::Acked) else { continue };
            chunk.state = State::Reneged;
            let (len, message) = (usize::from(chunk.len), chunk.message);
            self.restore(message, len);
        }
        self.partial.on_reneged(run.first);
        self.reneged.push_back(run);
    }

    /// A chunk that was acknowledged counts as not acknowledged after all.
    pub(super) fn restore(&mut self, message: Id, len: usize) {
        self.outstanding += len;
        self.messages.get_mut(message).unacked += 1;
        self.counts.reneged += 1;
    }

    fn lose_surplus_reneged(&mut self) {
        while self.reneged.len() > MOST_RENEGED {
            self.lose_reneged();
        }
    }

    fn take_duplicates(&mut self, sack: &Sack<'_>) {
        let duplicates = sack.duplicates();
        self.counts.duplicates += duplicates.len() as u64;
        for tsn in duplicates.take(MOST_DUPLICATES) {
            self.on_duplicate(tsn);
        }
    }

    /// Draws the conclusions from what is acknowledged.
    fn conclude(&mut self, news: &News, blocks: usize) {
        if news.acked > 0 {
            self.rtt.on_progress();
            self.timeouts = 0;
            self.started = news.now;
        }
        self.sizes.has_passed |= news.is_large;
        let sample = self.sample(news);
        self.most_blocks = self.most_blocks.max(blocks);
        self.is_cut_short = blocks >= LEAST_LIMIT && blocks == self.most_blocks;
        self.detect(news.now);
        if news.acked > 0 {
            self.controller.on_ack(&Ack { next: self.packets.next(), flight: self.flying, ..sample });
        }
        self.tidy(news.now);
    }

    /// What the newest packet tells of the path.
    fn sample(&mut self, news: &News) -> Ack {
        self.delivered += news.acked as u64;
        if news.acked > 0 {
            self.delivered_at = news.now;
        }
        self.top = self.top.max(news.newest);
        let mut ack = Ack {
            now: news.now,
            acked: news.acked,
            rtt: None,
            rate: None,
            is_app_limited: false,
            prior: self.delivered,
            delivered: self.delivered,
            top: self.top,
            next: 0,
            flight: 0,
        };
        let Some(packet) = self.packets.get(news.newest) else { return ack };
        let rtt = news.now - packet.at;
        if news.is_first && !self.is_cut_short {
            ack.rtt = Some(rtt);
            self.rtt.on_sample(rtt);
        }
        let interval = (packet.at - packet.first_sent).max(news.now - packet.delivered_at);
        if !interval.is_zero() && self.rtt.least().is_none_or(|least| interval >= least) {
            ack.rate = Some((self.delivered - packet.delivered) as f64 / interval.as_secs_f64());
        }
        (ack.prior, ack.is_app_limited) = (packet.delivered, packet.is_app_limited);
        self.first_sent = packet.at;
        ack
    }

    /// Lets go of what is settled, and sees what can be given up.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.packets.settle();
        while self.flight.first_lost().is_some_and(|serial| !self.is_to_be_resent(serial)) {
            self.flight.lost.pop_front();
        }
        self.advance_point(now);
    }
}
