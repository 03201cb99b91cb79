//! What goes out: which records a packet of a path gets, and in which order.

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

impl Session {
    /// Appends one packet for a path, at most [`packet`](crate::machine::limits::Limits::packet) bytes; false: nothing
    /// now, [`Self::pop_ready`] says when.
    pub fn supply(&mut self, now: Instant, path: PathId, out: &mut Vec<u8>) -> bool {
        let Some(index) = self.index(path) else { return false };
        if self.is_over() {
            return false;
        }
        let attach = self.paths[index].attaching.then_some(self.key);
        let counter = self.sealer.counter();
        let mut packet = Packet::new(out, self.config.packet, self.paths[index].info, attach, counter);
        self.put_talk(now, index, &mut packet);
        if self.current == Some(path) {
            self.put_notices(now, &mut packet);
        }
        self.put_acks(index, &mut packet);
        if self.current == Some(path) {
            self.put_runs(now, index, &mut packet);
        }
        let some = packet.finish(&mut self.sealer);
        self.statistics.packets_sent += u64::from(some);
        self.paths[index].idle = !some;
        some
    }

    /// Whether supply would find something for a path.
    pub(super) fn has_something(&self, index: usize) -> bool {
        let path = &self.paths[index];
        if path.wants_to_talk() || (self.acks.due && self.ack_path() == Some(index)) {
            return true;
        }
        self.current == Some(path.id) && (self.has_notices() || self.has_runs(path))
    }

    /// The path on which acknowledgements go.
    pub(super) fn ack_path(&self) -> Option<usize> {
        let trusted = |index: &usize| self.paths[*index].state == State::Usable;
        let answer = self.answer.and_then(|id| self.index(id)).filter(trusted);
        answer.or_else(|| self.index(self.current?))
    }

    /// Wakes the path for acknowledgements if they are due.
    pub(super) fn wake_for_acks(&mut self) {
        if let Some(index) = self.ack_path().filter(|_| self.acks.due) {
            self.wake(index);
        }
    }

    /// Wakes every path that has something to send.
    pub(super) fn wake_all(&mut self) {
        for index in 0..self.paths.len() {
            if self.paths[index].idle && self.has_something(index) {
                self.wake(index);
            }
        }
    }

    fn has_runs(&self, path: &Path) -> bool {
        path.has_window() && self.lanes.iter().any(|lane| lane.outgoing.candidate().is_some())
    }

    fn has_notices(&self) -> bool {
        self.repeat || self.has_goodbye() || self.paths.iter().any(|path| path.tell_suspect)
    }

    /// Attachment, pings and their answers.
    fn put_talk(&mut self, now: Instant, index: usize, packet: &mut Packet<'_>) {
        let silence = self.config.silence;
        let brings_runs = self.current == Some(self.paths[index].id) && self.has_runs(&self.paths[index]);
        if brings_runs {
            self.paths[index].ping_if_old(now);
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
        if brings_runs {
            self.ping_others(now, index);
        }
    }

    /// The paths that are not used are asked as often as the one that is.
    fn ping_others(&mut self, now: Instant, except: usize) {
        for index in (0..self.paths.len()).filter(|index| *index != except) {
            self.paths[index].ping_if_old(now);
            if self.paths[index].wants_to_talk() {
                self.wake(index);
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
    fn put_acks(&mut self, index: usize, packet: &mut Packet<'_>) {
        if !self.acks.owed || self.ack_path() != Some(index) {
            return;
        }
        let path = &self.paths[index];
        let rides = !packet.is_empty() || (self.current == Some(path.id) && self.has_runs(path));
        if !self.acks.due && !rides {
            return;
        }
        for (channel, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.incoming.owes_ack) {
            let ranges = lane.incoming.numbers().ranges().len().min(MAX_RANGES);
            if packet.room() < SMALL_ACK + 20 * ranges {
                return;
            }
            lane.put_ack(channel as u16, packet);
        }
        self.acks = super::Acks::default();
        self.timers.stop(SessionTimer::Ack);
    }

    fn put_runs(&mut self, now: Instant, index: usize, packet: &mut Packet<'_>) {
        let suspicion = self.config.suspicion;
        let mut any = false;
        while let Some(channel) = self.next_lane(index, packet.room()) {
            let lane = &mut self.lanes[channel];
            let Some((number, len)) = lane.outgoing.candidate() else { break };
            let path = &mut self.paths[index];
            let out = packet.run(&lane.outgoing.head(number));
            let first = lane.outgoing.send(now, path.id, path.packet(), out);
            path.send(now, suspicion, channel as u16, number, len);
            self.turn += 1;
            lane.served = self.turn;
            self.statistics.runs_sent += u64::from(first);
            self.statistics.runs_resent += u64::from(!first);
            any = true;
        }
        if any {
            self.paths[index].complete();
        }
    }

    /// Of the channels that have something, those of the highest priority, and of these the one that has waited
    /// longest; if its run fits.
    fn next_lane(&self, index: usize, room: usize) -> Option<usize> {
        if !self.paths[index].has_window() {
            return None;
        }
        let with_run = |(n, lane): (usize, &Lane)| Some((n, lane.outgoing.candidate()?, lane.priority, lane.served));
        let lanes = self.lanes.iter().enumerate().filter_map(with_run);
        let (n, (number, len), ..) = lanes.max_by_key(|(_, _, priority, served)| (*priority, u64::MAX - *served))?;
        let head = Packet::head_len(&self.lanes[n].outgoing.head(number));
        (head + len <= room).then_some(n)
    }
}

impl Lane {
    fn put_ack(&mut self, channel: u16, packet: &mut Packet<'_>) {
        let granted = self.incoming.tell_grant();
        let numbers = self.incoming.numbers();
        put_ack(packet.record(), channel, numbers.next(), numbers.ranges(), granted);
        self.incoming.owes_ack = false;
    }
}
