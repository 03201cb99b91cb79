//! The sessions of this hub, and the paths that carry them.
//!
//! A session begins as a wish ([`Progress::Wanted`]): a route is asked for, on the best link there is, and another
//! one when that leads nowhere. Over the first route goes the handshake, end to end; then the session is live, and
//! further routes become paths of it by an `Attach` packet, sealed by the session's own keys. A live session without
//! a path asks for routes again, at once when a link comes up, and otherwise with pauses that double, until it gives
//! up by itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use smallvec::SmallVec;

use super::SessionId;
use super::channel::{Channel, ChannelId};
use super::core::Core;
use super::event::{Closed, Event};
use super::opening::{Decision, Ended, Established, Opening, Purpose, is_unknown, unknown};
use super::routes::Target;
use super::session::Session;
use super::session::event::{CloseReason, PathId, PathInfo, PathPolicy, SessionEvent};
use crate::machine::ids::{LinkId, Slab, Table};
use crate::machine::queue::ReadyList;
use crate::machine::time::Instant;
use crate::machine::timers::DeadlineHeap;
use crate::machine::{Cx, Deadline};
use crate::wire::cursor::Cursor;
use crate::wire::frame::{Frame, Unreachable, data_head};
use crate::wire::identity::{Address, EndpointId, Instance};
use crate::wire::session::{Head, SessionKey};

/// The first pause between two tries to find a path again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// All sessions of a hub.
#[derive(Default)]
pub(super) struct Sessions {
    slab: Slab,
    table: Table<SessionId, Entry>,
    by_key: BTreeMap<SessionKey, SessionId>,
    pub(super) deadlines: DeadlineHeap<SessionId>,
    pub(super) readable: ReadyList<SessionId>,
    /// Endpoints whose coming and going the application wants to know.
    pub(super) watched: BTreeSet<EndpointId>,
    /// Routes opened to us that must bring a first packet, in the order of their deadlines.
    expected: VecDeque<(Instant, LinkId, u32)>,
    answering: usize,
}

/// One session.
pub(super) struct Entry {
    pub(super) peer: Address,
    progress: Progress,
    paths: SmallVec<[Path; 2]>,
    policy: PathPolicy,
    initiator: bool,
    /// The last word of the handshake, in case it was lost.
    verdict: Option<Box<[u8]>>,
    /// When paths are looked for again, and the pause after that.
    retry: Option<(Instant, Duration)>,
}

enum Progress {
    /// A route is wanted; the links that led nowhere are not asked again.
    Wanted { channels: Vec<Channel>, until: Instant, tried: Vec<LinkId>, last: Option<Unreachable> },
    /// The handshake is under way.
    Opening(Box<Opening>),
    /// It stands.
    Live(Box<Session>),
}

/// One route of a session.
struct Path {
    id: PathId,
    link: LinkId,
    ours: u32,
    /// Where the other side wants data; none while the route is not open.
    theirs: Option<u32>,
    /// Whether the session stands in the link's queue.
    listed: bool,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Entry> {
        self.table.get(id)
    }

    pub(super) fn is_live(&self, id: SessionId) -> bool {
        self.live(id).is_some()
    }

    pub(super) fn live(&self, id: SessionId) -> Option<&Session> {
        match &self.table.get(id)?.progress {
            Progress::Live(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn live_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        match &mut self.table.get_mut(id)?.progress {
            Progress::Live(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn channel(&self, id: SessionId, label: &str) -> Option<ChannelId> {
        let at = self.live(id)?.channels().iter().position(|channel| channel.label == label)?;
        Some(ChannelId::declared(at))
    }

    fn opening_mut(&mut self, id: SessionId) -> Option<&mut Opening> {
        match &mut self.table.get_mut(id)?.progress {
            Progress::Opening(opening) => Some(opening),
            _ => None,
        }
    }

    /// A route to us must bring its first packet until then.
    pub(super) fn expect_first_packet(&mut self, until: Instant, link: LinkId, route: u32) {
        self.expected.push_back((until, link, route));
    }

    /// Writes one packet that this session has for this link, with the head of its frame.
    pub(super) fn supply(&mut self, now: Instant, id: SessionId, link: LinkId, out: &mut Vec<u8>) -> bool {
        let Some(entry) = self.table.get_mut(id) else { return false };
        let Some(path) = entry.paths.iter_mut().find(|path| path.link == link) else { return false };
        let Some(theirs) = path.theirs else { return false };
        out.extend_from_slice(&data_head(theirs));
        let supplied = match &mut entry.progress {
            Progress::Wanted { .. } => false,
            Progress::Opening(opening) => opening.supply().map(|packet| out.extend_from_slice(&packet)).is_some(),
            Progress::Live(session) => session.supply(now, path.id, out),
        };
        path.listed = supplied;
        supplied
    }

    pub(super) fn set_policy(&mut self, now: Instant, id: SessionId, policy: PathPolicy) {
        let Some(entry) = self.table.get_mut(id) else { return };
        entry.policy = policy;
        if let Progress::Live(session) = &mut entry.progress {
            session.set_policy(now, policy);
        }
    }

    fn set_deadline(&mut self, id: SessionId) {
        let Some(entry) = self.table.get(id) else { return self.deadlines.set(id, None) };
        let own = match &entry.progress {
            Progress::Wanted { until, .. } => Some(Deadline::new(*until, "route of a session")),
            Progress::Opening(opening) => opening.deadline(),
            Progress::Live(session) => session.deadline(),
        };
        let retry = entry.retry.map(|(at, _)| Deadline::new(at, "path of a session"));
        let earliest = own.into_iter().chain(retry).min_by_key(|deadline| deadline.at);
        self.deadlines.set(id, earliest);
    }
}

impl Entry {
    fn path_on(&self, link: LinkId) -> Option<&Path> {
        self.paths.iter().find(|path| path.link == link)
    }

    /// A number for a path that we open: even for the side that opened the session, odd for the other.
    fn free_path(&self) -> Option<PathId> {
        let first = u8::from(!self.initiator);
        (first..=u8::MAX).step_by(2).map(PathId).find(|id| self.paths.iter().all(|path| path.id != *id))
    }
}

impl Core {
    /// Wishes for a session.
    pub(super) fn open(
        &mut self,
        cx: &mut Cx<'_>,
        peer: Address,
        channels: Vec<Channel>,
        policy: PathPolicy,
    ) -> SessionId {
        let until = cx.now + self.limits.handshake_time;
        let progress = Progress::Wanted { channels, until, tried: Vec::new(), last: None };
        let id = self.insert_session(peer, progress, true, policy);
        self.seek_path(id);
        id
    }

    fn insert_session(&mut self, peer: Address, progress: Progress, initiator: bool, policy: PathPolicy) -> SessionId {
        let id = self.sessions.slab.take();
        let entry = Entry { peer, progress, paths: SmallVec::new(), policy, initiator, verdict: None, retry: None };
        self.sessions.table.insert(id, entry);
        id
    }

    /// A link to a neighbour has come up: some sessions may use it.
    pub(super) fn paths_by_link(&mut self, link: LinkId) {
        let Some(neighbour) = self.links.get(link).and_then(|link| link.neighbour()) else { return };
        let (address, relays) = (neighbour.address, neighbour.relays);
        let wants = |entry: &Entry| entry.peer.id == address.id || relays && entry.paths.len() < 2;
        let ids: Vec<_> = self.sessions.table.iter().filter(|(_, entry)| wants(entry)).map(|(id, _)| id).collect();
        for id in ids {
            self.seek_path(id);
        }
    }

    /// Asks for a route where there is one to be asked for.
    pub(super) fn seek_path(&mut self, id: SessionId) {
        let Some(entry) = self.sessions.get(id) else { return };
        let links = self.candidates(entry);
        match &entry.progress {
            Progress::Opening(_) => {}
            Progress::Wanted { tried, .. } if entry.paths.is_empty() => {
                let next = links.into_iter().find(|link| !tried.contains(link));
                if let Some(link) = next {
                    self.ask_route(id, link);
                }
            }
            Progress::Wanted { .. } => {}
            Progress::Live(_) => {
                for link in links {
                    self.ask_route(id, link);
                }
            }
        }
        self.sessions.set_deadline(id);
    }

    /// The links that might lead to a session's peer and carry no path of it yet: those to itself, then relays.
    fn candidates(&self, entry: &Entry) -> Vec<LinkId> {
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

    fn ask_route(&mut self, id: SessionId, link_id: LinkId) {
        let from = self.address();
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let Some(link) = self.links.get_mut(link_id).filter(|link| link.routes.len() < self.limits.routes) else {
            return;
        };
        let Some(path) = entry.free_path() else { return };
        let ours = link.routes.insert(Target::Asked(id, path));
        entry.paths.push(Path { id: path, link: link_id, ours, theirs: None, listed: false });
        let to = entry.peer;
        self.push(link_id, &Frame::Open { route: ours, to, from, hops: self.limits.hops });
    }

    /// A route that we asked for, or that we pass on, is open.
    pub(super) fn on_opened(&mut self, cx: &mut Cx<'_>, link: LinkId, route: u32, yours: u32, from: Address) {
        match self.links.get(link).and_then(|link| link.routes.get(route)) {
            Some(Target::Asked(session, path)) => self.route_opened(cx, link, (route, yours), session, path, from),
            Some(Target::Forward(back)) => self.forward_opened(link, back, yours, from),
            Some(_) => {}
            None => self.push(link, &Frame::CloseRoute { route: yours, reason: Unreachable::Closed }),
        }
    }

    fn route_opened(
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
        path.theirs = Some(theirs);
        if let Progress::Wanted { channels, .. } = &mut entry.progress {
            // What the way says of the instance is proved by the handshake.
            entry.peer.instance = from.instance;
            let channels = std::mem::take(channels);
            let opening =
                Opening::open(cx.now, &self.limits, &self.identity, entry.peer, channels, Purpose::Application, cx.rng);
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

    fn path_info(&self, link: LinkId, id: SessionId) -> PathInfo {
        let neighbour = self.links.get(link).and_then(|link| link.address());
        let direct = neighbour.is_some() && neighbour == self.sessions.get(id).map(|entry| entry.peer);
        PathInfo { direct, lossy: !direct, private: direct }
    }

    pub(super) fn on_unreachable(&mut self, cx: &mut Cx<'_>, link: LinkId, route: u32, reason: Unreachable) {
        self.close_route(cx, link, route, reason);
    }

    pub(super) fn on_close_route(&mut self, cx: &mut Cx<'_>, link: LinkId, route: u32, reason: Unreachable) {
        self.close_route(cx, link, route, reason);
    }

    fn close_route(&mut self, cx: &mut Cx<'_>, link: LinkId, route: u32, reason: Unreachable) {
        let Some(target) = self.links.get_mut(link).and_then(|link| link.routes.remove(route)) else { return };
        match target {
            Target::Asked(session, path) | Target::Path(session, path) => {
                self.path_lost(cx.now, session, path, reason);
                self.seek_if_wanted(session);
            }
            Target::Forward(forward) | Target::Opening(forward) => self.end_forward(forward, reason),
            Target::Fresh { .. } => {}
        }
    }

    fn seek_if_wanted(&mut self, id: SessionId) {
        if matches!(self.sessions.get(id), Some(Entry { progress: Progress::Wanted { .. }, .. })) {
            self.seek_path(id);
        }
    }

    /// A route of a session is gone; its number is already taken back.
    pub(super) fn path_lost(&mut self, now: Instant, id: SessionId, path: PathId, reason: Unreachable) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let Some(at) = entry.paths.iter().position(|known| known.id == path) else { return };
        let lost = entry.paths.remove(at);
        match &mut entry.progress {
            Progress::Wanted { tried, last, .. } => {
                tried.push(lost.link);
                *last = Some(reason);
                if tried.len() >= self.links.len() {
                    return self.end_session(id, reason.into());
                }
            }
            Progress::Opening(_) => return self.end_session(id, reason.into()),
            Progress::Live(session) => {
                session.remove_path(now, path);
                if entry.paths.is_empty() {
                    entry.retry.get_or_insert((now, FIRST_PAUSE));
                }
            }
        }
        self.after_session(now, id);
    }

    /// We end a route of a session, and tell the other side.
    fn drop_path(&mut self, now: Instant, id: SessionId, path: PathId, reason: Unreachable) {
        let Some(entry) = self.sessions.get(id) else { return };
        let Some(known) = entry.paths.iter().find(|known| known.id == path) else { return };
        let (link, ours, theirs) = (known.link, known.ours, known.theirs);
        self.free_route(link, ours, theirs, reason);
        self.path_lost(now, id, path, reason);
    }

    fn free_route(&mut self, link_id: LinkId, ours: u32, theirs: Option<u32>, reason: Unreachable) {
        if let Some(link) = self.links.get_mut(link_id) {
            link.routes.remove(ours);
        }
        if let Some(route) = theirs {
            self.push(link_id, &Frame::CloseRoute { route, reason });
        }
    }

    /// The first packet of a route that was opened to us: a handshake begins, or a session gets a further path.
    pub(super) fn on_first_packet(
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
            _ => false,
        };
        if !taken {
            self.statistics.dropped_packets += 1;
            self.free_route(link, ours, Some(theirs), Unreachable::Misbehaved);
        }
    }

    fn attached(
        &mut self,
        now: Instant,
        link: LinkId,
        (ours, theirs): (u32, u32),
        from: Address,
        key: SessionKey,
        packet: &mut [u8],
    ) -> bool {
        let Some(&id) = self.sessions.by_key.get(&key) else {
            self.push(link, &Frame::Data { route: theirs, packet: &unknown(&self.identity, &key) });
            return true;
        };
        let info = self.path_info(link, id);
        let Some(entry) = self.sessions.table.get_mut(id).filter(|entry| entry.peer == from) else { return false };
        if entry.path_on(link).is_some() {
            return false;
        }
        let Progress::Live(session) = &mut entry.progress else { return false };
        let Ok(path) = session.open_attach(now, info, packet) else { return false };
        entry.paths.push(Path { id: path, link, ours, theirs: Some(theirs), listed: false });
        if let Some(link) = self.links.get_mut(link) {
            link.routes.set(ours, Target::Path(id, path));
        }
        self.after_session(now, id);
        true
    }

    fn answer(
        &mut self,
        cx: &mut Cx<'_>,
        link: LinkId,
        (ours, theirs): (u32, u32),
        from: Address,
        packet: &[u8],
    ) -> bool {
        if self.sessions.answering >= self.limits.openings || self.sessions.len() >= self.limits.sessions {
            return false;
        }
        let Ok(opening) = Opening::answer(cx.now, &self.limits, &self.identity, from, packet, cx.rng) else {
            return false;
        };
        let progress = Progress::Opening(Box::new(opening));
        let id = self.insert_session(from, progress, false, PathPolicy::PreferDirect);
        self.sessions.answering += 1;
        let path = PathId(0);
        if let Some(entry) = self.sessions.table.get_mut(id) {
            entry.paths.push(Path { id: path, link, ours, theirs: Some(theirs), listed: false });
        }
        if let Some(link) = self.links.get_mut(link) {
            link.routes.set(ours, Target::Path(id, path));
        }
        self.list_path(id, path);
        self.after_session(cx.now, id);
        true
    }

    /// A packet of a session that is not live yet, or that came in the same breath as what made it so.
    pub(super) fn on_session_packet(&mut self, cx: &mut Cx<'_>, id: SessionId, path: PathId, packet: &mut [u8]) {
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

    fn on_opening(&mut self, now: Instant, id: SessionId, progress: super::opening::Progress) {
        use super::opening::Progress as Step;
        let Some(entry) = self.sessions.get(id) else { return };
        let peer = entry.peer;
        match progress {
            Step::Incoming { channels, .. } => self.event(Event::Incoming { session: id, from: peer, channels }),
            Step::Opened(established) => self.establish(now, id, established),
            Step::Refused { code, text } => self.end_session(id, Closed::Refused { code, text }),
        }
    }

    /// The application's word on a session that somebody wants.
    pub(super) fn decide(&mut self, now: Instant, id: SessionId, decision: Decision) {
        let refused = matches!(decision, Decision::Refuse { .. });
        let Some(opening) = self.sessions.opening_mut(id) else { return };
        if let Some(established) = opening.decide(now, decision) {
            self.establish(now, id, established);
        } else if refused {
            self.list_path(id, PathId(0));
        }
        self.after_session(now, id);
    }

    fn establish(&mut self, now: Instant, id: SessionId, established: Established) {
        let Established { id: key, peer, keys, channels, .. } = established;
        let limits = &self.limits;
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let session = Session::new(now, limits, key, entry.initiator, keys, channels);
        let last = match std::mem::replace(&mut entry.progress, Progress::Live(Box::new(session))) {
            Progress::Opening(mut opening) => opening.supply(),
            _ => None,
        };
        self.sessions.answering = self.sessions.answering.saturating_sub(usize::from(!entry.initiator));
        entry.peer = peer;
        self.sessions.by_key.insert(key, id);
        let Some(path) = entry.paths.first() else { return };
        let (path, link, policy) = (path.id, path.link, entry.policy);
        entry.verdict = last.map(Vec::into_boxed_slice);
        self.repeat_verdict(id, path);
        let info = self.path_info(link, id);
        if let Some(session) = self.sessions.live_mut(id) {
            session.set_policy(now, policy);
            session.add_path(now, path, info);
        }
        self.event(Event::Opened { session: id, peer });
        self.seek_path(id);
    }

    /// A packet of a live session.
    pub(super) fn receive_packet(&mut self, now: Instant, id: SessionId, path: PathId, packet: &mut [u8]) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let peer = entry.peer;
        let Progress::Live(session) = &mut entry.progress else { return };
        match head(packet) {
            Some(Head::Handshake { .. }) => return self.repeat_verdict(id, path),
            Some(Head::Unknown { key }) if key == session.key() && is_unknown(peer, &key, packet) => {
                session.abort(CloseReason::Forgotten);
                return self.after_session(now, id);
            }
            _ => {}
        }
        match session.receive(now, path, packet) {
            Ok(()) => {}
            Err(error) if error.closes_path() => {
                self.statistics.misbehaved_paths += 1;
                return self.drop_path(now, id, path, Unreachable::Misbehaved);
            }
            Err(_) => self.statistics.dropped_packets += 1,
        }
        self.after_session(now, id);
    }

    /// The other side has not heard that the application has accepted it.
    fn repeat_verdict(&mut self, id: SessionId, path: PathId) {
        let Some(entry) = self.sessions.get(id) else { return };
        let Some(verdict) = entry.verdict.clone() else { return };
        let found = entry.paths.iter().find(|known| known.id == path);
        if let Some((link, Some(route))) = found.map(|path| (path.link, path.theirs)) {
            self.push(link, &Frame::Data { route, packet: &verdict });
        }
    }

    fn list_path(&mut self, id: SessionId, path: PathId) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let Some(path) = entry.paths.iter_mut().find(|known| known.id == path) else { return };
        if path.theirs.is_none() || std::mem::replace(&mut path.listed, true) {
            return;
        }
        let link_id = path.link;
        if let Some(link) = self.links.get_mut(link_id) {
            link.queue.push_back(id);
        }
        self.wake(link_id);
    }

    /// What follows for a session from anything that touched it.
    pub(super) fn after_session(&mut self, now: Instant, id: SessionId) {
        while let Some(path) = self.sessions.live_mut(id).and_then(Session::pop_ready) {
            self.list_path(id, path);
        }
        while let Some(event) = self.sessions.live_mut(id).and_then(Session::poll_event) {
            self.on_session_event(now, id, event);
        }
        self.sessions.set_deadline(id);
    }

    fn on_session_event(&mut self, now: Instant, id: SessionId, event: SessionEvent) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let peer = entry.peer;
        match event {
            SessionEvent::Readable => self.sessions.readable.push(id),
            SessionEvent::SignalReadable => {}
            SessionEvent::Writable(channel) => self.event(Event::Writable { session: id, channel }),
            SessionEvent::Path(path) => self.event(Event::Path { session: id, peer, path }),
            SessionEvent::PathClosed(path) => self.drop_path(now, id, path, Unreachable::TimedOut),
            SessionEvent::Disconnected => {
                entry.retry = Some((now, FIRST_PAUSE));
                self.event(Event::Disconnected { session: id });
            }
            SessionEvent::Reconnected => {
                entry.retry = None;
                self.event(Event::Reconnected { session: id });
            }
            SessionEvent::Closed(reason) => self.end_session(id, reason.into()),
        }
    }

    pub(super) fn on_session_timeout(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        if let Some((at, pause)) = entry.retry.filter(|(at, _)| *at <= cx.now) {
            let connected = entry.paths.iter().any(|path| path.theirs.is_some());
            let next = (at.max(cx.now) + pause, (pause * 2).min(LONGEST_PAUSE));
            entry.retry = (!connected).then_some(next);
            self.seek_path(id);
        }
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        match &mut entry.progress {
            Progress::Wanted { until, last, .. } if *until <= cx.now => {
                let reason = last.map_or(Closed::NoTransport, Closed::from);
                return self.end_session(id, reason);
            }
            Progress::Wanted { .. } => {}
            Progress::Opening(opening) => {
                match opening.on_timeout(cx.now) {
                    Some(Ended::TimedOut) => return self.end_session(id, Closed::TimedOut),
                    // It was refused, and the other side has had time to hear of it.
                    Some(Ended::Done) => return self.end_session(id, Closed::Abandoned),
                    None => {}
                }
                let paths: SmallVec<[PathId; 2]> = entry.paths.iter().map(|path| path.id).collect();
                for path in paths {
                    self.list_path(id, path);
                }
            }
            Progress::Live(session) => session.on_timeout(cx.now),
        }
        self.after_session(cx.now, id);
    }

    /// Routes that were opened to us and never used are taken back.
    pub(super) fn expire_routes(&mut self, now: Instant) {
        while let Some((_, link_id, route)) = self.sessions.expected.pop_front_if(|(until, ..)| *until <= now) {
            let Some(link) = self.links.get(link_id) else { continue };
            if let Some(Target::Fresh { theirs, .. }) = link.routes.get(route) {
                self.free_route(link_id, route, Some(theirs), Unreachable::TimedOut);
            }
        }
    }

    /// When the next such route expires.
    pub(super) fn routes_deadline(&self) -> Option<Deadline> {
        self.sessions.expected.front().map(|(until, ..)| Deadline::new(*until, "first packet of a route"))
    }

    /// The application does not want a session that does not stand yet.
    pub(super) fn abandon_session(&mut self, id: SessionId) {
        self.end_session(id, Closed::Abandoned);
    }

    fn end_session(&mut self, id: SessionId, reason: Closed) {
        let Some(entry) = self.sessions.table.remove(id) else { return };
        for path in &entry.paths {
            self.free_route(path.link, path.ours, path.theirs, Unreachable::Closed);
        }
        match &entry.progress {
            Progress::Live(session) => _ = self.sessions.by_key.remove(&session.key()),
            Progress::Opening(_) if !entry.initiator => self.sessions.answering -= 1,
            _ => {}
        }
        self.sessions.readable.remove(id);
        self.sessions.deadlines.set(id, None);
        self.sessions.slab.give(id);
        self.event(Event::Closed { session: id, peer: entry.peer, reason });
    }

    /// The next message of any session.
    pub(super) fn next_message(&mut self, now: Instant) -> Option<Event> {
        while let Some(id) = self.sessions.readable.pop() {
            let Some(session) = self.sessions.live_mut(id) else { continue };
            let received = session.recv().map(|(channel, message)| (channel, message.into_vec()));
            let Some((channel, bytes)) = received else { continue };
            self.sessions.readable.push(id);
            self.after_session(now, id);
            return Some(Event::Message { session: id, channel, bytes });
        }
        None
    }
}

/// What a packet is, if it is one.
fn head(packet: &[u8]) -> Option<Head> {
    Head::take(&mut Cursor::new(packet)).ok()
}
