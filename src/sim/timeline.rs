//! What happened in a run, in order: what the evidence is made of.
//!
//! Nothing is recorded unless [`World::record`](super::World::record) was called. Each record names the node whose
//! link the packet crossed, so that the records of one node are what a capture on its cable would show: a gateway's
//! show packets as they are outside.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::machine::datagram::Ecn;
use crate::machine::time::Instant;

/// A host or a gateway: an index into [`Timeline::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// Its place in [`Timeline::nodes`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// A run as it was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Of the world.
    pub seed: u64,
    /// All hosts and gateways.
    pub nodes: Vec<Node>,
    /// What happened, by time and then by cause.
    pub records: Vec<Record>,
    /// Records that found no room ([`Recording::most`]).
    pub lost: u64,
}

/// A host or a gateway, as the evidence names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, unique in its world.
    pub name: String,
    /// Whether it translates or filters for others rather than run a machine.
    pub is_gateway: bool,
    /// Its addresses at the end of the run; of a gateway those outside.
    pub addresses: Vec<IpAddr>,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recording {
    /// At most so many records; what comes later is counted in [`Timeline::lost`].
    pub most: usize,
    /// Whether payloads are kept, as captures need them.
    pub payloads: bool,
}

impl Default for Recording {
    fn default() -> Self {
        Self { most: 1_000_000, payloads: true }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub at: Instant,
    /// Where.
    pub node: NodeId,
    /// What.
    pub what: What,
}

/// A kind of happening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A host sends a packet.
    Sent(Frame),
    /// A gateway passes a packet on; the frame is what is seen outside.
    Forwarded(Frame),
    /// A packet has come to the host that it was for.
    Delivered(Frame),
    /// A packet ends here.
    Dropped(Frame, DropReason),
    /// A machine said something to its owner.
    Event {
        /// The event as text.
        text: String,
        /// Whether it tells of a change of path, which pictures show as such.
        is_path: bool,
    },
    /// The world did something to that node: a cut, a reboot, a move.
    Fault(String),
}

/// One packet at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The packet's number in its world: the same at every place that it passes.
    pub packet: u64,
    /// Where it says it is from, at this place.
    pub source: SocketAddr,
    /// Where it goes, at this place.
    pub destination: SocketAddr,
    /// What it says about congestion.
    pub ecn: Option<Ecn>,
    /// What it carries.
    pub body: Body,
}

/// What a packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A datagram.
    Udp {
        /// Its size in bytes, without headers.
        len: usize,
        /// Its payload, empty where payloads are not kept.
        data: Arc<[u8]>,
    },
    /// A segment of a stream.
    Tcp(Tcp),
}

/// A segment of a stream, in terms of RFC 9293. Numbers count bytes from 0 and do not wrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    /// The first byte's number: 0 is the SYN.
    pub sequence: u64,
    /// The next byte that is expected, if the segment acknowledges.
    pub acknowledgement: Option<u64>,
    /// Bytes beyond the acknowledgement that may come.
    pub window: u64,
    /// Control bits.
    pub flags: Flags,
    /// The size of its payload in bytes.
    pub len: usize,
    /// Its payload, empty where payloads are not kept.
    pub data: Arc<[u8]>,
}

/// Control bits of a segment; ACK is whether there is an acknowledgement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// Opens the stream.
    pub syn: bool,
    /// Ends one direction.
    pub fin: bool,
    /// Ends the stream.
    pub rst: bool,
}

/// Why a packet ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Lost on a link, by itself.
    Loss,
    /// Lost on a link, in a burst.
    BurstLoss,
    /// The queue of a link was full.
    QueueFull,
    /// Larger than the link's MTU, and nobody says so to the sender.
    BlackHole,
    /// The link is cut, or unplugged.
    Cut,
    /// No host or gateway has that address.
    NoRoute,
    /// The host is down, or asleep.
    HostDown,
    /// The host has no socket on that port.
    NoSocket,
    /// The socket's receive buffer was full.
    SocketFull,
    /// The sender no longer has the address that it sends from.
    SourceGone,
    /// The NAT has no mapping for that port.
    NoMapping,
    /// The NAT has a mapping, and its filter does not let that sender in.
    Filtered,
    /// The NAT does not turn packets back to the inside.
    NoHairpin,
    /// The NAT has no external port left.
    PortsExhausted,
    /// The firewall lets nothing of that kind out.
    Blocked,
    /// The firewall lets nothing in that was not asked for.
    Unsolicited,
    /// It has passed more gateways than any route has.
    Loop,
}

impl DropReason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 17] = [
        Self::Loss,
        Self::BurstLoss,
        Self::QueueFull,
        Self::BlackHole,
        Self::Cut,
        Self::NoRoute,
        Self::HostDown,
        Self::NoSocket,
        Self::SocketFull,
        Self::SourceGone,
        Self::NoMapping,
        Self::Filtered,
        Self::NoHairpin,
        Self::PortsExhausted,
        Self::Blocked,
        Self::Unsolicited,
        Self::Loop,
    ];

    /// A word for files: letters and hyphens.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::BurstLoss => "burst-loss",
            Self::QueueFull => "queue-full",
            Self::BlackHole => "black-hole",
            Self::Cut => "cut",
            Self::NoRoute => "no-route",
            Self::HostDown => "host-down",
            Self::NoSocket => "no-socket",
            Self::SocketFull => "socket-full",
            Self::SourceGone => "source-gone",
            Self::NoMapping => "no-mapping",
            Self::Filtered => "filtered",
            Self::NoHairpin => "no-hairpin",
            Self::PortsExhausted => "ports-exhausted",
            Self::Blocked => "blocked",
            Self::Unsolicited => "unsolicited",
            Self::Loop => "loop",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "lost on the link",
            Self::BurstLoss => "lost in a burst",
            Self::QueueFull => "the link's queue was full",
            Self::BlackHole => "larger than the link's MTU",
            Self::Cut => "the link is cut",
            Self::NoRoute => "nobody has that address",
            Self::HostDown => "the host is down",
            Self::NoSocket => "no socket on that port",
            Self::SocketFull => "the socket's buffer was full",
            Self::SourceGone => "the sender has lost that address",
            Self::NoMapping => "the NAT has no mapping",
            Self::Filtered => "the NAT's filter",
            Self::NoHairpin => "the NAT does not hairpin",
            Self::PortsExhausted => "the NAT has no port left",
            Self::Blocked => "the firewall blocks it",
            Self::Unsolicited => "the firewall was not asked for it",
            Self::Loop => "too many gateways",
        })
    }
}
