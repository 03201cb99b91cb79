//! Hubs in one thread, joined by cables that count what is handed to them, and by datagrams where they find a direct
//! path.

mod sockets;

use std::collections::VecDeque;
use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::{Config, Event, Hub, Policy, Quotas, SessionId};
use switchboard::link::noise::{Identity, SecretKey};
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{Ids, LinkId, PortId};
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::transport::webrtc::{Webrtc, WebrtcConfig};
use switchboard::transport::{LinkInfo, Side, Transport, TransportCommand, TransportEvent};

use sockets::{Sent, Sockets};

/// The delay of a cable.
const DELAY: Duration = Duration::from_micros(25);

/// Hubs and the cables between them, in virtual time.
pub struct Lab {
    now: Instant,
    nodes: Vec<Node>,
    cables: Vec<[Plug; 2]>,
    under_way: VecDeque<(usize, PortId, Vec<u8>)>,
    datagrams: VecDeque<Sent>,
    /// Memory of batches that were carried.
    spare: Vec<Vec<u8>>,
    /// Datagrams, all ways.
    pub carried: u64,
}

/// One end of a cable, and what was handed to it.
#[derive(Clone, Copy)]
struct Plug {
    node: usize,
    port: PortId,
    messages: u64,
    bytes: u64,
}

struct Node {
    hub: Hub,
    rng: Rng,
    ids: Ids,
    deadline: Option<Instant>,
    ready: Vec<PortId>,
    opened: Option<PortId>,
    sockets: Sockets,
    buf: Buf,
}

/// What has happened at a hub, as far as the comparison wants to know.
#[derive(Default)]
pub struct Happened {
    pub opened: usize,
    pub messages: usize,
    /// The last change of a path was to a direct one.
    pub direct: bool,
}

impl Lab {
    /// As many hubs; those from `relays` on pass messages on.
    pub fn new(hubs: usize, relays: usize) -> Self {
        let nodes = (0..hubs).map(|n| Node::new(n, n >= relays)).collect();
        let now = Instant::from_nanos(1_000_000_000);
        Self {
            now,
            nodes,
            cables: Vec::new(),
            under_way: VecDeque::new(),
            datagrams: VecDeque::new(),
            spare: Vec::new(),
            carried: 0,
        }
    }

    /// Two hubs that may find direct paths, and the relay through which they meet.
    pub fn direct(config: &WebrtcConfig) -> Self {
        let mut lab = Self::new(3, 2);
        for n in [0, 1] {
            let now = lab.now;
            lab.nodes[n].act(now, |hub, cx| _ = hub.set_upgrade(cx, Box::new(Webrtc::new(config.clone()))));
            lab.join(n, 2);
        }
        lab
    }

    /// Opens a session from the first hub to the second, and waits until it has a direct path.
    pub fn open_direct(&mut self) -> SessionId {
        let session = self.open(0, 1);
        let mut direct = [false; 2];
        for _ in 0..10_000 {
            for n in [1, 0] {
                direct[n] |= self.look(n).direct;
            }
            if direct == [true; 2] {
                return session;
            }
            self.pass(Duration::from_millis(1));
        }
        panic!("no direct path");
    }

    /// Sends so many messages at once, as far as the session takes them, until all have arrived.
    pub fn burst(&mut self, session: SessionId, message: &[u8], count: usize) {
        let (mut unsent, mut heard) = (count, 0);
        for _ in 0..1_000_000 {
            let now = self.now;
            let sends = |hub: &mut Hub, cx: &mut Cx<'_>| hub.send(cx, session, ChannelId(1), message).is_ok();
            while unsent > 0 && self.nodes[0].act(now, sends) {
                unsent -= 1;
            }
            self.settle();
            heard += self.look(1).messages;
            if heard == count {
                return;
            }
            self.look(0);
            self.pass(DELAY);
        }
        panic!("{} messages have not arrived", count - heard);
    }

    /// Joins two hubs.
    pub fn join(&mut self, a: usize, b: usize) {
        let plugs = [a, b].map(|node| {
            let now = self.now;
            self.nodes[node].act(now, |hub, cx| _ = hub.add(cx, Box::<Wire>::default(), Some(1)));
            self.nodes[node].drain(now);
            let port = self.nodes[node].opened.take().expect("a wire opens a port");
            Plug { node, port, messages: 0, bytes: 0 }
        });
        self.cables.push(plugs);
        for Plug { node, port, .. } in plugs {
            let opened = PortChange::Opened { local: None, peer: None };
            let now = self.now;
            self.nodes[node].act(now, |hub, cx| hub.handle(cx, Input::Port(port, opened)));
        }
        self.settle();
    }

    /// Opens a session, and lets both sides come to know of it.
    pub fn open(&mut self, from: usize, to: usize) -> SessionId {
        let address = self.nodes[to].hub.address();
        let channels = vec![Channel::reliable("messages")];
        let now = self.now;
        let session = self.nodes[from].act(now, |hub, cx| hub.open(cx, address, channels));
        self.settle();
        session
    }

    /// Two hubs with so many sessions, each of which has carried a message.
    pub fn idle(sessions: usize) -> Self {
        let mut lab = Self::new(2, 2);
        lab.join(0, 1);
        lab.add_sessions(sessions);
        lab
    }

    /// Opens more sessions from the first hub to the second, and sends a message on each.
    pub fn add_sessions(&mut self, sessions: usize) {
        for _ in 0..sessions {
            let session = self.open(0, 1);
            self.look(1);
            self.look(0);
            self.send(0, session, &[7; 64]);
            assert_eq!(self.look(1).messages, 1, "a message has not arrived");
        }
    }

    /// Sends one message on the only channel of a session.
    pub fn send(&mut self, from: usize, session: SessionId, message: &[u8]) {
        let now = self.now;
        let sent = self.nodes[from].act(now, |hub, cx| hub.send(cx, session, ChannelId(1), message));
        sent.expect("a session takes a message");
        self.settle();
    }

    /// Takes what a hub has to tell, and accepts who comes.
    pub fn look(&mut self, node: usize) -> Happened {
        let mut happened = Happened::default();
        let now = self.now;
        while let Some(event) = self.nodes[node].act(now, |hub, cx| hub.next(cx)) {
            match event {
                Event::Incoming { session, .. } => self.nodes[node].act(now, |hub, cx| hub.accept(cx, session)),
                Event::Opened { .. } => happened.opened += 1,
                Event::Message { .. } => happened.messages += 1,
                Event::Path { path, .. } => happened.direct = path.direct,
                Event::Closed { reason, .. } => panic!("a session has ended: {reason}"),
                Event::Disconnected { .. } => panic!("a session has lost its path"),
                _ => {}
            }
        }
        self.settle();
        happened
    }

    /// Messages and bytes that one hub has handed to the cable to another.
    pub fn handed(&self, from: usize, to: usize) -> (u64, u64) {
        let plugs = self.cables.iter().flat_map(|[a, b]| [(a, b.node), (b, a.node)]);
        let mut between = plugs.filter(|(plug, other)| plug.node == from && *other == to);
        between.next().map(|(plug, _)| (plug.messages, plug.bytes)).expect("they are joined")
    }

    /// Lets time pass, and all happen that is due meanwhile; answers how often a hub was woken by its deadline.
    pub fn pass(&mut self, time: Duration) -> usize {
        let end = self.now + time;
        let mut timeouts = 0;
        loop {
            let due = self.nodes.iter().filter_map(|node| node.deadline).min().filter(|due| *due <= end);
            self.now = due.map_or(end, |due| due.max(self.now));
            let Some(due) = due else { return timeouts };
            let now = self.now;
            for node in self.nodes.iter_mut().filter(|node| node.deadline.is_some_and(|at| at <= due)) {
                node.act(now, |hub, cx| hub.handle(cx, Input::Timeout));
                timeouts += 1;
            }
            self.settle();
        }
    }

    /// Carries until nothing is under way any more.
    fn settle(&mut self) {
        loop {
            for node in 0..self.nodes.len() {
                self.nodes[node].drain(self.now);
                while let Some(port) = self.nodes[node].ready.pop() {
                    self.fill(node, port);
                }
            }
            if self.under_way.is_empty() && self.datagrams.is_empty() {
                return;
            }
            self.now = self.now + DELAY;
            self.carry_datagrams();
            for (node, port, mut message) in std::mem::take(&mut self.under_way) {
                let now = self.now;
                self.nodes[node].act(now, |hub, cx| hub.handle(cx, Input::Receive(port, &mut message)));
                self.nodes[node].drain(now);
            }
        }
    }

    fn fill(&mut self, index: usize, port: PortId) {
        if let Some(socket) = self.nodes[index].sockets.address(port) {
            return self.fill_datagrams(index, port, socket);
        }
        let node = &mut self.nodes[index];
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut node.rng, ids: &mut node.ids };
        if node.hub.fill(&mut cx, port, &mut node.buf) == Fill::More {
            node.ready.push(port);
        }
        let (cable, end) = find(&self.cables, index, port);
        let to = self.cables[cable][1 - end];
        let plug = &mut self.cables[cable][end];
        let mut rest = node.buf.as_slice();
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let (message, next) = after.split_at(u32::from_be_bytes(*len) as usize);
            plug.messages += 1;
            plug.bytes += message.len() as u64;
            self.under_way.push_back((to.node, to.port, message.to_vec()));
            rest = next;
        }
        node.buf.vec().clear();
        node.drain(self.now);
    }
}

fn find(cables: &[[Plug; 2]], node: usize, port: PortId) -> (usize, usize) {
    let is_it = |plug: &Plug| (plug.node, plug.port) == (node, port);
    let mut ends = cables.iter().enumerate().filter_map(|(n, ends)| Some((n, ends.iter().position(is_it)?)));
    ends.next().expect("a port is the end of a cable")
}

impl Node {
    fn new(number: usize, relays: bool) -> Self {
        let mut rng = Rng::from_u64(number as u64);
        let identity = Identity::new(SecretKey::generate(&mut rng), &mut rng);
        let policy = if relays { Policy::Open } else { Policy::Closed };
        let quotas = Quotas { sessions: usize::MAX, ..Quotas::default() };
        let hub = Hub::new(identity, Config { limits: Limits::default(), policy, quotas, ..Config::default() });
        let (ids, buf, sockets) = (Ids::new(), Buf::new(64 * 1024), Sockets::new(number));
        Self { hub, rng, ids, deadline: None, ready: Vec::new(), opened: None, sockets, buf }
    }

    fn act<R>(&mut self, now: Instant, act: impl FnOnce(&mut Hub, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        act(&mut self.hub, &mut cx)
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.act(now, |hub, cx| hub.poll(cx)) {
                Output::Port(port, PortRequest::Open(PortSpec::Host(_))) => self.opened = Some(port),
                Output::Port(port, request) => self.sockets.on_request(port, &request),
                Output::Event(_) => {}
                Output::Ready(port) => self.ready.push(port),
                Output::Wait(deadline) => {
                    self.deadline = deadline.map(|deadline| deadline.at);
                    let Some((port, change)) = self.sockets.next() else { return };
                    self.act(now, |hub, cx| hub.handle(cx, Input::Port(port, change)));
                }
            }
        }
    }
}

/// A link on which each chunk is a message; nobody needs to prove anything, and nothing is sealed.
#[derive(Default)]
struct Wire {
    port: Option<PortId>,
    link: Option<LinkId>,
    requests: Option<PortRequest>,
    up: bool,
    ready: bool,
    stopped: bool,
    kept: VecDeque<Vec<u8>>,
}

impl Transport for Wire {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        match input {
            Input::Command(TransportCommand::Start) => {
                self.port = Some(cx.ids.port());
                self.requests = Some(PortRequest::Open(PortSpec::Host("cable".to_owned())));
            }
            Input::Port(_, PortChange::Opened { .. }) => {
                self.link = Some(cx.ids.link());
                self.up = true;
            }
            Input::Receive(_, data) => self.deliver(Payload::Borrowed(data), upper),
            Input::Command(TransportCommand::Wake(_)) => self.ready = true,
            Input::Command(TransportCommand::Resume(_)) => self.resume(upper),
            Input::Command(command) => panic!("no link of the comparison ends: {command:?}"),
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<TransportEvent> {
        let Some(port) = self.port else { return Output::Wait(None) };
        if let Some(request) = self.requests.take() {
            return Output::Port(port, request);
        }
        if let Some(link) = self.link.filter(|_| std::mem::take(&mut self.up)) {
            let info = LinkInfo { side: Side::InProcess, ..LinkInfo::default() };
            return Output::Event(TransportEvent::Up(link, info));
        }
        if std::mem::take(&mut self.ready) {
            return Output::Ready(port);
        }
        Output::Wait(None)
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        let Some(link) = self.link else { return Fill::Done };
        while !buf.is_full() {
            if !upper.supply(link, &mut Chunks(buf)) {
                return Fill::Done;
            }
        }
        Fill::More
    }
}

impl Wire {
    fn deliver(&mut self, message: Payload<'_>, upper: &mut dyn Upper) {
        let Some(link) = self.link else { return };
        if self.stopped {
            return self.kept.push_back(message.into_vec());
        }
        self.stopped = upper.deliver(link, Kind::Binary, message) == Flow::Stop;
    }

    fn resume(&mut self, upper: &mut dyn Upper) {
        self.stopped = false;
        while let Some(message) = self.kept.pop_front() {
            self.deliver(Payload::Owned(message), upper);
            if self.stopped {
                return;
            }
        }
    }
}

/// Messages behind their lengths.
struct Chunks<'a>(&'a mut Buf);

impl Framer for Chunks<'_> {
    fn message(&mut self, _: Kind, head: &[u8], body: &[u8]) {
        self.0.extend(&((head.len() + body.len()) as u32).to_be_bytes());
        self.0.extend(head);
        self.0.extend(body);
    }

    fn room(&self) -> usize {
        self.0.room()
    }
}
