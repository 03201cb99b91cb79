//! What applications see of sessions.

use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::{Closed, Event};

use crate::party::{met, run};

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
