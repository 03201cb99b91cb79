//! Two hubs that know a relay, and what lies between them: named pipes with delays, losses and cuts, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use switchboard::connect::{Options, Registry};
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::explain::Explanation;
use switchboard::hub::{Config, Event, Hub, PathPolicy, Policy, ServersFor, SessionId};
use switchboard::link::noise::{Identity, SecretKey};
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{Ids, PortId};
use switchboard::machine::limits::Limits;
use switchboard::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Fill, Input, Machine as _, Output};
use switchboard::transport::upgrade::PeerState;
use switchboard::wire::servers::GrantedServer;

use super::pipes::{Dials, Pipes};

pub(crate) const A: usize = 1;
pub(crate) const B: usize = 2;
const RELAYED: Duration = Duration::from_millis(15);
const DIRECT: Duration = Duration::from_millis(5);

/// One hub and its surroundings.
pub(crate) struct Node {
    pub(crate) hub: Hub,
    ids: Ids,
    rng: Rng,
    deadline: Option<Instant>,
    pub(crate) dials: Arc<Dials>,
    pub(crate) events: Vec<(Instant, Event)>,
    pub(crate) accepts: bool,
}

/// A pipe, which exists once both ends have opened it.
#[derive(Default)]
struct Pipe {
    ends: Vec<(usize, PortId)>,
    last: [Instant; 2],
    stalled: Vec<(usize, Vec<u8>)>,
}

enum Later {
    Change(usize, PortId, PortChange),
    Bytes(usize, PortId, Vec<u8>),
}

pub(crate) struct Town {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    rng: Rng,
    pipes: BTreeMap<String, Pipe>,
    later: BTreeMap<(Instant, u64), Later>,
    sequence: u64,
    /// What those two send each other directly is lost.
    pub(crate) cut: [bool; 3],
    /// Whether direct pipes open at all.
    pub(crate) opens: bool,
    pub(crate) loss: f64,
}

impl Town {
    /// The relay, A and B; both have upgrades unless told otherwise.
    pub(crate) fn new(seed: u64, upgrades: [bool; 2]) -> Self {
        let now = Instant::ZERO + Duration::from_secs(1_000);
        let nodes = (0..3).map(|n| Node::new(seed, n)).collect();
        let mut town = Self {
            now,
            nodes,
            rng: Rng::from_u64(seed),
            pipes: BTreeMap::new(),
            later: BTreeMap::new(),
            sequence: 0,
            cut: [false; 3],
            opens: true,
            loss: 0.0,
        };
        for node in [A, B] {
            let name = format!("pair:relay-{node}");
            for end in [0, node] {
                let transport = Registry::new().dial(&name, &Options::default()).unwrap();
                town.act(end, |hub, cx| hub.add(cx, transport, (end != 0).then_some(1)));
            }
            if upgrades[node - 1] {
                town.upgrade(node);
            }
        }
        town.run_for(Duration::from_secs(1));
        town
    }

    pub(crate) fn upgrade(&mut self, node: usize) {
        let pipes = Pipes::new(self.nodes[node].dials.clone());
        self.act(node, |hub, cx| hub.set_upgrade(cx, Box::new(pipes)));
    }

    /// A town in which A has opened a session to B, a moment ago.
    pub(crate) fn met(seed: u64, channels: &[Channel]) -> (Self, [SessionId; 2]) {
        let mut town = Self::new(seed, [true; 2]);
        let sessions = town.meet(channels, PathPolicy::PreferDirect);
        (town, sessions)
    }

    pub(crate) fn meet(&mut self, channels: &[Channel], policy: PathPolicy) -> [SessionId; 2] {
        let to = self.nodes[B].hub.address();
        let channels = channels.to_vec();
        let ours = self.act(A, |hub, cx| hub.open_by(cx, to, channels, policy));
        self.run_for(Duration::from_secs(1));
        [ours, self.incoming()]
    }

    pub(crate) fn incoming(&self) -> SessionId {
        let incoming = |(_, event): &(_, Event)| match event {
            Event::Incoming { session, .. } => Some(*session),
            _ => None,
        };
        self.nodes[B].events.iter().rev().find_map(incoming).unwrap()
    }

    pub(crate) fn act<T>(&mut self, node: usize, call: impl FnOnce(&mut Hub, &mut Cx<'_>) -> T) -> T {
        self.timers(node);
        let Node { hub, ids, rng, .. } = &mut self.nodes[node];
        let result = call(hub, &mut Cx { now: self.now, unix: Duration::ZERO, rng, ids });
        self.drain(node);
        result
    }

    pub(crate) fn explain(&mut self, node: usize, session: SessionId) -> Explanation {
        self.act(node, |hub, cx| hub.explain(cx, session)).unwrap()
    }

    pub(crate) fn is_direct(&self, node: usize, session: SessionId) -> bool {
        self.nodes[node].hub.path(session).is_some_and(|path| path.direct)
    }

    pub(crate) fn send(&mut self, node: usize, session: SessionId, channel: ChannelId, bytes: &[u8]) -> bool {
        self.act(node, |hub, cx| hub.send(cx, session, channel, bytes)).is_ok()
    }

    pub(crate) fn messages(&self, node: usize) -> impl Iterator<Item = (Instant, ChannelId, &[u8])> {
        self.nodes[node].events.iter().filter_map(|(at, event)| match event {
            Event::Message { channel, bytes, .. } => Some((*at, *channel, &bytes[..])),
            _ => None,
        })
    }

    pub(crate) fn states(&self, node: usize) -> Vec<PeerState> {
        let state = |(_, event): &(_, Event)| if let Event::Peer { state, .. } = event { Some(*state) } else { None };
        self.nodes[node].events.iter().filter_map(state).collect()
    }

    pub(crate) fn opened(&self, node: usize) -> usize {
        self.nodes[node].dials.opened.load(Ordering::Relaxed)
    }

    pub(crate) fn here(&self, node: usize) -> usize {
        self.nodes[node].dials.here.load(Ordering::Relaxed)
    }

    /// Both directions, or one.
    pub(crate) fn cut(&mut self, from: [bool; 2]) {
        self.cut = [false, from[0], from[1]];
    }

    /// What nothing may get lost of goes on its way again.
    pub(crate) fn heal(&mut self) {
        self.cut = [false; 3];
        let names: Vec<_> = self.pipes.keys().cloned().collect();
        for name in names {
            let stalled = self.pipes.get_mut(&name).map(|pipe| std::mem::take(&mut pipe.stalled));
            for (from, bytes) in stalled.into_iter().flatten() {
                self.carry(&name, from, bytes);
            }
        }
    }

    /// Nothing happens to anybody for that long, as in a sleep.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(until, |_| false);
    }

    pub(crate) fn run_until(&mut self, until: Instant, holds: impl Fn(&Self) -> bool) -> bool {
        let mut steps = 0u64;
        while !holds(self) {
            let later = self.later.keys().next().map(|(at, _)| *at);
            let deadlines = self.nodes.iter().filter_map(|node| node.deadline);
            let Some(next) = later.into_iter().chain(deadlines).min().filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            self.step();
            steps += 1;
            assert!(steps < 2_000_000, "it spins at {}", self.now);
        }
        if !holds(self) {
            self.now = self.now.max(until);
        }
        holds(self)
    }

    fn step(&mut self) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Later::Change(node, port, change) => self.give(node, Input::Port(port, change)),
                Later::Bytes(node, port, mut bytes) => self.give(node, Input::Receive(port, &mut bytes)),
            }
        }
        (0..self.nodes.len()).for_each(|node| self.timers(node));
    }

    /// What is due comes before all else.
    fn timers(&mut self, node: usize) {
        if self.nodes[node].deadline.take_if(|at| *at <= self.now).is_some() {
            self.give(node, Input::Timeout);
        }
    }

    fn give(&mut self, node: usize, input: Input<'_, std::convert::Infallible>) {
        self.act(node, |hub, cx| hub.handle(cx, input));
    }

    fn drain(&mut self, node: usize) {
        loop {
            let Node { hub, ids, rng, .. } = &mut self.nodes[node];
            match hub.poll(&mut Cx { now: self.now, unix: Duration::ZERO, rng, ids }) {
                Output::Port(port, request) => self.request(node, port, request),
                Output::Event(_) => self.listen(node),
                Output::Ready(port) => self.fill(node, port),
                Output::Wait(deadline) => {
                    assert!(deadline.is_none_or(|deadline| deadline.at > self.now), "{deadline:?} at {}", self.now);
                    self.nodes[node].deadline = deadline.map(|deadline| deadline.at);
                    return;
                }
            }
        }
    }

    fn listen(&mut self, node: usize) {
        loop {
            let Node { hub, ids, rng, events, accepts, .. } = &mut self.nodes[node];
            let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng, ids };
            let Some(event) = hub.next(&mut cx) else { return };
            if let (Event::Incoming { session, .. }, true) = (&event, *accepts) {
                hub.accept(&mut cx, *session);
            }
            events.push((self.now, event));
        }
    }

    fn request(&mut self, node: usize, port: PortId, request: PortRequest) {
        match request {
            PortRequest::Open(PortSpec::Host(name)) => self.open(node, port, name),
            PortRequest::Abort | PortRequest::Finish => self.end(node, port),
            PortRequest::Open(_) | PortRequest::Resolve(_) => panic!("{request:?}"),
            PortRequest::Pause | PortRequest::Resume => {}
        }
    }

    fn open(&mut self, node: usize, port: PortId, name: String) {
        if name.starts_with("direct") && !self.opens {
            return;
        }
        let delay = delay(&name);
        let pipe = self.pipes.entry(name).or_default();
        pipe.ends.push((node, port));
        if pipe.ends.len() == 2 {
            for (node, port) in pipe.ends.clone() {
                self.later(delay, Later::Change(node, port, PortChange::Opened { local: None, peer: None }));
            }
        }
    }

    /// The other end of a direct pipe hears nothing of it, as with datagrams.
    fn end(&mut self, node: usize, port: PortId) {
        let Some(name) = self.name_of(node, port) else { return };
        let Some(pipe) = self.pipes.remove(&name) else { return };
        for (other, port) in pipe.ends.into_iter().filter(|end| end.0 != node && !name.starts_with("direct")) {
            self.later(Duration::ZERO, Later::Change(other, port, PortChange::Failed(PortError::Reset)));
        }
    }

    fn name_of(&self, node: usize, port: PortId) -> Option<String> {
        self.pipes.iter().find(|(_, pipe)| pipe.ends.contains(&(node, port))).map(|(name, _)| name.clone())
    }

    fn fill(&mut self, node: usize, port: PortId) {
        loop {
            let mut buf = Buf::new(16 * 1024);
            let Node { hub, ids, rng, .. } = &mut self.nodes[node];
            let fill = hub.fill(&mut Cx { now: self.now, unix: Duration::ZERO, rng, ids }, port, &mut buf);
            if !buf.is_empty()
                && let Some(name) = self.name_of(node, port)
            {
                self.carry(&name, node, buf.as_slice().to_vec());
            }
            if fill == Fill::Done {
                return;
            }
        }
    }

    fn carry(&mut self, name: &str, from: usize, bytes: Vec<u8>) {
        let is_direct = name.starts_with("direct");
        let quick = name.ends_with("quick");
        let lost = quick && (self.cut[from] || self.rng.chance(self.loss));
        let Some(pipe) = self.pipes.get_mut(name).filter(|_| !lost) else { return };
        if is_direct && self.cut[from] {
            return pipe.stalled.push((from, bytes));
        }
        let Some(&(to, port)) = pipe.ends.iter().find(|end| end.0 != from) else { return };
        let side = usize::from(from < to);
        pipe.last[side] = pipe.last[side].max(self.now + delay(name));
        let after = pipe.last[side].since(self.now);
        self.later(after, Later::Bytes(to, port, bytes));
    }

    fn later(&mut self, after: Duration, what: Later) {
        self.sequence += 1;
        self.later.insert((self.now + after, self.sequence), what);
    }
}

fn delay(name: &str) -> Duration {
    if name.starts_with("direct") { DIRECT } else { RELAYED }
}

impl Node {
    fn new(seed: u64, n: usize) -> Self {
        let mut rng = Rng::from_u64(seed << 8 | n as u64);
        let identity = Identity::new(SecretKey::generate(&mut rng), &mut rng);
        let policy = if n == 0 { Policy::Open } else { Policy::Closed };
        let grant = |uri: &str| GrantedServer {
            uri: uri.into(),
            username: "me".into(),
            credential: "word".to_owned().into(),
            lifetime: 600,
        };
        let servers_for =
            (n == 0).then(|| ServersFor::new(move |_, _| vec![grant("turn:relay.test"), grant("of:tomorrow")]));
        let limits = Limits { ping_after: None, ..Limits::default() };
        let hub = Hub::new(identity, Config { policy, limits, servers_for, ..Config::default() });
        let (ids, dials) = (Ids::new(), Arc::new(Dials::default()));
        Self { hub, ids, rng, deadline: None, dials, events: Vec::new(), accepts: true }
    }
}
