//! One end of a TCP-like stream.
//!
//! The network keeps the order and loses nothing of a living stream (it holds what meets a cut), so an end needs
//! no sequence numbers and no copy of what it sent: it counts what it sent, what was acknowledged, and up to where
//! the peer's window reaches. Timers are those of Linux: a dial is repeated after 1, 3, 7 … 63 s and given up
//! after 127 s, half an accepted connection is dropped after 63 s, and data that nobody acknowledges breaks the
//! stream after 15 minutes. A sender that waits for the window asks for it each minute.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::packet::Segment;
use crate::machine::ids::PortId;
use crate::machine::port::PortError;
use crate::machine::pump::Readiness;
use crate::machine::time::Instant;

/// Bytes that an end takes before it is read, and so the most in flight per direction.
pub(super) const WINDOW: u64 = 64 * 1024;
/// Bytes of one segment.
const SEGMENT: usize = 1460;
/// SYNs of one dial: the last waits 64 s, 127 s after the first.
const DIALS: u32 = 7;
const ANSWER_TIME: Duration = Duration::from_secs(63);
const ACK_TIME: Duration = Duration::from_secs(15 * 60);
const PERSIST_TIME: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) owner: Owner,
    pub(super) phase: Phase,
    /// Whether it ever was open.
    pub(super) opened: bool,
    /// Readiness that its owner has still to be told.
    pub(super) told: Readiness,
    /// Segments that have still to be sent.
    pub(super) out: Vec<Segment>,
    /// The deadline that its host knows.
    pub(super) armed: Option<Instant>,
    sending: Sending,
    inbox: Inbox,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Port(PortId),
    /// It waits to be accepted.
    Listener(PortId),
    /// Its port was closed before everything was acknowledged.
    Nobody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dialling { since: Instant, dials: u32 },
    Answering { since: Instant },
    Open,
    Broken(PortError),
}

#[derive(Debug, Default)]
struct Sending {
    sent: u64,
    acked: u64,
    edge: u64,
    finished: bool,
    blocked: bool,
    probing: bool,
    progress: Instant,
}

#[derive(Debug, Default)]
struct Inbox {
    chunks: VecDeque<Vec<u8>>,
    offset: usize,
    received: u64,
    read: u64,
    ended: bool,
    ack_due: bool,
}

impl Stream {
    pub(super) fn dial(now: Instant, local: SocketAddr, peer: SocketAddr, port: PortId) -> Self {
        let phase = Phase::Dialling { since: now, dials: 1 };
        Self::new(local, peer, Owner::Port(port), phase, Segment::Syn)
    }

    pub(super) fn answer(now: Instant, local: SocketAddr, peer: SocketAddr, listener: PortId) -> Self {
        let phase = Phase::Answering { since: now };
        Self::new(local, peer, Owner::Listener(listener), phase, Segment::SynAck)
    }

    fn new(local: SocketAddr, peer: SocketAddr, owner: Owner, phase: Phase, first: Segment) -> Self {
        Self {
            local,
            peer,
            owner,
            phase,
            opened: false,
            told: Readiness::default(),
            out: vec![first],
            armed: None,
            sending: Sending { edge: WINDOW, ..Sending::default() },
            inbox: Inbox::default(),
        }
    }

    pub(super) fn send(&mut self, now: Instant, bytes: &[u8]) -> io::Result<usize> {
        match self.phase {
            Phase::Open if self.sending.finished => return Err(io::ErrorKind::BrokenPipe.into()),
            Phase::Open => {}
            Phase::Broken(error) => return Err(io_kind(error).into()),
            _ => return Err(io::ErrorKind::NotConnected.into()),
        }
        let n = bytes.len().min(self.sending.room());
        if n < bytes.len() {
            self.sending.block(now);
        }
        if n == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.sending.count(now, n as u64);
        self.out.extend(bytes[..n].chunks(SEGMENT).map(|part| Segment::Data(part.to_vec())));
        Ok(n)
    }

    pub(super) fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inbox.take(buf);
        if n > 0 || buf.is_empty() || self.inbox.ended {
            return Ok(n);
        }
        match self.phase {
            Phase::Broken(error) => Err(io_kind(error).into()),
            Phase::Open => Err(io::ErrorKind::WouldBlock.into()),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(super) fn finish(&mut self, now: Instant) -> io::Result<()> {
        if self.phase != Phase::Open {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if !self.sending.finished {
            self.sending.finished = true;
            self.sending.count(now, 1);
            self.out.push(Segment::Fin);
        }
        Ok(())
    }

    /// Its port is closed. Whatever it owes still leaves, unless `abort` or something unread is thrown away.
    pub(super) fn close(&mut self, now: Instant, abort: bool) {
        self.owner = Owner::Nobody;
        match self.phase {
            Phase::Open if self.is_done() => {}
            Phase::Open if abort || self.inbox.has_unread() => self.reset(),
            Phase::Open => _ = self.finish(now),
            // A SYN-ACK that is under way finds nobody and is answered by a reset.
            _ => self.break_off(PortError::Reset),
        }
    }

    /// Breaks it on both sides.
    pub(super) fn reset(&mut self) {
        self.break_off(PortError::Reset);
        self.out.push(Segment::Reset);
    }

    pub(super) fn break_off(&mut self, error: PortError) {
        self.phase = Phase::Broken(error);
        self.inbox.ack_due = false;
        self.told = Readiness { readable: true, writable: true, read_closed: true };
    }

    pub(super) fn open(&mut self) {
        self.phase = Phase::Open;
        self.opened = true;
        self.told.writable = true;
    }

    pub(super) fn on_ack(&mut self, now: Instant, received: u64, edge: u64) {
        let sending = &mut self.sending;
        sending.acked = sending.acked.max(received);
        sending.edge = sending.edge.max(edge);
        sending.probing = false;
        sending.progress = now;
        if sending.blocked && sending.room() > 0 {
            sending.blocked = false;
            self.told.writable = true;
        }
    }

    pub(super) fn on_data(&mut self, bytes: Vec<u8>) {
        if self.phase != Phase::Open || self.inbox.ended {
            return;
        }
        if self.owner == Owner::Nobody {
            return self.reset();
        }
        self.told.readable |= !self.inbox.has_unread();
        self.inbox.put(bytes);
    }

    pub(super) fn on_fin(&mut self) {
        if self.phase != Phase::Open || self.inbox.ended {
            return;
        }
        self.inbox.end();
        self.told.readable = true;
        self.told.read_closed = true;
    }

    pub(super) fn on_reset(&mut self) {
        let dialling = matches!(self.phase, Phase::Dialling { .. });
        self.break_off(if dialling { PortError::Refused } else { PortError::Reset });
    }

    /// Owes the peer a word on what has come and what may come.
    pub(super) const fn owe_ack(&mut self) {
        self.inbox.ack_due = true;
    }

    pub(super) const fn owes_ack(&self) -> bool {
        self.inbox.ack_due
    }

    pub(super) fn ack(&mut self) {
        if std::mem::take(&mut self.inbox.ack_due) {
            self.out.push(Segment::Ack { received: self.inbox.received, edge: self.inbox.read + WINDOW });
        }
    }

    /// The way to the peer is open again: what an acknowledgement would have said is asked for.
    pub(super) fn probe_after_heal(&mut self) {
        let sending = &self.sending;
        let unsure = sending.acked < sending.sent || sending.edge < sending.acked + WINDOW;
        if self.phase == Phase::Open && unsure {
            self.out.push(Segment::Probe);
        }
    }

    /// Whether both directions have ended and were acknowledged.
    pub(super) const fn is_done(&self) -> bool {
        self.sending.finished && self.sending.acked >= self.sending.sent && self.inbox.ended
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let sending = &self.sending;
        match self.phase {
            Phase::Dialling { since, dials } => Some(since + Duration::from_secs((1 << dials) - 1)),
            Phase::Answering { since } => Some(since + ANSWER_TIME),
            Phase::Open if sending.acked < sending.sent || sending.probing => Some(sending.progress + ACK_TIME),
            Phase::Open if sending.blocked => Some(sending.progress + PERSIST_TIME),
            Phase::Open | Phase::Broken(_) => None,
        }
    }

    pub(super) fn on_deadline(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Dialling { dials, .. } if *dials < DIALS => {
                *dials += 1;
                self.out.push(Segment::Syn);
            }
            Phase::Open if self.sending.acked == self.sending.sent && !self.sending.probing => {
                self.sending.probing = true;
                self.sending.progress = now;
                self.out.push(Segment::Probe);
            }
            _ => self.break_off(PortError::TimedOut),
        }
    }
}

impl Sending {
    fn room(&self) -> usize {
        usize::try_from(self.edge.saturating_sub(self.sent)).unwrap_or(usize::MAX)
    }

    fn block(&mut self, now: Instant) {
        if !self.blocked && self.acked == self.sent {
            self.progress = now;
        }
        self.blocked = true;
    }

    const fn count(&mut self, now: Instant, n: u64) {
        if self.acked == self.sent && n > 0 {
            self.progress = now;
        }
        self.sent += n;
    }
}

impl Inbox {
    fn has_unread(&self) -> bool {
        !self.chunks.is_empty()
    }

    fn put(&mut self, bytes: Vec<u8>) {
        self.received += bytes.len() as u64;
        self.ack_due = true;
        self.chunks.push_back(bytes);
    }

    const fn end(&mut self) {
        self.received += 1;
        self.ended = true;
        self.ack_due = true;
    }

    fn take(&mut self, buf: &mut [u8]) -> usize {
        let mut taken = 0;
        while let Some(chunk) = self.chunks.front()
            && taken < buf.len()
        {
            let n = (chunk.len() - self.offset).min(buf.len() - taken);
            buf[taken..taken + n].copy_from_slice(&chunk[self.offset..self.offset + n]);
            (taken, self.offset) = (taken + n, self.offset + n);
            if self.offset == chunk.len() {
                self.offset = 0;
                self.chunks.pop_front();
            }
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
        self.read += taken as u64;
        self.ack_due |= taken > 0;
        taken
    }
}

const fn io_kind(error: PortError) -> io::ErrorKind {
    match error {
        PortError::TimedOut => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::ConnectionReset,
    }
}
