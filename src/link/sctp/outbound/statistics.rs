//! What the sending half counts.

use std::time::Duration;

use super::super::congestion::CongestionCounters;

/// What was sent and what became of it, since the association began; and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OutboundStatistics {
    /// Messages accepted.
    pub messages: u64,
    /// Messages given up, sent in part or not at all.
    pub abandoned: u64,
    /// Packets with data.
    pub packets: u64,
    /// Chunks sent, each time counted.
    pub chunks: u64,
    /// Bytes of payload sent, each time counted.
    pub bytes: u64,
    /// Chunks sent again.
    pub retransmitted: u64,
    /// Packets declared lost.
    pub lost: u64,
    /// Packets that had been declared lost and came all the same.
    pub spurious: u64,
    /// Timeouts of what was under way.
    pub timeouts: u64,
    /// Packets that asked about a closed window.
    pub window_probes: u64,
    /// FORWARD-TSN or I-FORWARD-TSN sent.
    pub forwards: u64,
    /// Acknowledgements older than one that came before.
    pub old_sacks: u64,
    /// Gap blocks out of order or overlapping, which were passed over.
    pub strange_blocks: u64,
    /// Chunks acknowledged by a gap block that a later SACK did not repeat.
    pub reneged: u64,
    /// TSNs that the peer received twice, as it says.
    pub duplicates: u64,
    /// Bytes under way now, heads of chunks included.
    pub flight: usize,
    /// Bytes that the peer had room for when it last said so.
    pub peer_window: usize,
    /// Bytes held now: accepted and not acknowledged.
    pub held: usize,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// The retransmission timeout.
    pub rto: Duration,
    /// The congestion controller's.
    pub congestion: CongestionCounters,
}
