//! What a sender gives up: FORWARD-TSN (RFC 3758, section 3.2) and I-FORWARD-TSN (RFC 8260, section 2.3.1).

use super::{Malformed, Tsn, u16_at, u32_at};

/// Bytes of the value before its list.
pub(super) const FIXED: usize = 4;

/// All up to a number is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward<'a> {
    /// The last that the receiver shall not wait for.
    pub cumulative: Tsn,
    /// Whether it is an I-FORWARD-TSN.
    pub is_interleaved: bool,
    streams: &'a [u8],
}

/// A stream of which messages were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Skipped {
    /// Which.
    pub stream: u16,
    /// Whether they are its unordered ones; FORWARD-TSN lists none of those.
    pub is_unordered: bool,
    /// The last of them: its SSN, or with I-FORWARD-TSN its MID.
    pub message: u32,
}

impl Skipped {
    /// Bytes that it takes.
    pub(super) const fn len(is_interleaved: bool) -> usize {
        if is_interleaved { 8 } else { 4 }
    }

    fn read(bytes: &[u8], is_interleaved: bool) -> Self {
        let (stream, second) = (u16_at(bytes, 0), u16_at(bytes, 2));
        if is_interleaved {
            Self { stream, is_unordered: second & 1 != 0, message: u32_at(bytes, 4) }
        } else {
            Self { stream, is_unordered: false, message: u32::from(second) }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the SSN is the low half of its count")]
    pub(super) fn put(self, out: &mut Vec<u8>, is_interleaved: bool) {
        out.extend_from_slice(&self.stream.to_be_bytes());
        if is_interleaved {
            out.extend_from_slice(&u16::from(self.is_unordered).to_be_bytes());
            out.extend_from_slice(&self.message.to_be_bytes());
        } else {
            out.extend_from_slice(&(self.message as u16).to_be_bytes());
        }
    }
}

impl<'a> Forward<'a> {
    pub(super) fn parse(kind: u8, value: &'a [u8], is_interleaved: bool) -> Result<Self, Malformed> {
        let Some((cumulative, streams)) = value.split_first_chunk::<FIXED>() else {
            return Err(Malformed::ChunkLength(kind));
        };
        if streams.len() % Skipped::len(is_interleaved) != 0 {
            return Err(Malformed::ChunkLength(kind));
        }
        Ok(Self { cumulative: Tsn(u32::from_be_bytes(*cumulative)), is_interleaved, streams })
    }

    /// The streams that wait for a message given up.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = Skipped> + Clone + use<'a> {
        let is_interleaved = self.is_interleaved;
        let entries = self.streams.chunks_exact(Skipped::len(is_interleaved));
        entries.map(move |entry| Skipped::read(entry, is_interleaved))
    }
}
