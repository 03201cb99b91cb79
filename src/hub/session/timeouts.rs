//! What is done when a timer is due.

use std::time::Duration;

use super::event::{CloseReason, PathId};
use super::path::{ACK_DELAY, Flight};
use super::routes::flies;
use super::timers::{PathTimer, SessionTimer};
use super::{Lane, Session};
use crate::machine::time::Instant;

/// Traffic must have ceased for so long until buffers are given back.
pub(super) const TRIM_AFTER: Duration = Duration::from_secs(1);
const LONGEST_REPEAT: Duration = Duration::from_secs(5);

impl Session {
    /// Does what is due; too early is no harm.
    pub fn on_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_due::<SessionTimer>(now) {
            self.on_session_timer(now, timer);
        }
        let ids: smallvec::SmallVec<[PathId; 8]> = self.paths.iter().map(|path| path.id).collect();
        for id in ids {
            while let Some(index) = self.index(id) {
                let Some(timer) = self.paths[index].timers.take_due::<PathTimer>(now) else { break };
                self.on_path_timer(now, index, timer);
            }
        }
        self.settle(now);
    }

    /// What follows from whatever has happened: timers, and paths that have something to send.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.is_over() {
            return;
        }
        self.check_drained(now);
        self.arm_lifetime(now);
        self.arm_repeat(now);
        self.wake_all();
    }

    fn on_session_timer(&mut self, now: Instant, timer: SessionTimer) {
        match timer {
            SessionTimer::Ack => self.acks.due = self.acks.owed,
            SessionTimer::Repeat => self.ask_again(now),
            SessionTimer::Lifetime => self.expire(now),
            SessionTimer::Bye => {
                self.say_goodbye_again();
                self.press(now);
            }
            SessionTimer::Close => self.give_up_closing(now),
            SessionTimer::Resume => self.give_up_waiting(),
            SessionTimer::Trim => self.trim(now),
        }
    }

    fn ask_again(&mut self, now: Instant) {
        self.repeat = self.needs_repeat();
        if self.repeat && self.repeats > 0 {
            self.press(now);
        }
    }

    /// The peer has not answered what it was asked; does the path live?
    fn press(&mut self, now: Instant) {
        if let Some(index) = self.current.and_then(|current| self.index(current)) {
            self.paths[index].press(now, self.config.suspicion);
        }
    }

    fn on_path_timer(&mut self, now: Instant, index: usize, timer: PathTimer) {
        let suspicion = self.config.suspicion;
        let silence = self.config.silence;
        let path = &mut self.paths[index];
        match timer {
            PathTimer::Loss => self.detect_losses(now),
            PathTimer::Probe if path.should_probe(now) => self.probe(now, index),
            PathTimer::Suspect if path.should_suspect(now, suspicion) => self.suspect(now, index, true),
            PathTimer::Ping => path.repeat_ping(),
            PathTimer::Silence if path.is_silent(now, silence) => self.close_path(now, index),
            PathTimer::Probe | PathTimer::Suspect | PathTimer::Silence => {}
        }
    }

    /// Sends the oldest run in the air again, whatever the window says; what may not be sent again is given up.
    fn probe(&mut self, now: Instant, index: usize) {
        self.paths[index].probing = true;
        self.statistics.probes += 1;
        while let Some(flight) = self.oldest_flight(index) {
            if self.lose(now, flight) {
                return;
            }
        }
    }

    fn oldest_flight(&mut self, index: usize) -> Option<Flight> {
        let path = &mut self.paths[index];
        let id = path.id;
        path.oldest(flies(&self.lanes, id))
    }

    fn expire(&mut self, now: Instant) {
        let paths = &mut self.paths;
        let mut abandoned = 0;
        for lane in &mut self.lanes {
            abandoned += lane.outgoing.expire(now, |landed| {
                if let Some(path) = paths.iter_mut().find(|path| path.id == landed.path) {
                    path.forget(&landed);
                }
            });
        }
        self.given_up(abandoned);
    }

    /// Whether something has to be said until the peer has heard it.
    pub(super) fn needs_repeat(&self) -> bool {
        self.lanes.iter().any(|lane| lane.outgoing.is_blocked() || lane.outgoing.owes_forward().is_some())
    }

    /// Starts the timers that follow from the state of channels.
    pub(super) fn arm_repeat(&mut self, now: Instant) {
        if self.is_over() || self.repeat || self.timers.runs(SessionTimer::Repeat) {
            return;
        }
        if !self.needs_repeat() {
            self.repeats = 0;
            return;
        }
        let path = self.current.and_then(|current| self.index(current)).map(|index| &self.paths[index]);
        let time = path.map_or(ACK_DELAY * 10, |path| path.rtt.smoothed() * 3 / 2 + ACK_DELAY);
        self.timers.set(SessionTimer::Repeat, now + (time * (1 << self.repeats.min(8))).min(LONGEST_REPEAT));
    }

    /// Waits for the oldest waiting run that may become too old.
    fn arm_lifetime(&mut self, now: Instant) {
        let expiry = |lanes: &[Lane]| lanes.iter().filter_map(|lane| lane.outgoing.expiry()).min();
        if expiry(&self.lanes).is_some_and(|expiry| expiry <= now) {
            self.expire(now);
        }
        match expiry(&self.lanes) {
            Some(expiry) => self.timers.set(SessionTimer::Lifetime, expiry),
            None => self.timers.stop(SessionTimer::Lifetime),
        }
    }

    fn give_up_waiting(&mut self) {
        let reason = self.farewell.take().map_or(CloseReason::ResumeTimeout, |reason| *reason);
        self.abort(reason);
    }

    /// Gives buffers back once there was no traffic for a while.
    fn trim(&mut self, now: Instant) {
        let moved = self.turn != std::mem::replace(&mut self.trimmed, self.turn);
        let rests = self.lanes.iter().all(|lane| lane.outgoing.is_empty()) && self.inbox.is_empty();
        if moved || !rests {
            self.timers.set(SessionTimer::Trim, now + TRIM_AFTER);
            return;
        }
        self.lanes.iter_mut().for_each(|lane| lane.outgoing.trim());
        self.paths.iter_mut().for_each(super::path::Path::trim);
        self.retire();
        self.inbox.trim();
        self.signals.trim();
        self.events.shrink_to_fit();
    }
}
