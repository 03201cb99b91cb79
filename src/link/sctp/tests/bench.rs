//! Two ends and a link between them that delays, loses, repeats and reorders as its seed says.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chance::Link;
use crate::link::sctp::{Association, ChannelConfig, Config, Event, Over, Reliability};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) stream: u16,
    pub(super) is_binary: bool,
    pub(super) bytes: Vec<u8>,
}

/// One side.
pub(super) struct End {
    pub(super) association: Association,
    pub(super) events: Vec<Event>,
    pub(super) messages: Vec<Came>,
    /// Whether messages are taken as they come.
    pub(super) reads: bool,
    /// Whether packets leave and arrive.
    pub(super) is_cut_off: bool,
}

impl End {
    pub(super) fn over(&self) -> Option<&Over> {
        self.events.iter().find_map(|event| match event {
            Event::Over(over) => Some(over),
            _ => None,
        })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.events.contains(&Event::Connected) && self.over().is_none()
    }

    pub(super) fn has_closed(&self, stream: u16) -> bool {
        self.events.contains(&Event::Closed(stream))
    }

    pub(super) fn bytes(&self) -> Vec<&[u8]> {
        self.messages.iter().map(|came| came.bytes.as_slice()).collect()
    }
}

type Meddle = Box<dyn FnMut(usize, &mut Vec<u8>) -> bool>;

/// Both, and what is under way.
pub(super) struct Bench {
    pub(super) now: Instant,
    pub(super) ends: [End; 2],
    pub(super) link: Link,
    /// Sees each packet with its sender and may alter it; `false`: it is lost.
    pub(super) meddle: Option<Meddle>,
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    serial: u64,
    rng: Rng,
}

pub(super) const ANN: usize = 0;
pub(super) const BOB: usize = 1;

impl Bench {
    pub(super) fn new(seed: u64, link: Link, configs: [Config; 2]) -> Self {
        let mut rng = Rng::from_u64(seed);
        let ends = configs.map(|config| End {
            association: Association::new(config, &mut rng),
            events: Vec::new(),
            messages: Vec::new(),
            reads: true,
            is_cut_off: false,
        });
        let now = Instant::from_nanos(1_000_000_000);
        Self { now, ends, link, meddle: None, wire: BTreeMap::new(), serial: 0, rng }
    }

    /// Two that stand, over a good link.
    pub(super) fn connected(configs: [Config; 2]) -> Self {
        let mut bench = Self::new(1, Link::GOOD, configs);
        bench.signal();
        bench.run(Duration::from_millis(100));
        bench
    }

    /// Starts both without a handshake.
    pub(super) fn signal(&mut self) {
        let chunks = [ANN, BOB].map(|end| self.ends[end].association.init_chunk());
        let now = self.now;
        for end in [ANN, BOB] {
            self.ends[end].association.start_with(now, &chunks[1 - end], end == ANN).unwrap();
        }
        self.drain();
    }

    pub(super) fn connect(&mut self, end: usize) {
        let now = self.now;
        self.ends[end].association.connect(now, end == ANN);
        self.drain();
    }

    pub(super) fn listen(&mut self, end: usize) {
        self.ends[end].association.listen(end == ANN);
    }

    pub(super) fn open(&mut self, end: usize, config: ChannelConfig) -> u16 {
        let now = self.now;
        self.ends[end].association.open(now, config).unwrap()
    }

    pub(super) fn write(&mut self, end: usize, stream: u16, message: &[u8]) -> bool {
        let now = self.now;
        self.ends[end].association.write(now, stream, true, message)
    }

    pub(super) fn close(&mut self, end: usize, stream: u16) {
        let now = self.now;
        self.ends[end].association.close_channel(now, stream);
    }

    pub(super) fn shutdown(&mut self, end: usize) {
        let now = self.now;
        self.ends[end].association.shutdown(now);
    }

    /// Hands a packet to one end.
    pub(super) fn inject(&mut self, end: usize, packet: &[u8]) {
        let now = self.now;
        self.ends[end].association.receive(now, packet);
        self.drain();
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(time, |_| false);
        self.now = end;
    }

    /// Lets time pass until something is so; whether it has become so within `time`.
    pub(super) fn run_until(&mut self, time: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + time;
        self.drain();
        while !is_so(self) {
            let Some(next) = self.next().filter(|next| *next <= end) else { return false };
            self.now = self.now.max(next);
            self.step();
        }
        true
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Instant> {
        let arrival = self.wire.keys().next().map(|(at, _)| *at);
        let timers = self.ends.iter().filter_map(|end| end.association.deadline());
        timers.map(|deadline| deadline.at).chain(arrival).min()
    }

    fn step(&mut self) {
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, packet) = entry.remove();
            if !self.ends[to].is_cut_off {
                self.ends[to].association.receive(self.now, &packet);
            }
        }
        for end in &mut self.ends {
            end.association.on_timeout(self.now);
        }
        self.drain();
    }

    /// Takes all that the ends have.
    pub(super) fn drain(&mut self) {
        for from in [ANN, BOB] {
            self.take(from);
            let mut packet = Vec::new();
            let mut count = 0;
            while self.ends[from].association.fill(self.now, &mut packet) {
                count += 1;
                assert!(count < 100_000, "an end fills packets without end");
                self.send(from, std::mem::take(&mut packet));
            }
            assert!(packet.is_empty(), "something was appended and not told");
            self.take(from);
        }
    }

    fn take(&mut self, from: usize) {
        let end = &mut self.ends[from];
        while let Some(event) = end.association.poll_event() {
            end.events.push(event);
        }
        while end.reads
            && let Some(message) = end.association.recv(self.now)
        {
            let bytes = message.bytes.to_vec();
            end.messages.push(Came { stream: message.stream, is_binary: message.is_binary, bytes });
        }
        while let Some(event) = end.association.poll_event() {
            end.events.push(event);
        }
    }

    fn send(&mut self, from: usize, mut packet: Vec<u8>) {
        let passes = self.meddle.as_mut().is_none_or(|meddle| meddle(from, &mut packet));
        if !passes || self.ends[from].is_cut_off || self.rng.chance(self.link.loss) {
            return;
        }
        if self.rng.chance(self.link.duplication) {
            self.arrive(from, packet.clone());
        }
        self.arrive(from, packet);
    }

    fn arrive(&mut self, from: usize, packet: Vec<u8>) {
        let jitter = Duration::from_nanos(self.rng.below(self.link.jitter.as_nanos() as u64 + 1));
        self.serial += 1;
        self.wire.insert((self.now + self.link.delay + jitter, self.serial), (1 - from, packet));
    }
}

/// Every kind of channel.
pub(super) fn kinds() -> Vec<ChannelConfig> {
    let life = Reliability::MaxLifetime(Duration::from_millis(150));
    let limits = [Reliability::Reliable, Reliability::MaxRetransmits(0), Reliability::MaxRetransmits(2), life];
    let of = |reliability, is_ordered| ChannelConfig { reliability, is_ordered, ..Default::default() };
    limits.iter().flat_map(|limit| [of(*limit, true), of(*limit, false)]).collect()
}

pub(super) fn both(config: Config) -> [Config; 2] {
    [config.clone(), config]
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
