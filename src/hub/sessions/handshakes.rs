//! How a session comes to stand: first packets of routes, and the handshake over them.

use super::{Entry, Path, Progress, head};
use crate::hub::SessionId;
use crate::hub::core::Core;
use crate::hub::event::{Closed, Event};
use crate::hub::opening::{self, Decision, Established, Opening, Purpose};
use crate::hub::routes::Target;
use crate::hub::session::Session;
use crate::hub::session::event::PathId;
use crate::machine::Cx;
use crate::machine::ids::LinkId;
use crate::machine::time::Instant;
use crate::wire::frame::{Frame, Unreachable};
use crate::wire::identity::Address;
use crate::wire::session::Head;

impl Core {
    /// The first packet of a route that was opened to us: a handshake begins, or a session gets a further path.
    pub(in crate::hub) fn on_first_packet(
        &mut self,
        cx: &mut Cx<'_>,
        link: LinkId,
        ours: u32,
        (from, theirs): (Address, u32),
        packet: &mut [u8],
    ) {
        let taken = match head(packet) {
            Some(Head::Attach { key, .. }) => self.attached(cx.now, link, (ours, theirs), from, key, packet),
            Some(Head::Handshake { .. }) => self.answer(cx, link, (ours, theirs), from, packet),
            _ => Err(Unreachable::Misbehaved),
        };
        if let Err(reason) = taken {
            self.statistics.dropped_packets += 1;
            self.free_route(link, ours, Some(theirs), reason);
        }
    }

    pub(in crate::hub) fn answer(
        &mut self,
        cx: &mut Cx<'_>,
        link: LinkId,
        (ours, theirs): (u32, u32),
        from: Address,
        packet: &[u8],
    ) -> Result<(), Unreachable> {
        let opening = Opening::answer(cx.now, &self.limits, &self.identity, from, packet, cx.rng)
            .map_err(|_| Unreachable::Misbehaved)?;
        if !self.has_room_for_opening() {
            return Err(Unreachable::Quota);
        }
        let progress = Progress::Opening(Box::new(opening));
        let id = self.insert_session(Entry::new(from, Purpose::Application, progress, false));
        self.sessions.answering.push_back(id);
        let path = PathId(0);
        if let Some(entry) = self.sessions.table.get_mut(id) {
            entry.paths.push(Path::new(path, link, ours, Some(theirs), None));
        }
        if let Some(link) = self.links.get_mut(link) {
            link.routes.set(ours, Target::Path(id, path));
        }
        self.list_path(id, path);
        self.after_session(cx.now, id);
        Ok(())
    }

    /// A packet of a session that is not live yet, or that came in the same breath as what made it so.
    pub(in crate::hub) fn on_session_packet(
        &mut self,
        cx: &mut Cx<'_>,
        id: SessionId,
        path: PathId,
        packet: &mut [u8],
    ) {
        if self.sessions.is_live(id) {
            return self.receive_packet(cx.now, id, path, packet);
        }
        let Some(opening) = self.sessions.opening_mut(id) else { return };
        match opening.receive(cx.now, &self.limits, packet) {
            Ok(None) => {}
            Ok(Some(progress)) => self.on_opening(cx.now, id, progress),
            Err(error) if error.is_fatal() => return self.end_session(id, error.into()),
            Err(_) => self.statistics.dropped_packets += 1,
        }
        self.list_path(id, path);
        self.after_session(cx.now, id);
    }

    pub(in crate::hub) fn on_opening(&mut self, now: Instant, id: SessionId, progress: opening::Progress) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let peer = entry.peer;
        entry.told = true;
        match progress {
            opening::Progress::Incoming { purpose: Purpose::Room, .. } => {
                entry.purpose = Purpose::Room;
                self.on_incoming_member(now, id, peer);
            }
            opening::Progress::Incoming { channels, .. } => {
                self.event(Event::Incoming { session: id, from: peer, channels })
            }
            opening::Progress::Opened(established) => self.establish(now, id, established),
            opening::Progress::Refused { code, text } => self.end_session(id, Closed::Refused { code, text }),
        }
    }

    /// The application's word on a session that somebody wants.
    pub(in crate::hub) fn decide(&mut self, now: Instant, id: SessionId, decision: Decision) {
        let refused = matches!(decision, Decision::Refuse { .. });
        let Some(opening) = self.sessions.opening_mut(id) else { return };
        if let Some(established) = opening.decide(now, decision) {
            self.establish(now, id, established);
        } else if refused {
            self.list_path(id, PathId(0));
        }
        self.after_session(now, id);
    }

    pub(in crate::hub) fn establish(&mut self, now: Instant, id: SessionId, established: Established) {
        let Established { id: key, peer, keys, channels, .. } = established;
        let limits = &self.limits;
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let session = Session::new(now, limits, key, entry.initiator, keys, channels);
        let last = match std::mem::replace(&mut entry.progress, Progress::Live(Box::new(session))) {
            Progress::Opening(mut opening) => opening.supply(),
            _ => None,
        };
        self.sessions.answering.retain(|known| *known != id);
        entry.peer = peer;
        self.sessions.by_key.insert(key, id);
        let Some(path) = entry.paths.first() else { return };
        let (path, link, policy, purpose) = (path.id, path.link, entry.policy, entry.purpose);
        let initiator = entry.initiator;
        entry.verdict = last.map(Vec::into_boxed_slice);
        self.repeat_verdict(id, path);
        let info = self.path_info(link, id);
        if let Some(session) = self.sessions.live_mut(id) {
            session.set_policy(now, policy);
            session.add_path(now, path, info);
        }
        match purpose {
            Purpose::Application => self.event(Event::Opened { session: id, peer }),
            Purpose::Room => self.on_member_session(now, id, peer, initiator),
        }
        if initiator {
            self.seek_path(now, id);
        }
    }

    /// The other side has not heard that the application has accepted it.
    pub(in crate::hub) fn repeat_verdict(&mut self, id: SessionId, path: PathId) {
        let Some(entry) = self.sessions.get(id) else { return };
        let Some(verdict) = entry.verdict.clone() else { return };
        let found = entry.paths.iter().find(|known| known.id == path);
        if let Some((link, Some(route))) = found.map(|path| (path.link, path.theirs)) {
            self.push(link, &Frame::Data { route, packet: &verdict });
        }
    }
}
