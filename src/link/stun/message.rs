//! Binding messages and their attributes (RFC 8489, sections 5 and 14; RFC 5780, section 7).
//!
//! The codec underneath is `stun-types`; no type of it is public here. It would take trailing bytes and unpadded
//! lengths, so the frame is checked before it is asked.

use std::net::SocketAddr;

use stun_types::attribute::{
    Attribute as _, AttributeStaticType as _, AttributeType, AttributeWrite, ErrorCode, MappedSocketAddr, RawAttribute,
    Software, UnknownAttributes, Username, XorMappedAddress,
};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message as Parsed, MessageClass, MessageHeader, MessageIntegrityCredentials,
    MessageType, MessageWrite as _, MessageWriteExt as _, MessageWriteVec, ShortTermCredentials, StunParseError,
};

use crate::machine::rng::Rng;

const MAPPED_ADDRESS: u16 = 0x0001;
pub(super) const CHANGE_REQUEST: u16 = 0x0003;
const PADDING: u16 = 0x0026;
const RESPONSE_PORT: u16 = 0x0027;
const RESPONSE_ORIGIN: u16 = 0x802b;
const OTHER_ADDRESS: u16 = 0x802c;
/// Flags of CHANGE-REQUEST (RFC 5780, section 7.2).
const CHANGE_IP_FLAG: u8 = 0b100;
const CHANGE_PORT_FLAG: u8 = 0b010;
/// What comes before the attributes, in bytes.
const HEADER: usize = 20;
/// The largest padding, in bytes: an Ethernet's MTU.
const LARGEST_PADDING: u16 = 1500;
/// Unknown attributes that an answer lists; a request has room for thousands.
const MOST_UNKNOWN: usize = 16;

/// Attributes below 0x8000 that are understood, or may be ignored although they are there (RFC 8489, section 14).
const UNDERSTOOD: [u16; 14] = [
    MAPPED_ADDRESS,
    CHANGE_REQUEST,
    0x0006, // USERNAME
    0x0008, // MESSAGE-INTEGRITY
    0x0009, // ERROR-CODE
    0x000a, // UNKNOWN-ATTRIBUTES
    0x0014, // REALM
    0x0015, // NONCE
    0x001c, // MESSAGE-INTEGRITY-SHA256
    0x001d, // PASSWORD-ALGORITHM
    0x001e, // USERHASH
    0x0020, // XOR-MAPPED-ADDRESS
    PADDING,
    RESPONSE_PORT,
];

/// What tells transactions apart: 96 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    /// A new one.
    pub fn random(rng: &mut Rng) -> Self {
        Self(rng.array())
    }

    fn to_codec(self) -> stun_types::message::TransactionId {
        let mut wide = [0; 16];
        wide[4..].copy_from_slice(&self.0);
        u128::from_be_bytes(wide).into()
    }

    fn from_codec(id: stun_types::message::TransactionId) -> Self {
        let wide = u128::from(id).to_be_bytes();
        let mut narrow = [0; 12];
        narrow.copy_from_slice(&wide[4..]);
        Self(narrow)
    }
}

/// From where a server shall answer (CHANGE-REQUEST).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// From its other address.
    pub address: bool,
    /// From its other port.
    pub port: bool,
}

impl Change {
    /// From where it was asked.
    pub const NONE: Self = Self { address: false, port: false };
    /// From the other port of the same address.
    pub const PORT: Self = Self { address: false, port: true };
    /// From the other address and port.
    pub const BOTH: Self = Self { address: true, port: true };
}

/// A binding request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// From where it shall be answered.
    pub change: Change,
    /// To which port of its sender it shall be answered, if not to the one that it came from.
    pub response_port: Option<u16>,
    /// How many bytes of padding it carries, at most 1500; the answer carries as many.
    pub padding: Option<u16>,
    /// For whom it is and from whom, as ICE has it: at most 508 bytes.
    pub username: Option<String>,
}

/// A success response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Success {
    /// Where the request came from: XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS as servers of RFC 3489 have it.
    pub mapped: Option<SocketAddr>,
    /// Where the answer was sent from, as the server knows it.
    pub origin: Option<SocketAddr>,
    /// The server's other address and port.
    pub other: Option<SocketAddr>,
    /// Bytes of padding, at most 1500.
    pub padding: Option<u16>,
    /// What the server calls itself, at most 763 bytes.
    pub software: Option<String>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A binding request.
    Request {
        /// What is asked for.
        request: Request,
        /// Attributes that must be understood and are not, at most 16.
        unknown: Vec<u16>,
    },
    /// A binding was told.
    Success(Success),
    /// It was refused.
    Error {
        /// Why: 300 to 699 (RFC 8489, section 14.8).
        code: u16,
    },
    /// Nothing that wants an answer.
    Indication,
}

/// Why a datagram is no binding message; each is one rule broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Malformed {
    /// The first two bits or the magic cookie are not STUN's.
    #[error("not STUN")]
    NotStun,
    /// It is shorter or longer than its header says, or not a multiple of four.
    #[error("its length is not what its header says")]
    Length,
    /// An attribute does not fit into the message.
    #[error("an attribute is longer than the message")]
    Attributes,
    /// Something follows the signature or the fingerprint.
    #[error("an attribute follows the signature")]
    Order,
    /// The fingerprint is another message's.
    #[error("its fingerprint is wrong")]
    Fingerprint,
    /// An attribute's value is not of its form.
    #[error("attribute {0:#06x} has a wrong value")]
    Value(u16),
    /// The method is not Binding.
    #[error("its method is not Binding")]
    Method,
    /// An error response without a code.
    #[error("an error response without a code")]
    NoErrorCode,
}

impl From<StunParseError> for Malformed {
    fn from(error: StunParseError) -> Self {
        match error {
            StunParseError::NotStun => Self::NotStun,
            StunParseError::FingerprintMismatch => Self::Fingerprint,
            StunParseError::AttributeAfterIntegrity(_) | StunParseError::AttributeAfterFingerprint(_) => Self::Order,
            _ => Self::Attributes,
        }
    }
}

/// A message that was parsed.
#[derive(Debug)]
pub struct Message<'a> {
    parsed: Parsed<'a>,
    /// Of which transaction it is.
    pub id: TransactionId,
    /// What it says.
    pub body: Body,
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        check_frame(data)?;
        let parsed = Parsed::from_bytes(data)?;
        check_order(&parsed, data)?;
        if parsed.method() != BINDING {
            return Err(Malformed::Method);
        }
        let body = match parsed.class() {
            MessageClass::Request => Body::Request { request: read_request(&parsed)?, unknown: unknown(&parsed) },
            MessageClass::Success => Body::Success(read_success(&parsed)?),
            MessageClass::Error => Body::Error { code: read_code(&parsed)? },
            MessageClass::Indication => Body::Indication,
        };
        Ok(Self { id: TransactionId::from_codec(parsed.transaction_id()), parsed, body })
    }

    /// Whether it carries a signature by that password that is right (RFC 8489, section 9.1).
    pub fn is_signed_by(&self, password: &str) -> bool {
        self.parsed.validate_integrity(&credentials(password)).is_ok()
    }
}

fn check_frame(data: &[u8]) -> Result<(), Malformed> {
    let header = MessageHeader::from_bytes(data).map_err(|error| match error {
        StunParseError::NotStun => Malformed::NotStun,
        _ => Malformed::Length,
    })?;
    let length = usize::from(header.data_length());
    if length % 4 != 0 || HEADER + length != data.len() {
        return Err(Malformed::Length);
    }
    Ok(())
}

/// The codec ends at what may not follow a signature instead of refusing it (RFC 8489, section 14.5).
fn check_order(parsed: &Parsed<'_>, data: &[u8]) -> Result<(), Malformed> {
    let last = parsed.iter_attributes().last();
    let end =
        last.map_or(HEADER, |(offset, attribute)| offset + 4 + usize::from(attribute.length()).next_multiple_of(4));
    if end == data.len() { Ok(()) } else { Err(Malformed::Order) }
}

fn read_request(parsed: &Parsed<'_>) -> Result<Request, Malformed> {
    Ok(Request {
        change: read(parsed, CHANGE_REQUEST, change_from)?.unwrap_or_default(),
        response_port: read(parsed, RESPONSE_PORT, port_from)?,
        padding: read(parsed, PADDING, padding_from)?,
        username: read(parsed, Username::TYPE.value(), |value| text_from(value, 508))?,
    })
}

fn read_success(parsed: &Parsed<'_>) -> Result<Success, Malformed> {
    let mapped = match parsed.raw_attribute(XorMappedAddress::TYPE) {
        Some(raw) => {
            let address = XorMappedAddress::try_from(&raw);
            let address = address.map_err(|_| Malformed::Value(XorMappedAddress::TYPE.value()))?;
            Some(address.addr(parsed.transaction_id()))
        }
        None => read_address(parsed, MAPPED_ADDRESS)?,
    };
    Ok(Success {
        mapped,
        origin: read_address(parsed, RESPONSE_ORIGIN)?,
        other: read_address(parsed, OTHER_ADDRESS)?,
        padding: read(parsed, PADDING, padding_from)?,
        software: read(parsed, Software::TYPE.value(), |value| text_from(value, 763))?,
    })
}

fn read_code(parsed: &Parsed<'_>) -> Result<u16, Malformed> {
    let raw = parsed.raw_attribute(ErrorCode::TYPE).ok_or(Malformed::NoErrorCode)?;
    let code = ErrorCode::try_from(&raw).map_err(|_| Malformed::Value(ErrorCode::TYPE.value()))?;
    Ok(code.code())
}

fn read_address(parsed: &Parsed<'_>, kind: u16) -> Result<Option<SocketAddr>, Malformed> {
    let Some(raw) = parsed.raw_attribute(AttributeType::new(kind)) else { return Ok(None) };
    let address = MappedSocketAddr::from_raw(&raw).map_err(|_| Malformed::Value(kind))?;
    Ok(Some(address.addr()))
}

/// The first attribute of that kind; later ones are ignored (RFC 8489, section 14).
fn read<T>(parsed: &Parsed<'_>, kind: u16, from: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Malformed> {
    let Some(raw) = parsed.raw_attribute(AttributeType::new(kind)) else { return Ok(None) };
    from(&raw.value).map(Some).ok_or(Malformed::Value(kind))
}

fn change_from(value: &[u8]) -> Option<Change> {
    let [_, _, _, flags] = *value else { return None };
    Some(Change { address: flags & CHANGE_IP_FLAG != 0, port: flags & CHANGE_PORT_FLAG != 0 })
}

/// Two bytes of port; some senders leave out the two reserved bytes (RFC 5780, section 7.5).
fn port_from(value: &[u8]) -> Option<u16> {
    match *value {
        [high, low] | [high, low, _, _] => Some(u16::from_be_bytes([high, low])).filter(|port| *port > 0),
        _ => None,
    }
}

fn padding_from(value: &[u8]) -> Option<u16> {
    u16::try_from(value.len()).ok().filter(|length| *length <= LARGEST_PADDING)
}

fn text_from(value: &[u8], most: usize) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    (text.len() <= most).then(|| text.to_owned())
}

fn unknown(parsed: &Parsed<'_>) -> Vec<u16> {
    let kinds = parsed.iter_attributes().map(|(_, attribute)| attribute.get_type());
    let unknown = kinds.filter(|kind| kind.comprehension_required()).map(|kind| kind.value());
    unknown.filter(|kind| !UNDERSTOOD.contains(kind)).take(MOST_UNKNOWN).collect()
}

impl Request {
    /// Writes it, with a fingerprint.
    pub fn encode(&self, id: TransactionId) -> Vec<u8> {
        self.writer(id).finish(None)
    }

    /// Writes it, signed by that password, with a fingerprint.
    pub fn encode_signed(&self, id: TransactionId, password: &str) -> Vec<u8> {
        self.writer(id).finish(Some(password))
    }

    fn writer(&self, id: TransactionId) -> Writer {
        let mut writer = Writer::new(MessageClass::Request, id);
        let Change { address, port } = self.change;
        if self.change != Change::NONE {
            let flags = if address { CHANGE_IP_FLAG } else { 0 } | if port { CHANGE_PORT_FLAG } else { 0 };
            writer.raw(CHANGE_REQUEST, &[0, 0, 0, flags]);
        }
        if let Some(port) = self.response_port {
            let [high, low] = port.to_be_bytes();
            writer.raw(RESPONSE_PORT, &[high, low, 0, 0]);
        }
        if let Some(name) = &self.username {
            writer.raw(Username::TYPE.value(), name.as_bytes());
        }
        writer.padding(self.padding);
        writer
    }
}

impl Success {
    /// Writes it, with a fingerprint.
    pub fn encode(&self, id: TransactionId) -> Vec<u8> {
        self.writer(id).finish(None)
    }

    /// Writes it, signed by that password, with a fingerprint.
    pub fn encode_signed(&self, id: TransactionId, password: &str) -> Vec<u8> {
        self.writer(id).finish(Some(password))
    }

    fn writer(&self, id: TransactionId) -> Writer {
        let mut writer = Writer::new(MessageClass::Success, id);
        if let Some(mapped) = self.mapped {
            let xored = XorMappedAddress::new(mapped, id.to_codec());
            writer.attribute(&xored);
        }
        for (kind, address) in [(RESPONSE_ORIGIN, self.origin), (OTHER_ADDRESS, self.other)] {
            if let Some(address) = address {
                writer.attribute(&MappedSocketAddr::new(address).to_raw(AttributeType::new(kind)));
            }
        }
        writer.padding(self.padding);
        writer.software(self.software.as_deref());
        writer
    }
}

/// Writes an error response; `unknown` is what a 420 is about.
pub fn encode_error(id: TransactionId, code: u16, unknown: &[u16], software: Option<&str>) -> Vec<u8> {
    let mut writer = Writer::new(MessageClass::Error, id);
    let reason = ErrorCode::default_reason_for_code(code);
    if let Ok(error) = ErrorCode::new(code, reason) {
        writer.attribute(&error);
    }
    if !unknown.is_empty() {
        let kinds: Vec<_> = unknown.iter().map(|kind| AttributeType::new(*kind)).collect();
        writer.attribute(&UnknownAttributes::new(&kinds));
    }
    writer.software(software);
    writer.finish(None)
}

/// Appends attributes. The codec refuses only what exceeds a datagram or follows a fingerprint, neither of which
/// occurs here, so its results are dropped.
struct Writer(MessageWriteVec);

impl Writer {
    fn new(class: MessageClass, id: TransactionId) -> Self {
        let kind = MessageType::from_class_method(class, BINDING);
        Self(Parsed::builder(kind, id.to_codec(), MessageWriteVec::new()))
    }

    fn attribute(&mut self, attribute: &dyn AttributeWrite) {
        _ = self.0.add_attribute(attribute);
    }

    fn raw(&mut self, kind: u16, value: &[u8]) {
        self.attribute(&RawAttribute::new(AttributeType::new(kind), value));
    }

    fn padding(&mut self, length: Option<u16>) {
        if let Some(length) = length {
            self.raw(PADDING, &vec![0; usize::from(length.min(LARGEST_PADDING))]);
        }
    }

    fn software(&mut self, software: Option<&str>) {
        if let Some(Ok(software)) = software.map(Software::new) {
            self.attribute(&software);
        }
    }

    fn finish(mut self, password: Option<&str>) -> Vec<u8> {
        if let Some(password) = password {
            _ = self.0.add_message_integrity(&credentials(password), IntegrityAlgorithm::Sha1);
        }
        _ = self.0.add_fingerprint();
        self.0.finish()
    }
}

fn credentials(password: &str) -> MessageIntegrityCredentials {
    ShortTermCredentials::new(password.to_owned()).into()
}

#[cfg(test)]
mod tests;
