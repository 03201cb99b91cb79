//! What applications see of rooms.

use switchboard::connect::Endpoint;
use switchboard::hub::{Event, RoomEvent, RoomId};
use switchboard::sim::World;

use crate::party::{Party, met, run};

fn join(world: &mut World<Endpoint>, party: &Party, name: &str, secret: Option<&str>) -> RoomId {
    world.act(party.host, |endpoint, cx| endpoint.join(cx, "lobby", name, secret)).unwrap()
}

fn names(party: &Party) -> Vec<String> {
    let mut names = Vec::new();
    for (_, event) in &party.events {
        match event {
            Event::Room { event: RoomEvent::Joined(members), .. } => {
                names.extend(members.iter().map(|member| member.name.clone()));
            }
            Event::Room { event: RoomEvent::MemberJoined(member), .. } => names.push(member.name.clone()),
            _ => {}
        }
    }
    names
}

fn heard(party: &Party) -> Vec<(String, Vec<u8>)> {
    party.filter(|event| match event {
        Event::Room { event: RoomEvent::Broadcast { from, bytes, .. }, .. } => Some((from.name.clone(), bytes.clone())),
        _ => None,
    })
}

#[test]
fn people_find_each_other_in_a_room_and_talk_to_all() {
    let (mut world, mut relay, mut a, mut b, _) = met(1, "ws", &[]);
    let rooms = [join(&mut world, &a, "Ada", Some("word")), join(&mut world, &b, "Bob", Some("word"))];
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| {
        names(parties[1]) == ["Bob"] && names(parties[2]) == ["Ada"]
    });
    world.act(a.host, |endpoint, cx| endpoint.broadcast(cx, rooms[0], b"hello")).unwrap();
    world.act(b.host, |endpoint, cx| endpoint.broadcast(cx, rooms[1], b"hi")).unwrap();
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| {
        !heard(parties[1]).is_empty() && !heard(parties[2]).is_empty()
    });
    assert_eq!(heard(&a), [("Bob".to_owned(), b"hi".to_vec())]);
    assert_eq!(heard(&b), [("Ada".to_owned(), b"hello".to_vec())]);
    let sessions = |party: &Party| party.filter(|event| matches!(event, Event::Incoming { .. }).then_some(())).len();
    assert_eq!((sessions(&a), sessions(&b)), (0, 1), "the hub's own sessions are its own");
}

#[test]
fn who_does_not_know_the_secret_is_told_so() {
    let (mut world, mut relay, mut a, mut b, _) = met(2, "tcp", &[]);
    join(&mut world, &a, "Ada", Some("word"));
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| {
        parties[1].saw(|event| matches!(event, Event::Room { event: RoomEvent::Joined(_), .. }))
    });
    join(&mut world, &b, "Bob", Some("wrong"));
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| {
        parties[2].saw(|event| matches!(event, Event::Room { event: RoomEvent::Closed(_), .. }))
    });
}
