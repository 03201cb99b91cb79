//! WebSocket frames (RFC 6455, section 5): header, mask and the payload of a close frame.
//!
//! A header is refused at the first byte that breaks a rule, so the same bytes give the same answer however they
//! are cut. Lengths are written in the shortest form and accepted in no other (section 5.2).
//!
//! The mask is applied eight bytes at a time in a loop that compilers turn into vector instructions. A payload that
//! comes in pieces is unmasked piece by piece: [`Mask::rotated`] moves the mask to where the next piece begins.

use crate::machine::payload::Kind;

/// Most bytes of a frame's header.
pub const LONGEST_HEADER: usize = 14;

/// Most bytes of a control frame's payload (RFC 6455, section 5.5).
pub const LONGEST_CONTROL: usize = 125;

/// What a frame is (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// The next part of a fragmented message.
    Continuation = 0,
    /// A text message, or its first part.
    Text = 1,
    /// A binary message, or its first part.
    Binary = 2,
    /// The last frame of its direction.
    Close = 8,
    /// A question whether the other side is there.
    Ping = 9,
    /// The answer to it.
    Pong = 10,
}

impl Opcode {
    /// Whether it is about the connection and not part of a message.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn decode(nibble: u8) -> Result<Self, HeaderError> {
        Ok(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(HeaderError::ReservedOpcode(other)),
        })
    }
}

impl From<Kind> for Opcode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Binary => Self::Binary,
            Kind::Text => Self::Text,
        }
    }
}

/// What stands before a frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame ends its message; always true of a control frame.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The mask of the payload; a client's frames have one, a server's none.
    pub mask: Option<Mask>,
    /// Length of the payload in bytes, below 2^63; of a control frame at most [`LONGEST_CONTROL`].
    pub len: u64,
}

/// The rule that a frame's header breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No extension was negotiated that would give them a meaning.
    #[error("a reserved bit is set though no extension was negotiated (RFC 6455, section 5.2)")]
    ReservedBits,
    /// 3 to 7 and 11 to 15.
    #[error("opcode {0} is reserved (RFC 6455, section 5.2)")]
    ReservedOpcode(u8),
    /// A shorter form would have held the length.
    #[error("the length is not in its shortest form (RFC 6455, section 5.2)")]
    LengthNotMinimal,
    /// 2^63 or more.
    #[error("the top bit of a 64-bit length is set (RFC 6455, section 5.2)")]
    LengthTopBit,
    /// Above 125 bytes.
    #[error("a control frame is longer than 125 bytes (RFC 6455, section 5.5)")]
    ControlTooLong,
    /// A control frame without the final bit.
    #[error("a control frame is fragmented (RFC 6455, section 5.5)")]
    ControlFragmented,
}

impl Header {
    /// Appends it as on the wire.
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.len >> 63 == 0, "lengths stay below 2^63");
        debug_assert!(!self.opcode.is_control() || (self.fin && self.len <= LONGEST_CONTROL as u64));
        let mut head = [0; LONGEST_HEADER];
        head[0] = u8::from(self.fin) << 7 | self.opcode as u8;
        let mut size = self.encode_len(&mut head);
        if let Some(Mask(mask)) = self.mask {
            head[1] |= 0x80;
            head[size..size + 4].copy_from_slice(&mask);
            size += 4;
        }
        out.extend_from_slice(&head[..size]);
    }

    fn encode_len(&self, head: &mut [u8; LONGEST_HEADER]) -> usize {
        match self.len {
            0..=125 => {
                head[1] = self.len as u8;
                2
            }
            126..=0xffff => {
                head[1] = 126;
                head[2..4].copy_from_slice(&(self.len as u16).to_be_bytes());
                4
            }
            _ => {
                head[1] = 127;
                head[2..10].copy_from_slice(&self.len.to_be_bytes());
                10
            }
        }
    }

    /// Reads the header that `bytes` begin with, and how many bytes it took; `None` until it is there whole.
    ///
    /// # Errors
    /// The rule that is broken, as soon as the byte is there that breaks it.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeaderError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let (fin, opcode) = decode_first(first)?;
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if opcode.is_control() && second & 0x7f > LONGEST_CONTROL as u8 {
            return Err(HeaderError::ControlTooLong);
        }
        let Some((len, size)) = decode_len(second & 0x7f, bytes)? else { return Ok(None) };
        if second & 0x80 == 0 {
            return Ok(Some((Self { fin, opcode, mask: None, len }, size)));
        }
        let Some(mask) = array(bytes, size) else { return Ok(None) };
        Ok(Some((Self { fin, opcode, mask: Some(Mask(mask)), len }, size + 4)))
    }
}

fn decode_first(first: u8) -> Result<(bool, Opcode), HeaderError> {
    if first & 0x70 != 0 {
        return Err(HeaderError::ReservedBits);
    }
    let (fin, opcode) = (first & 0x80 != 0, Opcode::decode(first & 0x0f)?);
    if opcode.is_control() && !fin {
        return Err(HeaderError::ControlFragmented);
    }
    Ok((fin, opcode))
}

#[inline]
fn decode_len(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, HeaderError> {
    let (len, size, least) = match short {
        126 => (array(bytes, 2).map(|wide| u16::from_be_bytes(wide).into()), 4, 126),
        127 => (array(bytes, 2).map(u64::from_be_bytes), 10, 1 << 16),
        short => return Ok(Some((short.into(), 2))),
    };
    match len {
        Some(len) if len >> 63 != 0 => Err(HeaderError::LengthTopBit),
        Some(len) if len < least => Err(HeaderError::LengthNotMinimal),
        len => Ok(len.map(|len| (len, size))),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// What a client's payload is XORed with (RFC 6455, section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask([u8; 4]);

impl Mask {
    /// A mask from a random number.
    pub const fn new(random: u32) -> Self {
        Self(random.to_be_bytes())
    }

    /// The mask with these bytes, as on the wire.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// Masks what is plain and unmasks what is masked, from the payload's first byte on.
    #[inline]
    pub fn apply(self, data: &mut [u8]) {
        let Self([a, b, c, d]) = self;
        let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (chunks, tail) = data.as_chunks_mut();
        for chunk in chunks {
            *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
        }
        for (byte, key) in tail.iter_mut().zip(self.0.into_iter().cycle()) {
            *byte ^= key;
        }
    }

    /// The mask of what follows after `done` bytes.
    #[must_use]
    pub fn rotated(self, done: usize) -> Self {
        let mut bytes = self.0;
        bytes.rotate_left(done % 4);
        Self(bytes)
    }
}

/// Why a connection is closed: a code that may stand in a close frame (RFC 6455, section 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// What the connection was for is done.
    pub const NORMAL: Self = Self(1000);
    /// The server goes down, or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke a rule of the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A message of a kind that is not accepted.
    pub const UNSUPPORTED: Self = Self(1003);
    /// A message does not fit its kind: text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A message breaks the receiver's policy.
    pub const POLICY: Self = Self(1008);
    /// A message is too big for the receiver.
    pub const TOO_BIG: Self = Self(1009);
    /// The client needs an extension that the server did not negotiate.
    pub const MISSING_EXTENSION: Self = Self(1010);
    /// The server failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The server restarts (IANA registry).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The server is overloaded (IANA registry).
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// What stands behind the gateway failed (IANA registry).
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code with that number, if it may be sent: registered, or of the ranges for libraries (3000 to 3999) and
    /// for private use (4000 to 4999).
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl std::fmt::Display for CloseCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "close code {}", self.0)
    }
}

/// The payload of a close frame that has one (RFC 6455, section 5.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why.
    pub code: CloseCode,
    /// Why, for people; may be empty.
    pub reason: &'a str,
}

/// The rule that a close frame's payload breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// Neither empty nor as long as a code.
    #[error("a close frame holds one byte: half a code (RFC 6455, section 5.5.1)")]
    HalfCode,
    /// Reserved, or of no range that is in use.
    #[error("close code {0} must not be sent (RFC 6455, section 7.4)")]
    ForbiddenCode(u16),
    /// The reason is not text.
    #[error("the reason of a close frame is not UTF-8 (RFC 6455, section 5.5.1)")]
    ReasonNotUtf8,
}

impl<'a> Close<'a> {
    /// Longest reason in bytes.
    pub const LONGEST_REASON: usize = LONGEST_CONTROL - 2;

    /// Reads a close frame's payload; `None` when it is empty.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn decode(payload: &'a [u8]) -> Result<Option<Self>, CloseError> {
        let (code, reason) = match payload {
            [] => return Ok(None),
            [_] => return Err(CloseError::HalfCode),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        let code = CloseCode::new(code).ok_or(CloseError::ForbiddenCode(code))?;
        let reason = std::str::from_utf8(reason).map_err(|_| CloseError::ReasonNotUtf8)?;
        Ok(Some(Self { code, reason }))
    }

    /// Appends it as on the wire; a reason above [`LONGEST_REASON`](Self::LONGEST_REASON) is cut at a character.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.code.0.to_be_bytes());
        let mut end = self.reason.len().min(Self::LONGEST_REASON);
        while !self.reason.is_char_boundary(end) {
            end -= 1;
        }
        out.extend_from_slice(&self.reason.as_bytes()[..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(fin: bool, opcode: Opcode, mask: Option<Mask>, len: u64) -> Vec<u8> {
        let mut out = Vec::new();
        Header { fin, opcode, mask, len }.encode(&mut out);
        out
    }

    #[test]
    fn a_header_comes_back_as_it_was_and_only_when_whole() {
        for len in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, (1 << 63) - 1] {
            for mask in [None, Some(Mask::new(0x0102_0304))] {
                let bytes = encoded(false, Opcode::Text, mask, len);
                let header = Header { fin: false, opcode: Opcode::Text, mask, len };
                assert_eq!(Header::decode(&bytes), Ok(Some((header, bytes.len()))));
                assert!((0..bytes.len()).all(|cut| Header::decode(&bytes[..cut]) == Ok(None)));
            }
        }
    }

    #[test]
    fn lengths_take_the_shortest_form() {
        let size = |len| encoded(true, Opcode::Binary, None, len).len();
        assert_eq!([125, 126, 0xffff, 0x1_0000].map(size), [2, 4, 4, 10]);
    }

    #[test]
    fn each_broken_rule_has_its_own_error_at_the_first_byte_that_shows_it() {
        let cases: [(&[u8], HeaderError); 11] = [
            (&[0xc1], HeaderError::ReservedBits),
            (&[0x92], HeaderError::ReservedBits),
            (&[0x83], HeaderError::ReservedOpcode(3)),
            (&[0x8f], HeaderError::ReservedOpcode(15)),
            (&[0x09], HeaderError::ControlFragmented),
            (&[0x88, 126], HeaderError::ControlTooLong),
            (&[0x8a, 0xff], HeaderError::ControlTooLong),
            (&[0x82, 126, 0, 125], HeaderError::LengthNotMinimal),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], HeaderError::LengthNotMinimal),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], HeaderError::LengthTopBit),
            (&[0x02, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0], HeaderError::LengthTopBit),
        ];
        for (bytes, error) in cases {
            assert_eq!(Header::decode(bytes), Err(error), "{bytes:02x?}");
            assert_eq!(Header::decode(&bytes[..bytes.len() - 1]), Ok(None), "{bytes:02x?}");
        }
    }

    #[test]
    fn masking_in_pieces_is_masking_at_once() {
        let mask = Mask::from_bytes([0x37, 0xfa, 0x21, 0x3d]);
        let plain: Vec<u8> = (0..100).collect();
        let expected: Vec<u8> = plain.iter().zip(mask.0.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        for cut in 0..plain.len() {
            let mut data = plain.clone();
            let (front, back) = data.split_at_mut(cut);
            mask.apply(front);
            mask.rotated(cut).apply(back);
            assert_eq!(data, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_close_payload_comes_back_and_each_broken_rule_has_its_own_error() {
        let close = Close { code: CloseCode::GOING_AWAY, reason: "grüße" };
        let mut bytes = Vec::new();
        close.encode(&mut bytes);
        assert_eq!(Close::decode(&bytes), Ok(Some(close)));
        assert_eq!(Close::decode(&[]), Ok(None));
        assert_eq!(Close::decode(&[3]), Err(CloseError::HalfCode));
        assert_eq!(Close::decode(&[3, 0xe8, 0xff]), Err(CloseError::ReasonNotUtf8));
    }

    #[test]
    fn codes_that_must_not_be_sent_are_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert_eq!(Close::decode(&u16::to_be_bytes(code)), Err(CloseError::ForbiddenCode(code)));
        }
        for code in [1000, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code));
        }
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let mut bytes = Vec::new();
        Close { code: CloseCode::NORMAL, reason: &"ü".repeat(100) }.encode(&mut bytes);
        assert_eq!(bytes.len(), 2 + 122);
        assert!(Close::decode(&bytes).is_ok());
    }
}
