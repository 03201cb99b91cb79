//! One request until it is answered or given up (RFC 8489, section 6.2.1).

use std::net::SocketAddr;
use std::time::Duration;

use super::message::{Message, Request, TransactionId};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// How often a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retransmission {
    /// The time to the first repetition, which doubles with each: RTO. Half a second by default.
    pub first: Duration,
    /// How often it is sent in all: Rc. 7 by default; 0 counts as 1.
    pub sends: u32,
    /// How many times `first` passes after the last before it is given up: Rm. 16 by default.
    pub patience: u32,
}

impl Default for Retransmission {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), sends: 7, patience: 16 }
    }
}

impl Retransmission {
    /// Sent three times, and given up after 2.5 s: for tests that silence is an answer to.
    pub const SHORT: Self = Self { first: Duration::from_millis(500), sends: 3, patience: 2 };

    /// From the `sent`-th sending, counted from 1, to what follows.
    fn pause(&self, sent: u32) -> Duration {
        if sent >= self.sends {
            return self.first.saturating_mul(self.patience);
        }
        self.first.saturating_mul(1_u32.checked_shl(sent - 1).unwrap_or(u32::MAX))
    }
}

/// What a [`Transaction`] wants now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before its [deadline](Transaction::deadline).
    Nothing,
    /// That its request is sent.
    Send,
    /// It got no answer, and will not be sent again.
    GaveUp,
}

/// One request under way.
#[derive(Debug)]
pub struct Transaction {
    id: TransactionId,
    to: SocketAddr,
    bytes: Vec<u8>,
    retransmission: Retransmission,
    sent: u32,
    last: Instant,
    next: Instant,
}

impl Transaction {
    /// A request that is due at once.
    pub fn new(now: Instant, rng: &mut Rng, to: SocketAddr, request: &Request, retransmission: Retransmission) -> Self {
        let id = TransactionId::random(rng);
        Self { id, to, bytes: request.encode(id), retransmission, sent: 0, last: now, next: now }
    }

    /// Its id.
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    /// Whom it asks.
    pub const fn to(&self) -> SocketAddr {
        self.to
    }

    /// What is sent.
    pub fn request(&self) -> &[u8] {
        &self.bytes
    }

    /// When something is due next.
    pub const fn deadline(&self) -> Instant {
        self.next
    }

    /// What is due. On `Send` the caller sends [`Self::request`].
    pub fn poll(&mut self, now: Instant) -> Due {
        if now < self.next {
            return Due::Nothing;
        }
        if self.sent >= self.retransmission.sends.max(1) {
            return Due::GaveUp;
        }
        self.sent += 1;
        (self.last, self.next) = (now, now + self.retransmission.pause(self.sent));
        Due::Send
    }

    /// Whether that message belongs to it: by its id, which nobody guesses.
    pub fn is_of(&self, message: &Message<'_>) -> bool {
        self.id == message.id
    }

    /// The time since it was last sent: at least a round trip if it was sent once, else perhaps less.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now - self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sends(retransmission: Retransmission) -> (Vec<u64>, u64) {
        let mut now = Instant::ZERO;
        let to = "192.0.2.1:3478".parse().unwrap();
        let mut transaction = Transaction::new(now, &mut Rng::from_u64(1), to, &Request::default(), retransmission);
        let mut sent = Vec::new();
        loop {
            match transaction.poll(now) {
                Due::Send => sent.push((now - Instant::ZERO).as_millis() as u64),
                Due::GaveUp => return (sent, (now - Instant::ZERO).as_millis() as u64),
                Due::Nothing => panic!("it was not due at its deadline"),
            }
            assert_eq!(transaction.poll(now), Due::Nothing);
            now = transaction.deadline();
        }
    }

    #[test]
    fn a_request_is_repeated_as_the_rfc_has_it() {
        let (sent, gave_up) = sends(Retransmission::default());
        assert_eq!(sent, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(gave_up, 39_500);
    }

    #[test]
    fn a_request_that_is_never_repeated_is_still_sent() {
        let once = Retransmission { sends: 0, patience: 1, ..Retransmission::default() };
        assert_eq!(sends(once), (vec![0], 500));
    }
}
