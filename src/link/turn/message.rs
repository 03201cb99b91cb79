//! TURN's messages as far as a client writes and reads them (RFC 8656, sections 11.7 and 18).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use smallvec::SmallVec;
use turn_client_proto::types::AddressFamily;
use turn_client_proto::types::attribute::{
    AdditionalAddressFamily, ChannelNumber, Data, Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
    XorRelayedAddress,
};
use turn_client_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, DATA, REFRESH, SEND};
use turn_client_proto::types::stun::attribute::{
    AlternateServer, ErrorCode, MessageIntegrity, MessageIntegritySha256, Nonce, Realm, Username, XorMappedAddress,
};
use turn_client_proto::types::stun::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass, MessageHeader, MessageType,
    MessageWriteVec, Method, TransactionId,
};
use turn_client_proto::types::stun::prelude::{
    Attribute as _, AttributeFromRaw as _, AttributeStaticType as _, MessageWrite as _, MessageWriteExt as _,
};

use crate::machine::rng::Rng;
use crate::wire::ice_server::Secret;

/// What is asked for when an allocation is made or renewed, in seconds: ten minutes, which servers have by default.
const LIFETIME: u32 = 600;
/// Bytes of a channel message before its data.
const CHANNEL_HEADER: usize = 4;
/// Bytes of a STUN message before its attributes.
const HEADER: usize = 20;
/// Relayed addresses that are read of an answer.
const MOST_RELAYED: usize = 4;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Allocate { ipv4: bool, ipv6: bool },
    Refresh { release: bool },
    Permit(IpAddr),
    Bind(u16, SocketAddr),
}

impl Ask {
    pub(super) const fn method(&self) -> Method {
        match self {
            Self::Allocate { .. } => ALLOCATE,
            Self::Refresh { .. } => REFRESH,
            Self::Permit(_) => CREATE_PERMISSION,
            Self::Bind(..) => CHANNEL_BIND,
        }
    }
}

/// Who signs requests, and by what nonce.
pub(super) struct Signer {
    username: String,
    realm: String,
    nonce: String,
    key: IntegrityKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("username", &self.username).field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl Signer {
    /// None: a name that STUN can't carry.
    pub(super) fn new(username: &str, credential: &Secret, realm: String, nonce: String) -> Option<Self> {
        Username::new(username).ok()?;
        let credentials =
            LongTermKeyCredentials::new(username.to_owned(), credential.reveal().to_owned(), realm.clone());
        let key = credentials.make_key(IntegrityAlgorithm::Sha1);
        Some(Self { username: username.to_owned(), realm, nonce, key })
    }

    /// The same realm and nonce for another user.
    pub(super) fn for_user(&self, username: &str, credential: &Secret) -> Option<Self> {
        Self::new(username, credential, self.realm.clone(), self.nonce.clone())
    }

    pub(super) fn has_signed(&self, data: &[u8]) -> bool {
        Message::from_bytes(data).is_ok_and(|message| message.validate_integrity_with_key(&self.key).is_ok())
    }

    fn sign(&self, message: &mut MessageWriteVec) -> Option<()> {
        message.add_attribute(&Username::new(&self.username).ok()?).ok()?;
        message.add_attribute(&Realm::new(&self.realm).ok()?).ok()?;
        message.add_attribute(&Nonce::new(&self.nonce).ok()?).ok()?;
        message.add_message_integrity_with_key(&self.key, IntegrityAlgorithm::Sha1).ok()
    }
}

fn transaction(rng: &mut Rng) -> TransactionId {
    (u128::from(rng.u64()) << 64 | u128::from(rng.u64())).into()
}

/// Writes a request: its transaction and its bytes.
pub(super) fn request(rng: &mut Rng, ask: &Ask, signer: Option<&Signer>) -> (u128, Vec<u8>) {
    let id = transaction(rng);
    let kind = MessageType::from_class_method(MessageClass::Request, ask.method());
    let mut message = Message::builder(kind, id, MessageWriteVec::new());
    // The codec refuses only what comes twice, follows a signature, or exceeds a message: nothing here does.
    _ = describe(ask, id, &mut message);
    _ = signer.map(|signer| signer.sign(&mut message));
    (id.into(), message.finish())
}

fn describe(ask: &Ask, id: TransactionId, message: &mut MessageWriteVec) -> Option<()> {
    match *ask {
        Ask::Allocate { ipv4, ipv6 } => {
            message.add_attribute(&RequestedTransport::new(RequestedTransport::UDP)).ok()?;
            message.add_attribute(&Lifetime::new(LIFETIME)).ok()?;
            match (ipv4, ipv6) {
                (true, true) => message.add_attribute(&AdditionalAddressFamily::new(AddressFamily::IPV6)).ok(),
                (false, true) => message.add_attribute(&RequestedAddressFamily::new(AddressFamily::IPV6)).ok(),
                (_, false) => Some(()),
            }
        }
        Ask::Refresh { release } => message.add_attribute(&Lifetime::new(if release { 0 } else { LIFETIME })).ok(),
        Ask::Permit(peer) => message.add_attribute(&XorPeerAddress::new(SocketAddr::new(peer, 0), id)).ok(),
        Ask::Bind(channel, peer) => {
            message.add_attribute(&ChannelNumber::new(channel)).ok()?;
            message.add_attribute(&XorPeerAddress::new(peer, id)).ok()
        }
    }
}

/// Wraps a datagram for a peer without a channel; none: it is too large.
pub(super) fn send_indication(rng: &mut Rng, peer: SocketAddr, data: &[u8]) -> Option<Vec<u8>> {
    let id = transaction(rng);
    let kind = MessageType::from_class_method(MessageClass::Indication, SEND);
    let mut message = Message::builder(kind, id, MessageWriteVec::new());
    message.add_attribute(&XorPeerAddress::new(peer, id)).ok()?;
    message.add_attribute(&Data::new(data)).ok()?;
    Some(message.finish())
}

/// Wraps a datagram for the peer of a channel. On a stream it is padded to a multiple of four (section 12.5).
pub(super) fn channel_data(channel: u16, data: &[u8], stream: bool) -> Vec<u8> {
    let mut message = Vec::with_capacity((CHANNEL_HEADER + data.len()).next_multiple_of(4));
    message.extend_from_slice(&channel.to_be_bytes());
    message.extend_from_slice(&(data.len() as u16).to_be_bytes());
    message.extend_from_slice(data);
    if stream {
        message.resize(message.len().next_multiple_of(4), 0);
    }
    message
}

/// A message of the server.
#[derive(Debug)]
pub(super) enum Incoming {
    Channel(u16, Range<usize>),
    Data(SocketAddr, Range<usize>),
    Answer(Answer),
}

/// A response, parsed as far as any request wants it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: u128,
    pub(super) method: Method,
    /// Whether it has a signature, right or wrong.
    pub(super) is_signed: bool,
    pub(super) refusal: Option<Refusal>,
    /// Realm and nonce.
    pub(super) challenge: Option<(String, String)>,
    pub(super) lifetime: Option<Duration>,
    pub(super) relayed: SmallVec<[SocketAddr; 2]>,
    pub(super) mapped: Option<SocketAddr>,
}

/// An error response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// 0 where it has none.
    pub(super) code: u16,
    pub(super) alternate: Option<SocketAddr>,
}

impl Refusal {
    /// Whether it asks for another signature.
    pub(super) const fn is_challenge(&self) -> bool {
        matches!(self.code, 401 | 438)
    }
}

/// Reads a message; none: it is not TURN's, or not a server's.
pub(super) fn parse(data: &[u8]) -> Option<Incoming> {
    if data.first()? & 0b1100_0000 == 0b0100_0000 {
        return parse_channel(data);
    }
    let header = MessageHeader::from_bytes(data).ok()?;
    if HEADER + usize::from(header.data_length()) != data.len() {
        return None;
    }
    let message = Message::from_bytes(data).ok()?;
    match message.class() {
        MessageClass::Indication if message.method() == DATA => parse_data(&message),
        MessageClass::Success | MessageClass::Error => Some(Incoming::Answer(parse_answer(&message))),
        MessageClass::Indication | MessageClass::Request => None,
    }
}

/// On a stream, and from some servers by UDP, padding follows the data.
fn parse_channel(data: &[u8]) -> Option<Incoming> {
    let (head, rest) = data.split_first_chunk::<CHANNEL_HEADER>()?;
    let number = u16::from_be_bytes([head[0], head[1]]);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let fits = length > 0 && length <= rest.len() && rest.len() - length < 4;
    fits.then_some(Incoming::Channel(number, CHANNEL_HEADER..CHANNEL_HEADER + length))
}

fn parse_data(message: &Message<'_>) -> Option<Incoming> {
    let peer = message.attribute::<XorPeerAddress>().ok()?.addr(message.transaction_id());
    let (offset, raw) = message.iter_attributes().find(|(_, raw)| raw.get_type() == Data::TYPE)?;
    let start = offset + 4;
    (!raw.value.is_empty()).then(|| Incoming::Data(peer, start..start + raw.value.len()))
}

fn parse_answer(message: &Message<'_>) -> Answer {
    let id = message.transaction_id();
    let refusal = message.has_class(MessageClass::Error).then(|| Refusal {
        code: message.attribute::<ErrorCode>().map_or(0, |error| error.code()),
        alternate: message.attribute::<AlternateServer>().ok().map(|alternate| alternate.server()),
    });
    let realm = message.attribute::<Realm>().map(|realm| realm.realm().to_owned());
    let nonce = message.attribute::<Nonce>().map(|nonce| nonce.nonce().to_owned());
    let relayed = message.iter_attributes().filter(|(_, raw)| raw.get_type() == XorRelayedAddress::TYPE);
    let relayed = relayed.take(MOST_RELAYED).filter_map(|(_, raw)| XorRelayedAddress::from_raw(raw).ok());
    Answer {
        id: id.into(),
        method: message.method(),
        is_signed: message.has_attribute(MessageIntegrity::TYPE) || message.has_attribute(MessageIntegritySha256::TYPE),
        refusal,
        challenge: realm.ok().zip(nonce.ok()),
        lifetime: message.attribute::<Lifetime>().ok().map(|life| Duration::from_secs(life.seconds().into())),
        relayed: relayed.map(|address| address.addr(id)).collect(),
        mapped: message.attribute::<XorMappedAddress>().ok().map(|mapped| mapped.addr(id)),
    }
}
