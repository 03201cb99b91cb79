//! The laws for hubs and endpoints: in random worlds of a relay and those who know it, and by hand between two.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use switchboard::connect::{Endpoint, Options, Registry};
use switchboard::hub::channel::{Channel, ChannelId, Reliability};
use switchboard::hub::{Config, Event, Hub, News, PathPolicy, Policy, Quotas, RoomId, SessionId};
use switchboard::link::noise::{Identity, SecretKey};
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::limits::Limits;
use switchboard::machine::port::{PortChange, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::machine::{Cx, Input, Machine};
use switchboard::sim::{HostId, World};
use switchboard::transport::Reconnect;

use crate::campaign::{Histogram, world_of};
use crate::rig::{Asked, Log, Rig};
use crate::wire::{Cutting, mostly_small};
use crate::{Named, common};

const ROUNDS: u64 = 80;
const ENDPOINTS: usize = 3;
/// Longer than sessions outlive their paths.
const END: Duration = Duration::from_secs(200);

/// What must have happened in any campaign.
const EXPECTED: [&str; 14] = [
    "neighbours",
    "sessions",
    "refusals",
    "messages",
    "blocked",
    "closed",
    "unreachable",
    "disconnected",
    "reconnected",
    "cuts",
    "reboots",
    "presence",
    "rooms",
    "stops",
];

/// A hub, bare or in an endpoint.
pub(crate) trait Board: Machine<Command = Infallible, Event = News> + Sized {
    fn made(key: u64, life: u64, relay: bool, kind: &str, options: &Options) -> Self;
    fn start(&mut self, cx: &mut Cx<'_>, relay: bool, kind: &str, options: &Options);
    fn hub(&mut self) -> &mut Hub;
}

fn secret(key: u64) -> SecretKey {
    SecretKey::generate(&mut Rng::from_u64(key))
}

impl Board for Hub {
    fn made(key: u64, life: u64, relay: bool, _: &str, options: &Options) -> Self {
        let policy = if relay { Policy::Open } else { Policy::Closed };
        let config = Config { limits: options.limits.clone(), policy, ..Config::default() };
        Self::new(Identity::new(secret(key), &mut Rng::from_u64(key << 32 | life)), config)
    }

    fn start(&mut self, cx: &mut Cx<'_>, relay: bool, kind: &str, options: &Options) {
        let options = Options { reconnect: Reconnect::After(Duration::from_millis(500)), ..options.clone() };
        let string = |host| common::string(kind, host);
        if relay {
            self.add(cx, Registry::new().listen(&string("0.0.0.0"), &options).unwrap(), None);
        } else {
            self.add(cx, Registry::new().dial(&string("server.test"), &options).unwrap(), Some(1));
        }
    }

    fn hub(&mut self) -> &mut Hub {
        self
    }
}

impl Board for Endpoint {
    fn made(key: u64, life: u64, relay: bool, kind: &str, options: &Options) -> Self {
        let builder = Self::builder(secret(key)).options(options.clone());
        let builder = if relay {
            builder.listen(&common::string(kind, "0.0.0.0")).relays_for(Policy::Open, Quotas::default())
        } else {
            builder.relay(&common::string(kind, "server.test"))
        };
        builder.build(&mut Rng::from_u64(key << 32 | life)).unwrap()
    }

    fn start(&mut self, cx: &mut Cx<'_>, _: bool, _: &str, _: &Options) {
        Self::start(self, cx);
    }

    fn hub(&mut self) -> &mut Hub {
        self
    }
}

/// Plays that many worlds; prints what they produced, and demands some of everything.
pub(crate) fn campaign<M: Board>(kind: &'static str, seeds: u64) {
    let options = common::options();
    let mut histogram = Histogram::new();
    for seed in 0..seeds {
        play::<M>(kind, seed, &options, &mut histogram);
    }
    println!("hubs by {kind}, {seeds} seeds: {histogram:?}");
    for what in EXPECTED {
        assert!(histogram.contains_key(what), "hubs by {kind}: no {what} in {seeds} seeds");
    }
}

/// The same seed gives the same world, another one another.
pub(crate) fn same_seed_same_world(kind: &'static str, seeds: u64) {
    let options = common::options();
    let run = |seed| play::<Endpoint>(kind, seed, &options, &mut Histogram::new());
    let hashes: BTreeSet<_> = (0..seeds)
        .map(|seed| {
            let hash = run(seed);
            assert_eq!(hash, run(seed), "{kind}, seed {seed}");
            hash
        })
        .collect();
    assert_eq!(hashes.len() as u64, seeds);
}

fn play<M: Board>(kind: &'static str, seed: u64, options: &Options, histogram: &mut Histogram) -> u64 {
    let _seed = Named(kind, seed);
    let mut play = Play::<M>::new(kind, seed, options, histogram);
    for _ in 0..ROUNDS {
        play.round();
    }
    play.end();
    play.world.transcript_hash()
}

struct Play<'a, M: Board> {
    world: World<M>,
    dice: Rng,
    kind: &'static str,
    options: Options,
    /// The relay is the first.
    nodes: Vec<Node>,
    histogram: &'a mut Histogram,
}

#[derive(Default)]
struct Node {
    host: Option<HostId>,
    lives: u64,
    links: BTreeSet<LinkId>,
    /// Whether each session that is known stands.
    sessions: BTreeMap<SessionId, bool>,
    rooms: Vec<RoomId>,
    stopped: bool,
}

impl<'a, M: Board> Play<'a, M> {
    fn new(kind: &'static str, seed: u64, options: &Options, histogram: &'a mut Histogram) -> Self {
        let mut dice = Rng::from_u64(!seed);
        let options = Options { limits: limits(&mut dice), ..options.clone() };
        let mut play = Self { world: world_of(kind, seed), dice, kind, options, nodes: Vec::new(), histogram };
        for index in 0..=ENDPOINTS {
            let machine = play.machine(index, 0);
            let host = play.world.host(if index == 0 { "relay" } else { "endpoint" }, machine);
            play.nodes.push(Node { host: Some(host), ..Node::default() });
        }
        play.world.name("server.test", &[play.host(0)]);
        (0..=ENDPOINTS).for_each(|index| play.start(index));
        play
    }

    fn machine(&self, index: usize, life: u64) -> M {
        M::made(index as u64 + 1, life, index == 0, self.kind, &self.options)
    }

    fn host(&self, index: usize) -> HostId {
        self.nodes[index].host.unwrap()
    }

    fn start(&mut self, index: usize) {
        let (kind, options) = (self.kind, self.options.clone());
        self.world.act(self.host(index), |machine, cx| machine.start(cx, index == 0, kind, &options));
    }

    fn act<R>(&mut self, index: usize, call: impl FnOnce(&mut Hub, &mut Cx<'_>) -> R) -> R {
        self.world.act(self.nodes[index].host.unwrap(), |machine, cx| call(machine.hub(), cx))
    }

    fn count(&mut self, what: &'static str) {
        *self.histogram.entry(what).or_default() += 1;
    }

    fn round(&mut self) {
        let index = 1 + self.dice.below(ENDPOINTS as u64) as usize;
        match self.dice.below(20) {
            0..4 => self.open(index),
            4..9 => self.send(index),
            9 => self.close(index),
            10 => self.cut(index),
            11 => self.heal(index),
            12 if self.dice.chance(0.3) => self.reboot(0),
            12 => self.reboot(index),
            13 => self.presence(index),
            14 => self.room(index),
            15 => self.ping(index),
            16 if self.dice.chance(0.3) => self.stop(index),
            17 => self.policy(index),
            _ => {}
        }
        let longest = if self.dice.chance(0.1) { 90_000 } else { 800 };
        let time = Duration::from_millis(self.dice.below(longest));
        self.pass(time);
    }

    fn open(&mut self, index: usize) {
        let to = secret(1 + self.dice.below(ENDPOINTS as u64 + 2)).id();
        let session = self.act(index, |hub, cx| hub.open(cx, to, channels()));
        self.nodes[index].sessions.insert(session, false);
    }

    /// Some messages on some channel, also one that there is not.
    fn send(&mut self, index: usize) {
        let Some(session) = self.any_session(index) else { return };
        let channel = ChannelId(self.dice.below(channels().len() as u64 + 2) as u16);
        for _ in 0..self.dice.below(30) {
            let size = mostly_small(&mut self.dice, 15);
            let sent = self.act(index, |hub, cx| hub.send(cx, session, channel, &vec![7; size]));
            if sent == Err(switchboard::hub::SendError::Blocked) {
                self.count("blocked");
            }
        }
    }

    fn any_session(&mut self, index: usize) -> Option<SessionId> {
        let sessions = &self.nodes[index].sessions;
        sessions.keys().nth(self.dice.below(sessions.len().max(1) as u64) as usize).copied()
    }

    fn close(&mut self, index: usize) {
        if let Some(session) = self.any_session(index) {
            self.act(index, |hub, cx| hub.close(cx, session, 7, "enough"));
        }
    }

    fn cut(&mut self, index: usize) {
        self.world.cut(self.host(0), self.host(index));
        self.count("cuts");
    }

    fn heal(&mut self, index: usize) {
        self.world.heal(self.host(0), self.host(index));
    }

    fn reboot(&mut self, index: usize) {
        let life = self.nodes[index].lives + 1;
        let machine = self.machine(index, life);
        self.world.reboot(self.host(index), machine);
        self.nodes[index] = Node { host: self.nodes[index].host, lives: life, ..Node::default() };
        self.start(index);
        self.count("reboots");
    }

    fn presence(&mut self, index: usize) {
        let id = secret(1 + self.dice.below(ENDPOINTS as u64 + 2)).id();
        let watch = self.dice.chance(0.7);
        self.act(index, |hub, cx| if watch { hub.watch(cx, id) } else { hub.unwatch(cx, id) });
    }

    fn room(&mut self, index: usize) {
        let room = self.nodes[index].rooms.last().copied();
        match (self.dice.below(4), room) {
            (0, Some(room)) => self.act(index, |hub, cx| hub.leave(cx, room)),
            (1, Some(room)) => _ = self.act(index, |hub, cx| hub.broadcast(cx, room, b"to all")),
            _ => {
                let name = ["lobby", "hall"][self.dice.below(2) as usize];
                let joined = self.act(index, |hub, cx| hub.join(cx, name, "somebody", None));
                self.nodes[index].rooms.extend(joined);
            }
        }
    }

    fn ping(&mut self, index: usize) {
        if let Some(link) = self.nodes[index].links.first().copied() {
            self.act(index, |hub, cx| hub.ping(cx, link));
            if self.dice.chance(0.2) {
                self.act(index, |hub, cx| hub.dismiss(cx, link));
            }
        }
    }

    fn stop(&mut self, index: usize) {
        self.act(index, Hub::stop);
        self.until_stopped(index);
        self.count("stops");
        self.reboot(index);
    }

    fn until_stopped(&mut self, index: usize) {
        for _ in 0..100 {
            if self.nodes[index].stopped {
                break;
            }
            self.pass(Duration::from_secs(1));
        }
        assert!(self.nodes[index].stopped, "node {index} never stops");
        assert_eq!(self.world.ports(self.host(index)), 0, "ports outlive the transports of node {index}");
    }

    fn policy(&mut self, index: usize) {
        let Some(session) = self.any_session(index) else { return };
        let policies = [PathPolicy::PreferDirect, PathPolicy::RelayOnly, PathPolicy::DirectOnly];
        let policy = policies[self.dice.below(3) as usize];
        self.act(index, |hub, cx| hub.set_path_policy(cx, session, policy));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.world.now() < end {
            let step = (time / 4).max(Duration::from_millis(1)).min(end.since(self.world.now()));
            self.world.run_for(step).unwrap();
            (0..self.nodes.len()).for_each(|index| self.look(index));
        }
    }

    fn look(&mut self, index: usize) {
        self.world.events(self.host(index));
        // Now and then an application is slow.
        if self.dice.chance(0.2) {
            return;
        }
        while let Some(event) = self.act(index, Hub::next) {
            self.check(index, event);
        }
    }

    /// Each thing begins before it ends, and ends once.
    fn check(&mut self, index: usize, event: Event) {
        let node = &mut self.nodes[index];
        match event {
            Event::NeighbourUp { link, .. } => {
                assert!(node.links.insert(link), "{link} is up twice");
                self.count("neighbours");
            }
            Event::NeighbourDown { link, .. } => assert!(node.links.remove(&link), "{link} is down and was not up"),
            Event::Incoming { session, .. } => {
                assert_eq!(node.sessions.insert(session, false), None, "{session} comes twice");
                let accepts = self.dice.chance(0.8);
                self.act(
                    index,
                    |hub, cx| {
                        if accepts { hub.accept(cx, session) } else { hub.refuse(cx, session, 3, "not now") }
                    },
                );
            }
            Event::Opened { session, .. } => {
                assert_eq!(
                    node.sessions.insert(session, true),
                    Some(false),
                    "{session} opens twice, or out of nothing"
                );
                self.count("sessions");
            }
            Event::Message { session, .. } => {
                assert_eq!(node.sessions.get(&session), Some(&true));
                self.count("messages");
            }
            Event::Closed { session, reason, .. } => {
                assert!(node.sessions.remove(&session).is_some(), "{session} ends and was never there");
                self.count(match reason {
                    switchboard::hub::Closed::Unreachable(_) => "unreachable",
                    switchboard::hub::Closed::Refused { .. } => "refusals",
                    _ => "closed",
                });
            }
            Event::Disconnected { .. } => self.count("disconnected"),
            Event::Reconnected { .. } => self.count("reconnected"),
            Event::Presence { .. } => self.count("presence"),
            Event::Room { .. } => self.count("rooms"),
            Event::Stopped => node.stopped = true,
            _ => {}
        }
    }

    /// Everything ends when it should, and nothing is left.
    fn end(&mut self) {
        for index in 1..=ENDPOINTS {
            self.heal(index);
        }
        for index in (0..=ENDPOINTS).rev() {
            self.act(index, Hub::stop);
            self.until_stopped(index);
        }
        self.pass(END);
        for index in 0..=ENDPOINTS {
            while let Some(event) = self.act(index, Hub::next) {
                self.check(index, event);
            }
            let statistics = self.act(index, |hub, _| hub.statistics());
            assert_eq!(
                (statistics.links, statistics.routes, statistics.sessions),
                (0, 0, 0),
                "node {index}: {:?}",
                self.nodes[index].sessions
            );
            assert!(self.nodes[index].sessions.is_empty() && self.nodes[index].links.is_empty(), "node {index}");
        }
    }
}

fn channels() -> Vec<Channel> {
    vec![
        Channel::reliable("a"),
        Channel::reliable("b").unordered().priority(2),
        Channel::reliable("c").with(Reliability::MaxRetransmits(1)),
        Channel::reliable("d").unordered().with(Reliability::MaxLifetime(Duration::from_millis(100))),
    ]
}

fn limits(dice: &mut Rng) -> Limits {
    let wide = dice.chance(0.5);
    let of = |wide_one, tight| if wide { wide_one } else { tight };
    Limits {
        inbox: of(1 << 20, 3_000),
        events: of(4096, 8),
        sessions: of(65_536, 6),
        openings: of(1024, 2),
        routes: of(65_536, 12),
        forward: of(1 << 20, 20_000),
        watches: of(1024, 2),
        session_send: of(1 << 20, 30_000),
        session_receive: of(1 << 20, 30_000),
        ..Limits::default()
    }
}

/// What two hubs have said to each other by hand, and all that they said to their owner.
struct Pair {
    rigs: [Rig<Hub>; 2],
    /// The relay's side of the connection, then the other.
    ports: [PortId; 2],
    cutting: Cutting,
    dice: Rng,
    events: [Vec<Event>; 2],
}

const SIZES: [usize; 9] = [0, 1, 100, 1_000, 5_000, 16_000, 17_000, 70_000, 3];

impl Pair {
    fn new(kind: &str, cutting: Cutting, seed: u64) -> Self {
        let options = Options::default();
        let mut rigs = [0, 1].map(|n| {
            let hub = Hub::made(n + 1, 0, n == 0, kind, &options);
            Rig::new(hub, seed + n, Log::Bytes)
        });
        rigs[0].call(|hub, cx| Board::start(hub, cx, true, kind, &options));
        let string = if kind == "ws" { "ws://192.0.2.1:7000/" } else { "tcp:192.0.2.1:7000" };
        let transport = Registry::new().dial(string, &options).unwrap();
        rigs[1].call(|hub, cx| hub.add(cx, transport, Some(1)));
        let address = "192.0.2.2:4000".parse().unwrap();
        let (listener, _) = rigs[0].questions().into_iter().next().unwrap();
        rigs[0].change(listener, PortChange::Opened { local: Some("192.0.2.1:7000".parse().unwrap()), peer: None });
        let accepted = rigs[0].accept(listener, address);
        let dials = |(_, asked): &(PortId, Asked)| matches!(asked, Asked::Open(PortSpec::Dial(_)));
        let (dialled, _) = rigs[1].questions().into_iter().find(dials).unwrap();
        rigs[1].change(dialled, PortChange::Opened { local: Some(address), peer: None });
        let dice = Rng::from_u64(seed);
        Self { rigs, ports: [accepted, dialled], cutting, dice, events: [Vec::new(), Vec::new()] }
    }

    fn until(&mut self, done: impl Fn(&[Vec<Event>; 2]) -> bool) {
        for _ in 0..1_000_000 {
            if done(&self.events) {
                return;
            }
            let moved = [self.carry(0), self.carry(1)];
            if moved == [false; 2] {
                self.rigs.iter_mut().for_each(|rig| rig.pass(Duration::from_millis(1)));
            }
        }
        panic!("stuck: {:?}", self.events);
    }

    /// Some bytes from one side to the other.
    fn carry(&mut self, side: usize) -> bool {
        let limit = self.cutting.draw(&mut self.dice);
        let filled = self.rigs[side].fill(self.ports[side], limit);
        let most = self.cutting.draw(&mut self.dice);
        let to = 1 - side;
        if self.rigs[to].ports[&self.ports[to]].paused {
            return filled;
        }
        let out = &mut self.rigs[side].ports.get_mut(&self.ports[side]).unwrap().out;
        let mut chunk: Vec<_> = out.drain(..most.min(out.len())).collect();
        if !chunk.is_empty() {
            self.rigs[to].input(Input::Receive(self.ports[to], &mut chunk));
        }
        for (rig, events) in self.rigs.iter_mut().zip(&mut self.events) {
            while let Some(event) = rig.call(Hub::next) {
                if let Event::Incoming { session, .. } = event {
                    rig.call(|hub, cx| hub.accept(cx, session));
                }
                events.push(event);
            }
        }
        filled || !chunk.is_empty()
    }
}

/// The sequence of messages that arrive on either side, and what was said in all.
fn exchange(kind: &str, cutting: Cutting, seed: u64) -> ([Vec<Vec<u8>>; 2], Vec<String>) {
    let mut pair = Pair::new(kind, cutting, seed);
    let up = |events: &Vec<Event>| events.iter().any(|event| matches!(event, Event::NeighbourUp { .. }));
    pair.until(|events| events.iter().all(up));
    let to = pair.rigs[0].machine().address();
    let session = pair.rigs[1].call(|hub, cx| hub.open(cx, to, channels()));
    let opened = |events: &Vec<Event>| {
        events.iter().find_map(|event| if let Event::Opened { session, .. } = event { Some(*session) } else { None })
    };
    pair.until(|events| events.iter().all(|events| opened(events).is_some()));
    let sessions = [opened(&pair.events[0]).unwrap(), session];
    for (side, session) in sessions.into_iter().enumerate() {
        for size in SIZES {
            pair.rigs[side].call(|hub, cx| hub.send(cx, session, ChannelId(1), &vec![size as u8; size])).unwrap();
        }
    }
    let messages = |events: &Vec<Event>| -> Vec<Vec<u8>> {
        let message = |event: &Event| if let Event::Message { bytes, .. } = event { Some(bytes.clone()) } else { None };
        events.iter().filter_map(message).collect()
    };
    pair.until(|events| events.iter().all(|events| messages(events).len() == SIZES.len()));
    for rig in &pair.rigs {
        assert!(rig.breach().is_none(), "{:?}", rig.breach());
    }
    let transcripts = pair.rigs.iter_mut().flat_map(|rig| std::mem::take(&mut rig.transcript)).collect();
    ([messages(&pair.events[0]), messages(&pair.events[1])], transcripts)
}

/// Law 13: any cutting of the stream below carries the same.
pub(crate) fn any_cutting_carries_the_same(kind: &str, seeds: u64) {
    let expected = SIZES.map(|size| vec![size as u8; size]);
    let cuttings = std::iter::once(Cutting::Whole).chain((0..seeds).map(|_| Cutting::Random));
    for (seed, cutting) in cuttings.enumerate() {
        let (messages, _) = exchange(kind, cutting, seed as u64);
        assert!(messages.iter().all(|messages| *messages == expected), "{kind}, {cutting:?}, seed {seed}");
    }
}

/// Law 7, byte for byte, as there is no TLS below.
pub(crate) fn same_seed_same_transcript(kind: &str, seeds: u64) {
    for seed in 0..seeds {
        let [first, second] = [(); 2].map(|()| exchange(kind, Cutting::Random, seed).1);
        assert_eq!(first.len(), second.len());
        assert!(first == second, "{kind}, seed {seed}");
    }
}
