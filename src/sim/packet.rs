//! What crosses the virtual network: segments of streams, and datagrams.

use std::net::SocketAddr;

use crate::machine::datagram::Ecn;

/// What the headers of IP and TCP take of a rate.
const TCP_HEADERS: usize = 40;
/// What the headers of IP and UDP take of a rate.
const UDP_HEADERS: usize = 28;

#[derive(Debug)]
pub(super) struct Packet {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    /// For that end of a connection.
    Segment(Key, Segment),
    Datagram(Option<Ecn>, Vec<u8>),
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

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Syn,
    SynAck,
    /// `received`: everything before it has come, the end of the stream counting one. `edge`: the sender may send
    /// everything before it.
    Ack {
        received: u64,
        edge: u64,
    },
    Data(Vec<u8>),
    Fin,
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
    pub(super) const fn size(&self) -> usize {
        match &self.body {
            Body::Segment(_, Segment::Data(bytes)) => TCP_HEADERS + bytes.len(),
            Body::Segment(..) => TCP_HEADERS,
            Body::Datagram(_, bytes) => UDP_HEADERS + bytes.len(),
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match &self.body {
            Body::Segment(_, segment) => segment.name(),
            Body::Datagram(..) => "datagram",
        }
    }

    /// Whether its sender sends it again until it is acknowledged, so that a cut only delays it.
    pub(super) const fn is_repeated(&self) -> bool {
        matches!(self.body, Body::Segment(_, Segment::Data(_) | Segment::Fin | Segment::Probe))
    }

    /// The end of a connection that has sent it.
    pub(super) const fn sender(&self) -> Option<Key> {
        match self.body {
            Body::Segment(key, _) => Some(key.other()),
            Body::Datagram(..) => None,
        }
    }
}

impl Segment {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Syn => "SYN",
            Self::SynAck => "SYN-ACK",
            Self::Ack { .. } => "ACK",
            Self::Data(_) => "data",
            Self::Fin => "FIN",
            Self::Probe => "probe",
            Self::Reset => "RST",
        }
    }
}
