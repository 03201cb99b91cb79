//! What a link keeps of a received chunk while its receiver has stopped.

use super::payload::Flow;

/// The unseen rest of a chunk, with a cursor that moves through it however often the receiver stops again. Memory
/// goes back with its last byte.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    seen: usize,
}

impl Kept {
    /// Nothing is kept.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), seen: 0 }
    }

    /// Appends what came while the receiver had stopped.
    pub fn keep(&mut self, data: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.seen));
        self.bytes.extend_from_slice(data);
    }

    /// Lends what is kept to `parse`, which answers how much of it it took, and whether the receiver stopped; the
    /// rest that it leaves can be kept again. A link calls this on what it took out of itself.
    ///
    /// # Errors
    /// Those of `parse`; what was kept is gone then.
    pub fn resume<E>(mut self, parse: impl FnOnce(&mut [u8]) -> Result<(usize, Flow), E>) -> Result<(Self, Flow), E> {
        let (used, flow) = parse(&mut self.bytes[self.seen..])?;
        self.seen += used;
        let rest = if self.seen < self.bytes.len() { self } else { Self::new() };
        Ok((rest, flow))
    }

    /// Where the bytes lie, and how many were seen.
    #[cfg(test)]
    pub(crate) fn place(&self) -> (*const u8, usize) {
        (self.bytes.as_ptr(), self.seen)
    }

    /// Bytes of memory that it owns.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_in_order_and_its_memory_goes_with_the_last_byte() {
        let mut kept = Kept::new();
        kept.keep(b"abc");
        let (mut kept, _) =
            kept.resume::<()>(|rest| Ok((1, Flow::Stop)).inspect(|_| assert_eq!(rest, b"abc"))).unwrap();
        kept.keep(b"d");
        let (kept, flow) = kept.resume::<()>(|rest| Ok((3, Flow::Go)).inspect(|_| assert_eq!(rest, b"bcd"))).unwrap();
        assert_eq!((kept.capacity(), flow), (0, Flow::Go));
    }
}
