//! One relay and several members in virtual time, with what lies between them losing, repeating and delaying; and
//! members and relays that do what they should not.

mod faults;
mod hostile;
mod world;

use std::time::Duration;

use self::world::World;
use super::*;
use crate::machine::limits::Limits;
use crate::wire::room::ToMember;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn who_meets_in_a_room_hears_what_is_said() {
    let mut world = World::new(1);
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    assert_eq!(world.names(ada), ["Bob"]);
    assert_eq!(world.names(bob), ["Ada"]);
    world.say(ada, "hello").unwrap();
    world.say(bob, "hello yourself").unwrap();
    world.run(SECOND);
    assert_eq!(world.heard(bob), ["Ada: hello"]);
    assert_eq!(world.heard(ada), ["Bob: hello yourself"]);
}

#[test]
fn the_first_event_is_the_whole_list_and_then_come_changes() {
    let mut world = World::new(2);
    let ada = world.enter("Ada");
    world.run(SECOND);
    let bob = world.enter("Bob");
    world.run(SECOND);
    world.leave(bob);
    world.run(SECOND);
    let events = world.take_events(ada);
    let bob = Member { address: world.address(bob), name: "Bob".to_owned() };
    let left = RoomEvent::MemberLeft { member: bob.clone(), reason: LeaveReason::Left };
    assert_eq!(events, [RoomEvent::Joined(vec![]), RoomEvent::MemberJoined(bob), left]);
}

#[test]
fn a_newcomer_hears_what_is_said_from_then_on_and_who_left_hears_no_more() {
    let mut world = World::new(3);
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    world.say(ada, "one").unwrap();
    let eve = world.enter("Eve");
    world.run(SECOND);
    world.say(ada, "two").unwrap();
    world.run(SECOND);
    assert_eq!(world.heard(eve), ["Ada: two"]);
    let keys = world.keys_to(bob);
    // The relay lets Eve listen on; she has no key to what follows.
    world.dismiss_quietly(eve);
    world.say(ada, "three").unwrap();
    world.run(20 * SECOND);
    assert_eq!(world.heard(eve), ["Ada: two"]);
    assert_eq!(world.dropped(eve, Dropped::NoKey), 1);
    assert_eq!(world.heard(bob), ["Ada: one", "Ada: two", "Ada: three"]);
    assert_eq!(world.keys_to(bob), keys + 1, "one key for the new chain");
}

#[test]
fn keys_are_given_at_the_first_broadcast_and_not_again() {
    let mut world = World::new(4);
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    assert_eq!(world.keys_to(bob), 0);
    for n in 0..10 {
        world.say(ada, &n.to_string()).unwrap();
    }
    world.run(SECOND);
    assert_eq!((world.keys_to(bob), world.keys_to(ada)), (1, 0));
    assert_eq!(world.heard(bob).len(), 10);
}

#[test]
fn a_broadcast_waits_for_its_key_and_is_given_up_in_time() {
    let mut world = World::new(5);
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    world.signal_delay = 5 * SECOND;
    world.say(ada, "early").unwrap();
    world.run(4 * SECOND);
    assert!(world.heard(bob).is_empty());
    world.run(2 * SECOND);
    assert_eq!(world.heard(bob), ["Ada: early"]);
    world.lose_signals = true;
    world.renew(ada);
    world.say(ada, "never").unwrap();
    world.run(11 * SECOND);
    assert_eq!(world.dropped(bob, Dropped::NoKey), 1);
    world.lose_signals = false;
    world.say(ada, "not yet").unwrap();
    world.run(20 * SECOND);
    world.say(ada, "again").unwrap();
    world.run(11 * SECOND);
    assert_eq!(world.heard(bob).last().map(String::as_str), Some("Ada: again"), "Bob asked for the key");
}

#[test]
fn a_key_that_went_down_with_its_session_is_given_again() {
    let mut world = World::new(6);
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    world.sessions_break = true;
    world.say(ada, "one").unwrap();
    world.run(SECOND);
    world.sessions_break = false;
    world.say(ada, "two").unwrap();
    world.run(SECOND);
    assert_eq!(world.heard(bob), ["Ada: two"]);
}

#[test]
fn a_member_that_cannot_be_reached_is_not_tried_at_every_broadcast() {
    let mut world = World::new(14);
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    world.sessions_break = true;
    for _ in 0..100 {
        world.say(ada, "anybody there?").unwrap();
        world.run(SECOND / 10);
    }
    assert!((5..=10).contains(&world.keys_to(bob)), "{}", world.keys_to(bob));
}

#[test]
fn a_link_that_fails_and_comes_back_within_the_grace_is_no_event() {
    let mut world = World::new(7);
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    world.say(bob, "before").unwrap();
    world.run(SECOND);
    world.take_events(ada);
    world.take_events(bob);
    world.cut(bob);
    world.run(5 * SECOND);
    assert_eq!(world.say(bob, "nobody hears it"), Err(BroadcastError::NotJoined));
    world.connect(bob);
    world.run(SECOND);
    world.say(bob, "after").unwrap();
    world.run(SECOND);
    assert_eq!(world.heard(ada), ["Bob: before", "Bob: after"]);
    assert_eq!([world.take_events(ada), world.take_events(bob)], [[], []]);
}

#[test]
fn who_is_away_for_longer_learns_what_has_changed_and_is_heard_again() {
    let mut world = World::new(8);
    let [ada, bob, eve] = ["Ada", "Bob", "Eve"].map(|name| world.enter(name));
    world.run(SECOND);
    for who in [ada, bob, eve] {
        world.say(who, "before").unwrap();
    }
    world.run(SECOND);
    world.take_events(bob);
    world.cut(bob);
    world.run(20 * SECOND);
    world.leave(eve);
    let zoe = world.enter("Zoe");
    world.connect(bob);
    world.run(SECOND);
    let [eve, zoe] =
        [(eve, "Eve"), (zoe, "Zoe")].map(|(who, name)| Member { address: world.address(who), name: name.to_owned() });
    let events = world.take_events(bob);
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.contains(&RoomEvent::MemberLeft { member: eve, reason: LeaveReason::Lost }));
    assert!(events.contains(&RoomEvent::MemberJoined(zoe)));
    world.say(bob, "I am back").unwrap();
    world.say(ada, "so I hear").unwrap();
    world.run(SECOND);
    assert_eq!(world.heard(ada).last().map(String::as_str), Some("Bob: I am back"));
    assert_eq!(world.heard(bob).last().map(String::as_str), Some("Ada: so I hear"));
}

#[test]
fn a_relay_that_restarts_finds_its_members_again() {
    let mut world = World::new(9);
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    world.restart_relay();
    world.connect(ada);
    world.run(SECOND);
    world.connect(bob);
    world.run(SECOND);
    assert_eq!((world.names(ada), world.names(bob)), (vec!["Bob".to_owned()], vec!["Ada".to_owned()]));
    world.say(ada, "still here").unwrap();
    world.run(SECOND);
    assert_eq!(world.heard(bob), ["Ada: still here"]);
}

#[test]
fn signs_of_life_keep_a_quiet_member_in_and_cost_little() {
    let mut world = World::new(10);
    let ada = world.enter("Ada");
    world.enter("Bob");
    world.run(SECOND);
    let before = world.relayed;
    world.run(600 * SECOND);
    assert_eq!(world.names(ada), ["Bob"]);
    let each = (world.relayed - before) / 2 / 20;
    assert!(each <= 200, "{each} bytes for a sign of life and its answer");
}

#[test]
fn a_wrong_secret_is_refused_and_nothing_follows() {
    let mut world = World::with_secret(11, "right");
    let ada = world.enter("Ada");
    world.run(SECOND);
    let eve = world.enter_with("Eve", Some("wrong"), &Limits::default());
    world.run(100 * SECOND);
    assert_eq!(world.take_events(eve), [RoomEvent::Closed(RoomEnd::Refused(Refusal::WrongSecret))]);
    assert_eq!(world.say(eve, "hello"), Err(BroadcastError::NotJoined));
    assert!(world.names(ada).is_empty());
    assert_eq!(world.deadline(eve), None);
}

#[test]
fn what_is_too_large_is_an_error_of_who_says_it() {
    let mut world = World::new(12);
    let ada = world.enter("Ada");
    assert_eq!(world.say(ada, "early"), Err(BroadcastError::NotJoined));
    world.run(SECOND);
    let most = Limits::default().room_broadcast;
    assert_eq!(world.say(ada, &"x".repeat(most)), Ok(()));
    let error = world.say(ada, &"x".repeat(most + 1));
    assert_eq!(error, Err(BroadcastError::TooLarge { size: most + 1, most }));
}

#[test]
fn a_change_that_nothing_follows_is_noticed_by_the_next_sign_of_life() {
    let mut world = World::new(13);
    let [ada, bob] = [world.enter("Ada"), world.enter("Bob")];
    world.run(SECOND);
    world.leave(bob);
    world.run(Duration::from_millis(30));
    world.lose_what_is_on_the_way();
    world.run(25 * SECOND);
    assert_eq!(world.names(ada), ["Bob"]);
    world.run(5 * SECOND);
    assert!(world.names(ada).is_empty());
}
