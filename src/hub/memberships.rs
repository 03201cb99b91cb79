//! The rooms of a hub: those that it keeps as a relay, and those that it is in.
//!
//! A room of ours is asked for at the default relay; when the link to that is lost, at the next one, or at the same
//! one once it is back. Keys for broadcasts go over sessions of the hub's own, one per member, which the application
//! never sees: they are opened when there is a first signal, accepted from whoever is in a room with us, and closed
//! when no room is shared any more.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::core::Core;
use super::event::Event;
use super::opening::{Decision, Purpose};
use super::rooms::{
    Action, BroadcastError, Host, HostStatistics, JoinError, Member, Membership, RoomEvent, RoomSecret,
};
use super::session::event::PathPolicy;
use super::{RoomId, SessionId};
use crate::machine::ids::{LinkId, Slab, Table};
use crate::machine::limits::Limits;
use crate::machine::time::Instant;
use crate::machine::timers::DeadlineHeap;
use crate::machine::{Cx, Deadline};
use crate::wire::frame::Frame;
use crate::wire::identity::Address;
use crate::wire::room::{Refusal, RoomHash, RoomMessage, ToHost, ToMember};
use crate::wire::signal::Signal;

/// All rooms of a hub.
pub(super) struct Rooms {
    host: Host,
    slab: Slab,
    ours: Table<RoomId, Ours>,
    by_hash: BTreeMap<RoomHash, RoomId>,
    sessions: BTreeMap<Address, MemberSession>,
    deadlines: DeadlineHeap<RoomId>,
}

/// A room that we are in, and the link to the relay that keeps it.
struct Ours {
    membership: Membership,
    relay: Option<LinkId>,
}

/// A session with a member. Signals wait while it is not open, of each kind the newest for each room.
struct MemberSession {
    session: SessionId,
    open: bool,
    waiting: Vec<Signal<'static>>,
}

impl MemberSession {
    fn keep(&mut self, signal: Signal<'static>) {
        let about = |signal: &Signal<'static>| (std::mem::discriminant(signal), signal.room());
        self.waiting.retain(|waiting| about(waiting) != about(&signal));
        self.waiting.push(signal);
    }
}

impl Rooms {
    pub(super) fn new(limits: &Limits, rooms_per_key: usize) -> Self {
        Self {
            host: Host::new(limits, rooms_per_key),
            slab: Slab::default(),
            ours: Table::new(),
            by_hash: BTreeMap::new(),
            sessions: BTreeMap::new(),
            deadlines: DeadlineHeap::default(),
        }
    }

    pub(super) fn statistics(&self) -> HostStatistics {
        self.host.statistics()
    }

    pub(super) fn members(&self, id: RoomId) -> impl Iterator<Item = Member> {
        self.ours.get(id).into_iter().flat_map(|room| room.membership.members())
    }

    pub(super) fn deadline(&mut self) -> Option<Deadline> {
        let deadlines = [self.deadlines.earliest(), self.host.deadline()];
        deadlines.into_iter().flatten().min_by_key(|deadline| deadline.at)
    }

    fn shares_a_room(&self, with: Address) -> bool {
        self.ours.iter().any(|(_, room)| room.membership.members().any(|member| member.address == with))
    }
}

impl Core {
    pub(super) fn join(
        &mut self,
        cx: &mut Cx<'_>,
        room: &str,
        name: &str,
        secret: Option<&str>,
    ) -> Result<RoomId, JoinError> {
        let secret = RoomSecret::new(room, secret);
        if let Some(known) = self.rooms.by_hash.get(&secret.hash()) {
            return Ok(*known);
        }
        let hash = secret.hash();
        let membership = Membership::new(cx.now, &self.limits, self.address(), secret, name, cx.rng.fork())?;
        let id = self.rooms.slab.take();
        self.rooms.by_hash.insert(hash, id);
        self.rooms.ours.insert(id, Ours { membership, relay: None });
        self.seek_relay(cx.now, id);
        Ok(id)
    }

    pub(super) fn leave_room(&mut self, now: Instant, id: RoomId) {
        self.with_room(now, id, |room, mut out| room.leave(&mut out));
        self.end_room(now, id);
    }

    pub(super) fn broadcast(&mut self, now: Instant, id: RoomId, bytes: &[u8]) -> Result<(), BroadcastError> {
        let Some(room) = self.rooms.ours.get_mut(id) else { return Err(BroadcastError::NotJoined) };
        let mut actions = Vec::new();
        room.membership.broadcast(now, &self.identity, bytes, &mut |action| actions.push(action))?;
        self.apply(now, id, actions);
        Ok(())
    }

    /// Calls a room of ours, and does what it wants done.
    fn with_room(&mut self, now: Instant, id: RoomId, call: impl FnOnce(&mut Membership, &mut dyn FnMut(Action))) {
        let Some(room) = self.rooms.ours.get_mut(id) else { return };
        let mut actions = Vec::new();
        call(&mut room.membership, &mut |action| actions.push(action));
        self.apply(now, id, actions);
        let Some(room) = self.rooms.ours.get(id) else { return };
        let (over, deadline) = (room.membership.is_over(), room.membership.deadline());
        self.rooms.deadlines.set(id, deadline);
        if over {
            self.end_room(now, id);
        }
    }

    fn apply(&mut self, now: Instant, id: RoomId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::ToRelay(message) => {
                    if let Some(relay) = self.rooms.ours.get(id).and_then(|room| room.relay) {
                        self.push(relay, &Frame::Room(&message));
                    }
                }
                Action::ToMember { to, signal } => self.signal_member(now, to, signal),
                Action::Event(event) => self.on_room_event(now, id, event),
            }
        }
    }

    fn on_room_event(&mut self, now: Instant, room: RoomId, event: RoomEvent) {
        let left = if let RoomEvent::MemberLeft { member, .. } = &event { Some(member.address) } else { None };
        self.event(Event::Room { room, event });
        if let Some(address) = left.filter(|address| !self.rooms.shares_a_room(*address)) {
            self.end_member_session(now, address);
        }
    }

    fn end_room(&mut self, now: Instant, id: RoomId) {
        let Some(room) = self.rooms.ours.remove(id) else { return };
        self.rooms.by_hash.remove(&room.membership.hash());
        self.rooms.deadlines.set(id, None);
        self.rooms.slab.give(id);
        let known: Vec<_> = self.rooms.sessions.keys().copied().collect();
        for address in known {
            if !self.rooms.shares_a_room(address) {
                self.end_member_session(now, address);
            }
        }
    }

    fn end_member_session(&mut self, now: Instant, address: Address) {
        if let Some(session) = self.rooms.sessions.remove(&address) {
            self.close(now, session.session, 0, "");
        }
    }

    fn signal_member(&mut self, now: Instant, to: Address, signal: Signal<'static>) {
        let Some(known) = self.rooms.sessions.get_mut(&to) else {
            let session = self.open(now, to, Vec::new(), PathPolicy::PreferDirect, Purpose::Room);
            self.rooms.sessions.insert(to, MemberSession { session, open: false, waiting: vec![signal] });
            return;
        };
        if !known.open {
            return known.keep(signal);
        }
        let session = known.session;
        let sent = self.sessions.live_mut(session).is_some_and(|live| live.signal(now, &signal.encode()).is_ok());
        if !sent {
            self.keys_lost(to);
        }
        self.after_session(now, session);
    }

    fn keys_lost(&mut self, member: Address) {
        let ids: Vec<_> = self.rooms.ours.keys().collect();
        for id in ids {
            if let Some(room) = self.rooms.ours.get_mut(id) {
                room.membership.key_lost(member);
            }
        }
    }

    /// Somebody's hub wants a session with ours, not with the application.
    pub(super) fn on_incoming_member(&mut self, now: Instant, id: SessionId, from: Address) {
        if self.rooms.shares_a_room(from) {
            return self.decide(now, id, Decision::Accept);
        }
        self.decide(now, id, Decision::Refuse { code: 0, text: "no room is shared".to_owned() });
    }

    /// A session of the hub's own stands. Of two that cross, both sides keep the one whose initiator has the smaller
    /// address.
    pub(super) fn on_member_session(&mut self, now: Instant, id: SessionId, peer: Address, initiator: bool) {
        let known = self.rooms.sessions.entry(peer).or_insert_with(|| MemberSession {
            session: id,
            open: false,
            waiting: Vec::new(),
        });
        let stays = initiator == (self.identity.address() < peer);
        let crossing = (known.session != id).then_some(if stays { known.session } else { id });
        if crossing != Some(id) {
            (known.session, known.open) = (id, true);
            for signal in std::mem::take(&mut known.waiting) {
                self.signal_member(now, peer, signal);
            }
        }
        if let Some(other) = crossing {
            self.close(now, other, 0, "");
        }
    }

    /// A session of the hub's own has ended, or never stood.
    pub(super) fn on_member_session_closed(&mut self, id: SessionId, peer: Address) {
        if self.rooms.sessions.get(&peer).is_some_and(|known| known.session == id) {
            self.rooms.sessions.remove(&peer);
            self.keys_lost(peer);
        }
    }

    /// A session has signals for us.
    pub(super) fn on_signals(&mut self, now: Instant, id: SessionId) {
        let Some(peer) = self.sessions.get(id).map(|entry| entry.peer) else { return };
        while let Some(session) = self.sessions.live_mut(id) {
            let Some(bytes) = session.recv_signal().map(|signal| Zeroizing::new(signal.into_vec())) else { return };
            let Ok(signal) = Signal::decode(&bytes, self.limits.signal) else {
                self.statistics.dropped_frames += 1;
                continue;
            };
            if signal.room().is_none() {
                self.on_peer_signal(now, id, &signal, &bytes);
                continue;
            }
            let ids: Vec<_> = self.rooms.ours.keys().collect();
            for room in ids {
                self.with_room(now, room, |room, mut out| room.on_signal(now, peer, &signal, &mut out));
            }
        }
    }

    /// A frame about a room: for the relay that we are, or from the relay of a room of ours.
    pub(super) fn on_room_frame(&mut self, now: Instant, link: LinkId, message: &[u8]) {
        match RoomMessage::decode(message) {
            Ok(RoomMessage::ToHost(message)) => self.on_room_request(now, link, &message),
            Ok(RoomMessage::ToMember(message)) => self.on_room_news(now, link, &message),
            Err(_) => self.statistics.dropped_frames += 1,
        }
    }

    fn on_room_request(&mut self, now: Instant, link: LinkId, message: &ToHost<'_>) {
        let Some(from) = self.links.get(link).and_then(|link| link.address()) else { return };
        if !self.policy.relays() {
            if let Some(refusal) = Host::refusal(message, Refusal::NoRooms) {
                self.push(link, &Frame::Room(&refusal));
            }
            return;
        }
        let mut answers = Vec::new();
        self.rooms.host.on_message(now, from, link, message, &mut |to, message| answers.push((to, message.to_vec())));
        let copies = answers.iter().map(|(_, answer)| answer.len()).sum();
        if matches!(message, ToHost::Broadcast { .. }) && !self.accounts.pass(now, from.id, copies) {
            self.statistics.dropped_quota += 1;
            return;
        }
        self.send_room_messages(answers);
    }

    fn send_room_messages(&mut self, messages: Vec<(LinkId, Vec<u8>)>) {
        for (link, message) in messages {
            self.push(link, &Frame::Room(&message));
        }
    }

    fn on_room_news(&mut self, now: Instant, link: LinkId, message: &ToMember<'_>) {
        let Some(&id) = self.rooms.by_hash.get(&message.room()) else { return };
        if self.rooms.ours.get(id).is_some_and(|room| room.relay == Some(link)) {
            self.with_room(now, id, |room, mut out| room.on_message(now, message, &mut out));
        }
    }

    /// Asks the best relay there is to let us into a room, unless it is asked already.
    fn seek_relay(&mut self, now: Instant, id: RoomId) {
        let Some(relay) = self.default_relay() else { return };
        let Some(room) = self.rooms.ours.get_mut(id).filter(|room| room.relay.is_none()) else { return };
        room.relay = Some(relay);
        self.with_room(now, id, |room, mut out| room.relay_up(now, &mut out));
    }

    /// A relay has come.
    pub(super) fn rooms_relay_up(&mut self, now: Instant) {
        let ids: Vec<_> = self.rooms.ours.keys().collect();
        for id in ids {
            self.seek_relay(now, id);
        }
    }

    /// A link has gone: that of a relay of ours, or of a member of a room that we keep.
    pub(super) fn rooms_link_down(&mut self, now: Instant, link: LinkId) {
        self.rooms.host.link_down(now, link);
        let ids: Vec<_> = self.rooms.ours.keys().collect();
        for id in ids {
            let Some(room) = self.rooms.ours.get_mut(id).filter(|room| room.relay == Some(link)) else { continue };
            room.relay = None;
            self.with_room(now, id, |room, _| room.relay_down());
            self.seek_relay(now, id);
        }
    }

    pub(super) fn on_rooms_timeout(&mut self, now: Instant) {
        while let Some(id) = self.rooms.deadlines.take_due(now) {
            self.with_room(now, id, |room, mut out| room.on_timeout(now, &mut out));
        }
        let mut messages = Vec::new();
        self.rooms.host.on_timeout(now, &mut |to, message| messages.push((to, message.to_vec())));
        self.send_room_messages(messages);
    }
}
