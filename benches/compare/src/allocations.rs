//! Counts what sessions and engines allocate: `switchboard-allocations session-64B | hub-idle NUMBER | rtc-idle NUMBER |
//! dc-idle NUMBER`.
//!
//! A program of its own, for the counter replaces the allocator of whoever is linked with it.

use std::cell::Cell;
use std::time::Duration;

use switchboard::machine::rng::Rng;
use switchboard::stack::peer::Crypto;
use switchboard_compare::crowd::Crowd;
use switchboard_compare::engines::data::{Manner, Pair};
use switchboard_compare::engines::ours::epoch;
use switchboard_compare::exchange::{Exchange, PRIVATE, RELAYED};
use switchboard_compare::lab::Lab;

/// Messages sent at once, and messages that are counted.
const BURST: usize = 1000;
const BURSTS: usize = 1000;

/// What the allocator itself needs for each block.
const BLOCK: i64 = 16;

std::thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["session-64B"] => [PRIVATE, RELAYED].into_iter().for_each(|info| println!("{}", per_message(info))),
        ["rtc-idle", number] => println!("{}", of_peers(number.parse().expect("a number of peers"))),
        ["hub-idle", number] => println!("{}", per_session(number.parse().expect("a number of sessions"))),
        ["dc-idle", number] => println!("{}", per_engine(number.parse().expect("a number of pairs"))),
        _ => panic!("usage: switchboard-allocations session-64B | hub-idle NUMBER | rtc-idle NUMBER | dc-idle NUMBER"),
    }
}

/// Allocations per message once a session is warm.
fn per_message(info: switchboard::hub::session::event::PathInfo) -> f64 {
    let mut exchange = Exchange::new(info);
    let message = [7; 64];
    (0..BURSTS / 10).for_each(|_| exchange.burst(&message, BURST));
    let counted = allocation_counter::measure(|| (0..BURSTS).for_each(|_| exchange.burst(&message, BURST)));
    counted.count_total as f64 / (BURST * BURSTS) as f64
}

/// Bytes that one end of an idle session holds, all else (hub, link) taken off. Each has carried a message.
fn per_session(number: usize) -> f64 {
    let mut lab = Lab::idle(1);
    let counted = allocation_counter::measure(|| {
        lab.add_sessions(number);
        lab.pass(Duration::from_secs(10));
    });
    counted.bytes_current as f64 / number as f64 / 2.0
}

/// Bytes that an endpoint holds with so many idle direct peers, what the allocator adds included.
fn of_peers(number: usize) -> i64 {
    let crypto = Crypto::new(epoch(), &mut Rng::from_u64(1)).expect("a certificate is made");
    let mut crowd = Crowd::new(&crypto, |act| {
        let counted = allocation_counter::measure(act);
        HELD.set(HELD.get() + counted.bytes_current + BLOCK * counted.count_current);
    });
    let before = HELD.get();
    crowd.grow(number);
    crowd.pass(Duration::from_secs(30));
    HELD.get() - before
}

/// Bytes that one of so many pairs of idle data engines holds for each end. Each pair has carried a message.
fn per_engine(pairs: usize) -> f64 {
    let crypto = Crypto::new(epoch(), &mut Rng::from_u64(1)).expect("a certificate is made");
    let make = || {
        let mut pair = Pair::usual(&crypto, Manner::OneByOne);
        pair.burst(&[7; 64], 1);
        pair.rest(Duration::from_secs(30));
        pair.engines()
    };
    drop(make());
    let mut idle = Vec::with_capacity(pairs);
    let counted = allocation_counter::measure(|| (0..pairs).for_each(|_| idle.push(make())));
    (counted.bytes_current + BLOCK * counted.count_current) as f64 / pairs as f64 / 2.0
}
