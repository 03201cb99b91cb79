//! Rigs and what lies between them: cut up, delayed, damaged or broken, as dice or a test say.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use switchboard::connect::{AnyTransport, Options, Registry};
use switchboard::machine::Input;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::payload::Kind;
use switchboard::machine::port::{PortChange, PortError, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::transport::alone::{AloneEvent, Message, SendError};
use switchboard::transport::{Reconnect, TransportCommand, TransportEvent};

use crate::common::{self, Node};
use crate::rig::{Asked, Log, Port, Rig};
use crate::subject::{Answer, Order, Subject};

pub(crate) const LISTENER: usize = 0;
/// The first; others may follow.
pub(crate) const DIALLER: usize = 1;

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
    /// The listener's side, then the dialler's: the end and its port.
    sides: [(usize, PortId); 2],
    /// Whose end of the stream has been told to the other.
    finished: [bool; 2],
}

/// A listener, its diallers, and their connections.
pub(crate) struct Wire<M: Subject = Node> {
    pub(crate) ends: Vec<Rig<M>>,
    pub(crate) received: Vec<Vec<Message>>,
    /// What was carried from each end, all connections in one.
    pub(crate) carried: Vec<Vec<u8>>,
    /// Whether what has come is taken at once.
    pub(crate) takes: bool,
    pub(crate) cutting: Cutting,
    pub(crate) dice: Rng,
    cables: Vec<Cable>,
}

impl Wire {
    /// With one dialler.
    pub(crate) fn new(kind: &str, seed: u64, options: &Options) -> Self {
        Self::star(kind, seed, options, 1)
    }

    /// One random thing, faults included if they are allowed.
    pub(crate) fn shake(&mut self, faults: bool) {
        let end = self.dice.below(self.ends.len() as u64) as usize;
        let from = self.dice.below(2) as usize;
        let cable = self.dice.below(self.cables.len().max(1) as u64) as usize;
        match self.dice.below(if faults { 186 } else { 180 }) {
            0..15 => _ = self.answer(end, faults),
            15..70 => self.fill_some(end),
            70..130 if cable < self.cables.len() => {
                let most = self.cutting.draw(&mut self.dice);
                self.carry(cable, from, most);
            }
            130..138 if cable < self.cables.len() => _ = self.finish(cable, from),
            138..146 if cable < self.cables.len() => _ = self.tidy(cable),
            146..160 => _ = self.take(),
            160..168 => self.ends[end].input(Input::Timeout),
            168..176 => {
                let time = Duration::from_micros(mostly_small(&mut self.dice, 20) as u64);
                self.ends[end].pass(time);
            }
            176 => self.ends[end].pass_to_deadline(),
            177..180 => self.ask_for_the_dead(end),
            180..184 => self.damage(end),
            184 => self.break_one(end),
            185 => self.cut_short(from),
            _ => {}
        }
        self.judge();
    }

    /// Links that have died, or were never stopped, may be named by the layer above.
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
}

impl<M: Subject> Wire<M> {
    /// With that many diallers.
    pub(crate) fn star(kind: &str, seed: u64, options: &Options, diallers: usize) -> Self {
        let rig = |end| {
            let machine = M::made(transport(kind, end, options), options.limits.clone());
            let mut rig = Rig::new(machine, seed_of(seed, end), log(kind));
            rig.call(|machine, cx| machine.order(cx, Order::Start));
            rig
        };
        Self {
            ends: (0..=diallers).map(rig).collect(),
            received: vec![Vec::new(); diallers + 1],
            carried: vec![Vec::new(); diallers + 1],
            takes: true,
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
        panic!("{what}: never; {:?}", self.ends.iter().map(|end| &end.events).collect::<Vec<_>>());
    }

    /// Does all that can be done at this moment, once. False: there is nothing.
    pub(crate) fn advance(&mut self) -> bool {
        let mut any = false;
        for end in 0..self.ends.len() {
            any |= self.answer(end, false);
            for port in self.ends[end].streams() {
                let limit = self.cutting.draw(&mut self.dice);
                any |= self.ends[end].fill(port, limit);
            }
        }
        for cable in (0..self.cables.len()).rev() {
            for from in [1, 0] {
                let most = self.cutting.draw(&mut self.dice);
                any |= self.carry(cable, from, most) | self.finish(cable, from);
            }
            any |= self.tidy(cable);
        }
        any | (self.takes && self.take())
    }

    /// The links that are up.
    pub(crate) fn links(&self, end: usize) -> Vec<LinkId> {
        let mut links = Vec::new();
        for event in &self.ends[end].events {
            match event {
                AloneEvent::Transport(TransportEvent::Up(link, _)) => links.push(*link),
                AloneEvent::Transport(TransportEvent::Down(link, _)) => links.retain(|up| up != link),
                _ => {}
            }
        }
        links
    }

    pub(crate) fn send(&mut self, end: usize, link: LinkId, kind: Kind, bytes: &[u8]) -> Result<(), SendError> {
        match self.ends[end].call(|machine, cx| machine.order(cx, Order::Send(link, kind, bytes))) {
            Answer::Sent(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn close(&mut self, end: usize, link: LinkId) {
        self.ends[end].call(|machine, cx| machine.order(cx, Order::Close(link)));
    }

    pub(crate) fn stop(&mut self, end: usize) {
        self.ends[end].call(|machine, cx| machine.order(cx, Order::Stop));
    }

    pub(crate) fn has_stopped(&self, end: usize) -> bool {
        self.ends[end].events.contains(&AloneEvent::Transport(TransportEvent::Stopped))
    }

    /// Takes in what was received.
    pub(crate) fn take(&mut self) -> bool {
        let mut any = false;
        for (end, received) in self.ends.iter_mut().zip(&mut self.received) {
            while let Answer::Received(Some(message)) = end.call(|machine, cx| machine.order(cx, Order::Recv)) {
                received.push(message);
                any = true;
            }
        }
        any
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
            Asked::Name(_) => {
                PortChange::Resolved(["10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap()).into_iter().collect())
            }
            Asked::Open(PortSpec::Listen(_)) if fails => PortChange::Failed(PortError::AddressInUse),
            Asked::Open(PortSpec::Listen(_)) => PortChange::Opened { local, peer: None },
            Asked::Open(PortSpec::Addresses) if fails => PortChange::Failed(PortError::Unsupported),
            Asked::Open(PortSpec::Addresses) => return self.list(end, port),
            Asked::Open(_) if fails => PortChange::Failed(PortError::TimedOut),
            Asked::Open(_) => return self.connect(end, port),
            Asked::Accepted => return false,
        };
        self.ends[end].change(port, change);
        true
    }

    fn list(&mut self, end: usize, port: PortId) -> bool {
        self.ends[end].change(port, PortChange::Opened { local: None, peer: None });
        let addresses = ["127.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap()).into_iter().collect();
        self.ends[end].change(port, PortChange::Addresses(addresses));
        true
    }

    fn connect(&mut self, end: usize, port: PortId) -> bool {
        let listener = self.ends[LISTENER]
            .ports
            .iter()
            .find(|(_, state)| state.open && matches!(state.asked, Asked::Open(PortSpec::Listen(_))));
        let Some((&listener, _)) = listener else {
            self.ends[end].change(port, PortChange::Failed(PortError::Refused));
            return true;
        };
        let accepted = self.ends[LISTENER].accept(listener, ADDRESS.parse().unwrap());
        self.cables.push(Cable { sides: [(LISTENER, accepted), (end, port)], finished: [false; 2] });
        self.ends[end].change(port, PortChange::Opened { local: None, peer: Some(ADDRESS.parse().unwrap()) });
        true
    }

    fn fill_some(&mut self, end: usize) {
        let limit = self.cutting.draw(&mut self.dice);
        let streams = self.ends[end].streams();
        if let Some(port) = streams.get(self.dice.below(streams.len().max(1) as u64) as usize) {
            self.ends[end].fill(*port, limit);
        }
    }

    fn port(&mut self, (end, port): (usize, PortId)) -> Option<&mut Port> {
        self.ends[end].ports.get_mut(&port)
    }

    fn carry(&mut self, cable: usize, from: usize, most: usize) -> bool {
        let sides = self.cables[cable].sides;
        let (sender, receiver) = (sides[from], sides[1 - from]);
        if !self.port(receiver).is_some_and(|port| port.open && !port.paused && !port.ended) {
            return false;
        }
        let Some(port) = self.port(sender) else { return false };
        let mut bytes: Vec<_> = port.out.drain(..most.min(port.out.len())).collect();
        if bytes.is_empty() {
            return false;
        }
        self.carried[sender.0].extend_from_slice(&bytes);
        self.ends[receiver.0].input(Input::Receive(receiver.1, &mut bytes));
        true
    }

    /// Tells one side that the other sends no more, once that is so.
    fn finish(&mut self, cable: usize, from: usize) -> bool {
        let Cable { sides, finished } = self.cables[cable];
        let (sender, receiver) = (sides[from], sides[1 - from]);
        let hears = self.port(receiver).is_some_and(|port| port.open && !port.paused);
        let ends = self.port(sender).is_some_and(|port| port.finished && port.out.is_empty());
        if finished[from] || !hears || !ends {
            return false;
        }
        self.cables[cable].finished[from] = true;
        if !finished[1 - from] {
            self.ends[receiver.0].change(receiver.1, PortChange::Eof);
            return true;
        }
        for (end, port) in [receiver, sender] {
            self.ends[end].change(port, PortChange::Closed);
        }
        true
    }

    /// Breaks a connection of which one side has gone, and forgets one of which both have.
    fn tidy(&mut self, cable: usize) -> bool {
        let sides = self.cables[cable].sides;
        if sides.iter().all(|side| self.port(*side).is_some()) {
            return false;
        }
        for (end, port) in sides {
            self.ends[end].change(port, PortChange::Failed(PortError::Reset));
        }
        self.cables.remove(cable);
        true
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
        let Some(Cable { sides, finished }) = self.cables.first() else { return };
        let (receiver, finished) = (sides[1 - from], *finished);
        let hears = self.port(receiver).is_some_and(|port| port.open && !port.paused && !port.ended);
        if hears && finished == [false; 2] {
            self.ends[receiver.0].change(receiver.1, PortChange::Eof);
        }
    }
}

const ADDRESS: &str = "10.0.0.1:7000";

/// Each end's own.
pub(crate) const fn seed_of(seed: u64, end: usize) -> u64 {
    seed << 16 | end as u64
}

fn log(kind: &str) -> Log {
    if is_sealed(kind) { Log::Sizes } else { Log::Bytes }
}

/// Whether it writes what is sealed with keys that no seed governs, as TLS does.
pub(crate) fn is_sealed(kind: &str) -> bool {
    kind == "tls" || kind == "wss"
}

pub(crate) fn transport(kind: &str, end: usize, options: &Options) -> AnyTransport {
    let registry = Registry::new();
    if end == LISTENER {
        return registry.listen(&common::string(kind, "0.0.0.0"), options).unwrap();
    }
    let options = Options { reconnect: Reconnect::After(Duration::from_millis(100)), ..options.clone() };
    registry.dial(&common::string(kind, "server.test"), &options).unwrap()
}
