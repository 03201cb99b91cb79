//! A program with one UDP socket: it says what it is told to, hears, and answers if it is an echo.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::datagram::{Datagram, Ecn, Transmit};
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use switchboard::sim::{HostId, NetId, World};

/// A datagram that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) source: SocketAddr,
    pub(crate) ecn: Option<Ecn>,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Talker {
    bind: Option<SocketAddr>,
    is_echo: bool,
    /// Says its word to somebody each time that passes.
    beat: Option<(Duration, SocketAddr, Instant)>,
    requests: VecDeque<(PortId, PortRequest)>,
    outbox: VecDeque<(Transmit, Vec<u8>)>,
    port: Option<PortId>,
    is_open: bool,
    pub(crate) heard: Vec<Heard>,
    pub(crate) failed: Option<PortError>,
    pub(crate) unix: Duration,
    ready: bool,
}

impl Talker {
    pub(crate) fn on(address: SocketAddr) -> Self {
        Self { bind: Some(address), ..Self::default() }
    }

    pub(crate) fn echo(address: SocketAddr) -> Self {
        Self { is_echo: true, ..Self::on(address) }
    }

    pub(crate) fn start(&mut self, cx: &mut Cx<'_>) {
        let (port, address) = (cx.ids.port(), self.bind.expect("a talker has an address"));
        self.requests.push_back((port, PortRequest::Open(PortSpec::Bind(address))));
        self.port = Some(port);
    }

    pub(crate) fn say(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.transmit(Transmit::to(to, bytes.len().max(1)), bytes);
    }

    pub(crate) fn transmit(&mut self, transmit: Transmit, bytes: &[u8]) {
        self.outbox.push_back((transmit, bytes.to_vec()));
        self.ready = true;
    }

    pub(crate) fn beat(&mut self, now: Instant, every: Duration, to: SocketAddr) {
        self.beat = Some((every, to, now + every));
    }
}

impl Machine for Talker {
    type Command = ();
    type Event = usize;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        self.unix = cx.unix;
        match input {
            Input::Datagrams(_, datagrams) => {
                for Datagram { source, ecn, data, .. } in datagrams {
                    if self.is_echo {
                        self.say(source, data);
                    }
                    self.heard.push(Heard { at: cx.now, source, ecn, bytes: data.to_vec() });
                }
            }
            Input::Port(_, PortChange::Opened { .. }) => self.is_open = true,
            Input::Port(_, PortChange::Failed(error)) => self.failed = Some(error),
            Input::Timeout => {
                while let Some((every, to, next)) = self.beat
                    && next <= cx.now
                {
                    self.say(to, b"beat");
                    self.beat = Some((every, to, next + every));
                }
            }
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<usize> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let (true, true, Some(port)) = (self.ready, self.is_open, self.port) {
            self.ready = false;
            return Output::Ready(port);
        }
        Output::Wait(self.beat.map(|(_, _, next)| Deadline::new(next, "beat")))
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf) -> Fill {
        match self.outbox.pop_front() {
            Some((transmit, bytes)) => {
                buf.extend(&bytes);
                Fill::Datagrams(transmit)
            }
            None => Fill::Done,
        }
    }
}

pub(crate) fn any(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}

pub(crate) fn any_v6(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

/// A talker on UDP port 5000 of a new host.
pub(crate) fn talker(world: &mut World<Talker>, net: NetId, name: &str) -> HostId {
    add(world, net, name, Talker::on(any(5000)))
}

pub(crate) fn add(world: &mut World<Talker>, net: NetId, name: &str, talker: Talker) -> HostId {
    let host = world.host_in(net, name, talker);
    world.act(host, Talker::start);
    host
}

/// Where a host's socket is, as its neighbours see it.
pub(crate) fn place(world: &World<Talker>, host: HostId) -> SocketAddr {
    SocketAddr::new(world.address(host), 5000)
}

pub(crate) fn say(world: &mut World<Talker>, from: HostId, to: SocketAddr, bytes: &[u8]) {
    world.act(from, |talker, _| talker.say(to, bytes));
}

/// What a host has heard, as text.
pub(crate) fn words(world: &World<Talker>, host: HostId) -> Vec<String> {
    world.machine(host).heard.iter().map(|heard| String::from_utf8_lossy(&heard.bytes).into_owned()).collect()
}
