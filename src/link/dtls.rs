//! DTLS 1.2 and 1.3 (RFC 6347, RFC 9147): the handshake by dimpl, records of our own after it.
//!
//! A [`Dtls`] is one connection. It takes datagrams in, lends the data in them, seals data into datagrams where it lies,
//! and says when it wants to be woken. It owns no socket, no clock and, given a seed, no entropy.
//!
//! # How it works
//!
//! *Handshake.* dimpl makes it, with one configuration for all connections of a [`Provider`]. The peer is who has the
//! key of the certificate whose SHA-256 was told through a channel that is trusted (RFC 8122); nothing is delivered before
//! that is checked. Both sides always show a certificate.
//!
//! *Own records.* dimpl's records copy a text four times and allocate six times for each, which costs three times as
//! much as its encryption. So keys are taken out of the handshake on the way (`tap`), and once data of the peer's has been
//! delivered own records go on and dimpl is dropped (`handshake` says why then, and not earlier). From there on nothing
//! is copied and nothing allocated, and a connection is smaller by what dimpl holds.
//!
//! *No nonce twice.* Numbers go on where dimpl stood, and dimpl is gone, so that nobody else can seal. The nonces of
//! AES-GCM in DTLS 1.2, which dimpl draws at random, and own ones, which count, begin by different bytes. Each epoch of
//! DTLS 1.3 has its own key.
//!
//! *What stays on dimpl's records:* connections of a provider with a suite other than AES-128-GCM, AES-256-GCM and
//! ChaCha20-Poly1305; those whose keys were updated before the take-over; those on which the peer never sends data. They
//! work, and are slower.
//!
//! *Keys* are updated after 2^23 records (1.3; at most 2^24.5 may be sealed with one, RFC 9147, section 4.5.3) and whenever
//! the peer updates its own. DTLS 1.2 has no update: a connection ends when its 2^48 numbers do. What we hold of
//! keys, of secrets and of the fixed parts of nonces is wiped when it goes. What a computation leaves on the stack (a tag
//! of HMAC, a nonce) is not, and what dimpl held is freed only.
//!
//! *The end.* A peer's close_notify is answered once own records have taken over; before, dimpl may leave it
//! unanswered. A fatal alert of the peer's, authentic after the handshake, ends the connection; so does what the peer
//! seals against the rules, with an alert from us. What is not authentic is counted in [`Drops`] and has no effect.
//!
//! # Not built
//!
//! Connection ids (RFC 9146), early data, resumption, renegotiation, shared keys: WebRTC has no use for them. Tickets are
//! acknowledged and thrown away. Cookies (RFC 6347, section 4.2.1; RFC 9147, section 5.1): a server answers whoever says
//! ClientHello, so its owner must send only to where it knows that somebody listens, as ICE shows.

mod context;
mod handshake;
mod record;
mod records;
mod records12;
mod records13;
mod replay;
mod schedule;
#[cfg(feature = "sim")]
pub(crate) mod seeded;
mod statistics;
mod suite;
mod tap;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;

use crate::machine::Deadline;
use crate::machine::time::Instant;
#[cfg(feature = "str0m")]
pub(crate) use context::paced;
pub use context::{Context, Provider, Unfit};
use handshake::{Handshake, Waiting};
use records::{End, Records};
use statistics::Dropped;
pub use statistics::{Drops, Statistics};
use suite::TAG;

/// Which versions a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// DTLS 1.2 only.
    Dtls12,
    /// DTLS 1.3 only.
    Dtls13,
    /// The best that both sides have.
    #[default]
    Auto,
}

/// What happens to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The handshake is complete and the peer is who it should be: data may be sealed.
    Connected,
    /// The peer has closed the connection.
    Closed,
    /// The connection is over.
    Failed(Broken),
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The peer's certificate is another one than was told.
    #[error("the peer's certificate is not the one that was told")]
    Fingerprint,
    /// dimpl gives the handshake up.
    #[error("DTLS: {0}")]
    Handshake(dimpl::Error),
    /// The handshake took too long.
    #[error("the DTLS handshake was not answered")]
    Timeout,
    /// The peer gives up, with an alert (RFC 8446, section 6).
    #[error("the peer gave up by DTLS alert {0}")]
    Alert(u8),
    /// All 2^48 numbers of records are used (DTLS 1.2).
    #[error("the numbers of DTLS records have run out")]
    NumbersExhausted,
    /// 2^36 records were forged, so that the next might pass (RFC 9147, section 4.5.3).
    #[error("too many DTLS records were forged")]
    TooManyForgeries,
    /// The peer updates its keys more often than eight times a second.
    #[error("the peer updates its DTLS keys too often")]
    UpdateStorm,
    /// The peer does not acknowledge an update of our keys.
    #[error("the peer does not acknowledge an update of DTLS keys")]
    UpdateUnanswered,
    /// An update of keys is malformed (RFC 8446, section 4.6.3).
    #[error("an update of DTLS keys is malformed")]
    IllegalUpdate,
    /// A message of the handshake that has no place after it (RFC 9147, section 5.7).
    #[error("a DTLS message that was not expected")]
    UnexpectedMessage,
    /// A record without content, or with one that has no place after the handshake (RFC 8446, section 5).
    #[error("a DTLS record with unexpected content")]
    UnexpectedContent,
}

impl Broken {
    /// The alert that tells the peer; none if it knows, or would not understand.
    const fn alert(&self) -> Option<u8> {
        match self {
            Self::TooManyForgeries | Self::UpdateStorm | Self::UpdateUnanswered => Some(80),
            Self::IllegalUpdate => Some(47),
            Self::UnexpectedMessage | Self::UnexpectedContent => Some(10),
            Self::Fingerprint | Self::Handshake(_) | Self::Timeout | Self::Alert(_) | Self::NumbersExhausted => None,
        }
    }
}

/// One connection.
///
/// Drain it after each call: events by [`poll_event`](Self::poll_event), datagrams by [`fill`](Self::fill) until it
/// says false. What it wants to say waits for that and has no deadline.
pub struct Dtls {
    state: State,
    version: Version,
    /// Datagrams that wait to be sent: of dimpl's, and the last alert.
    waiting: Waiting,
    events: VecDeque<Event>,
    statistics: Statistics,
}

enum State {
    Handshake(Box<Handshake>),
    Records(Records),
    Over,
}

impl Dtls {
    /// A connection that begins now.
    ///
    /// `fingerprint` is SHA-256 of the peer's certificate. `seed` counts with a [seeded provider](Provider::seeded) only.
    pub fn new(
        context: &Context,
        now: Instant,
        version: Version,
        is_client: bool,
        fingerprint: [u8; 32],
        seed: Option<u64>,
    ) -> Self {
        let handshake = Handshake::new(context, now, version, is_client, fingerprint, seed);
        let state = State::Handshake(Box::new(handshake));
        let (waiting, statistics) = (Waiting::new(), Statistics::default());
        let mut dtls = Self { state, version, waiting, events: VecDeque::new(), statistics };
        dtls.on_timeout(now);
        dtls
    }

    /// Whether data may be sealed.
    pub fn is_connected(&self) -> bool {
        match &self.state {
            State::Handshake(handshake) => handshake.is_connected(),
            State::Records(_) => true,
            State::Over => false,
        }
    }

    /// Whether own records have taken over.
    pub const fn has_own_records(&self) -> bool {
        matches!(self.state, State::Records(_))
    }

    /// Takes a datagram from the peer and lends the data in it, record by record, where it lies. Of no datagram anything
    /// remains but that.
    #[inline]
    pub fn receive(&mut self, now: Instant, datagram: &mut [u8], mut deliver: impl FnMut(&[u8])) {
        match &mut self.state {
            State::Records(records) => {
                let received = records.receive(now, datagram, &mut self.statistics, &mut deliver);
                received.and_then(|()| records::check(&self.statistics)).unwrap_or_else(|end| self.end(end));
            }
            State::Handshake(_) => self.receive_early(now, datagram, &mut deliver),
            State::Over => self.statistics.drops.count(Dropped::Late),
        }
    }

    fn receive_early(&mut self, now: Instant, datagram: &[u8], deliver: &mut impl FnMut(&[u8])) {
        let State::Handshake(handshake) = &mut self.state else { return };
        let was_connected = handshake.is_connected();
        let mut opened = 0;
        let received = handshake.receive(now, datagram, &mut self.waiting, &mut |data| {
            opened += 1;
            deliver(data);
        });
        self.statistics.opened += opened;
        if received == Ok(false) {
            self.statistics.drops.count(Dropped::Refused);
        }
        self.settle(now, was_connected, received.map(drop));
    }

    /// After each call into dimpl: what has become of the handshake.
    fn settle(&mut self, now: Instant, was_connected: bool, end: Result<(), End>) {
        let State::Handshake(handshake) = &self.state else { return };
        if handshake.is_connected() && !was_connected {
            self.events.push_back(Event::Connected);
        }
        if let Some(records) = handshake.successor(now).filter(|_| end.is_ok()) {
            self.state = State::Records(records);
        }
        end.unwrap_or_else(|end| self.end(end));
    }

    /// Appends one datagram of its own: handshake, alert, acknowledgement, update of keys. False: none is due.
    pub fn fill(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if let Some(datagram) = self.waiting.pop_front() {
            out.extend_from_slice(&datagram);
            if self.waiting.is_empty() {
                self.waiting = Waiting::new();
            }
            return true;
        }
        let State::Records(records) = &mut self.state else { return false };
        let start = out.len();
        records.fill(now, out).unwrap_or_else(|broken| {
            out.truncate(start);
            self.end(End::Broken(broken));
            false
        })
    }

    /// Reserves the head of a record at the end of `out`, behind which its text is to be appended; answers where the
    /// record starts, for [`seal`](Self::seal).
    #[inline]
    pub fn begin(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.resize(start + self.head(), 0);
        start
    }

    /// Seals the text appended since [`begin`](Self::begin), in place: from `start` on, `out` is one datagram.
    ///
    /// False, and `out` is cut at `start`: the handshake is not complete, or the connection is over, or the text is longer
    /// than 16,384 bytes, or a key has sealed as much as it may and its update is not acknowledged yet.
    #[inline]
    pub fn seal(&mut self, now: Instant, out: &mut Vec<u8>, start: usize) -> bool {
        let is_sealed = match &mut self.state {
            State::Records(records) => records.seal(record::APPLICATION, out, start),
            _ => self.seal_early(now, out, start),
        };
        self.statistics.sealed += u64::from(is_sealed);
        if !is_sealed {
            self.exhaust();
        }
        is_sealed
    }

    fn seal_early(&mut self, now: Instant, out: &mut Vec<u8>, start: usize) -> bool {
        let State::Handshake(handshake) = &mut self.state else {
            out.truncate(start);
            return false;
        };
        let sealed = handshake.seal(now, out, start, &mut self.waiting);
        let is_sealed = sealed == Ok(true);
        self.settle(now, true, sealed.map(drop));
        is_sealed
    }

    fn exhaust(&mut self) {
        let State::Records(records) = &self.state else { return };
        if let Some(broken) = records.exhausted() {
            self.end(End::Broken(broken));
        }
    }

    /// Bytes that a record adds to its text: 22 to 37, the most of the version before the handshake is complete.
    pub fn overhead(&self) -> usize {
        match (&self.state, self.version) {
            (State::Records(records), _) => records.overhead(),
            (_, Version::Dtls13) => record::HEAD_13 + 1 + TAG,
            (_, Version::Dtls12 | Version::Auto) => record::HEAD_12 + 8 + TAG,
        }
    }

    /// dimpl makes its heads itself.
    #[inline]
    fn head(&self) -> usize {
        match &self.state {
            State::Records(records) => records.head(),
            _ => 0,
        }
    }

    /// What has happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`on_timeout`](Self::on_timeout).
    pub fn deadline(&self) -> Option<Deadline> {
        match &self.state {
            State::Handshake(handshake) => handshake.deadline().map(|at| Deadline::new(at, "DTLS handshake")),
            State::Records(records) => records.deadline(),
            State::Over => None,
        }
    }

    /// Lets time pass; [`fill`](Self::fill) then gives what is to be sent again.
    pub fn on_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Handshake(handshake) => {
                let was_connected = handshake.is_connected();
                let passed = handshake.pass(now, &mut self.waiting, &mut |_| {});
                self.settle(now, was_connected, passed);
            }
            State::Records(records) => records.pass(now),
            State::Over => {}
        }
    }

    /// Says goodbye: [`fill`](Self::fill) gives the last datagram, and no event follows.
    pub fn close(&mut self, now: Instant) {
        match &mut self.state {
            State::Handshake(handshake) => handshake.close(now, &mut self.waiting),
            State::Records(_) => self.say(record::CLOSE_NOTIFY),
            State::Over => {}
        }
        self.state = State::Over;
    }

    /// What was counted.
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn end(&mut self, end: End) {
        match end {
            End::Closed => {
                self.say(record::CLOSE_NOTIFY);
                self.events.push_back(Event::Closed);
            }
            End::Alert(description) => self.events.push_back(Event::Failed(Broken::Alert(description))),
            End::Broken(broken) => {
                broken.alert().into_iter().for_each(|description| self.say(description));
                self.events.push_back(Event::Failed(broken));
            }
        }
        self.state = State::Over;
    }

    /// Lets an alert wait to be sent.
    fn say(&mut self, description: u8) {
        let State::Records(records) = &mut self.state else { return };
        let mut alert = Vec::new();
        if records.seal_alert(description, &mut alert) {
            self.waiting.push_back(alert);
        }
    }
}

impl fmt::Debug for Dtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Handshake(_) => "handshake",
            State::Records(_) => "own records",
            State::Over => "over",
        };
        f.debug_struct("Dtls").field("state", &state).field("statistics", &self.statistics).finish_non_exhaustive()
    }
}
