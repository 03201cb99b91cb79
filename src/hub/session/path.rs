//! One path of a session: what is in the air on it, whether it answers, and how long that takes.
//!
//! *Loss* is detected only where a path may lose: a run is lost when three packets sent after it have been
//! acknowledged, or one, and 9/8 of a round trip has passed (RFC 9002, section 6.1); what is answered by nothing at
//! all is probed.
//!
//! *Suspicion* asks for progress: while runs are in the air, some must be acknowledged every so often, whichever. The
//! age of the oldest would accuse a slow path with a full queue. What waits for the peer without being in the air, as
//! for a grant or the answer to a goodbye, asks the path by a ping, and then for progress, too. A suspect path is
//! pinged and trusted again when it answers, for an answer needs both directions.
//!
//! *Two lanes.* On a split path the runs of reliable channels go by `bulk`, where nothing is lost, and all others by
//! `quick`, where loss is detected as on a lossy path. The packets of each lane are counted by themselves, so that what
//! comes by one neither overtakes nor is overtaken by what goes by the other; progress on either is progress of the
//! path.

mod pings;

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{PathCounts, PathId, PathInfo, PathReport};
use super::outgoing::Landed;
use super::rtt::Rtt;
use super::supply::Half;
use super::timers::{PATH_TIMERS, PathTimer};
use super::window::Window;
use crate::machine::time::Instant;
use crate::machine::timers::TimerTable;

/// Packets that must overtake one until it is lost (RFC 9002, section 6.1.1).
const OVERTAKEN: u64 = 3;
/// What a peer may take until it acknowledges.
pub(super) const ACK_DELAY: Duration = Duration::from_millis(20);

/// One path.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) id: PathId,
    pub(super) info: PathInfo,
    pub(super) state: State,
    /// The far end may not know yet that this is a path of the session.
    pub(super) attaching: bool,
    /// Supply has said that there is nothing, and nobody was told otherwise.
    pub(super) idle: bool,
    /// The same of the `quick` lane.
    pub(super) quick_idle: bool,
    /// The peer is to be told that we suspect it.
    pub(super) tell_suspect: bool,
    /// One packet may go beyond the window.
    pub(super) probing: bool,
    pub(super) rtt: Rtt,
    window: Window,
    /// In the order of their packets; only where runs may be lost. Some may have landed.
    flights: VecDeque<Flight>,
    runs: usize,
    bytes: usize,
    packets: Packets,
    /// The packets of the `bulk` lane, and the runs in the air on it.
    bulk: Packets,
    bulk_runs: usize,
    progress: Instant,
    /// The last progress of runs that may be lost.
    lossy_progress: Instant,
    /// Since when something that is not in the air waits for an answer.
    pressed: Option<Instant>,
    trusted: Instant,
    sent: Instant,
    heard: Instant,
    probes: u32,
    ping: Option<Ping>,
    next_ping: u64,
    wants_ping: bool,
    pinged: Option<Instant>,
    pongs: VecDeque<u64>,
    pub(super) counts: Counts,
    pub(super) timers: TimerTable<PATH_TIMERS>,
}

/// What a path has carried.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) runs_sent: u64,
    pub(super) runs_lost: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

/// The numbers of packets with runs.
#[derive(Debug, Clone, Copy, Default)]
struct Packets {
    /// The next.
    next: u64,
    /// The highest acknowledged.
    largest: Option<u64>,
}

/// What a path is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It has not answered yet.
    Probing,
    /// It answers.
    Usable,
    /// It did, but seems not to do so any more.
    Suspect,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) packet: u64,
    pub(super) channel: u16,
    pub(super) number: u64,
}

/// Pings without an answer.
#[derive(Debug, Clone, Copy)]
struct Ping {
    first: u64,
    asked: Instant,
    last: u64,
    repeated: Instant,
    times: u32,
}

/// What a ping's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// What the path was until now.
    pub(super) was: State,
    /// When it was asked; what was sent before and arrived is acknowledged by now.
    pub(super) asked: Instant,
    /// Whether this is the first time that its round trip is known.
    pub(super) first: bool,
}

impl Path {
    pub(super) fn new(now: Instant, id: PathId, info: PathInfo) -> Self {
        Self {
            id,
            info,
            state: State::Probing,
            attaching: false,
            idle: true,
            quick_idle: true,
            tell_suspect: false,
            probing: false,
            rtt: Rtt::default(),
            window: Window::new(now),
            flights: VecDeque::new(),
            runs: 0,
            bytes: 0,
            packets: Packets::default(),
            bulk: Packets::default(),
            bulk_runs: 0,
            progress: now,
            lossy_progress: now,
            pressed: None,
            trusted: now,
            sent: now,
            heard: now,
            probes: 0,
            ping: None,
            next_ping: 0,
            wants_ping: true,
            pinged: None,
            pongs: VecDeque::new(),
            counts: Counts::default(),
            timers: TimerTable::default(),
        }
    }

    pub(super) fn counts(&self, in_use: bool) -> PathCounts {
        let Counts { runs_sent, runs_lost, bytes_sent, bytes_received } = self.counts;
        let (path, direct, rtt) = (self.id, self.info.direct, self.rtt.least());
        let suspect = self.state == State::Suspect;
        PathCounts { path, direct, in_use, suspect, rtt, runs_sent, runs_lost, bytes_sent, bytes_received }
    }

    /// Whether runs of some channels may be lost on it.
    pub(super) const fn may_lose(&self) -> bool {
        self.info.lossy || self.info.split
    }

    /// What [`supply`](super::Session::supply) makes packets of.
    pub(super) const fn main_half(&self) -> Half {
        if self.info.split { Half::Bulk } else { Half::Whole }
    }

    /// Whether runs are in the air.
    pub(super) const fn is_busy(&self) -> bool {
        self.runs > 0
    }

    /// Whether runs of such a channel go by the `bulk` lane.
    const fn is_bulk(&self, reliable: bool) -> bool {
        self.info.split && reliable
    }

    pub(super) fn report(&self) -> PathReport {
        PathReport { path: self.id, direct: self.info.direct, rtt: self.rtt.least() }
    }

    /// Whether more runs may be sent on it.
    pub(super) fn has_window(&self) -> bool {
        self.info.direct || self.probing || self.bytes < self.window.size()
    }

    /// The number of the packet that is being made.
    pub(super) const fn packet(&self, reliable: bool) -> u64 {
        if self.is_bulk(reliable) { self.bulk.next } else { self.packets.next }
    }

    /// A run was put into the packet.
    pub(super) fn send(&mut self, now: Instant, suspicion: Duration, reliable: bool, run: (u16, u64), bytes: usize) {
        if self.runs == 0 {
            self.progress = now;
            self.pressed = None;
            self.window.restart(now);
            self.timers.set(PathTimer::Suspect, now + self.patience(suspicion));
        }
        if self.lossy_runs() == 0 {
            self.lossy_progress = now;
            self.probes = 0;
        }
        self.runs += 1;
        self.bytes += bytes;
        self.counts.runs_sent += 1;
        if self.is_bulk(reliable) {
            self.bulk_runs += 1;
            return;
        }
        self.sent = now;
        if self.may_lose() {
            let (channel, number) = run;
            self.flights.push_back(Flight { packet: self.packets.next, channel, number });
            if !self.timers.runs(PathTimer::Probe) {
                self.timers.set(PathTimer::Probe, now + self.probe_time());
            }
        }
    }

    /// The packet is complete, with runs in it.
    pub(super) const fn complete(&mut self, bulk: bool) {
        if bulk {
            self.bulk.next += 1;
        } else {
            self.packets.next += 1;
            self.probing = false;
        }
    }

    /// Runs in the air that may be lost.
    const fn lossy_runs(&self) -> usize {
        self.runs - self.bulk_runs
    }

    /// A run has left the air without an acknowledgement.
    pub(super) fn forget(&mut self, landed: &Landed) {
        self.runs -= 1;
        self.bytes -= landed.bytes;
        self.bulk_runs -= usize::from(self.is_bulk(landed.reliable));
        if self.lossy_runs() == 0 {
            self.flights.clear();
        }
    }

    /// The same of one that is held to be lost.
    pub(super) fn forget_lost(&mut self, landed: &Landed) {
        self.forget(landed);
        self.counts.runs_lost += 1;
    }

    /// Nothing is in the air any more.
    pub(super) fn land_all(&mut self) {
        self.flights.clear();
        (self.runs, self.bulk_runs, self.bytes) = (0, 0, 0);
    }

    /// A run in the air was acknowledged. What was sent more than once may have been acknowledged for an earlier
    /// time, so it says nothing of round trips, and of order only if the answer could have come as fast.
    pub(super) fn acknowledged(&mut self, now: Instant, landed: &Landed) {
        self.forget(landed);
        self.progress = now;
        let bulk = self.is_bulk(landed.reliable);
        if !bulk {
            self.lossy_progress = now;
            self.probes = 0;
        }
        let time = now.since(landed.sent);
        let packets = if bulk { &mut self.bulk } else { &mut self.packets };
        let is_newest = packets.largest.is_none_or(|largest| landed.packet > largest);
        if is_newest && (landed.times == 1 || self.rtt.least().is_some_and(|least| time >= least)) {
            packets.largest = Some(landed.packet);
        }
        if is_newest && landed.times == 1 {
            self.rtt.acknowledged(time);
        }
        if !self.info.direct {
            let rtt = self.rtt.least().unwrap_or_else(|| self.rtt.smoothed());
            self.window.acknowledged(now, landed.bytes, rtt);
        }
    }

    /// The oldest flight, if it is lost by now; `flies` says since when one that has not landed is in the air. Sets the
    /// timer for the first that is not.
    pub(super) fn next_lost(&mut self, now: Instant, flies: impl Fn(&Flight) -> Option<Instant>) -> Option<Flight> {
        self.timers.stop(PathTimer::Loss);
        while let Some(flight) = self.flights.front().copied() {
            let Some(sent) = flies(&flight) else {
                self.flights.pop_front();
                continue;
            };
            let overtaken = self.packets.largest?.checked_sub(flight.packet).filter(|by| *by > 0)?;
            let due = sent + self.rtt.smoothed() * 9 / 8;
            if overtaken < OVERTAKEN && due > now {
                self.timers.set(PathTimer::Loss, due);
                return None;
            }
            self.flights.pop_front();
            return Some(flight);
        }
        None
    }

    /// The oldest flight, whether lost or not.
    pub(super) fn oldest(&mut self, flies: impl Fn(&Flight) -> Option<Instant>) -> Option<Flight> {
        while let Some(flight) = self.flights.pop_front() {
            if flies(&flight).is_some() {
                return Some(flight);
            }
        }
        None
    }

    /// Forgets flights that have landed if they are most.
    pub(super) fn compact(&mut self, flies: impl Fn(&Flight) -> Option<Instant>) {
        if self.flights.len() > 2 * self.lossy_runs() + 64 {
            self.flights.retain(|flight| flies(flight).is_some());
        }
    }

    /// Something was lost.
    pub(super) fn lost(&mut self, now: Instant) {
        let rtt = self.rtt.smoothed();
        self.window.lost(now, rtt);
    }

    /// Whether the time for a probe has come; else the timer is set anew.
    pub(super) fn should_probe(&mut self, now: Instant) -> bool {
        if self.lossy_runs() == 0 {
            return false;
        }
        let due = self.lossy_progress.max(self.sent) + self.probe_time();
        if due > now {
            self.timers.set(PathTimer::Probe, due);
            return false;
        }
        self.probes += 1;
        self.timers.set(PathTimer::Probe, now + self.probe_time());
        true
    }

    /// Whether there was no progress for too long; else the timer is set anew.
    pub(super) fn should_suspect(&mut self, now: Instant, suspicion: Duration) -> bool {
        let Some(since) = Some(self.progress).filter(|_| self.runs > 0).or(self.pressed) else { return false };
        let due = since.max(self.trusted) + self.patience(suspicion);
        if due > now {
            self.timers.set(PathTimer::Suspect, due);
        }
        due <= now && self.state == State::Usable
    }

    /// Trusts it no more; it is asked whether it lives.
    pub(super) fn suspect(&mut self) {
        self.state = State::Suspect;
        self.pressed = None;
        self.ping = None;
        self.wants_ping = true;
    }

    /// A probe time-out of this path.
    pub(super) fn probe_time(&self) -> Duration {
        (self.rtt.smoothed() * 3 / 2 + ACK_DELAY) * (1 << self.probes.min(6))
    }

    fn patience(&self, suspicion: Duration) -> Duration {
        suspicion.max(self.rtt.smoothed() * 3)
    }
}

#[cfg(test)]
mod tests;
