//! Losses and timeouts.
//!
//! *By packets.* A packet is lost when one that was sent three packets later, or an eighth more than a round trip ago, has
//! been acknowledged (RFC 9002, section 6.1). Packets are judged in the order of their numbers and only once; the time of
//! the next verdict is a timer. Chunks sent for the first time and chunks sent again are judged apart, because of the
//! next rule.
//!
//! *Never beyond the report.* Receivers tell of a limited number of gaps, so what lies above the highest TSN that a SACK
//! spoke of may well have arrived. New chunks have ascending TSNs, so their judgement waits at the first one beyond.
//!
//! *Patience* grows with each loss that proves to be none: by the distance seen, to at most 128 packets, and by an eighth
//! of a round trip, to at most two.
//!
//! *The timer* (T3-rtx) runs while anything is under way, from the last progress on. It asks for the first chunks that are
//! not acknowledged, a packet of them, and doubles. At the third time in a row all that is under way counts as lost. The
//! controller hears of each. This is also how chunks come back that a receiver has thrown away, and how FORWARD-TSN is
//! repeated.

use std::collections::VecDeque;

use super::Outbound;
use super::flight::{State, tsn};
use super::message::Limit;
use crate::machine::time::Instant;
use crate::wire::sctp::{COMMON_HEADER, Tsn};

/// Timeouts in a row that only ask.
const PROBES: u32 = 2;
/// Chunks that one timeout asks for at most.
const MOST_PROBED: usize = 64;
/// Lost runs that are remembered, should they come all the same.
const MOST_RECENT: usize = 64;

/// Chunks of one packet, declared lost.
#[derive(Debug, Clone, Copy)]
struct Loss {
    first: u64,
    last: u64,
    packet: u64,
    is_taken_back: bool,
}

/// What was declared lost of late.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Loss>);

impl Recent {
    fn push(&mut self, serial: u64, packet: u64) {
        match self.0.back_mut().filter(|loss| loss.packet == packet && loss.last + 1 == serial) {
            Some(loss) => loss.last = serial,
            None => {
                if self.0.len() == MOST_RECENT {
                    self.0.pop_front();
                }
                self.0.push_back(Loss { first: serial, last: serial, packet, is_taken_back: false });
            }
        }
    }

    /// The packet with which a chunk was lost the last time, unless it has been taken back.
    fn take_back(&mut self, is_it: impl Fn(u64, u64) -> bool) -> Option<u64> {
        let loss = self.0.iter_mut().rev().find(|loss| is_it(loss.first, loss.last))?;
        let is_new = !std::mem::replace(&mut loss.is_taken_back, true);
        is_new.then_some(loss.packet)
    }
}

impl Outbound {
    /// Does what is due at [`deadline`](Self::deadline); whether a retransmission timeout expired that speaks against the
    /// peer: one does not while it keeps its window closed and says so (RFC 9260, section 6.1).
    pub(in super::super) fn on_timeout(&mut self, now: Instant) -> bool {
        self.expire(now);
        if self.loss_at.is_some_and(|at| at <= now) {
            self.detect(now);
        }
        let has_expired = self.timeout_at().is_some_and(|at| at <= now);
        let is_silent = self.window > 0 || !self.is_heard;
        if has_expired {
            self.expire_timer(now);
        }
        self.tidy(now);
        has_expired && is_silent
    }

    /// When what is under way has been for too long.
    pub(super) fn timeout_at(&self) -> Option<Instant> {
        (!self.flight.is_empty()).then(|| self.rtt.deadline(self.started))
    }

    /// Judges packets that are late by now.
    pub(super) fn detect(&mut self, now: Instant) {
        self.loss_at = None;
        self.judge_new(now);
        self.judge_resent(now);
    }

    /// Chunks that the receiver may have thrown away, the longest known of them, are sent anew.
    pub(super) fn lose_reneged(&mut self) {
        let Some(run) = self.reneged.pop_front() else { return };
        for serial in run.first.max(self.flight.base())..=run.last {
            if self.flight.get(serial).is_some_and(|chunk| chunk.state == State::Reneged) {
                self.lose_chunk(serial);
            }
        }
    }

    /// A chunk that counted as lost has come: the loss of its packet was none.
    pub(super) fn on_spurious(&mut self, serial: u64) {
        self.take_back(|first, last| (first..=last).contains(&serial));
    }

    /// The peer has got a chunk twice.
    pub(super) fn on_duplicate(&mut self, duplicate: Tsn) {
        self.take_back(|first, last| u64::from(duplicate.since(tsn(first))) <= last - first);
    }

    fn take_back(&mut self, is_it: impl Fn(u64, u64) -> bool) {
        let Some(packet) = self.recent.take_back(is_it) else { return };
        self.counts.spurious += 1;
        self.controller.on_spurious(packet);
        self.rtt.on_reordering(self.top.saturating_sub(packet));
    }

    /// Whether a packet sent then, with that number, is lost by now; notes when it will be otherwise.
    fn is_late(&mut self, now: Instant, number: u64, at: Instant) -> bool {
        let late_at = at + self.rtt.patience();
        if self.top - number >= self.rtt.distance() || late_at <= now {
            return true;
        }
        self.loss_at = Some(self.loss_at.map_or(late_at, |loss_at| loss_at.min(late_at)));
        false
    }

    fn judge_new(&mut self, now: Instant) {
        self.packets.judged = self.packets.judged.max(self.packets.base());
        while self.packets.judged < self.top {
            let number = self.packets.judged;
            let Some(&packet) = self.packets.get(number) else { return };
            if packet.fresh > 0 && packet.flying > 0 {
                let end = packet.first + u64::from(packet.fresh);
                if end > self.reported || !self.is_late(now, number, packet.at) {
                    return;
                }
                for serial in packet.first.max(self.flight.base())..end {
                    self.lose_with(now, serial, number);
                }
            }
            self.packets.judged += 1;
        }
    }

    fn judge_resent(&mut self, now: Instant) {
        while let Some(&resent) = self.packets.resent.front() {
            if self.flight.flies_in(resent.serial, resent.packet) {
                let Some(&packet) = self.packets.get(resent.packet) else { return };
                if resent.packet >= self.top || !self.is_late(now, resent.packet, packet.at) {
                    return;
                }
                self.lose_with(now, resent.serial, resent.packet);
            }
            self.packets.resent.pop_front();
        }
    }

    /// A chunk is lost if it is still on its way in that packet.
    fn lose_with(&mut self, now: Instant, serial: u64, number: u64) {
        if !self.flight.flies_in(serial, number) {
            return;
        }
        self.land(serial, number);
        self.recent.push(serial, number);
        let is_known = self.packets.get_mut(number).is_none_or(|packet| std::mem::replace(&mut packet.is_lost, true));
        if !is_known {
            self.counts.lost += 1;
            self.note_size(number);
            self.controller.on_lost(now, number, self.packets.next());
        }
        self.lose_chunk(serial);
    }

    fn note_size(&mut self, number: u64) {
        self.sizes.has_failed |= self.packets.get(number).is_some_and(|packet| packet.is_large);
    }

    /// A chunk is no longer on its way.
    #[expect(clippy::cast_possible_truncation, reason = "a chunk is shorter than a packet")]
    fn land(&mut self, serial: u64, number: u64) {
        let size = self.flight.get(serial).map_or(0, |chunk| self.size(chunk.len.into()));
        self.flying -= size;
        if let Some(packet) = self.packets.get_mut(number) {
            packet.flying -= size as u16;
        }
    }

    /// A chunk is to be sent again, unless that is more than its message is worth.
    fn lose_chunk(&mut self, serial: u64) {
        let Some(chunk) = self.flight.get_mut(serial) else { return };
        chunk.state = State::Lost;
        let (id, sends) = (chunk.message, chunk.sends);
        if let Limit::Retransmits(most) = self.messages.get(id).limit
            && u16::from(sends) > most
            && sends < u8::MAX
        {
            self.abandon(id);
        }
        if !self.messages.get(id).is_abandoned {
            self.flight.queue_lost(serial);
            self.note_oversize(serial);
        }
    }

    fn note_oversize(&mut self, serial: u64) {
        let len = self.flight.get(serial).map_or(0, |chunk| chunk.len.into());
        if COMMON_HEADER + self.size(len) > self.packet {
            self.sizes.oversize = Some(self.sizes.oversize.map_or(serial, |first| first.min(serial)));
        }
    }

    /// The timer of what is under way has expired (RFC 9260, section 6.3.3).
    fn expire_timer(&mut self, now: Instant) {
        self.counts.timeouts += 1;
        self.timeouts += 1;
        self.is_heard = false;
        self.started = now;
        self.rtt.back_off();
        self.controller.on_timeout(now, self.packets.next());
        self.partial.repeat();
        while !self.reneged.is_empty() {
            self.lose_reneged();
        }
        if self.timeouts > PROBES {
            self.lose_all();
        } else if self.flight.first_lost().is_none() {
            self.lose_first();
        }
    }

    /// A packet of the first chunks that are not acknowledged is sent again.
    fn lose_first(&mut self) {
        let mut room = self.packet - COMMON_HEADER;
        let base = self.flight.base();
        for serial in base..base + (MOST_PROBED as u64).min(self.flight.len() as u64) {
            let Some(&chunk) = self.flight.get(serial) else { return };
            let size = self.size(chunk.len.into());
            if size > room && serial > base {
                return;
            }
            room = room.saturating_sub(size);
            self.lose_silent(serial);
        }
    }

    fn lose_all(&mut self) {
        for serial in self.flight.base()..self.flight.end() {
            self.lose_silent(serial);
        }
        self.restart = self.flight.end();
    }

    /// A chunk on its way is to be sent again. The first one also if a gap block has it, which should not be.
    fn lose_silent(&mut self, serial: u64) {
        let Some(&chunk) = self.flight.get(serial) else { return };
        match chunk.state {
            State::Flying => {
                let number = self.packets.number(chunk.packet);
                self.note_size(number);
                self.land(serial, number);
                self.lose_chunk(serial);
            }
            State::Acked if serial == self.flight.base() => {
                self.restore(chunk.message, chunk.len.into());
                self.lose_chunk(serial);
            }
            _ => {}
        }
    }
}
