//! What two endpoints tell each other beside their application's messages, on the reserved channel 0 of a session:
//! authenticated, fresh, in order, hidden from relays.
//!
//! | kind | signal | body |
//! | --- | --- | --- |
//! | 0 | `Description` | attempt, 0 offer or 1 answer, SDP to the end (RFC 8866) |
//! | 1 | `Candidate` | attempt, candidate attribute to the end (RFC 8839, section 5.1); not empty |
//! | 2 | `EndOfCandidates` | attempt |
//! | 3 | `Restart` | attempt |
//! | 4, 5, 6 | `Reject`, `Error`, `Bye` | attempt, code, text to the end |
//! | 7 | `Outlook` | attempt, four bytes of [`Outlook`]; what follows them is for later versions |
//! | 16 | `SenderKey` | room tag, generation, chain key, sequence, proof |
//! | 17 | `WantKey` | room tag, proof |
//!
//! Numbers are big-endian. An *attempt* numbers the peers that one side builds for a session, so that what belongs to
//! a peer that was given up cannot reach its successor. A *room tag* is the first half of the room's
//! [`RoomHash`](super::room::RoomHash).

use std::fmt;

use zeroize::Zeroizing;

use super::cursor::{Cursor, Malformed};
use super::outlook::Outlook;

/// One signal; texts lie in the message that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal<'a> {
    /// What a peer offers, or how it answers an offer.
    Description {
        /// Which peer.
        attempt: u32,
        /// Offer or answer.
        kind: DescriptionKind,
        /// Session description (RFC 8866).
        sdp: &'a str,
    },
    /// One more address at which a peer may be reached.
    Candidate {
        /// Which peer.
        attempt: u32,
        /// A candidate attribute (RFC 8839, section 5.1); not empty.
        text: &'a str,
    },
    /// No more candidates follow.
    EndOfCandidates {
        /// Which peer.
        attempt: u32,
    },
    /// Asks the other side to begin anew.
    Restart {
        /// Which peer.
        attempt: u32,
    },
    /// An offer is not taken.
    Reject(Ending<'a>),
    /// A peer has failed.
    Error(Ending<'a>),
    /// A peer is closed.
    Bye(Ending<'a>),
    /// What the sender knows of its ways out.
    Outlook {
        /// Which peer.
        attempt: u32,
        /// What it knows.
        outlook: Outlook,
    },
    /// With what the sender seals its broadcasts to a room.
    SenderKey(SenderKey),
    /// Asks for the receiver's sender key.
    WantKey(WantKey),
}

/// Whether a description begins an exchange or ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DescriptionKind {
    /// It begins one.
    Offer,
    /// It ends one.
    Answer,
}

/// Why something is not to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending<'a> {
    /// Which peer.
    pub attempt: u32,
    /// For programs.
    pub code: u8,
    /// For people.
    pub text: &'a str,
}

/// The state of a sender's chain: it opens the broadcast of that number and those after it, none before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderKey {
    /// The first half of the room's hash.
    pub room: [u8; 16],
    /// Names the chain.
    pub generation: u32,
    /// The key that the key of broadcast `sequence` follows from.
    pub chain: ChainKey,
    /// The number of the next broadcast.
    pub sequence: u64,
    /// That the sender knows the room's secret.
    pub proof: [u8; 32],
}

/// Asks a member for its sender key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantKey {
    /// The first half of the room's hash.
    pub room: [u8; 16],
    /// That the sender knows the room's secret.
    pub proof: [u8; 32],
}

/// A secret of 32 bytes that isn't shown, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ChainKey(pub Zeroizing<[u8; 32]>);

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(..)")
    }
}

/// Why a message is no signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignalError {
    /// It is larger than [`Limits::signal`](crate::machine::limits::Limits::signal).
    #[error("a signal of {0} bytes")]
    TooLarge(usize),
    /// A part of it is wrong.
    #[error("a signal: {0}")]
    Malformed(#[from] Malformed),
    /// There is no such kind.
    #[error("a signal of the unknown kind {0}")]
    Kind(u8),
    /// A description is neither an offer nor an answer.
    #[error("a description of the unknown kind {0}")]
    Description(u8),
    /// A candidate says nothing.
    #[error("an empty candidate")]
    Candidate,
    /// Something follows the signal.
    #[error("a signal with something after its end")]
    Trailing,
}

impl<'a> Signal<'a> {
    /// The tag of the room that it is about; none: it is about no room.
    pub const fn room(&self) -> Option<[u8; 16]> {
        match self {
            Self::SenderKey(key) => Some(key.room),
            Self::WantKey(want) => Some(want.room),
            _ => None,
        }
    }

    /// The attempt that it is of; none: it is not about peers.
    pub const fn attempt(&self) -> Option<u32> {
        match self {
            Self::Description { attempt, .. }
            | Self::Candidate { attempt, .. }
            | Self::EndOfCandidates { attempt }
            | Self::Restart { attempt }
            | Self::Outlook { attempt, .. } => Some(*attempt),
            Self::Reject(ending) | Self::Error(ending) | Self::Bye(ending) => Some(ending.attempt),
            Self::SenderKey(_) | Self::WantKey(_) => None,
        }
    }

    /// Reads a message of at most `limit` bytes.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn decode(message: &'a [u8], limit: usize) -> Result<Self, SignalError> {
        if message.len() > limit {
            return Err(SignalError::TooLarge(message.len()));
        }
        let mut cursor = Cursor::new(message);
        let signal = Self::take(&mut cursor)?;
        if cursor.is_empty() { Ok(signal) } else { Err(SignalError::Trailing) }
    }

    fn take(cursor: &mut Cursor<'a>) -> Result<Self, SignalError> {
        Ok(match cursor.u8()? {
            0 => Self::Description { attempt: cursor.u32()?, kind: kind(cursor.u8()?)?, sdp: text(cursor)? },
            1 => Self::Candidate { attempt: cursor.u32()?, text: candidate(text(cursor)?)? },
            2 => Self::EndOfCandidates { attempt: cursor.u32()? },
            3 => Self::Restart { attempt: cursor.u32()? },
            4 => Self::Reject(Ending::take(cursor)?),
            5 => Self::Error(Ending::take(cursor)?),
            6 => Self::Bye(Ending::take(cursor)?),
            7 => Self::Outlook { attempt: cursor.u32()?, outlook: Outlook::take(cursor)? },
            16 => Self::SenderKey(SenderKey::take(cursor)?),
            17 => Self::WantKey(WantKey { room: cursor.array()?, proof: cursor.array()? }),
            kind => return Err(SignalError::Kind(kind)),
        })
    }

    /// Writes it as a message, which is wiped when dropped.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Room for every signal with a secret: a vector that grows would leave one behind.
        let mut out = Zeroizing::new(Vec::with_capacity(128));
        self.put(&mut out);
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Description { attempt, kind, sdp } => {
                head(out, 0, *attempt);
                out.push(u8::from(*kind == DescriptionKind::Answer));
                out.extend_from_slice(sdp.as_bytes());
            }
            Self::Candidate { attempt, text } => {
                head(out, 1, *attempt);
                out.extend_from_slice(text.as_bytes());
            }
            Self::EndOfCandidates { attempt } => head(out, 2, *attempt),
            Self::Restart { attempt } => head(out, 3, *attempt),
            Self::Reject(ending) => ending.put(out, 4),
            Self::Error(ending) => ending.put(out, 5),
            Self::Bye(ending) => ending.put(out, 6),
            Self::Outlook { attempt, outlook } => {
                head(out, 7, *attempt);
                outlook.put(out);
            }
            Self::SenderKey(key) => key.put(out),
            Self::WantKey(want) => {
                out.push(17);
                out.extend_from_slice(&want.room);
                out.extend_from_slice(&want.proof);
            }
        }
    }
}

fn head(out: &mut Vec<u8>, kind: u8, attempt: u32) {
    out.push(kind);
    out.extend_from_slice(&attempt.to_be_bytes());
}

const fn kind(code: u8) -> Result<DescriptionKind, SignalError> {
    match code {
        0 => Ok(DescriptionKind::Offer),
        1 => Ok(DescriptionKind::Answer),
        code => Err(SignalError::Description(code)),
    }
}

fn text<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    std::str::from_utf8(cursor.rest()).map_err(|_| Malformed::Utf8)
}

const fn candidate(text: &str) -> Result<&str, SignalError> {
    if text.is_empty() { Err(SignalError::Candidate) } else { Ok(text) }
}

impl<'a> Ending<'a> {
    fn take(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        Ok(Self { attempt: cursor.u32()?, code: cursor.u8()?, text: text(cursor)? })
    }

    fn put(&self, out: &mut Vec<u8>, kind: u8) {
        head(out, kind, self.attempt);
        out.push(self.code);
        out.extend_from_slice(self.text.as_bytes());
    }
}

impl SenderKey {
    fn take(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            room: cursor.array()?,
            generation: cursor.u32()?,
            chain: ChainKey(Zeroizing::new(cursor.array()?)),
            sequence: cursor.u64()?,
            proof: cursor.array()?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(16);
        out.extend_from_slice(&self.room);
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&*self.chain.0);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.proof);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64 * 1024;

    fn signals() -> Vec<Signal<'static>> {
        let ending = Ending { attempt: 3, code: 7, text: "no" };
        let key = SenderKey {
            room: [1; 16],
            generation: 2,
            chain: ChainKey(Zeroizing::new([3; 32])),
            sequence: 4,
            proof: [5; 32],
        };
        vec![
            Signal::Description { attempt: 1, kind: DescriptionKind::Offer, sdp: "v=0" },
            Signal::Description { attempt: 1, kind: DescriptionKind::Answer, sdp: "" },
            Signal::Candidate { attempt: 2, text: "candidate:1 1 udp 1 192.0.2.1 9 typ host" },
            Signal::EndOfCandidates { attempt: 2 },
            Signal::Restart { attempt: u32::MAX },
            Signal::Reject(ending),
            Signal::Error(ending),
            Signal::Bye(ending),
            Signal::Outlook { attempt: 5, outlook: Outlook { ipv6: true, ..Outlook::default() } },
            Signal::SenderKey(key),
            Signal::WantKey(WantKey { room: [6; 16], proof: [7; 32] }),
        ]
    }

    #[test]
    fn every_signal_comes_back() {
        for signal in signals() {
            assert_eq!(Signal::decode(&signal.encode(), LIMIT), Ok(signal));
        }
    }

    #[test]
    fn each_broken_rule_has_its_own_error() {
        let decode = |bytes: &[u8]| Signal::decode(bytes, LIMIT).unwrap_err();
        assert_eq!(decode(&[9]), SignalError::Kind(9));
        assert_eq!(decode(&[]), SignalError::Malformed(Malformed::Truncated));
        assert_eq!(decode(&[0, 0, 0, 0, 1, 2]), SignalError::Description(2));
        assert_eq!(decode(&[0, 0, 0, 0, 1, 0, 0xff]), SignalError::Malformed(Malformed::Utf8));
        assert_eq!(decode(&[1, 0, 0, 0, 1]), SignalError::Candidate);
        assert_eq!(decode(&[2, 0, 0, 0, 1, 0]), SignalError::Trailing);
        assert_eq!(decode(&vec![0; LIMIT + 1]), SignalError::TooLarge(LIMIT + 1));
    }

    #[test]
    fn a_signal_with_a_fixed_size_that_is_cut_short_is_refused() {
        for signal in &signals()[8..] {
            let bytes = signal.encode();
            for len in 0..bytes.len() {
                assert_eq!(Signal::decode(&bytes[..len], LIMIT), Err(SignalError::Malformed(Malformed::Truncated)));
            }
        }
    }

    #[test]
    fn a_sender_key_is_not_shown_and_not_copied_by_growing() {
        let signal = signals().remove(9);
        assert!(format!("{signal:?}").contains("ChainKey(..)"));
        assert_eq!(signal.encode().capacity(), 128);
    }
}
