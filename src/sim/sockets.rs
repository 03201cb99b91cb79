//! The sockets of one virtual host.
//!
//! A host shares nothing with others: what it sends goes to an outbox that the world empties after each turn, and
//! what comes is handed to [`VirtualSockets::deliver`]. Readiness is told as edges, only when a stream becomes
//! readable or writable, which is as little as any real system tells.

mod arrivals;
mod faults;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::addresses::Addresses;
use super::datagrams::{self, Datagrams};
use super::packet::{Body, Key, Packet, Side};
use super::stream::{Owner, Phase, Stream, Streams};
use super::woken::Woken;
use crate::machine::conformance::Happening;
use crate::machine::datagram::{Received, Transmit};
use crate::machine::ids::{PortId, Table};
use crate::machine::pipe::{Exchange, PipeEnd};
use crate::machine::port::{Name, PortChange, PortError, PortSpec};
use crate::machine::pump::{Readiness, Sockets};
use crate::machine::time::Instant;

/// Connections of one listener that wait to be accepted; a dial of more is not answered, and repeated.
const BACKLOG: usize = 4096;
/// The first port that a dial takes.
const EPHEMERAL: u16 = 49_152;

/// The sockets of one virtual host: TCP-like streams, listeners, look-ups and in-process pipes.
#[derive(Debug)]
pub struct VirtualSockets {
    now: Instant,
    addresses: Addresses,
    boot: u32,
    connections: u32,
    next_port: u16,
    ports: Table<PortId, Socket>,
    streams: BTreeMap<Key, Stream>,
    listeners: BTreeMap<SocketAddr, Listener>,
    dialled: BTreeSet<u16>,
    settings: Streams,
    silent: BTreeSet<u16>,
    fuses: BTreeMap<IpAddr, usize>,
    datagrams: Datagrams,
    timers: BTreeSet<(Instant, Key)>,
    acks: BTreeSet<Key>,
    outbox: Vec<Sent>,
    happenings: VecDeque<(PortId, Happening)>,
    exchange: Exchange,
    woken: Woken,
}

/// What a host wants of its world.
#[derive(Debug)]
pub(super) enum Sent {
    Packet(Packet),
    Lookup(Ticket, Name),
    Wake(Ticket),
}

/// A port of one boot of a host: port names begin anew with each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) boot: u32,
    pub(super) port: PortId,
}

#[derive(Debug)]
enum Socket {
    Stream(Key),
    Listener(SocketAddr),
    Bound(SocketAddr),
    Addresses,
    Pipe { end: PipeEnd, opened: bool },
    Lookup,
}

#[derive(Debug)]
struct Listener {
    port: PortId,
    answering: usize,
    queue: VecDeque<Key>,
}

impl Sockets for VirtualSockets {
    fn open(&mut self, port: PortId, spec: PortSpec) -> Result<(), PortError> {
        match spec {
            PortSpec::Dial(peer) => self.dial(port, peer),
            PortSpec::Listen(address) => self.listen(port, address),
            PortSpec::Bind(address) => self.bind(port, address),
            PortSpec::Addresses => {
                self.list(port);
                Ok(())
            }
            PortSpec::Host(name) => {
                self.join(port, &name);
                Ok(())
            }
        }
    }

    fn resolve(&mut self, port: PortId, name: Name) -> Result<(), PortError> {
        self.ports.insert(port, Socket::Lookup);
        self.outbox.push(Sent::Lookup(Ticket { boot: self.boot, port }, name));
        Ok(())
    }

    fn accept(&mut self, listener: PortId, port: PortId) -> io::Result<SocketAddr> {
        let Some(Socket::Listener(address)) = self.ports.get(listener) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let Some(listener) = self.listeners.get_mut(address) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        while let Some(key) = listener.queue.pop_front() {
            let Some(stream) = self.streams.get_mut(&key) else { continue };
            stream.owner = Owner::Port(port);
            let peer = stream.peer;
            self.ports.insert(port, Socket::Stream(key));
            self.settle(key);
            return Ok(peer);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn try_send(&mut self, port: PortId, bytes: &[u8]) -> io::Result<usize> {
        match self.ports.get(port) {
            Some(Socket::Pipe { end, .. }) => end.try_send(bytes),
            Some(Socket::Stream(key)) => self.send_on(*key, bytes),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn try_recv(&mut self, port: PortId, buf: &mut [u8]) -> io::Result<usize> {
        let now = self.now;
        match self.ports.get(port) {
            Some(Socket::Pipe { end, .. }) => end.try_recv(buf),
            _ => self.with_stream(port, |stream| stream.receive(now, buf)),
        }
    }

    fn try_send_datagrams(&mut self, port: PortId, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        let Some(Socket::Bound(local)) = self.ports.get(port) else { return Err(io::ErrorKind::NotConnected.into()) };
        if transmit.segment.min(bytes.len()) > datagrams::LARGEST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let unspecified = local.ip().is_unspecified();
        let ip = if unspecified { self.addresses.towards(transmit.destination.ip()) } else { local.ip() };
        let source = SocketAddr::new(transmit.source.unwrap_or(ip), local.port());
        if source.is_ipv4() != transmit.destination.is_ipv4() || !self.addresses.owns(source.ip()) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        self.outbox.extend(datagrams::cut(transmit, source, bytes).map(Sent::Packet));
        Ok(())
    }

    fn try_recv_datagrams(&mut self, port: PortId, buf: &mut [u8], received: &mut Vec<Received>) -> io::Result<()> {
        match self.ports.get(port) {
            Some(Socket::Bound(local)) => self.datagrams.receive(*local, buf, received),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn finish(&mut self, port: PortId) -> io::Result<()> {
        let now = self.now;
        match self.ports.get(port) {
            Some(Socket::Pipe { end, .. }) => {
                end.finish();
                Ok(())
            }
            _ => self.with_stream(port, |stream| stream.finish(now)),
        }
    }

    fn close(&mut self, port: PortId, abort: bool) {
        match self.ports.remove(port) {
            Some(Socket::Stream(key)) => {
                let now = self.now;
                self.with(key, |stream| stream.close(now, abort));
            }
            Some(Socket::Listener(address)) => self.close_listener(address, port),
            Some(Socket::Bound(address)) => self.datagrams.unbind(address),
            Some(Socket::Addresses) => self.addresses.close(port),
            Some(Socket::Pipe { .. } | Socket::Lookup) | None => {}
        }
        self.happenings.retain(|(owner, _)| *owner != port);
    }

    /// True for streams: what came after a short read is told anew, and an end that is ahead is told as
    /// `read_closed`. Pipes do not know their end in advance, so that they always say `read_closed`.
    fn short_read_is_empty(&self) -> bool {
        true
    }

    /// A world may have thousands of hosts.
    fn chunk(&self) -> usize {
        16 * 1024
    }

    fn datagram_chunk(&self) -> usize {
        64 * 1024
    }
}

impl VirtualSockets {
    /// Sockets of the host with these addresses; `boot` is never used again in that world.
    pub(super) fn new(addresses: [IpAddr; 2], boot: u32, next_port: u16) -> Self {
        Self {
            now: Instant::ZERO,
            addresses: Addresses::new(addresses),
            boot,
            connections: 0,
            next_port: next_port.max(EPHEMERAL),
            ports: Table::new(),
            streams: BTreeMap::new(),
            listeners: BTreeMap::new(),
            dialled: BTreeSet::new(),
            settings: Streams::default(),
            silent: BTreeSet::new(),
            fuses: BTreeMap::new(),
            datagrams: Datagrams::default(),
            timers: BTreeSet::new(),
            acks: BTreeSet::new(),
            outbox: Vec::new(),
            happenings: VecDeque::new(),
            exchange: Exchange::new(),
            woken: Woken::default(),
        }
    }

    /// Time goes on; timers that are due work.
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some((at, key)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.remove(&(at, key));
            self.with(key, |stream| {
                stream.armed = None;
                stream.on_deadline(now);
            });
        }
        self.tell_addresses();
    }

    /// When [`Self::advance`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at).into_iter().chain(self.addresses.deadline()).min()
    }

    /// The way to those addresses is open again, or to any.
    pub(super) fn probe(&mut self, addresses: Option<[IpAddr; 2]>) {
        let concerns = |stream: &Stream| addresses.is_none_or(|addresses| addresses.contains(&stream.peer.ip()));
        let keys = self.streams.iter().filter(|(_, stream)| concerns(stream));
        let keys: Vec<_> = keys.map(|(key, _)| *key).collect();
        for key in keys {
            self.with(key, Stream::probe_after_heal);
        }
    }

    /// Whether that end still lives, and so would send again what was not acknowledged.
    pub(super) fn has(&self, key: Key) -> bool {
        self.streams.contains_key(&key)
    }

    /// The port that the next dial would take.
    pub(super) const fn next_port(&self) -> u16 {
        self.next_port
    }

    /// What happened to ports, to be told to the pump.
    pub(super) fn next_happening(&mut self) -> Option<(PortId, Happening)> {
        self.happenings.pop_front()
    }

    /// Appends what has to leave, acknowledgements last.
    pub(super) fn take_outbox(&mut self, outbox: &mut Vec<Sent>) {
        for key in std::mem::take(&mut self.acks) {
            self.with(key, Stream::ack);
        }
        let boot = self.boot;
        self.outbox.extend(self.woken.take().into_iter().map(|port| Sent::Wake(Ticket { boot, port })));
        outbox.append(&mut self.outbox);
    }

    fn dial(&mut self, port: PortId, peer: SocketAddr) -> Result<(), PortError> {
        let ip = peer.ip();
        if ip.is_unspecified() || !(ip.is_loopback() || self.addresses.has(ip)) {
            return Err(PortError::Unreachable);
        }
        let local = self.free_port().ok_or(PortError::AddressNotAvailable)?;
        self.dialled.insert(local);
        self.connections += 1;
        let connection = u64::from(self.boot) << 32 | u64::from(self.connections);
        let key = Key { connection, side: Side::Dialler };
        let local = SocketAddr::new(self.addresses.towards(peer.ip()), local);
        self.ports.insert(port, Socket::Stream(key));
        self.streams.insert(key, Stream::dial(self.now, local, peer, port, self.settings));
        self.settle(key);
        Ok(())
    }

    fn free_port(&mut self) -> Option<u16> {
        for _ in EPHEMERAL..=u16::MAX {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(EPHEMERAL);
            let mut local = self.listeners.keys().copied().chain(self.datagrams.addresses());
            if !self.dialled.contains(&port) && !local.any(|address| address.port() == port) {
                return Some(port);
            }
        }
        None
    }

    fn listen(&mut self, port: PortId, address: SocketAddr) -> Result<(), PortError> {
        let ip = address.ip();
        if !ip.is_unspecified() && !self.addresses.owns(ip) {
            return Err(PortError::AddressNotAvailable);
        }
        let mut local = address;
        if local.port() == 0 {
            local.set_port(self.free_port().ok_or(PortError::AddressInUse)?);
        }
        if self.listeners.keys().any(|other| overlap(*other, local)) {
            return Err(PortError::AddressInUse);
        }
        self.listeners.insert(local, Listener { port, answering: 0, queue: VecDeque::new() });
        self.ports.insert(port, Socket::Listener(local));
        let change = PortChange::Opened { local: Some(local), peer: None };
        self.happenings.push_back((port, Happening::Change(change)));
        Ok(())
    }

    fn bind(&mut self, port: PortId, address: SocketAddr) -> Result<(), PortError> {
        if !address.ip().is_unspecified() && !self.addresses.owns(address.ip()) {
            return Err(PortError::AddressNotAvailable);
        }
        let mut local = address;
        if local.port() == 0 {
            local.set_port(self.free_port().ok_or(PortError::AddressInUse)?);
        }
        if self.datagrams.addresses().any(|other| overlap(other, local)) {
            return Err(PortError::AddressInUse);
        }
        self.datagrams.bind(local, port);
        self.ports.insert(port, Socket::Bound(local));
        let change = PortChange::Opened { local: Some(local), peer: None };
        self.happenings.push_back((port, Happening::Change(change)));
        Ok(())
    }

    fn list(&mut self, port: PortId) {
        self.ports.insert(port, Socket::Addresses);
        let list = self.addresses.open(port);
        let changes = [PortChange::Opened { local: None, peer: None }, PortChange::Addresses(list)];
        self.happenings.extend(changes.map(|change| (port, Happening::Change(change))));
    }

    fn tell_addresses(&mut self) {
        let Some((list, ports)) = self.addresses.take_news(self.now) else { return };
        let change = |port| (port, Happening::Change(PortChange::Addresses(list.clone())));
        self.happenings.extend(ports.into_iter().map(change));
    }

    fn close_listener(&mut self, address: SocketAddr, port: PortId) {
        self.listeners.remove(&address);
        let waiting = self.streams.iter().filter(|(_, stream)| stream.owner == Owner::Listener(port));
        let waiting: Vec<_> = waiting.map(|(key, _)| *key).collect();
        for key in waiting {
            self.with(key, Stream::reset);
        }
    }

    fn join(&mut self, port: PortId, name: &str) {
        let waker = self.woken.waker(port);
        let end = self.exchange.open(name, waker.clone());
        self.ports.insert(port, Socket::Pipe { end, opened: false });
        waker.wake();
    }

    fn send_on(&mut self, key: Key, bytes: &[u8]) -> io::Result<usize> {
        let now = self.now;
        let Some(peer) = self.streams.get(&key).map(|stream| stream.peer.ip()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let fuse = self.fuses.get(&peer).copied();
        let most = fuse.unwrap_or(usize::MAX).min(bytes.len());
        let sent = self.with(key, |stream| stream.send(now, &bytes[..most])).unwrap_or(Ok(0));
        let Some(fuse) = fuse else { return sent };
        let left = fuse - sent.as_ref().map_or(0, |sent| *sent);
        if left > 0 {
            self.fuses.insert(peer, left);
            return sent;
        }
        self.fuses.remove(&peer);
        self.with(key, Stream::reset);
        sent
    }

    fn with_stream<R>(&mut self, port: PortId, work: impl FnOnce(&mut Stream) -> io::Result<R>) -> io::Result<R> {
        let Some(Socket::Stream(key)) = self.ports.get(port) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        self.with(*key, work).unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }

    fn with<R>(&mut self, key: Key, work: impl FnOnce(&mut Stream) -> R) -> Option<R> {
        let result = work(self.streams.get_mut(&key)?);
        self.settle(key);
        Some(result)
    }

    /// Carries out what follows from a change of one stream.
    fn settle(&mut self, key: Key) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        match (stream.owner, stream.phase) {
            (Owner::Port(port), Phase::Broken(error)) if !stream.opened => {
                self.ports.remove(port);
                self.happenings.push_back((port, Happening::Change(PortChange::Failed(error))));
                return self.remove(key);
            }
            (Owner::Listener(_) | Owner::Nobody, Phase::Broken(_)) => return self.remove(key),
            (Owner::Nobody, _) if stream.is_done() => return self.remove(key),
            (Owner::Port(port), _) if stream.told != Readiness::default() => {
                self.happenings.push_back((port, Happening::Ready(std::mem::take(&mut stream.told))));
            }
            _ => {}
        }
        if stream.owes_ack() {
            self.acks.insert(key);
        }
        self.post(key);
        self.arm(key);
    }

    fn remove(&mut self, key: Key) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.ack();
        }
        self.post(key);
        let Some(stream) = self.streams.remove(&key) else { return };
        if let Some(at) = stream.armed {
            self.timers.remove(&(at, key));
        }
        if key.side == Side::Dialler {
            self.dialled.remove(&stream.local.port());
        } else if !stream.opened
            && let Some(listener) = self.listener(stream.local)
        {
            listener.answering -= 1;
        }
    }

    fn post(&mut self, key: Key) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let (source, destination, key, late) = (stream.local, stream.peer, key.other(), stream.late());
        let packets = stream.out.drain(..).map(|segment| Packet {
            source,
            destination,
            body: Body::Segment { key, segment, late },
        });
        self.outbox.extend(packets.map(Sent::Packet));
        if stream.out.capacity() > 4 {
            stream.out = Vec::new();
        }
    }

    fn arm(&mut self, key: Key) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let deadline = stream.deadline();
        let old = std::mem::replace(&mut stream.armed, deadline);
        if old == deadline {
            return;
        }
        if let Some(at) = old {
            self.timers.remove(&(at, key));
        }
        if let Some(at) = deadline {
            self.timers.insert((at, key));
        }
    }
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && (a.ip() == b.ip() || any && a.is_ipv4() == b.is_ipv4())
}
