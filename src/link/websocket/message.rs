//! A message that is put together from frames, or from the pieces of a frame.

use crate::machine::payload::Kind;
use crate::wire::websocket::{Header, Mask};

use super::Misbehaved;

/// What has come of a message that did not lie whole in one chunk.
#[derive(Debug)]
pub(super) struct Message {
    kind: Kind,
    bytes: Vec<u8>,
    /// How many of the bytes are known to be UTF-8.
    checked: usize,
    /// Of the current frame.
    fin: bool,
    mask: Option<Mask>,
    missing: usize,
}

impl Message {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::new(), checked: 0, fin: false, mask: None, missing: 0 }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) const fn is_mid_frame(&self) -> bool {
        self.missing > 0
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.fin && self.missing == 0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Begins its next frame, of `len` bytes.
    pub(super) const fn begin(&mut self, header: &Header, len: usize) {
        (self.fin, self.mask, self.missing) = (header.fin, header.mask, len);
    }

    /// Takes what belongs to the current frame, and answers how much that was. The whole message will never be
    /// longer than `limit`.
    pub(super) fn append(&mut self, data: &mut [u8], limit: usize) -> Result<usize, Misbehaved> {
        let used = data.len().min(self.missing);
        let piece = &mut data[..used];
        if let Some(mask) = &mut self.mask {
            mask.apply(piece);
            *mask = mask.rotated(used);
        }
        self.grow(used, limit);
        self.bytes.extend_from_slice(piece);
        self.missing -= used;
        self.check()?;
        Ok(used)
    }

    /// At most doubles, so that memory follows arrival, and never beyond what the message can become.
    fn grow(&mut self, more: usize, limit: usize) {
        let len = self.bytes.len() + more;
        if len > self.bytes.capacity() {
            let end = if self.fin { self.bytes.len() + self.missing } else { limit };
            let capacity = (2 * self.bytes.capacity()).min(end).max(len);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }

    /// Looks at each byte once, and again only at the up to three bytes of a character that is not complete.
    fn check(&mut self) -> Result<(), Misbehaved> {
        if self.kind == Kind::Binary {
            return Ok(());
        }
        match std::str::from_utf8(&self.bytes[self.checked..]) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() && !self.is_complete() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Misbehaved::TextNotUtf8),
        }
        Ok(())
    }
}
