//! When an acknowledgement is due (RFC 9260, section 6.2).
//!
//! It is due after so many packets with data, or so long after the first; at once when a gap opens or changes, when data
//! comes twice or can't be taken, and when the sender asks (RFC 7053). Due is not written: packets that are handed over
//! in a batch get one acknowledgement.
//!
//! *The window* is told with each. When the peer knows of less than a quarter, and taking messages has opened a quarter
//! more, it is told unasked; so it is when less than two packets were known and now there are two more, for the rest may
//! be held for long. Smaller openings wait (silly windows, RFC 1122, section 4.2.3.3).

use std::time::Duration;

use super::super::config::Config;
use crate::machine::Deadline;
use crate::machine::time::Instant;
use crate::wire::sctp::Tsn;

/// Duplicates that one acknowledgement tells; more are forgotten.
const MOST_DUPLICATES: usize = 16;

#[derive(Debug)]
pub(super) struct Acks {
    every: u32,
    delay: Duration,
    quarter: u32,
    packet: u32,
    /// Packets with data since the last acknowledgement.
    packets: u32,
    has_data: bool,
    is_urgent: bool,
    is_due: bool,
    at: Option<Instant>,
    /// What the peer knows of the window: what was told, less what has come since.
    known: u32,
    duplicates: [Tsn; MOST_DUPLICATES],
    repeated: usize,
}

impl Acks {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            every: config.ack_every.max(1),
            delay: config.ack_delay,
            quarter: config.receive_window / 4,
            packet: u32::try_from(config.packet).unwrap_or(u32::MAX / 2),
            packets: 0,
            has_data: false,
            is_urgent: false,
            is_due: false,
            at: None,
            known: config.receive_window,
            duplicates: [Tsn(0); MOST_DUPLICATES],
            repeated: 0,
        }
    }

    /// Data was taken in.
    #[inline]
    pub(super) const fn on_data(&mut self, bytes: u32, is_urgent: bool) {
        self.has_data = true;
        self.is_urgent |= is_urgent;
        self.known = self.known.saturating_sub(bytes);
    }

    /// Something came that must be answered at once, although no data was taken in.
    pub(super) const fn on_trouble(&mut self) {
        self.has_data = true;
        self.is_urgent = true;
    }

    pub(super) fn on_duplicate(&mut self, tsn: Tsn) {
        self.on_trouble();
        if let Some(place) = self.duplicates.get_mut(self.repeated) {
            *place = tsn;
            self.repeated += 1;
        }
    }

    #[inline]
    pub(super) fn packet_ends(&mut self, now: Instant) {
        if !std::mem::take(&mut self.has_data) {
            return;
        }
        self.packets += 1;
        if std::mem::take(&mut self.is_urgent) || self.packets >= self.every {
            self.is_due = true;
        } else if self.at.is_none() {
            self.at = Some(now + self.delay);
        }
    }

    /// Messages were taken; the window is that now.
    #[inline]
    pub(super) const fn on_window(&mut self, window: u32) {
        let opened = window.saturating_sub(self.known);
        let is_wide = self.known < self.quarter && opened >= self.quarter;
        let is_closed = self.known < 2 * self.packet && opened >= 2 * self.packet;
        self.is_due |= is_wide || is_closed;
    }

    #[inline]
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_due || self.at.is_some_and(|at| at <= now)
    }

    #[inline]
    pub(super) const fn is_pending(&self) -> bool {
        self.is_due || self.packets > 0
    }

    pub(super) fn duplicates(&self) -> impl Iterator<Item = Tsn> + '_ {
        self.duplicates[..self.repeated].iter().copied()
    }

    /// An acknowledgement was written, which tells that window.
    pub(super) const fn written(&mut self, window: u32) {
        self.known = window;
        self.packets = 0;
        self.is_due = false;
        self.at = None;
        self.repeated = 0;
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.at.map(|at| Deadline::new(at, "an acknowledgement is due"))
    }
}
