//! What an association counts.

use std::time::Duration;

use super::inbound::InboundStatistics;
use super::outbound::OutboundStatistics;

/// Counters and measures, since the beginning.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// Packets written.
    pub packets_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Packets taken in.
    pub packets_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// What was dropped or refused, by rule.
    pub dropped: Dropped,
    /// The smoothed round-trip time; none before the first measurement.
    pub rtt: Option<Duration>,
    /// Bytes of an SCTP packet now.
    pub packet: usize,
    /// Channels open, opening or closing.
    pub channels: usize,
    /// The sending half.
    pub outbound: OutboundStatistics,
    /// The receiving half.
    pub inbound: InboundStatistics,
}

/// What was dropped, answered by an error, or refused, without harm to the association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Packets, or what followed a good chunk in one, by a rule of [`Malformed`](crate::wire::sctp::Malformed).
    pub malformed: u64,
    /// Packets with a checksum that is wrong, or missing without agreement.
    pub checksum: u64,
    /// Packets to or from another port.
    pub port: u64,
    /// Packets with another verification tag (RFC 9260, section 8.5).
    pub tag: u64,
    /// Chunks that the state has no use for (RFC 9260, sections 5.2 and 9).
    pub state: u64,
    /// INIT chunks in mid-session: a restart is refused, a repetition is late (RFC 9260, section 5.2.2).
    pub restart: u64,
    /// Cookies that are not ours, or altered (RFC 9260, section 5.1.5).
    pub forged_cookie: u64,
    /// Cookies that came too late (RFC 9260, section 5.2.6).
    pub stale_cookie: u64,
    /// Chunks of unknown types (RFC 9260, section 3.2).
    pub unknown_chunk: u64,
    /// HEARTBEAT chunks, errors and other answers for which there is no room.
    pub answers: u64,
    /// OPEN messages refused: too many channels, a label or protocol too long, or one that can't be read (RFC 8832,
    /// section 6).
    pub refused_channel: u64,
    /// OPEN messages for a channel that is open (RFC 8832, section 6).
    pub second_open: u64,
    /// Messages of the establishment protocol that can't be read or answer nothing (RFC 8832, section 5).
    pub establishment: u64,
    /// Messages on streams without a channel.
    pub no_channel: u64,
    /// Messages of an unknown kind (RFC 8831, section 8).
    pub kind: u64,
}
