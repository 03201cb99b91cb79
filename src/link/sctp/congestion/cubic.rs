//! CUBIC (RFC 9438) with HyStart, clocked by acknowledgements.
//!
//! Every loss is congestion, at most one reduction per window. A timeout starts anew from one packet up to the reduced
//! threshold. Where all losses of a reduction prove to be late packets, the state from before it comes back
//! (RFC 9438, section 4.9).

use super::curve::{BETA, Curve};
use super::episode::Episode;
use super::fullness::Fullness;
use super::slow_start::SlowStart;
use super::{Ack, CongestionCounters, IDLE, MOST_WINDOW};
use crate::machine::time::Instant;

/// The first window, in packets (RFC 6928).
const INITIAL: f64 = 10.0;
/// The least window after a loss, in packets.
const LEAST: f64 = 2.0;

#[derive(Debug)]
pub(in super::super) struct Cubic {
    packet: f64,
    law: Law,
    /// The law from before the latest reduction.
    before: Option<Law>,
    episode: Episode,
    fullness: Fullness,
    rtt: f64,
    last: Instant,
    counters: CongestionCounters,
}

#[derive(Debug, Clone)]
struct Law {
    window: f64,
    threshold: f64,
    curve: Curve,
    slow_start: SlowStart,
}

impl Law {
    fn new(packet: f64) -> Self {
        let (curve, slow_start) = (Curve::default(), SlowStart::new());
        Self { window: INITIAL * packet, threshold: f64::INFINITY, curve, slow_start }
    }
}

impl Cubic {
    pub(super) fn new(packet: f64) -> Self {
        Self {
            packet,
            law: Law::new(packet),
            before: None,
            episode: Episode::default(),
            fullness: Fullness::new(),
            rtt: 0.1,
            last: Instant::ZERO,
            counters: CongestionCounters::default(),
        }
    }

    pub(super) fn on_ack(&mut self, ack: &Ack) {
        let pause = ack.now.since(self.last);
        self.last = self.last.max(ack.now);
        if let Some(rtt) = ack.seconds() {
            self.rtt += (rtt - self.rtt) / 8.0;
        }
        let is_full = self.fullness.on_ack(ack, self.law.window, self.packet);
        if self.episode.covers(ack.top) {
            return;
        }
        if is_full {
            self.grow(ack);
        } else {
            self.law.curve.rest(pause);
        }
    }

    fn grow(&mut self, ack: &Ack) {
        let law = &mut self.law;
        if law.window < law.threshold {
            match law.slow_start.grow(ack, law.window, self.packet) {
                Some(growth) => law.window += growth,
                None => law.threshold = law.window,
            }
        } else {
            law.window = law.curve.grow(ack.now, law.window, ack.acked_within(law.window), self.rtt, self.packet);
        }
        law.window = law.window.min(MOST_WINDOW);
    }

    pub(super) fn on_lost(&mut self, _now: Instant, number: u64, next: u64) {
        self.counters.congestion_losses += 1;
        if self.episode.covers(number) {
            return self.episode.add();
        }
        self.before = Some(self.law.clone());
        self.reduce();
        self.episode.begin(next);
    }

    fn reduce(&mut self) {
        self.counters.reductions += 1;
        self.law.curve.aim_after_loss(self.law.window);
        self.law.threshold = (self.law.window * BETA).max(LEAST * self.packet);
        self.law.window = self.law.threshold;
    }

    pub(super) fn on_timeout(&mut self, _now: Instant, next: u64) {
        self.counters.timeouts += 1;
        if self.law.window > self.packet {
            self.reduce();
        }
        self.law.curve = Curve::default();
        self.law.window = self.packet;
        self.law.slow_start = SlowStart::new();
        self.episode.begin_certain(next);
    }

    pub(super) fn on_spurious(&mut self, number: u64) {
        self.counters.spurious += 1;
        if self.episode.take_back(number)
            && let Some(before) = self.before.take()
            && before.window > self.law.window
        {
            self.law = before;
        }
    }

    pub(super) fn on_idle(&mut self, now: Instant) {
        if now.since(self.last) < IDLE {
            return;
        }
        self.counters.idle_restarts += 1;
        self.last = now;
        self.law.threshold = self.law.threshold.max(0.75 * self.law.window);
        self.law.window = self.law.window.min(INITIAL * self.packet);
        self.law.slow_start = SlowStart::new();
    }

    pub(super) fn on_path(&mut self, now: Instant) {
        *self = Self { episode: self.episode.clone(), last: now, counters: self.counters, ..Self::new(self.packet) };
    }

    pub(super) fn on_packet_size(&mut self, packet: f64) {
        self.packet = packet;
        self.law.window = self.law.window.max(LEAST * packet);
    }

    pub(super) const fn window(&self) -> f64 {
        self.law.window
    }

    pub(super) const fn counters(&self) -> CongestionCounters {
        self.counters
    }
}
