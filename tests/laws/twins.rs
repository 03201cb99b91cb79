//! Runs that must be equal: of the same seed (law 7), and of the same bytes however they are cut (law 13).

use switchboard::connect::Options;
use switchboard::link::tls;
use switchboard::machine::Input;
use switchboard::machine::payload::Kind;
use switchboard::machine::port::PortChange;
use switchboard::machine::rng::Rng;
use switchboard::transport::alone::{AloneEvent, SendError};

use crate::campaign::{self, Histogram};
use crate::common::{self, Node};
use crate::rig::{Asked, Log, Rig};
use crate::transcripts;
use crate::wire::{Cutting, DIALLER, LISTENER, Wire, seed_of, transport};

/// Keys and certificates that stay, for configurations that are made anew: those remember TLS sessions.
pub(crate) struct Secrets {
    trust: Vec<u8>,
    identity: tls::Identity,
}

impl Secrets {
    pub(crate) fn new() -> Self {
        let authority = common::Authority::new();
        Self { identity: authority.identity(&["server.test"]), trust: authority.root }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            trust: Some(tls::ClientConfig::new([self.trust.clone()]).unwrap()),
            identity: Some(tls::ServerConfig::new(&self.identity).unwrap()),
            ..Options::default()
        }
    }
}

/// Law 7, where a machine stands: all that two machines of the same seed said, byte for byte where there is no TLS.
pub(crate) fn same_seed_same_transcript(kind: &str, seeds: u64) {
    let secrets = Secrets::new();
    // What damage does to bytes that no seed governs is not governed by a seed.
    let step = if kind == "tls" || kind == "wss" { 2 } else { 1 };
    for seed in (0..seeds).map(|seed| seed * step) {
        let run = |seed| transcripts::play(kind, seed, &secrets.options(), &mut Histogram::new());
        let (first, second) = (run(seed), run(seed));
        for (first, second) in first.iter().zip(&second) {
            assert_eq!(first, second, "{kind}, seed {seed}");
        }
        assert_eq!(first.len(), second.len(), "{kind}, seed {seed}");
    }
}

/// Law 7, where a world stands.
pub(crate) fn same_seed_same_world(kind: &'static str, seeds: u64) {
    let secrets = Secrets::new();
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..seeds {
        let run = || campaign::play::<Node>(kind, seed, &secrets.options(), &mut Histogram::new());
        let hash = run();
        assert_eq!(hash, run(), "{kind}, seed {seed}");
        hashes.insert(hash);
    }
    assert_eq!(hashes.len() as u64, seeds, "{kind}: worlds of different seeds are the same");
}

/// Law 13 for an exchange: the same messages and events whatever is filled and carried at once.
pub(crate) fn any_cutting_carries_the_same(kind: &str) {
    let secrets = Secrets::new();
    let exchange = |cutting| {
        let options = Options { limits: common::tight(), ..secrets.options() };
        let mut wire = Wire::new(kind, 7, &options);
        wire.cutting = cutting;
        wire.run("links", |wire| !wire.links(DIALLER).is_empty() && !wire.links(LISTENER).is_empty());
        let mut next = [0, 0];
        wire.run("the messages", |wire| {
            (0..2).for_each(|end| next[end] = send_from(wire, end, next[end]));
            wire.received.iter().all(|received| received.len() == SIZES.len())
        });
        wire.stop(DIALLER);
        wire.run("the end", |wire| wire.has_stopped(DIALLER) && wire.links(LISTENER).is_empty());
        let events: Vec<_> = wire.ends.iter().map(|end| told(&end.events)).collect();
        (events, wire.received)
    };
    let whole = exchange(Cutting::Whole);
    for cutting in [Cutting::Bytes, Cutting::Random] {
        let (events, received) = exchange(cutting);
        assert_eq!(events, whole.0, "{kind}, {cutting:?}");
        assert!(received == whole.1, "{kind}, {cutting:?}: other messages came");
    }
}

const SIZES: [usize; 12] = [0, 1, 2, 125, 126, 127, 1000, 16_384, 65_536, 3, 5, 4];

fn send_from(wire: &mut Wire, end: usize, mut next: usize) -> usize {
    let link = wire.links(end)[0];
    while let Some(size) = SIZES.get(next) {
        match wire.send(end, link, Kind::Text, &vec![b'a' + next as u8; *size]) {
            Ok(()) => next += 1,
            Err(SendError::Blocked) => break,
            Err(error) => panic!("{error}"),
        }
    }
    next
}

/// Law 13 for one machine and recorded bytes, whole and damaged: where the damage is found does not depend on how
/// the bytes came.
pub(crate) fn any_cutting_of_the_same_bytes_is_the_same(kind: &str, seeds: u64) {
    let options = Options { limits: common::tight(), ..common::options() };
    let recorded = record(kind, &options);
    let mut broken = 0;
    for seed in 0..seeds {
        for end in [DIALLER, LISTENER] {
            let mut dice = Rng::from_u64(seed);
            let mut bytes = recorded[1 - end].clone();
            for _ in 0..dice.below(3) {
                let at = dice.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << dice.below(8);
            }
            let play = |cutting| replay(kind, end, &options, &bytes, cutting, seed);
            let whole = play(Cutting::Whole);
            broken += u64::from(whole.1.iter().any(|event| event.contains("Stream(")));
            for cutting in [Cutting::Bytes, Cutting::Random] {
                let other = play(cutting);
                assert!(other == whole, "{kind}, seed {seed}, {cutting:?}: {:?} is not {:?}", other.1, whole.1);
            }
        }
    }
    assert!(broken > 0, "{kind}: nothing was damaged");
}

const RECORDED: u64 = 1;

/// What each side sends when both send some messages and the dialler closes.
fn record(kind: &str, options: &Options) -> Vec<Vec<u8>> {
    let mut wire = Wire::new(kind, RECORDED, options);
    wire.run("links", |wire| !wire.links(DIALLER).is_empty() && !wire.links(LISTENER).is_empty());
    for end in [DIALLER, LISTENER] {
        let link = wire.links(end)[0];
        for size in [0, 5, 200, 600] {
            wire.send(end, link, Kind::Text, &vec![b'x'; size]).unwrap();
        }
    }
    wire.run("the messages", |wire| wire.received.iter().all(|received| received.len() == 4));
    let link = wire.links(DIALLER)[0];
    wire.close(DIALLER, link);
    wire.run("the end", |wire| wire.links(LISTENER).is_empty() && wire.links(DIALLER).is_empty());
    wire.carried
}

/// What a fresh machine receives and says when it is sent these bytes and then the end of the stream.
fn replay(
    kind: &str,
    end: usize,
    options: &Options,
    bytes: &[u8],
    cutting: Cutting,
    seed: u64,
) -> (Vec<Vec<u8>>, Vec<String>) {
    let mut dice = Rng::from_u64(seed);
    let (mut rig, port) = connected(kind, end, options);
    let (mut rest, mut received) = (bytes, Vec::new());
    while rig.ports.contains_key(&port) {
        while rig.fill(port, cutting.draw(&mut dice)) {}
        if rest.is_empty() {
            break;
        }
        let (mut chunk, after) = {
            let n = cutting.draw(&mut dice).min(rest.len());
            (rest[..n].to_vec(), &rest[n..])
        };
        rest = after;
        rig.input(Input::Receive(port, &mut chunk));
        while let Some(message) = rig.call(|node, cx| node.recv(cx)) {
            received.push(message.bytes);
        }
    }
    rig.change(port, PortChange::Eof);
    assert_eq!(rig.breach(), None);
    (received, told(&rig.events))
}

/// A machine with one open stream; the seed is that of the recording, so that keys and answers agree.
fn connected(kind: &str, end: usize, options: &Options) -> (Rig<Node>, switchboard::machine::ids::PortId) {
    let node = Node::new(transport(kind, end, options), options.limits.clone());
    let mut rig = Rig::new(node, seed_of(RECORDED, end), Log::Bytes);
    rig.call(|node, cx| node.start(cx));
    let address = "10.0.0.1:7000".parse().unwrap();
    loop {
        let (port, asked) = rig.questions().remove(0);
        match asked {
            Asked::Name(_) => {
                rig.change(port, PortChange::Resolved(["10.0.0.1".parse().unwrap()].into_iter().collect()))
            }
            _ => rig.change(port, PortChange::Opened { local: Some(address), peer: None }),
        }
        if end == LISTENER {
            let port = rig.accept(port, address);
            return (rig, port);
        }
        if let Some(port) = rig.streams().first() {
            return (rig, *port);
        }
    }
}

/// What was told of links; when something became readable or writable is no promise.
fn told(events: &[AloneEvent]) -> Vec<String> {
    let transport = events.iter().filter(|event| matches!(event, AloneEvent::Transport(_)));
    transport.map(|event| format!("{event:?}")).collect()
}
