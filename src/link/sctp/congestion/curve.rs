//! The window law of CUBIC (RFC 9438): a curve of time that is flat where losses began last time, and never below Reno.

use std::time::Duration;

use crate::machine::time::Instant;

/// C of RFC 9438, section 5.1: packets per cubic second.
const SCALE: f64 = 0.4;
/// What is left of a window after a loss (section 4.6).
pub(super) const BETA: f64 = 0.7;
/// The growth per round trip at which a flow that keeps [`BETA`] equals Reno (section 4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// One stage of congestion avoidance. Sizes are bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve {
    /// Where the curve is flat.
    plateau: f64,
    /// The window before the reduction, up to which the estimate of Reno grows more slowly.
    prior: f64,
    /// The window that Reno would have.
    estimate: f64,
    /// Seconds from the beginning to the plateau.
    rise: f64,
    began: Option<Instant>,
}

impl Curve {
    /// Aims at a plateau; the clock starts at the next growth.
    pub(super) const fn aim(&mut self, plateau: f64, prior: f64) {
        *self = Self { plateau, prior, estimate: 0.0, rise: 0.0, began: None };
    }

    /// Aims after a loss at this window; a flow that lost below its last plateau makes room for others (section 4.7).
    pub(super) fn aim_after_loss(&mut self, window: f64) {
        let plateau = if window < self.plateau { window * (1.0 + BETA) / 2.0 } else { window };
        self.aim(plateau, window);
    }

    /// Starts the clock, with this window.
    pub(super) fn begin(&mut self, at: Instant, window: f64, packet: f64) {
        self.plateau = self.plateau.max(window);
        self.rise = ((self.plateau - window) / packet / SCALE).cbrt();
        self.estimate = window;
        self.began = Some(at);
    }

    /// Stops the clock until the next growth.
    pub(super) const fn stop(&mut self) {
        self.began = None;
    }

    /// When the clock started.
    pub(super) const fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Lets the clock stand for a while in which there was too little to send (section 5.8).
    pub(super) fn rest(&mut self, pause: Duration) {
        self.began = self.began.map(|began| began + pause);
    }

    /// The window after `acked` bytes more, with this round-trip time in seconds.
    pub(super) fn grow(&mut self, now: Instant, window: f64, acked: f64, rtt: f64, packet: f64) -> f64 {
        if self.began.is_none() {
            self.begin(now, window, packet);
        }
        let alpha = if self.estimate < self.prior { ALPHA } else { 1.0 };
        self.estimate += alpha * acked / window * packet;
        let seconds = self.began.map_or(0.0, |began| now.since(began).as_secs_f64());
        if self.at(seconds, packet) < self.estimate {
            return window.max(self.estimate);
        }
        let goal = self.at(seconds + rtt, packet).max(window).min(1.5 * window);
        window + (goal - window) / window * acked
    }

    fn at(&self, seconds: f64, packet: f64) -> f64 {
        let from_plateau = seconds - self.rise;
        self.plateau + SCALE * packet * from_plateau * from_plateau * from_plateau
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: f64 = 1_000.0;

    /// Windows at the end of each second, of a flow that has lost at `from`, with this round-trip time.
    fn seconds_after_loss(from: f64, rtt: f64, seconds: usize) -> Vec<f64> {
        let mut curve = Curve::default();
        curve.aim_after_loss(from);
        let (mut window, mut now) = (from * BETA, Instant::ZERO);
        let mut second = |_| {
            for _ in 0..(1.0 / rtt) as usize {
                window = curve.grow(now, window, window, rtt, PACKET);
                now = now + Duration::from_secs_f64(rtt);
            }
            window
        };
        (0..seconds).map(&mut second).collect()
    }

    #[test]
    fn the_window_is_back_at_its_plateau_when_the_formula_says_so() {
        let rise = (1_000.0 * (1.0 - BETA) / SCALE).cbrt();
        let windows = seconds_after_loss(1_000.0 * PACKET, 0.1, 12);
        assert!((9.0..9.2).contains(&rise));
        assert!((windows[8] / PACKET - 1_000.0).abs() < 10.0, "{}", windows[8]);
        assert!(windows.is_sorted());
    }

    #[test]
    fn a_short_path_grows_as_reno_does() {
        let windows = seconds_after_loss(20.0 * PACKET, 0.01, 2);
        let reno = 20.0 * BETA + 100.0 * ALPHA;
        assert!(windows[0] / PACKET >= reno, "{windows:?} below {reno}");
    }

    #[test]
    fn a_second_loss_below_the_plateau_makes_room() {
        let mut curve = Curve::default();
        curve.aim_after_loss(100.0 * PACKET);
        curve.aim_after_loss(80.0 * PACKET);
        assert_eq!(curve.plateau, 68.0 * PACKET);
        assert_eq!(curve.prior, 80.0 * PACKET);
    }
}
