//! Keeping the member list in step with the relay's.

use super::*;

/// A list of which parts have come.
#[derive(Debug)]
pub(super) struct Gathering {
    version: u64,
    since: u64,
    total: u32,
    /// The number of the next part.
    next: u32,
    /// Entries in the parts so far.
    seen: u32,
    entries: BTreeMap<Address, String>,
}

impl Gathering {
    const fn new(part: &Members<'_>) -> Self {
        let Members { version, since, total, .. } = *part;
        Self { version, since, total, next: 0, seen: 0, entries: BTreeMap::new() }
    }

    /// Whether that part is the next of this list.
    fn fits(&self, part: &Members<'_>) -> bool {
        let expected = (self.version, self.since, self.total, self.next);
        expected == (part.version, part.since, part.total, part.index)
            && part.entries.len() <= (self.total - self.seen) as usize
    }
}

impl Membership {
    /// Asks for the list, or gives a sign of life.
    pub(super) fn ask(&mut self, now: Instant, out: &mut impl FnMut(Action)) {
        let join = Join {
            room: self.hash(),
            verifier: self.room.verifier(),
            proof: self.room.admission(&self.us),
            known: self.version,
            name: &self.name,
        };
        out(Action::ToRelay(ToHost::Join(join).encode()));
        self.asked = Some(now);
        if self.settled {
            self.ask_at = Some(now + self.limits.room_refresh);
        } else {
            self.ask_at = Some(now + self.patience);
            self.patience = (self.patience * 2).min(self.limits.room_refresh);
        }
    }

    /// The list may be wrong: asks for it, at once unless we did just before.
    pub(super) fn unsettle(&mut self, now: Instant, out: &mut impl FnMut(Action)) {
        if !self.settled {
            return;
        }
        self.doubt();
        let at = self.asked.map_or(now, |asked| asked + ASK_AFTER);
        if at <= now {
            self.ask(now, out);
        } else {
            self.ask_at = Some(at);
        }
    }

    pub(super) fn doubt(&mut self) {
        self.settled = false;
        self.gathering = None;
        self.patience = ASK_AFTER.min(self.limits.room_refresh);
    }

    fn settle(&mut self) {
        self.settled = true;
        self.gathering = None;
        self.ask_at = self.asked.map(|asked| asked + self.limits.room_refresh);
    }

    pub(super) fn on_current(&mut self, version: u64) {
        if version == self.version {
            self.settle();
        }
    }

    pub(super) fn on_members(&mut self, now: Instant, part: &Members<'_>, out: &mut impl FnMut(Action)) {
        if part.total as usize > self.limits.room_members {
            return self.end_and_leave(RoomEnd::TooManyMembers(part.total), out);
        }
        if self.settled && part.version > self.version {
            // The answer to a sign of life: the last changes were lost.
            self.doubt();
            self.ask_at = Some(now + self.patience);
        }
        if part.index == 0 && !self.settled {
            self.gathering = Some(Gathering::new(part));
        }
        let Some(mut gathering) = self.gathering.take_if(|gathering| gathering.fits(part)) else {
            return self.drop(Dropped::BadList);
        };
        gathering.next += 1;
        gathering.seen += part.entries.len() as u32;
        for entry in &part.entries {
            if self.is_proved(entry) {
                gathering.entries.insert(entry.address, entry.name.to_owned());
            } else {
                self.drop(Dropped::Unproven);
            }
        }
        if gathering.seen == gathering.total {
            self.adopt_list(now, gathering, out);
        } else {
            self.gathering = Some(gathering);
        }
    }

    fn is_proved(&self, entry: &Entry<'_>) -> bool {
        secret::same(&self.room.admission(&entry.address), &entry.proof)
    }

    fn adopt_list(&mut self, now: Instant, mut list: Gathering, out: &mut impl FnMut(Action)) {
        list.entries.remove(&self.us);
        let first = self.version == 0;
        if std::mem::replace(&mut self.since, list.since) != list.since {
            // The others saw us leave, if we were there, and have forgotten our keys.
            self.peers.values_mut().for_each(|peer| peer.holds = false);
        }
        self.version = list.version;
        self.settle();
        if first {
            let members = list.entries.iter().map(|(address, name)| Member { address: *address, name: name.clone() });
            out(Action::Event(RoomEvent::Joined(members.collect())));
            list.entries.into_iter().for_each(|(address, name)| self.admit(now, address, &name, &mut |_| {}));
        } else {
            self.adopt_changes(now, &list.entries, out);
        }
    }

    fn adopt_changes(&mut self, now: Instant, list: &BTreeMap<Address, String>, out: &mut impl FnMut(Action)) {
        let gone: Vec<_> = self.peers.keys().filter(|address| !list.contains_key(address)).copied().collect();
        gone.into_iter().for_each(|address| self.dismiss(address, LeaveReason::Lost, out));
        list.iter().for_each(|(address, name)| self.admit(now, *address, name, out));
    }

    pub(super) fn on_joined(&mut self, now: Instant, version: u64, entry: &Entry<'_>, out: &mut impl FnMut(Action)) {
        if !self.follows(now, version, out) || entry.address == self.us {
            return;
        }
        if !self.is_proved(entry) {
            return self.drop(Dropped::Unproven);
        }
        let members = self.peers.len() + 1;
        if members >= self.limits.room_members && !self.peers.contains_key(&entry.address) {
            return self.end_and_leave(RoomEnd::TooManyMembers(members as u32 + 1), out);
        }
        self.admit(now, entry.address, entry.name, out);
    }

    pub(super) fn on_left(
        &mut self,
        now: Instant,
        version: u64,
        address: Address,
        reason: LeaveReason,
        out: &mut impl FnMut(Action),
    ) {
        if self.follows(now, version, out) {
            self.dismiss(address, reason, out);
        }
    }

    /// Whether a change is the next one; where one is missing, asks for the list.
    fn follows(&mut self, now: Instant, version: u64, out: &mut impl FnMut(Action)) -> bool {
        if !self.settled || version <= self.version {
            return false;
        }
        let follows = version == self.version + 1;
        if follows {
            self.version = version;
        } else {
            self.unsettle(now, out);
        }
        follows
    }

    /// Lists a member that is proved, and takes the key that it has sent already.
    fn admit(&mut self, now: Instant, address: Address, name: &str, out: &mut impl FnMut(Action)) {
        if self.peers.get(&address).is_some_and(|peer| peer.name == name) {
            return;
        }
        let fresh =
            || Peer { name: String::new(), holds: false, given: None, receiving: Receiving::default(), wanted: None };
        let peer = self.peers.entry(address).or_insert_with(fresh);
        name.clone_into(&mut peer.name);
        out(Action::Event(RoomEvent::MemberJoined(peer.member(address))));
        if let Some(at) = self.early.iter().position(|(_, owner, _)| *owner == address)
            && let Some((_, _, key)) = self.early.remove(at)
        {
            self.on_key(now, address, &key, out);
        }
    }

    fn dismiss(&mut self, address: Address, reason: LeaveReason, out: &mut impl FnMut(Action)) {
        let Some(peer) = self.peers.remove(&address) else { return };
        self.renew |= peer.given.is_some();
        self.waiting.forget(address);
        out(Action::Event(RoomEvent::MemberLeft { member: peer.member(address), reason }));
    }

    pub(super) fn on_refused(&mut self, now: Instant, reason: Refusal, out: &mut impl FnMut(Action)) {
        match reason {
            Refusal::NotMember => self.unsettle(now, out),
            // The next time is far enough away.
            Refusal::TooOften => {}
            reason => self.end(RoomEnd::Refused(reason), out),
        }
    }

    fn end_and_leave(&mut self, end: RoomEnd, out: &mut impl FnMut(Action)) {
        out(Action::ToRelay(ToHost::Leave(self.hash()).encode()));
        self.end(end, out);
    }

    fn end(&mut self, end: RoomEnd, out: &mut impl FnMut(Action)) {
        self.state = State::Over;
        self.ask_at = None;
        self.forget_all();
        out(Action::Event(RoomEvent::Closed(end)));
    }

    pub(super) fn forget_all(&mut self) {
        self.gathering = None;
        self.peers.clear();
        self.early.clear();
        self.waiting = Waiting::new(&self.limits);
    }
}
