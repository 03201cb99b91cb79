//! The path: a queue of bytes before a line, a delay behind it, loss.

use std::time::Duration;

use super::WIRE;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// What the path is like.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Link {
    /// Bytes per second.
    pub(in super::super) rate: f64,
    /// One way.
    pub(in super::super) delay: Duration,
    /// Bytes.
    pub(in super::super) queue: f64,
    /// The share of packets lost at random, each way.
    pub(in super::super) loss: f64,
    /// Acknowledgements leave only at multiples of this; zero: at once.
    pub(in super::super) bursts: Duration,
}

impl Link {
    /// So many Mbit/s and milliseconds of round trip, with a queue of so many bandwidth-delay products.
    pub(in super::super) fn new(megabits: f64, round_trip: f64, products: f64) -> Self {
        let rate = megabits * 125_000.0;
        Self {
            rate,
            delay: Duration::from_secs_f64(round_trip / 2_000.0),
            queue: rate * round_trip / 1_000.0 * products,
            loss: 0.0,
            bursts: Duration::ZERO,
        }
    }

    /// The same with random loss, in percent.
    pub(in super::super) fn lossy(self, percent: f64) -> Self {
        Self { loss: percent / 100.0, ..self }
    }
}

#[derive(Debug)]
pub(super) struct Bottleneck {
    pub(super) link: Link,
    /// When the line has sent all that it has taken.
    free: Instant,
}

impl Bottleneck {
    pub(super) const fn new(link: Link) -> Self {
        Self { link, free: Instant::ZERO }
    }

    /// Bytes in the queue.
    pub(super) fn queued(&self, now: Instant) -> f64 {
        self.free.since(now).as_secs_f64() * self.link.rate
    }

    /// When a packet that arrives now has passed; none: it is lost.
    pub(super) fn pass(&mut self, now: Instant, rng: &mut Rng) -> Option<Instant> {
        let queued = self.queued(now);
        if queued + WIRE > self.link.queue.max(WIRE) {
            return None;
        }
        self.free = self.free.max(now) + Duration::from_secs_f64(WIRE / self.link.rate);
        let at = self.free + self.link.delay;
        (!self.is_lost(rng)).then_some(at)
    }

    /// When an acknowledgement arrives that leaves now; none: it is lost.
    pub(super) fn pass_back(&self, now: Instant, rng: &mut Rng) -> Option<Instant> {
        let at = now + self.link.delay + Duration::from_nanos(rng.below(100_000));
        let grid = self.link.bursts.as_nanos() as u64;
        let at = if grid == 0 { at } else { Instant::from_nanos(at.as_nanos().div_ceil(grid) * grid) };
        (!self.is_lost(rng)).then_some(at)
    }

    fn is_lost(&self, rng: &mut Rng) -> bool {
        self.link.loss > 0.0 && rng.chance(self.link.loss)
    }
}
