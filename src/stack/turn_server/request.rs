//! What the server itself reads in requests, and the answers that it writes itself.

use std::net::SocketAddr;

use turn_server_proto::types::attribute::{ChannelNumber, XorPeerAddress};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION};
use turn_server_proto::types::stun::attribute::{
    ErrorCode, MessageIntegrity, MessageIntegritySha256, PasswordAlgorithm, XorMappedAddress,
};
use turn_server_proto::types::stun::message::{
    BINDING, IntegrityAlgorithm, IntegrityKey, Message, MessageClass, MessageType, MessageWriteVec, Method,
    TransactionId,
};
use turn_server_proto::types::stun::prelude::{
    Attribute, AttributeFromRaw, AttributeStaticType, MessageWrite, MessageWriteExt,
};

/// The credentials that an answer is signed with: those of the request.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    key: IntegrityKey,
    algorithm: IntegrityAlgorithm,
}

impl Signer {
    pub(super) const fn new(key: IntegrityKey, algorithm: IntegrityAlgorithm) -> Self {
        Self { key, algorithm }
    }
}

/// A request, as far as we look into it.
#[derive(Debug)]
pub(super) struct Request<'a>(Message<'a>);

impl<'a> Request<'a> {
    /// None: it is something else.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let message = Message::from_bytes(data).ok()?;
        message.has_class(MessageClass::Request).then_some(Self(message))
    }

    pub(super) fn method(&self) -> Method {
        self.0.method()
    }

    pub(super) fn transaction(&self) -> TransactionId {
        self.0.transaction_id()
    }

    pub(super) fn is_binding(&self) -> bool {
        self.method() == BINDING
    }

    pub(super) fn is_allocate(&self) -> bool {
        self.method() == ALLOCATE
    }

    /// Whether it has credentials, right or wrong.
    pub(super) fn is_signed(&self) -> bool {
        self.0.has_attribute(MessageIntegrity::TYPE) || self.0.has_attribute(MessageIntegritySha256::TYPE)
    }

    pub(super) fn is_signed_by(&self, signer: &Signer) -> bool {
        self.0.validate_integrity_with_key(&signer.key).is_ok()
    }

    /// The attribute of that type, if it has one that can be read.
    pub(super) fn attribute<'b, A: AttributeFromRaw<'b> + AttributeStaticType>(&'b self) -> Option<A> {
        self.0.attribute::<A>().ok()
    }

    pub(super) fn is_channel_bind(&self) -> bool {
        self.method() == CHANNEL_BIND
    }

    /// Whether it wants to reach the peers that it names.
    pub(super) fn opens(&self) -> bool {
        self.is_channel_bind() || self.method() == CREATE_PERMISSION
    }

    /// The peers that it names.
    pub(super) fn peers(&self) -> Vec<SocketAddr> {
        let transaction = self.transaction();
        let peers = self.0.iter_attributes().filter(|(_, raw)| raw.get_type() == XorPeerAddress::TYPE);
        peers.filter_map(|(_, raw)| Some(XorPeerAddress::from_raw(raw).ok()?.addr(transaction))).collect()
    }

    pub(super) fn channel(&self) -> Option<u16> {
        Some(self.0.attribute::<ChannelNumber>().ok()?.channel())
    }

    /// The same request without any attribute: as of somebody who has no credentials yet.
    pub(super) fn without_credentials(&self) -> Vec<u8> {
        bare(self.method(), self.transaction())
    }

    /// Where it came from, as its answer (RFC 8489, section 6.3.1.1).
    pub(super) fn mapped(&self, client: SocketAddr) -> Option<Vec<u8>> {
        let mut answer = Message::builder_success(&self.0, MessageWriteVec::new());
        answer.add_attribute(&XorMappedAddress::new(client, self.transaction())).ok()?;
        answer.add_fingerprint().ok()?;
        Some(answer.finish())
    }

    pub(super) fn algorithm(&self) -> IntegrityAlgorithm {
        let named = self.0.attribute::<PasswordAlgorithm>();
        named.map_or(IntegrityAlgorithm::Sha1, |named| named.algorithm().as_integrity())
    }
}

/// A request without any attribute.
pub(super) fn bare(method: Method, transaction: TransactionId) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Request, method);
    Message::builder(kind, transaction, MessageWriteVec::new()).finish()
}

/// A signed error; none if it can't be written.
pub(super) fn refusal(method: Method, transaction: TransactionId, code: u16, signer: &Signer) -> Option<Vec<u8>> {
    let kind = MessageType::from_class_method(MessageClass::Error, method);
    let mut answer = Message::builder(kind, transaction, MessageWriteVec::new());
    answer.add_attribute(&ErrorCode::builder(code).build().ok()?).ok()?;
    answer.add_message_integrity_with_key(&signer.key, signer.algorithm).ok()?;
    Some(answer.finish())
}

/// Whether that is a success response.
pub(super) fn is_success(data: &[u8]) -> bool {
    Message::from_bytes(data).is_ok_and(|message| message.has_class(MessageClass::Success))
}
