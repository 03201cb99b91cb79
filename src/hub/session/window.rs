//! How much may be in the air on a relayed path.
//!
//! Once per round trip the rate of what was acknowledged is taken; the window is one and a half times what the best
//! rate delivers in the least round trip, plus 32 KiB, between 48 KiB and 1 MiB. So it grows while it is what limits,
//! and stops with the rate: a queue on the way stays short. The best rate fades by half a per cent each round trip,
//! and by three tenths when something was lost, at most once per round trip. A direct path has its own congestion
//! control below, and is bounded by grants.

use std::time::Duration;

use crate::machine::time::Instant;

const FIRST: usize = 64 * 1024;
const LEAST: u64 = 48 * 1024;
const MOST: u64 = 1024 * 1024;
const BASE: u64 = 32 * 1024;
/// Rates are not taken over less.
const SHORTEST: Duration = Duration::from_millis(1);

/// The window of one path.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    /// Bytes per second.
    best: u64,
    acknowledged: u64,
    since: Instant,
    reduced: Instant,
}

impl Window {
    pub(super) const fn new(now: Instant) -> Self {
        Self { size: FIRST, best: 0, acknowledged: 0, since: now, reduced: Instant::ZERO }
    }

    /// Bytes that may be in the air.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Something is in the air after nothing was.
    pub(super) const fn restart(&mut self, now: Instant) {
        self.acknowledged = 0;
        self.since = now;
    }

    /// So many bytes were acknowledged.
    pub(super) fn acknowledged(&mut self, now: Instant, bytes: usize, rtt: Duration) {
        self.acknowledged += bytes as u64;
        let time = now.since(self.since);
        if time < rtt.max(SHORTEST) {
            return;
        }
        let rate = self.acknowledged.saturating_mul(1_000_000) / (time.as_micros() as u64).max(1);
        self.best = rate.max(self.best - self.best / 200);
        self.restart(now);
        self.resize(rtt);
    }

    /// Something was lost.
    pub(super) fn lost(&mut self, now: Instant, rtt: Duration) {
        if now.since(self.reduced) < rtt {
            return;
        }
        self.reduced = now;
        self.best = self.best / 10 * 7;
        self.resize(rtt);
    }

    fn resize(&mut self, rtt: Duration) {
        let product = self.best.saturating_mul(rtt.as_micros() as u64) / 1_000_000;
        self.size = (product.saturating_mul(3) / 2 + BASE).clamp(LEAST, MOST) as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    /// Round trips over a link of so many bytes per round trip.
    fn after(round_trips: u32, most: usize) -> Window {
        let mut window = Window::new(Instant::ZERO);
        for n in 1..=round_trips {
            let delivered = window.size().min(most);
            window.acknowledged(Instant::ZERO + RTT * n, delivered, RTT);
        }
        window
    }

    #[test]
    fn it_grows_while_it_limits_and_stops_with_the_rate() {
        assert_eq!(after(20, usize::MAX).size(), MOST as usize);
        let stopped = after(40, 200_000).size();
        assert!((300_000..340_000).contains(&stopped), "{stopped}");
        assert_eq!(after(5, 1000).size(), LEAST as usize);
    }

    #[test]
    fn it_shrinks_once_per_round_trip_when_something_is_lost() {
        let mut window = after(40, 200_000);
        let before = window.size();
        let now = Instant::ZERO + RTT * 41;
        window.lost(now, RTT);
        let once = window.size();
        assert!(once < before * 8 / 10, "{before} to {once}");
        window.lost(now + RTT / 2, RTT);
        assert_eq!(window.size(), once);
        window.lost(now + RTT, RTT);
        assert!(window.size() < once);
    }
}
