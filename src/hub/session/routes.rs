//! Which path carries the messages, and what becomes of those on a path that no longer does.

use super::event::{Misbehaved, PathCounts, PathId, PathInfo, PathPolicy, SessionEvent};
use super::path::{Flight, Path, State};
use super::timers::{PathTimer, SessionTimer};
use super::{Lane, Session};
use crate::machine::time::Instant;
use std::time::Duration;

/// A path of the same kind must be shorter than the present one by a fifth, and by this.
const CLEARLY: Duration = Duration::from_millis(5);

impl Session {
    /// Gives the session a path whose far end knows already that it is one, as that of the handshake. The first is
    /// usable at once, others when they have answered. A path of the same id is replaced.
    pub fn add_path(&mut self, now: Instant, path: PathId, info: PathInfo) {
        self.put_path(now, path, info, false);
    }

    /// Gives the session a path that this side opened: until something comes on it, its packets attach it at the far
    /// end.
    pub fn attach(&mut self, now: Instant, path: PathId, info: PathInfo) {
        self.put_path(now, path, info, true);
    }

    /// Takes a path away; without an event for that.
    pub fn remove_path(&mut self, now: Instant, path: PathId) {
        let Some(index) = self.index(path) else { return };
        self.lose_path(now, path, Instant::from_nanos(u64::MAX));
        self.paths.remove(index);
        self.ready.retain(|ready| *ready != path);
        self.ready_quick.retain(|ready| *ready != path);
        self.choose(now);
        self.settle(now);
    }

    /// A free id for a path that this side opens; none if there are as many paths as allowed.
    pub fn free_path(&self) -> Option<PathId> {
        let ids = (self.parity..=u8::MAX).step_by(2).map(PathId);
        ids.take(self.config.paths)
            .find(|id| self.index(*id).is_none())
            .filter(|_| self.paths.len() < self.config.paths)
    }

    /// Every path, and what it has carried.
    pub fn paths(&self) -> impl Iterator<Item = PathCounts> {
        self.paths.iter().map(|path| path.counts(self.current == Some(path.id)))
    }

    /// Whether that path seems to be dead.
    pub fn is_suspect(&self, path: PathId) -> bool {
        self.index(path).is_some_and(|index| self.paths[index].state == State::Suspect)
    }

    /// Which paths may be used.
    pub fn set_policy(&mut self, now: Instant, policy: PathPolicy) {
        self.policy = policy;
        self.choose(now);
        self.settle(now);
    }

    fn put_path(&mut self, now: Instant, id: PathId, info: PathInfo, attaching: bool) {
        if self.is_over() {
            return;
        }
        self.remove_path(now, id);
        let mut path = Path::new(now, id, info);
        path.attaching = attaching;
        if !std::mem::replace(&mut self.has_had_path, true) {
            path.state = State::Usable;
        }
        self.paths.reserve_exact(1);
        self.paths.push(path);
        self.choose(now);
        self.settle(now);
    }

    /// Chooses the path for messages anew; whether it is another one.
    pub(super) fn choose(&mut self, now: Instant) -> bool {
        let best = self.best().map(|index| self.paths[index].id);
        // A session may have paths, and none from the first that it may use.
        let waits = self.timers.runs(SessionTimer::Resume) || !self.has_had_path || self.is_over();
        if best == self.current && (best.is_some() || waits) {
            return false;
        }
        let before = std::mem::replace(&mut self.current, best);
        let Some(current) = best else {
            self.statistics.disconnects += 1;
            self.events.push_back(SessionEvent::Disconnected);
            self.timers.set(SessionTimer::Resume, now + self.config.resume);
            return true;
        };
        self.timers.stop(SessionTimer::Resume);
        if before.is_none() && self.statistics.path_changes > 0 {
            self.events.push_back(SessionEvent::Reconnected);
        }
        self.statistics.path_changes += 1;
        self.report();
        self.move_to(now, current);
        true
    }

    /// Tells which path is used.
    pub(super) fn report(&mut self) {
        if let Some(report) = self.path() {
            self.events.push_back(SessionEvent::Path(report));
        }
    }

    /// What is in the air on paths that are not trusted goes again, and what may not have arrived there is said again.
    fn move_to(&mut self, now: Instant, current: PathId) {
        let suspects = self.paths.iter().filter(|path| path.state == State::Suspect && path.id != current);
        let suspects: Vec<_> = suspects.map(|path| path.id).collect();
        for path in suspects {
            self.lose_path(now, path, Instant::from_nanos(u64::MAX));
        }
        self.lanes.iter_mut().for_each(|lane| lane.incoming.owes_ack = true);
        self.acks.owed = true;
        self.acks.due = true;
        self.repeat = self.needs_repeat();
        self.repeats = 0;
        self.say_goodbye_again();
    }

    /// The path to be used: one that answers before one that may not, direct before relayed, then the shorter; the
    /// present one unless another is clearly better.
    fn best(&self) -> Option<usize> {
        let allowed =
            self.paths.iter().enumerate().filter(|(_, path)| path.state != State::Probing && self.allows(path));
        let rank = |path: &Path| (path.state == State::Suspect, !path.info.direct);
        let time = |path: &Path| path.rtt.least().unwrap_or(Duration::MAX);
        let (best, path) = allowed.min_by_key(|(_, path)| (rank(path), time(path)))?;
        let Some(current) = self.current.and_then(|id| self.index(id)).filter(|index| self.allows(&self.paths[*index]))
        else {
            return Some(best);
        };
        let present = &self.paths[current];
        let clearly = time(path).saturating_mul(5) / 4;
        let is_better = rank(path) < rank(present) || clearly.saturating_add(CLEARLY) < time(present);
        Some(if is_better { best } else { current })
    }

    fn allows(&self, path: &Path) -> bool {
        match self.policy {
            PathPolicy::PreferDirect => true,
            PathPolicy::RelayOnly => !path.info.direct,
            PathPolicy::DirectOnly => path.info.direct,
        }
    }

    /// All runs that went out on a path before a moment, and are still in the air, are lost.
    pub(super) fn lose_path(&mut self, now: Instant, path: PathId, before: Instant) {
        let paths = &mut self.paths;
        let (mut lost, mut abandoned) = (0, 0);
        for lane in &mut self.lanes {
            let (some, given_up) = lane.outgoing.lose_path(now, path, before, |landed| {
                if let Some(path) = paths.iter_mut().find(|path| path.id == landed.path) {
                    path.forget_lost(&landed);
                }
            });
            lost += some;
            abandoned += given_up;
        }
        self.statistics.lost += lost;
        self.given_up(abandoned);
    }

    /// So many runs were given up; the peer has to know.
    pub(super) fn given_up(&mut self, runs: u64) {
        self.statistics.abandoned += runs;
        if runs > 0 {
            self.repeat = true;
            self.repeats = 0;
        }
    }

    /// Looks for lost runs on every lossy path.
    pub(super) fn detect_losses(&mut self, now: Instant) {
        for index in 0..self.paths.len() {
            if self.paths[index].may_lose() {
                self.detect_losses_on(now, index);
            }
        }
    }

    fn detect_losses_on(&mut self, now: Instant, index: usize) {
        let id = self.paths[index].id;
        self.paths[index].compact(flies(&self.lanes, id));
        while let Some(flight) = self.paths[index].next_lost(now, flies(&self.lanes, id)) {
            self.paths[index].lost(now);
            self.lose(now, flight);
        }
    }

    /// A run in the air is lost. Whether it goes again.
    pub(super) fn lose(&mut self, now: Instant, flight: Flight) -> bool {
        let paths = &mut self.paths;
        let outgoing = &mut self.lanes[usize::from(flight.channel)].outgoing;
        let abandoned = outgoing.lose(now, flight.number, |landed| {
            if let Some(path) = paths.iter_mut().find(|path| path.id == landed.path) {
                path.forget_lost(&landed);
            }
        });
        self.statistics.lost += 1;
        self.given_up(abandoned);
        abandoned == 0
    }

    /// The path makes no progress.
    pub(super) fn suspect(&mut self, now: Instant, index: usize, tell: bool) {
        let path = &mut self.paths[index];
        path.suspect();
        path.tell_suspect = tell;
        path.timers.stop(PathTimer::Suspect);
        let id = path.id;
        self.statistics.suspicions += 1;
        self.events.push_back(SessionEvent::PathSuspect(id));
        self.choose(now);
        if self.current.is_some_and(|current| current != id) {
            self.lose_path(now, id, Instant::from_nanos(u64::MAX));
        }
    }

    /// The peer suspects a path: ours may not arrive there, so it is not preferred until it has answered us.
    pub(super) fn take_suspect(&mut self, now: Instant, path: PathId) -> Result<(), Misbehaved> {
        let Some(index) = self.index(path) else { return Ok(()) };
        if self.paths[index].state == State::Usable {
            self.suspect(now, index, false);
        }
        Ok(())
    }

    /// A path has been silent for too long.
    pub(super) fn close_path(&mut self, now: Instant, index: usize) {
        let id = self.paths[index].id;
        self.events.push_back(SessionEvent::PathClosed(id));
        self.remove_path(now, id);
    }
}

/// Since when a run is in the air, in that packet of that path; none if it is not.
pub(super) fn flies(lanes: &[Lane], path: PathId) -> impl Fn(&Flight) -> Option<Instant> {
    move |flight| lanes.get(usize::from(flight.channel))?.outgoing.flies(flight.number, path, flight.packet)
}
