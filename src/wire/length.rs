//! The header of a length-delimited frame: four bytes before each message on a plain stream.
//!
//! Big-endian. The top bit marks text, the other 31 are the length of the body, so a binary frame is exactly what
//! the usual "u32, big-endian" length-delimited codecs speak, and every four bytes are a header.

use crate::machine::payload::Kind;

const TEXT: u32 = 1 << 31;

/// What stands before a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    kind: Kind,
    len: u32,
}

impl Header {
    /// Bytes of an encoded header.
    pub const SIZE: usize = 4;
    /// Longest body that a header can announce, in bytes.
    pub const LONGEST_BODY: usize = (TEXT - 1) as usize;

    /// A header for a body of `len` bytes; none above [`LONGEST_BODY`](Self::LONGEST_BODY).
    pub const fn new(kind: Kind, len: usize) -> Option<Self> {
        if len > Self::LONGEST_BODY {
            return None;
        }
        Some(Self { kind, len: len as u32 })
    }

    /// Whether the body is bytes or text.
    pub const fn kind(self) -> Kind {
        self.kind
    }

    /// Length of the body in bytes.
    pub const fn body_len(self) -> usize {
        self.len as usize
    }

    /// As on the wire.
    pub const fn encode(self) -> [u8; Self::SIZE] {
        let text = match self.kind {
            Kind::Binary => 0,
            Kind::Text => TEXT,
        };
        (text | self.len).to_be_bytes()
    }

    /// From the wire.
    pub const fn decode(bytes: [u8; Self::SIZE]) -> Self {
        let word = u32::from_be_bytes(bytes);
        let kind = if word & TEXT == 0 { Kind::Binary } else { Kind::Text };
        Self { kind, len: word & !TEXT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_header_is_a_big_endian_length_and_text_sets_the_top_bit() {
        assert_eq!(Header::new(Kind::Binary, 0x0102_0304).map(Header::encode), Some([1, 2, 3, 4]));
        assert_eq!(Header::new(Kind::Text, 5).map(Header::encode), Some([0x80, 0, 0, 5]));
    }

    #[test]
    fn every_four_bytes_are_a_header_and_encode_to_themselves() {
        for bytes in [[0; 4], [0xff; 4], [0x80, 0, 0, 0], [0x7f, 0xff, 0xff, 0xff], [0, 0, 1, 2]] {
            assert_eq!(Header::decode(bytes).encode(), bytes);
        }
    }

    #[test]
    fn a_body_beyond_31_bits_has_no_header() {
        assert_eq!(Header::new(Kind::Binary, Header::LONGEST_BODY + 1), None);
        assert_eq!(Header::new(Kind::Text, Header::LONGEST_BODY).map(Header::encode), Some([0xff; 4]));
    }
}
