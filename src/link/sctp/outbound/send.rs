//! Filling packets.

use super::Outbound;
use super::flight::{Chunk, State};
use super::message::{Id, Limit};
use super::packets::{Resent, Sent, low_half};
use crate::machine::time::Instant;
use crate::wire::sctp::{COMMON_HEADER, DataHead, Packet};

/// A message larger than a packet is not begun, or gone on with, in less room than this, in bytes.
const LEAST_PIECE: usize = 16;
/// A message that a packet could hold is not split for less room than this, in bytes.
const LEAST_SPLIT: usize = 128;
/// Bytes of the piece that asks about a closed window.
const WINDOW_PROBE: usize = 256;

/// The packet being filled.
#[derive(Debug, Clone, Copy)]
struct Filling {
    now: Instant,
    /// The packet's number.
    number: u64,
    /// The serial of the first new chunk.
    first: u64,
    /// Bytes of chunks.
    size: usize,
}

impl Outbound {
    /// Whether [`fill`](Self::fill) would write something now, given room enough. It may still find that the next piece
    /// does not fit into the peer's window; it then says so once.
    pub(in super::super) fn is_due(&self, now: Instant) -> bool {
        self.partial.is_forward_due(self.flight.base()) || (self.is_released(now) && self.may_send(now))
    }

    /// Appends what is due: FORWARD-TSN, then what is to be sent again, then new data. All DATA of one call is one packet
    /// to loss detection and congestion control, so the caller sends it as one datagram.
    pub(in super::super) fn fill(&mut self, now: Instant, packet: &mut Packet<'_>) {
        self.fill_forward(now, packet);
        if !self.is_released(now) {
            return;
        }
        let mut filling = Filling { now, number: self.packets.next(), first: self.flight.end(), size: 0 };
        let was_idle = self.flying == 0;
        if self.packets.has_room() {
            self.fill_lost(&mut filling, packet);
            self.fill_new(&mut filling, packet);
        }
        if filling.size > 0 {
            self.remember(&filling, packet.len(), was_idle);
        }
        self.mark_application_limit();
    }

    /// Whether pacing lets a packet pass.
    fn is_released(&self, now: Instant) -> bool {
        self.release.is_none_or(|release| release <= now)
    }

    fn may_send(&self, now: Instant) -> bool {
        self.packets.has_room() && (self.may_resend() || (self.may_cut() && self.may_ask(now)))
    }

    /// Whether something waits that only pacing holds back.
    pub(super) fn has_data_to_send(&self) -> bool {
        self.packets.has_room() && (self.may_resend() || (self.may_cut() && self.window > 0))
    }

    /// Whether something is lost that may be sent again.
    fn may_resend(&self) -> bool {
        self.flight.first_lost().is_some_and(|serial| serial >= self.restart || self.flying < self.controller.window())
    }

    /// Whether there are new data, and room for them in the congestion window.
    fn may_cut(&self) -> bool {
        self.streams.queued() > 0
            && self.agreed.is_some()
            && !self.is_window_blocked
            && self.flight.len() < self.most_chunks
            && self.flying < self.controller.window()
    }

    /// Whether the peer's window is open, or may be asked about.
    fn may_ask(&self, now: Instant) -> bool {
        self.window > 0 || (self.outstanding == 0 && self.probe.is_some_and(|at| at <= now))
    }

    /// Whether the peer's window is closed, nothing is under way and something waits.
    pub(super) fn is_closed_out(&self) -> bool {
        self.window == 0 && self.outstanding == 0 && self.streams.queued() > 0
    }

    fn fill_lost(&mut self, filling: &mut Filling, packet: &mut Packet<'_>) {
        if !self.may_resend() {
            return;
        }
        while let Some(serial) = self.flight.first_lost() {
            if self.is_to_be_resent(serial) {
                let fits = self.flight.get(serial).is_some_and(|chunk| self.size(chunk.len.into()) <= packet.room());
                if !fits || !self.packets.has_room() {
                    return;
                }
                self.resend(filling, packet, serial);
            }
            self.flight.lost.pop_front();
        }
    }

    fn resend(&mut self, filling: &mut Filling, packet: &mut Packet<'_>, serial: u64) {
        let is_probe = self.timeouts > 0;
        let Some(chunk) = self.flight.get_mut(serial) else { return };
        chunk.state = State::Flying;
        chunk.packet = low_half(filling.number);
        chunk.sends = chunk.sends.saturating_add(1);
        let chunk = *chunk;
        self.packets.resent.push_back(Resent { serial, packet: filling.number });
        let message = self.messages.get(chunk.message);
        let stream = self.streams.get(message.stream).id;
        let head = DataHead { is_immediate: is_probe, ..chunk.head(serial, message, stream, self.is_interleaved()) };
        self.put(packet, &head, message.start + u64::from(chunk.offset));
        filling.size += self.size(chunk.len.into());
        self.counts.retransmitted += 1;
        self.started = filling.now;
    }

    fn fill_new(&mut self, filling: &mut Filling, packet: &mut Packet<'_>) {
        if !self.may_cut() || !self.may_ask(filling.now) {
            return;
        }
        if self.flying == 0 && filling.size == 0 {
            self.controller.on_idle(filling.now);
        }
        while self.flight.len() < self.most_chunks {
            let Some((slot, id)) = self.streams.pick() else { return };
            let Some(len) = self.piece(filling, packet.room(), id) else { return };
            self.cut(filling, packet, slot, id, len);
        }
    }

    /// How much of a message goes into that much room; none: it waits for the next packet, or for the peer's window.
    #[inline]
    fn piece(&mut self, filling: &Filling, room: usize, id: Id) -> Option<usize> {
        let head = DataHead::head_len(self.is_interleaved());
        let space = room.saturating_sub(head);
        let message = self.messages.get(id);
        let remaining = message.remaining() as usize;
        let mut len = remaining;
        if remaining > space {
            let whole = self.packet - COMMON_HEADER - head;
            let is_small = message.len as usize <= whole;
            let least = if filling.size > 0 && is_small { LEAST_SPLIT } else { LEAST_PIECE };
            if space < least || (filling.size > 0 && is_small && message.limit != Limit::None) {
                return None;
            }
            len = space;
        }
        let left = self.window.saturating_sub(self.outstanding);
        if len > left {
            len = self.piece_beyond(filling.now, len, left)?;
        }
        Some(len)
    }

    /// What is sent of a piece that is larger than the peer's window.
    fn piece_beyond(&mut self, now: Instant, len: usize, left: usize) -> Option<usize> {
        if self.outstanding > 0 {
            self.is_window_blocked = true;
            return None;
        }
        if left == 0 {
            self.counts.window_probes += 1;
            self.probes += 1;
            self.arm_probe(now);
        }
        Some(len.min(left.max(WINDOW_PROBE)))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a chunk is shorter than a packet")]
    #[inline]
    fn cut(&mut self, filling: &mut Filling, packet: &mut Packet<'_>, slot: u32, id: Id, len: usize) {
        let (size, serial, is_interleaved) = (self.size(len), self.flight.end(), self.is_interleaved());
        let stream = self.streams.get_mut(slot);
        let message = self.messages.get_mut(id);
        if !message.has_begun() {
            message.number = stream.take_number(message.is_unordered);
        }
        let chunk = Chunk {
            message: id,
            offset: message.cut,
            fragment: message.fragment,
            packet: low_half(filling.number),
            len: len as u16,
            state: State::Flying,
            sends: 1,
        };
        let head = chunk.head(serial, message, stream.id, is_interleaved);
        let start = message.start + u64::from(chunk.offset);
        message.cut += len as u32;
        message.fragment = message.fragment.wrapping_add(1);
        message.chunks += 1;
        message.unacked += 1;
        stream.chunks += 1;
        let is_cut = message.remaining() == 0;
        self.streams.on_cut(slot, len, size, !is_cut && !is_interleaved);
        if is_cut {
            self.streams.finish(&mut self.messages, slot);
        }
        self.put(packet, &head, start);
        if self.flight.is_empty() {
            self.started = filling.now;
        }
        self.flight.push(chunk);
        self.outstanding += len;
        filling.size += size;
    }

    /// Writes a chunk whose bytes begin there in the store.
    #[inline]
    fn put(&mut self, packet: &mut Packet<'_>, head: &DataHead, start: u64) {
        packet.data(head);
        let (one, two) = self.store.read(start, head.len);
        packet.payload(one);
        if !two.is_empty() {
            packet.payload(two);
        }
        packet.pad_chunk();
        self.counts.chunks += 1;
        self.counts.bytes += head.len as u64;
    }

    /// The packet is full, or nothing more is to go into it.
    #[expect(clippy::cast_possible_truncation, reason = "a packet has fewer chunks and bytes")]
    fn remember(&mut self, filling: &Filling, len: usize, was_idle: bool) {
        if was_idle {
            self.first_sent = filling.now;
            self.delivered_at = filling.now;
        }
        self.packets.push(Sent {
            at: filling.now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            first: filling.first,
            flying: filling.size as u16,
            fresh: (self.flight.end() - filling.first) as u16,
            is_app_limited: self.app_limited > self.delivered,
            is_large: len > self.first_packet,
            is_lost: false,
        });
        self.flying += filling.size;
        self.counts.packets += 1;
        self.pacer.on_sent(filling.now, len, self.controller.rate());
        self.release = self.pacer.next(filling.now);
    }

    /// With nothing left to send and room in the window, what is measured now is the application's rate, or the peer's.
    fn mark_application_limit(&mut self) {
        let has_nothing = self.streams.queued() == 0 || self.is_window_blocked;
        if has_nothing && self.flight.first_lost().is_none() && self.flying < self.controller.window() {
            self.app_limited = self.delivered + self.flying as u64 + 1;
        }
    }

    /// Whether a chunk is lost, and still wanted.
    pub(super) fn is_to_be_resent(&self, serial: u64) -> bool {
        self.flight
            .get(serial)
            .is_some_and(|chunk| chunk.state == State::Lost && !self.messages.get(chunk.message).is_abandoned)
    }
}
