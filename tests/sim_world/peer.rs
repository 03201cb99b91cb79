//! A machine that does what a test says and tells all that it hears.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{Addrs, PortChange, PortError, PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::sim::{HostId, World};

/// What a [`Peer`] heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Opened,
    Accepted(PortId),
    Resolved(Addrs),
    Addresses(Addrs),
    Bytes(usize),
    Eof,
    Failed(PortError),
    Closed,
}

#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Whether what comes is sent back.
    pub(crate) echo: bool,
    /// All that came, by port.
    pub(crate) received: BTreeMap<PortId, Vec<u8>>,
    /// All that has still to be pulled, by port.
    pub(crate) pending: BTreeMap<PortId, VecDeque<u8>>,
    requests: VecDeque<(PortId, PortRequest)>,
    heard: VecDeque<(PortId, Heard)>,
    ready: VecDeque<PortId>,
}

impl Peer {
    pub(crate) fn echo() -> Self {
        Self { echo: true, ..Self::default() }
    }

    pub(crate) fn open(&mut self, cx: &mut Cx<'_>, spec: PortSpec) -> PortId {
        let port = cx.ids.port();
        self.request(port, PortRequest::Open(spec));
        port
    }

    pub(crate) fn resolve(&mut self, cx: &mut Cx<'_>, name: &str) -> PortId {
        let port = cx.ids.port();
        self.request(port, PortRequest::Resolve(name.into()));
        port
    }

    pub(crate) fn request(&mut self, port: PortId, request: PortRequest) {
        if request == PortRequest::Abort {
            self.forget(port);
        }
        self.requests.push_back((port, request));
    }

    pub(crate) fn send(&mut self, port: PortId, bytes: &[u8]) {
        self.pending.entry(port).or_default().extend(bytes);
        self.ready.push_back(port);
    }

    fn forget(&mut self, port: PortId) {
        self.pending.remove(&port);
        self.ready.retain(|other| *other != port);
    }

    fn on_change(&mut self, port: PortId, change: PortChange) {
        let heard = match change {
            PortChange::Opened { .. } => Heard::Opened,
            PortChange::Accepted { port, .. } => Heard::Accepted(port),
            PortChange::Resolved(addrs) => Heard::Resolved(addrs),
            PortChange::Eof => Heard::Eof,
            PortChange::Failed(error) => Heard::Failed(error),
            PortChange::Closed => Heard::Closed,
            PortChange::Addresses(addrs) => Heard::Addresses(addrs),
        };
        if matches!(heard, Heard::Failed(_) | Heard::Closed | Heard::Resolved(_)) {
            self.forget(port);
        }
        self.heard.push_back((port, heard));
    }
}

impl Machine for Peer {
    type Command = ();
    type Event = (PortId, Heard);

    fn handle(&mut self, _: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Datagrams(..) | Input::Timeout | Input::Command(()) => {}
            Input::Port(port, change) => self.on_change(port, change),
            Input::Receive(port, bytes) => {
                self.received.entry(port).or_default().extend_from_slice(bytes);
                self.heard.push_back((port, Heard::Bytes(bytes.len())));
                if self.echo {
                    self.send(port, bytes);
                }
            }
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<Self::Event> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(heard) = self.heard.pop_front() {
            return Output::Event(heard);
        }
        self.ready.pop_front().map_or(Output::Wait(None), Output::Ready)
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        let Some(pending) = self.pending.get_mut(&port) else { return Fill::Done };
        let n = pending.len().min(buf.room());
        let part: Vec<u8> = pending.drain(..n).collect();
        buf.extend(&part);
        if pending.is_empty() { Fill::Done } else { Fill::More }
    }
}

/// The moments and the words of one host, for one port.
pub(crate) fn heard<M: Machine<Event = (PortId, Heard)>>(
    world: &mut World<M>,
    host: HostId,
    port: PortId,
) -> Vec<(Instant, Heard)> {
    let events = world.events(host);
    events.into_iter().filter(|(_, (of, _))| *of == port).map(|(at, (_, heard))| (at, heard)).collect()
}

pub(crate) fn dial(world: &mut World<Peer>, host: HostId, to: SocketAddr) -> PortId {
    world.act(host, |peer, cx| peer.open(cx, PortSpec::Dial(to)))
}

pub(crate) fn listen(world: &mut World<Peer>, host: HostId, port: u16) -> PortId {
    let any = SocketAddr::from(([0, 0, 0, 0], port));
    world.act(host, |peer, cx| peer.open(cx, PortSpec::Listen(any)))
}

/// What a test about one stream needs.
pub(crate) struct Pair {
    pub(crate) world: World<Peer>,
    pub(crate) a: HostId,
    pub(crate) b: HostId,
    /// The dialled end, at `a`.
    pub(crate) here: PortId,
    /// The accepted end, at `b`.
    pub(crate) there: PortId,
}

/// A world of two hosts with an open stream between them and nothing under way.
pub(crate) fn pair(seed: u64) -> Pair {
    let mut world = World::new(seed);
    let a = world.host("a", Peer::default());
    let b = world.host("b", Peer::default());
    listen(&mut world, b, 80);
    let address = world.address(b);
    let here = dial(&mut world, a, SocketAddr::new(address, 80));
    world.run_to_quiescence(std::time::Duration::from_secs(1)).unwrap();
    let there = accepted(&mut world, b);
    world.events(a);
    Pair { world, a, b, here, there }
}

pub(crate) fn accepted(world: &mut World<Peer>, host: HostId) -> PortId {
    let events = world.events(host);
    let port = events.iter().find_map(|(_, (_, heard))| match heard {
        Heard::Accepted(port) => Some(*port),
        _ => None,
    });
    port.unwrap_or_else(|| panic!("{host} accepted nothing: {events:?}"))
}

/// Bytes that tell where they belong.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect()
}

pub(crate) fn nobody() -> SocketAddr {
    SocketAddr::new(IpAddr::from([10, 200, 0, 1]), 80)
}
