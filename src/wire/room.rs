//! What members of a room and the relay that keeps it tell each other, inside the `Room` frames of a link.
//!
//! | kind | message | body |
//! | --- | --- | --- |
//! | 0 | `Join` | room, verifier, proof, known version, name after its length |
//! | 1 | `Leave` | room |
//! | 2 | `Broadcast` | room, envelope |
//! | 16 | `Members` | room, version, since, index, total, entries |
//! | 17 | `Current` | room, version |
//! | 18 | `Joined` | room, version, entry |
//! | 19 | `Left` | room, version, address, reason |
//! | 20 | `Broadcast` | room, from, envelope |
//! | 21 | `Refused` | room, reason |
//!
//! The first three go to the relay. Entry = address, proof, name after its length. Envelope = generation, sequence,
//! signature, sealed bytes to the end. Index, total and lengths are LEB128, other numbers big-endian.
//!
//! *Version.* The relay numbers the changes of each member list; `Joined` and `Left` carry the number of the list that
//! they lead to. A member that misses one, since a relay drops what its link cannot carry, sees the gap, and asks by
//! repeating its `Join` with the version it knows. So a refresh costs a few bytes while nothing has changed.

mod reason;

use std::fmt;

pub use reason::{LeaveReason, Refusal};

use super::cursor::{Cursor, Malformed, put_prefixed, put_varint};
use super::identity::Address;
use super::reason::UnknownReason;

/// Names a room without telling its name: a hash of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomHash(pub [u8; 32]);

impl RoomHash {
    /// Its first half, which signals carry.
    pub fn tag(&self) -> [u8; 16] {
        std::array::from_fn(|n| self.0[n])
    }
}

impl fmt::Display for RoomHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..5].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RoomHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room {self}")
    }
}

/// Most bytes of a display name.
pub const MAX_NAME: usize = 64;
/// Most bytes of one `Members` message; a longer list takes several.
pub const MAX_CHUNK: usize = 16 * 1024;

/// A room message of either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomMessage<'a> {
    /// For a relay.
    ToHost(ToHost<'a>),
    /// For a member.
    ToMember(ToMember<'a>),
}

/// What a member, or who wants to be one, tells the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToHost<'a> {
    /// Wants to be a member, or remain one.
    Join(Join<'a>),
    /// Wants to be a member no longer.
    Leave(RoomHash),
    /// Something for all other members.
    Broadcast {
        /// Where.
        room: RoomHash,
        /// What.
        envelope: Envelope<'a>,
    },
}

/// Asks to be a member, or to remain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join<'a> {
    /// Where.
    pub room: RoomHash,
    /// A hash of name and secret; the first member sets it.
    pub verifier: [u8; 32],
    /// For the other members: that the sender knows the secret.
    pub proof: [u8; 32],
    /// The version of the member list that the sender has; 0: none.
    pub known: u64,
    /// For people; see [`is_name`].
    pub name: &'a str,
}

/// What the relay tells a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToMember<'a> {
    /// A part of the member list.
    Members(Members<'a>),
    /// The list that the member has is the newest.
    Current {
        /// Where.
        room: RoomHash,
        /// Its version.
        version: u64,
    },
    /// One member more, or another name for one.
    Joined {
        /// Where.
        room: RoomHash,
        /// Of the list with the change.
        version: u64,
        /// Who.
        member: Entry<'a>,
    },
    /// One member less.
    Left {
        /// Where.
        room: RoomHash,
        /// Of the list with the change.
        version: u64,
        /// Who.
        address: Address,
        /// Why.
        reason: LeaveReason,
    },
    /// What another member has broadcast.
    Broadcast {
        /// Where.
        room: RoomHash,
        /// Who, by the relay's word; the signature proves it.
        from: Address,
        /// What.
        envelope: Envelope<'a>,
    },
    /// The last message was not followed.
    Refused {
        /// Where.
        room: RoomHash,
        /// Why.
        reason: Refusal,
    },
}

/// A part of a member list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members<'a> {
    /// Where.
    pub room: RoomHash,
    /// Of the list; the same in all its parts.
    pub version: u64,
    /// The version with which the receiver came; another one than before: the others saw it leave and come anew.
    pub since: u64,
    /// Which part this is, from 0.
    pub index: u32,
    /// Members in all parts together, the receiver included.
    pub total: u32,
    /// Members in this part.
    pub entries: Vec<Entry<'a>>,
}

/// One member in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Who.
    pub address: Address,
    /// That it knows the secret.
    pub proof: [u8; 32],
    /// For people; it proves nothing.
    pub name: &'a str,
}

/// A broadcast as its sender has sealed and signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Which of the sender's keys opens it.
    pub generation: u32,
    /// The number of the sender's broadcast.
    pub sequence: u64,
    /// The sender's signature (Ed25519) over label, room, sender, generation, sequence and `sealed`.
    pub signature: [u8; 64],
    /// Ciphertext and tag.
    pub sealed: &'a [u8],
}

/// Why a message is no room message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RoomError {
    /// A part of it is wrong.
    #[error("a room message: {0}")]
    Malformed(#[from] Malformed),
    /// There is no such kind in this direction.
    #[error("a room message of the unknown kind {0}")]
    Kind(u8),
    /// There is no such reason.
    #[error("a room message with {0}")]
    Reason(#[from] UnknownReason),
    /// A display name is too long, or has control characters.
    #[error("a display name of more than 64 bytes, or with control characters")]
    Name,
    /// A part of a member list is larger than it may be.
    #[error("a part of a member list of {0} bytes")]
    Chunk(usize),
    /// A number does not fit 32 bits.
    #[error("a number that does not fit 32 bits")]
    Number,
    /// Something follows the message.
    #[error("a room message with something after its end")]
    Trailing,
}

/// Whether a text may be a display name: at most [`MAX_NAME`] bytes, and no control characters, which could move the
/// cursor of a terminal that shows it.
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME && !text.contains(char::is_control)
}

impl<'a> RoomMessage<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn decode(message: &'a [u8]) -> Result<Self, RoomError> {
        match message.first() {
            Some(..16) => ToHost::decode(message).map(Self::ToHost),
            _ => ToMember::decode(message).map(Self::ToMember),
        }
    }
}

impl<'a> ToHost<'a> {
    /// Reads what a relay has received.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn decode(message: &'a [u8]) -> Result<Self, RoomError> {
        let mut cursor = Cursor::new(message);
        let decoded = match cursor.u8()? {
            0 => Self::Join(Join::take(&mut cursor)?),
            1 => Self::Leave(room(&mut cursor)?),
            2 => Self::Broadcast { room: room(&mut cursor)?, envelope: Envelope::take(&mut cursor)? },
            kind => return Err(RoomError::Kind(kind)),
        };
        ended(cursor, decoded)
    }

    /// Which room it is about.
    pub const fn room(&self) -> RoomHash {
        match self {
            Self::Join(Join { room, .. }) | Self::Leave(room) | Self::Broadcast { room, .. } => *room,
        }
    }

    /// Writes it as a message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Join(join) => join.put(&mut out),
            Self::Leave(room) => head(&mut out, 1, room),
            Self::Broadcast { room, envelope } => {
                out.reserve_exact(1 + 32 + envelope.len());
                head(&mut out, 2, room);
                envelope.put(&mut out);
            }
        }
        out
    }
}

impl<'a> ToMember<'a> {
    /// Reads what a member has received.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn decode(message: &'a [u8]) -> Result<Self, RoomError> {
        let mut cursor = Cursor::new(message);
        let decoded = match cursor.u8()? {
            16 => Self::Members(Members::take(&mut cursor, message.len())?),
            17 => Self::Current { room: room(&mut cursor)?, version: cursor.u64()? },
            18 => Self::Joined { room: room(&mut cursor)?, version: cursor.u64()?, member: Entry::take(&mut cursor)? },
            19 => Self::Left {
                room: room(&mut cursor)?,
                version: cursor.u64()?,
                address: Address::take(&mut cursor)?,
                reason: LeaveReason::from_code(cursor.u8()?)?,
            },
            20 => Self::Broadcast {
                room: room(&mut cursor)?,
                from: Address::take(&mut cursor)?,
                envelope: Envelope::take(&mut cursor)?,
            },
            21 => Self::Refused { room: room(&mut cursor)?, reason: Refusal::from_code(cursor.u8()?)? },
            kind => return Err(RoomError::Kind(kind)),
        };
        ended(cursor, decoded)
    }

    /// Which room it is about.
    pub const fn room(&self) -> RoomHash {
        match self {
            Self::Members(Members { room, .. })
            | Self::Current { room, .. }
            | Self::Joined { room, .. }
            | Self::Left { room, .. }
            | Self::Broadcast { room, .. }
            | Self::Refused { room, .. } => *room,
        }
    }

    /// Writes it as a message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Members(members) => members.put(out),
            Self::Current { room, version } => numbered(out, 17, room, *version),
            Self::Joined { room, version, member } => {
                numbered(out, 18, room, *version);
                member.put(out);
            }
            Self::Left { room, version, address, reason } => {
                numbered(out, 19, room, *version);
                address.put(out);
                out.push(*reason as u8);
            }
            Self::Broadcast { room, from, envelope } => {
                out.reserve_exact(1 + 32 + Address::LEN + envelope.len());
                head(out, 20, room);
                from.put(out);
                envelope.put(out);
            }
            Self::Refused { room, reason } => {
                head(out, 21, room);
                out.push(*reason as u8);
            }
        }
    }
}

fn room(cursor: &mut Cursor<'_>) -> Result<RoomHash, Malformed> {
    Ok(RoomHash(cursor.array()?))
}

fn ended<T>(cursor: Cursor<'_>, decoded: T) -> Result<T, RoomError> {
    if cursor.is_empty() { Ok(decoded) } else { Err(RoomError::Trailing) }
}

fn head(out: &mut Vec<u8>, kind: u8, room: &RoomHash) {
    out.push(kind);
    out.extend_from_slice(&room.0);
}

fn numbered(out: &mut Vec<u8>, kind: u8, room: &RoomHash, version: u64) {
    head(out, kind, room);
    out.extend_from_slice(&version.to_be_bytes());
}

fn number(cursor: &mut Cursor<'_>) -> Result<u32, RoomError> {
    cursor.varint()?.try_into().map_err(|_| RoomError::Number)
}

fn name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, RoomError> {
    let text = cursor.text()?;
    if is_name(text) { Ok(text) } else { Err(RoomError::Name) }
}

impl<'a> Join<'a> {
    fn take(cursor: &mut Cursor<'a>) -> Result<Self, RoomError> {
        Ok(Self {
            room: room(cursor)?,
            verifier: cursor.array()?,
            proof: cursor.array()?,
            known: cursor.u64()?,
            name: name(cursor)?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        head(out, 0, &self.room);
        out.extend_from_slice(&self.verifier);
        out.extend_from_slice(&self.proof);
        out.extend_from_slice(&self.known.to_be_bytes());
        put_prefixed(out, self.name.as_bytes());
    }
}

impl<'a> Entry<'a> {
    fn take(cursor: &mut Cursor<'a>) -> Result<Self, RoomError> {
        Ok(Self { address: Address::take(cursor)?, proof: cursor.array()?, name: name(cursor)? })
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.address.put(out);
        out.extend_from_slice(&self.proof);
        put_prefixed(out, self.name.as_bytes());
    }
}

impl<'a> Envelope<'a> {
    fn take(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            generation: cursor.u32()?,
            sequence: cursor.u64()?,
            signature: cursor.array()?,
            sealed: cursor.rest(),
        })
    }

    const fn len(&self) -> usize {
        4 + 8 + 64 + self.sealed.len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.signature);
        out.extend_from_slice(self.sealed);
    }
}

impl<'a> Members<'a> {
    fn take(cursor: &mut Cursor<'a>, len: usize) -> Result<Self, RoomError> {
        if len > MAX_CHUNK {
            return Err(RoomError::Chunk(len));
        }
        let mut members = Self {
            room: room(cursor)?,
            version: cursor.u64()?,
            since: cursor.u64()?,
            index: number(cursor)?,
            total: number(cursor)?,
            entries: Vec::new(),
        };
        while !cursor.is_empty() {
            members.entries.push(Entry::take(cursor)?);
        }
        Ok(members)
    }

    fn put(&self, out: &mut Vec<u8>) {
        numbered(out, 16, &self.room, self.version);
        out.extend_from_slice(&self.since.to_be_bytes());
        put_varint(out, self.index.into());
        put_varint(out, self.total.into());
        self.entries.iter().for_each(|entry| entry.put(out));
    }

    /// Writes a whole list, as many messages as it takes, the head and `total` of which are `self`'s.
    pub fn in_chunks<'b>(mut self, entries: impl Iterator<Item = Entry<'b>>, mut out: impl FnMut(&[u8])) {
        let mut chunk = Vec::with_capacity(1024);
        self.put(&mut chunk);
        for entry in entries {
            let before = chunk.len();
            entry.put(&mut chunk);
            if chunk.len() > MAX_CHUNK {
                out(&chunk[..before]);
                chunk.clear();
                self.index += 1;
                self.put(&mut chunk);
                entry.put(&mut chunk);
            }
        }
        out(&chunk);
    }
}

#[cfg(test)]
mod tests;
