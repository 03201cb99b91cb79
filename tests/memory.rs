//! What machines hold: law 4 (bounded) and law 12 (an idle link owns no buffer), measured by a counting allocator.
//!
//! Only what a machine allocates is counted, not what its owner does; what AWS-LC allocates in C is not seen.

mod common;
#[path = "laws/rig.rs"]
mod rig;
#[path = "laws/subject.rs"]
mod subject;
#[path = "laws/wire.rs"]
mod wire;

use allocation_counter::measure;
use common::{KINDS, Node};
use subject::{Answer, Order, Subject};
use switchboard::connect::{AnyTransport, Options};
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::machine::port::PortChange;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::transport::alone::AloneEvent;
use wire::{DIALLER, LISTENER, Wire};

const KIB: i64 = 1024;

/// A machine and what it holds. Events and requests that it gives away stay counted: they are small.
struct Metered {
    machine: Node,
    held: i64,
    peak: i64,
}

impl Metered {
    fn metered<R>(&mut self, call: impl FnOnce(&mut Node) -> R) -> R {
        let mut result = None;
        let info = measure(|| result = Some(call(&mut self.machine)));
        self.peak = self.peak.max(self.held + i64::try_from(info.bytes_max).unwrap());
        self.held += info.bytes_current;
        result.unwrap()
    }
}

impl Machine for Metered {
    type Command = <Node as Machine>::Command;
    type Event = AloneEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Self::Command>) {
        self.metered(|node| node.handle(cx, input));
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<AloneEvent> {
        self.metered(|node| node.poll(cx))
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.metered(|node| node.fill(cx, port, buf))
    }
}

impl Subject for Metered {
    fn made(transport: AnyTransport, limits: Limits) -> Self {
        Self { machine: Node::made(transport, limits), held: 0, peak: 0 }
    }

    /// What was received is forgotten at once, so that it counts no longer.
    fn order(&mut self, cx: &mut Cx<'_>, order: Order<'_>) -> Answer {
        self.metered(|node| match node.order(cx, order) {
            Answer::Received(Some(message)) => {
                Answer::Received(Some(switchboard::transport::alone::Message { bytes: Vec::new(), ..message }))
            }
            answer => answer,
        })
    }
}

fn linked(kind: &str, options: &Options, links: usize) -> Wire<Metered> {
    let mut wire = Wire::star(kind, 1, options, links);
    wire.run("links", |wire| wire.links(LISTENER).len() == links && (1..=links).all(|end| wire.links(end).len() == 1));
    while wire.advance() {}
    wire
}

fn held(wire: &Wire<Metered>, end: usize) -> i64 {
    wire.ends[end].machine().held
}

/// Sends 32 KiB on each link, both ways, in messages of several sizes.
fn exchange(wire: &mut Wire<Metered>, links: usize) {
    let sizes = [1, 100, 1000, 16_384, 15_283];
    for link in wire.links(LISTENER) {
        sizes.iter().for_each(|size| wire.send(LISTENER, link, Kind::Binary, &vec![7; *size]).unwrap());
    }
    for end in 1..=links {
        let link = wire.links(end)[0];
        sizes.iter().for_each(|size| wire.send(end, link, Kind::Binary, &vec![7; *size]).unwrap());
    }
    wire.run("the messages", |wire| {
        wire.received[LISTENER].len() == links * sizes.len()
            && wire.received[1..].iter().all(|received| received.len() == sizes.len())
    });
    while wire.advance() {}
}

#[test]
fn an_idle_link_owns_no_buffer() {
    const LINKS: usize = 64;
    for kind in KINDS {
        let options = common::options();
        // What all links share is subtracted.
        let [one, all] = [1, LINKS].map(|links| {
            let mut wire = linked(kind, &options, links);
            let fresh = held(&wire, LISTENER);
            exchange(&mut wire, links);
            [fresh, held(&wire, LISTENER)]
        });
        let [fresh, used] = [0, 1].map(|at| (all[at] - one[at]) / (LINKS as i64 - 1));
        println!("{kind}: an idle link costs {fresh} bytes, after traffic {used}; one link {one:?}, {LINKS} {all:?}");
        let most = if kind == "tls" || kind == "wss" { 8 * KIB } else { KIB };
        assert!(fresh <= most, "{kind}: {fresh} bytes for each idle link");
        assert!(used - fresh < 256, "{kind}: {fresh} bytes for each idle link before traffic, {used} after");
    }
}

#[test]
fn a_receiver_that_takes_nothing_holds_its_limits() {
    const LINKS: usize = 4;
    const MESSAGE: usize = 10_000;
    for kind in KINDS {
        for message in [0, 100, MESSAGE] {
            let options = Options { limits: Limits { inbox: 256 * 1024, ..Limits::default() }, ..common::options() };
            let mut wire = linked(kind, &options, LINKS);
            let idle = held(&wire, LISTENER);
            wire.takes = false;
            let sent = flood(&mut wire, DIALLER..=LINKS, message);
            let peak = wire.ends[LISTENER].machine().peak - idle;
            // Twice for vectors that double; per link a chunk in hand, as bytes of the wire and as messages.
            let most = 2 * (256 * KIB + LINKS as i64 * (2 * 128 * KIB + MESSAGE as i64));
            println!("{kind}: {peak} bytes at most of {most} for {sent} messages of {message} bytes");
            assert!(peak <= most, "{kind}: {peak} bytes");
            assert!(peak >= 128 * KIB, "{kind}: {peak} bytes: that was no flood");
        }
    }
}

#[test]
fn a_sender_whose_peer_takes_nothing_holds_its_limits() {
    for kind in KINDS {
        for message in [0, 100, 10_000] {
            let options = Options { limits: Limits { lane: 64 * 1024, ..Limits::default() }, ..common::options() };
            let mut wire = linked(kind, &options, 1);
            let idle = held(&wire, DIALLER);
            let link = wire.links(DIALLER)[0];
            let mut sent = 0;
            while wire.send(DIALLER, link, Kind::Binary, &vec![1; message]).is_ok() {
                sent += 1;
                assert!(sent < 100_000, "{kind}: a lane has no end for messages of {message} bytes");
            }
            let peak = wire.ends[DIALLER].machine().peak - idle;
            println!("{kind}: {peak} bytes for {sent} messages of {message} bytes in a lane of 65536");
            assert!(peak <= 4 * (64 * KIB + 10_000), "{kind}: {peak} bytes");
        }
    }
}

#[test]
fn connections_that_say_nothing_cost_what_handshakes_may() {
    for kind in KINDS {
        let options =
            Options { limits: Limits { handshakes: 16, links: 17, ..Limits::default() }, ..common::options() };
        let mut wire = linked(kind, &options, 1);
        let idle = held(&wire, LISTENER);
        let listener = *wire.ends[LISTENER].ports.keys().next().unwrap();
        for _ in 0..2000 {
            wire.ends[LISTENER].accept(listener, "10.0.0.9:9".parse().unwrap());
        }
        let cost = held(&wire, LISTENER) - idle;
        println!("{kind}: {cost} bytes for 2000 connections of which 16 are kept");
        assert!(cost <= 16 * 12 * KIB, "{kind}: {cost} bytes");
        assert_eq!(wire.ends[LISTENER].ports.len(), 2 + 16);
    }
}

/// Garbage that pretends to be the start of something large.
#[test]
fn what_is_announced_is_not_reserved() {
    for kind in KINDS {
        let mut wire = linked(kind, &common::options(), 1);
        let idle = held(&wire, LISTENER);
        let listener = *wire.ends[LISTENER].ports.keys().next().unwrap();
        for first in 0..=255 {
            let port = wire.ends[LISTENER].accept(listener, "10.0.0.9:9".parse().unwrap());
            let mut bytes = vec![first, 3, 3, 0x3f, 0xff, 1, 0, 0x3f, 0xff];
            wire.ends[LISTENER].input(Input::Receive(port, &mut bytes));
            wire.ends[LISTENER].change(port, PortChange::Eof);
        }
        let peak = wire.ends[LISTENER].machine().peak - idle;
        println!("{kind}: {peak} bytes for 256 connections of 9 bytes");
        assert!(peak <= 256 * 12 * KIB, "{kind}: {peak} bytes");
    }
}

/// More than any flood needs.
const MANY: usize = 1_000_000;

/// Sends from all these ends until nothing moves any more; answers how many messages were taken.
fn flood(wire: &mut Wire<Metered>, ends: std::ops::RangeInclusive<usize>, size: usize) -> usize {
    let (mut sent, bytes) = (0, vec![1; size]);
    for _ in 0..10_000 {
        for end in ends.clone() {
            let link = wire.links(end)[0];
            while sent < MANY && wire.send(end, link, Kind::Binary, &bytes).is_ok() {
                sent += 1;
            }
        }
        if !wire.advance() {
            return sent;
        }
    }
    panic!("{sent} messages were taken and there is no end");
}
