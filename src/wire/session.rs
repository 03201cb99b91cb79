//! Session packets and their records.

use std::fmt;

use super::cursor::Malformed;

/// What names a session on both sides: the first 16 bytes of its handshake's hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub [u8; 16]);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {self:?}")
    }
}

/// Why a record is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadRecord {
    /// It is cut short, or a number in it is malformed.
    #[error("{0}")]
    Malformed(#[from] Malformed),
}
