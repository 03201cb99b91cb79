//! How long the queue is, told by round-trip times.
//!
//! *The queue* is the least of the last four samples, above the least of the last minute. Four samples pass over jitter
//! without being late; where acknowledgements come in bursts the least of one and a bit of their gaps is taken, for all
//! samples of a burst but the last are too long.
//!
//! *Heights.* The queue is high from three quarters of the greatest of the last 20 seconds. *The peak* is a shorter
//! memory, which fades over rounds: a fall below it is the sign that others drain.

use std::time::Duration;

use super::super::filter::{Greatest, Least};
use crate::machine::time::Instant;

/// Six of these are the memory of the least round-trip time.
const LEAST_SPAN: Duration = Duration::from_secs(10);
/// Four of these are the memory of the greatest height.
const HEIGHT_SPAN: Duration = Duration::from_secs(5);
/// Gaps between acknowledgements that are longer, in seconds, count as bursts.
const BURSTS: f64 = 0.002;
/// Rounds without a new peak after which it fades.
const PEAK_ROUNDS: u8 = 3;
/// The smoothed round-trip time before there is a sample, in seconds.
const UNKNOWN: f64 = 0.1;

/// Round-trip times and what follows from them; all in seconds.
#[derive(Debug)]
pub(super) struct Delay {
    least: Least<6>,
    recent: [f64; 4],
    at: usize,
    of_gap: Least<4>,
    heights: Greatest<4>,
    smoothed: f64,
    queue: f64,
    lowest: f64,
    peak: f64,
    peak_rounds: u8,
    gap: f64,
    gap_of_round: f64,
    gap_of_last_round: f64,
}

impl Delay {
    pub(super) const fn new() -> Self {
        Self {
            least: Least::new(),
            recent: [f64::INFINITY; 4],
            at: 0,
            of_gap: Least::new(),
            heights: Greatest::new(),
            smoothed: 0.0,
            queue: 0.0,
            lowest: f64::INFINITY,
            peak: 0.0,
            peak_rounds: 0,
            gap: 0.0,
            gap_of_round: 0.0,
            gap_of_last_round: 0.0,
        }
    }

    /// Takes an acknowledgement in, `pause` after the last; `is_steady`: the pause tells how acknowledgements are sent.
    pub(super) fn on_ack(&mut self, now: Instant, pause: Duration, rtt: Option<f64>, is_steady: bool) {
        if is_steady {
            self.gap_of_round = self.gap_of_round.max(pause.as_secs_f64());
        }
        let Some(rtt) = rtt else { return };
        self.smoothed = if self.is_known() { self.smoothed + (rtt - self.smoothed) / 8.0 } else { rtt };
        self.least.add(now, LEAST_SPAN, rtt);
        self.measure(now, rtt);
        self.lowest = self.lowest.min(self.queue);
        self.heights.add(now, HEIGHT_SPAN, self.queue);
        if self.queue >= self.peak {
            self.peak = self.queue;
            self.peak_rounds = 0;
        }
    }

    fn measure(&mut self, now: Instant, rtt: f64) {
        self.recent[self.at] = rtt;
        self.at = (self.at + 1) % self.recent.len();
        let mut floor = self.recent.iter().copied().fold(f64::INFINITY, f64::min);
        if self.gap > BURSTS {
            self.of_gap.add(now, Duration::from_secs_f64(0.4 * self.gap), rtt);
            floor = floor.min(self.of_gap.get());
        }
        self.queue = (floor - self.least.get()).max(0.0);
    }

    pub(super) fn end_round(&mut self) {
        self.lowest = f64::INFINITY;
        self.peak_rounds += 1;
        if self.peak_rounds >= PEAK_ROUNDS {
            self.peak *= 0.9;
            self.peak_rounds = 0;
        }
        self.gap = self.gap_of_round.min(self.gap_of_last_round).min(0.6 * self.least());
        self.gap_of_last_round = std::mem::take(&mut self.gap_of_round);
    }

    /// Whether there was a sample.
    pub(super) const fn is_known(&self) -> bool {
        self.smoothed > 0.0
    }

    /// The smoothed round-trip time; a guess before a sample.
    pub(super) const fn smoothed(&self) -> f64 {
        if self.is_known() { self.smoothed } else { UNKNOWN }
    }

    /// The least round-trip time; a guess before a sample.
    pub(super) fn least(&self) -> f64 {
        if self.is_known() { self.least.get() } else { UNKNOWN }
    }

    /// What the queue adds to a round trip.
    pub(super) const fn queue(&self) -> f64 {
        self.queue
    }

    /// The queue at which a drain begins.
    pub(super) fn threshold(&self) -> f64 {
        (0.45 * self.least()).max(0.005)
    }

    /// Whether the queue is near its greatest known height.
    pub(super) fn is_high(&self) -> bool {
        self.queue >= 0.75 * self.heights.get() && self.queue > (0.06 * self.least()).max(0.002)
    }

    /// Whether a queue that began at this height counts as gone.
    pub(super) fn is_gone(&self, queue: f64, began: f64) -> bool {
        queue <= (0.25 * began).min(0.1 * self.least()).max(0.002)
    }

    /// Whether a queue is so low that waiting for less is idle.
    pub(super) fn is_surely_gone(&self, queue: f64) -> bool {
        queue < (0.04 * self.least()).max(0.001)
    }

    /// Whether there was no queue at some moment of the round.
    pub(super) fn was_empty(&self) -> bool {
        self.lowest < (0.02 * self.least()).max(0.001)
    }

    /// Whether there is queue enough for a test for company.
    pub(super) fn is_worth_a_test(&self) -> bool {
        self.queue > (0.2 * self.least()).max(0.005)
    }

    /// Whether the queue has fallen deeply from a peak that was a high one.
    pub(super) fn is_falling(&self) -> bool {
        self.peak > 0.5 * self.heights.get() && self.queue < 0.6 * self.peak
    }

    /// What the pipe is multiplied by, as bursts of acknowledgements leave it empty between them.
    pub(super) fn allowance_for_bursts(&self) -> f64 {
        if self.gap > BURSTS { 1.0 + self.gap / self.least() } else { 1.0 }
    }
}
