//! Signs of life (RFC 9260, section 8.3): the peer's are answered, our own are sent only if that is wished.

use super::control::Answer;
use super::timers::Timer;
use super::{Association, State};
use crate::machine::time::Instant;
use crate::wire::sctp::{Packet, kind};

/// A HEARTBEAT of our own that is to be written, or has not been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Beat {
    #[default]
    Resting,
    Due,
    Sent,
}

/// Heartbeat Info with four bytes that only we would send back (RFC 9260, section 3.3.5).
const INFO: [u8; 8] = [0, 1, 0, 8, b'l', b'i', b'f', b'e'];

impl Association {
    pub(super) fn on_heartbeat(&mut self, info: &[u8]) {
        if self.state.is_associated() {
            self.answer(Answer::HeartbeatAck(info.to_vec()));
        } else {
            self.dropped.state += 1;
        }
    }

    pub(super) fn on_heartbeat_ack(&mut self, now: Instant, info: &[u8]) {
        if info == INFO && self.beat == Beat::Sent {
            self.beat = Beat::Resting;
            self.errors = 0;
            self.restart_heartbeat(now);
        } else if self.probe.on_acked(now, info) {
            self.outbound.set_packet(self.packet_size());
        } else {
            self.dropped.state += 1;
        }
    }

    pub(super) fn restart_heartbeat(&mut self, now: Instant) {
        if let Some(interval) = self.config.heartbeat {
            self.timers.set(Timer::Heartbeat, now + interval);
        }
    }

    pub(super) fn on_heartbeat_timeout(&mut self, now: Instant) {
        let Some(interval) = self.config.heartbeat else { return };
        let rest = self.heard + interval;
        if self.beat == Beat::Sent && self.heard + self.outbound.rto() < now {
            self.count_error();
        }
        if self.state != State::Established {
            return;
        }
        if rest > now {
            self.beat = Beat::Resting;
            self.timers.set(Timer::Heartbeat, rest);
        } else {
            self.beat = Beat::Due;
            self.timers.set(Timer::Heartbeat, now + self.outbound.rto());
        }
    }

    pub(super) fn fill_heartbeat(&mut self, packet: &mut Packet<'_>) {
        if self.beat == Beat::Due && packet.chunk(kind::HEARTBEAT, 0, &INFO) {
            self.beat = Beat::Sent;
        }
    }
}
