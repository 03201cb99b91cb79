use super::super::secret::RoomSecret;
use super::*;
use crate::machine::ids::Ids;
use crate::wire::room::RoomMessage;

const SECOND: Duration = Duration::from_secs(1);

/// A host, and links that each lead to one address.
struct Relay {
    host: Host,
    now: Instant,
    ids: Ids,
    sent: Vec<(LinkId, Vec<u8>)>,
}

impl Relay {
    fn new() -> Self {
        Self::with(&Limits::default(), 4)
    }

    fn with(limits: &Limits, rooms_per_key: usize) -> Self {
        let host = Host::new(limits, rooms_per_key);
        Self { host, now: Instant::ZERO + SECOND, ids: Ids::new(), sent: Vec::new() }
    }

    fn link(&mut self) -> LinkId {
        self.ids.link()
    }

    /// Hands a message in and answers what came of it for each link.
    fn hand(&mut self, from: Address, link: LinkId, message: &ToHost<'_>) -> Vec<(LinkId, Vec<u8>)> {
        let mut sent = Vec::new();
        let out = &mut |link, bytes: &[u8]| sent.push((link, bytes.to_vec()));
        self.host.on_message(self.now, from, link, message, out);
        sent
    }

    fn join(&mut self, from: Address, link: LinkId, room: &RoomSecret, known: u64) -> Vec<(LinkId, Vec<u8>)> {
        self.join_as("name", from, link, room, known)
    }

    fn join_as(
        &mut self,
        name: &str,
        from: Address,
        link: LinkId,
        room: &RoomSecret,
        known: u64,
    ) -> Vec<(LinkId, Vec<u8>)> {
        let (verifier, proof) = (room.verifier(), room.admission(&from));
        self.hand(from, link, &ToHost::Join(Join { room: room.hash(), verifier, proof, known, name }))
    }

    /// Lets time pass; answers what was sent meanwhile.
    fn wait(&mut self, time: Duration) -> Vec<(LinkId, Vec<u8>)> {
        let (end, mut sent) = (self.now + time, Vec::new());
        while let Some(deadline) = self.host.deadline().filter(|deadline| deadline.at <= end) {
            assert!(deadline.at > self.now, "{deadline:?} at {}", self.now);
            self.now = deadline.at;
            self.host.on_timeout(self.now, &mut |link, bytes: &[u8]| sent.push((link, bytes.to_vec())));
        }
        self.now = end;
        sent
    }
}

fn address(n: u32) -> Address {
    Address { id: EndpointId([n as u8; 32]), instance: Instance(n + 1) }
}

fn lobby() -> RoomSecret {
    RoomSecret::new("lobby", None)
}

/// Messages as text, for short assertions.
fn say(sent: &[(LinkId, Vec<u8>)]) -> Vec<(LinkId, String)> {
    let text = |bytes: &[u8]| match RoomMessage::decode(bytes) {
        Ok(RoomMessage::ToMember(ToMember::Members(part))) => format!("{} of {}", part.entries.len(), part.total),
        Ok(RoomMessage::ToMember(ToMember::Joined { member, .. })) => format!("joined {}", member.name),
        Ok(RoomMessage::ToMember(ToMember::Left { reason, .. })) => reason.to_string(),
        Ok(RoomMessage::ToMember(ToMember::Current { .. })) => "current".to_owned(),
        Ok(RoomMessage::ToMember(ToMember::Refused { reason, .. })) => reason.to_string(),
        Ok(RoomMessage::ToMember(ToMember::Broadcast { envelope, .. })) => format!("{} bytes", envelope.sealed.len()),
        other => panic!("{other:?}"),
    };
    sent.iter().map(|(link, bytes)| (*link, text(bytes))).collect()
}

fn version(sent: &[(LinkId, Vec<u8>)]) -> u64 {
    match RoomMessage::decode(&sent.last().unwrap().1) {
        Ok(RoomMessage::ToMember(ToMember::Members(part))) => part.version,
        other => panic!("{other:?}"),
    }
}

fn broadcast(room: &RoomSecret, sealed: &[u8]) -> Vec<u8> {
    let envelope = Envelope { generation: 1, sequence: 2, signature: [3; 64], sealed };
    ToHost::Broadcast { room: room.hash(), envelope }.encode()
}

impl Relay {
    fn broadcast(&mut self, from: Address, link: LinkId, room: &RoomSecret, len: usize) -> Vec<(LinkId, String)> {
        let bytes = broadcast(room, &vec![0; len]);
        say(&self.hand(from, link, &ToHost::decode(&bytes).unwrap()))
    }
}

#[test]
fn a_newcomer_gets_the_list_and_the_others_hear_of_it() {
    let (mut relay, room) = (Relay::new(), lobby());
    let (one, two) = (relay.link(), relay.link());
    assert_eq!(say(&relay.join_as("Ada", address(1), one, &room, 0)), [(one, "1 of 1".into())]);
    let sent = relay.join_as("Bob", address(2), two, &room, 0);
    assert_eq!(say(&sent), [(one, "joined Bob".into()), (two, "2 of 2".into())]);
    let known = version(&sent);
    assert_eq!(say(&relay.join_as("Bob", address(2), two, &room, known)), [(two, "current".into())]);
    relay.now = relay.now + LIST_EVERY;
    let renamed = relay.join_as("Bo", address(2), two, &room, known);
    assert_eq!(say(&renamed), [(one, "joined Bo".into()), (two, "2 of 2".into())]);
}

#[test]
fn a_broadcast_goes_to_the_other_members_of_its_room_only() {
    let (mut relay, room, other) = (Relay::new(), lobby(), RoomSecret::new("other", None));
    let links: Vec<_> = (0..4).map(|_| relay.link()).collect();
    for n in 0..3 {
        relay.join(address(n), links[n as usize], &room, 0);
    }
    relay.join(address(3), links[3], &other, 0);
    let sent = relay.broadcast(address(0), links[0], &room, 20);
    assert_eq!(sent, [(links[1], "20 bytes".into()), (links[2], "20 bytes".into())]);
    let sent = relay.broadcast(address(3), links[3], &room, 20);
    assert_eq!(sent, [(links[3], Refusal::NotMember.to_string())]);
    let most = Limits::default().room_broadcast + TAG;
    assert_eq!(relay.broadcast(address(0), links[0], &room, most).len(), 2);
    assert_eq!(relay.broadcast(address(0), links[0], &room, most + 1), []);
    let statistics = relay.host.statistics();
    assert_eq!((statistics.broadcasts, statistics.deliveries, statistics.dropped_size), (2, 4, 1));
    assert_eq!((statistics.rooms, statistics.members), (2, 4));
}

#[test]
fn the_first_member_sets_the_secret_until_the_last_has_left() {
    let mut relay = Relay::new();
    let (hidden, open) = (RoomSecret::new("lobby", Some("secret")), lobby());
    let (one, two) = (relay.link(), relay.link());
    relay.join(address(1), one, &hidden, 0);
    assert_eq!(say(&relay.join(address(2), two, &open, 0)), [(two, Refusal::WrongSecret.to_string())]);
    assert_eq!(relay.hand(address(1), one, &ToHost::Leave(hidden.hash())), []);
    assert_eq!(relay.host.statistics().rooms, 0);
    assert_eq!(say(&relay.join(address(2), two, &open, 0)), [(two, "1 of 1".into())]);
}

#[test]
fn each_bound_has_its_refusal() {
    let limits = Limits { rooms: 2, room_members: 2, ..Limits::default() };
    let mut relay = Relay::with(&limits, 1);
    let rooms = ["a", "b", "c"].map(|name| RoomSecret::new(name, None));
    let links: Vec<_> = (0..4).map(|_| relay.link()).collect();
    let mut refusal = |n: u32, room: usize| {
        let sent = relay.join(address(n), links[n as usize], &rooms[room], 0);
        say(&sent).pop().unwrap().1
    };
    assert_eq!(refusal(0, 0), "1 of 1");
    assert_eq!(refusal(0, 1), Refusal::TooManyRooms.to_string(), "for this key");
    assert_eq!(refusal(1, 1), "1 of 1");
    assert_eq!(refusal(2, 2), Refusal::TooManyRooms.to_string(), "for this relay");
    assert_eq!(refusal(2, 0), "2 of 2");
    assert_eq!(refusal(3, 0), Refusal::Full.to_string());
}

#[test]
fn a_member_whose_link_is_down_comes_back_on_another_or_is_lost() {
    let (mut relay, room) = (Relay::new(), lobby());
    let links: Vec<_> = (0..4).map(|_| relay.link()).collect();
    for n in 0..3 {
        relay.join(address(n), links[n as usize], &room, 0);
    }
    relay.host.link_down(relay.now, links[1]);
    relay.host.link_down(relay.now, links[2]);
    assert_eq!(relay.broadcast(address(0), links[0], &room, 1), []);
    assert_eq!(relay.wait(Limits::default().room_grace - SECOND), []);
    assert_eq!(say(&relay.join(address(1), links[3], &room, 0)), [(links[3], "3 of 3".into())]);
    let lost = say(&relay.wait(SECOND));
    assert_eq!(lost, [(links[0], "lost the connection".into()), (links[3], "lost the connection".into())]);
    assert_eq!(relay.broadcast(address(0), links[0], &room, 1), [(links[3], "1 bytes".into())]);
}

#[test]
fn a_member_that_moves_to_another_link_is_not_lost_with_the_first() {
    let (mut relay, room) = (Relay::new(), lobby());
    let (one, two) = (relay.link(), relay.link());
    relay.join(address(1), one, &room, 0);
    relay.join(address(1), two, &room, 0);
    relay.host.link_down(relay.now, one);
    relay.wait(2 * Limits::default().room_grace);
    assert_eq!(relay.host.statistics().members, 1);
}

#[test]
fn who_is_silent_expires_and_hears_of_it() {
    let (mut relay, room) = (Relay::new(), lobby());
    let (one, two) = (relay.link(), relay.link());
    relay.join(address(1), one, &room, 0);
    relay.join(address(2), two, &room, 0);
    for _ in 0..3 {
        assert_eq!(relay.wait(29 * SECOND), []);
        relay.join(address(1), one, &room, 0);
    }
    let expired = [(one, "fell silent".into()), (two, Refusal::NotMember.to_string())];
    assert_eq!(say(&relay.wait(3 * SECOND)), expired);
    relay.wait(90 * SECOND);
    assert_eq!(relay.host.statistics().rooms, 0);
    assert_eq!(relay.host.deadline(), None);
}

#[test]
fn a_flood_of_joins_and_leaves_is_cut_off_and_heard_by_few() {
    let (mut relay, room) = (Relay::new(), lobby());
    let (quiet, loud) = (relay.link(), relay.link());
    relay.join(address(1), quiet, &room, 0);
    let (mut heard, mut refused) = (0, 0);
    for _ in 0..10_000 {
        let mut sent = say(&relay.join(address(2), loud, &room, 0));
        sent.extend(say(&relay.hand(address(2), loud, &ToHost::Leave(room.hash()))));
        heard += sent.iter().filter(|(link, _)| *link == quiet).count();
        refused += sent.iter().filter(|(_, text)| *text == Refusal::TooOften.to_string()).count();
    }
    let most = Limits::default().room_joins as usize;
    assert_eq!((heard, refused), (most, 20_000 - most));
    relay.wait(JOINS_EVERY);
    assert_eq!(relay.join(address(2), loud, &room, 0).len(), 2);
}

#[test]
fn a_list_is_not_given_again_at_once() {
    let (mut relay, room) = (Relay::new(), lobby());
    let (one, two) = (relay.link(), relay.link());
    assert_eq!(relay.join(address(1), one, &room, 0).len(), 1);
    assert_eq!(relay.join(address(1), one, &room, 0), []);
    assert_eq!(relay.join(address(1), two, &room, 0).len(), 1, "what went to the other link may be lost");
    relay.wait(LIST_EVERY);
    assert_eq!(relay.join(address(1), two, &room, 0).len(), 1);
    assert_eq!(relay.host.statistics().dropped_lists, 1);
}

#[test]
fn a_newcomer_gets_the_list_whatever_version_it_brings_along() {
    let (mut relay, room) = (Relay::new(), lobby());
    let link = relay.link();
    let known = version(&relay.join(address(1), link, &room, 0));
    relay.hand(address(1), link, &ToHost::Leave(room.hash()));
    assert_eq!(say(&relay.join(address(1), link, &room, known)), [(link, "1 of 1".into())]);
}

#[test]
fn a_full_room_is_listed_in_chunks() {
    let (mut relay, room) = (Relay::new(), lobby());
    let mut last = Vec::new();
    for n in 0..1000 {
        let link = relay.link();
        let from = Address { id: EndpointId([(n % 251) as u8; 32]), instance: Instance(n + 1) };
        last = relay.join_as("a name of some length", from, link, &room, 0);
    }
    let parts: Vec<_> = last[999..].iter().map(|(_, bytes)| bytes.len()).collect();
    assert!(parts.len() > 5 && parts.iter().all(|len| *len <= crate::wire::room::MAX_CHUNK), "{parts:?}");
}

#[test]
fn a_removed_key_is_out_of_all_rooms() {
    let (mut relay, room) = (Relay::new(), lobby());
    let (one, two) = (relay.link(), relay.link());
    relay.join(address(1), one, &room, 0);
    relay.join(address(2), two, &room, 0);
    relay.join(address(2), two, &RoomSecret::new("other", None), 0);
    let (host, sent) = (&mut relay.host, &mut relay.sent);
    host.remove(address(2).id, &mut |link, bytes: &[u8]| sent.push((link, bytes.to_vec())));
    let refusals = say(&relay.sent).into_iter().filter(|(link, _)| *link == two).count();
    assert_eq!(refusals, 2);
    assert!(say(&relay.sent).contains(&(one, "was removed".into())));
    assert_eq!(relay.host.statistics().members, 1);
}

#[test]
fn who_keeps_no_rooms_says_so_unless_one_leaves() {
    let leave = ToHost::Leave(lobby().hash());
    assert_eq!(Host::refusal(&leave, Refusal::NoRooms), None);
    let bytes = broadcast(&lobby(), b"");
    let answer = Host::refusal(&ToHost::decode(&bytes).unwrap(), Refusal::NoRooms).unwrap();
    let refused = ToMember::Refused { room: lobby().hash(), reason: Refusal::NoRooms };
    assert_eq!(ToMember::decode(&answer), Ok(refused));
}
