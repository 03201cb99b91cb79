//! A member's side of one room.
//!
//! *In step with the relay.* A member joins by a `Join`, and repeats it: every [`Limits::room_refresh`] as a sign of
//! life, and sooner, with back-off from [`ASK_AFTER`] on, while it knows its list to be incomplete: because a part or
//! an answer is missing, a version was skipped, or the relay says it is no member. Once a list is whole, it is
//! compared with the one before, and the differences are events. So a link that fails costs the application nothing
//! but what was broadcast meanwhile.
//!
//! *Keys.* Who has been given our chain is noted, and forgotten where the other may have lost it: its session is lost,
//! it asks for it, or the relay says that we came anew. It is then given again at the next broadcast, but not more
//! often than every [`KEY_AFTER`], as it may be out of reach. Somebody who has had it and left makes the
//! next broadcast start a fresh chain. A key may come before the relay has told who its owner is; such keys wait, few
//! and not for long, since they prove to come from somebody with the secret.

mod list;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use self::list::Gathering;
use super::secret::{self, RoomSecret};
use super::sender_key::{Opened, Receiving, Sending, Waiting, is_signed};
use super::{Action, Dropped, Member, RoomEnd, RoomEvent};
use crate::link::noise::{Identity, TAG};
use crate::machine::Deadline;
use crate::machine::limits::Limits;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::identity::Address;
use crate::wire::room::{
    Entry, Envelope, Join, LeaveReason, MAX_NAME, Members, Refusal, RoomHash, ToHost, ToMember, is_name,
};
use crate::wire::signal::{SenderKey, Signal, WantKey};

/// How long a member waits for an answer before it asks again, at first; then twice as long each time, at most
/// [`Limits::room_refresh`]. It never asks more often on one link.
pub const ASK_AFTER: Duration = Duration::from_secs(1);

/// How soon a member is given the same key again.
pub const KEY_AFTER: Duration = Duration::from_secs(1);

/// A room that we are in, or want to be in.
#[derive(Debug)]
pub struct Membership {
    limits: Limits,
    us: Address,
    room: RoomSecret,
    name: String,
    rng: Rng,
    state: State,
    /// Of the list; 0: there is none.
    version: u64,
    /// The version that we came with.
    since: u64,
    /// Whether the list is whole and nothing contradicts it.
    settled: bool,
    gathering: Option<Gathering>,
    asked: Option<Instant>,
    ask_at: Option<Instant>,
    patience: Duration,
    peers: BTreeMap<Address, Peer>,
    sending: Sending,
    renew: bool,
    waiting: Waiting,
    early: VecDeque<(Instant, Address, SenderKey)>,
    dropped: [u64; Dropped::ALL.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The relay is not reached.
    Down,
    /// It is.
    Up,
    /// Nothing happens any more.
    Over,
}

#[derive(Debug)]
struct Peer {
    name: String,
    /// Whether it has been given our chain, and nothing says that it may have lost it.
    holds: bool,
    /// When it was given it last; none: never.
    given: Option<Instant>,
    receiving: Receiving,
    /// When it was last asked for its key.
    wanted: Option<Instant>,
}

/// Why a room can't be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The display name is none; see [`is_name`].
    #[error("a display name of more than {MAX_NAME} bytes, or with control characters")]
    Name,
}

/// Why something isn't broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BroadcastError {
    /// We are not in the room, not yet or no longer, or the relay is not reached.
    #[error("not in the room now")]
    NotJoined,
    /// It is larger than [`Limits::room_broadcast`].
    #[error("a broadcast of {size} bytes, of at most {most}")]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// As many as it may have.
        most: usize,
    },
}

impl Membership {
    /// Wants to be in a room, as `us`, under a display name. Nothing happens before [`Membership::relay_up`].
    ///
    /// # Errors
    /// [`JoinError::Name`].
    pub fn new(
        now: Instant,
        limits: &Limits,
        us: Address,
        room: RoomSecret,
        name: &str,
        mut rng: Rng,
    ) -> Result<Self, JoinError> {
        if !is_name(name) {
            return Err(JoinError::Name);
        }
        Ok(Self {
            limits: limits.clone(),
            us,
            room,
            name: name.to_owned(),
            sending: Sending::new(now, &mut rng),
            rng,
            state: State::Down,
            version: 0,
            since: 0,
            settled: false,
            gathering: None,
            asked: None,
            ask_at: None,
            patience: ASK_AFTER,
            peers: BTreeMap::new(),
            renew: false,
            waiting: Waiting::new(limits),
            early: VecDeque::new(),
            dropped: [0; Dropped::ALL.len()],
        })
    }

    /// Which room it is; its [tag](RoomHash::tag) is in signals.
    pub const fn hash(&self) -> RoomHash {
        self.room.hash()
    }

    /// Whether nothing will happen any more.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The others, as far as they are known.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.peers.iter().map(|(address, peer)| peer.member(*address))
    }

    /// How often something was not taken for that reason.
    pub const fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize]
    }

    /// The relay is reached, or reached over another link than before.
    pub fn relay_up(&mut self, now: Instant, out: &mut impl FnMut(Action)) {
        if self.state == State::Over {
            return;
        }
        self.state = State::Up;
        self.doubt();
        self.ask(now, out);
    }

    /// The relay is not reached.
    pub fn relay_down(&mut self) {
        if self.state == State::Over {
            return;
        }
        self.state = State::Down;
        self.ask_at = None;
        self.gathering = None;
    }

    /// Leaves. Nothing happens any more.
    pub fn leave(&mut self, out: &mut impl FnMut(Action)) {
        if self.state == State::Up {
            out(Action::ToRelay(ToHost::Leave(self.hash()).encode()));
        }
        self.state = State::Over;
        self.ask_at = None;
        self.forget_all();
    }

    /// Says something to all others. Those who lack our key are given it first.
    ///
    /// # Errors
    /// One reason per rule.
    pub fn broadcast(
        &mut self,
        now: Instant,
        identity: &Identity,
        bytes: &[u8],
        out: &mut impl FnMut(Action),
    ) -> Result<(), BroadcastError> {
        let most = self.limits.room_broadcast;
        if bytes.len() > most {
            return Err(BroadcastError::TooLarge { size: bytes.len(), most });
        }
        if self.state != State::Up || self.version == 0 {
            return Err(BroadcastError::NotJoined);
        }
        self.give_keys(now, out);
        let room = self.hash();
        let write = |envelope: Envelope<'_>| ToHost::Broadcast { room, envelope }.encode();
        out(Action::ToRelay(self.sending.seal(room, identity, bytes, write)));
        Ok(())
    }

    fn give_keys(&mut self, now: Instant, out: &mut impl FnMut(Action)) {
        if std::mem::take(&mut self.renew) {
            self.sending.renew(&mut self.rng);
            self.peers.values_mut().for_each(|peer| (peer.holds, peer.given) = (false, None));
        }
        for (to, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.lacks_key(now)) {
            (peer.holds, peer.given) = (true, Some(now));
            let signal = Signal::SenderKey(self.sending.key(&self.room, &self.us, to));
            out(Action::ToMember { to: *to, signal });
        }
    }

    /// A signal to a member may not have arrived, since the session with it has ended.
    pub fn key_lost(&mut self, member: Address) {
        if let Some(peer) = self.peers.get_mut(&member) {
            peer.holds = false;
        }
    }

    /// Takes a message of the relay about this room.
    pub fn on_message(&mut self, now: Instant, message: &ToMember<'_>, out: &mut impl FnMut(Action)) {
        if self.state != State::Up || message.room() != self.hash() {
            return;
        }
        match message {
            ToMember::Members(part) => self.on_members(now, part, out),
            ToMember::Current { version, .. } => self.on_current(*version),
            ToMember::Joined { version, member, .. } => self.on_joined(now, *version, member, out),
            ToMember::Left { version, address, reason, .. } => self.on_left(now, *version, *address, *reason, out),
            ToMember::Broadcast { from, envelope, .. } => self.on_broadcast(now, *from, envelope, out),
            ToMember::Refused { reason, .. } => self.on_refused(now, *reason, out),
        }
    }

    fn on_broadcast(&mut self, now: Instant, from: Address, envelope: &Envelope<'_>, out: &mut impl FnMut(Action)) {
        let room = self.hash();
        if envelope.sealed.len() > self.limits.room_broadcast + TAG {
            return self.drop(Dropped::TooLarge);
        }
        let Some(peer) = self.peers.get_mut(&from) else {
            self.drop(Dropped::NotAMember);
            return self.unsettle(now, out);
        };
        if !is_signed(room, from, envelope) {
            return self.drop(Dropped::BadSignature);
        }
        match peer.receiving.open(room, from, envelope) {
            Ok(opened) => out(peer.said(from, opened)),
            Err(Dropped::NoKey) => {
                if let Err(reason) = self.waiting.push(now, from, envelope) {
                    self.drop(reason);
                }
            }
            Err(reason) => self.not_opened(now, from, reason, out),
        }
    }

    fn not_opened(&mut self, now: Instant, from: Address, reason: Dropped, out: &mut impl FnMut(Action)) {
        self.drop(reason);
        if matches!(reason, Dropped::NoKey | Dropped::TooFar) {
            self.want_key(now, from, out);
        }
    }

    /// Asks a member for its key, but not again and again.
    fn want_key(&mut self, now: Instant, to: Address, out: &mut impl FnMut(Action)) {
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if peer.wanted.is_some_and(|at| now - at < self.limits.room_key_time) {
            return;
        }
        peer.wanted = Some(now);
        let want = WantKey { room: self.room.hash().tag(), proof: self.room.want_proof(&self.us, &to) };
        out(Action::ToMember { to, signal: Signal::WantKey(want) });
    }

    fn drop(&mut self, reason: Dropped) {
        self.dropped[reason as usize] += 1;
    }

    /// Takes a signal that came over a session with `from`; signals that are about something else change nothing.
    pub fn on_signal(&mut self, now: Instant, from: Address, signal: &Signal<'_>, out: &mut impl FnMut(Action)) {
        if self.state == State::Over {
            return;
        }
        match signal {
            Signal::SenderKey(key) if key.room == self.hash().tag() => self.on_key(now, from, key, out),
            Signal::WantKey(want) if want.room == self.hash().tag() => self.on_want(from, want),
            _ => {}
        }
    }

    fn on_want(&mut self, from: Address, want: &WantKey) {
        if secret::same(&want.proof, &self.room.want_proof(&from, &self.us)) {
            self.key_lost(from);
        } else {
            self.drop(Dropped::BadProof);
        }
    }

    fn on_key(&mut self, now: Instant, from: Address, key: &SenderKey, out: &mut impl FnMut(Action)) {
        if !secret::same(&key.proof, &self.room.key_proof(&from, &self.us, key)) {
            return self.drop(Dropped::BadProof);
        }
        let Some(peer) = self.peers.get_mut(&from) else { return self.keep(now, from, key) };
        match peer.receiving.take(key) {
            Ok(()) => self.open_waiting(now, from, key.generation, out),
            Err(reason) => self.drop(reason),
        }
    }

    /// Keeps the key of somebody who is not listed yet.
    fn keep(&mut self, now: Instant, from: Address, key: &SenderKey) {
        self.early.retain(|(_, owner, _)| *owner != from);
        if self.early.len() >= self.limits.room_waiting {
            return self.drop(Dropped::TooMany);
        }
        self.early.push_back((now, from, key.clone()));
    }

    fn open_waiting(&mut self, now: Instant, from: Address, generation: u32, out: &mut impl FnMut(Action)) {
        let room = self.hash();
        while let Some(waiter) = self.waiting.take(from, generation) {
            let Some(peer) = self.peers.get_mut(&from) else { return };
            match peer.receiving.open(room, from, &waiter.envelope()) {
                Ok(opened) => out(peer.said(from, opened)),
                Err(reason) => self.not_opened(now, from, reason, out),
            }
        }
    }

    /// When [`Membership::on_timeout`] is due.
    pub fn deadline(&self) -> Option<Deadline> {
        let ask = self.ask_at.map(|at| Deadline::new(at, "the relay of a room is told that we are there"));
        let since = [self.waiting.since(), self.early.front().map(|(since, ..)| *since)];
        let key_time = self.limits.room_key_time;
        let keys = since.into_iter().flatten().min();
        let keys = keys.map(|since| Deadline::new(since + key_time, "a broadcast has waited for its key"));
        [ask, keys].into_iter().flatten().min_by_key(|deadline| deadline.at)
    }

    /// Does what is due.
    pub fn on_timeout(&mut self, now: Instant, out: &mut impl FnMut(Action)) {
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask(now, out);
        }
        let key_time = self.limits.room_key_time;
        while self.early.front().is_some_and(|(since, ..)| *since + key_time <= now) {
            self.early.pop_front();
            self.drop(Dropped::NotAMember);
        }
        while self.waiting.since().is_some_and(|since| since + key_time <= now) {
            let Some(waiter) = self.waiting.take_first() else { return };
            self.not_opened(now, waiter.from, Dropped::NoKey, out);
        }
    }
}

impl Peer {
    fn lacks_key(&self, now: Instant) -> bool {
        !self.holds && self.given.is_none_or(|at| now - at >= KEY_AFTER)
    }

    fn member(&self, address: Address) -> Member {
        Member { address, name: self.name.clone() }
    }

    fn said(&self, from: Address, Opened { bytes, missed }: Opened) -> Action {
        Action::Event(RoomEvent::Broadcast { from: self.member(from), bytes, missed })
    }
}

#[cfg(test)]
impl Membership {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn renew_next(&mut self) {
        self.renew = true;
    }
}
