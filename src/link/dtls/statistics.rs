//! Counters: how much passed, and what was dropped for which reason.

/// What a connection has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Records of data that were sealed.
    pub sealed: u64,
    /// Records of data that were opened.
    pub opened: u64,
    /// Updates of our keys, counted when the peer has acknowledged them (1.3 only).
    pub own_updates: u64,
    /// Updates of the peer's keys (1.3 only).
    pub peer_updates: u64,
    /// Records that counted for nothing.
    pub drops: Drops,
}

/// Records that counted for nothing, by the rule that they broke. None of them ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drops {
    /// It was no record, or longer than its datagram, or too short.
    pub malformed: u64,
    /// It had no protection though keys are agreed: repeated handshakes, and forged alerts.
    pub unprotected: u64,
    /// Its epoch is not in use.
    pub epoch: u64,
    /// It was opened before, or is more than 128 numbers old.
    pub replayed: u64,
    /// Its tag is wrong.
    pub forged: u64,
    /// Its content has no place after the handshake.
    pub unexpected: u64,
    /// dimpl did not take a datagram.
    pub refused: u64,
    /// It came after the end.
    pub late: u64,
}

/// Why a record counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    Malformed,
    Unprotected,
    Epoch,
    Replayed,
    Forged,
    Unexpected,
    Refused,
    Late,
}

impl Drops {
    pub(super) const fn count(&mut self, drop: Dropped) {
        let counter = match drop {
            Dropped::Malformed => &mut self.malformed,
            Dropped::Unprotected => &mut self.unprotected,
            Dropped::Epoch => &mut self.epoch,
            Dropped::Replayed => &mut self.replayed,
            Dropped::Forged => &mut self.forged,
            Dropped::Unexpected => &mut self.unexpected,
            Dropped::Refused => &mut self.refused,
            Dropped::Late => &mut self.late,
        };
        *counter += 1;
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        let protected = self.epoch + self.replayed + self.forged + self.unexpected;
        self.malformed + self.unprotected + protected + self.refused + self.late
    }
}
