//! What comes in: packets are opened, their records taken one by one.

use super::closing::Phase;
use super::event::{CloseReason, Misbehaved, PathId, PathInfo, SessionEvent};
use super::incoming::Arrival;
use super::path::{ACK_DELAY, State};
use super::timers::SessionTimer;
use super::{Lane, Session};
use crate::link::noise::OpenError;
use crate::machine::time::Instant;
use crate::wire::cursor::Cursor;
use crate::wire::session::{Ack, Head, Record, Run};

/// Bytes after which acknowledgements do not wait.
const ACK_AFTER: usize = 32 * 1024;

impl Session {
    /// Takes in one packet (`Plain`, `Sealed` or `Attach`), opened in place.
    ///
    /// # Errors
    /// The rule broken; [`Misbehaved::closes_path`] says whether the path shall be closed. The session itself never
    /// ends by an error: a rule broken inside an authentic packet is told as [`SessionEvent::Closed`].
    pub fn receive(&mut self, now: Instant, path: PathId, packet: &mut [u8]) -> Result<(), Misbehaved> {
        if self.is_over() {
            return Ok(());
        }
        let index = self.index(path).ok_or(Misbehaved::NoSuchPath)?;
        let info = self.paths[index].info;
        self.paths[index].counts.bytes_received += packet.len() as u64;
        let records = self.open(Some(info), packet)?;
        self.take_packet(now, index, records);
        Ok(())
    }

    /// Takes in one packet as [`Self::receive`] does, without changing it. None: it is sealed, or something else.
    pub fn receive_plain(&mut self, now: Instant, path: PathId, packet: &[u8]) -> Option<Result<(), Misbehaved>> {
        let mut cursor = Cursor::new(packet);
        let Ok(Head::Plain) = Head::take(&mut cursor) else { return None };
        let records = &packet[packet.len() - cursor.len()..];
        Some(self.take_plain(now, path, packet.len(), records))
    }

    fn take_plain(&mut self, now: Instant, path: PathId, len: usize, records: &[u8]) -> Result<(), Misbehaved> {
        if self.is_over() {
            return Ok(());
        }
        let index = self.index(path).ok_or(Misbehaved::NoSuchPath)?;
        self.paths[index].counts.bytes_received += len as u64;
        if len > self.config.packet {
            return Err(Misbehaved::NotAPacket);
        }
        if !self.paths[index].info.private {
            return Err(Misbehaved::Unsealed);
        }
        self.take_packet(now, index, records);
        Ok(())
    }

    /// Takes in the first packet of a path that the peer opened, and adds that path; if there was one of that id, the
    /// peer has given it up, and it is replaced. Later packets go to [`Self::receive`].
    ///
    /// # Errors
    /// The rule broken; then there is no path.
    pub fn open_attach(&mut self, now: Instant, info: PathInfo, packet: &mut [u8]) -> Result<PathId, Misbehaved> {
        if self.is_over() || !matches!(Head::take(&mut Cursor::new(packet)), Ok(Head::Attach { .. })) {
            return Err(Misbehaved::Attachment);
        }
        let records = self.open(None, packet)?;
        let Ok(Record::Attach { path }) = Record::take(&mut Cursor::new(records)) else {
            return Err(Misbehaved::Attachment);
        };
        if path & 1 == self.parity {
            return Err(Misbehaved::PathParity);
        }
        let id = PathId(path);
        if self.index(id).is_none() && self.paths.len() >= self.config.paths {
            return Err(Misbehaved::TooManyPaths);
        }
        self.add_path(now, id, info);
        let Some(index) = self.index(id) else { return Err(Misbehaved::Attachment) };
        self.take_packet(now, index, records);
        Ok(id)
    }

    /// The records of a packet, once it is clear that they are the peer's. `info` is that of the path, if it has one.
    fn open<'a>(&mut self, info: Option<PathInfo>, packet: &'a mut [u8]) -> Result<&'a [u8], Misbehaved> {
        if packet.len() > self.config.packet {
            return Err(Misbehaved::NotAPacket);
        }
        let mut cursor = Cursor::new(packet);
        let head = Head::take(&mut cursor).map_err(|_| Misbehaved::NotAPacket)?;
        let (head_len, private) = (packet.len() - cursor.len(), info.is_some_and(|info| info.private));
        let counter = match head {
            Head::Plain if private => return Ok(&packet[head_len..]),
            Head::Plain => return Err(Misbehaved::Unsealed),
            Head::Sealed { counter } => counter,
            Head::Attach { key, counter } if key == self.key => counter,
            Head::Attach { .. } => return Err(Misbehaved::Attachment),
            Head::Handshake { .. } | Head::Unknown { .. } => return Err(Misbehaved::NotAPacket),
        };
        let (head, sealed) = packet.split_at_mut(head_len);
        let opened = self.opener.open(counter, head, sealed);
        let len = opened.map_err(|error| self.refuse(error))?;
        Ok(&sealed[..len])
    }

    fn refuse(&mut self, error: OpenError) -> Misbehaved {
        if matches!(error, OpenError::Replayed | OpenError::TooOld) {
            self.statistics.replayed += 1;
            return Misbehaved::Replayed;
        }
        self.statistics.forged += 1;
        Misbehaved::Forged
    }

    fn take_packet(&mut self, now: Instant, index: usize, records: &[u8]) {
        self.statistics.packets_received += 1;
        self.turn += 1;
        self.paths[index].hear(now);
        let path = self.paths[index].id;
        let mut cursor = Cursor::new(records);
        while !cursor.is_empty() {
            let record = Record::take(&mut cursor).map_err(Misbehaved::Record);
            if let Err(rule) = record.and_then(|record| self.take_record(now, path, record)) {
                return self.abort(CloseReason::Misbehaved(rule));
            }
        }
        self.after_packet(now);
    }

    fn take_record(&mut self, now: Instant, path: PathId, record: Record<'_>) -> Result<(), Misbehaved> {
        match record {
            Record::Run(run, body) => self.take_run(now, path, run, body),
            Record::Ack(ack) => self.take_ack(now, &ack),
            Record::Forward { channel, oldest } => self.take_forward(channel, oldest),
            Record::Blocked { channel } => self.take_blocked(channel),
            Record::Ping(id) => self.with_path(path, |path| path.asked(id)),
            Record::Pong(id) => self.take_pong(now, path, id),
            Record::Suspect { path } => self.take_suspect(now, PathId(path)),
            Record::Attach { path: named } if named == path.0 => Ok(()),
            Record::Attach { .. } => Err(Misbehaved::Attachment),
            Record::Bye { code, text } => self.take_bye(code, text),
            Record::ByeAck => self.take_bye_ack(),
        }
    }

    fn with_path(&mut self, path: PathId, act: impl FnOnce(&mut super::path::Path)) -> Result<(), Misbehaved> {
        if let Some(path) = self.paths.iter_mut().find(|other| other.id == path) {
            act(path);
        }
        Ok(())
    }

    fn lane(&mut self, channel: u16) -> Result<&mut Lane, Misbehaved> {
        self.lanes.get_mut(usize::from(channel)).ok_or(Misbehaved::NoSuchChannel)
    }

    fn take_run(&mut self, now: Instant, path: PathId, run: Run, body: &[u8]) -> Result<(), Misbehaved> {
        if matches!(self.phase, Phase::Left) {
            return Ok(());
        }
        let bounds = self.config.incoming(run.channel);
        let lane = self.lanes.get_mut(usize::from(run.channel)).ok_or(Misbehaved::NoSuchChannel)?;
        let inbox = if run.channel == 0 { &mut self.signals } else { &mut self.inbox };
        if run.alive.is_some() && lane.reliable {
            return Err(Misbehaved::ForwardOnReliable);
        }
        let arrival = lane.incoming.arrive(run, body, bounds, inbox)?;
        self.statistics.duplicates += u64::from(arrival == Arrival::Old);
        self.statistics.dropped += u64::from(arrival == Arrival::Dropped);
        let at_once = arrival == Arrival::Old || lane.incoming.numbers().has_gap();
        self.answer = Some(path);
        self.owe_ack(now, run.channel, body.len(), at_once)
    }

    fn owe_ack(&mut self, now: Instant, channel: u16, bytes: usize, at_once: bool) -> Result<(), Misbehaved> {
        self.lane(channel)?.incoming.owes_ack = true;
        self.acks.owed = true;
        self.acks.bytes += bytes;
        self.acks.due |= at_once || self.acks.bytes >= ACK_AFTER;
        if !self.acks.due && !self.timers.runs(SessionTimer::Ack) {
            self.timers.set(SessionTimer::Ack, now + ACK_DELAY);
        }
        Ok(())
    }

    fn take_forward(&mut self, channel: u16, oldest: u64) -> Result<(), Misbehaved> {
        let bounds = self.config.incoming(channel);
        let lane = self.lanes.get_mut(usize::from(channel)).ok_or(Misbehaved::NoSuchChannel)?;
        let inbox = if channel == 0 { &mut self.signals } else { &mut self.inbox };
        lane.incoming.forward(oldest, bounds, inbox)?;
        lane.incoming.owes_ack = true;
        self.acks.owed = true;
        self.acks.due = true;
        Ok(())
    }

    fn take_blocked(&mut self, channel: u16) -> Result<(), Misbehaved> {
        self.lane(channel)?.incoming.owes_ack = true;
        self.acks.owed = true;
        self.acks.due = true;
        Ok(())
    }

    fn take_ack(&mut self, now: Instant, ack: &Ack<'_>) -> Result<(), Misbehaved> {
        let turn = self.turn;
        let lane = self.lanes.get_mut(usize::from(ack.channel)).ok_or(Misbehaved::NoSuchChannel)?;
        if std::mem::replace(&mut lane.acknowledged, turn) == turn {
            return Err(Misbehaved::RepeatedAck);
        }
        let (paths, progress) = (&mut self.paths, &mut self.progress);
        lane.outgoing.acknowledge(ack, |landed| {
            *progress = now;
            if let Some(path) = paths.iter_mut().find(|path| path.id == landed.path) {
                path.acknowledged(now, &landed);
            }
        })?;
        if let Some(granted) = ack.granted
            && lane.grant(granted)?
        {
            // Whatever is asked for next is asked for the first time.
            self.repeats = 0;
            self.timers.stop(SessionTimer::Repeat);
        }
        if lane.outgoing.has_become_writable(self.config.outgoing(ack.channel, lane.reliable)) {
            self.events.push_back(SessionEvent::Writable(super::ChannelId(ack.channel)));
        }
        Ok(())
    }

    fn take_pong(&mut self, now: Instant, path: PathId, id: u64) -> Result<(), Misbehaved> {
        let suspicion = self.config.suspicion;
        let Some(index) = self.index(path) else { return Ok(()) };
        let path = &mut self.paths[index];
        let Some(answer) = path.answered(now, id)? else { return Ok(()) };
        let id = path.id;
        if answer.was == State::Suspect {
            path.trust(now, suspicion);
            self.lose_path(now, id, answer.asked);
        }
        let changed = self.choose(now);
        if answer.first && !changed && self.current == Some(id) {
            self.report();
        }
        Ok(())
    }

    fn after_packet(&mut self, now: Instant) {
        self.detect_losses(now);
        self.tell_readable();
        self.settle(now);
        if !self.timers.runs(SessionTimer::Trim) {
            self.timers.set(SessionTimer::Trim, now + super::timeouts::TRIM_AFTER);
        }
    }

    fn tell_readable(&mut self) {
        if !self.told.readable && !self.inbox.is_empty() {
            self.told.readable = true;
            self.events.push_back(SessionEvent::Readable);
        }
        if !self.told.signals && !self.signals.is_empty() {
            self.told.signals = true;
            self.events.push_back(SessionEvent::SignalReadable);
        }
    }
}
