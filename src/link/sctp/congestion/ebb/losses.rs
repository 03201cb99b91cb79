//! Which losses are congestion.
//!
//! At low queue all losses are chance, and their share is learned, fading by a hundredth per round. A round is congested
//! if the losses at high queue are more than what that share explains by three standard deviations; or if there are so
//! many, at high queue or of a tenth of the window, that neither it nor a few hundredths more explain them.

/// Packets of no loss that a new association is believed to have seen.
const PRIOR: f64 = 50.0;
/// What remains of the memory after a round.
const MEMORY: f64 = 0.99;

/// Counts of packets.
#[derive(Debug)]
pub(super) struct Losses {
    acked: f64,
    lost: f64,
    lost_high: f64,
    learned: f64,
    learned_lost: f64,
}

impl Losses {
    pub(super) const fn new() -> Self {
        Self { acked: 0.0, lost: 0.0, lost_high: 0.0, learned: 0.0, learned_lost: 0.0 }
    }

    pub(super) const fn on_acked(&mut self, packets: f64, is_high: bool) {
        self.acked += packets;
        if !is_high {
            self.learned += packets;
        }
    }

    pub(super) const fn count(&mut self, is_high: bool) {
        self.lost += 1.0;
        if is_high {
            self.lost_high += 1.0;
        } else {
            self.learned_lost += 1.0;
        }
    }

    /// Whether the losses of this round are congestion, with a window of so many packets.
    pub(super) fn are_congestion(&self, is_high: bool, window: f64) -> bool {
        let packets = self.acked.max(window);
        let expected = self.chance() * packets;
        let deviation = expected.sqrt();
        let is_surprising = is_high && self.lost_high >= 1.0 + expected + 3.0 * deviation;
        let is_gross = self.lost > 4.0
            && self.lost >= 2.0 + expected + 4.0 * deviation + 0.03 * packets
            && (is_high || self.lost > 0.1 * packets);
        is_surprising || is_gross
    }

    /// The share of packets that chance loses, as far as it is known.
    pub(super) fn chance(&self) -> f64 {
        self.learned_lost / (self.learned + PRIOR)
    }

    pub(super) fn end_round(&mut self) {
        (self.acked, self.lost, self.lost_high) = (0.0, 0.0, 0.0);
        self.learned *= MEMORY;
        self.learned_lost *= MEMORY;
    }

    /// A loss was none; it may have been learned from.
    pub(super) const fn take_back(&mut self) {
        self.learned_lost = (self.learned_lost - 1.0).max(0.0);
    }
}
