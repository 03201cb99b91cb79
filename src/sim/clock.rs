//! The clocks of one host: a monotonic one that may run fast or slow or stand still, and a wall clock that is off.

use std::time::Duration;

use crate::machine::time::Instant;

/// How a host's clocks differ from the world's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// How many millionths the host's time runs faster; negative: slower. From -500,000 to 500,000.
    pub drift: i32,
    /// How far the wall clock is ahead.
    pub ahead: Duration,
    /// How far the wall clock is behind.
    pub behind: Duration,
}

/// A monotonic clock as a line through two moments.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Monotonic {
    world: Instant,
    local: Instant,
    drift: i32,
}

const MILLION: u128 = 1_000_000;

impl Monotonic {
    /// What the host's clock shows.
    pub(super) fn local(&self, world: Instant) -> Instant {
        let passed = world - self.world;
        if self.drift == 0 {
            return self.local + passed;
        }
        self.local + nanos(passed.as_nanos() * self.speed() / MILLION)
    }

    /// The first moment of the world at which the host's clock shows `local` or more.
    pub(super) fn world(&self, local: Instant) -> Instant {
        let passed = local - self.local;
        if self.drift == 0 {
            return self.world + passed;
        }
        self.world + nanos((passed.as_nanos() * MILLION).div_ceil(self.speed()))
    }

    /// From `now` on it has another speed.
    pub(super) fn set_drift(&mut self, now: Instant, drift: i32) {
        *self = Self { world: now, local: self.local(now), drift: drift.clamp(-500_000, 500_000) };
    }

    /// From `now` on it goes on where it stood at `then`.
    pub(super) fn stand_still(&mut self, then: Instant, now: Instant) {
        *self = Self { world: now, local: self.local(then), drift: self.drift };
    }

    fn speed(&self) -> u128 {
        (MILLION as i64 + i64::from(self.drift)).unsigned_abs().into()
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_of_a_clock_that_drifts_is_met_at_its_first_moment() {
        for drift in [-500_000, -100, 0, 7, 333_333] {
            let mut clock = Monotonic::default();
            clock.set_drift(Instant::from_nanos(1_000), drift);
            for nanos in [1_001, 12_345_678, 3_600_000_000_007] {
                let local = Instant::from_nanos(nanos);
                let world = clock.world(local);
                assert!(clock.local(world) >= local, "drift {drift}");
                assert!(clock.local(Instant::from_nanos(world.as_nanos() - 1)) < local, "drift {drift}");
            }
        }
    }

    #[test]
    fn a_clock_that_stood_still_goes_on_where_it_stood() {
        let mut clock = Monotonic::default();
        clock.stand_still(Instant::from_nanos(5), Instant::from_nanos(105));
        assert_eq!(clock.local(Instant::from_nanos(107)), Instant::from_nanos(7));
    }
}
