//! Records of DTLS 1.3 (RFC 9147, section 4), after the handshake, with what still has to be said between the ends:
//! acknowledgements and updates of keys.
//!
//! *Epochs.* Each update begins another epoch, with keys made of the secret before. The peer's last epoch stays readable
//! until a record of the next one has come, as records overtake each other. Epoch 2, the handshake's, stays readable for
//! four minutes on the server's side: a client whose Finished was not acknowledged sends it again, and nobody but us is
//! left to acknowledge it (section 5.8.1). Its keys and its window are made once and go when that time is over.
//!
//! *Messages after the handshake* are updates of keys and, from a server, tickets, which are acknowledged and thrown
//! away. All others end the connection.
//!
//! *Bounds.* At most 16 numbers wait to be acknowledged; a peer may update its keys eight times a second, as each costs
//! us a key schedule.

mod update;

use smallvec::SmallVec;
use std::time::Duration;

use super::Broken;
use super::record::{
    ACK, ALERT, APPLICATION, Fragment, HANDSHAKE, HEAD_13, LONGEST, Message, Plain, SAMPLE, Unified, content,
    is_last_13, whole,
};
use super::records::{End, end};
use super::replay::Window;
use super::schedule::{Protection, Secret};
use super::statistics::{Dropped, Statistics};
use super::suite::{Suite, TAG, numbered};
use super::tap::{Material, Read, Tap};
use crate::machine::Deadline;
use crate::machine::bucket::Bucket;
use crate::machine::time::Instant;
use update::Update;

/// How long a repeated Finished is acknowledged: twice the longest life of a datagram.
const LINGER: Duration = Duration::from_secs(240);
/// Updates of the peer's keys in a second.
const UPDATES: u64 = 8;
/// Numbers that wait to be acknowledged.
const ACKS: usize = 16;
/// After so many records a key is updated: about a third of what AES-GCM allows.
const UPDATE_AFTER: u64 = 1 << 23;
/// What data leaves of a key's records to control.
const RESERVE: u64 = 1 << 10;
/// The first epoch of data (section 6.1).
const FIRST_EPOCH: u64 = 3;
const HANDSHAKE_EPOCH: u64 = 2;

/// Both directions.
pub(super) struct Records13 {
    suite: Suite,
    is_client: bool,
    write: Writer,
    read: Reader,
    /// The epoch before that of `read`.
    previous: Option<Box<Reader>>,
    /// Reads the client's handshake, until the moment.
    handshake: Option<(Box<Reader>, Instant)>,
    /// Epochs and numbers of records to be acknowledged.
    acks: SmallVec<[(u64, u64); 2]>,
    update: Option<Box<Update>>,
    /// The number of our last message.
    message: u16,
    updates: Bucket,
    update_after: u64,
}

struct Writer {
    epoch: u64,
    secret: Secret,
    protection: Protection,
    /// The number of the next record.
    next: u64,
}

struct Reader {
    epoch: u64,
    secret: Secret,
    protection: Protection,
    window: Window,
}

/// Where a record stands, and what it holds.
struct Opened<'a> {
    epoch: u64,
    number: u64,
    kind: u8,
    text: &'a [u8],
}

impl Records13 {
    /// Goes on where a handshake stands; none if keys have been updated already.
    pub(super) fn new(now: Instant, tap: &Tap, is_client: bool) -> Option<Self> {
        let (write, read) = (tap.write.as_ref()?, tap.read.as_ref()?);
        let Material::Secret(ours) = &write.material else { return None };
        let suite = write.suite;
        let reader = Reader::of(suite, FIRST_EPOCH, read)?;
        let handshake = tap.handshake.as_ref().filter(|_| !is_client);
        let handshake = handshake.and_then(|read| Reader::of(suite, HANDSHAKE_EPOCH, read));
        (!tap.is_updated).then(|| Self {
            suite,
            is_client,
            write: Writer { next: write.next, ..Writer::new(suite, FIRST_EPOCH, ours.clone()) },
            read: reader,
            previous: None,
            handshake: handshake.map(|reader| (Box::new(reader), now + LINGER)),
            acks: SmallVec::new(),
            update: None,
            message: tap.message,
            updates: Bucket::new(now, UPDATES),
            update_after: UPDATE_AFTER,
        })
    }

    #[cfg(test)]
    pub(super) const fn update_after(&mut self, records: u64) {
        self.update_after = records;
    }

    #[cfg(test)]
    pub(super) const fn skip_to(&mut self, number: u64) {
        self.write.next = number;
    }

    #[cfg(test)]
    pub(super) const fn expect(&mut self, number: u64) {
        self.read.window.mark(number - 1);
    }

    /// A record of data as others may make it.
    #[cfg(test)]
    pub(super) fn unusual(&mut self, is_short: bool, has_length: bool, text: &[u8]) -> Vec<u8> {
        let number = self.write.next;
        self.write.next += 1;
        let usual = Unified::emit(self.write.epoch, number, (text.len() + 1 + TAG) as u16);
        let mut head = vec![usual[0] & if is_short { !8 } else { !0 } & if has_length { !0 } else { !4 }];
        head.extend_from_slice(if is_short { &usual[2..3] } else { &usual[1..3] });
        head.extend_from_slice(if has_length { &usual[3..] } else { &[] });
        let mut sealed = [text, &[APPLICATION]].concat();
        let tag = self.write.protection.key.seal(numbered(*self.write.protection.iv, number), &head, &mut sealed);
        sealed.extend_from_slice(&tag.unwrap());
        let mask = self.write.protection.mask.of(&sealed[..SAMPLE]).unwrap();
        head[1..].iter_mut().zip(mask).take(2 - usize::from(is_short)).for_each(|(byte, mask)| *byte ^= mask);
        [head, sealed].concat()
    }

    /// Goes on with the next keys.
    #[cfg(test)]
    pub(super) fn turn(&mut self) {
        self.write = self.write.successor(self.suite);
    }

    /// Makes a record of what lies in `out` from `start` on, behind the head that it needs. False, and `out` is cut
    /// there: the text is longer than 16,384 bytes, or the key may seal no more until its update is acknowledged.
    #[inline]
    pub(super) fn seal(&mut self, kind: u8, out: &mut Vec<u8>, start: usize) -> bool {
        let reserve = if kind == APPLICATION { RESERVE } else { 0 };
        if self.write.next >= self.suite.most_sealed() - reserve || out.len() - start > HEAD_13 + LONGEST {
            out.truncate(start);
            return false;
        }
        out.push(kind);
        let is_sealed = self.write.seal(out, start).is_some();
        if !is_sealed {
            out.truncate(start);
        }
        if self.write.next >= self.update_after && self.update.is_none() {
            self.begin_update();
        }
        is_sealed
    }

    /// Opens a datagram.
    #[inline]
    pub(super) fn receive(
        &mut self,
        now: Instant,
        mut datagram: &mut [u8],
        statistics: &mut Statistics,
        deliver: &mut impl FnMut(&[u8]),
    ) -> Result<(), End> {
        while let Some(first) = datagram.first() {
            let is_protected = Unified::is_first(*first);
            let head = Unified::parse(datagram).filter(|_| is_protected);
            let plain = || Plain::parse(datagram).filter(|_| !is_protected).map(|plain| plain.len);
            let Some(len) = head.as_ref().map(|head| head.len).or_else(plain) else {
                statistics.drops.count(Dropped::Malformed);
                return Ok(());
            };
            let (record, rest) = datagram.split_at_mut(len);
            datagram = rest;
            let opened = head.ok_or(Dropped::Unprotected).and_then(|head| self.open(now, &head, record));
            match opened {
                Ok(Opened { kind: APPLICATION, epoch, text, .. }) if epoch != HANDSHAKE_EPOCH => {
                    statistics.opened += 1;
                    deliver(text);
                }
                Ok(opened) => self.control(now, &opened, statistics)?,
                Err(drop) => statistics.drops.count(drop),
            }
        }
        Ok(())
    }

    #[inline]
    fn open<'a>(&mut self, now: Instant, head: &Unified, record: &'a mut [u8]) -> Result<Opened<'a>, Dropped> {
        if self.read.is(head.epoch) {
            let opened = self.read.open(head, record)?;
            self.previous = None;
            return Ok(opened);
        }
        if let Some(previous) = self.previous.as_mut().filter(|previous| previous.is(head.epoch)) {
            return previous.open(head, record);
        }
        let handshake = self.handshake.as_mut().filter(|(reader, until)| reader.is(head.epoch) && now < *until);
        handshake.ok_or(Dropped::Epoch)?.0.open(head, record)
    }

    fn control(&mut self, now: Instant, opened: &Opened<'_>, statistics: &mut Statistics) -> Result<(), End> {
        match (opened.kind, opened.text) {
            (ALERT, &[_, description]) if is_last_13(description) => return Err(end(description)),
            (ALERT, &[_, _]) => {}
            (HANDSHAKE, _) if opened.epoch == HANDSHAKE_EPOCH => self.acknowledge(opened),
            (HANDSHAKE, _) => self.messages(now, opened, statistics).map_err(End::Broken)?,
            (ACK, text) => self.acknowledged(text, statistics),
            _ if opened.epoch == HANDSHAKE_EPOCH => statistics.drops.count(Dropped::Unexpected),
            _ => return Err(End::Broken(Broken::UnexpectedContent)),
        }
        Ok(())
    }

    fn messages(&mut self, now: Instant, opened: &Opened<'_>, statistics: &mut Statistics) -> Result<(), Broken> {
        let mut text = opened.text;
        while !text.is_empty() {
            let Fragment { message, body, rest } = Message::parse(text).ok_or(Broken::UnexpectedMessage)?;
            match message.kind {
                Message::KEY_UPDATE if opened.epoch == self.read.epoch => {
                    self.peer_update(now, &message, body)?;
                    statistics.peer_updates += 1;
                }
                Message::KEY_UPDATE => {}
                Message::NEW_SESSION_TICKET if self.is_client => {}
                _ => return Err(Broken::UnexpectedMessage),
            }
            text = rest;
        }
        self.acknowledge(opened);
        Ok(())
    }

    /// The peer's next records are of the next epoch (section 8).
    fn peer_update(&mut self, now: Instant, message: &Message, body: &[u8]) -> Result<(), Broken> {
        let is_asked = match (message.len, body) {
            (1, [0]) => false,
            (1, [1]) => true,
            _ => return Err(Broken::IllegalUpdate),
        };
        if !self.updates.take(now, 1) {
            return Err(Broken::UpdateStorm);
        }
        let next = Reader::new(self.suite, self.read.epoch + 1, self.read.secret.next());
        self.previous = Some(Box::new(std::mem::replace(&mut self.read, next)));
        if is_asked && self.update.is_none() {
            self.begin_update();
        }
        Ok(())
    }

    fn begin_update(&mut self) {
        self.message = self.message.wrapping_add(1);
        self.update = Some(Box::new(Update::new(self.message)));
    }

    fn acknowledge(&mut self, opened: &Opened<'_>) {
        if self.acks.len() < ACKS {
            self.acks.push((opened.epoch, opened.number));
        }
    }

    /// Our update has arrived: only now may the next keys be used (section 8).
    fn acknowledged(&mut self, text: &[u8], statistics: &mut Statistics) {
        let Some(update) = &self.update else { return };
        let numbers = text.get(2..).unwrap_or_default().chunks_exact(16).filter_map(|number| {
            let (epoch, number) = number.split_first_chunk()?;
            (u64::from_be_bytes(*epoch) == self.write.epoch).then_some(u64::from_be_bytes(*number.first_chunk()?))
        });
        if numbers.into_iter().any(|number| update.was_sent_as(number)) {
            self.write = self.write.successor(self.suite);
            self.update = None;
            statistics.own_updates += 1;
        }
    }

    /// Appends one datagram of control.
    pub(super) fn fill(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<bool, Broken> {
        let start = out.len();
        out.resize(start + HEAD_13, 0);
        if !self.acks.is_empty() {
            out.extend_from_slice(&(16 * self.acks.len() as u16).to_be_bytes());
            self.acks.drain(..).for_each(|(epoch, number)| {
                out.extend_from_slice(&epoch.to_be_bytes());
                out.extend_from_slice(&number.to_be_bytes());
            });
            return Ok(self.seal(ACK, out, start));
        }
        let number = self.write.next;
        let Some(update) = self.update.as_mut().filter(|update| update.is_due(now)) else {
            out.truncate(start);
            return Ok(false);
        };
        update.send(now, number, out)?;
        Ok(self.seal(HANDSHAKE, out, start))
    }

    /// Lets time pass: the keys of the client's handshake go.
    pub(super) fn pass(&mut self, now: Instant) {
        self.handshake.take_if(|(_, until)| *until <= now);
    }

    /// When an update of keys is sent again, or the keys of the client's handshake go.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        let update = self.update.as_ref().and_then(|update| update.deadline());
        let update = update.map(|at| Deadline::new(at, "DTLS key update"));
        let handshake = self.handshake.as_ref().map(|(_, until)| Deadline::new(*until, "DTLS handshake keys"));
        update.into_iter().chain(handshake).min_by_key(|deadline| deadline.at)
    }
}

impl Writer {
    fn new(suite: Suite, epoch: u64, secret: Secret) -> Self {
        Self { epoch, protection: secret.protection(suite), secret, next: 0 }
    }

    fn successor(&self, suite: Suite) -> Self {
        Self::new(suite, self.epoch + 1, self.secret.next())
    }

    /// Seals a record in place, but for its tag, which it appends.
    #[inline]
    fn seal(&mut self, out: &mut Vec<u8>, start: usize) -> Option<()> {
        let (head, text) = out[start..].split_first_chunk_mut::<HEAD_13>()?;
        *head = Unified::emit(self.epoch, self.next, u16::try_from(text.len() + TAG).ok()?);
        let tag = self.protection.key.seal(numbered(*self.protection.iv, self.next), head, text)?;
        self.next += 1;
        out.extend_from_slice(&tag);
        let (head, sealed) = out[start..].split_first_chunk_mut::<HEAD_13>()?;
        let mask = self.protection.mask.of(&sealed[..SAMPLE])?;
        head[1..3].iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        Some(())
    }
}

impl Reader {
    fn new(suite: Suite, epoch: u64, secret: Secret) -> Self {
        Self { epoch, protection: secret.protection(suite), secret, window: Window::default() }
    }

    /// Goes on where a handshake stands.
    fn of(suite: Suite, epoch: u64, read: &Read) -> Option<Self> {
        let Material::Secret(secret) = &read.material else { return None };
        Some(Self { window: read.window, ..Self::new(suite, epoch, secret.clone()) })
    }

    const fn is(&self, bits: u8) -> bool {
        self.epoch & 3 == bits as u64
    }

    #[inline]
    fn open<'a>(&mut self, head: &Unified, record: &'a mut [u8]) -> Result<Opened<'a>, Dropped> {
        let (about, sealed) = record.split_at_mut(head.head);
        let mask = sealed.get(..SAMPLE).and_then(|sample| self.protection.mask.of(sample)).ok_or(Dropped::Malformed)?;
        let mut cut = 0;
        for (byte, mask) in about[1..=head.number].iter_mut().zip(mask) {
            *byte ^= mask;
            cut = cut << 8 | u64::from(*byte);
        }
        let number = whole(cut, head.number, self.window.next());
        if !self.window.is_new(number) {
            return Err(Dropped::Replayed);
        }
        let nonce = numbered(*self.protection.iv, number);
        let len = self.protection.key.open(nonce, about, sealed).ok_or(Dropped::Forged)?;
        self.window.mark(number);
        let (kind, text) = content(&sealed[..len]).unwrap_or_default();
        Ok(Opened { epoch: self.epoch, number, kind, text })
    }
}
