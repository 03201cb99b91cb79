//! The endpoint that is awaited, over real sockets.

use std::time::Duration;

use switchboard::connect;
use switchboard::hub::channel::ChannelId;
use switchboard::hub::{Closed, Event, Policy, Quotas, RoomEvent, SendError};
use switchboard::link::noise::SecretKey;
use switchboard::wire::identity::{Address, EndpointId};
use switchboard_tokio::Endpoint;
use tokio::time::timeout;

const CHANNEL: ChannelId = ChannelId::declared(0);

#[tokio::test]
async fn a_session_is_opened_and_carries_more_than_fits() {
    let (_relay, a, b) = three().await;
    let accepting = tokio::spawn(async move {
        let mut sizes = Vec::new();
        while sizes.len() < 500 {
            match b.next().await.unwrap() {
                Event::Incoming { session, .. } => b.accept(session),
                Event::Message { bytes, .. } => sizes.push(bytes.len()),
                _ => {}
            }
        }
        sizes
    });
    let session = a.0.open(a.1).await.unwrap();
    for size in 0..500 {
        a.0.send(session, CHANNEL, &vec![7; size * 100]).await.unwrap();
    }
    assert_eq!(accepting.await.unwrap(), (0..500).map(|size| size * 100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_session_that_is_refused_says_why() {
    let (_relay, a, b) = three().await;
    let refusing = tokio::spawn(async move {
        while let Some(event) = b.next().await {
            if let Event::Incoming { session, .. } = event {
                b.refuse(session, 7, "not today");
            }
        }
    });
    let refused = a.0.open(a.1).await;
    assert_eq!(refused, Err(Closed::Refused { code: 7, text: "not today".to_owned() }));
    let nobody = a.0.open(EndpointId([7; 32])).await;
    assert!(matches!(nobody, Err(Closed::Unreachable(_))), "{nobody:?}");
    refusing.abort();
}

#[tokio::test]
async fn one_task_opens_while_another_reads() {
    let (_relay, a, b) = three().await;
    let reader = a.0.clone();
    let reading = tokio::spawn(async move {
        loop {
            match reader.next().await.unwrap() {
                Event::Message { bytes, .. } => return bytes,
                Event::Opened { .. } => panic!("that is for who has opened it"),
                _ => {}
            }
        }
    });
    let answering = tokio::spawn(async move {
        loop {
            match b.next().await.unwrap() {
                Event::Incoming { session, .. } => b.accept(session),
                Event::Opened { session, .. } => b.send(session, CHANNEL, b"hello").await.unwrap(),
                _ => {}
            }
        }
    });
    a.0.open(a.1).await.unwrap();
    assert_eq!(reading.await.unwrap(), b"hello");
    answering.abort();
}

#[tokio::test]
async fn opening_that_is_given_up_leaves_nothing_behind() {
    let (_relay, a, b) = three().await;
    assert!(timeout(Duration::from_millis(50), a.0.open(a.1)).await.is_err(), "nobody accepts");
    while a.0.act(|endpoint, _| endpoint.statistics().sessions) > 0 {
        a.0.next().await.unwrap();
    }
    drop(b);
}

#[tokio::test]
async fn sending_to_a_session_that_has_ended_is_an_error() {
    let (_relay, a, b) = three().await;
    let ending = tokio::spawn(async move {
        loop {
            match b.next().await.unwrap() {
                Event::Incoming { session, .. } => b.accept(session),
                Event::Opened { session, .. } => b.close(session, 3, "enough"),
                Event::Closed { .. } => return b,
                _ => {}
            }
        }
    });
    let session = a.0.open(a.1).await.unwrap();
    let error = loop {
        if let Err(error) = a.0.send(session, CHANNEL, &[0; 1000]).await {
            break error;
        }
    };
    assert!(matches!(error, SendError::NotOpen | SendError::Closing), "{error}");
    ending.await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_stops_ends_those_who_wait() {
    let (_relay, a, _b) = three().await;
    let waiting = tokio::spawn({
        let endpoint = a.0.clone();
        async move { while endpoint.next().await.is_some() {} }
    });
    a.0.stop().await;
    waiting.await.unwrap();
}

#[tokio::test]
async fn members_of_a_room_find_each_other() {
    let (_relay, a, b) = three().await;
    let room = a.0.join("lobby", "ann", None).unwrap();
    b.join("lobby", "bob", None).unwrap();
    let member = loop {
        match a.0.next().await.unwrap() {
            Event::Room { event: RoomEvent::MemberJoined(member), .. } => break member,
            Event::Room { event: RoomEvent::Joined(members), .. } if !members.is_empty() => break members[0].clone(),
            _ => {}
        }
    };
    assert_eq!((member.address.id, member.name.as_str()), (a.1.id, "bob"));
    assert_eq!(a.0.members(room), [member]);
}

/// A relay; an endpoint with the address of another; that other.
async fn three() -> (Endpoint, (Endpoint, Address), Endpoint) {
    let builder = connect::Endpoint::builder(key(1)).relays_for(Policy::Open, Quotas::default());
    let relay = Endpoint::start(builder.listen("tcp:127.0.0.1:0")).unwrap();
    let address = loop {
        if let Event::Listening { address, .. } = relay.next().await.unwrap() {
            break address;
        }
    };
    let start = |n| Endpoint::start(connect::Endpoint::builder(key(n)).relay(&format!("tcp:{address}"))).unwrap();
    let (a, b) = (start(2), start(3));
    for endpoint in [&a, &b] {
        while endpoint.act(|endpoint, _| endpoint.neighbours().next().is_none()) {
            endpoint.next().await.unwrap();
        }
    }
    let to = b.address();
    (relay, (a, to), b)
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n; 32])
}
