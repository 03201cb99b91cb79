//! Whether the window, and not the application, limits what is in flight: only then may it grow.
//!
//! Acknowledgements that come in one instant are taken in before anything is sent, so each of them leaves less in flight.
//! What the first of them showed holds for all.

use super::Ack;
use crate::machine::time::Instant;

/// A window counts as filled when as many packets more would fill it.
const SLACK: f64 = 4.0;

#[derive(Debug)]
pub(super) struct Fullness {
    at: Instant,
    is_full: bool,
}

impl Fullness {
    pub(super) const fn new() -> Self {
        Self { at: Instant::ZERO, is_full: false }
    }

    /// Whether the window was filled before this acknowledgement.
    pub(super) fn on_ack(&mut self, ack: &Ack, window: f64, packet: f64) -> bool {
        let is_same = ack.now == self.at && self.is_full;
        self.at = ack.now;
        self.is_full = is_same || ack.flight as f64 + ack.acked as f64 + SLACK * packet >= window;
        self.is_full
    }
}
