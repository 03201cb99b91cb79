//! Random transcripts without a world: two machines whose owners do whatever the contract allows.

use std::collections::BTreeMap;

use switchboard::connect::Options;
use switchboard::machine::ids::LinkId;
use switchboard::machine::payload::Kind;
use switchboard::machine::rng::Rng;
use switchboard::transport::TransportEvent;
use switchboard::transport::alone::{AloneEvent, SendError};

use crate::campaign::Histogram;
use crate::wire::{Cutting, DIALLER, LISTENER, Wire, mostly_small};
use crate::{Named, common};

const STEPS: usize = 1000;

/// Plays that many transcripts of one kind, every other one with faults, and demands some of everything.
pub(crate) fn transcripts(kind: &str, seeds: u64) {
    let options = common::options();
    let mut histogram = Histogram::new();
    for seed in 0..seeds {
        play(kind, seed, &options, &mut histogram);
    }
    println!("{kind}, {seeds} seeds: {histogram:?}");
    for what in ["links up", "messages", "links down", "refusals", "retries", "pauses", "stops"] {
        assert!(histogram.contains_key(what), "{kind}: no {what} in {seeds} seeds");
    }
}

/// Plays one transcript, and answers what both machines said.
pub(crate) fn play(kind: &str, seed: u64, options: &Options, histogram: &mut Histogram) -> Vec<String> {
    let _seed = Named(kind, seed);
    let faults = seed % 2 == 1;
    let limits = if seed.is_multiple_of(3) { common::tight() } else { options.limits.clone() };
    let mut wire = Wire::new(kind, seed, &Options { limits, ..options.clone() });
    wire.cutting = Cutting::Random;
    let mut sent = BTreeMap::new();
    for _ in 0..STEPS {
        wire.shake(faults);
        if wire.dice.chance(0.1) {
            send(&mut wire, &mut sent);
        }
        if wire.dice.chance(0.005) {
            close(&mut wire);
        }
    }
    stop(&mut wire);
    if !faults {
        check(&wire);
    }
    count(&wire, histogram);
    wire.ends.into_iter().flat_map(|end| end.transcript).collect()
}

fn send(wire: &mut Wire, sent: &mut BTreeMap<(usize, LinkId), u32>) {
    let end = wire.dice.below(2) as usize;
    let Some(link) = wire.links(end).last().copied() else { return };
    let number = sent.entry((end, link)).or_default();
    let size = mostly_small(&mut wire.dice, 17);
    match wire.send(end, link, kind(*number), &message(*number, size)) {
        Ok(()) => *number += 1,
        Err(SendError::Blocked) => {}
        Err(error) => panic!("{error}"),
    }
}

fn close(wire: &mut Wire) {
    let end = wire.dice.below(2) as usize;
    if let Some(link) = wire.links(end).last().copied() {
        wire.close(end, link);
    }
}

fn stop(wire: &mut Wire) {
    for end in [DIALLER, LISTENER] {
        wire.stop(end);
    }
    wire.run("a stop", |wire| wire.has_stopped(DIALLER) && wire.has_stopped(LISTENER));
    wire.take();
    for end in &wire.ends {
        assert!(end.ports.is_empty(), "a stopped node has ports left: {:?}", end.ports);
    }
}

/// What came on each link came in order, once and unchanged.
fn check(wire: &Wire) {
    for received in &wire.received {
        let mut next = BTreeMap::<LinkId, u32>::new();
        for came in received {
            let number = next.entry(came.link).or_default();
            assert_eq!((came.kind, &came.bytes), (kind(*number), &message(*number, came.bytes.len() - 4)));
            *number += 1;
        }
    }
}

fn message(number: u32, size: usize) -> Vec<u8> {
    let letter = b'a' + (number % 26) as u8;
    let mut bytes = format!("{:04}", number % 10_000).into_bytes();
    bytes.resize(4 + size, letter);
    bytes
}

const fn kind(number: u32) -> Kind {
    if number.is_multiple_of(3) { Kind::Text } else { Kind::Binary }
}

fn count(wire: &Wire, histogram: &mut Histogram) {
    let mut add = |what, count: usize| {
        if count > 0 {
            *histogram.entry(what).or_default() += count as u64;
        }
    };
    for (end, received) in wire.ends.iter().zip(&wire.received) {
        add("messages", received.len());
        add("pauses", end.transcript.iter().filter(|line| line.ends_with("Pause)")).count());
        for event in &end.events {
            let AloneEvent::Transport(event) = event else { continue };
            match event {
                TransportEvent::Up(..) => add("links up", 1),
                TransportEvent::Down(..) => add("links down", 1),
                TransportEvent::Refused(..) => add("refusals", 1),
                TransportEvent::Retrying(_) => add("retries", 1),
                TransportEvent::Stopped => add("stops", 1),
                TransportEvent::Failed(_) | TransportEvent::Listening(_) => {}
            }
        }
    }
}

/// A transport without ports, driven by calls, commands and timeouts alone.
pub(crate) fn offline(seeds: u64) {
    for seed in 0..seeds {
        let mut dice = Rng::from_u64(seed);
        let node = common::dialling("offline", &Options::default());
        let mut rig = crate::rig::Rig::new(node, seed, crate::rig::Log::Bytes);
        rig.call(|node, cx| node.start(cx));
        let link = rig.machine().links().next().expect("offline connects at once");
        for _ in 0..50 {
            match dice.below(20) {
                0..10 => _ = rig.call(|node, cx| node.send(cx, link, Kind::Binary, &[0; 1000])),
                10..13 => rig.input(switchboard::machine::Input::Timeout),
                13..16 => rig.pass(std::time::Duration::from_secs(1)),
                16 => rig.call(|node, cx| node.close(cx, link)),
                _ => assert_eq!(rig.call(|node, cx| node.recv(cx)), None),
            }
            assert_eq!(rig.breach(), None, "seed {seed}");
        }
        rig.call(|node, cx| node.stop(cx));
        let last = rig.events.last();
        assert_eq!(last, Some(&AloneEvent::Transport(TransportEvent::Stopped)), "seed {seed}");
        assert!(rig.ports.is_empty());
    }
}
