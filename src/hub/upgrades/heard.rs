//! What becomes of peers and of their paths, and what is due.

use super::Attempt;
use crate::hub::SessionId;
use crate::hub::core::Core;
use crate::hub::event::Event;
use crate::hub::session::event::PathId;
use crate::machine::ids::LinkId;
use crate::machine::time::Instant;
use crate::transport::upgrade::{PeerEnd, PeerEvent, PeerId, PeerState};

impl Core {
    pub(super) fn on_peer(&mut self, now: Instant, peer: PeerId, event: PeerEvent) {
        let Some(&(id, number)) = self.upgrades.peers.get(peer) else { return };
        let is_current = self.attempt(id).is_some_and(|attempt| attempt.number == number);
        match event {
            PeerEvent::Signal(bytes) => self.send_signal(now, id, bytes),
            PeerEvent::Up { bulk, quick } if is_current => self.on_peer_up(now, id, (bulk, quick)),
            PeerEvent::State(state) if is_current => self.on_peer_state(id, state),
            PeerEvent::Up { .. } | PeerEvent::State(_) => {}
            PeerEvent::Down(end) => {
                self.upgrades.forget(peer);
                if is_current {
                    self.end_attempt(now, id, end);
                    self.seek_direct(now, id);
                }
            }
        }
    }

    pub(super) fn on_peer_up(&mut self, now: Instant, id: SessionId, links: (LinkId, LinkId)) {
        let Some(direct) = self.direct_mut(id) else { return };
        let Some(attempt) = &mut direct.attempt else { return };
        attempt.links = Some(links);
        let path = attempt.path();
        direct.succeeded();
        self.on_peer_state(id, PeerState::Connected);
        self.add_direct(now, id, path, links.0, links.1);
    }

    pub(super) fn on_peer_state(&mut self, id: SessionId, state: PeerState) {
        let Some(attempt) = self.direct_mut(id).and_then(|direct| direct.attempt.as_mut()) else { return };
        if std::mem::replace(&mut attempt.state, state) != state {
            self.tell(id, |session, _| Event::Peer { session, state });
        }
    }

    /// The session has a path that does not answer.
    pub(in crate::hub) fn on_suspect_path(&mut self, now: Instant, id: SessionId, path: PathId) {
        let after = self.limits.replace_after;
        let direct = self.sessions.get_mut(id).and_then(|entry| entry.direct.as_mut());
        let Some(direct) = direct else { return };
        let Some(attempt) = direct.attempt.as_mut().filter(|attempt| attempt.path() == path) else { return };
        attempt.replace.get_or_insert(now + after);
        direct.lost.get_or_insert(now);
    }

    /// The session has given a path up.
    pub(in crate::hub) fn on_closed_direct(&mut self, now: Instant, id: SessionId, path: PathId) {
        if self.attempt(id).is_some_and(|attempt| attempt.path() == path && attempt.is_up()) {
            self.drop_attempt(now, id, PeerEnd::Silent, None);
            self.seek_direct(now, id);
        }
    }

    /// Where a session's direct path has its links.
    pub(in crate::hub) fn direct_links(&self, id: SessionId, path: PathId) -> Option<(LinkId, LinkId)> {
        self.attempt(id).filter(|attempt| attempt.path() == path)?.links
    }

    /// Does what is due.
    pub(in crate::hub) fn on_direct_timeout(&mut self, now: Instant, id: SessionId) {
        if let Some(attempt) = self.attempt(id) {
            match (attempt.is_up(), attempt.replace) {
                (true, Some(at)) if at <= now => self.replace(now, id),
                (false, _) if attempt.until <= now => self.drop_attempt(now, id, PeerEnd::Unanswered, None),
                _ => {}
            }
        }
        self.seek_direct(now, id);
    }

    /// A direct path that was suspect a while ago gives way if it still is, and another can carry signals.
    pub(super) fn replace(&mut self, now: Instant, id: SessionId) {
        let Some(path) = self.attempt(id).map(Attempt::path) else { return };
        let Some(session) = self.sessions.live(id) else { return };
        let suspect = session.is_suspect(path);
        let other = session.path().is_some_and(|used| used.path != path);
        if suspect && other {
            return self.begin_attempt(now, id);
        }
        let again = suspect.then(|| now + self.limits.replace_after);
        let Some(direct) = self.direct_mut(id) else { return };
        direct.lost = direct.lost.filter(|_| suspect);
        if let Some(attempt) = &mut direct.attempt {
            attempt.replace = again;
        }
    }
}
