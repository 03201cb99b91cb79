//! A driver that is dropped leaves nothing behind: alone in its process, which is counted through.
#![cfg(target_os = "linux")]

mod common;

use std::thread;

use common::{ANYWHERE, Node, Told};
use switchboard::machine::port::{PortChange, PortSpec};
use switchboard_mio::Driver;

#[test]
fn a_dropped_driver_leaves_no_thread_and_no_descriptor() {
    let before = counts();
    let mut driver = Driver::new(Node::default()).unwrap();
    driver.act(|node, cx| node.open(cx, PortSpec::Listen(ANYWHERE)));
    let Some(Told::Change(_, PortChange::Opened { local: Some(address), .. })) = driver.turn(None).unwrap() else {
        panic!("the listener did not open");
    };
    driver.act(|node, cx| {
        node.open(cx, PortSpec::Dial(address));
        node.open(cx, PortSpec::Host("nobody else".into()));
        node.resolve(cx, "localhost");
    });
    // The stream at both ends, and the name.
    for _ in 0..3 {
        driver.turn(None).unwrap();
    }
    let (threads, descriptors) = counts();
    assert_eq!(threads, before.0 + 1, "the resolver has one thread");
    assert!(descriptors >= before.1 + 5, "a selector, a waker, a listener and two ends");
    drop(driver);
    let gone = (0..10_000_000).any(|_| {
        thread::yield_now();
        counts() == before
    });
    assert!(gone, "threads and descriptors: {before:?} before, {:?} after", counts());
}

fn counts() -> (usize, usize) {
    let entries = |path| std::fs::read_dir(path).unwrap().count();
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}
