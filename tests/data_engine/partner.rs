//! One side of a conversation, whoever has written it.

use std::time::Duration;

use switchboard::machine::time::Instant;

use crate::lane::LARGEST;

pub(crate) mod dcsctp;
pub(crate) mod str0m;

/// One side. Datagrams go in and out, and so do messages; it owns no clock.
pub(crate) trait Partner {
    /// Asks for an association; who does not waits for the other side to do so.
    fn connect(&mut self, now: Instant);

    fn receive(&mut self, now: Instant, datagram: &mut [u8]);

    fn poll_datagram(&mut self, now: Instant) -> Option<Vec<u8>>;

    fn deadline(&self) -> Option<Instant>;

    fn on_timeout(&mut self, now: Instant);

    /// Whether it can open channels whose messages live for a time.
    fn limits_by_time(&self) -> bool {
        true
    }

    /// Bytes of the largest message that it can send.
    fn largest(&self) -> usize {
        LARGEST
    }

    /// Bytes of the smallest message that it can send.
    fn smallest(&self) -> usize {
        0
    }

    /// Opens a channel, once it is connected; the name that this side has for it.
    fn open(&mut self, now: Instant, spec: &Spec) -> u16;

    fn close(&mut self, now: Instant, channel: u16);

    /// Writes a message, whole or not at all.
    fn write(&mut self, now: Instant, channel: u16, is_binary: bool, message: &[u8]) -> bool;

    /// Ends it once all is delivered.
    fn shutdown(&mut self, now: Instant);

    /// Ends it at once.
    fn abort(&mut self, now: Instant);

    fn poll(&mut self, now: Instant) -> Option<Happened>;

    /// What it counts, in words.
    fn counters(&self) -> String;
}

/// What a channel promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    None,
    Retransmits(u16),
    Lifetime(Duration),
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) label: String,
    pub(crate) is_ordered: bool,
    pub(crate) limit: Limit,
}

/// What one side tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    Connected,
    /// A channel is open, by the other side's wish or by ours; what it promises, as far as this side can tell.
    Open {
        channel: u16,
        label: String,
        spec: Option<Spec>,
    },
    Message {
        channel: u16,
        is_binary: bool,
        bytes: Vec<u8>,
    },
    Closed(u16),
    Over(String),
}
