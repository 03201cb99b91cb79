//! Pings: whether a path lives, and how long it is.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Answer, Path, Ping, State};
use crate::hub::session::event::Misbehaved;
use crate::hub::session::timers::PathTimer;
use crate::machine::time::Instant;

const SHORTEST_PING: Duration = Duration::from_millis(250);
const LONGEST_PING: Duration = Duration::from_secs(1);
const PING_EVERY: Duration = Duration::from_secs(1);
/// Pings of the peer that wait to be answered; of more only the latest are.
const MOST_PONGS: usize = 4;

impl Path {
    /// Something authentic came on it.
    pub(in super::super) const fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.attaching = false;
    }

    /// Asks for a ping unless one is unanswered, or the last is too recent.
    pub(in super::super) fn ping_if_old(&mut self, now: Instant) {
        let recent = self.pinged.is_some_and(|at| now.since(at) < PING_EVERY);
        self.wants_ping |= self.ping.is_none() && !recent;
    }

    /// Something that is not in the air waits for the peer: a ping asks whether the path lives, and so does suspicion.
    pub(in super::super) fn press(&mut self, now: Instant, suspicion: Duration) {
        self.wants_ping = true;
        if self.runs == 0 && self.pressed.is_none() && self.state == State::Usable {
            self.pressed = Some(now);
            self.timers.set(PathTimer::Suspect, now + self.patience(suspicion));
        }
    }

    /// Whether a ping or an answer waits to be sent.
    pub(in super::super) fn wants_to_talk(&self) -> bool {
        self.wants_ping || !self.pongs.is_empty()
    }

    /// The ping to be sent, if one is wanted.
    pub(in super::super) fn take_ping(&mut self, now: Instant, silence: Duration) -> Option<u64> {
        if !std::mem::take(&mut self.wants_ping) {
            return None;
        }
        let id = self.next_ping;
        self.next_ping += 1;
        self.pinged = Some(now);
        let Ping { first, asked, times, .. } =
            self.ping.unwrap_or(Ping { first: id, asked: now, last: id, repeated: now, times: 0 });
        self.ping = Some(Ping { first, asked, last: id, repeated: now, times: times + 1 });
        if times == 0 {
            self.timers.set(PathTimer::Silence, now + silence);
        }
        let wait = (self.rtt.smoothed() * 2).max(SHORTEST_PING).min(LONGEST_PING) * (1 << times.min(2));
        self.timers.set(PathTimer::Ping, now + wait.min(LONGEST_PING));
        Some(id)
    }

    /// Asks again.
    pub(in super::super) fn repeat_ping(&mut self) {
        self.wants_ping |= self.ping.is_some();
    }

    /// Whether it owes an answer and was silent for too long; else the timer is set anew.
    pub(in super::super) fn is_silent(&mut self, now: Instant, silence: Duration) -> bool {
        let Some(ping) = self.ping else { return false };
        let due = self.heard.max(ping.asked) + silence;
        if due > now {
            self.timers.set(PathTimer::Silence, due);
        }
        due <= now
    }

    /// The peer asks.
    pub(in super::super) fn asked(&mut self, id: u64) {
        if self.pongs.len() == MOST_PONGS {
            self.pongs.pop_front();
        }
        self.pongs.push_back(id);
    }

    /// An answer to be sent.
    pub(in super::super) fn take_pong(&mut self) -> Option<u64> {
        self.pongs.pop_front()
    }

    /// The peer answers.
    pub(in super::super) fn answered(&mut self, now: Instant, id: u64) -> Result<Option<Answer>, Misbehaved> {
        if id >= self.next_ping {
            return Err(Misbehaved::PongWithoutPing);
        }
        let Some(ping) = self.ping.filter(|ping| (ping.first..=ping.last).contains(&id)) else { return Ok(None) };
        let first = self.rtt.least().is_none();
        if id == ping.last {
            self.rtt.answered(now, now.since(ping.repeated));
        }
        let was = std::mem::replace(&mut self.state, State::Usable);
        self.ping = None;
        self.pressed = None;
        self.wants_ping = false;
        self.timers.stop(PathTimer::Ping);
        self.timers.stop(PathTimer::Silence);
        Ok(Some(Answer { was, asked: ping.asked, first: first && self.rtt.least().is_some() }))
    }

    /// The path works again: what is in the air has its full time.
    pub(in super::super) fn trust(&mut self, now: Instant, suspicion: Duration) {
        self.tell_suspect = false;
        self.trusted = now;
        if self.runs > 0 {
            self.timers.set(PathTimer::Suspect, now + self.patience(suspicion));
        }
    }

    /// Gives back the memory that a path at rest does not need.
    pub(in super::super) fn trim(&mut self) {
        if self.runs == 0 {
            self.flights = VecDeque::new();
        }
        if self.pongs.is_empty() {
            self.pongs = VecDeque::new();
        }
    }
}
