//! What crosses the virtual network: segments of streams, and datagrams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::timeline::{self, Flags, Frame, NodeId, Tcp};
use crate::machine::datagram::Ecn;

/// What the headers of IPv4 and TCP take of a rate.
const TCP_HEADERS: usize = 40;
/// What the headers of IPv4 and UDP take of a rate.
const UDP_HEADERS: usize = 28;
/// What an IPv6 header takes beyond that.
const V6: usize = 20;

/// What a host hands to its network.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) body: Body,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    /// For that end of a connection.
    Segment {
        key: Key,
        segment: Segment,
        late: Late,
    },
    Datagram(Option<Ecn>, Vec<u8>),
}

/// What became of a segment on its way that its sender would have had to repeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Late {
    /// The sender's time-out for retransmission.
    pub(super) timeout: Duration,
    /// How often it was lost so far.
    pub(super) times: u32,
}

/// A packet under way.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub(super) packet: Packet,
    /// Who sent it.
    pub(super) origin: NodeId,
    /// The same at every place, and of no other packet of its world.
    pub(super) number: u64,
    /// Gateways that it has passed.
    pub(super) hops: u8,
}

/// One end of one connection of one world; the number is never used again, as sequence numbers practically are
/// not, so that a packet of a connection before a reboot finds none after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) connection: u64,
    pub(super) side: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Dialler,
    Acceptor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Syn,
    /// Bytes that may come.
    SynAck(u64),
    /// `received`: everything before it has come, the end of the stream counting one. `edge`: the sender may send
    /// everything before it. `late`: something of it came after a loss.
    Ack {
        received: u64,
        edge: u64,
        late: bool,
    },
    /// The first byte's number, counted from 0, and the bytes.
    Data(u64, Vec<u8>),
    /// How many bytes there were.
    Fin(u64),
    /// Asks for an `Ack`.
    Probe,
    Reset,
}

impl Key {
    pub(super) const fn other(self) -> Self {
        let side = match self.side {
            Side::Dialler => Side::Acceptor,
            Side::Acceptor => Side::Dialler,
        };
        Self { side, ..self }
    }
}

impl Packet {
    /// A segment that nobody repeats.
    pub(super) const fn segment(source: SocketAddr, destination: SocketAddr, key: Key, segment: Segment) -> Self {
        let late = Late { timeout: Duration::ZERO, times: 0 };
        Self { source, destination, body: Body::Segment { key, segment, late } }
    }

    /// Bytes, headers included.
    pub(super) const fn size(&self) -> usize {
        let v6 = if self.destination.is_ipv6() { V6 } else { 0 };
        v6 + match &self.body {
            Body::Segment { segment: Segment::Data(_, bytes), .. } => TCP_HEADERS + bytes.len(),
            Body::Segment { .. } => TCP_HEADERS,
            Body::Datagram(_, bytes) => UDP_HEADERS + bytes.len(),
        }
    }

    /// Of its source and its destination.
    pub(super) const fn ports(&self) -> [u16; 2] {
        [self.source.port(), self.destination.port()]
    }

    /// What it carries, without headers.
    pub(super) fn contents(&self) -> &[u8] {
        match &self.body {
            Body::Segment { segment: Segment::Data(_, bytes), .. } | Body::Datagram(_, bytes) => bytes,
            Body::Segment { .. } => &[],
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match &self.body {
            Body::Segment { segment, .. } => segment.name(),
            Body::Datagram(..) => "datagram",
        }
    }

    /// Whether its sender sends it again until it is acknowledged, so that a cut only delays it.
    pub(super) const fn is_repeated(&self) -> bool {
        matches!(self.body, Body::Segment { segment: Segment::Data(..) | Segment::Fin(_) | Segment::Probe, .. })
    }

    /// The end of a connection that has sent it.
    pub(super) const fn sender(&self) -> Option<Key> {
        match self.body {
            Body::Segment { key, .. } => Some(key.other()),
            Body::Datagram(..) => None,
        }
    }

    /// It was lost: how much later it comes all the same, if its sender has not given up.
    pub(super) fn repeat(&mut self) -> Option<Duration> {
        /// Linux gives up after fifteen (`tcp_retries2`).
        const MOST: u32 = 15;
        const LONGEST: Duration = Duration::from_secs(120);
        let Body::Segment { segment, late, .. } = &mut self.body else { return None };
        let repeated = matches!(segment, Segment::Data(..) | Segment::Fin(_) | Segment::Probe | Segment::Ack { .. });
        if !repeated || late.times == MOST {
            return None;
        }
        let after = late.timeout.saturating_mul(1 << late.times).min(LONGEST);
        late.times += 1;
        Some(after)
    }

    /// What evidence shows of it.
    pub(super) fn frame(&self, number: u64, payloads: bool) -> Frame {
        let keep = |bytes: &[u8]| if payloads { Arc::from(bytes) } else { Arc::from([]) };
        let (ecn, body) = match &self.body {
            Body::Datagram(ecn, bytes) => (*ecn, timeline::Body::Udp { len: bytes.len(), data: keep(bytes) }),
            Body::Segment { segment, .. } => (None, timeline::Body::Tcp(segment.frame(keep))),
        };
        Frame { packet: number, source: self.source, destination: self.destination, ecn, body }
    }
}

impl Segment {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Syn => "SYN",
            Self::SynAck(_) => "SYN-ACK",
            Self::Ack { .. } => "ACK",
            Self::Data(..) => "data",
            Self::Fin(_) => "FIN",
            Self::Probe => "probe",
            Self::Reset => "RST",
        }
    }

    fn frame(&self, keep: impl Fn(&[u8]) -> Arc<[u8]>) -> Tcp {
        let (bytes, flags) = (&[][..], Flags::default());
        let (sequence, acknowledgement, window, flags, bytes) = match self {
            Self::Syn => (0, None, 0, Flags { syn: true, ..flags }, bytes),
            Self::SynAck(window) => (0, Some(1), *window, Flags { syn: true, ..flags }, bytes),
            Self::Ack { received, edge, .. } => (1, Some(received + 1), edge - received, flags, bytes),
            Self::Data(at, data) => (at + 1, Some(1), 0, flags, &data[..]),
            Self::Fin(at) => (at + 1, Some(1), 0, Flags { fin: true, ..flags }, bytes),
            Self::Probe => (0, Some(1), 0, flags, bytes),
            Self::Reset => (0, None, 0, Flags { rst: true, ..flags }, bytes),
        };
        Tcp { sequence, acknowledgement, window, flags, len: bytes.len(), data: keep(bytes) }
    }
}
