//! When packets may leave.
//!
//! Each packet pays for itself with time: its bytes by the rate. Packets leave in bursts, back to back, until a quantum is
//! spent; then nothing leaves until it is paid for. A burst is about a millisecond of the rate, at least two packets and
//! at most what one segmented send takes, so that a fast peer wakes a thousand times a second at most and a slow one does
//! not flood a small queue.
//!
//! Idleness earns nothing but the lateness of one burst: a driver that wakes late catches up, and a peer that was silent
//! sends one burst and the next at once. What was sent without a rate leaves no debt.

use std::time::Duration;

use crate::machine::time::Instant;

/// The time that a burst is to last.
const BURST: f64 = 0.001;
/// Bytes of the least burst: two packets on most paths.
const LEAST: f64 = 2_400.0;
/// Bytes of the largest burst: with a packet more, it still is one segmented send.
const MOST: f64 = 60.0 * 1024.0;
/// Below this rate, in bytes per second, a packet would wait for minutes.
const LEAST_RATE: f64 = 100.0;

/// Spreads packets over time.
#[derive(Debug)]
pub(in super::super) struct Pacer {
    /// When all that was sent is paid for.
    paid: Instant,
    /// Nothing leaves before; not later than `paid` at the time it was set.
    rest: Instant,
}

impl Pacer {
    /// One that lets a burst pass at once.
    pub(in super::super) const fn new() -> Self {
        Self { paid: Instant::ZERO, rest: Instant::ZERO }
    }

    /// Counts a datagram that leaves now, at this rate in bytes per second; none: it costs nothing.
    pub(in super::super) fn on_sent(&mut self, now: Instant, bytes: usize, rate: Option<f64>) {
        let Some(rate) = rate.map(|rate| rate.max(LEAST_RATE)) else {
            *self = Self { paid: now, rest: now };
            return;
        };
        let burst = Duration::from_secs_f64(BURST.max(LEAST / rate).min(MOST / rate));
        let earliest = Instant::from_nanos(now.as_nanos().saturating_sub(burst.as_nanos() as u64));
        self.paid = self.paid.max(earliest) + Duration::from_secs_f64(bytes as f64 / rate);
        if self.paid.since(now) >= burst {
            self.rest = self.paid;
        }
    }

    /// When the next datagram may leave; none: now.
    pub(in super::super) fn next(&self, now: Instant) -> Option<Instant> {
        (self.rest > now).then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as much as it may for a second: bytes, and how often it had to wait.
    fn send_for_a_second(rate: f64, late: Duration) -> (usize, usize) {
        let mut pacer = Pacer::new();
        let (mut now, mut bytes, mut waits) = (Instant::ZERO, 0, 0);
        while now < Instant::ZERO + Duration::from_secs(1) {
            match pacer.next(now) {
                Some(at) => {
                    now = at + late;
                    waits += 1;
                }
                None => {
                    pacer.on_sent(now, 1_200, Some(rate));
                    bytes += 1_200;
                }
            }
        }
        (bytes, waits)
    }

    #[test]
    fn the_rate_is_kept_in_bursts_of_a_millisecond() {
        for rate in [1e5, 2.5e6, 1.25e7, 1.25e8] {
            let (bytes, waits) = send_for_a_second(rate, Duration::ZERO);
            assert!((bytes as f64 / rate - 1.0).abs() < 0.03, "{bytes} bytes at {rate}");
            assert!(waits as f64 <= (rate / MOST).max(1_010.0), "{waits} waits at {rate}");
        }
    }

    #[test]
    fn a_driver_that_wakes_late_by_a_burst_keeps_the_rate() {
        let (bytes, _) = send_for_a_second(1.25e7, Duration::from_micros(900));
        assert!((bytes as f64 / 1.25e7 - 1.0).abs() < 0.03, "{bytes}");
    }

    #[test]
    fn silence_earns_no_more_than_one_burst() {
        let mut pacer = Pacer::new();
        pacer.on_sent(Instant::ZERO, 1_200, Some(1.25e6));
        let now = Instant::ZERO + Duration::from_secs(9);
        let mut bytes = 0;
        while pacer.next(now).is_none() {
            pacer.on_sent(now, 1_200, Some(1.25e6));
            bytes += 1_200;
        }
        assert!(bytes <= 2 * 2_400 + 1_200, "{bytes}");
    }

    #[test]
    fn without_a_rate_nothing_waits_and_nothing_is_owed() {
        let mut pacer = Pacer::new();
        let now = Instant::ZERO + Duration::from_secs(1);
        (0..1_000).for_each(|_| pacer.on_sent(now, 1_200, None));
        assert_eq!(pacer.next(now), None);
        pacer.on_sent(now, 1_200, Some(f64::NAN));
        pacer.on_sent(now, usize::MAX, Some(1e12));
        assert!(pacer.next(now).is_some());
    }
}
