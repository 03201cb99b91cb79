//! A relay's side of its rooms: who is in them, and what they broadcast.
//!
//! The first who joins a room makes it and sets its secret; with the last who leaves, it is gone. A member is an
//! address, reached over the link that it last joined on. It is one until it leaves, until its link has been down for
//! [`Limits::room_grace`], until it has been silent for [`Limits::room_expiry`], or until it is removed: joining
//! again is a sign of life, and moves it to another link.
//!
//! *Cost.* A message touches the members of its room and no other. Nothing waits here: what a link cannot carry, its
//! lane drops, and the versions of lists and the numbers of broadcasts show it.
//!
//! *Bounds.* Rooms, members of a room, and rooms of one key are limited. A join goes to all members, and a list is as
//! large as the room: so joins and leaves are limited per link, and a member gets one list per [`LIST_EVERY`] at most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::secret;
use crate::link::noise::TAG;
use crate::machine::Deadline;
use crate::machine::ids::{LinkId, Table};
use crate::machine::limits::Limits;
use crate::machine::time::Instant;
use crate::wire::identity::{Address, EndpointId, Instance};
use crate::wire::room::{Entry, Envelope, Join, LeaveReason, Members, Refusal, RoomHash, ToHost, ToMember};

/// How often one member gets a list on one link; it asks again where none comes.
pub const LIST_EVERY: Duration = Duration::from_millis(500);
/// In what time [`Limits::room_joins`] are let through.
const JOINS_EVERY: Duration = Duration::from_secs(10);

/// All rooms of a relay.
#[derive(Debug)]
pub struct Host {
    limits: Limits,
    rooms_per_key: usize,
    rooms: BTreeMap<RoomHash, Room>,
    /// Where each key is a member.
    keys: BTreeMap<EndpointId, BTreeSet<(RoomHash, Instance)>>,
    neighbours: Table<LinkId, Neighbour>,
    /// When which member is a member no longer.
    due: BTreeSet<(Instant, RoomHash, Address)>,
    statistics: HostStatistics,
}

/// What a [`Host`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostStatistics {
    /// Rooms that there are.
    pub rooms: u64,
    /// Members of all of them.
    pub members: u64,
    /// Broadcasts taken.
    pub broadcasts: u64,
    /// Copies of them passed on.
    pub deliveries: u64,
    /// Member lists given out.
    pub lists: u64,
    /// Messages that were answered by a refusal.
    pub refused: u64,
    /// Broadcasts dropped because they were too large.
    pub dropped_size: u64,
    /// Requests for a member list dropped because there was one just before.
    pub dropped_lists: u64,
}

#[derive(Debug)]
struct Room {
    verifier: [u8; 32],
    version: u64,
    members: BTreeMap<Address, Resident>,
}

#[derive(Debug)]
struct Resident {
    name: String,
    proof: [u8; 32],
    since: u64,
    /// None: its link is down.
    link: Option<LinkId>,
    /// When it got a list, and on which link.
    listed: Option<(Instant, LinkId)>,
    due: Instant,
}

#[derive(Debug)]
struct Neighbour {
    members: BTreeSet<(RoomHash, Address)>,
    window: Instant,
    joins: u32,
}

/// How a join changes a room.
enum Entered {
    New,
    Renamed,
    Same,
}

impl Host {
    /// No rooms yet. `rooms_per_key`: in how many rooms one key may be, all its processes together.
    pub fn new(limits: &Limits, rooms_per_key: usize) -> Self {
        Self {
            limits: limits.clone(),
            rooms_per_key,
            rooms: BTreeMap::new(),
            keys: BTreeMap::new(),
            neighbours: Table::new(),
            due: BTreeSet::new(),
            statistics: HostStatistics::default(),
        }
    }

    /// How a neighbour that keeps no rooms, or none for the sender, answers a message; none: it needs no answer.
    pub fn refusal(message: &ToHost<'_>, reason: Refusal) -> Option<Vec<u8>> {
        let leaving = matches!(message, ToHost::Leave(_));
        (!leaving).then(|| ToMember::Refused { room: message.room(), reason }.encode())
    }

    /// Takes a message of a neighbour that has proved to be `from`; `out` is called with what has to be sent on which
    /// link.
    pub fn on_message(
        &mut self,
        now: Instant,
        from: Address,
        link: LinkId,
        message: &ToHost<'_>,
        out: &mut impl FnMut(LinkId, &[u8]),
    ) {
        match message {
            ToHost::Join(join) => self.join(now, from, link, join, out),
            ToHost::Leave(room) => self.leave(now, from, link, *room, out),
            ToHost::Broadcast { room, envelope } => self.broadcast(from, link, *room, envelope, out),
        }
    }

    fn join(
        &mut self,
        now: Instant,
        from: Address,
        link: LinkId,
        join: &Join<'_>,
        out: &mut impl FnMut(LinkId, &[u8]),
    ) {
        if let Err(reason) = self.may_join(now, from, link, join) {
            return self.refuse(link, join.room, reason, out);
        }
        let entered = self.enter(now, from, link, join);
        if !matches!(entered, Entered::Same) {
            self.announce(join.room, from, out);
        }
        // Whoever is new has a list of before, or of another relay, whatever its version.
        let known = if matches!(entered, Entered::New) { 0 } else { join.known };
        self.answer(now, from, link, (join.room, known), out);
    }

    fn may_join(&mut self, now: Instant, from: Address, link: LinkId, join: &Join<'_>) -> Result<(), Refusal> {
        if !self.pass(now, link) {
            return Err(Refusal::TooOften);
        }
        let room = self.rooms.get(&join.room);
        if room.is_some_and(|room| !secret::same(&room.verifier, &join.verifier)) {
            return Err(Refusal::WrongSecret);
        }
        if room.is_some_and(|room| room.members.contains_key(&from)) {
            return Ok(());
        }
        if self.keys.get(&from.id).map_or(0, BTreeSet::len) >= self.rooms_per_key {
            return Err(Refusal::TooManyRooms);
        }
        match room {
            Some(room) if room.members.len() >= self.limits.room_members => Err(Refusal::Full),
            None if self.rooms.len() >= self.limits.rooms => Err(Refusal::TooManyRooms),
            _ => Ok(()),
        }
    }

    /// Counts a join or leave; false: there were too many on that link.
    fn pass(&mut self, now: Instant, link: LinkId) -> bool {
        let most = self.limits.room_joins;
        let neighbour = self.neighbour(now, link);
        if now - neighbour.window >= JOINS_EVERY {
            (neighbour.window, neighbour.joins) = (now, 0);
        }
        neighbour.joins = neighbour.joins.saturating_add(1);
        neighbour.joins <= most
    }

    fn neighbour(&mut self, now: Instant, link: LinkId) -> &mut Neighbour {
        if !self.neighbours.contains(link) {
            self.neighbours.insert(link, Neighbour { members: BTreeSet::new(), window: now, joins: 0 });
        }
        self.neighbours.get_mut(link).expect("it was inserted")
    }

    fn enter(&mut self, now: Instant, from: Address, link: LinkId, join: &Join<'_>) -> Entered {
        let due = now + self.limits.room_expiry;
        let room = self.rooms.entry(join.room).or_insert_with(|| Room::new(now, join.verifier));
        let (entered, before) = room.enter(from, link, join, due);
        if let Some((due, link)) = before {
            self.due.remove(&(due, join.room, from));
            self.unbind(link, join.room, from);
        }
        self.due.insert((due, join.room, from));
        self.neighbour(now, link).members.insert((join.room, from));
        self.keys.entry(from.id).or_default().insert((join.room, from.instance));
        entered
    }

    fn unbind(&mut self, link: Option<LinkId>, room: RoomHash, member: Address) {
        if let Some(neighbour) = link.and_then(|link| self.neighbours.get_mut(link)) {
            neighbour.members.remove(&(room, member));
        }
    }

    /// Tells the others of a member that is new, or has another name.
    fn announce(&self, room: RoomHash, who: Address, out: &mut impl FnMut(LinkId, &[u8])) {
        let Some(Room { version, members, .. }) = self.rooms.get(&room) else { return };
        let Some(member) = members.get(&who) else { return };
        let message = ToMember::Joined { room, version: *version, member: member.entry(who) }.encode();
        links_but(members, who).for_each(|link| out(link, &message));
    }

    /// Tells a member who the others are, unless it knows.
    fn answer(
        &mut self,
        now: Instant,
        from: Address,
        link: LinkId,
        (hash, known): (RoomHash, u64),
        out: &mut impl FnMut(LinkId, &[u8]),
    ) {
        let Some(room) = self.rooms.get_mut(&hash) else { return };
        let version = room.version;
        if known == version {
            return out(link, &ToMember::Current { room: hash, version }.encode());
        }
        let Some(member) = room.members.get_mut(&from) else { return };
        if member.listed.is_some_and(|(at, on)| on == link && now - at < LIST_EVERY) {
            self.statistics.dropped_lists += 1;
            return;
        }
        member.listed = Some((now, link));
        let (since, total) = (member.since, room.members.len() as u32);
        let head = Members { room: hash, version, since, index: 0, total, entries: Vec::new() };
        head.in_chunks(room.members.iter().map(|(address, member)| member.entry(*address)), |part| out(link, part));
        self.statistics.lists += 1;
    }

    fn refuse(&mut self, link: LinkId, room: RoomHash, reason: Refusal, out: &mut impl FnMut(LinkId, &[u8])) {
        self.statistics.refused += 1;
        out(link, &ToMember::Refused { room, reason }.encode());
    }

    fn leave(
        &mut self,
        now: Instant,
        from: Address,
        link: LinkId,
        room: RoomHash,
        out: &mut impl FnMut(LinkId, &[u8]),
    ) {
        // Whoever may not say so more often is taken for a member until it has been silent for long enough.
        if self.pass(now, link) {
            self.remove_member(room, from, LeaveReason::Left, out);
        } else {
            self.refuse(link, room, Refusal::TooOften, out);
        }
    }

    fn broadcast(
        &mut self,
        from: Address,
        link: LinkId,
        room: RoomHash,
        envelope: &Envelope<'_>,
        out: &mut impl FnMut(LinkId, &[u8]),
    ) {
        if envelope.sealed.len() > self.limits.room_broadcast + TAG {
            self.statistics.dropped_size += 1;
            return;
        }
        let members = self.rooms.get(&room).map(|room| &room.members).filter(|members| members.contains_key(&from));
        let Some(members) = members else { return self.refuse(link, room, Refusal::NotMember, out) };
        let message = ToMember::Broadcast { room, from, envelope: *envelope }.encode();
        self.statistics.broadcasts += 1;
        for link in links_but(members, from) {
            self.statistics.deliveries += 1;
            out(link, &message);
        }
    }

    /// A link is down. Whoever was reached over it has a while to come back.
    pub fn link_down(&mut self, now: Instant, link: LinkId) {
        let Some(neighbour) = self.neighbours.remove(link) else { return };
        let grace = now + self.limits.room_grace;
        for (room, address) in neighbour.members {
            let resident = self.rooms.get_mut(&room).and_then(|room| room.members.get_mut(&address));
            let Some(member) = resident else { continue };
            member.link = None;
            self.due.remove(&(member.due, room, address));
            member.due = member.due.min(grace);
            self.due.insert((member.due, room, address));
        }
    }

    /// Ends all memberships of a key, as after a change of policy; its links are told.
    pub fn remove(&mut self, id: EndpointId, out: &mut impl FnMut(LinkId, &[u8])) {
        for (room, instance) in self.keys.get(&id).cloned().unwrap_or_default() {
            let removed = self.remove_member(room, Address { id, instance }, LeaveReason::Removed, out);
            if let Some(link) = removed.and_then(|member| member.link) {
                self.refuse(link, room, Refusal::NotAllowed, out);
            }
        }
    }

    /// When [`Host::on_timeout`] is due.
    pub fn deadline(&self) -> Option<Deadline> {
        self.due.first().map(|(at, ..)| Deadline::new(*at, "a member of a room is silent"))
    }

    /// Lets go of members that are gone.
    pub fn on_timeout(&mut self, now: Instant, out: &mut impl FnMut(LinkId, &[u8])) {
        while let Some(&(at, room, address)) = self.due.first() {
            if at > now {
                return;
            }
            self.expire(room, address, out);
        }
    }

    fn expire(&mut self, room: RoomHash, address: Address, out: &mut impl FnMut(LinkId, &[u8])) {
        let resident = self.rooms.get(&room).and_then(|room| room.members.get(&address));
        let link = resident.and_then(|member| member.link);
        let reason = if link.is_some() { LeaveReason::Expired } else { LeaveReason::Lost };
        self.remove_member(room, address, reason, out);
        if let Some(link) = link {
            // If it lives after all, it joins again.
            self.refuse(link, room, Refusal::NotMember, out);
        }
    }

    fn remove_member(
        &mut self,
        hash: RoomHash,
        address: Address,
        reason: LeaveReason,
        out: &mut impl FnMut(LinkId, &[u8]),
    ) -> Option<Resident> {
        let room = self.rooms.get_mut(&hash)?;
        let member = room.members.remove(&address)?;
        room.version += 1;
        let message = ToMember::Left { room: hash, version: room.version, address, reason }.encode();
        room.members.values().filter_map(|member| member.link).for_each(|link| out(link, &message));
        if room.members.is_empty() {
            self.rooms.remove(&hash);
        }
        self.due.remove(&(member.due, hash, address));
        self.unbind(member.link, hash, address);
        self.forget_key(hash, address);
        Some(member)
    }

    fn forget_key(&mut self, room: RoomHash, address: Address) {
        let Some(memberships) = self.keys.get_mut(&address.id) else { return };
        memberships.remove(&(room, address.instance));
        if memberships.is_empty() {
            self.keys.remove(&address.id);
        }
    }

    /// Counters and gauges.
    pub fn statistics(&self) -> HostStatistics {
        HostStatistics { rooms: self.rooms.len() as u64, members: self.due.len() as u64, ..self.statistics }
    }
}

/// The links of all members but one.
fn links_but(members: &BTreeMap<Address, Resident>, but: Address) -> impl Iterator<Item = LinkId> {
    members.iter().filter(move |(address, _)| **address != but).filter_map(|(_, member)| member.link)
}

impl Room {
    /// Versions begin at the time, so that a room that is made again doesn't repeat one.
    fn new(now: Instant, verifier: [u8; 32]) -> Self {
        Self { verifier, version: now.as_nanos(), members: BTreeMap::new() }
    }

    /// Answers also until when and on which link the member was one before.
    fn enter(
        &mut self,
        from: Address,
        link: LinkId,
        join: &Join<'_>,
        due: Instant,
    ) -> (Entered, Option<(Instant, Option<LinkId>)>) {
        let Some(member) = self.members.get_mut(&from) else {
            self.version += 1;
            let (name, since) = (join.name.to_owned(), self.version);
            let link = Some(link);
            self.members.insert(from, Resident { name, proof: join.proof, since, link, listed: None, due });
            return (Entered::New, None);
        };
        let before = (std::mem::replace(&mut member.due, due), member.link.replace(link));
        if member.name == join.name && member.proof == join.proof {
            return (Entered::Same, Some(before));
        }
        self.version += 1;
        (member.name, member.proof) = (join.name.to_owned(), join.proof);
        (Entered::Renamed, Some(before))
    }
}

impl Resident {
    fn entry(&self, address: Address) -> Entry<'_> {
        Entry { address, proof: self.proof, name: &self.name }
    }
}

#[cfg(test)]
mod tests;
