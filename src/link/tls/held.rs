//! Bytes received and not yet used up: one partial record, a handshake message in pieces, or what waits after a `Stop`.

use std::mem;

const HEAD: usize = 5;

/// Bytes of the wire in order. The first `whole` of them are whole records; what follows is part of one.
///
/// Records are measured when they arrive, because rustls overwrites the heads of those it has begun to use.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    start: usize,
    whole: usize,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// How many bytes of whole records there are.
    pub(super) const fn whole(&self) -> usize {
        self.whole
    }

    /// How many bytes bring the partial record a step on: its head, then its body. Never 0.
    pub(super) fn missing(&self) -> usize {
        let tail = self.bytes.get(self.start + self.whole..).unwrap_or_default();
        record(tail).unwrap_or(HEAD).saturating_sub(tail.len()).max(1)
    }

    /// Appends what has arrived.
    pub(super) fn extend(&mut self, wire: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..mem::take(&mut self.start));
        }
        self.bytes.extend_from_slice(wire);
        self.whole += whole_records(self.bytes.get(self.whole..).unwrap_or_default());
    }

    /// Keeps what is left of a chunk of which `used` bytes are used up and `whole` were whole records.
    pub(super) fn keep(&mut self, wire: &[u8], used: usize, whole: usize) {
        self.bytes.extend_from_slice(wire.get(used..).unwrap_or_default());
        self.whole = whole.saturating_sub(used);
    }

    /// Forgets the first bytes, and the memory with the last of them.
    pub(super) fn discard(&mut self, used: usize) {
        self.start = (self.start + used).min(self.bytes.len());
        self.whole = self.whole.saturating_sub(used);
        if self.is_empty() {
            *self = Self::default();
        }
    }

    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// How many bytes at the front are whole records.
pub(super) fn whole_records(bytes: &[u8]) -> usize {
    let mut whole = 0;
    while let Some(rest) = bytes.get(whole..)
        && let Some(size) = record(rest).filter(|size| *size <= rest.len())
    {
        whole += size;
    }
    whole
}

/// The size of the record at the front, once its head is there (RFC 8446, section 5.1).
fn record(bytes: &[u8]) -> Option<usize> {
    let [_, _, _, high, low, ..] = bytes else {
        return None;
    };
    Some(HEAD + usize::from(u16::from_be_bytes([*high, *low])))
}
