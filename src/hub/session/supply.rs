//! What goes out: which records a packet of a path gets, and in which order.
//!
//! A split path has two kinds of packets. Those of its `bulk` lane carry the runs of reliable channels with what
//! acknowledges such, and notices: all that must arrive. Those of its `quick` lane are of one datagram and carry the
//! other runs with what acknowledges such, and pings with their answers, which a full `bulk` lane must not delay. An
//! acknowledgement that is lost is asked for anew by the probe of a run that may be lost; of a run that may not, nobody
//! would ask.

use super::event::PathId;
use super::packet::Packet;
use super::path::{Path, State};
use super::timers::SessionTimer;
use super::{Lane, Session};
use crate::machine::time::Instant;
use crate::wire::session::{MAX_RANGES, Record, put_ack};

/// Most bytes of any record that is neither a run, nor an acknowledgement, nor a goodbye.
const SMALL_RECORD: usize = 24;
/// Most bytes of an acknowledgement without ranges.
const SMALL_ACK: usize = 32;
/// Most bytes of a packet of a `quick` lane: it fits one datagram, whatever is around it.
const QUICK: usize = 1100;
/// Most ranges of an acknowledgement in such a packet.
const QUICK_RANGES: usize = 32;

/// What of a path a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// The path is not split.
    Whole,
    Bulk,
    Quick,
}

impl Half {
    /// Whether it carries what is about channels that are reliable, or are not.
    const fn carries(self, reliable: bool) -> bool {
        match self {
            Self::Whole => true,
            Self::Bulk => reliable,
            Self::Quick => !reliable,
        }
    }
}

impl Session {
    /// Appends one packet for a path, or for its `bulk` lane if it is split, at most
    /// [`packet`](crate::machine::limits::Limits::packet) bytes; false: nothing now, [`Self::pop_ready`] says when.
    pub fn supply(&mut self, now: Instant, path: PathId, out: &mut Vec<u8>) -> bool {
        let Some(index) = self.index(path) else { return false };
        let half = self.paths[index].main_half();
        let some = self.supply_half(now, index, half, out);
        if let Some(path) = self.paths.get_mut(index) {
            path.idle = !some;
        }
        some
    }

    /// The same for the `quick` lane of a split path, at most 1,100 bytes; false: nothing now,
    /// [`Self::pop_ready_quick`] says when.
    pub fn supply_quick(&mut self, now: Instant, path: PathId, out: &mut Vec<u8>) -> bool {
        let Some(index) = self.index(path).filter(|index| self.paths[*index].info.split) else { return false };
        let some = self.supply_half(now, index, Half::Quick, out);
        if let Some(path) = self.paths.get_mut(index) {
            path.quick_idle = !some;
        }
        some
    }

    fn supply_half(&mut self, now: Instant, index: usize, half: Half, out: &mut Vec<u8>) -> bool {
        if self.is_over() {
            return false;
        }
        let start = out.len();
        let most = if half == Half::Quick { self.config.packet.min(QUICK) } else { self.config.packet };
        let attach = self.paths[index].attaching.then_some(self.key);
        let counter = self.sealer.counter();
        let mut packet = Packet::new(out, most, self.paths[index].info, attach, counter);
        let current = self.current == Some(self.paths[index].id);
        self.put_talk(now, index, half, &mut packet);
        if current && half != Half::Quick {
            self.put_notices(now, &mut packet);
        }
        self.put_acks(index, half, &mut packet);
        if current {
            self.put_runs(now, index, half, &mut packet);
        }
        let some = packet.finish(&mut self.sealer);
        self.statistics.packets_sent += u64::from(some);
        self.paths[index].counts.bytes_sent += (out.len() - start) as u64;
        some
    }

    /// Whether supply would find something for a path.
    fn has_something(&self, index: usize, half: Half) -> bool {
        let path = &self.paths[index];
        if half != Half::Bulk && path.wants_to_talk() || self.has_due_acks(index, half) {
            return true;
        }
        let notices = half != Half::Quick && self.has_notices();
        self.current == Some(path.id) && (notices || self.has_runs(path, half))
    }

    fn has_due_acks(&self, index: usize, half: Half) -> bool {
        self.acks.due && self.ack_path() == Some(index) && (half == Half::Whole || self.owes_acks(half))
    }

    fn owes_acks(&self, half: Half) -> bool {
        self.lanes.iter().any(|lane| lane.incoming.owes_ack && half.carries(lane.reliable))
    }

    /// The path on which acknowledgements go.
    pub(super) fn ack_path(&self) -> Option<usize> {
        let trusted = |index: &usize| self.paths[*index].state == State::Usable;
        let answer = self.answer.and_then(|id| self.index(id)).filter(trusted);
        answer.or_else(|| self.index(self.current?))
    }

    /// Wakes the path for acknowledgements if they are due.
    pub(super) fn wake_for_acks(&mut self) {
        let Some(index) = self.ack_path().filter(|_| self.acks.due) else { return };
        if self.has_due_acks(index, self.paths[index].main_half()) {
            self.wake(index);
        }
        if self.paths[index].info.split && self.has_due_acks(index, Half::Quick) {
            self.wake_quick(index);
        }
    }

    /// Wakes every path that has something to send.
    pub(super) fn wake_all(&mut self) {
        for index in 0..self.paths.len() {
            let path = &self.paths[index];
            let (half, quick) = (path.main_half(), path.info.split && path.quick_idle);
            if path.idle && self.has_something(index, half) {
                self.wake(index);
            }
            if quick && self.has_something(index, Half::Quick) {
                self.wake_quick(index);
            }
        }
    }

    /// Wakes whatever of a path carries pings.
    fn wake_to_talk(&mut self, index: usize) {
        if self.paths[index].info.split {
            self.wake_quick(index);
        } else {
            self.wake(index);
        }
    }

    fn has_runs(&self, path: &Path, half: Half) -> bool {
        let has = |lane: &Lane| half.carries(lane.reliable) && lane.outgoing.candidate().is_some();
        path.has_window() && self.lanes.iter().any(has)
    }

    fn has_notices(&self) -> bool {
        self.repeat || self.has_goodbye() || self.paths.iter().any(|path| path.tell_suspect)
    }

    /// Attachment, pings and their answers.
    fn put_talk(&mut self, now: Instant, index: usize, half: Half, packet: &mut Packet<'_>) {
        let silence = self.config.silence;
        let brings_runs = self.current == Some(self.paths[index].id) && self.has_runs(&self.paths[index], half);
        if brings_runs {
            self.paths[index].ping_if_old(now);
        }
        if half == Half::Bulk {
            return self.talk_quick(index);
        }
        let path = &mut self.paths[index];
        while let Some(id) = path.take_pong() {
            Record::Pong(id).put(packet.record());
        }
        let Some(id) = path.take_ping(now, silence) else { return };
        if path.attaching {
            Record::Attach { path: path.id.0 }.put(packet.record());
        }
        Record::Ping(id).put(packet.record());
        if brings_runs || half == Half::Quick && self.paths[index].is_busy() {
            self.ping_others(now, index);
        }
    }

    /// What there is to be said does not go by `bulk`.
    fn talk_quick(&mut self, index: usize) {
        if self.paths[index].wants_to_talk() {
            self.wake_quick(index);
        }
    }

    /// The paths that are not used are asked as often as the one that is.
    fn ping_others(&mut self, now: Instant, except: usize) {
        for index in (0..self.paths.len()).filter(|index| *index != except) {
            self.paths[index].ping_if_old(now);
            if self.paths[index].wants_to_talk() {
                self.wake_to_talk(index);
            }
        }
    }

    /// What concerns the session as a whole.
    fn put_notices(&mut self, now: Instant, packet: &mut Packet<'_>) {
        for path in &mut self.paths {
            if std::mem::take(&mut path.tell_suspect) {
                Record::Suspect { path: path.id.0 }.put(packet.record());
            }
        }
        self.put_goodbye(now, packet);
        if std::mem::take(&mut self.repeat) {
            self.put_repeats(packet);
            self.repeats += 1;
            self.timers.stop(SessionTimer::Repeat);
            self.arm_repeat(now);
        }
    }

    /// What waits for a grant, and what was given up.
    fn put_repeats(&self, packet: &mut Packet<'_>) {
        for (channel, lane) in self.lanes.iter().enumerate() {
            let channel = channel as u16;
            if packet.room() < SMALL_RECORD {
                return;
            }
            if lane.outgoing.is_blocked() {
                Record::Blocked { channel }.put(packet.record());
            }
            if let Some(oldest) = lane.outgoing.owes_forward() {
                Record::Forward { channel, oldest }.put(packet.record());
            }
        }
    }

    /// Acknowledgements, if they are due or have something to ride on.
    fn put_acks(&mut self, index: usize, half: Half, packet: &mut Packet<'_>) {
        if !self.acks.owed || self.ack_path() != Some(index) {
            return;
        }
        let path = &self.paths[index];
        let rides = !packet.is_empty() || (self.current == Some(path.id) && self.has_runs(path, half));
        if !self.acks.due && !rides {
            return;
        }
        let most = if half == Half::Quick { QUICK_RANGES } else { MAX_RANGES };
        let owes = |lane: &Lane| lane.incoming.owes_ack && half.carries(lane.reliable);
        for (channel, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| owes(lane)) {
            let ranges = lane.incoming.numbers().ranges().len().min(most);
            if packet.room() < SMALL_ACK + 20 * ranges {
                return;
            }
            lane.put_ack(channel as u16, most, packet);
        }
        if half != Half::Whole && self.lanes.iter().any(|lane| lane.incoming.owes_ack) {
            return;
        }
        self.acks = super::Acks::default();
        self.timers.stop(SessionTimer::Ack);
    }

    fn put_runs(&mut self, now: Instant, index: usize, half: Half, packet: &mut Packet<'_>) {
        let suspicion = self.config.suspicion;
        let mut any = false;
        while let Some(channel) = self.next_lane(index, half, packet.room()) {
            let lane = &mut self.lanes[channel];
            let Some((number, len)) = lane.outgoing.candidate() else { break };
            let path = &mut self.paths[index];
            let out = packet.run(&lane.outgoing.head(number));
            let first = lane.outgoing.send(now, path.id, path.packet(lane.reliable), out);
            path.send(now, suspicion, lane.reliable, (channel as u16, number), len);
            self.turn += 1;
            lane.served = self.turn;
            self.statistics.runs_sent += u64::from(first);
            self.statistics.runs_resent += u64::from(!first);
            any = true;
        }
        if any {
            self.paths[index].complete(half == Half::Bulk);
        }
    }

    /// Of the channels that have something, those of the highest priority, and of these the one that has waited
    /// longest; if its run fits.
    fn next_lane(&self, index: usize, half: Half, room: usize) -> Option<usize> {
        if !self.paths[index].has_window() {
            return None;
        }
        let with_run = |(n, lane): (usize, &Lane)| Some((n, lane.outgoing.candidate()?, lane.priority, lane.served));
        let lanes = self.lanes.iter().enumerate().filter(|(_, lane)| half.carries(lane.reliable)).filter_map(with_run);
        let (n, (number, len), ..) = lanes.max_by_key(|(_, _, priority, served)| (*priority, u64::MAX - *served))?;
        let head = Packet::head_len(&self.lanes[n].outgoing.head(number));
        (head + len <= room).then_some(n)
    }
}

impl Lane {
    fn put_ack(&mut self, channel: u16, most: usize, packet: &mut Packet<'_>) {
        let granted = self.incoming.tell_grant();
        let numbers = self.incoming.numbers();
        put_ack(packet.record(), channel, numbers.next(), numbers.ranges().take(most), granted);
        self.incoming.owes_ack = false;
    }
}
