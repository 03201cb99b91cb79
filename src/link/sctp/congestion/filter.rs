//! Extremes of the recent past, in a fixed number of spans: what is older than all of them is forgotten.

use std::time::Duration;

use crate::machine::time::Instant;

/// The least of what was added in the last `N` spans of time.
#[derive(Debug, Clone)]
pub(super) struct Least<const N: usize> {
    spans: [f64; N],
    /// The least of all spans.
    least: f64,
    began: Instant,
}

impl<const N: usize> Least<N> {
    pub(super) const fn new() -> Self {
        Self { spans: [f64::INFINITY; N], least: f64::INFINITY, began: Instant::ZERO }
    }

    /// Takes a value in, where spans have this length now.
    pub(super) fn add(&mut self, now: Instant, span: Duration, value: f64) {
        if now.since(self.began) >= span {
            self.turn(now, span);
        }
        self.spans[0] = self.spans[0].min(value);
        self.least = self.least.min(value);
    }

    /// Infinite as long as there is none.
    pub(super) const fn get(&self) -> f64 {
        self.least
    }

    fn turn(&mut self, now: Instant, span: Duration) {
        let span = span.max(Duration::from_micros(1)).as_nanos();
        let passed = now.since(self.began).as_nanos() / span;
        let shift = passed.min(N as u128) as usize;
        self.spans.copy_within(..N - shift, shift);
        self.spans[..shift].fill(f64::INFINITY);
        self.least = self.spans.iter().copied().fold(f64::INFINITY, f64::min);
        let jump = Duration::from_nanos(u64::try_from(passed * span).unwrap_or(u64::MAX));
        self.began = self.began + jump;
    }
}

/// The greatest of what was added in the last `N` spans of time.
#[derive(Debug, Clone)]
pub(super) struct Greatest<const N: usize>(Least<N>);

impl<const N: usize> Greatest<N> {
    pub(super) const fn new() -> Self {
        Self(Least::new())
    }

    /// Takes a value in, where spans have this length now.
    pub(super) fn add(&mut self, now: Instant, span: Duration, value: f64) {
        self.0.add(now, span, -value);
    }

    /// Zero as long as there is none.
    pub(super) const fn get(&self) -> f64 {
        (-self.0.get()).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn an_extreme_is_forgotten_when_its_span_is_too_old() {
        let mut least = Least::<3>::new();
        let mut greatest = Greatest::<3>::new();
        for (second, value) in [(0, 5.0), (1, 7.0), (2, 6.0)] {
            least.add(at(second), SECOND, value);
            greatest.add(at(second), SECOND, value);
        }
        assert_eq!((least.get(), greatest.get()), (5.0, 7.0));
        least.add(at(3), SECOND, 9.0);
        greatest.add(at(4), SECOND, 1.0);
        assert_eq!((least.get(), greatest.get()), (6.0, 6.0));
    }

    #[test]
    fn a_long_pause_and_time_that_runs_backwards_do_no_harm() {
        let mut least = Least::<3>::new();
        least.add(at(1), SECOND, 5.0);
        least.add(Instant::from_nanos(u64::MAX), Duration::ZERO, 8.0);
        assert_eq!(least.get(), 8.0);
        least.add(at(1), SECOND, 7.0);
        assert_eq!(least.get(), 7.0);
    }
}
