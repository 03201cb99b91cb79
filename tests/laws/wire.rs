//! Two rigs and what lies between them: cut up, delayed, damaged or broken, as dice or a test say.

use std::time::Duration;

use switchboard::connect::{Options, Registry};
use switchboard::machine::Input;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::payload::Kind;
use switchboard::machine::port::{PortChange, PortError, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::transport::alone::{AloneEvent, Message, SendError};
use switchboard::transport::{Reconnect, TransportCommand, TransportEvent};

use crate::common::{self, Node};
use crate::rig::{Asked, Log, Rig};

pub(crate) const DIALLER: usize = 0;
pub(crate) const LISTENER: usize = 1;

/// Steps of a wire that goes on by itself, before it is stuck.
const STUCK: usize = 1_000_000;

/// How much is asked of one `fill` and carried at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cutting {
    /// Everything.
    Whole,
    /// One byte.
    Bytes,
    /// A random number of bytes, mostly few.
    Random,
}

impl Cutting {
    pub(crate) fn draw(self, dice: &mut Rng) -> usize {
        match self {
            Self::Whole => 1 << 17,
            Self::Bytes => 1,
            Self::Random => 1 + mostly_small(dice, 18),
        }
    }
}

/// A number below `2^bits` whose magnitude is random first.
pub(crate) fn mostly_small(dice: &mut Rng, bits: u64) -> usize {
    let bits = dice.below(bits);
    dice.below(1 << bits) as usize
}

/// One connection.
struct Cable {
    ports: [PortId; 2],
    /// Whose end of the stream has been told to the other.
    finished: [bool; 2],
}

/// A dialler, a listener, and their connections.
pub(crate) struct Wire {
    pub(crate) ends: [Rig<Node>; 2],
    pub(crate) received: [Vec<Message>; 2],
    /// What was carried from each side, all connections in one.
    pub(crate) carried: [Vec<u8>; 2],
    pub(crate) cutting: Cutting,
    pub(crate) dice: Rng,
    cables: Vec<Cable>,
}

impl Wire {
    pub(crate) fn new(kind: &str, seed: u64, options: &Options) -> Self {
        let rig = |node: Node, seed| {
            let mut rig = Rig::new(node, seed, log(kind));
            rig.call(|node, cx| node.start(cx));
            rig
        };
        Self {
            ends: [rig(dialler(kind, options), 2 * seed), rig(listener(kind, options), 2 * seed + 1)],
            received: Default::default(),
            carried: Default::default(),
            cutting: Cutting::Whole,
            dice: Rng::from_u64(seed),
            cables: Vec::new(),
        }
    }

    /// Goes on without faults until `done`; time passes only when nothing else is to do.
    #[track_caller]
    pub(crate) fn run(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..STUCK {
            if done(self) {
                return;
            }
            if !self.advance() {
                self.ends.iter_mut().for_each(Rig::pass_to_deadline);
            }
            self.judge();
        }
        panic!("{what}: never; {:?}", self.ends.each_ref().map(|end| &end.events));
    }

    /// Does all that can be done at this moment, once. False: there is nothing.
    pub(crate) fn advance(&mut self) -> bool {
        let mut any = false;
        for end in [LISTENER, DIALLER] {
            any |= self.answer(end, false);
            for port in self.ends[end].streams() {
                let limit = self.cutting.draw(&mut self.dice);
                any |= self.ends[end].fill(port, limit);
            }
        }
        for cable in (0..self.cables.len()).rev() {
            for from in [DIALLER, LISTENER] {
                let most = self.cutting.draw(&mut self.dice);
                any |= self.carry(cable, from, most) | self.finish(cable, from);
            }
            any |= self.tidy(cable);
        }
        any | self.take()
    }

    /// One random thing, faults included if they are allowed.
    pub(crate) fn shake(&mut self, faults: bool) {
        let end = self.dice.below(2) as usize;
        let cable = self.dice.below(self.cables.len().max(1) as u64) as usize;
        match self.dice.below(if faults { 32 } else { 28 }) {
            0..3 => _ = self.answer(end, faults),
            3..12 => self.fill_some(end),
            12..20 if cable < self.cables.len() => {
                let most = self.cutting.draw(&mut self.dice);
                self.carry(cable, end, most);
            }
            20 if cable < self.cables.len() => _ = self.finish(cable, end),
            21 if cable < self.cables.len() => _ = self.tidy(cable),
            22 | 23 => _ = self.take(),
            24 => self.ends[end].input(Input::Timeout),
            25 => {
                let time = Duration::from_micros(mostly_small(&mut self.dice, 22) as u64);
                self.ends[end].pass(time);
            }
            26 => self.ends[end].pass_to_deadline(),
            27 => self.ask_for_the_dead(end),
            28 | 29 => self.damage(end),
            30 => self.break_one(end),
            31 => self.cut_short(end),
            _ => {}
        }
        self.judge();
    }

    /// The links that are up.
    pub(crate) fn links(&self, end: usize) -> Vec<LinkId> {
        self.ends[end].machine().links().collect()
    }

    pub(crate) fn send(&mut self, end: usize, link: LinkId, kind: Kind, bytes: &[u8]) -> Result<(), SendError> {
        self.ends[end].call(|node, cx| node.send(cx, link, kind, bytes))
    }

    pub(crate) fn has_stopped(&self, end: usize) -> bool {
        self.ends[end].events.contains(&AloneEvent::Transport(TransportEvent::Stopped))
    }

    /// Takes in what was received.
    pub(crate) fn take(&mut self) -> bool {
        let before = self.received.each_ref().map(Vec::len);
        for (end, received) in self.ends.iter_mut().zip(&mut self.received) {
            while let Some(message) = end.call(|node, cx| node.recv(cx)) {
                received.push(message);
            }
        }
        before != self.received.each_ref().map(Vec::len)
    }

    #[track_caller]
    fn judge(&self) {
        for end in &self.ends {
            if let Some(breach) = end.breach() {
                let last = end.transcript.len().saturating_sub(20);
                panic!("{breach}\n{}", end.transcript[last..].join("\n"));
            }
        }
    }

    /// Answers one question of a machine: to look a name up, to dial, to listen.
    fn answer(&mut self, end: usize, faults: bool) -> bool {
        let Some((port, asked)) = self.ends[end].questions().into_iter().next() else { return false };
        let fails = faults && self.dice.chance(0.3);
        let local = Some(ADDRESS.parse().unwrap());
        let change = match asked {
            Asked::Name(_) if fails => PortChange::Failed(PortError::NameNotFound),
            Asked::Name(_) => PortChange::Resolved(["10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap()).into_iter().collect()),
            Asked::Open(PortSpec::Listen(_)) if fails => PortChange::Failed(PortError::AddressInUse),
            Asked::Open(PortSpec::Listen(_)) => PortChange::Opened { local, peer: None },
            Asked::Open(_) if fails => PortChange::Failed(PortError::TimedOut),
            Asked::Open(_) => return self.connect(port),
            Asked::Accepted => return false,
        };
        self.ends[end].change(port, change);
        true
    }

    fn connect(&mut self, port: PortId) -> bool {
        let is_listener = |asked: &Asked| matches!(asked, Asked::Open(PortSpec::Listen(_)));
        let listens = |(port, state): (&PortId, &crate::rig::Port)| (state.open && is_listener(&state.asked)).then_some(*port);
        let Some(listener) = self.ends[LISTENER].ports.iter().find_map(listens) else {
            self.ends[DIALLER].change(port, PortChange::Failed(PortError::Refused));
            return true;
        };
        let accepted = self.ends[LISTENER].accept(listener, ADDRESS.parse().unwrap());
        self.cables.push(Cable { ports: [port, accepted], finished: [false; 2] });
        self.ends[DIALLER].change(port, PortChange::Opened { local: None, peer: Some(ADDRESS.parse().unwrap()) });
        true
    }

    fn fill_some(&mut self, end: usize) {
        let limit = self.cutting.draw(&mut self.dice);
        let streams = self.ends[end].streams();
        if let Some(port) = streams.get(self.dice.below(streams.len().max(1) as u64) as usize) {
            self.ends[end].fill(*port, limit);
        }
    }

    fn carry(&mut self, cable: usize, from: usize, most: usize) -> bool {
        let Cable { ports, .. } = self.cables[cable];
        let to = 1 - from;
        if !self.ends[to].ports.get(&ports[to]).is_some_and(|port| port.open && !port.paused && !port.ended) {
            return false;
        }
        let Some(sender) = self.ends[from].ports.get_mut(&ports[from]) else { return false };
        let mut bytes: Vec<_> = sender.out.drain(..most.min(sender.out.len())).collect();
        if bytes.is_empty() {
            return false;
        }
        self.carried[from].extend_from_slice(&bytes);
        self.ends[to].input(Input::Receive(ports[to], &mut bytes));
        true
    }

    /// Tells one side that the other sends no more, once that is so.
    fn finish(&mut self, cable: usize, from: usize) -> bool {
        let Cable { ports, finished } = self.cables[cable];
        let to = 1 - from;
        let hears = self.ends[to].ports.get(&ports[to]).is_some_and(|port| port.open && !port.paused);
        let ends = self.ends[from].ports.get(&ports[from]).is_some_and(|port| port.finished && port.out.is_empty());
        if finished[from] || !hears || !ends {
            return false;
        }
        self.cables[cable].finished[from] = true;
        if !finished[to] {
            self.ends[to].change(ports[to], PortChange::Eof);
            return true;
        }
        self.ends[to].change(ports[to], PortChange::Closed);
        self.ends[from].change(ports[from], PortChange::Closed);
        true
    }

    /// Breaks a connection of which one side has gone, and forgets one of which both have.
    fn tidy(&mut self, cable: usize) -> bool {
        let ports = self.cables[cable].ports;
        let lives = [0, 1].map(|end| self.ends[end].ports.contains_key(&ports[end]));
        if lives == [true, true] {
            return false;
        }
        for end in [DIALLER, LISTENER] {
            self.ends[end].change(ports[end], PortChange::Failed(PortError::Reset));
        }
        self.cables.remove(cable);
        true
    }

    /// Names that have died, and links that were never stopped, may be named by the layer above.
    fn ask_for_the_dead(&mut self, end: usize) {
        let mut links = self.links(end);
        links.extend(self.ends[end].events.iter().filter_map(|event| match event {
            AloneEvent::Transport(TransportEvent::Down(link, _)) => Some(*link),
            _ => None,
        }));
        let Some(link) = links.get(self.dice.below(links.len().max(1) as u64) as usize).copied() else { return };
        let command = [TransportCommand::Wake(link), TransportCommand::Resume(link)][self.dice.below(2) as usize];
        self.ends[end].input(Input::Command(command));
    }

    fn some_out(&mut self, end: usize) -> Option<&mut Vec<u8>> {
        self.ends[end].ports.values_mut().map(|port| &mut port.out).find(|out| !out.is_empty())
    }

    fn damage(&mut self, end: usize) {
        let (at, bit, insert) = (self.dice.u64(), self.dice.below(8), self.dice.chance(0.2));
        let Some(out) = self.some_out(end) else { return };
        let at = (at % out.len() as u64) as usize;
        out[at] ^= 1 << bit;
        if insert {
            out.insert(at, bit as u8);
        }
    }

    fn break_one(&mut self, end: usize) {
        let streams = self.ends[end].streams();
        if let Some(port) = streams.first() {
            self.ends[end].change(*port, PortChange::Failed(PortError::Reset));
        }
    }

    /// The end of a stream where its sender did not mean it to end.
    fn cut_short(&mut self, from: usize) {
        let Some(Cable { ports, finished }) = self.cables.first_mut() else { return };
        let to = 1 - from;
        let hears = self.ends[to].ports.get(&ports[to]).is_some_and(|port| port.open && !port.paused && !port.ended);
        if hears && !finished[to] && !finished[from] {
            self.ends[to].change(ports[to], PortChange::Eof);
        }
    }
}

const ADDRESS: &str = "10.0.0.1:7000";

fn log(kind: &str) -> Log {
    // What TLS writes is sealed with keys that no seed governs.
    if kind == "tls" || kind == "wss" { Log::Sizes } else { Log::Bytes }
}

pub(crate) fn dialler(kind: &str, options: &Options) -> Node {
    let options = Options { reconnect: Reconnect::After(Duration::from_millis(100)), ..options.clone() };
    let transport = Registry::new().dial(&common::string(kind, "server.test"), &options);
    Node::new(transport.unwrap(), options.limits)
}

pub(crate) fn listener(kind: &str, options: &Options) -> Node {
    common::listening(&common::string(kind, "0.0.0.0"), options)
}
