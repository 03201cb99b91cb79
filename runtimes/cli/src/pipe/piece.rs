//! What the two ends of a pipe tell each other: the first byte of a message is its kind.

use crate::outcome::{Code, Failure};

/// The most bytes in a message, so that it is one run of the session.
pub(crate) const CHUNK: usize = 16 * 1024 - 64;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// 0: bytes for the other's output.
    Data(&'a [u8]),
    /// 1: no more follow.
    End,
    /// 2: nobody reads the sender's output; what comes for it is dropped.
    Unread,
    /// 3: the sender has written all that came before the end.
    Done,
}

impl<'a> Piece<'a> {
    pub(crate) const fn kind(self) -> u8 {
        match self {
            Self::Data(_) => 0,
            Self::End => 1,
            Self::Unread => 2,
            Self::Done => 3,
        }
    }

    pub(crate) fn decode(message: &'a [u8]) -> Result<Self, Failure> {
        match message.split_first() {
            Some((0, bytes)) => Ok(Self::Data(bytes)),
            Some((1, [])) => Ok(Self::End),
            Some((2, [])) => Ok(Self::Unread),
            Some((3, [])) => Ok(Self::Done),
            _ => Err(Failure::new(Code::Lost, "the other side does not speak the language of `pipe`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_told_by_its_kind() {
        for piece in [Piece::End, Piece::Unread, Piece::Done, Piece::Data(&[])] {
            assert_eq!(Piece::decode(&[piece.kind()]), Ok(piece));
        }
        assert_eq!(Piece::decode(b"\0abc"), Ok(Piece::Data(b"abc")));
        for wrong in [&b""[..], &[4], &[1, 0]] {
            assert!(Piece::decode(wrong).is_err(), "{wrong:?}");
        }
    }
}
