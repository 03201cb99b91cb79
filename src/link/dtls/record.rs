//! The forms of records, messages and alerts, of both versions.
//!
//! A record of DTLS 1.2, and one without protection in either version, has 13 bytes before its text (RFC 6347, section
//! 4.1). One of DTLS 1.3 has a *unified* head of 2 to 5 bytes, whose number is masked and cut (RFC 9147, section 4). Own
//! records of DTLS 1.3 always have 16 bits of number and a length.

use super::suite::TAG;

/// Content types (RFC 8446, section 5.1; RFC 9147, section 7).
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION: u8 = 23;
pub(super) const ACK: u8 = 26;

/// The version field of a protected record of DTLS 1.2.
pub(super) const VERSION_12: [u8; 2] = [0xfe, 0xfd];
/// Bytes before the text of a record of DTLS 1.2, the explicit nonce not counted.
pub(super) const HEAD_12: usize = 13;
/// Bytes before the text of our records of DTLS 1.3.
pub(super) const HEAD_13: usize = 5;
/// The longest text of a record (RFC 6347, section 4.1.1).
pub(super) const LONGEST: usize = 1 << 14;

/// Unified heads (RFC 9147, section 4): what says that it is one, and the bits of what is there.
const UNIFIED: u8 = 0b0010_0000;
const IS_UNIFIED: u8 = 0b1110_0000;
const HAS_ID: u8 = 0b0001_0000;
const HAS_LONG_NUMBER: u8 = 0b0000_1000;
const HAS_LENGTH: u8 = 0b0000_0100;
const EPOCH: u8 = 0b0000_0011;

/// Bytes of ciphertext from which the mask of a number is made: a tag is as long, so that every record has them.
pub(super) const SAMPLE: usize = 16;

/// A record with 13 bytes of head.
pub(super) struct Plain {
    pub(super) kind: u8,
    /// 16 bits of epoch and 48 of number.
    pub(super) number: u64,
    /// Bytes of the whole record.
    pub(super) len: usize,
}

impl Plain {
    /// Reads the head of the first record of a datagram; none if it does not lie in the datagram.
    #[inline]
    pub(super) fn parse(datagram: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD_12] = datagram.first_chunk()?;
        let number = u64::from_be_bytes(head[3..11].try_into().ok()?);
        let len = HEAD_12 + usize::from(u16::from_be_bytes([head[11], head[12]]));
        (head[1] == VERSION_12[0] && len <= datagram.len()).then_some(Self { kind: head[0], number, len })
    }
}

/// A record with a unified head.
pub(super) struct Unified {
    /// The last two bits of the epoch.
    pub(super) epoch: u8,
    /// Bytes of number, which follow the first byte: one or two.
    pub(super) number: usize,
    /// Bytes of the head.
    pub(super) head: usize,
    /// Bytes of the whole record.
    pub(super) len: usize,
}

impl Unified {
    /// Whether a record with this first byte has a unified head.
    pub(super) const fn is_first(byte: u8) -> bool {
        byte & IS_UNIFIED == UNIFIED
    }

    /// Reads the head of the first record of a datagram; none if it does not lie in the datagram, or has a connection
    /// id, which we never ask for.
    #[inline]
    pub(super) fn parse(datagram: &[u8]) -> Option<Self> {
        let flags = *datagram.first()?;
        let number = if flags & HAS_LONG_NUMBER != 0 { 2 } else { 1 };
        let (head, len) = match flags & HAS_LENGTH != 0 {
            true => {
                let length: &[u8; 2] = datagram.get(1 + number..)?.first_chunk()?;
                (number + 3, number + 3 + usize::from(u16::from_be_bytes(*length)))
            }
            false => (number + 1, datagram.len()),
        };
        let is_whole = flags & HAS_ID == 0 && len <= datagram.len() && len > head + TAG;
        is_whole.then_some(Self { epoch: flags & EPOCH, number, head, len })
    }

    /// The head of one of our records, its number not yet masked.
    #[inline]
    pub(super) const fn emit(epoch: u64, number: u64, len: u16) -> [u8; HEAD_13] {
        let [high, low] = (number as u16).to_be_bytes();
        let length = len.to_be_bytes();
        [UNIFIED | HAS_LONG_NUMBER | HAS_LENGTH | epoch as u8 & EPOCH, high, low, length[0], length[1]]
    }
}

/// The number nearest to `expected` whose last `bytes` bytes are `cut` (RFC 9147, section 4.2.2).
#[inline]
pub(super) const fn whole(cut: u64, bytes: usize, expected: u64) -> u64 {
    let turn = 1 << (8 * bytes);
    let near = expected & !(turn - 1) | cut;
    if near > expected + turn / 2 && near >= turn {
        near - turn
    } else if near + turn / 2 < expected {
        near + turn
    } else {
        near
    }
}

/// What a text of DTLS 1.3 holds: its content type is the last byte that is not padding. None if all is padding.
#[inline]
pub(super) fn content(text: &[u8]) -> Option<(u8, &[u8])> {
    let last = text.iter().rposition(|byte| *byte != 0)?;
    Some((text[last], &text[..last]))
}

/// The head of a message of the handshake (RFC 9147, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    /// Bytes of the message without its head.
    pub(super) len: u32,
    /// The number of the message.
    pub(super) number: u16,
    /// Where the fragment begins.
    pub(super) offset: u32,
}

/// A fragment of a message, and what follows it in its record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) message: Message,
    pub(super) body: &'a [u8],
    pub(super) rest: &'a [u8],
}

/// Bytes of the head of a message.
pub(super) const MESSAGE_HEAD: usize = 12;

impl Message {
    /// Kinds of messages (RFC 8446, section 4).
    pub(super) const NEW_SESSION_TICKET: u8 = 4;
    pub(super) const KEY_UPDATE: u8 = 24;

    /// Reads the first fragment of a message in a text; none if it is not whole.
    pub(super) fn parse(text: &[u8]) -> Option<Fragment<'_>> {
        let (head, rest) = text.split_first_chunk::<MESSAGE_HEAD>()?;
        let long = |at: usize| u32::from_be_bytes([0, head[at], head[at + 1], head[at + 2]]);
        let number = u16::from_be_bytes([head[4], head[5]]);
        let message = Self { kind: head[0], len: long(1), number, offset: long(6) };
        let (body, rest) = rest.split_at_checked(long(9) as usize)?;
        Some(Fragment { message, body, rest })
    }

    /// A message in one fragment.
    pub(super) fn emit(&self) -> [u8; MESSAGE_HEAD] {
        let ([_, a, b, c], [x, y]) = (self.len.to_be_bytes(), self.number.to_be_bytes());
        [self.kind, a, b, c, x, y, 0, 0, 0, a, b, c]
    }
}

/// Alerts (RFC 8446, section 6).
pub(super) const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// An alert as it goes onto the wire.
pub(super) const fn alert(description: u8) -> [u8; 2] {
    [if description == CLOSE_NOTIFY { WARNING } else { FATAL }, description]
}

/// Whether an alert of DTLS 1.2 ends the connection.
pub(super) const fn is_last_12(level: u8, description: u8) -> bool {
    level == FATAL || description == CLOSE_NOTIFY
}

/// Whether an alert of DTLS 1.3 ends the connection: its level says nothing.
pub(super) const fn is_last_13(description: u8) -> bool {
    description != USER_CANCELED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_number_means_the_nearest_one() {
        for expected in (0..70_000).step_by(7).chain([(1 << 40) + 3]) {
            for far in [0, 1, 100, 32_000] {
                assert_eq!(whole((expected + far) & 0xffff, 2, expected), expected + far);
                let before: u64 = expected.saturating_sub(far);
                assert_eq!(whole(before & 0xffff, 2, expected), before);
            }
        }
        assert_eq!(whole(0xff, 1, 0x100), 0xff);
        assert_eq!(whole(0x01, 1, 0x1ff), 0x201);
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = Message { kind: Message::KEY_UPDATE, len: 1, number: 0x0102, offset: 0 };
        let text = [&message.emit()[..], &[1, 9]].concat();
        assert_eq!(Message::parse(&text), Some(Fragment { message, body: &[1], rest: &[9] }));
        assert_eq!(Message::parse(&text[..MESSAGE_HEAD]), None);
    }

    #[test]
    fn a_unified_head_is_read_as_it_was_written() {
        let mut record = [&Unified::emit(7, 0x1_2345, 40)[..], &[0; 41]].concat();
        let head = Unified::parse(&record).unwrap();
        assert_eq!((head.epoch, head.number, head.head, head.len), (3, 2, 5, 45));
        assert_eq!(record[1..3], [0x23, 0x45]);
        record[0] &= !HAS_LENGTH;
        assert_eq!(Unified::parse(&record).map(|head| (head.head, head.len)), Some((3, 46)));
        record[0] |= HAS_ID;
        assert!(Unified::parse(&record).is_none());
    }
}
