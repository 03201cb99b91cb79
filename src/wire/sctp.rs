//! Packets of SCTP as data channels use them, inside DTLS (RFC 8261): read in place, written in place.
//!
//! | part | where | source |
//! | --- | --- | --- |
//! | common header, checksum | [`parse`], [`Packet`] | RFC 9260, section 3.1 and appendix A; RFC 9653 |
//! | chunks | [`Chunk`], one struct each | RFC 9260, section 3.3 |
//! | parameters of INIT and INIT ACK | [`Init`], [`Parameter`] | RFC 9260, section 3.3.2; RFC 5061; RFC 3758; RFC 9653 |
//! | causes of ABORT and ERROR | [`Causes`], [`cause`] | RFC 9260, section 3.3.10 |
//! | FORWARD-TSN, I-FORWARD-TSN | [`Forward`] | RFC 3758; RFC 8260 |
//! | I-DATA | [`Data`] with `is_interleaved` | RFC 8260 |
//! | PAD | [`Packet::pad`] | RFC 4820 |
//! | RE-CONFIG | [`reconfig`] | RFC 6525 |
//! | an INIT chunk outside of a packet | [`Init::parse`], [`InitHead::emit`] | draft-hancke-tsvwg-snap |
//! | how a channel opens | [`dcep`] | RFC 8832 |
//! | what a message is | [`ppid`] | RFC 8831, section 8 |
//!
//! *Reading.* [`parse`] checks header and checksum and gives an iterator; nothing is copied, every value lends from the
//! packet. A chunk that the iterator gives out is whole: its lists can be walked without another check. After the
//! first error the iterator ends, and so it does after an unknown chunk whose highest bit says that the rest of the
//! packet is void (RFC 9260, section 3.2). The chunks before an error stand: whoever sends a good DATA chunk and then
//! rubbish has still sent the DATA chunk.
//!
//! *Padding.* Chunks, parameters and causes end at multiples of four bytes; the bytes between are ignored, whatever
//! they are. The last one of its container may go without them.
//!
//! *Writing.* [`Packet`] appends to the caller's buffer, up to a limit, and patches lengths and the checksum when it
//! is done; payload goes in by any number of pieces, each copied once.

mod checksum;
mod chunk;
mod emit;
mod forward;
mod list;
mod malformed;
mod parameter;
mod sack;
mod tsn;

pub mod cause;
pub mod dcep;
pub mod kind;
pub mod ppid;
pub mod reconfig;

pub use cause::{Cause, Causes};
pub use chunk::{Chunk, Chunks, Data};
pub use emit::{DataHead, Packet};
pub use forward::{Forward, Skipped};
pub use malformed::Malformed;
pub use parameter::{Init, InitHead, Parameter};
pub use reconfig::{Reconfig, Request, Streams};
pub use sack::Sack;
pub use tsn::Tsn;

/// Bytes of the common header.
pub const COMMON_HEADER: usize = 12;
/// Bytes of a DATA chunk before its payload.
pub const DATA_HEADER: usize = 16;
/// Bytes of an I-DATA chunk before its payload.
pub const IDATA_HEADER: usize = 20;
/// The least window that an INIT may tell, in bytes (RFC 9260, section 3.3.2).
pub const LEAST_WINDOW: u32 = 1500;

/// What is demanded of a packet's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// It is the CRC32c of the packet.
    Required,
    /// It is that or zero: this side has said that DTLS is check enough (RFC 9653, section 5.3).
    MayBeZero,
}

/// The common header, without the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// The sender's port: 5000 with data channels, unless SDP says otherwise.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The verification tag, which the receiver chose; zero with INIT alone.
    pub tag: u32,
}

/// Reads the header of a packet and checks the checksum; the chunks are read as they are asked for.
///
/// # Errors
/// Which rule the packet breaks: its length, its checksum, that it holds a chunk, and that INIT has a tag of zero.
#[inline]
pub fn parse(packet: &[u8], checksum: Checksum) -> Result<(Header, Chunks<'_>), Malformed> {
    let Some((head, chunks)) = packet.split_first_chunk::<COMMON_HEADER>() else { return Err(Malformed::Header) };
    checksum::check(packet, head, checksum)?;
    let [a, b, c, d, tag @ .., _, _, _, _] = *head;
    let header = Header {
        source_port: u16::from_be_bytes([a, b]),
        destination_port: u16::from_be_bytes([c, d]),
        tag: u32::from_be_bytes(tag),
    };
    match chunks.first() {
        None => Err(Malformed::NoChunks),
        Some(&kind::INIT) if header.tag != 0 => Err(Malformed::InitWithTag(header.tag)),
        Some(_) => Ok((header, Chunks::new(chunks))),
    }
}

/// The first two bytes of `bytes` as a number; for slices that are known to be long enough.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]))
}

/// As [`u16_at`], with four bytes.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

#[cfg(test)]
mod tests;
