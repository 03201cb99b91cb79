//! What goes out: one packet at a time, as full as it can be.
//!
//! A packet is written when there is something that must go; then all goes that may: answers, an acknowledgement,
//! resets, and data up to the packet's size.

use super::control::Alone;
use super::{Association, PORT, State};
use crate::machine::time::Instant;
use crate::wire::sctp::{Cause, Header, Packet};

impl Association {
    /// Appends one packet to `out`; `false`: there is none now. To be asked until that, after anything else was called.
    pub fn fill(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        self.now = now;
        self.settle(now);
        let start = out.len();
        let is_filled = match self.state {
            _ if self.control.has_alone() => self.fill_alone(out),
            State::CookieWait | State::CookieEchoed => self.fill_setup(now, out),
            State::Idle | State::Listening | State::Over => false,
            _ => self.fill_session(now, out),
        };
        if is_filled {
            self.packets_sent += 1;
            self.bytes_sent += (out.len() - start) as u64;
        }
        is_filled
    }

    /// Whether [`fill`](Self::fill) has something.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.control.has_alone()
            || match self.state {
                State::Idle | State::Listening | State::Over => false,
                State::CookieWait | State::CookieEchoed => self.is_setup_due(),
                _ => self.is_session_due(now) || self.probe.is_due(),
            }
    }

    fn is_session_due(&self, now: Instant) -> bool {
        self.outbound.is_due(now)
            || self.inbound.wants_sack(now)
            || self.control.has_answers()
            || self.is_shutdown_due
            || self.reset.is_due()
            || self.beat == super::heartbeat::Beat::Due
    }

    /// A packet of one chunk, with a checksum, for who takes none may not have been agreed on (RFC 9653, section 5.2).
    fn fill_alone(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(alone) = self.control.take_alone() else { return false };
        let mut packet = Packet::begin(out, &header(alone.tag()), self.packet_size());
        match &alone {
            Alone::InitAck { cookie, unrecognized, .. } => {
                self.fill_init_ack(&mut packet, cookie.as_slice(), unrecognized)
            }
            Alone::Abort { code, value, .. } => packet.abort(false, &[Cause { code: *code, value }]),
            Alone::Error { code, value, .. } => packet.error(&[Cause { code: *code, value }]),
            Alone::ShutdownComplete { .. } => packet.shutdown_complete(false),
        };
        packet.finish(true);
        true
    }

    fn fill_setup(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if !self.is_setup_due() {
            return false;
        }
        let is_asking = self.state == State::CookieWait;
        let tag = if is_asking { 0 } else { self.remote_tag() };
        let mut packet = Packet::begin(out, &header(tag), self.packet_size());
        if is_asking {
            self.fill_init(&mut packet);
        } else {
            self.fill_cookie(now, &mut packet);
        }
        packet.finish(true);
        true
    }

    fn fill_session(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if !self.is_session_due(now) {
            return self.fill_probe(now, out);
        }
        let mut packet = Packet::begin(out, &header(self.remote_tag()), self.packet_size().max(self.outbound.needed()));
        self.fill_chunks(now, &mut packet);
        let has_chunks = packet.has_chunks();
        if has_chunks {
            packet.finish(!self.sends_zero_checksum());
        } else {
            packet.cancel();
        }
        has_chunks
    }

    fn fill_chunks(&mut self, now: Instant, packet: &mut Packet<'_>) {
        if self.control.has_answers() {
            self.control.fill(packet);
        }
        if self.inbound.has_unacknowledged() {
            self.inbound.fill_sack(packet);
        }
        if self.reset.is_due() {
            self.reset.fill(now, packet, self.outbound.next_tsn());
        }
        self.fill_heartbeat(packet);
        self.fill_shutdown(packet);
        self.outbound.fill(now, packet);
        self.touch(now);
    }

    /// A probe of the path MTU: a HEARTBEAT, and padding up to the size that is tried.
    fn fill_probe(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if !self.probe.is_due() {
            return false;
        }
        let mut packet = Packet::begin(out, &header(self.remote_tag()), self.probe.size());
        self.probe.fill(now, &mut packet);
        packet.finish(!self.sends_zero_checksum());
        true
    }

    fn remote_tag(&self) -> u32 {
        self.remote.map_or(0, |remote| remote.tag)
    }

    fn sends_zero_checksum(&self) -> bool {
        self.remote.is_some_and(|remote| remote.has_zero_checksum)
    }
}

const fn header(tag: u32) -> Header {
    Header { source_port: PORT, destination_port: PORT, tag }
}
