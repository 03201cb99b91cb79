//! What applications see of sessions.

use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::event::CloseReason;
use switchboard::hub::{Closed, Event};
use switchboard::sim::World;

use crate::party::{Party, Recipe, met, run};

const CHAT: ChannelId = ChannelId(1);

#[test]
fn two_endpoints_meet_through_a_relay_and_talk() {
    for kind in ["tcp", "ws"] {
        let (mut world, mut relay, mut a, mut b, session) = met(1, kind, &[Channel::reliable("chat")]);
        let answer = b.opened()[0];
        for n in 0..100u32 {
            world.act(a.host, |a, cx| a.send(cx, session, CHAT, &n.to_be_bytes())).unwrap();
            world.act(b.host, |b, cx| b.send(cx, answer, CHAT, &(n + 1000).to_be_bytes())).unwrap();
        }
        run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| {
            parties[1..].iter().all(|party| party.messages(CHAT).len() == 100)
        });
        let expected = |from: u32| (from..from + 100).map(|n| n.to_be_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(b.messages(CHAT), expected(0));
        assert_eq!(a.messages(CHAT), expected(1000));
    }
}

#[test]
fn a_session_to_nobody_is_unreachable() {
    let (mut world, mut relay, mut a, mut b, _) = met(2, "tcp", &[Channel::reliable("chat")]);
    let nobody = switchboard::wire::identity::EndpointId([9; 32]);
    let session = a.open(&mut world, nobody, &[]);
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| {
        parties[1].saw(|event| matches!(event, Event::Closed { session: ended, reason: Closed::Unreachable(_), .. } if *ended == session))
    });
}

#[test]
fn a_session_with_two_links_on_each_side_has_two_paths_and_survives_the_loss_of_one() {
    let mut world = World::new(3);
    let recipe =
        Recipe { listens: vec!["tcp:0.0.0.0:7000".into(), "tcp:0.0.0.0:7001".into()], ..Recipe::relay("relay", 1) };
    let mut relay = Party::start(&mut world, recipe);
    world.name("relay.test", &[relay.host]);
    let two = |name, key| Recipe::new(name, key).over("tcp:relay.test:7000").over("tcp:relay.test:7001");
    let mut a = Party::start(&mut world, two("a", 2));
    let mut b = Party::start(&mut world, two("b", 3));
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| parties[0].neighbours() == 4);
    let to = b.address(&world);
    let session = a.open(&mut world, to, &[Channel::reliable("chat")]);
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| !parties[1].opened().is_empty());
    world.run_for(Duration::from_secs(1)).unwrap();
    a.look(&mut world);
    let used: Vec<_> = world.machine(a.host).neighbours().map(|(link, _)| link).collect();
    for n in 0..200u32 {
        world.act(a.host, |a, cx| a.send(cx, session, CHAT, &n.to_be_bytes())).unwrap();
        world.run_for(Duration::from_millis(5)).unwrap();
        if n == 100 {
            world.act(a.host, |a, cx| a.dismiss(cx, used[0]));
        }
    }
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| parties[2].messages(CHAT).len() == 200);
    assert_eq!(b.messages(CHAT), (0..200u32).map(|n| n.to_be_bytes().to_vec()).collect::<Vec<_>>());
    assert!(!a.saw(|event| matches!(event, Event::Disconnected { .. })), "{:?}", a.events);
}

#[test]
fn a_session_with_an_endpoint_that_was_started_anew_ends_with_a_reason_and_a_new_one_is_opened() {
    let (mut world, mut relay, mut a, mut b, session) = met(4, "tcp", &[Channel::reliable("chat")]);
    b.restart(&mut world);
    world.act(a.host, |a, cx| a.send(cx, session, CHAT, b"lost")).unwrap();
    for ended in [false, true] {
        run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| {
            parties[1].saw(|event| match event {
                Event::Disconnected { .. } => !ended,
                Event::Closed { session: gone, reason: Closed::Ended(CloseReason::ResumeTimeout), .. } => {
                    *gone == session
                }
                _ => false,
            })
        });
        world.run_for(Duration::from_secs(5)).unwrap();
    }
    let to = b.address(&world);
    let anew = a.open(&mut world, to.id, &[Channel::reliable("chat")]);
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| parties[1].opened().contains(&anew));
    world.act(a.host, |a, cx| a.send(cx, anew, CHAT, b"found")).unwrap();
    run(&mut world, &mut [&mut relay, &mut a, &mut b], |parties| !parties[2].messages(CHAT).is_empty());
    assert_eq!(b.messages(CHAT), [b"found"]);
}
