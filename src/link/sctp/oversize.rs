//! Chunks that were cut for larger packets than the path takes now.
//!
//! A chunk has its number for good and can't be cut anew (RFC 9260, section 6.9). After a black hole, or on another path,
//! it is sent again as large as it is, for the path may take it after all. Where it does not, it never arrives, and nothing
//! after it counts as arrived, however well smaller packets pass. So when the first such chunk has been lost
//! [`MOST_LOSSES`] times more while the peer was heard, the association ends: whoever is above begins another one.
//!
//! *Silence* is no sign of size. A loss counts only if something has come from the peer since the one before it, and
//! losses within a retransmission timeout count once. A path that was down and comes back ends nothing.

use std::time::Duration;

use crate::machine::time::Instant;

/// Losses of one chunk, after the first, that end the association.
const MOST_LOSSES: u32 = 3;

/// The first such chunk.
#[derive(Debug, Default)]
pub(super) struct Oversize(Option<Stuck>);

#[derive(Debug)]
struct Stuck {
    serial: u64,
    losses: u32,
    /// When it was last lost.
    at: Instant,
}

impl Oversize {
    /// This is the first such chunk, and it was lost.
    pub(super) const fn begin(now: Instant, serial: u64) -> Self {
        Self(Some(Stuck { serial, losses: 0, at: now }))
    }

    /// Which chunk it is.
    pub(super) fn serial(&self) -> Option<u64> {
        self.0.as_ref().map(|stuck| stuck.serial)
    }

    /// A chunk was lost again; whether it is the first, and can't be hoped to pass any more. `heard`: when the peer gave
    /// its last sign of life; `rto`: the retransmission timeout without back-off.
    pub(super) fn on_lost(&mut self, now: Instant, serial: u64, heard: Instant, rto: Duration) -> bool {
        let is_it = |stuck: &&mut Stuck| stuck.serial == serial && now >= stuck.at + rto;
        let Some(stuck) = self.0.as_mut().filter(is_it) else { return false };
        stuck.losses += u32::from(heard > stuck.at);
        stuck.at = now;
        stuck.losses >= MOST_LOSSES
    }
}
