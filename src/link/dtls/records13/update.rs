//! One update of our keys on its way (RFC 9147, section 8): sent until it is acknowledged.

use std::time::Duration;

use smallvec::SmallVec;

use super::super::Broken;
use super::super::record::Message;
use crate::machine::time::Instant;

/// How often it is sent in all; the last wait is half a minute.
const SENDS: usize = 8;
/// The first wait for an acknowledgement, which doubles with each.
const FIRST: Duration = Duration::from_millis(250);

/// The peer need not update its own keys: it knows best when.
const NOT_REQUESTED: u8 = 0;

/// An update that is not acknowledged yet.
pub(super) struct Update {
    message: u16,
    /// The records that carried it.
    numbers: SmallVec<[u64; SENDS]>,
    /// When it is sent again.
    at: Option<Instant>,
}

impl Update {
    /// `message` is the number of the message.
    pub(super) fn new(message: u16) -> Self {
        Self { message, numbers: SmallVec::new(), at: None }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.at.is_none_or(|at| at <= now)
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    pub(super) fn was_sent_as(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// Appends the message, for the record of that number.
    ///
    /// # Errors
    /// It was sent too often.
    pub(super) fn send(&mut self, now: Instant, number: u64, out: &mut Vec<u8>) -> Result<(), Broken> {
        if self.numbers.len() == SENDS {
            return Err(Broken::UpdateUnanswered);
        }
        self.at = Some(now + FIRST * (1 << self.numbers.len()));
        self.numbers.push(number);
        let message = Message { kind: Message::KEY_UPDATE, len: 1, number: self.message, offset: 0 };
        out.extend_from_slice(&message.emit());
        out.push(NOT_REQUESTED);
        Ok(())
    }
}
