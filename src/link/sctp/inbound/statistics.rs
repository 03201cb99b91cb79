//! What the receiving half counts.

/// Counters of the receiving half, since the beginning, and its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InboundStatistics {
    /// Messages taken.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// DATA chunks that came again.
    pub duplicates: u64,
    /// DATA chunks that came before an earlier one.
    pub out_of_order: u64,
    /// DATA chunks not taken for want of room: the peer did not heed the window, or sends much smaller messages than
    /// it was made for.
    pub no_room: u64,
    /// DATA chunks not taken because they lay more than 65,535 ahead, or in a disorder of more than 512 ranges.
    pub too_far: u64,
    /// DATA chunks on streams that were not agreed on (RFC 9260, section 6.5).
    pub invalid_stream: u64,
    /// Messages and fragments dropped as given up, or as repetitions under another TSN.
    pub stale: u64,
    /// The window that the peer would be told now, in bytes.
    pub window: u32,
}
