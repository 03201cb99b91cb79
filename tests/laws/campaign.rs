//! Random worlds: one listener, some diallers, and everything that can happen to them, from one seed.
//!
//! The world is the judge of laws 1 to 3 and 8 to 11. The campaign itself judges what transports promise: each
//! link is announced once and ended once, its messages come in order, once and unchanged, a link that the peer
//! has closed has delivered all that the peer sent on it, and a stopped node has no port left.

use std::collections::BTreeMap;
use std::time::Duration;

use switchboard::connect::{Options, Registry};
use switchboard::machine::ids::LinkId;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::machine::port::PortError;
use switchboard::machine::rng::Rng;
use switchboard::machine::{Input, Machine, Output};
use switchboard::sim::{HostId, World};
use switchboard::transport::alone::{AloneEvent, Message, SendError};
use switchboard::transport::{DownReason, Reconnect, TransportEvent};

use crate::subject::{Answer, Order, Subject};
use crate::wire::is_sealed;
use crate::{Named, common};

/// How often each kind of thing happened.
pub(crate) type Histogram = BTreeMap<&'static str, u64>;

/// What must have happened in any campaign; who keeps links alive by pings has more to show.
const EXPECTED: [&str; 16] = [
    "links up",
    "messages",
    "blocked sends",
    "closed here",
    "closed by the peer",
    "resets",
    "refused dials",
    "names not found",
    "handshakes too long",
    "retries",
    "given up",
    "cuts",
    "reboots",
    "early timeouts",
    "stops",
    "links delivered whole",
];

const ROUNDS: u64 = 40;
const DIALLERS: u64 = 3;
/// Longer than any deadline of the limits that are drawn, and than a dial that repeats its SYN.
const END: Duration = Duration::from_secs(300);

/// Plays that many worlds of one kind; prints what they produced, and demands some of everything.
pub(crate) fn campaign<M: Subject>(kind: &'static str, seeds: u64) {
    let options = common::options();
    let mut histogram = Histogram::new();
    for seed in 0..seeds {
        play::<M>(kind, seed, &options, &mut histogram);
    }
    println!("{kind}, {seeds} seeds: {histogram:?}");
    for what in EXPECTED.into_iter().chain(kind.starts_with("ws").then_some("silent peers")) {
        assert!(histogram.contains_key(what), "{kind}: no {what} in {seeds} seeds");
    }
}

/// Plays one world and answers its transcript.
pub(crate) fn play<M: Subject>(kind: &'static str, seed: u64, options: &Options, histogram: &mut Histogram) -> u64 {
    let _seed = Named(kind, seed);
    let mut play = Play::<M>::new(kind, seed, options, histogram);
    for _ in 0..ROUNDS {
        play.round();
    }
    play.end();
    play.world.transcript_hash()
}

/// A world whose transcript has what its seed governs.
pub(crate) fn world_of<M: Machine>(kind: &str, seed: u64) -> World<M> {
    let mut world = World::new(seed);
    if is_sealed(kind) {
        world.leave_contents_out();
    }
    world
}

struct Play<'a, M: Subject> {
    world: World<M>,
    dice: Rng,
    kind: &'static str,
    options: Options,
    nodes: Vec<Node>,
    sent: BTreeMap<Source, u64>,
    histogram: &'a mut Histogram,
}

/// A link as its sender names it: the host, how often it was started, the link.
type Source = (usize, u64, String);

struct Node {
    host: HostId,
    boots: u64,
    stopped: bool,
    gone: bool,
    links: Vec<Link>,
    idle: u64,
}

struct Link {
    id: LinkId,
    up: bool,
    closing: bool,
    blocked: bool,
    source: Option<Source>,
    received: u64,
    reason: Option<DownReason>,
}

impl<'a, M: Subject> Play<'a, M> {
    fn new(kind: &'static str, seed: u64, options: &Options, histogram: &'a mut Histogram) -> Self {
        let mut dice = Rng::from_u64(!seed);
        let limits = limits(&mut dice);
        let options = Options { limits, ..options.clone() };
        let (world, nodes, sent) = (world_of(kind, seed), Vec::new(), BTreeMap::new());
        let mut play = Self { world, dice, kind, options, nodes, sent, histogram };
        for index in 0..=1 + play.dice.below(DIALLERS) as usize {
            let machine = play.machine(index);
            let host = play.world.host(if index == 0 { "listener" } else { "dialler" }, machine);
            play.nodes.push(Node { host, boots: 0, stopped: false, gone: false, links: Vec::new(), idle: 0 });
        }
        play.world.name("server.test", &[play.nodes[0].host]);
        (0..play.nodes.len()).for_each(|index| _ = play.order(index, Order::Start));
        play
    }

    fn count(&mut self, what: &'static str) {
        *self.histogram.entry(what).or_default() += 1;
    }

    fn machine(&mut self, index: usize) -> M {
        let mut options = self.options.clone();
        options.reconnect = match self.dice.below(4) {
            0 => Reconnect::Never,
            1 => Reconnect::AtOnce,
            2 => Reconnect::After(self.time(3_000)),
            _ => Reconnect::Backoff { first: Duration::from_millis(50), cap: Duration::from_secs(5) },
        };
        let (registry, string) = (Registry::new(), |host| common::string(self.kind, host));
        let transport = if index == 0 {
            registry.listen(&string("0.0.0.0"), &options)
        } else {
            registry.dial(&string("server.test"), &options)
        };
        M::made(transport.unwrap(), options.limits)
    }

    fn time(&mut self, most_millis: u64) -> Duration {
        Duration::from_micros(1 + self.dice.below(most_millis * 1000))
    }

    fn order(&mut self, index: usize, order: Order<'_>) -> Answer {
        self.world.act(self.nodes[index].host, |machine, cx| machine.order(cx, order))
    }

    fn round(&mut self) {
        let (index, pair) = self.draw();
        match self.dice.below(32) {
            0..12 => self.send(index),
            12 => self.close(index),
            13 => self.stop(index),
            14 | 15 => self.cut(pair),
            16..19 => self.world.heal(pair.0, pair.1),
            19 | 20 => self.reboot(index),
            21 => self.kill(index),
            22 | 23 => self.early_timeout(index),
            24 => self.nodes[index].idle = 5,
            25 => self.rename(),
            26 | 27 => {
                let delay = self.time(300);
                self.world.delay(pair.0, pair.1, delay);
            }
            28 => {
                let rate = 10_000 + self.dice.below(10_000_000);
                self.world.rate(pair.0, pair.1, rate);
            }
            _ => self.pass(20_000),
        }
        self.pass(200);
    }

    /// Some node, and the listener's host with that of some dialler.
    fn draw(&mut self) -> (usize, (HostId, HostId)) {
        let index = self.dice.below(self.nodes.len() as u64) as usize;
        let dialler = 1 + self.dice.below(self.nodes.len() as u64 - 1) as usize;
        (index, (self.nodes[0].host, self.nodes[dialler].host))
    }

    fn pass(&mut self, most_millis: u64) {
        let time = self.time(most_millis);
        self.world.run_for(time).unwrap_or_else(|failure| panic!("{failure}"));
        (0..self.nodes.len()).for_each(|index| self.look(index));
    }

    fn look(&mut self, index: usize) {
        let host = self.nodes[index].host;
        for (_, event) in self.world.events(host) {
            self.note(index, event);
        }
        if self.nodes[index].gone {
            return;
        }
        if self.nodes[index].idle > 0 {
            return self.nodes[index].idle -= 1;
        }
        while let Answer::Received(Some(message)) = self.order(index, Order::Recv) {
            self.check(index, message);
        }
        for (_, event) in self.world.events(host) {
            self.note(index, event);
        }
    }

    fn note(&mut self, index: usize, event: AloneEvent) {
        match event {
            AloneEvent::Transport(TransportEvent::Up(id, _)) => self.on_up(index, id),
            AloneEvent::Transport(TransportEvent::Down(id, reason)) => self.on_down(index, id, reason),
            AloneEvent::Transport(TransportEvent::Refused(_, reason)) => self.count(name(&reason)),
            AloneEvent::Transport(TransportEvent::Retrying(_)) => self.count("retries"),
            AloneEvent::Transport(TransportEvent::Failed(_)) => self.count("given up"),
            AloneEvent::Transport(TransportEvent::Stopped) => self.nodes[index].stopped = true,
            AloneEvent::Transport(TransportEvent::Listening(_)) | AloneEvent::Readable => {}
            AloneEvent::Writable(id) => {
                let link = self.link(index, id);
                assert!(std::mem::take(&mut link.blocked), "writable and never blocked");
            }
        }
    }

    fn on_up(&mut self, index: usize, id: LinkId) {
        self.count("links up");
        let links = &mut self.nodes[index].links;
        assert!(links.iter().all(|link| link.id != id), "{id} came up twice");
        let (up, closing, blocked, source, received, reason) = (true, false, false, None, 0, None);
        links.push(Link { id, up, closing, blocked, source, received, reason });
    }

    fn on_down(&mut self, index: usize, id: LinkId, reason: DownReason) {
        self.count(name(&reason));
        let link = self.link(index, id);
        assert!(std::mem::take(&mut link.up), "{id} went down twice");
        link.reason = Some(reason);
    }

    fn link(&mut self, index: usize, id: LinkId) -> &mut Link {
        let link = self.nodes[index].links.iter_mut().find(|link| link.id == id);
        link.unwrap_or_else(|| panic!("{id} was never announced"))
    }

    /// A message names its source, its number and a letter that fills the rest.
    fn check(&mut self, index: usize, message: Message) {
        self.count("messages");
        let link = self.link(index, message.link);
        let head = message.bytes.split(|byte| *byte == b'|').next().unwrap();
        let words: Vec<_> = std::str::from_utf8(head).unwrap().split('/').collect();
        let [host, boots, name, number] = words[..] else { panic!("a message without a source") };
        let source = (host.parse().unwrap(), boots.parse().unwrap(), name.to_owned());
        let number: u64 = number.parse().unwrap();
        assert_eq!(*link.source.get_or_insert_with(|| source.clone()), source, "another link's message");
        assert_eq!(link.received, number, "lost, repeated or out of order");
        link.received += 1;
        let body = &message.bytes[head.len() + 1..];
        let odd = body.iter().position(|byte| *byte != letter(number));
        assert_eq!(odd, None, "{source:?} {number}: changed from there on");
        assert_eq!(message.kind, kind_of(number));
    }

    fn send(&mut self, index: usize) {
        let sizes = [0, 1, 100, 126, 1000, 10_000, 65_536, 100_000];
        for _ in 0..self.dice.below(30) {
            let size = sizes[self.dice.below(sizes.len() as u64) as usize];
            let node = &self.nodes[index];
            let open: Vec<_> = node.links.iter().filter(|link| link.up && !link.closing).map(|link| link.id).collect();
            if node.gone || open.is_empty() {
                return;
            }
            let id = open[self.dice.below(open.len() as u64) as usize];
            let source = (index, node.boots, id.to_string());
            let number = self.sent.get(&source).copied().unwrap_or(0);
            let mut message = format!("{}/{}/{}/{number}|", source.0, source.1, source.2).into_bytes();
            message.resize(message.len() + size, letter(number));
            match self.order(index, Order::Send(id, kind_of(number), &message)) {
                Answer::Sent(Ok(())) => _ = self.sent.insert(source, number + 1),
                Answer::Sent(Err(SendError::Blocked)) => {
                    self.link(index, id).blocked = true;
                    return self.count("blocked sends");
                }
                // It is down and the event has not been looked at.
                Answer::Sent(Err(SendError::NoLink)) => return,
                other => panic!("{other:?}"),
            }
        }
    }

    fn close(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some(link) = node.links.iter_mut().rfind(|link| link.up && !link.closing) else { return };
        if !node.gone {
            link.closing = true;
            let id = link.id;
            self.order(index, Order::Close(id));
        }
    }

    /// A node that has been stopped may be started anew by a reboot.
    fn stop(&mut self, index: usize) {
        if self.nodes[index].gone {
            return;
        }
        self.count("stops");
        self.order(index, Order::Stop);
        self.nodes[index].links.iter_mut().for_each(|link| link.closing = true);
    }

    fn cut(&mut self, (a, b): (HostId, HostId)) {
        self.count("cuts");
        self.world.cut(a, b);
    }

    fn reboot(&mut self, index: usize) {
        self.count("reboots");
        self.look(index);
        let machine = self.machine(index);
        let node = &mut self.nodes[index];
        (node.boots, node.gone, node.stopped) = (node.boots + 1, false, false);
        node.links.clear();
        self.world.reboot(node.host, machine);
        self.order(index, Order::Start);
    }

    fn kill(&mut self, index: usize) {
        self.look(index);
        self.nodes[index].gone = true;
        self.world.kill(self.nodes[index].host);
    }

    fn rename(&mut self) {
        self.world.name_fails("server.test");
        self.pass(1000);
        self.world.name("server.test", &[self.nodes[0].host]);
    }

    /// Law 3 once more, by a call: the world's own checks see inputs only.
    fn early_timeout(&mut self, index: usize) {
        if self.nodes[index].gone {
            return;
        }
        self.count("early timeouts");
        let (before, after) = self.world.act(self.nodes[index].host, |machine, cx| {
            let before = machine.poll(cx);
            machine.handle(cx, Input::Timeout);
            (before, machine.poll(cx))
        });
        assert!(matches!(before, Output::Wait(_)), "{before:?}");
        assert_eq!(before, after, "an early timeout did something");
    }

    /// Heals everything, stops everybody, and looks at what is left.
    fn end(&mut self) {
        for index in 0..self.nodes.len() {
            self.world.heal(self.nodes[0].host, self.nodes[index].host);
            self.nodes[index].idle = 0;
        }
        self.pass(20_000);
        (0..self.nodes.len()).for_each(|index| self.stop(index));
        let end = self.world.now() + END;
        while self.nodes.iter().any(|node| !node.gone && !node.stopped) {
            assert!(self.world.now() < end, "a stop has no end");
            self.pass(1000);
        }
        for index in 0..self.nodes.len() {
            self.settle(index);
        }
    }

    fn settle(&mut self, index: usize) {
        let node = &self.nodes[index];
        if node.gone {
            return;
        }
        assert_eq!(self.world.ports(node.host), 0, "ports are left");
        let mut whole = 0;
        for link in &node.links {
            assert!(!link.up, "{} has no end", link.id);
            let (Some(source), Some(DownReason::Closed(_))) = (&link.source, &link.reason) else { continue };
            assert_eq!(link.received, self.sent[source], "{source:?} was closed and messages were lost");
            whole += 1;
        }
        *self.histogram.entry("links delivered whole").or_default() += whole;
    }
}

fn limits(dice: &mut Rng) -> Limits {
    let second = Duration::from_secs(1);
    match dice.below(3) {
        0 => Limits::default(),
        1 => common::tight(),
        _ => Limits { ping_after: Some(second), pong_time: second, close_time: second, links: 2, ..Limits::default() },
    }
}

const fn letter(number: u64) -> u8 {
    b'a' + (number % 26) as u8
}

const fn kind_of(number: u64) -> Kind {
    if number.is_multiple_of(3) { Kind::Text } else { Kind::Binary }
}

const fn name(reason: &DownReason) -> &'static str {
    match reason {
        DownReason::Requested => "closed here",
        DownReason::Closed(_) => "closed by the peer",
        DownReason::Dial(switchboard::stack::dial::DialError::Resolve(_)) => "names not found",
        DownReason::Dial(_) => "refused dials",
        DownReason::Port(PortError::Reset) => "resets",
        DownReason::Port(_) => "broken ports",
        DownReason::Stream(_) => "broken streams",
        DownReason::HandshakeTimeout => "handshakes too long",
        DownReason::Silent => "silent peers",
        DownReason::CloseTimeout => "closes too long",
        DownReason::TooMany => "too many",
    }
}
