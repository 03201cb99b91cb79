//! What crosses the virtual network: for now segments of streams.

use std::net::SocketAddr;

/// What the headers of IP and TCP take of a rate.
const HEADERS: usize = 40;

#[derive(Debug)]
pub(super) struct Packet {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    /// The end of the connection that is to receive it.
    pub(super) key: Key,
    pub(super) segment: Segment,
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
        match &self.segment {
            Segment::Data(bytes) => HEADERS + bytes.len(),
            _ => HEADERS,
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

    /// Whether its sender sends it again until it is acknowledged, so that a cut only delays it.
    pub(super) const fn is_repeated(&self) -> bool {
        matches!(self, Self::Data(_) | Self::Fin | Self::Probe)
    }
}
