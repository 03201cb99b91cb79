//! Chunks, one after the other.

use super::{Causes, DATA_HEADER, Forward, IDATA_HEADER, Init, Malformed, Reconfig, Sack, Tsn, kind, u16_at, u32_at};

/// Bytes before a chunk's value.
pub(super) const HEAD: usize = 4;
/// Flags of DATA and I-DATA.
pub(super) const END: u8 = 1;
pub(super) const BEGIN: u8 = 2;
pub(super) const UNORDERED: u8 = 4;
pub(super) const IMMEDIATE: u8 = 8;
/// The flag T of ABORT and SHUTDOWN COMPLETE.
pub(super) const REFLECTED: u8 = 1;

/// One chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// DATA or I-DATA: a message or a part of one.
    Data(Data<'a>),
    /// Asks for an association.
    Init(Init<'a>),
    /// Answers that; whether a cookie is in it, the reader asks.
    InitAck(Init<'a>),
    /// Acknowledges.
    Sack(Sack<'a>),
    /// To be answered by `HeartbeatAck` with the same bytes.
    Heartbeat(&'a [u8]),
    /// The answer: what was asked with.
    HeartbeatAck(&'a [u8]),
    /// The association is over.
    Abort(Causes<'a>),
    /// The sender has nothing more to send; it has all up to that number.
    Shutdown(Tsn),
    /// Neither has the other.
    ShutdownAck,
    /// Something was wrong.
    Error(Causes<'a>),
    /// The cookie of INIT ACK.
    CookieEcho(&'a [u8]),
    /// The cookie was right.
    CookieAck,
    /// The association is closed.
    ShutdownComplete {
        /// Whether its packet carries the sender's own verification tag, because it knows no other: the bit T.
        is_reflected: bool,
    },
    /// Resets streams, or answers that.
    Reconfig(Reconfig<'a>),
    /// FORWARD-TSN or I-FORWARD-TSN: something is given up.
    ForwardTsn(Forward<'a>),
    /// Nothing, of some length.
    Pad,
    /// A type that is not known: [`kind::is_reported`] says whether its sender is told.
    Unknown {
        /// The type.
        kind: u8,
        /// The flags.
        flags: u8,
        /// What follows the head, without padding.
        value: &'a [u8],
    },
}

impl<'a> Chunk<'a> {
    fn read(kind: u8, flags: u8, value: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match kind {
            kind::DATA => Self::Data(Data::parse(flags, value)?),
            kind::I_DATA => Self::Data(Data::parse_interleaved(flags, value)?),
            kind::SACK => Self::Sack(Sack::parse(value)?),
            kind::INIT => Self::Init(Init::read(kind, value)?),
            kind::INIT_ACK => Self::InitAck(Init::read(kind, value)?),
            kind::FORWARD_TSN => Self::ForwardTsn(Forward::parse(kind, value, false)?),
            kind::I_FORWARD_TSN => Self::ForwardTsn(Forward::parse(kind, value, true)?),
            kind::RECONFIG => Self::Reconfig(Reconfig::parse(value)?),
            kind::HEARTBEAT => Self::Heartbeat(at_least(kind, value, 4)?),
            kind::HEARTBEAT_ACK => Self::HeartbeatAck(at_least(kind, value, 4)?),
            kind::ABORT => Self::Abort(Causes::new(value, flags & REFLECTED != 0)),
            kind::ERROR => Self::Error(Causes::new(value, false)),
            kind::SHUTDOWN => Self::Shutdown(Tsn(u32_at(exactly(kind, value, 4)?, 0))),
            kind::SHUTDOWN_ACK => exactly(kind, value, 0).map(|_| Self::ShutdownAck)?,
            kind::SHUTDOWN_COMPLETE => {
                exactly(kind, value, 0).map(|_| Self::ShutdownComplete { is_reflected: flags & REFLECTED != 0 })?
            }
            kind::COOKIE_ECHO => Self::CookieEcho(at_least(kind, value, 1)?),
            kind::COOKIE_ACK => exactly(kind, value, 0).map(|_| Self::CookieAck)?,
            kind::PAD => Self::Pad,
            _ => Self::Unknown { kind, flags, value },
        })
    }
}

fn exactly(kind: u8, value: &[u8], len: usize) -> Result<&[u8], Malformed> {
    if value.len() == len { Ok(value) } else { Err(Malformed::ChunkLength(kind)) }
}

fn at_least(kind: u8, value: &[u8], len: usize) -> Result<&[u8], Malformed> {
    if value.len() >= len { Ok(value) } else { Err(Malformed::ChunkLength(kind)) }
}

/// Payload, with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<'a> {
    /// Its number.
    pub tsn: Tsn,
    /// The stream.
    pub stream: u16,
    /// What the message is, as [`ppid`](super::ppid) names it; 0 in an I-DATA that is not the first of its message.
    pub ppid: u32,
    /// Whether the message is given out when it is whole, whatever comes before it.
    pub is_unordered: bool,
    /// Whether it is the first of its message.
    pub is_begin: bool,
    /// Whether it is the last.
    pub is_end: bool,
    /// Whether it shall be acknowledged at once (RFC 7053).
    pub is_immediate: bool,
    /// Whether it is an I-DATA.
    pub is_interleaved: bool,
    /// Which message of its stream it is: the SSN, 16 bits, which means nothing if it is unordered; or the MID.
    pub message: u32,
    /// Which part of its message it is: the FSN, 0 in the first; always 0 in DATA.
    pub fragment: u32,
    /// The bytes; at least one.
    pub payload: &'a [u8],
}

impl<'a> Data<'a> {
    #[inline]
    fn parse(flags: u8, value: &'a [u8]) -> Result<Self, Malformed> {
        const FIXED: usize = DATA_HEADER - HEAD;
        let Some((fixed, payload)) = value.split_first_chunk::<FIXED>() else {
            return Err(Malformed::ChunkLength(kind::DATA));
        };
        let message = u32::from(u16_at(fixed, 6));
        Self { message, ppid: u32_at(fixed, 8), ..Self::common(flags, fixed, payload) }.checked()
    }

    #[inline]
    fn parse_interleaved(flags: u8, value: &'a [u8]) -> Result<Self, Malformed> {
        const FIXED: usize = IDATA_HEADER - HEAD;
        let Some((fixed, payload)) = value.split_first_chunk::<FIXED>() else {
            return Err(Malformed::ChunkLength(kind::I_DATA));
        };
        let data = Self { message: u32_at(fixed, 8), is_interleaved: true, ..Self::common(flags, fixed, payload) };
        let last = u32_at(fixed, 12);
        if data.is_begin { Self { ppid: last, ..data } } else { Self { fragment: last, ..data } }.checked()
    }

    #[inline]
    fn common(flags: u8, fixed: &[u8], payload: &'a [u8]) -> Self {
        Self {
            tsn: Tsn(u32_at(fixed, 0)),
            stream: u16_at(fixed, 4),
            ppid: 0,
            is_unordered: flags & UNORDERED != 0,
            is_begin: flags & BEGIN != 0,
            is_end: flags & END != 0,
            is_immediate: flags & IMMEDIATE != 0,
            is_interleaved: false,
            message: 0,
            fragment: 0,
            payload,
        }
    }

    #[inline]
    fn checked(self) -> Result<Self, Malformed> {
        if self.payload.is_empty() { Err(Malformed::EmptyData(self.tsn)) } else { Ok(self) }
    }
}

/// The chunks of a packet. After an error there are no more, nor after an unknown one that voids the rest.
#[derive(Debug, Clone)]
pub struct Chunks<'a> {
    rest: &'a [u8],
    is_first: bool,
}

impl<'a> Chunks<'a> {
    pub(super) const fn new(chunks: &'a [u8]) -> Self {
        Self { rest: chunks, is_first: true }
    }

    /// Takes the next chunk if it is DATA or I-DATA, and right; else it stays. A way round [`Chunk`], which is large, for
    /// who reads packets that hold little else.
    #[inline]
    pub fn take_data(&mut self) -> Option<Data<'a>> {
        let [kind, flags, high, low, ..] = *self.rest else { return None };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let value = self.rest.get(HEAD..len)?;
        let data = match kind {
            kind::DATA => Data::parse(flags, value),
            kind::I_DATA => Data::parse_interleaved(flags, value),
            _ => return None,
        };
        let data = data.ok()?;
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        self.is_first = false;
        Some(data)
    }

    #[inline]
    fn cut(&mut self) -> Result<Chunk<'a>, Malformed> {
        let [kind, flags, high, low, ..] = *self.rest else { return Err(Malformed::ChunkHead) };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len < HEAD {
            return Err(Malformed::ChunkTooShort(kind));
        }
        let Some(value) = self.rest.get(HEAD..len) else { return Err(Malformed::ChunkBeyondPacket(kind)) };
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        let is_first = std::mem::take(&mut self.is_first);
        if kind::is_alone(kind) && !(is_first && self.rest.is_empty()) {
            return Err(Malformed::NotAlone(kind));
        }
        if kind == kind::COOKIE_ECHO && !is_first {
            return Err(Malformed::NotFirst);
        }
        Chunk::read(kind, flags, value)
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let chunk = self.cut();
        match chunk {
            Err(_) => self.rest = &[],
            Ok(Chunk::Unknown { kind, .. }) if !kind::is_skipped(kind) => self.rest = &[],
            Ok(_) => {}
        }
        Some(chunk)
    }
}
