//! The end of a session.
//!
//! `close` lets what was accepted drain, then says goodbye until the peer has answered; the peer, which has everything
//! by then, answers at once, drops what it had still to send, and tells its owner when that has taken the last
//! message. If both close, each drains before it answers the other.

use std::time::Duration;

use super::Session;
use super::event::{CloseReason, Misbehaved, SessionEvent};
use super::packet::Packet;
use super::path::Path;
use super::timers::SessionTimer;
use crate::machine::time::Instant;
use crate::wire::session::{Record, cut_text};

/// Until a goodbye is repeated; doubling.
const REPEAT_AFTER: Duration = Duration::from_millis(500);

/// Where a session is in its life.
#[derive(Debug)]
pub(super) enum Phase {
    /// Messages are accepted.
    Open,
    /// This side has closed it; what was accepted is being sent.
    Draining(Box<Goodbye>),
    /// The peer has everything, and is told that nothing follows.
    Leaving(Box<Goodbye>),
    /// The peer has closed it; what came is being delivered.
    Left,
    /// Over.
    Closed,
}

/// What this side has to say at the end.
#[derive(Debug)]
pub(super) struct Goodbye {
    code: u8,
    text: String,
    /// It is to be said.
    due: bool,
    times: u32,
    /// The peer has said goodbye, too.
    heard: bool,
}

impl Session {
    /// Sends what was accepted, then says goodbye; [`SessionEvent::Closed`] follows. `text` is cut at 200 bytes.
    pub fn close(&mut self, now: Instant, code: u8, text: &str) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        let text = cut_text(text).to_owned();
        self.phase = Phase::Draining(Box::new(Goodbye { code, text, due: false, times: 0, heard: false }));
        self.progress = now;
        self.timers.set(SessionTimer::Close, now + self.config.resume);
        self.settle(now);
    }

    /// Ends the session at once, without a word to the peer; [`SessionEvent::Closed`] follows.
    ///
    /// A peer that has [forgotten](CloseReason::Forgotten) a session to which we say goodbye has heard that, and its
    /// answer was lost: it has all that was sent.
    pub fn abort(&mut self, reason: CloseReason) {
        if self.is_over() {
            return;
        }
        let reason =
            if reason == CloseReason::Forgotten && self.has_said_goodbye() { CloseReason::Local } else { reason };
        self.phase = Phase::Closed;
        self.timers.clear();
        self.lanes.iter_mut().for_each(|lane| lane.outgoing.clear());
        self.paths.clear();
        self.ready.clear();
        self.ready_quick.clear();
        self.current = None;
        self.events.push_back(SessionEvent::Closed(reason));
    }

    fn has_said_goodbye(&self) -> bool {
        matches!(&self.phase, Phase::Leaving(goodbye) if goodbye.times > 0)
    }

    /// Whether it has ended.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Goes on to the goodbye when everything has arrived.
    pub(super) fn check_drained(&mut self, now: Instant) {
        let Phase::Draining(goodbye) = &mut self.phase else { return };
        if self.lanes.iter().any(|lane| !lane.outgoing.is_empty()) {
            return;
        }
        goodbye.due = true;
        self.owes_bye_ack = goodbye.heard;
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        self.phase = if let Phase::Draining(goodbye) = phase { Phase::Leaving(goodbye) } else { phase };
        self.timers.set(SessionTimer::Close, now + self.config.close);
    }

    /// Without an answer, or without progress, it is over.
    pub(super) fn give_up_closing(&mut self, now: Instant) {
        let due = self.progress + self.config.resume;
        if matches!(self.phase, Phase::Draining(_)) && due > now {
            return self.timers.set(SessionTimer::Close, due);
        }
        self.abort(CloseReason::Unanswered);
    }

    /// Whether a goodbye, or the answer to one, is to be sent.
    pub(super) fn has_goodbye(&self) -> bool {
        self.owes_bye_ack || matches!(&self.phase, Phase::Leaving(goodbye) if goodbye.due)
    }

    pub(super) fn put_goodbye(&mut self, now: Instant, packet: &mut Packet<'_>) {
        if std::mem::take(&mut self.owes_bye_ack) {
            Record::ByeAck.put(packet.record());
        }
        let Phase::Leaving(goodbye) = &mut self.phase else { return };
        if std::mem::take(&mut goodbye.due) {
            Record::Bye { code: goodbye.code, text: &goodbye.text }.put(packet.record());
            self.timers.set(SessionTimer::Bye, now + REPEAT_AFTER * (1 << goodbye.times.min(4)));
            goodbye.times += 1;
        }
    }

    pub(super) fn say_goodbye_again(&mut self) {
        if let Phase::Leaving(goodbye) = &mut self.phase {
            goodbye.due = true;
        }
    }

    pub(super) fn take_bye(&mut self, code: u8, text: &str) -> Result<(), Misbehaved> {
        match &mut self.phase {
            Phase::Open => {
                self.farewell = Some(Box::new(CloseReason::Peer { code, text: text.to_owned() }));
                self.phase = Phase::Left;
                self.owes_bye_ack = true;
                self.timers.clear();
                self.lanes.iter_mut().for_each(|lane| lane.outgoing.clear());
                self.paths.iter_mut().for_each(Path::land_all);
            }
            Phase::Draining(goodbye) => goodbye.heard = true,
            Phase::Leaving(_) | Phase::Left => self.owes_bye_ack = true,
            Phase::Closed => {}
        }
        Ok(())
    }

    pub(super) fn take_bye_ack(&mut self) -> Result<(), Misbehaved> {
        if let Phase::Leaving(goodbye) = &mut self.phase {
            goodbye.due = false;
            self.farewell = Some(Box::new(CloseReason::Local));
        }
        Ok(())
    }

    /// The event that ends it, once nothing is left to be said or to be delivered.
    pub(super) fn take_leave(&mut self) -> Option<SessionEvent> {
        let unsaid = self.owes_bye_ack && self.current.is_some();
        let untaken = matches!(self.phase, Phase::Left) && !self.inbox.is_empty();
        if unsaid || untaken {
            return None;
        }
        let reason = self.farewell.take()?;
        self.abort(*reason);
        self.events.pop_front()
    }
}
