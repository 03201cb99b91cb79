//! How a data channel opens: one message each way (RFC 8832, section 5).

use super::{u16_at, u32_at};

const ACK: u8 = 2;
const OPEN: u8 = 3;
/// Bytes of OPEN before the label.
const FIXED: usize = 12;

/// A message of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A channel opens.
    Open(Open<'a>),
    /// It does.
    Ack,
}

/// A channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open<'a> {
    /// In which order and how surely it delivers.
    pub channel_type: ChannelType,
    /// Its weight: 128 is below normal, 256 normal, 512 high, 1,024 extra high (RFC 8831, section 6.4).
    pub priority: u16,
    /// How often a message is sent again at most, or how many milliseconds it lives; nothing for reliable channels.
    pub reliability: u32,
    /// Its name, at most 65,535 bytes.
    pub label: &'a str,
    /// Its protocol, at most 65,535 bytes.
    pub protocol: &'a str,
}

/// In which order and how surely a channel delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelType {
    /// All, in order.
    Reliable,
    /// All, in any order.
    ReliableUnordered,
    /// In order what a limited count of attempts brings over.
    Retransmits,
    /// The same in any order.
    RetransmitsUnordered,
    /// In order what is over in time.
    Lifetime,
    /// The same in any order.
    LifetimeUnordered,
}

/// Each with its number on the wire.
const TYPES: [(ChannelType, u8); 6] = [
    (ChannelType::Reliable, 0x00),
    (ChannelType::ReliableUnordered, 0x80),
    (ChannelType::Retransmits, 0x01),
    (ChannelType::RetransmitsUnordered, 0x81),
    (ChannelType::Lifetime, 0x02),
    (ChannelType::LifetimeUnordered, 0x82),
];

impl ChannelType {
    /// Whether it delivers in order.
    pub const fn is_ordered(self) -> bool {
        self.code() & 0x80 == 0
    }

    const fn code(self) -> u8 {
        TYPES[self as usize].1
    }

    fn of(code: u8) -> Result<Self, Malformed> {
        let known = TYPES.iter().find(|(_, other)| *other == code);
        known.map(|(channel_type, _)| *channel_type).ok_or(Malformed::ChannelType(code))
    }
}

/// Why a message is none; each is one rule broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// It has no byte, or its type is not known.
    #[error("it is neither OPEN nor ACK")]
    Kind,
    /// An OPEN is shorter or longer than its fields.
    #[error("its length is not that of its fields")]
    Length,
    /// The channel's type is not known.
    #[error("channels of type {0:#04x} are not known")]
    ChannelType(u8),
    /// Label or protocol is not UTF-8.
    #[error("label or protocol is not UTF-8")]
    Utf8,
}

/// Whether a message begins as an OPEN: one that can't be read closes its channel (RFC 8832, section 6).
pub fn is_open(bytes: &[u8]) -> bool {
    bytes.first() == Some(&OPEN)
}

impl<'a> Message<'a> {
    /// Reads a message. Whatever follows the type of an ACK is ignored: its one byte says all (section 5.2).
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes {
            // pion's is four bytes long.
            [ACK, ..] => Ok(Self::Ack),
            [OPEN, ..] => Open::parse(bytes).map(Self::Open),
            _ => Err(Malformed::Kind),
        }
    }

    /// Appends it.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open(open) => open.emit(out),
            Self::Ack => out.push(ACK),
        }
    }
}

impl<'a> Open<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let Some((fixed, texts)) = bytes.split_first_chunk::<FIXED>() else { return Err(Malformed::Length) };
        let (label, protocol) = (usize::from(u16_at(fixed, 8)), usize::from(u16_at(fixed, 10)));
        if texts.len() != label + protocol {
            return Err(Malformed::Length);
        }
        let (label, protocol) = texts.split_at(label);
        let text = |bytes| str::from_utf8(bytes).map_err(|_| Malformed::Utf8);
        Ok(Self {
            channel_type: ChannelType::of(fixed[1])?,
            priority: u16_at(fixed, 2),
            reliability: u32_at(fixed, 4),
            label: text(label)?,
            protocol: text(protocol)?,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let (label, protocol) = (self.label.as_bytes(), self.protocol.as_bytes());
        out.extend_from_slice(&[OPEN, self.channel_type.code()]);
        out.extend_from_slice(&self.priority.to_be_bytes());
        out.extend_from_slice(&self.reliability.to_be_bytes());
        out.extend_from_slice(&super::list::length(label.len()).to_be_bytes());
        out.extend_from_slice(&super::list::length(protocol.len()).to_be_bytes());
        out.extend_from_slice(label);
        out.extend_from_slice(protocol);
    }
}
