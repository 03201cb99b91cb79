//! Payload crosses layers through the lent [`Upper`], both ways, without a queue and without a copy.

use super::ids::LinkId;

/// Whether a message is bytes or text; WebSockets and browsers tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Any bytes.
    Binary,
    /// UTF-8. Links that check it (WebSocket) deliver nothing else as text.
    Text,
}

/// A received message: lent from the chunk it came in, or put together from several and given away.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Lies whole in the received chunk.
    Borrowed(&'a [u8]),
    /// Was put together; moves without a copy.
    Owned(Vec<u8>),
}

impl Payload<'_> {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }

    /// The bytes as an own vector; copies only what was lent.
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Borrowed(bytes) => bytes.to_vec(),
            Self::Owned(bytes) => bytes,
        }
    }
}

/// What a receiver answers to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Taken; more may follow.
    Go,
    /// Taken; nothing more until the receiver resumes the link. Whoever says so owes a resume.
    Stop,
}

/// The layer above, lent to a transport for one call.
pub trait Upper {
    /// Takes one received message. On `Stop` the link keeps the rest and pauses its port.
    fn deliver(&mut self, link: LinkId, kind: Kind, message: Payload<'_>) -> Flow;

    /// Writes at most one message to `out`. False: nothing now, a wake of that link comes later.
    fn supply(&mut self, link: LinkId, out: &mut dyn Framer) -> bool;
}

/// Where the layer above writes one message, already in the format of the link.
pub trait Framer {
    /// Writes one message: `head` then `body`.
    fn message(&mut self, kind: Kind, head: &[u8], body: &[u8]);

    /// Bytes of payload that fit before the buffer's soft limit; one message may exceed it.
    fn room(&self) -> usize;
}
