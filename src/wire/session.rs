//! Session packets and their records: what two endpoints say to each other inside a route's data frames.
//!
//! A packet begins with its kind:
//!
//! | kind | packet | what follows |
//! | --- | --- | --- |
//! | 1 | handshake | step (1 byte), then what the step carries |
//! | 2 | sealed | counter (8 bytes, big-endian), sealed records, tag |
//! | 3 | plain | records; on paths that are private by themselves |
//! | 4 | attach | session key (16 bytes), counter (8 bytes), sealed records, tag; the first packets of a further path |
//! | 5 | unknown | session key (16 bytes), signature (64 bytes) |
//!
//! The head of a sealed packet up to its counter is authenticated with it; the counter is the nonce.
//!
//! A record begins with its kind, too. Numbers are of variable length (see [`cursor`](super::cursor)) where nothing
//! else is said. Every record but a run tells its own length; a run tells it too, unless the top bit of its kind says
//! that it goes to the end of the packet.
//!
//! | kind | record | what follows |
//! | --- | --- | --- |
//! | 1 | ack | channel, lowest run not yet received, count of ranges, of each its gap and its length |
//! | 2 | ack with grant | the same, then the granted bytes counted from the channel's start |
//! | 3 | forward | channel, oldest run that is still alive |
//! | 4 | blocked | channel |
//! | 5, 6 | ping, pong | id |
//! | 7 | suspect | path (1 byte) |
//! | 8 | attach | path (1 byte) |
//! | 9 | bye | code (1 byte), text (length, UTF-8) |
//! | 10 | bye-ack | |
//! | 64 + flags | run | channel, run number, runs down to the oldest alive (flag 8), length (but flag 128), body |
//!
//! Flags of a run: 1 fragment, 2 it begins a message, 4 it ends one, 8 its channel gives runs up, 128 to the end of
//! the packet. A run that is no fragment holds whole messages, each after its length.

use std::fmt;
use std::ops::Range;

use super::cursor::{Cursor, Malformed, put_prefixed, put_varint};

/// Most ranges of one acknowledgement.
pub const MAX_RANGES: usize = 64;
/// Longest text of a goodbye, in bytes; what is longer was not made by us and is refused.
pub const MAX_TEXT: usize = 200;

pub(crate) const HANDSHAKE: u8 = 1;
const SEALED: u8 = 2;
const PLAIN: u8 = 3;
pub(crate) const ATTACH: u8 = 4;
pub(crate) const UNKNOWN: u8 = 5;

/// What names a session on both sides: the first 16 bytes of its handshake's hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub [u8; 16]);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {self:?}")
    }
}

/// The head of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// A step of the handshake.
    Handshake {
        /// Which.
        step: u8,
    },
    /// Sealed records.
    Sealed {
        /// The sealer's counter.
        counter: u64,
    },
    /// Records as they are.
    Plain,
    /// Sealed records on a path that the receiver does not know yet.
    Attach {
        /// The session it belongs to.
        key: SessionKey,
        /// The sealer's counter.
        counter: u64,
    },
    /// The receiver's session is not known to the sender.
    Unknown {
        /// Which.
        key: SessionKey,
    },
}

/// Why a packet's head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadHead {
    /// It is cut short.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// There is no such kind of packet.
    #[error("unknown kind of packet {0}")]
    Kind(u8),
}

impl Head {
    /// Bytes of [`Self::Sealed`].
    pub const SEALED: usize = 9;
    /// Bytes of [`Self::Attach`].
    pub const ATTACH: usize = 25;

    /// Reads the head of `packet`; what the cursor has left is the body.
    ///
    /// # Errors
    /// [`BadHead`].
    pub fn take(cursor: &mut Cursor<'_>) -> Result<Self, BadHead> {
        match cursor.u8()? {
            HANDSHAKE => Ok(Self::Handshake { step: cursor.u8()? }),
            SEALED => Ok(Self::Sealed { counter: cursor.u64()? }),
            PLAIN => Ok(Self::Plain),
            ATTACH => Ok(Self::Attach { key: SessionKey(cursor.array()?), counter: cursor.u64()? }),
            UNKNOWN => Ok(Self::Unknown { key: SessionKey(cursor.array()?) }),
            kind => Err(BadHead::Kind(kind)),
        }
    }

    /// Appends it.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Handshake { step } => out.extend_from_slice(&[HANDSHAKE, *step]),
            Self::Sealed { counter } => {
                out.push(SEALED);
                out.extend_from_slice(&counter.to_be_bytes());
            }
            Self::Plain => out.push(PLAIN),
            Self::Attach { key, counter } => {
                out.push(ATTACH);
                out.extend_from_slice(&key.0);
                out.extend_from_slice(&counter.to_be_bytes());
            }
            Self::Unknown { key } => {
                out.push(UNKNOWN);
                out.extend_from_slice(&key.0);
            }
        }
    }
}

const ACK: u8 = 1;
const ACK_GRANT: u8 = 2;
const FORWARD: u8 = 3;
const BLOCKED: u8 = 4;
const PING: u8 = 5;
const PONG: u8 = 6;
const SUSPECT: u8 = 7;
const JOIN: u8 = 8;
const BYE: u8 = 9;
const BYE_ACK: u8 = 10;
const RUN: u8 = 64;
const FRAGMENT: u8 = 1;
const BEGIN: u8 = 2;
const END: u8 = 4;
const ALIVE: u8 = 8;
const REST: u8 = 128;

/// Why a record is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadRecord {
    /// It is cut short, or a number in it is malformed.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// There is no such kind of record, or its flags contradict each other.
    #[error("unknown kind of record {0}")]
    Kind(u8),
    /// A channel's number beyond 16 bits.
    #[error("a channel's number is out of range")]
    Channel,
    /// An acknowledgement has more than [`MAX_RANGES`] ranges, or an empty one, or one beyond 64 bits.
    #[error("an acknowledgement's ranges are out of range")]
    Ranges,
    /// A run is older than the oldest alive.
    #[error("a run names an oldest one below the first")]
    Alive,
    /// A text is longer than [`MAX_TEXT`].
    #[error("a text is too long")]
    Text,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// Messages, or a piece of one.
    Run(Run, &'a [u8]),
    /// What has arrived.
    Ack(Ack<'a>),
    /// Runs below `oldest` will not come any more.
    Forward {
        /// The channel.
        channel: u16,
        /// The oldest run that is still alive.
        oldest: u64,
    },
    /// The sender of a channel waits for a grant.
    Blocked {
        /// The channel.
        channel: u16,
    },
    /// Asks for an answer on the same path.
    Ping(u64),
    /// The answer.
    Pong(u64),
    /// A path seems to be dead.
    Suspect {
        /// Which.
        path: u8,
    },
    /// The path on which this comes is one of the session.
    Attach {
        /// The name of the path.
        path: u8,
    },
    /// The sender has closed the session and needs nothing more.
    Bye {
        /// A number for why.
        code: u8,
        /// Words for why.
        text: &'a str,
    },
    /// The goodbye has arrived.
    ByeAck,
}

/// The head of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its channel.
    pub channel: u16,
    /// Its number on that channel, from 0.
    pub number: u64,
    /// What its body is.
    pub form: Form,
    /// The oldest run of the channel that is still alive; only of channels that give runs up.
    pub alive: Option<u64>,
}

/// What the body of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Whole messages, each after its length.
    Messages,
    /// A piece of a message.
    Fragment {
        /// Its first.
        begin: bool,
        /// Its last.
        end: bool,
    },
}

impl Run {
    /// Appends the head of a run whose body goes to the end of the packet; its body belongs behind it. Answers where
    /// [`Self::bound`] belongs if something shall follow nevertheless.
    pub fn put(&self, out: &mut Vec<u8>) -> usize {
        let form = match self.form {
            Form::Messages => 0,
            Form::Fragment { begin, end } => FRAGMENT | flag(begin, BEGIN) | flag(end, END),
        };
        let alive = self.alive.map(|alive| self.number.saturating_sub(alive));
        out.push(RUN | REST | form | flag(alive.is_some(), ALIVE));
        put_varint(out, u64::from(self.channel));
        put_varint(out, self.number);
        if let Some(below) = alive {
            put_varint(out, below);
        }
        out.len()
    }

    /// Gives the run whose head is at `head..body` and whose body goes to the end of `out` a length, so that
    /// something may follow. Answers by how many bytes it has grown.
    pub fn bound(out: &mut Vec<u8>, head: usize, body: usize) -> usize {
        let len = out.len();
        put_varint(out, (len - body) as u64);
        let grown = out.len() - len;
        out[body..].rotate_right(grown);
        out[head] &= !REST;
        grown
    }
}

const fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

/// What of a channel has arrived: all runs below `next`, and the ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The channel.
    pub channel: u16,
    /// The lowest run that has not arrived.
    pub next: u64,
    /// Bytes that the channel's sender may send in all, counted from its start.
    pub granted: Option<u64>,
    /// What has arrived beyond `next`, checked.
    ranges: &'a [u8],
}

impl Ack<'_> {
    /// What has arrived beyond `next`, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let (mut cursor, mut at) = (Cursor::new(self.ranges), self.next);
        std::iter::from_fn(move || {
            let start = at + cursor.varint().ok()?;
            at = start + cursor.varint().ok()?;
            Some(start..at)
        })
    }
}

/// Appends an acknowledgement. Of the ranges, which ascend and don't touch, at most [`MAX_RANGES`] are taken.
pub fn put_ack(
    out: &mut Vec<u8>,
    channel: u16,
    next: u64,
    ranges: impl ExactSizeIterator<Item = Range<u64>>,
    granted: Option<u64>,
) {
    out.push(if granted.is_some() { ACK_GRANT } else { ACK });
    put_varint(out, u64::from(channel));
    put_varint(out, next);
    put_varint(out, ranges.len().min(MAX_RANGES) as u64);
    let mut at = next;
    for range in ranges.take(MAX_RANGES) {
        put_varint(out, range.start - at);
        put_varint(out, range.end - range.start);
        at = range.end;
    }
    if let Some(granted) = granted {
        put_varint(out, granted);
    }
}

impl<'a> Record<'a> {
    /// Reads the next record.
    ///
    /// # Errors
    /// [`BadRecord`].
    pub fn take(cursor: &mut Cursor<'a>) -> Result<Self, BadRecord> {
        match cursor.u8()? {
            kind if kind & RUN != 0 => take_run(kind, cursor),
            kind @ (ACK | ACK_GRANT) => take_ack(kind == ACK_GRANT, cursor),
            FORWARD => Ok(Self::Forward { channel: take_channel(cursor)?, oldest: cursor.varint()? }),
            BLOCKED => Ok(Self::Blocked { channel: take_channel(cursor)? }),
            PING => Ok(Self::Ping(cursor.varint()?)),
            PONG => Ok(Self::Pong(cursor.varint()?)),
            SUSPECT => Ok(Self::Suspect { path: cursor.u8()? }),
            JOIN => Ok(Self::Attach { path: cursor.u8()? }),
            BYE => take_bye(cursor),
            BYE_ACK => Ok(Self::ByeAck),
            kind => Err(BadRecord::Kind(kind)),
        }
    }

    /// Appends it; a run with its length.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Run(run, body) => {
                let head = out.len();
                let start = run.put(out);
                out.extend_from_slice(body);
                Run::bound(out, head, start);
            }
            Self::Ack(ack) => {
                let ranges: Vec<_> = ack.ranges().collect();
                put_ack(out, ack.channel, ack.next, ranges.into_iter(), ack.granted);
            }
            Self::Forward { channel, oldest } => put_numbers(out, FORWARD, &[u64::from(*channel), *oldest]),
            Self::Blocked { channel } => put_numbers(out, BLOCKED, &[u64::from(*channel)]),
            Self::Ping(id) => put_numbers(out, PING, &[*id]),
            Self::Pong(id) => put_numbers(out, PONG, &[*id]),
            Self::Suspect { path } => out.extend_from_slice(&[SUSPECT, *path]),
            Self::Attach { path } => out.extend_from_slice(&[JOIN, *path]),
            Self::Bye { code, text } => {
                out.extend_from_slice(&[BYE, *code]);
                put_prefixed(out, text.as_bytes());
            }
            Self::ByeAck => out.push(BYE_ACK),
        }
    }
}

fn put_numbers(out: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    out.push(kind);
    for number in numbers {
        put_varint(out, *number);
    }
}

fn take_channel(cursor: &mut Cursor<'_>) -> Result<u16, BadRecord> {
    u16::try_from(cursor.varint()?).map_err(|_| BadRecord::Channel)
}

fn take_run<'a>(kind: u8, cursor: &mut Cursor<'a>) -> Result<Record<'a>, BadRecord> {
    let form = match kind & (FRAGMENT | BEGIN | END) {
        0 => Form::Messages,
        form if form & FRAGMENT != 0 => Form::Fragment { begin: form & BEGIN != 0, end: form & END != 0 },
        _ => return Err(BadRecord::Kind(kind)),
    };
    if kind & !(REST | RUN | FRAGMENT | BEGIN | END | ALIVE) != 0 {
        return Err(BadRecord::Kind(kind));
    }
    let channel = take_channel(cursor)?;
    let number = cursor.varint()?;
    let alive = match kind & ALIVE {
        0 => None,
        _ => Some(number.checked_sub(cursor.varint()?).ok_or(BadRecord::Alive)?),
    };
    let body = if kind & REST != 0 { cursor.rest() } else { cursor.prefixed()? };
    Ok(Record::Run(Run { channel, number, form, alive }, body))
}

fn take_ack<'a>(with_grant: bool, cursor: &mut Cursor<'a>) -> Result<Record<'a>, BadRecord> {
    let channel = take_channel(cursor)?;
    let next = cursor.varint()?;
    let count = cursor.varint()?;
    if count > MAX_RANGES as u64 {
        return Err(BadRecord::Ranges);
    }
    let before = *cursor;
    let mut at = next;
    for _ in 0..count {
        let (gap, len) = (cursor.varint()?, cursor.varint()?);
        let end = at.checked_add(gap).and_then(|start| start.checked_add(len));
        at = end.filter(|_| gap > 0 && len > 0).ok_or(BadRecord::Ranges)?;
    }
    let mut ranges = before;
    let ranges = ranges.bytes(before.len() - cursor.len())?;
    let granted = if with_grant { Some(cursor.varint()?) } else { None };
    Ok(Record::Ack(Ack { channel, next, granted, ranges }))
}

fn take_bye<'a>(cursor: &mut Cursor<'a>) -> Result<Record<'a>, BadRecord> {
    let code = cursor.u8()?;
    let text = cursor.text()?;
    if text.len() > MAX_TEXT {
        return Err(BadRecord::Text);
    }
    Ok(Record::Bye { code, text })
}

/// The longest beginning of `text` that a goodbye may carry.
pub fn cut_text(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests;
