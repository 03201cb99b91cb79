//! What the two ends of a forwarding tell each other.
//!
//! The first byte of a message is its kind, then comes the stream, a variable-length number.
//!
//! | kind | from | rest |
//! | --- | --- | --- |
//! | 1 open | the end that listens | the service's name, UTF-8, 1 to [`MAX_NAME`] bytes |
//! | 2 data | both | 1 to [`CHUNK`] bytes |
//! | 3 grant | both | how many bytes more may be sent, a variable-length number |
//! | 4 finish | both | nothing: no more data follows |
//! | 5 reset | both | a code of [`Reset`] |

use switchboard::wire::cursor::{Cursor, Malformed, put_varint};

/// The most bytes of a stream in a message, so that a message is one run of the session.
pub(crate) const CHUNK: usize = 16 * 1024 - 64;

/// The longest name of a service, in bytes.
pub(crate) const MAX_NAME: usize = 64;

/// A TCP connection that is forwarded; the end that listens counts from 0.
pub(crate) type StreamId = u64;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) stream: StreamId,
    pub(crate) body: Body<'a>,
}

/// What it says of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    Open(&'a str),
    Data(&'a [u8]),
    Grant(u64),
    Finish,
    Reset(Reset),
}

/// Why a stream ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reset {
    #[error("the other side serves nothing of that name")]
    NotServed,
    #[error("the other side can't connect to what it serves under that name")]
    Unreachable,
    #[error("there are too many connections")]
    TooMany,
    #[error("the connection broke")]
    Broken,
    #[error("the other side gave it up (code {0})")]
    Other(u8),
}

/// How the other end broke the rules of a forwarding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a message of the forwarding is malformed: {0}")]
    Malformed(#[from] Malformed),
    #[error("the forwarding knows no message of kind {0}")]
    UnknownKind(u8),
    #[error("a service's name has {0} bytes")]
    NameSize(usize),
    #[error("a piece of a stream has {0} bytes")]
    ChunkSize(usize),
    #[error("stream {0} was never opened")]
    NeverOpened(StreamId),
    #[error("stream {0} was opened out of turn")]
    OpenedOutOfTurn(StreamId),
    #[error("more came on stream {0} than was granted")]
    Ungranted(StreamId),
    #[error("data came on stream {0} after its end")]
    AfterFinish(StreamId),
    #[error("the grants of stream {0} add up to more than any window")]
    GrantedTooMuch(StreamId),
}

impl<'a> Message<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.body.kind()];
        put_varint(&mut out, self.stream);
        match self.body {
            Body::Open(name) => out.extend_from_slice(name.as_bytes()),
            Body::Data(bytes) => out.extend_from_slice(bytes),
            Body::Grant(bytes) => put_varint(&mut out, bytes),
            Body::Finish => {}
            Body::Reset(reset) => out.push(reset.code()),
        }
        out
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Violation> {
        let mut cursor = Cursor::new(bytes);
        let (kind, stream) = (cursor.u8()?, cursor.varint()?);
        Ok(Self { stream, body: Body::decode(kind, cursor)? })
    }
}

impl<'a> Body<'a> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Open(_) => 1,
            Self::Data(_) => 2,
            Self::Grant(_) => 3,
            Self::Finish => 4,
            Self::Reset(_) => 5,
        }
    }

    fn decode(kind: u8, mut cursor: Cursor<'a>) -> Result<Self, Violation> {
        match (kind, cursor.len()) {
            (1, 1..=MAX_NAME) => {
                str::from_utf8(cursor.rest()).map(Self::Open).map_err(|_| Violation::Malformed(Malformed::Utf8))
            }
            (1, len) => Err(Violation::NameSize(len)),
            (2, 1..=CHUNK) => Ok(Self::Data(cursor.rest())),
            (2, len) => Err(Violation::ChunkSize(len)),
            (3, _) => Ok(Self::Grant(cursor.varint()?)),
            (4, _) => Ok(Self::Finish),
            (5, _) => Ok(Self::Reset(Reset::of(cursor.u8()?))),
            (other, _) => Err(Violation::UnknownKind(other)),
        }
    }
}

impl Reset {
    const fn code(self) -> u8 {
        match self {
            Self::NotServed => 1,
            Self::Unreachable => 2,
            Self::TooMany => 3,
            Self::Broken => 4,
            Self::Other(code) => code,
        }
    }

    const fn of(code: u8) -> Self {
        match code {
            1 => Self::NotServed,
            2 => Self::Unreachable,
            3 => Self::TooMany,
            4 => Self::Broken,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_comes_back() {
        let bodies = [
            Body::Open("web"),
            Body::Data(&[7; CHUNK]),
            Body::Grant(1 << 40),
            Body::Finish,
            Body::Reset(Reset::NotServed),
            Body::Reset(Reset::Other(99)),
        ];
        for body in bodies {
            let message = Message { stream: 300, body };
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn what_is_too_small_or_too_large_is_refused() {
        assert_eq!(Message::decode(&[1, 0]), Err(Violation::NameSize(0)));
        assert_eq!(Message::decode(&[b'a'; 70]), Err(Violation::UnknownKind(b'a')));
        assert_eq!(Message::decode(&[&[1, 0], &[b'a'; 65][..]].concat()), Err(Violation::NameSize(65)));
        assert_eq!(Message::decode(&[2, 0]), Err(Violation::ChunkSize(0)));
        assert_eq!(Message::decode(&[&[2, 0], &[0; CHUNK + 1][..]].concat()), Err(Violation::ChunkSize(CHUNK + 1)));
        assert_eq!(Message::decode(&[5, 0]), Err(Violation::Malformed(Malformed::Truncated)));
    }
}
