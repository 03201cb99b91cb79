//! Reno as SCTP has it (RFC 9260, section 7.2), clocked by acknowledgements: one packet more per round trip, half after a
//! loss, one packet after a timeout. The first window is RFC 6928's.

use super::episode::Episode;
use super::fullness::Fullness;
use super::{Ack, CongestionCounters, IDLE, MOST_WINDOW};
use crate::machine::time::Instant;

/// The first window, in packets (RFC 6928).
const INITIAL: f64 = 10.0;
/// The least window after a loss, in packets (RFC 9260, section 7.2.3).
const LEAST: f64 = 4.0;
/// Packets that one acknowledgement lets slow start grow by at most (RFC 3465).
const BURST: f64 = 2.0;

#[derive(Debug)]
pub(in super::super) struct Reno {
    packet: f64,
    window: f64,
    threshold: f64,
    /// Window and threshold from before the latest reduction.
    before: (f64, f64),
    /// Bytes acknowledged towards the next packet of growth.
    partial: f64,
    episode: Episode,
    fullness: Fullness,
    last: Instant,
    counters: CongestionCounters,
}

impl Reno {
    pub(super) fn new(packet: f64) -> Self {
        let window = INITIAL * packet;
        Self {
            packet,
            window,
            threshold: f64::INFINITY,
            before: (window, f64::INFINITY),
            partial: 0.0,
            episode: Episode::default(),
            fullness: Fullness::new(),
            last: Instant::ZERO,
            counters: CongestionCounters::default(),
        }
    }

    pub(super) fn on_ack(&mut self, ack: &Ack) {
        self.last = self.last.max(ack.now);
        let is_full = self.fullness.on_ack(ack, self.window, self.packet);
        if is_full && !self.episode.covers(ack.top) {
            self.grow(ack.acked_within(self.window));
        }
    }

    fn grow(&mut self, acked: f64) {
        if self.window < self.threshold {
            self.window += acked.min(BURST * self.packet);
        } else {
            self.partial += acked;
            if self.partial >= self.window {
                self.partial -= self.window;
                self.window += self.packet;
            }
        }
        self.window = self.window.min(MOST_WINDOW);
    }

    pub(super) const fn on_lost(&mut self, _now: Instant, number: u64, next: u64) {
        self.counters.congestion_losses += 1;
        if self.episode.covers(number) {
            return self.episode.add();
        }
        self.before = (self.window, self.threshold);
        self.reduce();
        self.episode.begin(next);
    }

    const fn reduce(&mut self) {
        self.counters.reductions += 1;
        self.threshold = (self.window / 2.0).max(LEAST * self.packet);
        self.window = self.threshold;
        self.partial = 0.0;
    }

    pub(super) const fn on_timeout(&mut self, _now: Instant, next: u64) {
        self.counters.timeouts += 1;
        if self.window > self.packet {
            self.reduce();
        }
        self.window = self.packet;
        self.episode.begin_certain(next);
    }

    pub(super) fn on_spurious(&mut self, number: u64) {
        self.counters.spurious += 1;
        if self.episode.take_back(number) && self.before.0 > self.window {
            (self.window, self.threshold) = self.before;
        }
    }

    pub(super) fn on_idle(&mut self, now: Instant) {
        if now.since(self.last) < IDLE {
            return;
        }
        self.counters.idle_restarts += 1;
        self.last = now;
        self.threshold = self.threshold.max(0.75 * self.window);
        self.window = self.window.min(INITIAL * self.packet);
    }

    pub(super) fn on_path(&mut self, now: Instant) {
        *self = Self { episode: self.episode.clone(), last: now, counters: self.counters, ..Self::new(self.packet) };
    }

    pub(super) const fn on_packet_size(&mut self, packet: f64) {
        self.packet = packet;
        self.window = self.window.max(LEAST * packet);
    }

    pub(super) const fn window(&self) -> f64 {
        self.window
    }

    pub(super) const fn counters(&self) -> CongestionCounters {
        self.counters
    }
}
