//! A sender, a network and a receiver that shares no code with the real one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use super::super::super::config::{Agreed, Config, Reliability};
use super::super::super::error::Broken;
use super::super::{Head, Outbound};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::sctp::{Checksum, Chunk, Header, Packet, Tsn, parse};

pub(super) const HEADER: Header = Header { source_port: 5_000, destination_port: 5_000, tag: 7 };
pub(super) const ORDERED: Head = Head { ppid: 53, is_ordered: true, reliability: Reliability::Reliable };
pub(super) const UNORDERED: Head = Head { is_ordered: false, ..ORDERED };
/// TSNs wrap within the first packets.
pub(super) const FIRST: Tsn = Tsn(u32::MAX - 5);

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) const fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

pub(super) const fn agreed() -> Agreed {
    Agreed { is_interleaved: false, has_forward_tsn: true, outbound_streams: 65_535, inbound_streams: 65_535 }
}

pub(super) fn started(config: &Config) -> Outbound {
    let mut outbound = Outbound::new(config, FIRST);
    outbound.start(Instant::ZERO, 1 << 20, agreed());
    outbound
}

/// One packet, if there is one.
pub(super) fn fill(outbound: &mut Outbound, now: Instant) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, outbound.needed());
    outbound.fill(now, &mut packet);
    let has_chunks = packet.has_chunks();
    packet.finish(false);
    has_chunks.then_some(out)
}

/// All packets that may leave now.
pub(super) fn drain(outbound: &mut Outbound, now: Instant) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| fill(outbound, now)).collect()
}

/// A chunk as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) tsn: Tsn,
    pub(super) stream: u16,
    pub(super) is_unordered: bool,
    pub(super) is_begin: bool,
    pub(super) is_end: bool,
    pub(super) message: u32,
    pub(super) fragment: u32,
    pub(super) payload: Vec<u8>,
}

/// The data chunks of a packet.
pub(super) fn chunks(packet: &[u8]) -> Vec<Got> {
    let (_, chunks) = parse(packet, Checksum::MayBeZero).expect("a packet");
    let data = chunks.filter_map(|chunk| match chunk.expect("a chunk") {
        Chunk::Data(data) => Some(Got {
            tsn: data.tsn,
            stream: data.stream,
            is_unordered: data.is_unordered,
            is_begin: data.is_begin,
            is_end: data.is_end,
            message: data.message,
            fragment: data.fragment,
            payload: data.payload.to_vec(),
        }),
        _ => None,
    });
    data.collect()
}

/// The FORWARD-TSN of a packet: its TSN and the streams and numbers that it lists.
pub(super) fn forward(packet: &[u8]) -> Option<(Tsn, Vec<(u16, u32)>)> {
    let (_, mut chunks) = parse(packet, Checksum::MayBeZero).expect("a packet");
    chunks.find_map(|chunk| match chunk.expect("a chunk") {
        Chunk::ForwardTsn(forward) => {
            Some((forward.cumulative, forward.streams().map(|skipped| (skipped.stream, skipped.message)).collect()))
        }
        _ => None,
    })
}

/// Has the sender hear a SACK.
pub(super) fn sack(
    outbound: &mut Outbound,
    now: Instant,
    cumulative: Tsn,
    window: u32,
    gaps: &[(u16, u16)],
    duplicates: &[Tsn],
) -> Result<(), Broken> {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, 65_532);
    packet.sack(cumulative, window, gaps.iter().copied(), duplicates.iter().copied());
    packet.finish(false);
    hear(outbound, now, &out)
}

fn hear(outbound: &mut Outbound, now: Instant, packet: &[u8]) -> Result<(), Broken> {
    let (_, mut chunks) = parse(packet, Checksum::MayBeZero).expect("a packet");
    let Some(Ok(Chunk::Sack(sack))) = chunks.next() else { panic!("not a SACK") };
    outbound.on_sack(now, &sack)
}

/// What the receiver keeps; serials are distances from the first TSN.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    pub(super) got: BTreeMap<u64, Got>,
    /// All below is received, or skipped.
    pub(super) next: u64,
    beyond: BTreeSet<u64>,
    duplicates: Vec<Tsn>,
    pub(super) most_gaps: usize,
    pub(super) window: u32,
}

impl Receiver {
    fn take(&mut self, packet: &[u8]) {
        for got in chunks(packet) {
            let serial = self.serial(got.tsn);
            if serial < self.next || !self.beyond.insert(serial) {
                self.duplicates.push(got.tsn);
            } else {
                self.got.insert(serial, got);
            }
        }
        if let Some((cumulative, _)) = forward(packet) {
            self.next = self.next.max(self.serial(cumulative) + 1);
        }
        self.beyond = self.beyond.split_off(&self.next);
        while self.beyond.remove(&self.next) {
            self.next += 1;
        }
    }

    fn serial(&self, tsn: Tsn) -> u64 {
        let expected = FIRST.add(self.next as u32);
        self.next.wrapping_add_signed(i64::from(tsn.since(expected).cast_signed()))
    }

    fn sack(&mut self) -> Vec<u8> {
        let mut gaps: Vec<(u16, u16)> = Vec::new();
        for serial in &self.beyond {
            let offset = (serial - self.next + 1) as u16;
            match gaps.last_mut().filter(|(_, last)| last + 1 == offset) {
                Some((_, last)) => *last = offset,
                None => gaps.push((offset, offset)),
            }
        }
        gaps.truncate(self.most_gaps);
        let cumulative = FIRST.add(self.next as u32).previous();
        let mut out = Vec::new();
        let mut packet = Packet::begin(&mut out, &HEADER, 1_160);
        packet.sack(cumulative, self.window, gaps.into_iter(), self.duplicates.drain(..));
        packet.finish(false);
        out
    }

    /// Messages put together from consecutive TSNs, or from numbers with I-DATA, in the order of their last chunk.
    pub(super) fn messages(&self, is_interleaved: bool) -> Vec<(u16, bool, u32, Vec<u8>)> {
        let mut parts: BTreeMap<(u16, bool, u32), (u32, Vec<u8>)> = BTreeMap::new();
        let mut whole = Vec::new();
        let mut before = None;
        for (serial, got) in &self.got {
            let key = (got.stream, got.is_unordered, got.message);
            if got.is_begin {
                parts.insert(key, (0, Vec::new()));
            } else if !is_interleaved && before != Some(serial - 1) {
                parts.remove(&key);
            }
            before = Some(*serial);
            let Some((fragment, bytes)) = parts.get_mut(&key) else { continue };
            if is_interleaved && !got.is_begin && got.fragment != *fragment + 1 {
                parts.remove(&key);
                continue;
            }
            *fragment = got.fragment;
            bytes.extend_from_slice(&got.payload);
            if got.is_end {
                let (_, bytes) = parts.remove(&key).expect("it is there");
                whole.push((key.0, key.1, key.2, bytes));
            }
        }
        whole
    }
}

/// What a network does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    pub(super) delay: Duration,
    pub(super) loss: f64,
    pub(super) duplication: f64,
    /// Up to so much is added to the delay of a packet.
    pub(super) jitter: Duration,
}

pub(super) const PATH: Path = Path { delay: ms(10), loss: 0.0, duplication: 0.0, jitter: Duration::ZERO };

/// When a packet arrives, its number, whether it has data, its bytes.
type Arrival = (Instant, u64, bool, Vec<u8>);

/// All of it.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) sender: Outbound,
    pub(super) receiver: Receiver,
    pub(super) path: Path,
    pub(super) rng: Rng,
    /// Everything is lost.
    pub(super) is_cut: bool,
    /// Packets with data that were sent.
    pub(super) packets: u64,
    wire: BinaryHeap<Reverse<Arrival>>,
    count: u64,
    pub(super) expired: u64,
}

impl World {
    pub(super) fn new(config: &Config, agreed: Agreed, path: Path, seed: u64) -> Self {
        let mut sender = Outbound::new(config, FIRST);
        let receiver = Receiver { most_gaps: 100, window: 1 << 20, ..Receiver::default() };
        sender.start(Instant::ZERO, receiver.window, agreed);
        Self {
            now: Instant::ZERO,
            sender,
            receiver,
            path,
            rng: Rng::from_u64(seed),
            is_cut: false,
            packets: 0,
            wire: BinaryHeap::new(),
            count: 0,
            expired: 0,
        }
    }

    pub(super) fn write(&mut self, stream: u16, head: Head, message: &[u8]) -> bool {
        self.sender.write(self.now, stream, head, message)
    }

    fn post(&mut self, is_data: bool, packet: Vec<u8>) {
        if self.is_cut || self.rng.chance(self.path.loss) {
            return;
        }
        let copies = 1 + u32::from(self.rng.chance(self.path.duplication));
        for _ in 0..copies {
            let jitter = Duration::from_nanos(self.rng.below(self.path.jitter.as_nanos() as u64));
            self.count += 1;
            self.wire.push(Reverse((self.now + self.path.delay + jitter, self.count, is_data, packet.clone())));
        }
    }

    /// Sends what may leave now.
    pub(super) fn flush(&mut self) {
        while self.sender.is_due(self.now) {
            let Some(packet) = fill(&mut self.sender, self.now) else { break };
            self.packets += u64::from(!chunks(&packet).is_empty());
            self.post(true, packet);
        }
        assert!(fill(&mut self.sender, self.now).is_none(), "it was not due and yet had something");
    }

    /// Does what happens next; `false`: nothing will.
    pub(super) fn step(&mut self, until: Instant) -> bool {
        self.flush();
        let deadline = self.sender.deadline();
        if let Some(deadline) = deadline {
            assert!(deadline.at > self.now, "{} at {} is due at {}", deadline.why, deadline.at, self.now);
        }
        let arrival = self.wire.peek().map(|Reverse((at, ..))| *at);
        let Some(next) = arrival.into_iter().chain(deadline.map(|deadline| deadline.at)).min() else { return false };
        if next > until {
            self.now = until;
            return false;
        }
        self.now = next;
        if deadline.is_none_or(|deadline| deadline.at > next) {
            let Reverse((_, _, is_data, packet)) = self.wire.pop().expect("an arrival");
            self.arrive(is_data, &packet);
        } else {
            self.expired += u64::from(self.sender.on_timeout(self.now));
        }
        true
    }

    fn arrive(&mut self, is_data: bool, packet: &[u8]) {
        if !is_data {
            hear(&mut self.sender, self.now, packet).expect("an honest receiver");
            return;
        }
        self.receiver.take(packet);
        let sack = self.receiver.sack();
        self.post(false, sack);
    }

    pub(super) fn run(&mut self, until: Instant) {
        while self.step(until) {}
    }

    /// Runs until all that was written is acknowledged.
    pub(super) fn settle(&mut self) {
        let until = self.now + Duration::from_secs(600);
        while !self.sender.is_idle() && self.step(until) {}
        assert!(self.sender.is_idle(), "not done by {}: {:?}", self.now, self.sender);
    }
}
