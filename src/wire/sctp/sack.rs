//! Acknowledgements (RFC 9260, section 3.3.4).

use super::{Malformed, Tsn, kind, u16_at, u32_at};

/// Bytes of a SACK's value before its lists.
pub(super) const FIXED: usize = 12;

/// What a receiver has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sack<'a> {
    /// It has all up to this one.
    pub cumulative: Tsn,
    /// Bytes that it still has room for, those on the way not deducted.
    pub window: u32,
    gaps: &'a [u8],
    duplicates: &'a [u8],
}

impl<'a> Sack<'a> {
    #[inline]
    pub(super) fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        if value.len() < FIXED {
            return Err(Malformed::ChunkLength(kind::SACK));
        }
        let (fixed, lists) = value.split_at(FIXED);
        let (gaps, duplicates) = (u16_at(fixed, 8), u16_at(fixed, 10));
        let cut = 4 * usize::from(gaps);
        if lists.len() != cut + 4 * usize::from(duplicates) {
            return Err(Malformed::SackCounts { gaps, duplicates });
        }
        let (gaps, duplicates) = lists.split_at(cut);
        let sack = Self { cumulative: Tsn(u32_at(fixed, 0)), window: u32_at(fixed, 4), gaps, duplicates };
        match sack.gaps().find(|(start, end)| *start == 0 || end < start) {
            Some((start, end)) => Err(Malformed::GapBlock { start, end }),
            None => Ok(sack),
        }
    }

    /// Blocks that it has beyond the cumulative one, each from its first to its last, as distances from that; the first
    /// is at least 1, the last not before the first. Nothing says that blocks ascend, or lie apart.
    #[inline]
    pub fn gaps(&self) -> impl DoubleEndedIterator<Item = (u16, u16)> + ExactSizeIterator + Clone + use<'a> {
        self.gaps.chunks_exact(4).map(|block| (u16_at(block, 0), u16_at(block, 2)))
    }

    /// What came more than once since the last acknowledgement.
    pub fn duplicates(&self) -> impl ExactSizeIterator<Item = Tsn> + Clone + use<'a> {
        self.duplicates.chunks_exact(4).map(|tsn| Tsn(u32_at(tsn, 0)))
    }
}
