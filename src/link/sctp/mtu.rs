//! The size of packets: what the path lets through is found out by probes (RFC 8899).
//!
//! A probe is a HEARTBEAT filled up by a PAD chunk (RFC 4820) to the size that is tried; its answer shows that the size
//! passes. Its loss is no sign of congestion. The largest size is tried first, for most paths take it; if it does not pass
//! in [`MOST_PROBES`], halves are, until [`STEP`] is all that could be won. After [`RAISE`] larger ones are tried again.
//! Whatever carries data keeps the largest size that has passed.
//!
//! *A black hole* is a path that takes small packets only, although it took larger ones before (section 4.3). It shows by
//! losses of packets larger than in the beginning, a retransmission timeout apart and without one between them that
//! arrives; that smaller ones do says nothing. After [`MOST_FAILURES`] packets are as small as in the beginning, and the
//! search begins anew; so it does on another path. What becomes of chunks cut for larger ones is in
//! [`oversize`](super::oversize).

use std::time::Duration;

use crate::machine::Deadline;
use crate::machine::time::Instant;
use crate::wire::sctp::{Packet, kind};

/// How often a size is tried (RFC 8899, section 5.1.2).
const MOST_PROBES: u8 = 3;
/// The time for a probe's answer (section 5.1.1).
const PROBE_TIME: Duration = Duration::from_secs(1);
/// After that the search begins anew (section 5.1.1).
const RAISE: Duration = Duration::from_secs(600);
/// Bytes that are not worth another probe.
const STEP: usize = 32;
/// Losses of large packets in a row that show a black hole.
const MOST_FAILURES: u8 = 3;
/// Bytes of Heartbeat Info.
const INFO: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A probe is to be written.
    Due,
    /// One is under way until then.
    Sent(Instant),
    /// Larger sizes are tried again then.
    Rest(Instant),
    /// Nothing larger is allowed.
    Done,
}

#[derive(Debug)]
pub(super) struct Probe {
    base: usize,
    most: usize,
    /// The largest size that is known to pass.
    packet: usize,
    /// The least size that is known not to pass, or one beyond what is allowed.
    fails: usize,
    size: usize,
    tries: u8,
    /// Tells answers to the probe under way from late ones.
    number: u16,
    failures: u8,
    /// When the last of them was counted.
    failed_at: Instant,
    state: State,
}

impl Probe {
    /// Begins with packets of `base` bytes, which every path takes, and looks for more, up to `most`.
    pub(super) fn new(base: usize, most: usize) -> Self {
        let most = most.max(base) & !3;
        let mut probe = Self {
            base,
            most,
            packet: base,
            fails: most + STEP,
            size: most,
            tries: 0,
            number: 0,
            failures: 0,
            failed_at: Instant::ZERO,
            state: State::Done,
        };
        probe.begin();
        probe
    }

    fn begin(&mut self) {
        self.fails = self.most + STEP;
        self.size = self.most;
        self.tries = 0;
        self.state = if self.packet < self.most { State::Due } else { State::Done };
    }

    /// Bytes that a packet may have now.
    #[inline]
    pub(super) const fn packet(&self) -> usize {
        self.packet
    }

    /// Whether [`fill`](Self::fill) would write a probe.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.state == State::Due
    }

    /// Bytes that the packet with the probe shall have.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Writes a probe into a packet that has nothing else and is of that [`size`](Self::size).
    pub(super) fn fill(&mut self, now: Instant, packet: &mut Packet<'_>) {
        self.number = self.number.wrapping_add(1);
        self.tries += 1;
        self.state = State::Sent(now + PROBE_TIME);
        packet.chunk(kind::HEARTBEAT, 0, &self.info());
        packet.pad(packet.room());
    }

    /// Heartbeat Info (RFC 9260, section 3.3.5).
    fn info(&self) -> [u8; INFO] {
        let [a, b] = self.number.to_be_bytes();
        [0, 1, 0, 12, b'p', b'a', b't', b'h', b' ', b' ', a, b]
    }

    /// A HEARTBEAT was answered; whether it was the probe under way. Then [`packet`](Self::packet) has grown.
    pub(super) fn on_acked(&mut self, now: Instant, info: &[u8]) -> bool {
        let is_ours = matches!(self.state, State::Sent(_)) && info == self.info();
        if is_ours {
            self.packet = self.size;
            self.try_next(now);
        }
        is_ours
    }

    fn try_next(&mut self, now: Instant) {
        self.tries = 0;
        let next = self.packet.midpoint(self.fails) & !3;
        if self.packet >= self.most {
            self.state = State::Done;
        } else if next < self.packet + STEP / 2 {
            self.state = State::Rest(now + RAISE);
        } else {
            self.size = next.min(self.most);
            self.state = State::Due;
        }
    }

    /// When a probe counts as lost, or larger sizes are tried again.
    pub(super) const fn deadline(&self) -> Option<Deadline> {
        match self.state {
            State::Sent(at) => Some(Deadline::new(at, "a probe of the path MTU is lost")),
            State::Rest(at) => Some(Deadline::new(at, "larger packets are tried again")),
            State::Due | State::Done => None,
        }
    }

    /// Does what is due.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        match self.state {
            State::Sent(at) if at <= now && self.tries < MOST_PROBES => self.state = State::Due,
            State::Sent(at) if at <= now => {
                self.fails = self.size;
                self.try_next(now);
            }
            State::Rest(at) if at <= now => self.begin(),
            _ => {}
        }
    }

    /// Packets larger than in the beginning were lost; whether they must be smaller. Losses within `rto` count once: they
    /// may be one event.
    pub(super) fn on_failed(&mut self, now: Instant, rto: Duration) -> bool {
        if self.failures > 0 && now < self.failed_at + rto {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
        let is_hole = self.failures >= MOST_FAILURES && self.packet > self.base;
        if is_hole {
            self.restart();
        }
        is_hole
    }

    /// A packet larger than in the beginning has arrived.
    #[inline]
    pub(super) const fn on_passed(&mut self) {
        self.failures = 0;
    }

    /// Another path: nothing is known of it but that so many bytes may be tried.
    pub(super) fn on_path(&mut self, most: usize) {
        self.most = most.max(self.base) & !3;
        self.restart();
    }

    fn restart(&mut self) {
        self.packet = self.base;
        self.failures = 0;
        self.begin();
    }
}

#[cfg(test)]
mod tests;
