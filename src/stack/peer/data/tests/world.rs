//! Two peers and a link between them that delays, loses, repeats, reorders and alters as its seed says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::address;
use crate::link::dtls::Dtls;
use crate::link::sctp;
use crate::link::sctp::tests::chance::Link;
use crate::machine::Cx;
use crate::machine::ids::Ids;
use crate::machine::rng::Rng;
use crate::machine::time::{Epoch, Instant};
use crate::stack::peer::Crypto;
use crate::stack::peer::data::Data;
use crate::stack::peer::engine::{ChannelSpec, EngineConfig, Event, Over, Partner, Remote, Sent};
use crate::wire::candidate::{Candidate, CandidateKind};

/// Bytes of a batch.
const BATCH: usize = 16_000;
const GOOD: Link = Link { delay: Duration::from_millis(5), ..Link::GOOD };

/// Sees each datagram, and may alter it or add others.
type Meddle = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>>;

/// For whom a datagram is, between which addresses, and the datagram.
type Way = (usize, [SocketAddr; 2], Vec<u8>);

/// One side.
pub(super) struct End {
    pub(super) peer: Data,
    /// Places of channels and messages.
    pub(super) heard: Vec<(usize, Vec<u8>)>,
    pub(super) events: Vec<Event>,
}

impl End {
    pub(super) fn over(&self) -> Option<&Over> {
        self.events.iter().find_map(|event| if let Event::Over(over) = event { Some(over) } else { None })
    }

    pub(super) fn opened(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Open(..))).count()
    }
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) ends: [End; 2],
    pub(super) link: Link,
    pub(super) meddle: Option<Meddle>,
    /// How much later than it could everything happens.
    pub(super) lateness: Duration,
    /// When each side has asked for a time-out; there is no other.
    due: [Option<Instant>; 2],
    rng: Rng,
    ids: Ids,
    wire: BTreeMap<(Instant, u64), Way>,
    serial: u64,
}

pub(super) fn crypto() -> Crypto {
    Crypto::seeded(Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000)))
}

impl World {
    /// Two that have not begun.
    pub(super) fn new(seed: u64, partner: Partner, config: &sctp::Config) -> Self {
        let (now, mut rng, mut ids) = (Instant::from_nanos(1_000_000_000), Rng::from_u64(seed), Ids::new());
        let (crypto, mut cx) = (crypto(), Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids });
        let ends = [true, false].map(|controls| {
            let peer = Data::with(&mut cx, &crypto, EngineConfig::new(partner, controls), config.clone());
            End { peer, heard: Vec::new(), events: Vec::new() }
        });
        let (link, wire) = (GOOD, BTreeMap::new());
        let (lateness, due) = (Duration::ZERO, [None; 2]);
        Self { now, ends, link, meddle: None, lateness, due, rng, ids, wire, serial: 0 }
    }

    /// Two that are connected, and have these channels besides the agreed ones, from the same number on.
    pub(super) fn connected(seed: u64, partner: Partner, config: &sctp::Config, channels: &[ChannelSpec]) -> Self {
        let mut world = Self::new(seed, partner, config);
        world.start(channels);
        let opened = channels.len() + if partner == Partner::Own { 2 } else { 0 };
        let is_up = |world: &Self| world.ends.iter().all(|end| end.opened() == opened);
        assert!(world.run_until(Duration::from_secs(5), is_up), "seed {seed}: they don't connect");
        for n in [0, 1] {
            let has_own = |world: &Self| world.ends[1 - n].peer.dtls().is_some_and(Dtls::has_own_records);
            world.run_until(Duration::from_secs(1), has_own);
        }
        world
    }

    pub(super) fn start(&mut self, channels: &[ChannelSpec]) {
        let remotes = [1, 0].map(|n: usize| Remote::from(self.ends[n].peer.local()));
        for (n, remote) in remotes.iter().enumerate() {
            self.with(n, |peer, cx| {
                peer.add_local(cx, &Candidate::new(CandidateKind::Host, address(n), None));
                peer.start(cx, remote, n == 0).unwrap();
                peer.add_remote(cx, &Candidate::new(CandidateKind::Host, address(1 - n), None));
                for spec in channels {
                    peer.open_channel(cx, spec.clone()).unwrap();
                }
            });
        }
    }

    pub(super) fn with<R>(&mut self, n: usize, act: impl FnOnce(&mut Data, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let result = act(&mut self.ends[n].peer, &mut cx);
        self.take(n);
        self.transmit(n);
        self.due[n] = self.ends[n].peer.deadline().map(|deadline| deadline.at);
        assert!(self.due[n].is_none_or(|at| at > self.now), "a time-out in the past");
        result
    }

    pub(super) fn write(&mut self, n: usize, channel: usize, message: &[u8]) -> bool {
        self.ends[n].peer.room() >= message.len() && self.with(n, |peer, cx| peer.write(cx, channel, true, message))
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(time, |_| false);
        self.now = self.now.max(end);
    }

    /// Lets time pass until something is so; whether it has become so within `time`.
    pub(super) fn run_until(&mut self, time: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + time;
        while !is_so(self) {
            let next = self.due.into_iter().flatten().chain(self.wire.keys().next().map(|(at, _)| *at)).min();
            let Some(next) = next.filter(|next| *next <= end) else { return false };
            self.now = self.now.max(next + self.lateness);
            self.step();
        }
        true
    }

    fn step(&mut self) {
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (n, [from, to], mut data) = entry.remove();
            self.with(n, |peer, cx| peer.receive(cx, to, from, None, &mut data));
        }
        for n in [0, 1] {
            if self.due[n].is_some_and(|at| at <= self.now) {
                self.with(n, Data::on_timeout);
            }
        }
    }

    fn take(&mut self, n: usize) {
        let cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let End { peer, heard, events } = &mut self.ends[n];
        loop {
            if let Some(event) = peer.poll_event() {
                events.push(event);
            } else if let Some(message) = peer.poll_message(&cx) {
                heard.push((message.channel, message.bytes.to_vec()));
            } else {
                return;
            }
        }
    }

    fn transmit(&mut self, n: usize) {
        let mut batch = Vec::new();
        loop {
            let cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
            let Some(Sent { local, to, segment, .. }) = self.ends[n].peer.poll_transmit(&cx, &mut batch, BATCH) else {
                return;
            };
            for data in batch.chunks(segment) {
                self.send(1 - n, [local, to], data.to_vec());
            }
            batch.clear();
        }
    }

    fn send(&mut self, to: usize, way: [SocketAddr; 2], data: Vec<u8>) {
        let datagrams = match &mut self.meddle {
            Some(meddle) => meddle(data),
            None => vec![data],
        };
        for data in datagrams {
            if self.rng.chance(self.link.loss) {
                continue;
            }
            for _ in 0..1 + u8::from(self.rng.chance(self.link.duplication)) {
                let jitter = Duration::from_nanos(self.rng.below(self.link.jitter.as_nanos() as u64 + 1));
                self.serial += 1;
                self.wire.insert((self.now + self.link.delay + jitter, self.serial), (to, way, data.clone()));
            }
        }
    }
}
