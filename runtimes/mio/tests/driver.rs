//! What a program sees of a driver.

mod common;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use common::{ANYWHERE, Node, Told};
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortError, PortSpec};
use switchboard_mio::Driver;

/// Turns of each driver after which a test has failed.
const TURNS: usize = 1_000_000;

#[test]
fn an_echo_crosses_two_drivers_that_never_block() {
    let (mut server, mut client) = (driver(Node::echo()), driver(Node::default()));
    let address = listen(&mut server);
    let port = client.act(|node, cx| node.open(cx, PortSpec::Dial(address)));
    let sent: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut received = Vec::new();
    let mut closed = false;
    for _ in 0..TURNS {
        server.next_now().unwrap();
        match client.next_now().unwrap() {
            Some(Told::Change(_, PortChange::Opened { peer, .. })) => {
                assert_eq!(peer, Some(address));
                client.act(|node, _| node.send(port, &sent));
                client.act(|node, _| node.finish(port));
            }
            Some(Told::Bytes(_, bytes)) => received.extend(bytes),
            Some(Told::Change(_, PortChange::Closed)) => closed = true,
            _ => {}
        }
        if closed {
            break;
        }
    }
    assert!(closed, "received {} of {} bytes", received.len(), sent.len());
    assert!(received == sent);
}

#[test]
fn drivers_on_two_threads_meet_on_a_host_stream() {
    let spec = || PortSpec::Host("drivers_on_two_threads".into());
    let echo = thread::spawn(move || {
        let mut driver = driver(Node::echo());
        driver.act(|node, cx| node.open(cx, spec()));
        driver.run(|_, event| until_closed(&event)).unwrap();
    });
    let mut driver = driver(Node::default());
    let port = driver.act(|node, cx| node.open(cx, spec()));
    driver.act(|node, _| node.send(port, &[7; 300_000]));
    let mut received = 0;
    let all = driver.run(|driver, event| {
        if let Told::Bytes(_, bytes) = &event {
            received += bytes.len();
            if received == 300_000 {
                driver.act(|node, _| node.finish(port));
            }
        }
        until_closed(&event)
    });
    all.unwrap();
    echo.join().unwrap();
    assert_eq!(received, 300_000);
}

#[cfg(unix)]
#[test]
fn a_provided_stream_answers_to_its_name_and_closes_when_finished() {
    let (ours, theirs) = mio::net::UnixStream::pair().unwrap();
    let (mut near, mut far) = (driver(Node::default()), driver(Node::echo()));
    near.provide("a line", ours);
    far.provide("a line", theirs);
    let port = near.act(|node, cx| node.open(cx, PortSpec::Host("a line".into())));
    far.act(|node, cx| node.open(cx, PortSpec::Host("a line".into())));
    near.act(|node, _| node.send(port, b"hello"));
    let mut told = Vec::new();
    for _ in 0..TURNS {
        far.next_now().unwrap();
        let Some(event) = near.next_now().unwrap() else { continue };
        if let Told::Bytes(..) = event {
            near.act(|node, _| node.finish(port));
        }
        told.push(event);
        if told.len() == 3 {
            break;
        }
    }
    let opened = Told::Change(port, PortChange::Opened { local: None, peer: None });
    let closed = Told::Change(port, PortChange::Closed);
    assert_eq!(told, [opened, Told::Bytes(port, b"hello".to_vec()), closed]);
    assert!((0..TURNS).any(|_| matches!(far.next_now().unwrap(), Some(Told::Change(_, PortChange::Closed)))));
}

#[test]
fn a_waker_interrupts_a_turn_from_another_thread() {
    let mut driver = driver(Node::default());
    driver.act(|node, cx| node.set_alarm(cx, Duration::from_secs(60)));
    let waker = driver.waker();
    for _ in 0..100 {
        let waker = waker.clone();
        let other = thread::spawn(move || waker.wake());
        assert_eq!(driver.turn(None).unwrap(), None);
        other.join().unwrap();
    }
}

#[test]
fn a_waker_that_was_woken_early_interrupts_the_next_turn_and_only_that() {
    let mut driver = driver(Node::default());
    driver.waker().wake();
    driver.act(|node, cx| node.set_alarm(cx, Duration::from_millis(20)));
    assert_eq!(driver.turn(None).unwrap(), None);
    assert_eq!(driver.turn(None).unwrap(), Some(Told::Alarm));
}

#[test]
fn a_turn_ends_when_its_wait_is_over_or_a_deadline_comes() {
    let mut driver = driver(Node::default());
    assert_eq!(driver.next_now().unwrap(), None);
    assert_eq!(driver.turn(Some(Duration::from_millis(5))).unwrap(), None);
    driver.act(|node, cx| node.set_alarm(cx, Duration::from_millis(5)));
    assert_eq!(driver.turn(Some(Duration::from_secs(60))).unwrap(), Some(Told::Alarm));
}

#[test]
fn an_address_is_its_own_answer_and_a_flood_of_questions_is_cut_off() {
    let mut driver = driver(Node::default());
    let literal = driver.act(|node, cx| node.resolve(cx, "::1"));
    for _ in 0..1000 {
        driver.act(|node, cx| node.resolve(cx, "localhost"));
    }
    let answers: Vec<_> = (0..1001).map(|_| driver.turn(None).unwrap().unwrap()).collect();
    let resolved = Told::Change(literal, PortChange::Resolved([IpAddr::V6(Ipv6Addr::LOCALHOST)].into_iter().collect()));
    assert!(answers.contains(&resolved));
    let exhausted = |answer: &&Told| matches!(answer, Told::Change(_, PortChange::Failed(PortError::Exhausted)));
    let cut_off = answers.iter().filter(exhausted).count();
    assert!((1..=1000 - 64).contains(&cut_off), "{cut_off} of 1000 questions were cut off, 64 may wait");
}

fn driver(node: Node) -> Driver<Node> {
    Driver::new(node).unwrap()
}

fn listen(driver: &mut Driver<Node>) -> SocketAddr {
    let listener: PortId = driver.act(|node, cx| node.open(cx, PortSpec::Listen(ANYWHERE)));
    match driver.turn(None).unwrap() {
        Some(Told::Change(port, PortChange::Opened { local: Some(local), .. })) if port == listener => local,
        other => panic!("{other:?}"),
    }
}

fn until_closed(event: &Told) -> ControlFlow<()> {
    match event {
        Told::Change(_, PortChange::Closed) => ControlFlow::Break(()),
        Told::Change(_, PortChange::Failed(error)) => panic!("{error}"),
        _ => ControlFlow::Continue(()),
    }
}
