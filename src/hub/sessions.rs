//! The sessions of this hub, and the paths that carry them.
//!
//! A session begins as a wish ([`Progress::Wanted`]): a route is asked for, on the best link there is, and another
//! one when that leads nowhere. Over the first route goes the handshake, end to end; then the session is live, and
//! further routes become paths of it by an `Attach` packet, sealed by the session's own keys. A live session without
//! a path asks for routes again, at once when a link comes up, and otherwise with pauses that double, until it gives
//! up by itself. One that has lost a path, or was refused it, asks a few times: two sides that ask for a path at once,
//! over links of which the relay knows only one yet, take each other's away.

mod handshakes;
mod paths;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use super::SessionId;
use super::channel::{Channel, ChannelId};
use super::core::Core;
use super::event::{Closed, Event};
use super::opening::{Ended, Opening, Purpose, is_unknown};
use super::session::Session;
use super::session::event::{CloseReason, Misbehaved, PathId, PathPolicy, SessionEvent};
use super::upgrades::Direct;
use crate::machine::ids::{LinkId, Slab, Table};
use crate::machine::queue::ReadyList;
use crate::machine::time::Instant;
use crate::machine::timers::DeadlineHeap;
use crate::machine::{Cx, Deadline};
use crate::wire::cursor::Cursor;
use crate::wire::frame::{Unreachable, data_head};
use crate::wire::identity::{Address, EndpointId};
use crate::wire::session::{ATTACH, Head, SessionKey};

/// The first pause between two tries to find a path again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How many packets that attach a path are remembered.
const MOST_ATTACHES: usize = 8;

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
    /// Routes of which something is expected, by the times until which they have for it.
    expected: VecDeque<(Instant, LinkId, u32)>,
    /// How many of them there may be until those are sought out that are done.
    expected_until: usize,
    /// Handshakes that others have begun, the oldest first.
    answering: VecDeque<SessionId>,
}

/// One session.
pub(super) struct Entry {
    pub(super) peer: Address,
    pub(super) purpose: Purpose,
    progress: Progress,
    paths: SmallVec<[Path; 2]>,
    pub(super) policy: PathPolicy,
    pub(super) initiator: bool,
    /// What there is of direct paths, once there is something.
    pub(super) direct: Option<Box<Direct>>,
    /// The last word of the handshake, in case it was lost.
    verdict: Option<Box<[u8]>>,
    /// When paths are looked for again.
    retry: Option<Instant>,
    /// The pause until the next such time.
    pause: Duration,
    /// Whether the application, or the room that it is for, was told of it.
    told: bool,
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
    /// Until when it must be open.
    until: Option<Instant>,
    /// The last packets that shall attach it, by their hashes: only to one of them may the far end answer that it
    /// does not know the session.
    attaches: VecDeque<[u8; 32]>,
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

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Entry> {
        self.table.get_mut(id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.table.keys()
    }

    pub(super) fn is_live(&self, id: SessionId) -> bool {
        self.live(id).is_some()
    }

    pub(super) fn live(&self, id: SessionId) -> Option<&Session> {
        self.table.get(id)?.live()
    }

    pub(super) fn live_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.table.get_mut(id)?.live_mut()
    }

    pub(super) fn channel(&self, id: SessionId, label: &str) -> Option<ChannelId> {
        let at = self.live(id)?.channels().iter().position(|channel| channel.label == label)?;
        Some(ChannelId::declared(at))
    }

    fn is_opening_with(&self, peer: Address) -> bool {
        let opening = |entry: &Entry| entry.peer == peer && matches!(entry.progress, Progress::Opening(_));
        self.table.iter().any(|(_, entry)| opening(entry))
    }

    fn opening_mut(&mut self, id: SessionId) -> Option<&mut Opening> {
        match &mut self.table.get_mut(id)?.progress {
            Progress::Opening(opening) => Some(opening),
            _ => None,
        }
    }

    /// Writes one packet that this session has for this link, with the head of its frame.
    pub(super) fn supply(&mut self, now: Instant, id: SessionId, link: LinkId, out: &mut Vec<u8>) -> bool {
        let Some(entry) = self.table.get_mut(id) else { return false };
        let Some(path) = entry.paths.iter_mut().find(|path| path.link == link) else { return false };
        let Some(theirs) = path.theirs else { return false };
        out.extend_from_slice(&data_head(theirs));
        let at = out.len();
        let supplied = match &mut entry.progress {
            Progress::Wanted { .. } => false,
            Progress::Opening(opening) => opening.supply().map(|packet| out.extend_from_slice(&packet)).is_some(),
            Progress::Live(session) => session.supply(now, path.id, out),
        };
        path.note(&out[at..]);
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

    pub(super) fn set_deadline(&mut self, id: SessionId) {
        let Some(entry) = self.table.get(id) else { return self.deadlines.set(id, None) };
        let own = match &entry.progress {
            Progress::Wanted { until, .. } => Some(Deadline::new(*until, "route of a session")),
            Progress::Opening(opening) => opening.deadline(),
            Progress::Live(session) => session.deadline(),
        };
        let retry = entry.retry.map(|at| Deadline::new(at, "path of a session"));
        let routes = entry.paths.iter().filter_map(|path| Some(Deadline::new(path.until?, "answer of a route")));
        let direct = entry.direct.as_ref().and_then(|direct| direct.deadline());
        let earliest = own.into_iter().chain(retry).chain(direct).chain(routes).min_by_key(|deadline| deadline.at);
        self.deadlines.set(id, earliest);
    }
}

impl Path {
    /// A route that was asked for, or that has been opened where `theirs` says.
    fn new(id: PathId, link: LinkId, ours: u32, theirs: Option<u32>, until: Option<Instant>) -> Self {
        Self { id, link, ours, theirs, until, attaches: VecDeque::new(), listed: false }
    }

    /// Remembers what attaches it, as long as something does.
    fn note(&mut self, packet: &[u8]) {
        match packet.first() {
            Some(&kind) if kind == ATTACH => {
                self.attaches.truncate(MOST_ATTACHES - 1);
                self.attaches.push_front(Sha256::digest(packet).into());
            }
            Some(_) if self.attaches.capacity() > 0 => self.attaches = VecDeque::new(),
            _ => {}
        }
    }
}

impl Entry {
    fn new(peer: Address, purpose: Purpose, progress: Progress, initiator: bool) -> Self {
        let (paths, policy, pause) = (SmallVec::new(), PathPolicy::PreferDirect, first_pause(initiator));
        Self {
            peer,
            purpose,
            progress,
            paths,
            policy,
            initiator,
            direct: None,
            verdict: None,
            retry: None,
            pause,
            told: initiator,
        }
    }

    pub(super) fn live(&self) -> Option<&Session> {
        match &self.progress {
            Progress::Live(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn live_mut(&mut self) -> Option<&mut Session> {
        match &mut self.progress {
            Progress::Live(session) => Some(session),
            _ => None,
        }
    }

    /// The links over which it has open routes.
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.paths.iter().filter(|path| path.theirs.is_some()).map(|path| path.link)
    }

    /// Paths are looked for again, with pauses that double. Who has one stops at the longest: the other side may have
    /// no link for another.
    fn retry_soon(&mut self, now: Instant) {
        if self.retry.is_some() || self.pause >= LONGEST_PAUSE && self.is_connected() {
            return;
        }
        self.retry = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn is_connected(&self) -> bool {
        self.paths.iter().any(|path| path.theirs.is_some())
    }

    fn path_on(&self, link: LinkId) -> Option<&Path> {
        self.paths.iter().find(|path| path.link == link)
    }

    /// A number for a path that we open: even for the side that opened the session, odd for the other.
    fn free_path(&self) -> Option<PathId> {
        let first = u8::from(!self.initiator);
        (first..=u8::MAX).step_by(2).map(PathId).find(|id| self.paths.iter().all(|path| path.id != *id))
    }
}

/// The sides differ, so that two that have refused each other's path do not do so again.
fn first_pause(initiator: bool) -> Duration {
    if initiator { FIRST_PAUSE } else { FIRST_PAUSE * 3 }
}

impl Core {
    /// Wishes for a session.
    pub(super) fn open(
        &mut self,
        now: Instant,
        peer: Address,
        channels: Vec<Channel>,
        policy: PathPolicy,
        purpose: Purpose,
    ) -> SessionId {
        let until = now + self.limits.handshake_time;
        let progress = Progress::Wanted { channels, until, tried: Vec::new(), last: None };
        let id = self.insert_session(Entry { policy, ..Entry::new(peer, purpose, progress, true) });
        self.seek_path(now, id);
        id
    }

    fn insert_session(&mut self, entry: Entry) -> SessionId {
        let id = self.sessions.slab.take();
        self.sessions.table.insert(id, entry);
        id
    }

    /// Whether one more handshake may be answered. Where there are as many as there may be, the oldest gives way that
    /// does not wait for the application: whoever is honest is faster than a flood of so many.
    fn has_room_for_opening(&mut self) -> bool {
        if self.sessions.answering.len() >= self.limits.openings {
            let gives_way = |id: &SessionId| {
                let progress = self.sessions.get(*id).map(|entry| &entry.progress);
                matches!(progress, Some(Progress::Opening(opening)) if !opening.is_deciding())
            };
            let Some(oldest) = self.sessions.answering.iter().copied().find(gives_way) else { return false };
            self.end_session(oldest, Closed::TimedOut);
        }
        self.sessions.len() < self.limits.sessions
    }

    /// A packet of a live session.
    pub(super) fn receive_packet(&mut self, now: Instant, id: SessionId, path: PathId, packet: &mut [u8]) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        let peer = entry.peer;
        let attaches = entry.paths.iter().find(|known| known.id == path).map(|path| &path.attaches);
        let Progress::Live(session) = &mut entry.progress else { return };
        match head(packet) {
            Some(Head::Handshake { .. }) => return self.repeat_verdict(id, path),
            Some(Head::Unknown { key })
                if key == session.key() && is_unknown(peer, &key, attaches.into_iter().flatten(), packet) =>
            {
                session.abort(CloseReason::Forgotten);
                return self.after_session(now, id);
            }
            _ => {}
        }
        let received = session.receive(now, path, packet);
        self.after_packet(now, id, path, received);
    }

    /// What follows from a packet of a session.
    pub(super) fn after_packet(&mut self, now: Instant, id: SessionId, path: PathId, received: Result<(), Misbehaved>) {
        match received {
            Ok(()) => {}
            Err(error) if error.closes_path() => {
                self.statistics.misbehaved_paths += 1;
                self.on_closed_direct(now, id, path);
                return self.drop_path(now, id, path, Unreachable::Misbehaved);
            }
            Err(_) => self.statistics.dropped_packets += 1,
        }
        self.after_session(now, id);
    }

    /// What follows for a session from anything that touched it.
    pub(super) fn after_session(&mut self, now: Instant, id: SessionId) {
        while let Some(path) = self.sessions.live_mut(id).and_then(Session::pop_ready) {
            self.list_path(id, path);
        }
        while let Some(path) = self.sessions.live_mut(id).and_then(Session::pop_ready_quick) {
            if let Some((_, quick)) = self.direct_links(id, path) {
                self.wake_private(quick);
            }
        }
        while let Some(event) = self.sessions.live_mut(id).and_then(Session::poll_event) {
            self.on_session_event(now, id, event);
        }
        self.sessions.set_deadline(id);
    }

    fn on_session_event(&mut self, now: Instant, id: SessionId, event: SessionEvent) {
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        match event {
            SessionEvent::Readable => self.sessions.readable.push(id),
            SessionEvent::PathSuspect(path) => self.on_suspect_path(now, id, path),
            SessionEvent::SignalReadable => self.on_signals(now, id),
            SessionEvent::PathClosed(path) => {
                self.drop_path(now, id, path, Unreachable::TimedOut);
                self.on_closed_direct(now, id, path);
            }
            SessionEvent::Closed(reason) => self.end_session(id, reason.into()),
            SessionEvent::Disconnected => {
                entry.retry_soon(now);
                self.tell(id, |session, _| Event::Disconnected { session });
            }
            SessionEvent::Reconnected => {
                entry.pause = first_pause(entry.initiator);
                self.tell(id, |session, _| Event::Reconnected { session });
            }
            SessionEvent::Writable(ChannelId::SIGNALS) => self.flush_signals(now, id),
            SessionEvent::Writable(channel) => self.tell(id, |session, _| Event::Writable { session, channel }),
            SessionEvent::Path(path) => {
                self.tell(id, |session, peer| Event::Path { session, peer, path });
                self.seek_direct(now, id);
            }
        }
    }

    /// Tells the application something of a session of its own.
    pub(super) fn tell(&mut self, id: SessionId, event: impl FnOnce(SessionId, Address) -> Event) {
        let Some(entry) = self.sessions.get(id) else { return };
        if entry.purpose == Purpose::Application {
            self.event(event(id, entry.peer));
        }
    }

    pub(super) fn on_session_timeout(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        self.give_up_routes(cx.now, id);
        self.on_direct_timeout(cx.now, id);
        let Some(entry) = self.sessions.table.get_mut(id) else { return };
        if entry.retry.take_if(|at| *at <= cx.now).is_some() {
            if !entry.is_connected() {
                entry.retry_soon(cx.now);
            }
            self.seek_path(cx.now, id);
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

    /// The application does not want a session that does not stand yet.
    pub(super) fn abandon_session(&mut self, id: SessionId) {
        self.end_session(id, Closed::Abandoned);
    }

    fn end_session(&mut self, id: SessionId, reason: Closed) {
        let Some(mut entry) = self.sessions.table.remove(id) else { return };
        let direct = entry.direct.take();
        self.forget_direct(id, direct.as_deref());
        for path in &entry.paths {
            self.free_route(path.link, path.ours, path.theirs, Unreachable::Closed);
        }
        match &entry.progress {
            Progress::Live(session) => _ = self.sessions.by_key.remove(&session.key()),
            Progress::Opening(_) if !entry.initiator => self.sessions.answering.retain(|known| *known != id),
            _ => {}
        }
        self.sessions.readable.remove(id);
        self.sessions.deadlines.set(id, None);
        self.sessions.slab.give(id);
        match entry.purpose {
            _ if !entry.told => {}
            Purpose::Application => self.event(Event::Closed { session: id, peer: entry.peer, reason }),
            Purpose::Room => self.on_member_session_closed(id, entry.peer),
        }
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
