//! How the window grows after Startup.
//!
//! *The climb*, while alone: half a packet per round trip and a cubic term, by a function of time that knows nothing of the
//! flow's own rate. Flows that begin together gain the same, whatever they had, so with each drain, which takes from each
//! in proportion, they come closer. Rounds that end with an empty queue although the window is filled tell that the path
//! has become faster; then the window grows by an eighth each round.
//!
//! *The curve*, beside others and for a while after losses: RFC 9438.

use std::time::Duration;

use super::super::curve::Curve;
use crate::machine::time::Instant;

/// Packets per round trip.
const LINEAR: f64 = 0.5;
/// Packets per cubic second.
const CUBIC: f64 = 2.0;
/// How long after its beginning an empty queue makes the climb steeper.
const CLIMB_EMPTY: Duration = Duration::from_secs(3);
/// How long after its beginning an empty queue turns the curve into a climb.
const CURVE_EMPTY: Duration = Duration::from_secs(5);
/// A climb that follows a curve begins as if it had lasted so long.
const HEAD_START: Duration = Duration::from_secs(2);

/// The law of growth in force.
#[derive(Debug)]
pub(super) struct Growth {
    /// Whether it is the climb.
    is_quick: bool,
    base: f64,
    /// When the climb began.
    began: Option<Instant>,
    curve: Curve,
}

impl Growth {
    pub(super) fn new() -> Self {
        Self { is_quick: false, base: 0.0, began: None, curve: Curve::default() }
    }

    /// Whether it is the climb, and not the curve.
    pub(super) const fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// Begins anew from a window; as a climb, or as a curve with this plateau.
    pub(super) const fn begin(&mut self, window: f64, plateau: f64, is_quick: bool) {
        self.is_quick = is_quick;
        self.base = window;
        self.began = None;
        self.curve.aim(plateau, plateau);
    }

    /// Begins anew from a window, by the same law.
    pub(super) const fn restart(&mut self, window: f64) {
        self.base = window;
        self.began = None;
        self.curve.stop();
    }

    /// Goes on as a curve whose clock began at the loss.
    pub(super) fn compete_after_loss(&mut self, at: Instant, saved: f64, window: f64, packet: f64) {
        self.is_quick = false;
        self.curve.aim_after_loss(saved);
        self.curve.begin(at, window, packet);
    }

    /// Turns a climb into a curve; a curve goes on as it was.
    pub(super) const fn slow_down(&mut self, window: f64) {
        if self.is_quick {
            self.begin(window, window, false);
        }
    }

    /// A round has ended with an empty queue although the window was filled.
    pub(super) fn on_empty_round(&mut self, now: Instant, window: f64, may_climb: bool) {
        let is_older = |began: Option<Instant>, age| began.is_some_and(|began: Instant| now.since(began) > age);
        if self.is_quick && is_older(self.began, CLIMB_EMPTY) {
            self.base += window / 8.0;
        } else if !self.is_quick && may_climb && is_older(self.curve.began(), CURVE_EMPTY) {
            let began = now.as_nanos().saturating_sub(HEAD_START.as_nanos() as u64);
            self.is_quick = true;
            self.base = window;
            self.began = Some(Instant::from_nanos(began));
        }
    }

    /// Lets the clock stand for a while in which there was too little to send.
    pub(super) fn rest(&mut self, pause: Duration) {
        self.began = self.began.map(|began| began + pause);
        self.curve.rest(pause);
    }

    /// The window after `acked` bytes more, with this round-trip time in seconds.
    pub(super) fn grow(&mut self, now: Instant, window: f64, acked: f64, rtt: f64, packet: f64) -> f64 {
        if !self.is_quick {
            return self.curve.grow(now, window, acked, rtt, packet);
        }
        let seconds = now.since(*self.began.get_or_insert(now)).as_secs_f64();
        let gain = LINEAR * seconds / rtt + CUBIC * seconds * seconds * seconds;
        let goal = (self.base + packet * gain).max(window).min(1.5 * window);
        window + (goal - window) / window * acked
    }
}
