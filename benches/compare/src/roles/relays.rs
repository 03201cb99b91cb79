//! Endpoints: relays, and those that move a file through one.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::ControlFlow;

use switchboard::connect::Endpoint;
use switchboard::hub::{Event, Hub, Policy, Quotas, SendError, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::machine::Cx;
use switchboard::machine::rng::Rng;
use switchboard::wire::identity::Address;
use switchboard_compare::exchange::channel;

use super::{runtime, say};
use crate::plan::FILE_CHUNK;

/// An endpoint that is a neighbour of a relay, which knows it by then. Its key follows from a number: nothing of a
/// comparison is secret.
pub fn neighbour(number: u64, relay: &str) -> switchboard_mio::Driver<Endpoint> {
    let mut rng = Rng::from_u64(number);
    let builder = Endpoint::builder(SecretKey::generate(&mut rng)).relay(relay);
    let endpoint = builder.build(&mut rng).expect("the parent's string can be dialled");
    let mut driver = switchboard_mio::Driver::new(endpoint).expect("a driver starts");
    driver.act(Endpoint::start);
    wait(&mut driver, |event| matches!(event, Event::Up { .. }).then_some(()));
    // The last message of our proof may still wait to be sent.
    while driver.next_now().expect("a driver runs").is_some() {}
    driver
}

fn relay(listen: &str) -> Endpoint {
    let mut rng = Rng::from_u64(1);
    let builder = Endpoint::builder(SecretKey::generate(&mut rng)).listen(listen);
    let builder = builder.relays_for(Policy::Open, Quotas::default());
    builder.build(&mut rng).expect("the parent's string can be listened to")
}

pub fn relay_by_mio(listen: &str) {
    let mut driver = switchboard_mio::Driver::new(relay(listen)).expect("a driver starts");
    driver.act(Endpoint::start);
    let ended: ControlFlow<()> = ControlFlow::Continue(());
    let run = driver.run(|driver, _| {
        while let Some(event) = driver.act(|relay, cx| relay.next(cx)) {
            on_event(&event);
        }
        ended
    });
    run.expect("a driver runs");
}

pub fn relay_by_tokio(listen: &str) {
    runtime().block_on(async {
        let handle = switchboard_tokio::spawn(relay(listen));
        handle.act(Endpoint::start);
        while handle.next().await.is_some() {
            while let Some(event) = handle.act(|relay, cx| relay.next(cx)) {
                on_event(&event);
            }
        }
    });
}

fn on_event(event: &Event) {
    match event {
        Event::Listening { address, .. } => say(&address.to_string()),
        Event::Failed { reason, .. } | Event::Refused { reason } => panic!("refused: {reason}"),
        _ => {}
    }
}

/// Sends a file once the parent says so: relay, receiver's address, path.
pub fn send_file(relay: &str, to: &str, path: &str) {
    let to: Address = to.parse().expect("the parent says an address");
    let mut driver = neighbour(2, relay);
    driver.act(|endpoint, cx| _ = endpoint.open_session(cx, to));
    let session = wait(&mut driver, |event| match event {
        Event::Opened { session, .. } => Some(session),
        _ => None,
    });
    say("open");
    super::listen();
    let mut file = File::open(path).expect("the file can be read");
    let mut chunk = vec![0; FILE_CHUNK];
    loop {
        let size = file.read(&mut chunk).expect("the file can be read");
        if size == 0 {
            break;
        }
        while !driver.act(|endpoint, cx| takes(endpoint, cx, session, &chunk[..size])) {
            wait(&mut driver, |event| matches!(event, Event::Writable { .. }).then_some(()));
        }
    }
    driver.act(|endpoint, cx| endpoint.close(cx, session, 0, ""));
    wait(&mut driver, |event| matches!(event, Event::Closed { .. }).then_some(()));
    say("sent");
    super::listen();
}

fn takes(endpoint: &mut Endpoint, cx: &mut Cx<'_>, session: SessionId, chunk: &[u8]) -> bool {
    match endpoint.send(cx, session, channel(), chunk) {
        Ok(()) => true,
        Err(SendError::Blocked) => false,
        Err(error) => panic!("a chunk is not taken: {error}"),
    }
}

/// The first event of a kind.
pub fn wait<T>(driver: &mut switchboard_mio::Driver<Endpoint>, wanted: impl Fn(Event) -> Option<T>) -> T {
    loop {
        while let Some(event) = driver.act(|endpoint, cx| endpoint.next(cx)) {
            if let Event::Failed { reason, .. } = &event {
                panic!("failed: {reason}");
            }
            let ended = if let Event::Closed { reason, .. } = &event { Some(reason.clone()) } else { None };
            match (wanted(event), ended) {
                (Some(found), _) => return found,
                (None, Some(reason)) => panic!("the session has ended: {reason}"),
                (None, None) => {}
            }
        }
        driver.turn(None).expect("a driver runs");
    }
}

/// Receives a file: relay, path. Says its address, and when the file is there.
pub fn receive_file(relay: &str, path: &str) {
    let mut file = File::create(path).expect("a file can be made");
    let mut driver = neighbour(3, relay);
    say(&driver.machine().address().to_string());
    let mut session = None;
    loop {
        while driver.act(|endpoint, cx| write_next(endpoint, cx, session, &mut file)) {}
        while let Some(event) = driver.act(|endpoint, cx| endpoint.next(cx)) {
            match event {
                Event::Incoming { session, .. } => driver.act(|endpoint, cx| endpoint.accept(cx, session)),
                Event::Opened { session: opened, .. } => session = Some(opened),
                Event::Message { bytes, .. } => file.write_all(&bytes).expect("the file takes it"),
                Event::Closed { .. } => return done(),
                _ => {}
            }
        }
        driver.turn(None).expect("a driver runs");
    }
}

fn done() {
    say("received");
    super::listen();
}

/// Writes the next message to the file, without a copy of its own.
fn write_next(hub: &mut Hub, cx: &mut Cx<'_>, session: Option<SessionId>, file: &mut File) -> bool {
    let Some(session) = session else { return false };
    hub.recv_with(cx, session, |_, message| file.write_all(message).expect("the file takes it"))
}
