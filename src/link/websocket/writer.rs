//! Frames into the caller's buffer.

use crate::machine::buf::Buf;
use crate::machine::payload::{Framer, Kind};
use crate::machine::rng::Rng;
use crate::wire::websocket::{Header, LONGEST_HEADER, Mask, Opcode};

use super::Role;

/// Writes whole frames and masks them where they lie.
pub(super) struct Writer<'a> {
    buf: &'a mut Buf,
    masks: Option<&'a mut Rng>,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(role: Role, rng: &'a mut Rng, buf: &'a mut Buf) -> Self {
        let masks = match role {
            Role::Client => Some(rng),
            Role::Server => None,
        };
        Self { buf, masks }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.buf.is_full()
    }

    pub(super) fn frame(&mut self, opcode: Opcode, payload: &[&[u8]]) {
        let len = payload.iter().map(|part| part.len() as u64).sum();
        let mask = self.masks.as_mut().map(|rng| Mask::new(rng.u32()));
        Header { fin: true, opcode, mask, len }.encode(self.buf.vec());
        let start = self.buf.len();
        payload.iter().for_each(|part| self.buf.extend(part));
        let written = &mut self.buf.vec()[start..];
        debug_assert!(opcode != Opcode::Text || std::str::from_utf8(written).is_ok(), "text must be UTF-8");
        if let Some(mask) = mask {
            mask.apply(written);
        }
    }
}

impl Framer for Writer<'_> {
    fn message(&mut self, kind: Kind, head: &[u8], body: &[u8]) {
        self.frame(kind.into(), &[head, body]);
    }

    fn room(&self) -> usize {
        self.buf.room().saturating_sub(LONGEST_HEADER)
    }
}
