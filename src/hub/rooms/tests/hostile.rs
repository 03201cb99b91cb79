//! Members and relays that do what they should not; each is answered by its typed reason.

use super::world::{Who, World};
use super::*;
use crate::wire::identity::{EndpointId, Instance};
use crate::wire::room::{Entry, Envelope, Members, RoomHash, ToHost};
use crate::wire::signal::{ChainKey, SenderKey, WantKey};

fn stranger(n: u32) -> Address {
    Address { id: EndpointId([n as u8; 32]), instance: Instance(n + 1) }
}

/// Two members of a room with a secret who have heard each other.
fn two() -> (World, Who, Who) {
    let mut world = World::with_secret(50, "secret");
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    world.say(ada, "hello").unwrap();
    world.say(bob, "hello").unwrap();
    world.run(SECOND);
    (world, ada, bob)
}

/// What a relay would pass on of a broadcast, changed by `change`.
fn passed_on(world: &mut World, to: Who, from: Address, sent: &[u8], change: impl FnOnce(&mut Envelope<'_>)) {
    let Ok(ToHost::Broadcast { room, mut envelope }) = ToHost::decode(sent) else { panic!("no broadcast") };
    change(&mut envelope);
    world.tell(to, &ToMember::Broadcast { room, from, envelope });
}

#[test]
fn a_forged_broadcast_is_dropped() {
    let (mut world, ada, bob) = two();
    let sent = world.broadcast_of(ada, "true");
    let from = world.address(ada);
    let mut sealed = Vec::new();
    passed_on(&mut world, bob, from, &sent, |envelope| sealed = envelope.sealed.to_vec());
    sealed[0] ^= 1;
    let heard = world.heard(bob);
    passed_on(&mut world, bob, from, &sent, |envelope| envelope.signature[5] ^= 1);
    passed_on(&mut world, bob, from, &sent, |envelope| envelope.sequence += 1);
    passed_on(&mut world, bob, from, &sent, |envelope| envelope.sealed = &[]);
    assert_eq!(world.dropped(bob, Dropped::BadSignature), 3);
    assert_eq!(world.heard(bob), heard);
}

#[test]
fn a_broadcast_that_the_relay_passes_on_in_another_name_is_dropped() {
    let (mut world, ada, bob) = two();
    let eve = world.enter("Eve");
    world.run(SECOND);
    let sent = world.broadcast_of(ada, "by Ada");
    let heard = world.heard(bob);
    let eve = world.address(eve);
    passed_on(&mut world, bob, eve, &sent, |_| {});
    assert_eq!(world.dropped(bob, Dropped::BadSignature), 1);
    passed_on(&mut world, bob, stranger(7), &sent, |_| {});
    assert_eq!(world.dropped(bob, Dropped::NotAMember), 1);
    assert_eq!(world.heard(bob), heard);
}

#[test]
fn a_member_cannot_speak_for_another_though_it_has_the_other_s_key() {
    let (mut world, ada, bob) = two();
    let eve = world.enter("Eve");
    world.run(SECOND);
    // Eve signs herself what she passes off as Ada's.
    let sent = world.broadcast_of(eve, "I am Ada");
    let from = world.address(ada);
    passed_on(&mut world, bob, from, &sent, |_| {});
    assert_eq!(world.dropped(bob, Dropped::BadSignature), 1);
}

#[test]
fn a_broadcast_that_the_relay_repeats_is_dropped() {
    let (mut world, ada, bob) = two();
    let sent = world.broadcast_of(ada, "once");
    let from = world.address(ada);
    for _ in 0..3 {
        passed_on(&mut world, bob, from, &sent, |_| {});
    }
    assert_eq!(world.heard(bob).iter().filter(|text| *text == "Ada: once").count(), 1);
    assert_eq!(world.dropped(bob, Dropped::Replayed), 2);
    // Nor does it help to let Ada leave and come again.
    let (room, version) = (world.nodes[bob].membership.hash(), world.nodes[bob].membership.version());
    let proof = RoomSecret::new("lobby", Some("secret")).admission(&from);
    world.tell(bob, &ToMember::Left { room, version: version + 1, address: from, reason: LeaveReason::Left });
    let member = Entry { address: from, proof, name: "Ada" };
    world.tell(bob, &ToMember::Joined { room, version: version + 2, member });
    passed_on(&mut world, bob, from, &sent, |_| {});
    world.say(ada, "next").unwrap();
    world.run(30 * SECOND);
    assert_eq!(world.heard(bob).iter().filter(|text| *text == "Ada: once").count(), 1);
}

#[test]
fn a_broadcast_that_is_too_large_is_dropped_before_any_work() {
    let (mut world, ada, bob) = two();
    let room = world.nodes[bob].membership.hash();
    let sealed = vec![0; Limits::default().room_broadcast + 17];
    let envelope = Envelope { generation: 0, sequence: 0, signature: [0; 64], sealed: &sealed };
    let from = world.address(ada);
    world.tell(bob, &ToMember::Broadcast { room, from, envelope });
    assert_eq!(world.dropped(bob, Dropped::TooLarge), 1);
    assert_eq!(world.dropped(bob, Dropped::BadSignature), 0);
}

#[test]
fn a_list_of_100_000_members_ends_the_membership_at_its_first_part() {
    let mut world = World::new(51);
    let ada = world.enter("Ada");
    let room = world.nodes[ada].membership.hash();
    let secret = RoomSecret::new("lobby", None);
    let entry = |n| Entry { address: stranger(n), proof: secret.admission(&stranger(n)), name: "one of many" };
    let head = Members { room, version: 5, since: 5, index: 0, total: 100_000, entries: Vec::new() };
    let mut parts = Vec::new();
    head.in_chunks((0..100_000).map(entry), |part| parts.push(part.to_vec()));
    assert!(parts.len() > 400);
    let ends = |action: &Action| matches!(action, Action::Event(RoomEvent::Closed(RoomEnd::TooManyMembers(100_000))));
    let first = world.tell(ada, &ToMember::decode(&parts[0]).unwrap());
    assert!(first.contains(&Action::ToRelay(ToHost::Leave(room).encode())) && first.iter().any(ends), "{first:?}");
    for part in &parts[1..] {
        assert_eq!(world.tell(ada, &ToMember::decode(part).unwrap()), []);
    }
    assert!(world.names(ada).is_empty() && world.nodes[ada].membership.is_over());
}

#[test]
fn a_list_that_grows_one_by_one_ends_the_membership_at_its_bound() {
    let mut world = World::new(52);
    let limits = Limits { room_members: 10, ..Limits::default() };
    let ada = world.enter_with("Ada", None, &limits);
    world.run(SECOND);
    world.take_events(ada);
    let (room, version) = (world.nodes[ada].membership.hash(), world.nodes[ada].membership.version());
    let secret = RoomSecret::new("lobby", None);
    for n in 0..20 {
        let member = Entry { address: stranger(n), proof: secret.admission(&stranger(n)), name: "" };
        world.tell(ada, &ToMember::Joined { room, version: version + 1 + u64::from(n), member });
    }
    let events = world.take_events(ada);
    assert_eq!(events.last(), Some(&RoomEvent::Closed(RoomEnd::TooManyMembers(11))));
    assert_eq!(events.len(), 10);
}

#[test]
fn parts_that_lie_about_the_list_are_dropped() {
    let mut world = World::new(53);
    let ada = world.enter("Ada");
    let room = world.nodes[ada].membership.hash();
    let secret = RoomSecret::new("lobby", None);
    let entry = |n| Entry { address: stranger(n), proof: secret.admission(&stranger(n)), name: "" };
    let part = |index, total, entries: std::ops::Range<u32>| {
        let entries = entries.map(entry).collect();
        ToMember::Members(Members { room, version: 5, since: 5, index, total, entries })
    };
    world.tell(ada, &part(0, 2, 0..1));
    world.tell(ada, &part(1, 2, 1..4));
    world.tell(ada, &part(2, 9, 1..2));
    world.tell(ada, &part(u32::MAX, 2, 0..0));
    assert_eq!(world.dropped(ada, Dropped::BadList), 3);
    assert!(world.take_events(ada).is_empty());
    world.tell(ada, &part(1, 2, 1..2));
    assert_eq!(world.names(ada).len(), 2, "what was dropped has changed nothing");
}

#[test]
fn a_member_that_the_relay_adds_without_the_secret_gets_no_key() {
    let (mut world, ada, bob) = two();
    let eve = world.enter_with("Eve", Some("guessed"), &Limits::default());
    world.run(SECOND);
    let (room, version) = (world.nodes[ada].membership.hash(), world.nodes[ada].membership.version());
    let address = world.address(eve);
    let proofs = [
        RoomSecret::new("lobby", Some("guessed")).admission(&address),
        RoomSecret::new("lobby", None).admission(&address),
        // Ada's, which the relay has seen.
        RoomSecret::new("lobby", Some("secret")).admission(&world.address(ada)),
    ];
    for (n, proof) in (1..).zip(proofs) {
        let member = Entry { address, proof, name: "Eve" };
        world.tell(bob, &ToMember::Joined { room, version: version + n, member });
    }
    assert_eq!(world.dropped(bob, Dropped::Unproven), 3);
    world.say(bob, "only Ada hears it").unwrap();
    world.run(SECOND);
    assert_eq!((world.names(bob), world.keys_to(eve)), (vec!["Ada".to_owned()], 0));
    // Nor does she get one by asking for it, or by giving one.
    let tag = room.tag();
    let want = Signal::WantKey(WantKey { room: tag, proof: proofs[0] });
    let key = made_up(tag, proofs[0]);
    world.signal(address, bob, &want);
    world.signal(address, bob, &Signal::SenderKey(key));
    world.say(bob, "still only Ada").unwrap();
    world.run(SECOND);
    assert_eq!((world.dropped(bob, Dropped::BadProof), world.keys_to(eve)), (2, 0));
    assert_eq!(world.heard(ada).last().map(String::as_str), Some("Bob: still only Ada"));
}

#[test]
fn a_key_that_is_not_its_sender_s_for_us_is_dropped() {
    let (mut world, ada, bob) = two();
    let room = RoomSecret::new("lobby", Some("secret"));
    let [from, us] = [world.address(ada), world.address(bob)];
    let mut key = made_up(room.hash().tag(), [0; 32]);
    key.proof = room.key_proof(&us, &from, &key);
    world.signal(from, bob, &Signal::SenderKey(key.clone()));
    key.proof = room.key_proof(&from, &us, &key);
    key.sequence += 1;
    world.signal(from, bob, &Signal::SenderKey(key));
    assert_eq!(world.dropped(bob, Dropped::BadProof), 2);
    world.say(ada, "as before").unwrap();
    world.run(SECOND);
    assert_eq!(world.heard(bob).last().map(String::as_str), Some("Ada: as before"));
}

#[test]
fn keys_of_people_who_are_not_listed_wait_in_bounded_number_and_time() {
    let (mut world, _, bob) = two();
    let room = RoomSecret::new("lobby", Some("secret"));
    let us = world.address(bob);
    let most = Limits::default().room_waiting as u32;
    for n in 0..most + 10 {
        let mut key = made_up(room.hash().tag(), [0; 32]);
        key.proof = room.key_proof(&stranger(n), &us, &key);
        world.signal(stranger(n), bob, &Signal::SenderKey(key));
    }
    assert_eq!(world.dropped(bob, Dropped::TooMany), 10);
    world.run(Limits::default().room_key_time);
    assert_eq!(world.dropped(bob, Dropped::NotAMember), u64::from(most));
}

#[test]
fn broadcasts_without_a_key_wait_in_bounded_number() {
    let (mut world, ada, bob) = two();
    world.lose_signals = true;
    world.renew(ada);
    for n in 0..100 {
        world.say(ada, &n.to_string()).unwrap();
    }
    world.run(SECOND);
    let share = Limits::default().room_waiting.div_ceil(8) as u64;
    assert_eq!(world.dropped(bob, Dropped::TooMany), 100 - share);
    world.run(11 * SECOND);
    assert_eq!(world.dropped(bob, Dropped::NoKey), share);
}

#[test]
fn a_relay_that_contradicts_itself_is_asked_at_most_once_a_second() {
    let (mut world, ada, bob) = two();
    let (room, from) = (world.nodes[bob].membership.hash(), world.address(ada));
    let mut asked = 0;
    for n in 0..1000 {
        let version = world.nodes[bob].membership.version() + 2 + n;
        let messages = [
            ToMember::Refused { room, reason: Refusal::NotMember },
            ToMember::Left { room, version, address: from, reason: LeaveReason::Left },
            ToMember::Current { room, version: world.nodes[bob].membership.version() },
        ];
        for message in messages {
            let actions = world.tell(bob, &message);
            asked += actions.iter().filter(|action| matches!(action, Action::ToRelay(_))).count();
        }
        world.run(Duration::from_millis(10));
    }
    assert!((5..=12).contains(&asked), "{asked} times in ten seconds");
}

#[test]
fn messages_and_signals_of_another_room_change_nothing() {
    let (mut world, ada, bob) = two();
    let other = RoomHash([1; 32]);
    let from = world.address(ada);
    let actions = world.tell(bob, &ToMember::Refused { room: other, reason: Refusal::NotAllowed });
    assert_eq!(actions, []);
    world.signal(from, bob, &Signal::WantKey(WantKey { room: other.tag(), proof: [0; 32] }));
    world.signal(from, bob, &Signal::Restart { attempt: 1 });
    assert!(Dropped::ALL.iter().all(|reason| world.dropped(bob, *reason) == 0));
}

/// A key that somebody made up.
fn made_up(room: [u8; 16], proof: [u8; 32]) -> SenderKey {
    let chain = ChainKey(zeroize::Zeroizing::new([1; 32]));
    SenderKey { room, generation: 9, chain, sequence: 1 << 40, proof }
}
