//! Endpoints of both drivers that talk directly, over the system's sockets.

#![cfg(feature = "direct")]

use std::thread::JoinHandle;
use std::time::Duration;

use switchboard::connect::{self, Builder};
use switchboard::hub::channel::ChannelId;
use switchboard::hub::{Event, Policy, Quotas, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::wire::identity::Address;
use switchboard_tokio::Endpoint;
use switchboard_tokio::environment::direct;
use tokio::sync::oneshot;
use tokio::time::timeout;

const CHANNEL: ChannelId = ChannelId::declared(0);
/// Messages each way.
const COUNT: u32 = 1000;
/// Far more than any of this takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn endpoints_of_both_drivers_become_direct_and_exchange_a_thousand_messages() {
    let (relay, string) = relay().await;
    let (there, to) = mio(&string);
    let to = timeout(PATIENCE, to).await.expect("it reaches the relay").unwrap();
    // Whoever dials is up before the relay knows whom it has got.
    until(&relay, |event| matches!(event, Event::NeighbourUp { .. })).await;
    let here = Endpoint::start(builder(&string)).unwrap();
    until(&here, |event| matches!(event, Event::NeighbourUp { .. })).await;
    let session = here.open(to).await.unwrap();
    until(&here, |event| matches!(event, Event::Path { path, .. } if path.direct)).await;
    let explanation = here.act(|endpoint, cx| endpoint.explain(cx, session)).unwrap();
    assert!(explanation.to_string().starts_with("direct"), "{explanation}");
    let pair = explanation.pair.expect("a direct path has two addresses");
    assert!(!pair.is_relayed(), "{pair}");
    for number in 0..COUNT {
        here.send(session, CHANNEL, &number.to_be_bytes()).await.unwrap();
    }
    let mut came = 0;
    let complete = |event: &Event| {
        came += count(event, came);
        came == COUNT
    };
    until(&here, complete).await;
    here.close(session, 0, "");
    let there = tokio::task::spawn_blocking(|| there.join().expect("no panic"));
    assert_eq!(timeout(PATIENCE, there).await.expect("it ends").unwrap(), COUNT);
}

/// One if the event is the message that is next.
fn count(event: &Event, next: u32) -> u32 {
    let Event::Message { bytes, .. } = event else { return 0 };
    assert_eq!(*bytes, next.to_be_bytes(), "lost, repeated or out of order");
    1
}

async fn until(endpoint: &Endpoint, mut is_it: impl FnMut(&Event) -> bool) {
    while !is_it(&timeout(PATIENCE, endpoint.next()).await.expect("an event in time").expect("it runs")) {}
}

async fn relay() -> (Endpoint, String) {
    let builder = connect::Endpoint::builder(key()).relays_for(Policy::Open, Quotas::default());
    let relay = Endpoint::start(builder.listen("tcp:127.0.0.1:0")).unwrap();
    let mut string = String::new();
    let listens = |event: &Event| {
        let Event::Listening { address, .. } = event else { return false };
        string = format!("tcp:{address}");
        true
    };
    until(&relay, listens).await;
    (relay, string)
}

fn builder(relay: &str) -> Builder {
    let mut config = direct::config_of("", "").unwrap();
    config.gather.loopback = true;
    connect::Endpoint::builder(key()).relay(relay).direct(config)
}

fn key() -> SecretKey {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    SecretKey::from_bytes(&seed)
}

/// An endpoint on a thread of its own: it accepts, answers with its messages, and tells how many have come in the end.
fn mio(relay: &str) -> (JoinHandle<u32>, oneshot::Receiver<Address>) {
    let (builder, (tell, address)) = (builder(relay), oneshot::channel());
    let thread = std::thread::spawn(move || {
        let mut endpoint = switchboard_mio::Endpoint::start(builder).unwrap();
        let (mut came, mut sent, mut tell) = (0, 0, Some(tell));
        let mut session: Option<SessionId> = None;
        loop {
            let event = endpoint.turn(Some(PATIENCE)).unwrap().expect("an event in time");
            came += count(&event, came);
            match event {
                Event::NeighbourUp { .. } => _ = tell.take().map(|tell| tell.send(endpoint.address())),
                Event::Incoming { session, .. } => endpoint.accept(session),
                Event::Path { session: of, path, .. } if path.direct => session = Some(of),
                Event::Closed { .. } => return came,
                _ => {}
            }
            let Some(session) = session else { continue };
            while sent < COUNT && endpoint.send(session, CHANNEL, &u32::to_be_bytes(sent)).is_ok() {
                sent += 1;
            }
        }
    });
    (thread, address)
}
