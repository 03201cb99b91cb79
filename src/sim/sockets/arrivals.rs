//! What comes to a host: whom it is for, and what nobody is there for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{BACKLOG, Listener, Sent, Socket, Ticket, VirtualSockets};
use crate::machine::conformance::Happening;
use crate::machine::port::{Addrs, PortChange, PortError};
use crate::machine::pump::Readiness;
use crate::sim::packet::{Body, Key, Late, Packet, Segment};
use crate::sim::stream::{Owner, Phase, Stream};
use crate::sim::timeline::DropReason;

impl VirtualSockets {
    /// Why a packet would not be taken in.
    pub(in crate::sim) fn refusal(&self, packet: &Packet) -> Option<DropReason> {
        match &packet.body {
            Body::Datagram(_, data) => self.datagrams.refusal(packet.destination, data.len()),
            Body::Segment { segment: Segment::Syn, .. } if self.silent.contains(&packet.destination.port()) => {
                Some(DropReason::NoSocket)
            }
            Body::Segment { .. } => None,
        }
    }

    /// Takes one packet in that is not refused.
    pub(in crate::sim) fn deliver(&mut self, packet: Packet) {
        let (source, destination) = (packet.source, packet.destination);
        match packet.body {
            Body::Segment { key, segment, late } => self.deliver_segment(source, destination, (key, segment, late)),
            Body::Datagram(ecn, data) => {
                if let Some(port) = self.datagrams.deliver(source, destination, ecn, data) {
                    let readiness = Readiness { readable: true, ..Readiness::default() };
                    self.happenings.push_back((port, Happening::Ready(readiness)));
                }
            }
        }
    }

    fn deliver_segment(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        (key, segment, late): (Key, Segment, Late),
    ) {
        let now = self.now;
        // Behind another address there is another stream, for all that we can see.
        if self.streams.get(&key).is_none_or(|stream| stream.peer != source) {
            return self.on_stray(source, destination, key, &segment);
        }
        if !matches!(segment, Segment::Syn | Segment::Reset) {
            self.enqueue(key);
        }
        self.with(key, |stream| match segment {
            Segment::Syn => stream.on_syn(),
            Segment::SynAck(window) => stream.on_syn_ack(window),
            Segment::Probe => stream.owe_ack(),
            Segment::Ack { received, edge, late } => stream.on_ack(now, received, edge, late),
            Segment::Data(at, bytes) => stream.on_data(at, bytes, late),
            Segment::Fin(at) => stream.on_fin(at),
            Segment::Reset => stream.on_reset(),
        });
    }

    /// Takes the answer to a look-up in.
    pub(in crate::sim) fn answer(&mut self, ticket: Ticket, answer: Result<Addrs, PortError>) {
        if ticket.boot != self.boot || !matches!(self.ports.get(ticket.port), Some(Socket::Lookup)) {
            return;
        }
        let change = answer.map_or_else(PortChange::Failed, PortChange::Resolved);
        self.happenings.push_back((ticket.port, Happening::Change(change)));
    }

    /// A pipe has something to tell.
    pub(in crate::sim) fn wake(&mut self, ticket: Ticket) {
        let Some(Socket::Pipe { end, opened }) = self.ports.get_mut(ticket.port) else { return };
        if ticket.boot != self.boot || !end.is_joined() {
            return;
        }
        if !std::mem::replace(opened, true) {
            let change = PortChange::Opened { local: None, peer: None };
            self.happenings.push_back((ticket.port, Happening::Change(change)));
        }
        let readable = end.is_readable();
        let readiness = Readiness { readable, writable: true, read_closed: readable };
        self.happenings.push_back((ticket.port, Happening::Ready(readiness)));
    }

    fn on_stray(&mut self, peer: SocketAddr, local: SocketAddr, key: Key, segment: &Segment) {
        match segment {
            Segment::Syn => self.on_syn(peer, local, key),
            Segment::SynAck(_) | Segment::Data(..) | Segment::Fin(_) | Segment::Probe => self.refuse(peer, local, key),
            Segment::Ack { .. } | Segment::Reset => {}
        }
    }

    fn on_syn(&mut self, peer: SocketAddr, local: SocketAddr, key: Key) {
        let (now, settings) = (self.now, self.settings);
        let Some(listener) = self.listener(local) else { return self.refuse(peer, local, key) };
        if listener.answering + listener.queue.len() >= BACKLOG {
            return;
        }
        listener.answering += 1;
        let stream = Stream::answer(now, local, peer, listener.port, settings);
        self.streams.insert(key, stream);
        self.settle(key);
    }

    pub(super) fn listener(&mut self, local: SocketAddr) -> Option<&mut Listener> {
        let any: IpAddr = match local.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let exact = self.listeners.contains_key(&local);
        let address = if exact { local } else { SocketAddr::new(any, local.port()) };
        self.listeners.get_mut(&address)
    }

    fn refuse(&mut self, peer: SocketAddr, local: SocketAddr, key: Key) {
        self.outbox.push(Sent::Packet(Packet::segment(local, peer, key.other(), Segment::Reset)));
    }

    /// The peer has heard of us: a dial is open, an answered connection can be accepted.
    fn enqueue(&mut self, key: Key) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        match (stream.phase, stream.owner) {
            (Phase::Dialling { .. }, Owner::Port(port)) => {
                stream.open();
                let change = PortChange::Opened { local: Some(stream.local), peer: Some(stream.peer) };
                self.happenings.push_back((port, Happening::Change(change)));
            }
            (Phase::Answering { .. }, Owner::Listener(port)) => {
                stream.open();
                let local = stream.local;
                let Some(listener) = self.listener(local) else { return };
                listener.answering -= 1;
                listener.queue.push_back(key);
                if listener.queue.len() == 1 {
                    let readiness = Readiness { readable: true, ..Readiness::default() };
                    self.happenings.push_back((port, Happening::Ready(readiness)));
                }
            }
            _ => {}
        }
    }
}
