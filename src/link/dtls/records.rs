//! Own records, of either version, after a handshake.
//!
//! [`Records`] begin where a handshake by dimpl stands and take everything from there: they seal what the owner has
//! written, open what comes, answer alerts, and update keys. They never go back.
//!
//! *In and out in place.* A datagram is opened where it lies and its texts are lent to a closure, record by record; a
//! record is sealed where its text was written, behind a head reserved before. Nothing is copied and nothing allocated.
//!
//! *What is wrong with a record* is counted and has no other effect, as anybody can send one. What is wrong with a record
//! that the peer has sealed ends the connection with an alert.

use super::Broken;
use super::record::{self, ALERT, APPLICATION, CLOSE_NOTIFY, Plain};
use super::records12::Records12;
use super::records13::Records13;
use super::statistics::{Dropped, Statistics};
use super::suite::TAG;
use super::tap::{Material, Tap};
use crate::machine::Deadline;
use crate::machine::time::Instant;

/// Own records.
pub(super) enum Records {
    V12(Box<Records12>),
    V13(Box<Records13>),
}

/// How a connection ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer says that it is over.
    Closed,
    /// The peer says that something is wrong with us.
    Alert(u8),
    /// Something is wrong with the peer.
    Broken(Broken),
}

impl Records {
    /// Goes on where a handshake stands; none if it stands where only dimpl can go on.
    pub(super) fn new(now: Instant, tap: &Tap, is_client: bool) -> Option<Self> {
        let (write, read) = (tap.write.as_ref()?, tap.read.as_ref()?);
        match &write.material {
            Material::Key(..) => Records12::new(write, read).map(|records| Self::V12(Box::new(records))),
            Material::Secret(_) => Records13::new(now, tap, is_client).map(|records| Self::V13(Box::new(records))),
        }
    }

    /// Bytes before the text of a record.
    pub(super) fn head(&self) -> usize {
        match self {
            Self::V12(records) => records.head(),
            Self::V13(_) => record::HEAD_13,
        }
    }

    /// Bytes that a record adds to its text.
    pub(super) fn overhead(&self) -> usize {
        match self {
            Self::V12(records) => records.head() + TAG,
            Self::V13(_) => record::HEAD_13 + 1 + TAG,
        }
    }

    /// Makes a record of what lies in `out` from `start` on, behind its head; false: not now, and `out` is cut there.
    #[inline]
    pub(super) fn seal(&mut self, kind: u8, out: &mut Vec<u8>, start: usize) -> bool {
        match self {
            Self::V12(records) => records.seal(kind, out, start),
            Self::V13(records) => records.seal(kind, out, start),
        }
    }

    /// Appends one datagram of control: an acknowledgement, or an update of keys. False: none is due.
    ///
    /// # Errors
    /// The peer has not answered for too long.
    pub(super) fn fill(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<bool, Broken> {
        match self {
            Self::V12(_) => Ok(false),
            Self::V13(records) => records.fill(now, out),
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, now: Instant) {
        match self {
            Self::V12(_) => {}
            Self::V13(records) => records.pass(now),
        }
    }

    /// When an update of keys is sent again, or keys are of no more use.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        match self {
            Self::V12(_) => None,
            Self::V13(records) => records.deadline(),
        }
    }

    /// Appends an alert.
    pub(super) fn seal_alert(&mut self, description: u8, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        out.resize(start + self.head(), 0);
        out.extend_from_slice(&record::alert(description));
        self.seal(ALERT, out, start)
    }

    /// Why nothing can be sealed any more.
    pub(super) fn exhausted(&self) -> Option<Broken> {
        match self {
            Self::V12(records) if records.is_exhausted() => Some(Broken::NumbersExhausted),
            Self::V12(_) | Self::V13(_) => None,
        }
    }

    /// Opens a datagram and lends its data, record by record.
    ///
    /// # Errors
    /// The connection is over, and with it this value.
    #[inline]
    pub(super) fn receive(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
        statistics: &mut Statistics,
        deliver: &mut impl FnMut(&[u8]),
    ) -> Result<(), End> {
        match self {
            Self::V12(records) => receive_12(records, datagram, statistics, deliver),
            Self::V13(records) => records.receive(now, datagram, statistics, deliver),
        }
    }
}

#[inline]
fn receive_12(
    records: &mut Records12,
    mut datagram: &mut [u8],
    statistics: &mut Statistics,
    deliver: &mut impl FnMut(&[u8]),
) -> Result<(), End> {
    while !datagram.is_empty() {
        let Some(plain) = Plain::parse(datagram) else {
            statistics.drops.count(Dropped::Malformed);
            return Ok(());
        };
        let (record, rest) = datagram.split_at_mut(plain.len);
        datagram = rest;
        match records.open(&plain, record) {
            Ok((APPLICATION, text)) => {
                statistics.opened += 1;
                deliver(text);
            }
            Ok((ALERT, &[level, description])) if record::is_last_12(level, description) => {
                return Err(end(description));
            }
            Ok((ALERT, &[_, _])) => {}
            Ok(_) => statistics.drops.count(Dropped::Unexpected),
            Err(drop) => statistics.drops.count(drop),
        }
    }
    Ok(())
}

/// How many forged records a connection may see, under all its keys (RFC 9147, section 4.5.3).
pub(super) const MOST_FORGED: u64 = 1 << 36;

/// Ends a connection that has seen too many forged records.
#[inline]
pub(super) const fn check(statistics: &Statistics) -> Result<(), End> {
    if statistics.drops.forged < MOST_FORGED { Ok(()) } else { Err(End::Broken(Broken::TooManyForgeries)) }
}

/// What an alert that ends a connection says.
pub(super) const fn end(description: u8) -> End {
    match description {
        CLOSE_NOTIFY => End::Closed,
        description => End::Alert(description),
    }
}
