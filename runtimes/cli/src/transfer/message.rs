//! What the two ends of a file transfer tell each other.
//!
//! The first byte of a message is its kind. Numbers are big-endian, a hash is BLAKE3 of 32 bytes.
//!
//! | kind | from | body |
//! | --- | --- | --- |
//! | 1 offer | sender | size (8 bytes), hash of the whole file, name (the rest, UTF-8) |
//! | 2 accept | receiver | bytes that it has (8 bytes), their hash |
//! | 3 start | sender | where the first chunk belongs (8 bytes): after what the receiver has, or at 0 |
//! | 4 chunk | sender | 1 to [`CHUNK`] bytes, in order |
//! | 5 verified | receiver | nothing |
//! | 6 refuse | either | a code of [`Refusal`] |

use std::fmt;

use blake3::Hash;
use switchboard::wire::cursor::{Cursor, Malformed};

/// The most bytes of a file in a message, so that a message is one run of the session.
pub(crate) const CHUNK: usize = 16 * 1024 - 64;

/// The longest name of a file, in bytes.
pub(crate) const MAX_NAME: usize = 255;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    Offer(Offer),
    Accept { have: u64, hash: Hash },
    Start { at: u64 },
    Chunk(&'a [u8]),
    Verified,
    Refuse(Refusal),
}

/// A file that somebody would like to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) name: FileName,
    pub(crate) size: u64,
    pub(crate) hash: Hash,
}

/// The name of a file without a path: it can be created in a directory and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName(String);

/// Why a file is not taken, or no longer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the other side does not want it")]
    Declined,
    #[error("the other side has a file of that name")]
    Exists,
    #[error("the other side can't use that name for a file")]
    BadName,
    #[error("the other side can't write it; is its disk full?")]
    CannotWrite,
    #[error("what arrived is not what was offered: the hash is another")]
    Corrupt,
    #[error("the file has changed since it was offered, or can't be read any more")]
    Changed,
    #[error("the other side gave up (code {0})")]
    Other(u8),
}

/// How the other end broke the rules of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a message of the file transfer is malformed: {0}")]
    Malformed(#[from] Malformed),
    #[error("the file transfer knows no message of kind {0}")]
    UnknownKind(u8),
    #[error("the name of a file has a path in it, is empty, too long or not printable")]
    BadName,
    #[error("a chunk has {0} bytes")]
    ChunkSize(usize),
    #[error("a message of the file transfer came at the wrong time")]
    OutOfTurn,
    #[error("more came than the file has")]
    TooMuch,
    #[error("the receiver says that it has more than the file")]
    HasTooMuch,
    #[error("the sender starts where nobody asked it to")]
    StartsElsewhere,
}

impl FileName {
    /// Takes a name that is only a name.
    pub(crate) fn parse(name: &str) -> Result<Self, Violation> {
        let separates = |character: char| character.is_control() || matches!(character, '/' | '\\' | ':');
        let is_name = (1..=MAX_NAME).contains(&name.len()) && name != "." && name != ".." && !name.contains(separates);
        if is_name { Ok(Self(name.to_owned())) } else { Err(Violation::BadName) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Refusal {
    const fn code(self) -> u8 {
        match self {
            Self::Declined => 1,
            Self::Exists => 2,
            Self::BadName => 3,
            Self::CannotWrite => 4,
            Self::Corrupt => 5,
            Self::Changed => 6,
            Self::Other(code) => code,
        }
    }

    const fn of(code: u8) -> Self {
        match code {
            1 => Self::Declined,
            2 => Self::Exists,
            3 => Self::BadName,
            4 => Self::CannotWrite,
            5 => Self::Corrupt,
            6 => Self::Changed,
            other => Self::Other(other),
        }
    }
}

impl<'a> Message<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Offer(offer) => offer.encode(),
            Self::Accept { have, hash } => [&[2], &have.to_be_bytes()[..], hash.as_bytes()].concat(),
            Self::Start { at } => [&[3], &at.to_be_bytes()[..]].concat(),
            Self::Chunk(bytes) => [&[4], *bytes].concat(),
            Self::Verified => vec![5],
            Self::Refuse(refusal) => vec![6, refusal.code()],
        }
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Violation> {
        let mut cursor = Cursor::new(bytes);
        match cursor.u8()? {
            1 => Offer::decode(cursor).map(Self::Offer),
            2 => Ok(Self::Accept { have: cursor.u64()?, hash: Hash::from_bytes(cursor.array()?) }),
            3 => Ok(Self::Start { at: cursor.u64()? }),
            4 if (1..=CHUNK).contains(&cursor.len()) => Ok(Self::Chunk(cursor.rest())),
            4 => Err(Violation::ChunkSize(cursor.len())),
            5 => Ok(Self::Verified),
            6 => Ok(Self::Refuse(Refusal::of(cursor.u8()?))),
            other => Err(Violation::UnknownKind(other)),
        }
    }
}

impl Offer {
    fn encode(&self) -> Vec<u8> {
        [&[1], &self.size.to_be_bytes()[..], self.hash.as_bytes(), self.name.0.as_bytes()].concat()
    }

    fn decode(mut cursor: Cursor<'_>) -> Result<Self, Violation> {
        let (size, hash) = (cursor.u64()?, Hash::from_bytes(cursor.array()?));
        let name = str::from_utf8(cursor.rest()).map_err(|_| Violation::Malformed(Malformed::Utf8))?;
        Ok(Self { name: FileName::parse(name)?, size, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_comes_back() {
        let hash = blake3::hash(b"x");
        for message in [
            Message::Offer(Offer { name: FileName::parse("näme (1).txt").unwrap(), size: u64::MAX, hash }),
            Message::Accept { have: 7, hash },
            Message::Start { at: 1 << 40 },
            Message::Chunk(&[0; CHUNK]),
            Message::Verified,
            Message::Refuse(Refusal::Exists),
            Message::Refuse(Refusal::Other(200)),
        ] {
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn a_name_that_leads_out_of_the_directory_is_refused() {
        let long = "x".repeat(256);
        for name in ["", ".", "..", "a/b", "/etc/passwd", "..\\x", "C:x", "a\0b", "a\nb", "\u{1b}[2J", &long] {
            assert_eq!(FileName::parse(name), Err(Violation::BadName), "{name:?}");
        }
    }

    #[test]
    fn a_chunk_of_nothing_and_one_too_large_are_refused() {
        assert_eq!(Message::decode(&[4]), Err(Violation::ChunkSize(0)));
        assert_eq!(Message::decode(&[4; CHUNK + 2]), Err(Violation::ChunkSize(CHUNK + 1)));
        assert_eq!(Message::decode(&[9]), Err(Violation::UnknownKind(9)));
        assert_eq!(Message::decode(&[2, 0]), Err(Violation::Malformed(Malformed::Truncated)));
    }
}
