//! Monotonic time as a number, so that it can be written down, compared between processes and replayed.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment: nanoseconds since an origin that the driver or the world chose.
///
/// Arithmetic saturates at both ends (584 years), so that no input can make it panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6} s", self.0 as f64 / 1e9)
    }
}

/// Translates between the standard library's clock and [`Instant`]; made by a driver, which reads the clock.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    origin: std::time::Instant,
    unix: Duration,
}

impl Epoch {
    /// An epoch whose origin is `now`, at which the wall clock shows `unix` since the Unix epoch.
    pub const fn new(now: std::time::Instant, unix: Duration) -> Self {
        Self { origin: now, unix }
    }

    /// The standard library's moment as ours.
    pub fn instant(&self, at: std::time::Instant) -> Instant {
        Instant::ZERO + at.saturating_duration_since(self.origin)
    }

    /// Our moment as the standard library's; `None` beyond what that can hold.
    pub fn std(&self, at: Instant) -> Option<std::time::Instant> {
        self.origin.checked_add(at.since(Instant::ZERO))
    }

    /// The same, and the origin in place of `None`: beyond what the standard library can hold there is nothing to wait for.
    pub fn std_or_origin(&self, at: Instant) -> std::time::Instant {
        self.std(at).unwrap_or(self.origin)
    }

    /// What the wall clock showed at the origin.
    pub const fn unix_at_origin(&self) -> Duration {
        self.unix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::from_nanos(u64::MAX) + Duration::MAX, Instant::from_nanos(u64::MAX));
        assert_eq!(Instant::ZERO - Instant::from_nanos(5), Duration::ZERO);
    }
}
