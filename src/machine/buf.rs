//! The caller's memory that [`fill`](super::Machine::fill) writes to.

use super::payload::{Framer, Kind};

/// Bytes to be sent, owned by the loop that sends them.
///
/// The limit is soft: whoever fills stops once it is reached, but one message may exceed it, so no layer ever
/// holds half a message back.
#[derive(Debug, Default)]
pub struct Buf {
    bytes: Vec<u8>,
    limit: usize,
}

impl Buf {
    /// An empty buffer with a soft limit in bytes.
    pub const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// The soft limit.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes until the limit; 0 when it is reached.
    pub const fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// Whether the limit is reached.
    pub const fn is_full(&self) -> bool {
        self.bytes.len() >= self.limit
    }

    /// How many bytes are in it.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The vector underneath, for layers that write with their own means; they only append.
    pub const fn vec(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Empties it and gives back memory above `keep` bytes.
    pub fn trim(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
    }
}

/// Bare: a message is its bytes, and what marks its end is the caller's to add.
impl Framer for Buf {
    fn message(&mut self, _: Kind, head: &[u8], body: &[u8]) {
        self.extend(head);
        self.extend(body);
    }

    fn room(&self) -> usize {
        Self::room(self)
    }
}
