//! The routes of sessions: asked for where they may lead to the peer, opened, and lost.

use super::{Entry, Path, Progress, first_pause};
use crate::hub::SessionId;
use crate::hub::core::Core;
use crate::hub::opening::{Opening, unknown};
use crate::hub::routes::Target;
use crate::hub::session::event::{PathId, PathInfo, PathPolicy};
use crate::machine::ids::LinkId;
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};
use crate::wire::frame::{Frame, Unreachable};
use crate::wire::identity::{Address, Instance};
use crate::wire::session::SessionKey;

/// The part of the time for a whole handshake in which a route must open.
const PATIENCE: u32 = 4;
/// So many routes may be expected before those are sought out that are done.
const LEAST_EXPECTED: usize = 64;

impl Core {
    /// A link to a neighbour has come up: some sessions may use it.
    pub(in crate::hub) fn paths_by_link(&mut self, now: Instant, link: LinkId) {
        let Some(neighbour) = self.links.get(link).and_then(|link| link.neighbour()) else { return };
        let (address, relays) = (neighbour.address, neighbour.relays);
        let wants = |entry: &Entry| entry.peer.id == address.id || relays && entry.paths.len() < 2;
        let ids: Vec<_> = self.sessions.table.iter().filter(|(_, entry)| wants(entry)).map(|(id, _)| id).collect();
        for id in ids {
            if let Some(entry) = self.sessions.table.get_mut(id) {
                entry.pause = first_pause(entry.initiator);
            }
            self.seek_path(now, id);
        }
    }

    /// Asks for a route where there is one to be asked for.
    pub(in crate::hub) fn seek_path(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.get(id) else { return };
        let links = self.candidates(entry);
        match &entry.progress {
            Progress::Opening(_) => {}
            Progress::Wanted { tried, .. } if entry.paths.is_empty() => {
                let next = links.into_iter().find(|link| !tried.contains(link));
                if let Some(link) = next {
                    self.ask_route(now, id, link);
                }
            }
            Progress::Wanted { .. } => {}
            Progress::Live(_) => {
                for link in links {
                    self.ask_route(now, id, link);
                }
            }
        }
        self.sessions.set_deadline(id);
    }

    /// The links that might lead to a session's peer and carry no path of it yet: those to itself, then relays.
    pub(in crate::hub) fn candidates(&self, entry: &Entry) -> Vec<LinkId> {
        let instance = entry.peer.instance;
        let fits = |link: &LinkId| {
            let address = self.links.get(*link).and_then(|link| link.neighbour()).map(|neighbour| neighbour.address);
            address.is_some_and(|address| [Instance::NEWEST, address.instance].contains(&instance))
        };
        let direct = self.neighbours.get(&entry.peer.id).into_iter().flatten().copied().filter(fits);
        let mut links: Vec<_> = if entry.policy == PathPolicy::RelayOnly { Vec::new() } else { direct.collect() };
        if entry.policy != PathPolicy::DirectOnly {
            let own = |link: &LinkId| {
                self.links.get(*link).and_then(|link| link.address()).is_some_and(|at| at.id == entry.peer.id)
            };
            links.extend(self.relays().into_iter().filter(|link| !own(link)));
        }
        let room = self.limits.session_paths.saturating_sub(entry.paths.len());
        links.into_iter().filter(|link| entry.path_on(*link).is_none()).take(room).collect()
    }

    pub(in crate::hub) fn ask_route(&mut self, now: Instant, id: SessionId, link_id: LinkId) {
        let from = self.address();
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let Some(link) = self.links.get_mut(link_id).filter(|link| link.routes.len() < self.limits.routes) else {
            return;
        };
        let Some(path) = entry.free_path() else { return };
        let ours = link.routes.insert(Target::Asked(id, path));
        entry.paths.push(Path::new(path, link_id, ours, None, Some(now + self.limits.handshake_time / PATIENCE)));
        let to = entry.peer;
        self.push(link_id, &Frame::Open { route: ours, to, from, hops: self.limits.hops });
    }

    /// A route that we asked for, or that we pass on, is open.
    pub(in crate::hub) fn on_opened(&mut self, cx: &mut Cx<'_>, link: LinkId, route: u32, yours: u32, from: Address) {
        match self.links.get(link).and_then(|link| link.routes.get(route)) {
            Some(Target::Asked(session, path)) => self.route_opened(cx, link, (route, yours), session, path, from),
            Some(Target::Forward(back)) => self.forward_opened(link, back, yours, from),
            Some(_) => {}
            None => self.push(link, &Frame::CloseRoute { route: yours, reason: Unreachable::Closed }),
        }
    }

    pub(in crate::hub) fn route_opened(
        &mut self,
        cx: &mut Cx<'_>,
        link_id: LinkId,
        (ours, theirs): (u32, u32),
        id: SessionId,
        path_id: PathId,
        from: Address,
    ) {
        if let Some(link) = self.links.get_mut(link_id) {
            link.routes.set(ours, Target::Path(id, path_id));
        }
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let Some(path) = entry.paths.iter_mut().find(|path| path.id == path_id) else { return };
        (path.theirs, path.until) = (Some(theirs), None);
        if let Some(reason) = wrong_end(entry.peer, from) {
            self.drop_path(cx.now, id, path_id, reason);
            return self.seek_if_wanted(cx.now, id);
        }
        if let Progress::Wanted { channels, .. } = &mut entry.progress {
            // What the way says of the instance is proved by the handshake.
            entry.peer.instance = from.instance;
            let channels = std::mem::take(channels);
            let opening =
                Opening::open(cx.now, &self.limits, &self.identity, entry.peer, channels, entry.purpose, cx.rng);
            entry.progress = Progress::Opening(Box::new(opening));
            self.list_path(id, path_id);
        } else {
            let info = self.path_info(link_id, id);
            if let Some(session) = self.sessions.live_mut(id) {
                session.attach(cx.now, path_id, info);
            }
        }
        self.after_session(cx.now, id);
    }

    pub(in crate::hub) fn path_info(&self, link: LinkId, id: SessionId) -> PathInfo {
        let neighbour = self.links.get(link).and_then(|link| link.address());
        let direct = neighbour.is_some() && neighbour == self.sessions.get(id).map(|entry| entry.peer);
        PathInfo { direct, lossy: !direct, private: direct, split: false }
    }

    pub(in crate::hub) fn close_route(&mut self, now: Instant, link: LinkId, route: u32, reason: Unreachable) {
        let Some(target) = self.links.get_mut(link).and_then(|link| link.routes.remove(route)) else { return };
        match target {
            Target::Asked(session, path) | Target::Path(session, path) => {
                self.path_lost(now, session, path, reason);
                self.seek_if_wanted(now, session);
            }
            Target::Forward(forward) | Target::Opening(forward) => self.end_forward(forward, reason),
            Target::Fresh { .. } => {}
        }
    }

    pub(in crate::hub) fn seek_if_wanted(&mut self, now: Instant, id: SessionId) {
        if matches!(self.sessions.get(id), Some(Entry { progress: Progress::Wanted { .. }, .. })) {
            self.seek_path(now, id);
        }
    }

    /// A route of a session is gone; its number is already taken back.
    pub(in crate::hub) fn path_lost(&mut self, now: Instant, id: SessionId, path: PathId, reason: Unreachable) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let Some(at) = entry.paths.iter().position(|known| known.id == path) else { return };
        let lost = entry.paths.remove(at);
        match &mut entry.progress {
            Progress::Wanted { tried, last, .. } => {
                tried.push(lost.link);
                *last = Some(reason);
                if self.has_tried_all(id) {
                    return self.end_session(id, reason.into());
                }
            }
            Progress::Opening(_) => return self.end_session(id, reason.into()),
            Progress::Live(session) => {
                session.remove_path(now, path);
                entry.retry_soon(now);
            }
        }
        self.after_session(now, id);
        self.seek_direct(now, id);
    }

    /// Whether no link is left on which a route could be asked for.
    fn has_tried_all(&self, id: SessionId) -> bool {
        let Some(entry) = self.sessions.get(id) else { return false };
        let Progress::Wanted { tried, .. } = &entry.progress else { return false };
        self.candidates(entry).iter().all(|link| tried.contains(link))
    }

    /// We end a route of a session, and tell the other side.
    pub(in crate::hub) fn drop_path(&mut self, now: Instant, id: SessionId, path: PathId, reason: Unreachable) {
        let Some(entry) = self.sessions.get(id) else { return };
        let Some(known) = entry.paths.iter().find(|known| known.id == path) else { return };
        let (link, ours, theirs) = (known.link, known.ours, known.theirs);
        self.free_route(link, ours, theirs, reason);
        self.path_lost(now, id, path, reason);
    }

    pub(in crate::hub) fn free_route(&mut self, link_id: LinkId, ours: u32, theirs: Option<u32>, reason: Unreachable) {
        if let Some(link) = self.links.get_mut(link_id) {
            link.routes.remove(ours);
        }
        if let Some(route) = theirs {
            self.push(link_id, &Frame::CloseRoute { route, reason });
        }
    }

    pub(in crate::hub) fn attached(
        &mut self,
        now: Instant,
        link: LinkId,
        (ours, theirs): (u32, u32),
        from: Address,
        key: SessionKey,
        packet: &mut [u8],
    ) -> Result<(), Unreachable> {
        let Some(&id) = self.sessions.by_key.get(&key) else {
            // What is still to be opened may be the very session that the other side knows already.
            if self.sessions.is_opening_with(from) {
                return Err(Unreachable::Closed);
            }
            self.push(link, &Frame::Data { route: theirs, packet: &unknown(&self.identity, &key, packet) });
            return Ok(());
        };
        let info = self.path_info(link, id);
        let entry = self.sessions.table.get_mut(id).filter(|entry| entry.peer == from);
        let Some(Entry { progress: Progress::Live(session), paths, .. }) = entry else {
            return Err(Unreachable::Misbehaved);
        };
        let path = session.open_attach(now, info, packet).map_err(|_| Unreachable::Misbehaved)?;
        if let Some(known) = paths.iter().find(|known| known.link == link).map(|known| known.id) {
            // Both sides asked at the same time: both keep the one that the session's initiator asked for.
            if known.is_initiators() && !path.is_initiators() {
                session.remove_path(now, path);
                self.after_session(now, id);
                return Err(Unreachable::Closed);
            }
            if known != path {
                session.remove_path(now, known);
            }
            self.give_up_path(id, known);
        }
        // The peer gives its numbers anew, maybe before we have heard that the last path of one is gone.
        self.give_up_path(id, path);
        let Some(entry) = self.sessions.table.get_mut(id) else { return Err(Unreachable::Closed) };
        entry.paths.push(Path::new(path, link, ours, Some(theirs), None));
        if let Some(link) = self.links.get_mut(link) {
            link.routes.set(ours, Target::Path(id, path));
        }
        self.after_session(now, id);
        Ok(())
    }

    /// One path gives way to another on the same link.
    fn give_up_path(&mut self, id: SessionId, path: PathId) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let Some(at) = entry.paths.iter().position(|known| known.id == path) else { return };
        let lost = entry.paths.remove(at);
        self.free_route(lost.link, lost.ours, lost.theirs, Unreachable::Closed);
    }

    pub(in crate::hub) fn list_path(&mut self, id: SessionId, path: PathId) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let Some(path) = entry.paths.iter_mut().find(|known| known.id == path) else {
            return self.list_direct(id, path);
        };
        if path.theirs.is_none() || std::mem::replace(&mut path.listed, true) {
            return;
        }
        let link_id = path.link;
        if let Some(link) = self.links.get_mut(link_id) {
            link.queue.push_back(id);
        }
        self.wake(link_id);
    }

    fn list_direct(&mut self, id: SessionId, path: PathId) {
        if let Some((bulk, _)) = self.direct_links(id, path) {
            self.wake_private(bulk);
        }
    }

    /// Routes that were asked for and never answered are taken back.
    pub(in crate::hub) fn give_up_routes(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.get(id) else { return };
        let late = |path: &&Path| path.until.is_some_and(|until| until <= now);
        let late: Vec<_> = entry.paths.iter().filter(late).map(|path| path.id).collect();
        for path in late {
            self.drop_path(now, id, path, Unreachable::TimedOut);
            self.seek_if_wanted(now, id);
        }
    }

    /// The route brings its first packet, or its answer, until then, or is taken back.
    pub(in crate::hub) fn expect(&mut self, until: Instant, link: LinkId, route: u32) {
        if self.sessions.expected.len() >= self.sessions.expected_until {
            let waits = |link: LinkId, route| {
                let target = self.links.get(link).and_then(|link| link.routes.get(route));
                matches!(target, Some(Target::Fresh { .. } | Target::Opening(_)))
            };
            self.sessions.expected.retain(|(_, link, route)| waits(*link, *route));
            self.sessions.expected_until = (2 * self.sessions.expected.len()).max(LEAST_EXPECTED);
        }
        self.sessions.expected.push_back((until, link, route));
    }

    /// Routes that were opened to us and never used, or through us and never answered, are taken back.
    pub(in crate::hub) fn expire_routes(&mut self, now: Instant) {
        while let Some(&(until, link_id, route)) = self.sessions.expected.front()
            && until <= now
        {
            self.sessions.expected.pop_front();
            let Some(link) = self.links.get(link_id) else { continue };
            match link.routes.get(route) {
                Some(Target::Fresh { theirs, .. }) => {
                    self.free_route(link_id, route, Some(theirs), Unreachable::TimedOut);
                }
                Some(Target::Opening(forward)) => {
                    self.close_route(now, forward.link, forward.twin, Unreachable::TimedOut)
                }
                _ => {}
            }
        }
    }

    /// When the next such route expires.
    pub(in crate::hub) fn routes_deadline(&self) -> Option<Deadline> {
        self.sessions.expected.front().map(|(until, ..)| Deadline::new(*until, "first packet or answer of a route"))
    }
}

/// Why a route that leads there is of no use to a session with that peer.
fn wrong_end(peer: Address, from: Address) -> Option<Unreachable> {
    let instance = peer.instance == Instance::NEWEST || peer.instance == from.instance;
    match (peer.id == from.id, instance) {
        (false, _) => Some(Unreachable::Misbehaved),
        (_, false) => Some(Unreachable::Instance),
        _ => None,
    }
}
