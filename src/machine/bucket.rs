//! A token bucket: so many bytes a second, and as many at once after a second of silence.

use super::time::Instant;

/// What may still pass, in bytes. It holds no timer: what has been gained is counted when something is taken.
#[derive(Debug)]
pub struct Bucket {
    rate: u64,
    level: u64,
    at: Instant,
}

impl Bucket {
    /// A full bucket that gains `rate` bytes a second.
    pub const fn new(now: Instant, rate: u64) -> Self {
        Self { rate, level: rate, at: now }
    }

    /// Takes so many bytes out; false: there are not enough, and none is taken.
    pub fn take(&mut self, now: Instant, bytes: u64) -> bool {
        let gained = (now.since(self.at).as_nanos() * u128::from(self.rate) / 1_000_000_000) as u64;
        // Time that has brought no whole byte is not thrown away.
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(self.rate);
            self.at = now;
        }
        let enough = bytes <= self.level;
        if enough {
            self.level -= bytes;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_lets_its_rate_through_and_no_more() {
        let mut bucket = Bucket::new(Instant::ZERO, 1_000);
        let passed = (0..10_000u64).filter(|ms| bucket.take(Instant::ZERO + Duration::from_millis(*ms), 100)).count();
        assert_eq!(passed, 10 + 99);
    }
}
