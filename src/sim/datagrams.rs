//! The UDP sockets of one virtual host.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::packet::{Body, Packet};
use super::timeline::DropReason;
use crate::machine::datagram::{Ecn, Received, Transmit};
use crate::machine::ids::PortId;

/// What waits to be received on one socket, in bytes: Linux' default.
const BUFFER: usize = 212_992;
/// What the system counts for a datagram beyond its payload.
const OVERHEAD: usize = 256;
/// Datagrams that one batch holds, as Linux' `UDP_MAX_SEGMENTS`.
pub(super) const MOST_SEGMENTS: usize = 64;
/// The largest payload that UDP can carry over IPv4.
pub(super) const LARGEST: usize = 65_507;

/// Sockets by the address that they are bound to.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    bound: BTreeMap<SocketAddr, Bound>,
}

#[derive(Debug)]
struct Bound {
    port: PortId,
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    source: SocketAddr,
    destination: IpAddr,
    ecn: Option<Ecn>,
    data: Vec<u8>,
}

impl Datagrams {
    pub(super) fn bind(&mut self, address: SocketAddr, port: PortId) {
        self.bound.insert(address, Bound { port, waiting: VecDeque::new(), bytes: 0 });
    }

    pub(super) fn unbind(&mut self, address: SocketAddr) {
        self.bound.remove(&address);
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.bound.keys().copied()
    }

    /// Why a datagram of that size would not be taken in.
    pub(super) fn refusal(&self, destination: SocketAddr, size: usize) -> Option<DropReason> {
        let address = self.binding(destination);
        match self.bound.get(&address) {
            None => Some(DropReason::NoSocket),
            Some(bound) => (bound.bytes + size + OVERHEAD > BUFFER).then_some(DropReason::SocketFull),
        }
    }

    /// Takes a datagram in that is not refused; the port, if it is the first that waits there.
    pub(super) fn deliver(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        ecn: Option<Ecn>,
        data: Vec<u8>,
    ) -> Option<PortId> {
        let address = self.binding(destination);
        let bound = self.bound.get_mut(&address)?;
        bound.bytes += data.len() + OVERHEAD;
        bound.waiting.push_back(Waiting { source, destination: destination.ip(), ecn, data });
        (bound.waiting.len() == 1).then_some(bound.port)
    }

    /// As many as `buf` holds, neighbours of one flow and size joined into a batch as GRO does.
    pub(super) fn receive(
        &mut self,
        address: SocketAddr,
        buf: &mut [u8],
        received: &mut Vec<Received>,
    ) -> io::Result<()> {
        let Some(bound) = self.bound.get_mut(&address) else { return Err(io::ErrorKind::NotConnected.into()) };
        if bound.waiting.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut start = 0;
        while bound.waiting.front().is_some_and(|next| next.data.len() <= buf.len() - start)
            && let Some(next) = bound.waiting.pop_front()
        {
            bound.bytes -= next.data.len() + OVERHEAD;
            buf[start..start + next.data.len()].copy_from_slice(&next.data);
            note(received, &next, start);
            start += next.data.len();
        }
        if bound.waiting.is_empty() && bound.waiting.capacity() > 64 {
            bound.waiting = VecDeque::new();
        }
        Ok(())
    }

    /// The address under which a socket would be bound that takes what goes there.
    fn binding(&self, destination: SocketAddr) -> SocketAddr {
        if self.bound.contains_key(&destination) {
            return destination;
        }
        let any: IpAddr = match destination.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(any, destination.port())
    }
}

/// The datagrams of a batch.
pub(super) fn cut<'a>(
    transmit: &'a Transmit,
    source: SocketAddr,
    bytes: &'a [u8],
) -> impl Iterator<Item = Packet> + 'a {
    let empty = bytes.is_empty().then_some(&[][..]);
    bytes.chunks(transmit.segment.max(1)).chain(empty).map(move |data| Packet {
        source,
        destination: transmit.destination,
        body: Body::Datagram(transmit.ecn, data.to_vec()),
    })
}

fn note(received: &mut Vec<Received>, datagram: &Waiting, start: usize) {
    let len = datagram.data.len();
    if let Some(last) = received.last_mut()
        && (last.source, last.destination, last.ecn) == (datagram.source, Some(datagram.destination), datagram.ecn)
        && last.start + last.len == start
        && last.len.is_multiple_of(last.segment)
        && len > 0
        && len <= last.segment
        && last.len / last.segment < MOST_SEGMENTS
    {
        last.len += len;
        return;
    }
    received.push(Received {
        source: datagram.source,
        destination: Some(datagram.destination),
        ecn: datagram.ecn,
        start,
        len,
        segment: len.max(1),
    });
}
