//! Signals about peers: taken in, sent, and kept while the session takes none.

use zeroize::Zeroizing;

use super::{Attempt, Order};
use crate::hub::SessionId;
use crate::hub::core::Core;
use crate::hub::opening::Purpose;
use crate::hub::session::event::{PathPolicy, SendError};
use crate::machine::time::Instant;
use crate::transport::upgrade::{PeerEnd, Refusal};
use crate::wire::signal::{DescriptionKind, Ending, Signal};

impl Core {
    /// A signal about peers has come over a session.
    pub(in crate::hub) fn on_peer_signal(&mut self, now: Instant, id: SessionId, signal: &Signal<'_>, bytes: &[u8]) {
        let Some(number) = signal.attempt() else { return };
        if let Signal::Outlook { outlook, .. } = signal
            && let Some(direct) = self.direct_mut(id)
        {
            direct.theirs = Some(*outlook);
        }
        if self.upgrades.peer(id, number).is_some() || self.attempt(id).is_some_and(|at| at.number == number) {
            let bytes = Zeroizing::new(bytes.to_vec());
            return self.upgrades.orders.push_back(Order::Signal { session: id, number, bytes });
        }
        match signal {
            Signal::Description { kind: DescriptionKind::Offer, .. } => self.on_offer(now, id, number, bytes),
            Signal::Restart { .. } => self.try_again(now, id),
            _ => {}
        }
    }

    pub(super) fn on_offer(&mut self, now: Instant, id: SessionId, number: u32, bytes: &[u8]) {
        let Some(initiator) = self.sessions.get(id).map(|entry| entry.initiator) else { return };
        let Some(direct) = self.direct_mut(id) else { return };
        let Some(verdict) = direct.judge(number, initiator) else { return };
        if let Err((refusal, text)) = verdict.map_err(|glare| (glare, "")).and_then(|()| self.may_answer(now, id)) {
            return self.refuse_attempt(now, id, number, refusal, text);
        }
        self.set_attempt(now, id, Attempt::new(number, false, now, &self.limits));
        let bytes = Zeroizing::new(bytes.to_vec());
        self.upgrades.orders.push_back(Order::Signal { session: id, number, bytes });
    }

    pub(super) fn may_answer(&mut self, now: Instant, id: SessionId) -> Result<(), (Refusal, &'static str)> {
        let limits = self.limits.clone();
        let here = self.upgrades.is_here();
        let Some(entry) = self.sessions.get_mut(id) else { return Err((Refusal::NoUpgrade, "")) };
        if !here || entry.purpose != Purpose::Application {
            return Err((Refusal::NoUpgrade, "no direct paths here"));
        }
        if entry.policy == PathPolicy::RelayOnly {
            return Err((Refusal::Policy, "relayed paths only"));
        }
        let counted = entry.direct.get_or_insert_default().count(now, &limits);
        counted.map_err(|_| (Refusal::TooMany, "too many attempts"))
    }

    pub(super) fn refuse_attempt(&mut self, now: Instant, id: SessionId, number: u32, refusal: Refusal, text: &str) {
        let reject = Signal::Reject(Ending { attempt: number, code: refusal.code(), text });
        self.send_signal(now, id, reject.encode());
    }

    /// The other side, or news, ask for another attempt: now, or after the one that is under way.
    pub(super) fn try_again(&mut self, now: Instant, id: SessionId) {
        let Some(direct) = self.direct_mut(id) else { return };
        direct.forgive();
        direct.retry = None;
        direct.again = direct.attempt.as_ref().is_some_and(|attempt| !attempt.is_up());
        self.seek_direct(now, id);
    }

    /// Sends a signal, or lets it wait; with too many of them an attempt fails.
    pub(super) fn send_signal(&mut self, now: Instant, id: SessionId, bytes: Zeroizing<Vec<u8>>) {
        let most = self.limits.waiting_signals;
        let Some(direct) = self.direct_mut(id) else { return };
        direct.waiting.push_back(bytes);
        self.flush_signals(now, id);
        let waiting = self.direct_mut(id).map_or(0, |direct| direct.waiting.len());
        if waiting > most {
            self.drop_attempt(now, id, PeerEnd::Unsignalled, None);
            self.seek_direct(now, id);
        }
    }

    /// Sends what waits, as far as the session takes it.
    pub(in crate::hub) fn flush_signals(&mut self, now: Instant, id: SessionId) {
        while let Some(entry) = self.sessions.get_mut(id) {
            let Some(bytes) = entry.direct.as_mut().and_then(|direct| direct.waiting.pop_front()) else { break };
            let sent = entry.live_mut().map_or(Err(SendError::NotOpen), |session| session.signal(now, &bytes));
            if sent == Err(SendError::Blocked) {
                if let Some(direct) = &mut entry.direct {
                    direct.waiting.push_front(bytes);
                }
                break;
            }
        }
        self.after_session(now, id);
    }
}
