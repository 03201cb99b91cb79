//! The end: by agreement, at once, or for want of answers.
//!
//! *Shutdown* (RFC 9260, section 9.2) first delivers all that was written, then passes SHUTDOWN, SHUTDOWN ACK and
//! SHUTDOWN COMPLETE; the first two are repeated. One that takes longer than
//! [`Config::shutdown_time`](super::Config::shutdown_time) ends by ABORT. Two that cross end in each other's answers.
//! After the end SHUTDOWN ACK is still answered, for the last chunk of all may be lost.
//!
//! *Abort* tells the peer why, in words where there are some: by the user, or which rule the peer broke.

use super::control::Alone;
use super::error::Broken;
use super::events::{Event, Over};
use super::timers::Timer;
use super::{Association, State};
use crate::machine::time::Instant;
use crate::wire::sctp::{Causes, Packet, Tsn, cause, kind};

/// Bytes of a reason that are told to the peer.
const MOST_REASON: usize = 128;

impl Association {
    /// Ends by agreement: what was written is delivered, no more is taken, and [`Over`] follows. Before the association
    /// stands it ends at once.
    pub fn shutdown(&mut self, now: Instant) {
        match self.state {
            State::Established => {
                self.state = State::ShutdownPending;
                self.timers.set(Timer::Guard, now + self.config.shutdown_time);
                self.settle(now);
            }
            State::Idle | State::Listening | State::CookieWait | State::CookieEchoed => {
                self.send_abort(cause::USER_INITIATED, b"closed");
                self.end(Over::Closed);
            }
            _ => {}
        }
    }

    /// Ends at once; what was not delivered is lost. The peer is told the first 128 bytes of `reason`.
    pub fn abort(&mut self, now: Instant, reason: &str) {
        self.now = now;
        if self.state != State::Over {
            let fits = |at: &usize| reason.is_char_boundary(*at);
            let reason = &reason[..(0..=reason.len().min(MOST_REASON)).rev().find(fits).unwrap_or(0)];
            self.send_abort(cause::USER_INITIATED, reason.as_bytes());
            self.end(Over::Aborted { is_by_peer: false, reason: reason.escape_debug().to_string() });
        }
    }

    /// The peer broke a rule.
    #[cold]
    pub(super) fn break_off(&mut self, broken: Broken) {
        self.send_abort(cause::PROTOCOL_VIOLATION, broken.to_string().as_bytes());
        self.end(Over::Broken(broken));
    }

    /// A timeout that the peer is to blame for; too many in a row, and it is lost.
    pub(super) fn count_error(&mut self) {
        self.errors += 1;
        if self.errors > self.config.most_retransmits && self.state != State::Over {
            self.send_abort(cause::USER_INITIATED, b"no answer");
            self.end(Over::Lost);
        }
    }

    /// Something can't be delivered on this path.
    #[cold]
    pub(super) fn end_too_large(&mut self) {
        self.send_abort(cause::USER_INITIATED, Over::TooLargeForPath.to_string().as_bytes());
        self.end(Over::TooLargeForPath);
    }

    pub(super) fn end(&mut self, over: Over) {
        self.state = State::Over;
        self.timers.clear();
        self.control.clear();
        self.setup = super::handshake::Setup::default();
        self.is_shutdown_due = false;
        self.events.push_back(Event::Over(over));
    }

    fn send_abort(&mut self, code: u16, value: &[u8]) {
        if let Some(remote) = self.remote {
            self.send_alone(Alone::Abort { tag: remote.tag, code, value: value.to_vec() });
        }
    }

    pub(super) fn on_abort(&mut self, causes: Causes<'_>) {
        if !matches!(self.state, State::Idle | State::Listening | State::Over) {
            self.end(Over::Aborted { is_by_peer: true, reason: causes.to_string() });
        }
    }

    pub(super) fn on_shutdown(&mut self, now: Instant, cumulative: Tsn) {
        let next = match self.state {
            State::Established | State::ShutdownPending | State::ShutdownReceived => State::ShutdownReceived,
            State::ShutdownSent | State::ShutdownAckSent => State::ShutdownAckSent,
            _ => {
                self.dropped.state += 1;
                return;
            }
        };
        self.errors = 0;
        if let Err(broken) = self.outbound.on_cumulative(now, cumulative) {
            return self.break_off(broken);
        }
        let is_new = next != self.state;
        self.state = next;
        if is_new && next == State::ShutdownAckSent {
            self.send_shutdown(now);
        } else if is_new && !self.timers.runs(Timer::Guard) {
            self.timers.set(Timer::Guard, now + self.config.shutdown_time);
        }
    }

    pub(super) fn on_shutdown_ack(&mut self) {
        let Some(remote) = self.remote else {
            self.dropped.state += 1;
            return;
        };
        match self.state {
            State::ShutdownSent | State::ShutdownAckSent => {
                self.send_alone(Alone::ShutdownComplete { tag: remote.tag });
                self.end(Over::Closed);
            }
            State::Over => self.send_alone(Alone::ShutdownComplete { tag: remote.tag }),
            _ => self.dropped.state += 1,
        }
    }

    pub(super) fn on_shutdown_complete(&mut self) {
        match self.state {
            State::ShutdownAckSent => self.end(Over::Closed),
            _ => self.dropped.state += 1,
        }
    }

    /// Goes on as soon as nothing is left to be delivered.
    pub(super) fn advance_shutdown(&mut self, now: Instant) {
        let next = match self.state {
            State::ShutdownPending => State::ShutdownSent,
            State::ShutdownReceived => State::ShutdownAckSent,
            _ => return,
        };
        if self.outbound.is_idle() {
            self.state = next;
            self.send_shutdown(now);
        }
    }

    /// Data that comes after our SHUTDOWN is acknowledged at once, with another SHUTDOWN (RFC 9260, section 9.2).
    pub(super) fn repeat_shutdown(&mut self, now: Instant) {
        self.is_shutdown_due = true;
        self.timers.set(Timer::Shutdown, now + self.outbound.rto());
    }

    fn send_shutdown(&mut self, now: Instant) {
        self.shutdown_repeats = 0;
        self.repeat_shutdown(now);
    }

    pub(super) fn on_shutdown_timeout(&mut self, now: Instant) {
        self.shutdown_repeats += 1;
        if self.shutdown_repeats > self.config.most_setup_retransmits {
            return self.end(Over::Lost);
        }
        self.is_shutdown_due = true;
        let delay = (self.outbound.rto() * (1 << self.shutdown_repeats.min(16))).min(self.config.rto.max);
        self.timers.set(Timer::Shutdown, now + delay);
    }

    pub(super) fn on_guard_timeout(&mut self) {
        self.send_abort(cause::USER_INITIATED, b"the shutdown has taken too long");
        self.end(Over::Lost);
    }

    pub(super) fn fill_shutdown(&mut self, packet: &mut Packet<'_>) {
        if self.is_shutdown_due {
            self.is_shutdown_due = match self.state {
                State::ShutdownSent => !packet.shutdown(self.inbound.cumulative()),
                _ => !packet.chunk(kind::SHUTDOWN_ACK, 0, &[]),
            };
        }
    }
}
