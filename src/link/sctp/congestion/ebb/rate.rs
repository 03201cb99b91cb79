//! What the path delivers: rounds, the best rate of ten of them, and the flow's rate just now.

use super::super::Ack;

/// Growth of the best rate, in three rounds, below which Startup has filled the pipe.
const GROWTH: f64 = 1.25;
/// Rounds without that growth.
const FULL: u32 = 3;

/// Delivery rates in bytes per second, 0: unknown.
#[derive(Debug)]
pub(super) struct Rate {
    /// The best of each of the last rounds.
    rounds: [f64; 10],
    at: usize,
    best: f64,
    /// The greatest of this round and of the one before.
    recent: [f64; 2],
    /// Bytes delivered at the beginning of the round.
    began: u64,
    is_limited: bool,
    best_before: f64,
    flat_rounds: u32,
}

impl Rate {
    pub(super) const fn new() -> Self {
        let (rounds, recent) = ([0.0; 10], [0.0; 2]);
        Self { rounds, at: 0, best: 0.0, recent, began: 0, is_limited: false, best_before: 0.0, flat_rounds: 0 }
    }

    /// Takes an acknowledgement in; while draining the recent rate stands. Says whether a round has ended.
    pub(super) fn on_ack(&mut self, ack: &Ack, is_draining: bool) -> bool {
        let is_round = ack.prior >= self.began;
        if is_round {
            self.began = ack.delivered;
            self.end_round(is_draining);
        }
        self.is_limited |= ack.is_app_limited;
        if let Some(rate) = ack.rate.filter(|rate| rate.is_finite() && *rate > 0.0) {
            self.sample(rate, ack.is_app_limited, is_draining);
        }
        is_round
    }

    fn sample(&mut self, rate: f64, is_app_limited: bool, is_draining: bool) {
        if !is_app_limited || rate > self.best() {
            self.rounds[self.at] = self.rounds[self.at].max(rate);
            self.best = self.best.max(rate);
        }
        if !is_app_limited && !is_draining {
            self.recent[0] = self.recent[0].max(rate);
        }
    }

    /// A round without a sample that counts leaves all as it is.
    fn end_round(&mut self, is_draining: bool) {
        if self.best() >= GROWTH * self.best_before {
            self.best_before = self.best();
            self.flat_rounds = 0;
        } else if !self.is_limited {
            self.flat_rounds = self.flat_rounds.saturating_add(1);
        }
        self.is_limited = false;
        if self.rounds[self.at] > 0.0 {
            self.at = (self.at + 1) % self.rounds.len();
            self.rounds[self.at] = 0.0;
            self.best = self.rounds.iter().copied().fold(0.0, f64::max);
        }
        if self.recent[0] > 0.0 && !is_draining {
            self.recent = [0.0, self.recent[0]];
        }
    }

    /// The best rate of the last rounds.
    pub(super) const fn best(&self) -> f64 {
        self.best
    }

    /// The greatest rate of this round and the last.
    pub(super) const fn recent(&self) -> f64 {
        self.recent[0].max(self.recent[1])
    }

    /// Whether the best rate has stopped growing.
    pub(super) const fn is_full(&self) -> bool {
        self.flat_rounds >= FULL
    }
}
