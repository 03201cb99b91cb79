//! The endpoint that is turned, over real sockets: a relay and two endpoints on one thread.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard::connect;
use switchboard::hub::channel::ChannelId;
use switchboard::hub::{Event, Policy, Quotas, RoomEvent, SendError};
use switchboard::link::noise::SecretKey;
use switchboard_mio::Endpoint;

const CHANNEL: ChannelId = ChannelId::declared(0);

#[test]
fn two_endpoints_meet_in_a_room_and_talk() {
    let (mut relay, address) = relay();
    let (mut a, mut b) = (endpoint(2, address), endpoint(3, address));
    a.join("lobby", "ann", None).unwrap();
    b.join("lobby", "bob", None).unwrap();
    let (mut session, mut sent, mut got) = (None, 0, Vec::new());
    while got.len() < 1_000 {
        while let Some(event) = a.next_now().unwrap() {
            match event {
                Event::Room { event: RoomEvent::MemberJoined(member), .. } => session = Some(a.open(member.address)),
                Event::Room { event: RoomEvent::Joined(members), .. } if !members.is_empty() => {
                    session = Some(a.open(members[0].address));
                }
                _ => {}
            }
        }
        while let (Some(session), 0..1_000) = (session, sent) {
            match a.send(session, CHANNEL, format!("message {sent}").as_bytes()) {
                Ok(()) => sent += 1,
                Err(SendError::Blocked | SendError::NotOpen) => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some(event) = b.next_now().unwrap() {
            match event {
                Event::Incoming { session, .. } => b.accept(session),
                Event::Message { bytes, .. } => got.push(String::from_utf8(bytes).unwrap()),
                _ => {}
            }
        }
        relay.turn(Some(Duration::from_micros(100))).unwrap();
    }
    assert_eq!(got, (0..1_000).map(|n| format!("message {n}")).collect::<Vec<_>>());
}

#[test]
fn a_stop_says_goodbye() {
    let (mut relay, address) = relay();
    let mut a = endpoint(2, address);
    let (mut told, mut stopped) = (None, false);
    while told.is_none() || !stopped {
        match relay.turn(Some(Duration::from_micros(100))).unwrap() {
            Some(Event::NeighbourUp { .. }) => relay.stop(),
            Some(Event::Stopped) => stopped = true,
            _ => {}
        }
        if let Some(Event::NeighbourDown { reason, .. }) = a.next_now().unwrap() {
            told.get_or_insert_with(|| reason.to_string());
        }
    }
    assert!(told.as_ref().unwrap().contains("the neighbour left"), "{told:?}");
}

fn relay() -> (Endpoint, SocketAddr) {
    let builder = connect::Endpoint::builder(SecretKey::from_bytes(&[1; 32])).listen("tcp:127.0.0.1:0");
    let mut relay = Endpoint::start(builder.relays_for(Policy::Open, Quotas::default())).unwrap();
    loop {
        if let Some(Event::Listening { address, .. }) = relay.turn(None).unwrap() {
            return (relay, address);
        }
    }
}

fn endpoint(n: u8, relay: SocketAddr) -> Endpoint {
    let builder = connect::Endpoint::builder(SecretKey::from_bytes(&[n; 32]));
    Endpoint::start(builder.relay(&format!("tcp:{relay}"))).unwrap()
}
