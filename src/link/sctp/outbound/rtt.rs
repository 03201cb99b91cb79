//! Round-trip times and what follows from them (RFC 9260, section 6.3; RFC 9002, sections 5 and 6).

use std::time::Duration;

use super::super::config::Rto;
use crate::machine::time::Instant;

/// The variation counts as at least a quarter of this.
const GRANULARITY: Duration = Duration::from_millis(1);
/// No loss is seen by time earlier than this.
const LEAST_PATIENCE: Duration = Duration::from_millis(1);
/// A packet counts as lost when so many eighths of a round trip have passed since it was sent, at first and at most.
const EIGHTHS: u32 = 9;
const MOST_EIGHTHS: u32 = 16;
/// A packet counts as lost when one is acknowledged that was sent so many later, at first and at most.
const DISTANCE: u64 = 3;
const MOST_DISTANCE: u64 = 128;
/// More doublings than this make no difference.
const MOST_DOUBLINGS: u32 = 16;

/// The estimate of one path.
#[derive(Debug)]
pub(super) struct Rtt {
    bounds: Rto,
    ack_delay: Duration,
    /// The timeout before there is a sample.
    initial: Duration,
    smoothed: Option<Duration>,
    latest: Duration,
    variation: Duration,
    least: Duration,
    doublings: u32,
    eighths: u32,
    distance: u64,
}

impl Rtt {
    pub(super) const fn new(bounds: Rto, ack_delay: Duration) -> Self {
        Self {
            bounds,
            ack_delay,
            initial: bounds.initial,
            smoothed: None,
            latest: Duration::ZERO,
            variation: Duration::ZERO,
            least: Duration::MAX,
            doublings: 0,
            eighths: EIGHTHS,
            distance: DISTANCE,
        }
    }

    /// Takes a sample in (RFC 9260, section 6.3.1, rules C2 and C3).
    pub(super) fn on_sample(&mut self, rtt: Duration) {
        self.latest = rtt;
        self.least = self.least.min(rtt);
        match self.smoothed {
            None => (self.smoothed, self.variation) = (Some(rtt), rtt / 2),
            Some(old) => {
                self.variation = (self.variation * 3 + old.abs_diff(rtt)) / 4;
                self.smoothed = Some((old * 7 + rtt) / 8);
            }
        }
    }

    /// Another path: what was measured does not hold, nor what was learned of its order. `checked`: a round trip that was
    /// measured on it by other means; the timeout is then at first as after a sample of that (rule C2), or less.
    pub(super) fn on_path(&mut self, checked: Option<Duration>) {
        *self = Self::new(self.bounds, self.ack_delay);
        let as_sampled = |rtt: Duration| rtt.saturating_mul(3).saturating_add(self.ack_delay);
        self.initial = checked.map_or(self.initial, |rtt| as_sampled(rtt).min(self.initial));
    }

    /// The smoothed time, once there is one.
    pub(super) const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The least time.
    pub(super) fn least(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.least)
    }

    /// The time after which what is under way is asked for, doublings included.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout_after(self.doublings)
    }

    /// The timeout after so many in a row.
    pub(super) fn timeout_after(&self, doublings: u32) -> Duration {
        let plain = match self.smoothed {
            None => self.initial,
            Some(smoothed) => smoothed + (self.variation * 4).max(GRANULARITY) + self.ack_delay,
        };
        let bounded = plain.clamp(self.bounds.min, self.bounds.max.max(self.bounds.min));
        bounded.saturating_mul(1 << doublings.min(MOST_DOUBLINGS)).min(self.bounds.max.max(self.bounds.min))
    }

    /// Doubles the timeout (rule E2).
    pub(super) fn back_off(&mut self) {
        self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
    }

    /// The peer has answered.
    pub(super) fn on_progress(&mut self) {
        self.doublings = 0;
    }

    /// How long a packet may take when a later one has already arrived.
    pub(super) fn patience(&self) -> Duration {
        let rtt = self.smoothed.unwrap_or(self.initial).max(self.latest);
        (rtt * self.eighths / 8).max(LEAST_PATIENCE)
    }

    /// How many packets later one may be acknowledged before it.
    pub(super) const fn distance(&self) -> u64 {
        self.distance
    }

    /// What was called lost came all the same, `distance` packets later: more patience from now on.
    pub(super) fn on_reordering(&mut self, distance: u64) {
        self.distance = self.distance.max(distance.saturating_add(1).min(MOST_DISTANCE));
        self.eighths = (self.eighths + 1).min(MOST_EIGHTHS);
    }

    /// Whether an acknowledgement after so long can't be for what was sent then: it is for an earlier copy.
    pub(super) fn is_too_soon(&self, since: Duration) -> bool {
        self.smoothed.is_some() && since * 10 < self.least * 9
    }

    /// When a timer that starts now ends.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        now + self.timeout()
    }
}
