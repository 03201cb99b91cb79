//! Lists of parameters and causes: a type, a length with the head in it, a value, padding.

use super::{Malformed, u16_at};

/// Bytes before a value.
pub(super) const HEAD: usize = 4;

/// One entry of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub kind: u16,
    pub value: &'a [u8],
    /// Head and value, without padding.
    pub whole: &'a [u8],
}

/// Takes the first entry off the list; `None` at its end.
pub(super) fn next<'a>(list: &mut &'a [u8]) -> Option<Result<Entry<'a>, Malformed>> {
    (!list.is_empty()).then(|| cut(list))
}

fn cut<'a>(list: &mut &'a [u8]) -> Result<Entry<'a>, Malformed> {
    if list.len() < HEAD {
        return Err(Malformed::ParameterHead);
    }
    let (kind, len) = (u16_at(list, 0), usize::from(u16_at(list, 2)));
    if len < HEAD {
        return Err(Malformed::ParameterTooShort(kind));
    }
    let whole = list.get(..len).ok_or(Malformed::ParameterBeyondChunk(kind))?;
    *list = list.get(len.next_multiple_of(4)..).unwrap_or_default();
    Ok(Entry { kind, value: &whole[HEAD..], whole })
}

/// Appends an entry with the padding that its container needs before another; without value it is its head alone.
pub(super) fn put(out: &mut Vec<u8>, kind: u16, value: &[&[u8]]) {
    let len: usize = value.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length(HEAD + len).to_be_bytes());
    for part in value {
        out.extend_from_slice(part);
    }
}

/// Appends `bytes` zeros up to a multiple of four after `start`.
pub(super) fn pad(out: &mut Vec<u8>, start: usize) {
    let missing = (out.len() - start).wrapping_neg() % 4;
    if missing > 0 {
        out.extend_from_slice(&[0; 3][..missing]);
    }
}

/// A length for a head; what is written stays within a packet, hence within 65,535 bytes.
pub(super) fn length(len: usize) -> u16 {
    debug_assert!(len <= usize::from(u16::MAX), "a chunk of {len} bytes");
    u16::try_from(len).unwrap_or(u16::MAX)
}
