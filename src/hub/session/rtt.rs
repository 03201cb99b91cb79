//! Round-trip times of one path: smoothed, for time-outs, and least, for windows and the choice of a path.
//!
//! Acknowledgements say how long an answer takes, waiting included: their average (RFC 6298's, without the variance)
//! is what suspicion multiplies. Pings say how long the path is: their least over the last ten seconds is what a path
//! is known by. The ten seconds are two halves, so that nothing needs to be kept but two numbers.

use std::time::Duration;

use crate::machine::time::Instant;

/// Half of the time over which the least is taken.
const HALF: Duration = Duration::from_secs(5);
/// What is assumed before the first sample (RFC 9002, section 6.2.2).
const INITIAL: Duration = Duration::from_millis(333);

/// The round-trip times of one path.
#[derive(Debug, Default)]
pub(super) struct Rtt {
    smoothed: Option<Duration>,
    /// The least of this half and of the one before.
    least: [Option<Duration>; 2],
    half: Instant,
}

impl Rtt {
    /// The average.
    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(INITIAL)
    }

    /// The least of the last ten seconds in which there were pings.
    pub(super) fn least(&self) -> Option<Duration> {
        self.least.into_iter().flatten().min()
    }

    /// So long it took until a run was acknowledged.
    pub(super) fn acknowledged(&mut self, time: Duration) {
        self.smoothed = Some(self.smoothed.map_or(time, |smoothed| (smoothed * 7 + time) / 8));
    }

    /// So long it took until a ping was answered.
    pub(super) fn answered(&mut self, now: Instant, time: Duration) {
        self.acknowledged(time);
        if now.since(self.half) >= HALF {
            self.least = [None, self.least[0]];
            self.half = now;
        }
        self.least[0] = Some(self.least[0].map_or(time, |least| least.min(time)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_least_forgets_what_is_older_than_two_halves() {
        let mut rtt = Rtt::default();
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        rtt.answered(at(1), 10 * MS);
        rtt.answered(at(4), 30 * MS);
        assert_eq!(rtt.least(), Some(10 * MS));
        rtt.answered(at(6), 40 * MS);
        assert_eq!(rtt.least(), Some(10 * MS));
        rtt.answered(at(12), 50 * MS);
        assert_eq!(rtt.least(), Some(40 * MS));
    }

    #[test]
    fn the_average_begins_with_the_first_sample() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.smoothed(), INITIAL);
        rtt.acknowledged(80 * MS);
        assert_eq!(rtt.smoothed(), 80 * MS);
        rtt.acknowledged(160 * MS);
        assert_eq!(rtt.smoothed(), 90 * MS);
    }
}
