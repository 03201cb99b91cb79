//! One end of a TCP-like stream.
//!
//! The network loses nothing of a living stream: what a link drops comes a time-out for retransmission later, max(200
//! ms, 2 round trips), and holds up what follows until then; what meets a cut is held. So an end needs no copy of what
//! it sent: it counts what it sent, what was acknowledged, and up to where the peer's window reaches. It learns of a
//! loss as it would by duplicate acknowledgements, at most once a round trip, and halves what it keeps in flight; each
//! round trip without a loss adds a segment, up to the window. Timers are those of Linux: a dial is repeated after 1, 3, 7 … 63 s and given up
//! after 127 s, half an accepted connection is dropped after 63 s, and data that nobody acknowledges breaks the
//! stream after 15 minutes. A sender that waits for the window asks for it each minute.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::packet::{Late, Segment};
use crate::machine::ids::PortId;
use crate::machine::port::PortError;
use crate::machine::pump::Readiness;
use crate::machine::time::Instant;

/// The shortest time-out for retransmission.
const SHORTEST: Duration = Duration::from_millis(200);
/// The time-out before the first round trip is known (RFC 6298).
const FIRST: Duration = Duration::from_secs(1);
/// SYNs of one dial: the last waits 64 s, 127 s after the first.
const DIALS: u32 = 7;
const ANSWER_TIME: Duration = Duration::from_secs(63);
const ACK_TIME: Duration = Duration::from_secs(15 * 60);
const PERSIST_TIME: Duration = Duration::from_secs(60);

/// How the streams of one host behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Bytes that a segment carries at most; at least 1.
    pub segment: usize,
    /// Bytes that an end takes before it is read, and so the most in flight towards it; at least 1.
    pub window: u64,
    /// Bytes a second that can be read of each stream, where its machine is slow.
    pub drain: Option<u64>,
    /// How long a dial from elsewhere waits for the first answer.
    pub handshake: Duration,
}

impl Default for Streams {
    fn default() -> Self {
        Self { segment: 1460, window: 64 * 1024, drain: None, handshake: Duration::ZERO }
    }
}

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
    settings: Streams,
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
    Dialling {
        since: Instant,
        dials: u32,
    },
    /// `answer`: when the SYN is answered, if it was not yet.
    Answering {
        since: Instant,
        answer: Option<Instant>,
    },
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
    /// Bytes that may be in flight for all that is known of the way.
    congestion: u64,
    /// What was sent when the last halving took place: until it is acknowledged there is none.
    halved: u64,
    /// When everything before that number left, to measure one round trip.
    measured: Option<(u64, Instant)>,
    round_trip: Option<Duration>,
}

#[derive(Debug, Default)]
struct Inbox {
    chunks: VecDeque<Vec<u8>>,
    offset: usize,
    received: u64,
    read: u64,
    /// What came before its turn.
    ahead: BTreeMap<u64, Vec<u8>>,
    fin: Option<u64>,
    ended: bool,
    ack_due: bool,
    late: bool,
    /// When more can be read, if its host is slow.
    free: Option<Instant>,
}

impl Stream {
    pub(super) fn dial(now: Instant, local: SocketAddr, peer: SocketAddr, port: PortId, settings: Streams) -> Self {
        let phase = Phase::Dialling { since: now, dials: 1 };
        let mut stream = Self::new(local, peer, Owner::Port(port), phase, settings);
        stream.out.push(Segment::Syn);
        stream
    }

    pub(super) fn answer(
        now: Instant,
        local: SocketAddr,
        peer: SocketAddr,
        listener: PortId,
        settings: Streams,
    ) -> Self {
        let answer = Some(now + settings.handshake);
        let phase = Phase::Answering { since: now, answer };
        let mut stream = Self::new(local, peer, Owner::Listener(listener), phase, settings);
        if settings.handshake == Duration::ZERO {
            stream.on_deadline(now);
        }
        stream
    }

    fn new(local: SocketAddr, peer: SocketAddr, owner: Owner, phase: Phase, settings: Streams) -> Self {
        Self {
            local,
            peer,
            owner,
            phase,
            opened: false,
            told: Readiness::default(),
            out: Vec::new(),
            armed: None,
            settings,
            sending: Sending { congestion: u64::MAX, ..Sending::default() },
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
        let (mut at, size) = (self.sending.sent, self.settings.segment.max(1));
        self.sending.count(now, n as u64);
        for part in bytes[..n].chunks(size) {
            self.out.push(Segment::Data(at, part.to_vec()));
            at += part.len() as u64;
        }
        Ok(n)
    }

    pub(super) fn receive(&mut self, now: Instant, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inbox.take(now, self.settings, buf);
        if n > 0 || buf.is_empty() || self.inbox.ended && !self.inbox.has_unread() {
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
            self.out.push(Segment::Fin(self.sending.sent));
            self.sending.count(now, 1);
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

    pub(super) fn on_syn(&mut self) {
        if let Phase::Answering { answer: None, .. } = self.phase {
            self.out.push(Segment::SynAck(self.settings.window.max(1)));
        }
    }

    pub(super) fn on_ack(&mut self, now: Instant, received: u64, edge: u64, late: bool) {
        let (sending, segment) = (&mut self.sending, self.settings.segment as u64);
        sending.measure(now, received);
        sending.slow_down_or_speed_up(received, late, segment);
        sending.acked = sending.acked.max(received);
        sending.edge = sending.edge.max(edge);
        sending.probing = false;
        sending.progress = now;
        if sending.blocked && sending.room() > 0 {
            sending.blocked = false;
            self.told.writable = true;
        }
    }

    pub(super) fn on_data(&mut self, at: u64, bytes: Vec<u8>, late: Late) {
        if self.phase != Phase::Open || self.inbox.ended {
            return;
        }
        if self.owner == Owner::Nobody {
            return self.reset();
        }
        let had_unread = self.inbox.has_unread();
        self.inbox.late |= late.times > 0;
        self.inbox.put(at, bytes);
        self.told.readable |= !had_unread && self.inbox.has_unread();
        self.end_if_complete();
    }

    pub(super) fn on_fin(&mut self, at: u64) {
        if self.phase != Phase::Open || self.inbox.ended {
            return;
        }
        self.inbox.fin = Some(at);
        self.end_if_complete();
    }

    fn end_if_complete(&mut self) {
        if self.inbox.fin == Some(self.inbox.received) {
            self.inbox.end();
            self.told.readable = true;
            self.told.read_closed = true;
        }
    }

    pub(super) fn on_reset(&mut self) {
        let dialling = matches!(self.phase, Phase::Dialling { .. });
        self.break_off(if dialling { PortError::Refused } else { PortError::Reset });
    }

    pub(super) fn on_syn_ack(&mut self, window: u64) {
        self.sending.edge = self.sending.edge.max(window);
        self.owe_ack();
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
            let (received, edge) = (self.inbox.received, self.inbox.read + self.settings.window.max(1));
            let late = std::mem::take(&mut self.inbox.late);
            self.out.push(Segment::Ack { received, edge, late });
        }
    }

    /// The way to the peer is open again: what an acknowledgement would have said is asked for.
    pub(super) fn probe_after_heal(&mut self) {
        let sending = &self.sending;
        let unsure = sending.acked < sending.sent || sending.blocked;
        if self.phase == Phase::Open && unsure {
            self.out.push(Segment::Probe);
        }
    }

    /// What its sender does when it is lost now.
    pub(super) fn late(&self) -> Late {
        let timeout = self.sending.round_trip.map_or(FIRST, |time| (time * 2).max(SHORTEST));
        Late { timeout, times: 0 }
    }

    /// Whether both directions have ended and were acknowledged.
    pub(super) const fn is_done(&self) -> bool {
        self.sending.finished && self.sending.acked >= self.sending.sent && self.inbox.ended
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.own_deadline(), self.inbox.free].into_iter().flatten().min()
    }

    fn own_deadline(&self) -> Option<Instant> {
        let sending = &self.sending;
        match self.phase {
            Phase::Dialling { since, dials } => Some(since + Duration::from_secs((1 << dials) - 1)),
            Phase::Answering { since, answer } => Some(answer.unwrap_or(since + ANSWER_TIME)),
            Phase::Open if sending.acked < sending.sent || sending.probing => Some(sending.progress + ACK_TIME),
            Phase::Open if sending.blocked => Some(sending.progress + PERSIST_TIME),
            Phase::Open | Phase::Broken(_) => None,
        }
    }

    pub(super) fn on_deadline(&mut self, now: Instant) {
        if self.inbox.free.is_some_and(|free| free <= now) {
            self.inbox.free = None;
            self.told.readable = true;
        }
        if self.own_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match &mut self.phase {
            Phase::Answering { answer: answer @ Some(_), .. } => {
                *answer = None;
                self.out.push(Segment::SynAck(self.settings.window.max(1)));
            }
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
        let end = self.edge.min(self.acked.saturating_add(self.congestion));
        usize::try_from(end.saturating_sub(self.sent)).unwrap_or(usize::MAX)
    }

    fn measure(&mut self, now: Instant, received: u64) {
        if let Some((mark, left)) = self.measured
            && received >= mark
        {
            let sample = now - left;
            self.round_trip = Some(self.round_trip.map_or(sample, |old| (old * 7 + sample) / 8));
            self.measured = None;
        }
    }

    fn slow_down_or_speed_up(&mut self, received: u64, late: bool, segment: u64) {
        if late && received >= self.halved {
            let window = self.edge.saturating_sub(self.acked).max(1);
            self.congestion = (self.congestion.min(window) / 2).max(2 * segment);
            self.halved = self.sent;
        } else if received > self.acked && !late {
            let gained = segment.saturating_mul(received - self.acked) / self.congestion.max(1);
            self.congestion = self.congestion.saturating_add(gained.max(1));
        }
    }

    fn block(&mut self, now: Instant) {
        if !self.blocked && self.acked == self.sent {
            self.progress = now;
        }
        self.blocked = true;
    }

    fn count(&mut self, now: Instant, n: u64) {
        if self.acked == self.sent && n > 0 {
            self.progress = now;
        }
        self.sent += n;
        if self.measured.is_none() {
            self.measured = Some((self.sent, now));
        }
    }
}

impl Inbox {
    fn has_unread(&self) -> bool {
        !self.chunks.is_empty()
    }

    fn put(&mut self, at: u64, bytes: Vec<u8>) {
        self.ack_due = true;
        if at != self.received {
            self.ahead.insert(at, bytes);
            return;
        }
        self.append(bytes);
        while let Some(bytes) = self.ahead.remove(&self.received) {
            self.append(bytes);
        }
    }

    fn append(&mut self, bytes: Vec<u8>) {
        self.received += bytes.len() as u64;
        self.chunks.push_back(bytes);
    }

    const fn end(&mut self) {
        self.received += 1;
        self.ended = true;
        self.ack_due = true;
    }

    fn take(&mut self, now: Instant, settings: Streams, buf: &mut [u8]) -> usize {
        if self.free.is_some_and(|free| free > now) {
            return 0;
        }
        let mut taken = 0;
        let most = settings.drain.map_or(buf.len(), |rate| buf.len().min((rate / 100).max(1) as usize));
        let buf = &mut buf[..most];
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
        if let Some(rate) = settings.drain.filter(|_| taken > 0) {
            self.free = Some(now + Duration::from_nanos(taken as u64 * 1_000_000_000 / rate.max(1)));
        }
        taken
    }
}

const fn io_kind(error: PortError) -> io::ErrorKind {
    match error {
        PortError::TimedOut => io::ErrorKind::TimedOut,
        PortError::Unreachable => io::ErrorKind::NetworkUnreachable,
        _ => io::ErrorKind::ConnectionReset,
    }
}
