//! A drain: the window falls below the flow's share of the pipe until the queue has had a round trip to vanish.
//!
//! It is over when a packet that was sent after one that was sent at the low window is acknowledged; or before, once the
//! queue is surely gone.

use super::super::Ack;
use super::delay::Delay;
use crate::machine::time::Instant;

/// Packets above the target at which the window counts as reached.
const NEAR: f64 = 2.0;

/// What a drain shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The queue vanished.
    Alone,
    /// The queue stayed.
    InCompany,
}

#[derive(Debug)]
pub(super) struct Drain {
    /// The window meanwhile.
    pub(super) target: f64,
    /// The window before.
    pub(super) saved: f64,
    pub(super) began: Instant,
    /// Whether congestion began it, or was found during it.
    pub(super) is_by_loss: bool,
    queue: f64,
    lowest: f64,
    /// The first packet that was sent at the low window.
    settled: Option<u64>,
    /// The packet whose acknowledgement ends it.
    end: Option<u64>,
}

impl Drain {
    pub(super) const fn new(began: Instant, target: f64, saved: f64, queue: f64, is_by_loss: bool) -> Self {
        Self { target, saved, began, is_by_loss, queue, lowest: f64::INFINITY, settled: None, end: None }
    }

    /// Takes an acknowledgement in; says what the drain shows, once it does.
    pub(super) fn on_ack(&mut self, ack: &Ack, delay: &Delay, packet: f64) -> Option<Verdict> {
        self.lowest = self.lowest.min(delay.queue());
        if self.settled.is_none() && ack.flight as f64 <= self.target + NEAR * packet {
            self.settled = Some(ack.next);
        }
        if self.end.is_none() && self.settled.is_some_and(|settled| ack.top >= settled) {
            self.end = Some(ack.next);
        }
        let is_over = self.end.is_some_and(|end| ack.top >= end);
        let is_clear = self.settled.is_some() && delay.is_surely_gone(self.lowest);
        (is_over || is_clear).then(|| self.verdict(delay))
    }

    fn verdict(&self, delay: &Delay) -> Verdict {
        if delay.is_gone(self.lowest, self.queue) { Verdict::Alone } else { Verdict::InCompany }
    }
}
