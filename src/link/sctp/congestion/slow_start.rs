//! HyStart++ (RFC 9406): when slow start has gone far enough, told by round-trip times that grow, before there are losses.
//!
//! A round whose least round-trip time is clearly above the last one's begins a cautious phase, in which the window grows
//! a quarter as fast. If the times fall again, it was a jitter and slow start goes on; after five rounds it ends.

use super::Ack;

/// Samples of a round before it is judged.
const SAMPLES: u32 = 8;
/// Bounds of what counts as a clear growth, in seconds.
const CLEAR: (f64, f64) = (0.004, 0.016);
/// What cautious growth is divided by.
const CAUTION: f64 = 4.0;
/// Cautious rounds before slow start ends.
const CAUTIOUS_ROUNDS: u32 = 5;
/// Packets that one acknowledgement lets the window grow by at most, as nothing is paced (RFC 9406, section 4.2).
const BURST: f64 = 8.0;

/// Slow start's end in sight.
#[derive(Debug, Clone)]
pub(super) struct SlowStart {
    ends: u64,
    last: f64,
    least: f64,
    samples: u32,
    caution: Option<Caution>,
}

#[derive(Debug, Clone)]
struct Caution {
    baseline: f64,
    rounds: u32,
}

impl SlowStart {
    pub(super) const fn new() -> Self {
        Self { ends: 0, last: f64::INFINITY, least: f64::INFINITY, samples: 0, caution: None }
    }

    /// Bytes by which the window grows; none: slow start is over.
    pub(super) fn grow(&mut self, ack: &Ack, acked: f64, packet: f64) -> Option<f64> {
        if let Some(rtt) = ack.seconds() {
            self.least = self.least.min(rtt);
            self.samples += 1;
        }
        self.judge();
        if ack.top >= self.ends && self.is_over_after_round(ack.next) {
            return None;
        }
        let growth = acked.min(BURST * packet);
        Some(if self.caution.is_some() { growth / CAUTION } else { growth })
    }

    fn judge(&mut self) {
        if self.samples < SAMPLES {
            return;
        }
        match &self.caution {
            Some(caution) if self.least < caution.baseline => self.caution = None,
            None if self.least >= self.last + (self.last / 8.0).max(CLEAR.0).min(CLEAR.1) => {
                self.caution = Some(Caution { baseline: self.least, rounds: 0 });
            }
            _ => {}
        }
    }

    fn is_over_after_round(&mut self, next: u64) -> bool {
        self.ends = next;
        self.last = std::mem::replace(&mut self.least, f64::INFINITY);
        self.samples = 0;
        let Some(caution) = &mut self.caution else { return false };
        caution.rounds += 1;
        caution.rounds >= CAUTIOUS_ROUNDS
    }
}
