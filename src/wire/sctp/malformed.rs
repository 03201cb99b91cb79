//! Rules of packets.

use super::Tsn;

/// Why a packet or a part of it is refused; each is one rule broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// It is shorter than the common header.
    #[error("it is shorter than the common header")]
    Header,
    /// The checksum is neither right nor a zero that is allowed.
    #[error("its checksum is wrong")]
    Checksum,
    /// It holds no chunk.
    #[error("it holds no chunk")]
    NoChunks,
    /// INIT comes with a verification tag (RFC 9260, section 8.5.1).
    #[error("INIT comes with the verification tag {0:#010x}")]
    InitWithTag(u32),
    /// One to three bytes are left where a chunk would begin.
    #[error("the head of a chunk is cut")]
    ChunkHead,
    /// A chunk says that it is shorter than its own head.
    #[error("a chunk of type {0} is shorter than its head")]
    ChunkTooShort(u8),
    /// A chunk says that it is longer than what is left of the packet.
    #[error("a chunk of type {0} goes beyond the packet")]
    ChunkBeyondPacket(u8),
    /// A chunk is shorter than its fixed fields, or longer where nothing may follow them.
    #[error("a chunk of type {0} has a wrong length")]
    ChunkLength(u8),
    /// INIT, INIT ACK or SHUTDOWN COMPLETE has company (RFC 9260, section 6.10).
    #[error("a chunk of type {0} is not alone in its packet")]
    NotAlone(u8),
    /// COOKIE ECHO comes after another chunk (RFC 9260, section 5.1).
    #[error("COOKIE ECHO is not the first chunk")]
    NotFirst,
    /// A DATA or I-DATA chunk has no payload (RFC 9260, section 6.2).
    #[error("the chunk of {0} has no payload")]
    EmptyData(Tsn),
    /// A SACK counts more or fewer blocks and duplicates than it holds.
    #[error("a SACK counts {gaps} blocks and {duplicates} duplicates and holds others")]
    SackCounts {
        /// Blocks that it counts.
        gaps: u16,
        /// Duplicates that it counts.
        duplicates: u16,
    },
    /// A block of a SACK begins before the first missing chunk, or ends before it begins.
    #[error("a SACK has the block {start} to {end}")]
    GapBlock {
        /// Its begin, from the cumulative acknowledgement.
        start: u16,
        /// Its end.
        end: u16,
    },
    /// INIT or INIT ACK gives zero as its sender's tag (RFC 9260, section 3.3.2).
    #[error("the initiate tag is zero")]
    ZeroInitiateTag,
    /// INIT or INIT ACK gives zero streams in one direction.
    #[error("zero streams are asked for or allowed")]
    ZeroStreams,
    /// INIT or INIT ACK tells a window below [`LEAST_WINDOW`](super::LEAST_WINDOW).
    #[error("a window of {0} bytes is too small")]
    SmallWindow(u32),
    /// One to three bytes are left where a parameter would begin.
    #[error("the head of a parameter is cut")]
    ParameterHead,
    /// A parameter says that it is shorter than its own head.
    #[error("parameter {0:#06x} is shorter than its head")]
    ParameterTooShort(u16),
    /// A parameter says that it is longer than what is left of the chunk.
    #[error("parameter {0:#06x} goes beyond its chunk")]
    ParameterBeyondChunk(u16),
    /// A parameter has not the length of its fields.
    #[error("parameter {0:#06x} has a wrong length")]
    ParameterLength(u16),
    /// INIT or INIT ACK names a host, which nobody may any more (RFC 9260, section 3.3.2.4).
    #[error("a host name stands for an address")]
    HostName,
    /// RE-CONFIG holds no parameter, or more than two, or two that do not go together (RFC 6525, section 3.1).
    #[error("RE-CONFIG holds parameters that do not go together")]
    ReconfigParameters,
}
