//! The fourth step: what the responder's application says, sealed.

use super::{Decision, HANDSHAKE, OpeningError, check_end, packet};
use crate::link::noise::{OpenError, Opener, Sealer};
use crate::wire::cursor::{Cursor, cut, put_prefixed};

/// Most bytes of a refusal's text.
pub const MAX_TEXT: usize = 256;

pub(super) const ACCEPTED: u8 = 0;
pub(super) const PENDING: u8 = 1;
pub(super) const REFUSED: u8 = 2;

#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict<'a> {
    Accepted,
    Pending,
    Refused { code: u8, text: &'a str },
}

impl<'a> Verdict<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, OpeningError> {
        let mut cursor = Cursor::new(bytes);
        let verdict = match cursor.u8()? {
            ACCEPTED => Self::Accepted,
            PENDING => Self::Pending,
            REFUSED => Self::Refused { code: cursor.u8()?, text: cursor.text()? },
            other => return Err(OpeningError::UnknownVerdict(other)),
        };
        check_end(&cursor)?;
        match verdict {
            Self::Refused { text, .. } if text.len() > MAX_TEXT => Err(OpeningError::Text),
            _ => Ok(verdict),
        }
    }

    fn encode(self) -> Vec<u8> {
        match self {
            Self::Accepted => vec![ACCEPTED],
            Self::Pending => vec![PENDING],
            Self::Refused { code, text } => {
                let mut out = vec![REFUSED, code];
                put_prefixed(&mut out, cut(text, MAX_TEXT).as_bytes());
                out
            }
        }
    }
}

impl<'a> From<&'a Decision> for Verdict<'a> {
    fn from(decision: &'a Decision) -> Self {
        match decision {
            Decision::Accept => Self::Accepted,
            Decision::Refuse { code, text } => Self::Refused { code: *code, text },
        }
    }
}

pub(super) fn seal(sealer: &mut Sealer, verdict: Verdict<'_>) -> Vec<u8> {
    let mut plain = verdict.encode();
    let (counter, tag) = sealer.seal(&[HANDSHAKE, 4], &mut plain);
    packet(4, &[&counter.to_be_bytes(), &plain[..], &tag].concat())
}

pub(super) fn unseal(opener: &mut Opener, body: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (counter, sealed) = body.split_first_chunk().ok_or(OpenError::Short)?;
    let mut sealed = sealed.to_vec();
    let len = opener.open(u64::from_be_bytes(*counter), &[HANDSHAKE, 4], &mut sealed)?;
    sealed.truncate(len);
    Ok(sealed)
}
