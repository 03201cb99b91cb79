//! Attempts: begun, up, ended, replaced.

use super::{Attempt, Direct, Next, Order};
use crate::hub::SessionId;
use crate::hub::core::Core;
use crate::hub::event::Event;
use crate::hub::opening::Purpose;
use crate::hub::session::event::PathPolicy;
use crate::hub::sessions::Entry;
use crate::machine::ids::LinkId;
use crate::machine::time::Instant;
use crate::transport::upgrade::{PeerEnd, PeerId, PeerState, Refusal};

impl Core {
    /// Begins an attempt, if this is the side to do so, the session may have one, and none is under way.
    pub(in crate::hub) fn seek_direct(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.get(id) else { return };
        let waits = entry.direct.as_ref().is_some_and(|direct| direct.waits(now));
        if waits || self.attempt(id).is_some() {
            return;
        }
        if entry.initiator && self.may_be_direct(entry) {
            return self.begin_attempt(now, id);
        }
        // Whatever allows one again will ask again.
        if let Some(direct) = self.sessions.get_mut(id).and_then(|entry| entry.direct.as_mut()) {
            direct.retry = None;
        }
        self.sessions.set_deadline(id);
    }

    pub(super) fn may_be_direct(&self, entry: &Entry) -> bool {
        let stands = entry.live().is_some_and(|session| session.path().is_some());
        let wanted = entry.purpose == Purpose::Application && entry.policy != PathPolicy::RelayOnly;
        self.upgrades.is_here() && stands && wanted && !self.is_neighbour(entry)
    }

    /// Whether a link of the hub itself leads to the peer.
    pub(in crate::hub) fn is_neighbour(&self, entry: &Entry) -> bool {
        let leads_to = |link: LinkId| self.links.get(link).and_then(|link| link.address()) == Some(entry.peer);
        entry.links().any(leads_to)
    }

    pub(super) fn attempt(&self, id: SessionId) -> Option<&Attempt> {
        self.sessions.get(id)?.direct.as_ref()?.attempt.as_ref()
    }

    pub(super) fn direct_mut(&mut self, id: SessionId) -> Option<&mut Direct> {
        let entry = self.sessions.get_mut(id)?;
        self.upgrades.sessions.insert(id);
        Some(entry.direct.get_or_insert_default())
    }

    pub(super) fn begin_attempt(&mut self, now: Instant, id: SessionId) {
        let limits = self.limits.clone();
        let Some(initiator) = self.sessions.get(id).map(|entry| entry.initiator) else { return };
        let Some(direct) = self.direct_mut(id) else { return };
        direct.retry = None;
        if let Err(until) = direct.count(now, &limits) {
            direct.retry = Some(until);
            return self.sessions.set_deadline(id);
        }
        let number = direct.next_number(initiator);
        self.set_attempt(now, id, Attempt::new(number, true, now, &limits));
    }

    pub(super) fn set_attempt(&mut self, now: Instant, id: SessionId, attempt: Attempt) {
        let (number, offers) = (attempt.number, attempt.offers);
        let Some(direct) = self.direct_mut(id) else { return };
        direct.told = None;
        let before = direct.attempt.replace(attempt);
        if let Some(before) = before {
            self.supersede(now, id, &before);
        }
        self.upgrades.orders.push_back(Order::Open { session: id, number, offers });
        self.tell_outlook(now, id);
        self.sessions.set_deadline(id);
    }

    /// An attempt gives way to its successor.
    pub(super) fn supersede(&mut self, now: Instant, id: SessionId, before: &Attempt) {
        self.upgrades.orders.push_back(Order::Close { session: id, number: before.number, ending: None });
        if let Some(links) = before.links {
            self.remove_direct(now, id, before.path(), links);
            self.after_session(now, id);
        }
    }

    /// The upgrade has built a peer for an attempt, or has none to spare.
    pub(super) fn on_opened_peer(&mut self, now: Instant, id: SessionId, number: u32, peer: Option<PeerId>) {
        if let Some(peer) = peer {
            self.upgrades.peers.insert(peer, (id, number));
            self.upgrades.by_attempt.insert((id, number), peer);
            return;
        }
        let Some(attempt) = self.attempt(id).filter(|attempt| attempt.number == number) else { return };
        if !attempt.offers {
            self.refuse_attempt(now, id, number, Refusal::TooMany, "no further peer");
        }
        self.end_attempt(now, id, PeerEnd::TooMany);
        self.seek_direct(now, id);
    }

    /// Gives the attempt under way up.
    pub(super) fn drop_attempt(
        &mut self,
        now: Instant,
        id: SessionId,
        end: PeerEnd,
        ending: Option<(u8, &'static str)>,
    ) {
        let Some(number) = self.attempt(id).map(|attempt| attempt.number) else { return };
        self.upgrades.orders.push_back(Order::Close { session: id, number, ending });
        self.end_attempt(now, id, end);
    }

    /// The attempt under way has ended, and its path with it.
    pub(super) fn end_attempt(&mut self, now: Instant, id: SessionId, end: PeerEnd) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let initiator = entry.initiator;
        let Some(direct) = &mut entry.direct else { return };
        let Some(attempt) = direct.attempt.take() else { return };
        direct.waiting.clear();
        let again = std::mem::take(&mut direct.again);
        let next = direct.ended(now, &end, attempt.is_up(), initiator, &self.limits);
        direct.retry = if let Next::At(at) = next { Some(at) } else { None };
        direct.barred = next == Next::Waits;
        if let Some(links) = attempt.links {
            self.remove_direct(now, id, attempt.path(), links);
        }
        let state = if attempt.is_up() { PeerState::Closed } else { PeerState::Failed };
        self.tell(id, |session, _| Event::Peer { session, state });
        self.after_session(now, id);
        if again {
            self.ask_again(now, id);
        }
    }
}
