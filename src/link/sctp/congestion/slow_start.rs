//! HyStart (Ha and Rhee, "Taming the elephants", 2011): when slow start has gone far enough, before there are losses.
//!
//! It is over when the least of the first round-trip times of a round is clearly above the least of all, or when the
//! acknowledgements of a round come without a pause for half a round trip. That is what most of the senders in the field
//! do (RFC 9438, section 4.10, leaves the choice). HyStart++ (RFC 9406) goes on for five cautious rounds instead, which
//! triple the window and fill queues of several bandwidth-delay products; it spares flows that jitter would stop too
//! early, which the curve's growth makes up for here.

use std::time::Duration;

use super::Ack;
use crate::machine::time::Instant;

/// Samples of a round by which it is judged.
const SAMPLES: u32 = 8;
/// Bounds of what counts as a clear growth, in seconds.
const CLEAR: (f64, f64) = (0.004, 0.016);
/// The longest pause between two acknowledgements of a train.
const TRAIN_PAUSE: Duration = Duration::from_millis(2);
/// The least window in packets at which slow start ends.
const LEAST: f64 = 16.0;
/// Packets that one acknowledgement lets the window grow by at most, as nothing is paced.
const BURST: f64 = 8.0;

/// Slow start, and its end in sight.
#[derive(Debug, Clone)]
pub(super) struct SlowStart {
    /// The first packet of the next round.
    ends: u64,
    least: f64,
    least_of_round: f64,
    samples: u32,
    /// When the round began.
    began: Instant,
    /// The last acknowledgement of the round's train.
    train: Instant,
}

impl SlowStart {
    pub(super) const fn new() -> Self {
        let (least, least_of_round) = (f64::INFINITY, f64::INFINITY);
        Self { ends: 0, least, least_of_round, samples: 0, began: Instant::ZERO, train: Instant::ZERO }
    }

    /// Bytes by which the window grows; none: slow start is over.
    pub(super) fn grow(&mut self, ack: &Ack, window: f64, packet: f64) -> Option<f64> {
        if ack.top >= self.ends {
            *self = Self { ends: ack.next, least: self.least, began: ack.now, train: ack.now, ..Self::new() };
        }
        if let Some(rtt) = ack.seconds() {
            self.sample(rtt);
        }
        let is_long = self.is_train_long(ack.now);
        let is_over = (is_long || self.is_delayed()) && window >= LEAST * packet;
        (!is_over).then(|| ack.acked_within(window).min(BURST * packet))
    }

    fn sample(&mut self, rtt: f64) {
        self.least = self.least.min(rtt);
        if self.samples < SAMPLES {
            self.samples += 1;
            self.least_of_round = self.least_of_round.min(rtt);
        }
    }

    fn is_delayed(&self) -> bool {
        let clear = (self.least / 8.0).max(CLEAR.0).min(CLEAR.1);
        self.samples == SAMPLES && self.least_of_round > self.least + clear
    }

    fn is_train_long(&mut self, now: Instant) -> bool {
        if now.since(self.train) > TRAIN_PAUSE {
            return false;
        }
        self.train = now;
        now.since(self.began).as_secs_f64() > self.least / 2.0
    }
}
