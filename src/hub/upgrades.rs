//! Direct paths: when a session tries to get one, and what becomes of that.
//!
//! A hub may have an [upgrade](crate::transport::upgrade). Then the initiator of each session between applications
//! offers a direct path as soon as the session stands, which it does once the application at the other end has
//! accepted it: before that no address of either side leaves through it. What the two peers have to tell each other
//! goes over the session's own channel, sealed. Whoever answers builds a peer for the first offer of an attempt, or
//! refuses by a code: it has no upgrade, the session shall be relayed, there are too many.
//!
//! *Attempts* are numbered by the side that begins them; in the low byte of the number is the path that the attempt may
//! become, above it a count. A session has one at a time. If both sides begin one, both keep the initiator's; what is
//! late names an attempt of the past and changes nothing.
//!
//! *Links.* A peer that is up has two links that are private to the session (`links.rs`); they make one path of two
//! lanes. It is used once it answers, and whatever is on the way on another path arrives there.
//!
//! *Failure.* The initiator tries again, with pauses that double from [`Limits::attempt_pause`], and at once when
//! something has changed: other addresses, other servers, a `Restart` by which the other side asks for it. Either side
//! counts at most [`Limits::attempts`] a minute and refuses more.
//!
//! *Replacement.* A direct path that makes no progress is not used (the session sees to that), and if it is still
//! suspect [`Limits::replace_after`] later, either side gives it up for a new attempt, as long as another path can carry
//! the signals. After a sleep all paths are suspect at once; each has that time to answer before anything is built.
//!
//! The core decides all that, and lists *orders* for the upgrade, which the hub carries out (`peers.rs`): the upgrade
//! calls back into the core, so it is never called from there.
//!
//! [`Limits::attempt_pause`]: crate::machine::limits::Limits::attempt_pause
//! [`Limits::attempts`]: crate::machine::limits::Limits::attempts
//! [`Limits::replace_after`]: crate::machine::limits::Limits::replace_after

mod direct;
mod links;
mod peers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use zeroize::Zeroizing;

use direct::Next;
pub(super) use direct::{Attempt, Direct};
pub(super) use links::Private;

use super::core::Core;
use super::event::Event;
use super::opening::Purpose;
use super::session::event::{PathId, PathPolicy, SendError};
use super::sessions::Entry;
use super::{SessionId, TransportId};
use crate::machine::ids::{LinkId, Table};
use crate::machine::time::Instant;
use crate::transport::upgrade::{PeerEnd, PeerEvent, PeerId, PeerState, Refusal};
use crate::wire::outlook::Outlook;
use crate::wire::signal::{DescriptionKind, Ending, Signal};

/// What the core has to do with the upgrade.
#[derive(Default)]
pub(super) struct Upgrades {
    pub(super) transport: Option<TransportId>,
    /// It is being removed.
    leaving: bool,
    pub(super) outlook: Outlook,
    /// What the upgrade shall do. Bounded by what comes in one call, for it is emptied after each.
    orders: VecDeque<Order>,
    peers: Table<PeerId, (SessionId, u32)>,
    by_attempt: BTreeMap<(SessionId, u32), PeerId>,
    links: Table<LinkId, Private>,
    /// Sessions that have a direct path, or try to get one.
    sessions: BTreeSet<SessionId>,
}

/// What the upgrade shall do for an attempt.
enum Order {
    Open { session: SessionId, number: u32, offers: bool },
    Signal { session: SessionId, number: u32, bytes: Zeroizing<Vec<u8>> },
    Close { session: SessionId, number: u32, ending: Option<(u8, &'static str)> },
}

impl Upgrades {
    pub(super) fn peer(&self, session: SessionId, number: u32) -> Option<PeerId> {
        self.by_attempt.get(&(session, number)).copied()
    }

    fn forget(&mut self, peer: PeerId) -> Option<(SessionId, u32)> {
        let attempt = self.peers.remove(peer)?;
        self.by_attempt.remove(&attempt);
        Some(attempt)
    }

    /// Whether it has something to do at once.
    pub(super) fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }
}

/// Attempts.
impl Core {
    /// Begins an attempt, if this is the side to do so, the session may have one, and none is under way.
    pub(super) fn seek_direct(&mut self, now: Instant, id: SessionId) {
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

    fn may_be_direct(&self, entry: &Entry) -> bool {
        let stands = entry.live().is_some_and(|session| session.path().is_some());
        let wanted = entry.purpose == Purpose::Application && entry.policy != PathPolicy::RelayOnly;
        self.upgrades.transport.is_some() && !self.upgrades.leaving && stands && wanted && !self.is_neighbour(entry)
    }

    /// Whether a link of the hub itself leads to the peer.
    pub(super) fn is_neighbour(&self, entry: &Entry) -> bool {
        let leads_to = |link: LinkId| self.links.get(link).and_then(|link| link.address()) == Some(entry.peer);
        entry.links().any(leads_to)
    }

    fn attempt(&self, id: SessionId) -> Option<&Attempt> {
        self.sessions.get(id)?.direct.as_ref()?.attempt.as_ref()
    }

    fn direct_mut(&mut self, id: SessionId) -> Option<&mut Direct> {
        let entry = self.sessions.get_mut(id)?;
        self.upgrades.sessions.insert(id);
        Some(entry.direct.get_or_insert_default())
    }

    fn begin_attempt(&mut self, now: Instant, id: SessionId) {
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

    fn set_attempt(&mut self, now: Instant, id: SessionId, attempt: Attempt) {
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
    fn supersede(&mut self, now: Instant, id: SessionId, before: &Attempt) {
        self.upgrades.orders.push_back(Order::Close { session: id, number: before.number, ending: None });
        if let Some(links) = before.links {
            self.remove_direct(now, id, before.path(), links);
            self.after_session(now, id);
        }
    }

    /// The upgrade has built a peer for an attempt, or has none to spare.
    fn on_opened_peer(&mut self, now: Instant, id: SessionId, number: u32, peer: Option<PeerId>) {
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
    fn drop_attempt(&mut self, now: Instant, id: SessionId, end: PeerEnd, ending: Option<(u8, &'static str)>) {
        let Some(number) = self.attempt(id).map(|attempt| attempt.number) else { return };
        self.upgrades.orders.push_back(Order::Close { session: id, number, ending });
        self.end_attempt(now, id, end);
    }

    /// The attempt under way has ended, and its path with it.
    fn end_attempt(&mut self, now: Instant, id: SessionId, end: PeerEnd) {
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

/// What is heard of peers.
impl Core {
    fn on_peer(&mut self, now: Instant, peer: PeerId, event: PeerEvent) {
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

    fn on_peer_up(&mut self, now: Instant, id: SessionId, links: (LinkId, LinkId)) {
        let Some(direct) = self.direct_mut(id) else { return };
        let Some(attempt) = &mut direct.attempt else { return };
        attempt.links = Some(links);
        let path = attempt.path();
        direct.succeeded();
        self.on_peer_state(id, PeerState::Connected);
        self.add_direct(now, id, path, links.0, links.1);
    }

    fn on_peer_state(&mut self, id: SessionId, state: PeerState) {
        let Some(attempt) = self.direct_mut(id).and_then(|direct| direct.attempt.as_mut()) else { return };
        if std::mem::replace(&mut attempt.state, state) != state {
            self.tell(id, |session, _| Event::Peer { session, state });
        }
    }

    /// The session has a path that does not answer.
    pub(super) fn on_suspect_path(&mut self, now: Instant, id: SessionId, path: PathId) {
        let after = self.limits.replace_after;
        let direct = self.sessions.get_mut(id).and_then(|entry| entry.direct.as_mut());
        let Some(direct) = direct else { return };
        let Some(attempt) = direct.attempt.as_mut().filter(|attempt| attempt.path() == path) else { return };
        attempt.replace.get_or_insert(now + after);
        direct.lost.get_or_insert(now);
    }

    /// The session has given a path up.
    pub(super) fn on_closed_direct(&mut self, now: Instant, id: SessionId, path: PathId) {
        if self.attempt(id).is_some_and(|attempt| attempt.path() == path && attempt.is_up()) {
            self.drop_attempt(now, id, PeerEnd::Silent, None);
            self.seek_direct(now, id);
        }
    }

    /// Where a session's direct path has its links.
    pub(super) fn direct_links(&self, id: SessionId, path: PathId) -> Option<(LinkId, LinkId)> {
        self.attempt(id).filter(|attempt| attempt.path() == path)?.links
    }

    /// Does what is due.
    pub(super) fn on_direct_timeout(&mut self, now: Instant, id: SessionId) {
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
    fn replace(&mut self, now: Instant, id: SessionId) {
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

/// Signals.
impl Core {
    /// A signal about peers has come over a session.
    pub(super) fn on_peer_signal(&mut self, now: Instant, id: SessionId, signal: &Signal<'_>, bytes: &[u8]) {
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

    fn on_offer(&mut self, now: Instant, id: SessionId, number: u32, bytes: &[u8]) {
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

    fn may_answer(&mut self, now: Instant, id: SessionId) -> Result<(), (Refusal, &'static str)> {
        let limits = self.limits.clone();
        let here = self.upgrades.transport.is_some() && !self.upgrades.leaving;
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

    fn refuse_attempt(&mut self, now: Instant, id: SessionId, number: u32, refusal: Refusal, text: &str) {
        let reject = Signal::Reject(Ending { attempt: number, code: refusal.code(), text });
        self.send_signal(now, id, reject.encode());
    }

    /// The other side, or news, ask for another attempt: now, or after the one that is under way.
    fn try_again(&mut self, now: Instant, id: SessionId) {
        let Some(direct) = self.direct_mut(id) else { return };
        direct.forgive();
        direct.retry = None;
        direct.again = direct.attempt.as_ref().is_some_and(|attempt| !attempt.is_up());
        self.seek_direct(now, id);
    }

    /// Sends a signal, or lets it wait; with too many of them an attempt fails.
    fn send_signal(&mut self, now: Instant, id: SessionId, bytes: Zeroizing<Vec<u8>>) {
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
    pub(super) fn flush_signals(&mut self, now: Instant, id: SessionId) {
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

/// News.
impl Core {
    fn upgrade_is_here(&mut self, now: Instant, transport: TransportId) {
        (self.upgrades.transport, self.upgrades.leaving) = (Some(transport), false);
        let ids: Vec<_> = self.sessions.ids().collect();
        for id in ids {
            self.ask_again(now, id);
        }
    }

    /// The upgrade goes, or has gone: its peers end.
    pub(super) fn upgrade_leaves(&mut self, now: Instant, transport: TransportId) {
        if self.upgrades.transport != Some(transport) {
            return;
        }
        self.upgrades.leaving = true;
        for id in self.upgrades.sessions.clone() {
            self.drop_attempt(now, id, PeerEnd::Closed, None);
            if let Some(direct) = self.direct_mut(id) {
                direct.retry = None;
            }
            self.sessions.set_deadline(id);
        }
    }

    /// It has gone.
    pub(super) fn upgrade_is_gone(&mut self, now: Instant, transport: TransportId) {
        self.upgrade_leaves(now, transport);
        if self.upgrades.transport == Some(transport) {
            self.upgrades = Upgrades::default();
        }
    }

    /// Ways out have come or changed: what has failed may work now.
    fn news_of_network(&mut self, now: Instant) {
        for id in self.upgrades.sessions.clone() {
            self.ask_again(now, id);
        }
    }

    /// Tries again if it is ours to do so, else asks the other side to.
    pub(super) fn ask_again(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.get(id).filter(|entry| self.may_be_direct(entry)) else { return };
        if entry.initiator || self.attempt(id).is_some() {
            return self.try_again(now, id);
        }
        self.send_signal(now, id, Signal::Restart { attempt: u32::MAX }.encode());
    }

    /// What is known of our ways out, now; told to those with whom an attempt is under way.
    fn on_outlook(&mut self, now: Instant, outlook: Outlook) {
        let before = std::mem::replace(&mut self.upgrades.outlook, outlook);
        if before == outlook {
            return;
        }
        for id in self.upgrades.sessions.clone() {
            self.tell_outlook(now, id);
        }
        if (before.ipv4, before.ipv6, before.policy) == (outlook.ipv4, outlook.ipv6, outlook.policy) {
            return;
        }
        // An attempt that is under way takes its part in it.
        let idle = |id: &SessionId| self.attempt(*id).is_none();
        let ids: Vec<_> = self.upgrades.sessions.iter().copied().filter(idle).collect();
        for id in ids {
            self.ask_again(now, id);
        }
    }

    fn tell_outlook(&mut self, now: Instant, id: SessionId) {
        let outlook = self.upgrades.outlook;
        let Some(number) = self.attempt(id).filter(|attempt| !attempt.is_up()).map(|attempt| attempt.number) else {
            return;
        };
        let Some(direct) = self.direct_mut(id).filter(|direct| direct.told != Some(outlook)) else { return };
        direct.told = Some(outlook);
        self.send_signal(now, id, Signal::Outlook { attempt: number, outlook }.encode());
    }

    /// The application has another wish for the paths of a session.
    pub(super) fn on_policy(&mut self, now: Instant, id: SessionId, policy: PathPolicy) {
        if policy == PathPolicy::RelayOnly {
            self.drop_attempt(now, id, PeerEnd::Closed, None);
            self.seek_direct(now, id);
        } else {
            self.ask_again(now, id);
        }
    }

    /// A session has ended.
    pub(super) fn forget_direct(&mut self, id: SessionId, direct: Option<&Direct>) {
        self.upgrades.sessions.remove(&id);
        let Some(attempt) = direct.and_then(|direct| direct.attempt.as_ref()) else { return };
        if let Some((bulk, quick)) = attempt.links {
            self.upgrades.links.remove(bulk);
            self.upgrades.links.remove(quick);
        }
        self.upgrades.orders.push_back(Order::Close { session: id, number: attempt.number, ending: None });
    }
}
