//! Ports: what a machine asks of the world, and what the world answers.

use std::net::SocketAddr;

use smallvec::SmallVec;

use super::ids::PortId;

/// A host name as a connection string has it, to be resolved by the driver.
pub type Name = String;

/// What a name resolved to, in the order of preference.
pub type Addrs = SmallVec<[std::net::IpAddr; 4]>;

/// What to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortSpec {
    /// A TCP connection to that address.
    Dial(SocketAddr),
    /// A TCP listener on that address; port 0 lets the system choose.
    Listen(SocketAddr),
    /// A UDP socket on that address; port 0 lets the system choose. A socket on an unspecified address receives what
    /// comes to any address of its family. Fragmentation is left to whoever sends: a datagram larger than the path's
    /// MTU is lost.
    Bind(SocketAddr),
    /// The list of this host's own addresses. After `Opened` it comes as [`PortChange::Addresses`], and again whenever
    /// it has changed, within a second. `Finish` and `Abort` end it; nothing is sent or received.
    Addresses,
    /// A byte stream that the environment knows by this name: one handed to the driver, else the in-process
    /// pipe of that name ([`Exchange`](super::pipe::Exchange)).
    Host(String),
}

/// What a machine asks of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRequest {
    /// Open it. Answered by `Opened` or `Failed`.
    Open(PortSpec),
    /// Look a name up; the port is only the name of the question. Answered by `Resolved` or `Failed`.
    Resolve(Name),
    /// Stop receiving: at most the chunk in hand is still delivered.
    Pause,
    /// Receive again.
    Resume,
    /// Send what is owed, then the end of the stream. Receiving goes on until the peer ends its side too; then
    /// `Closed` follows. Whoever will not wait for that sets a deadline and aborts. A bound port and a list of
    /// addresses have no peer to wait for: `Closed` follows at once.
    Finish,
    /// End it at once, unsent bytes and all (TCP: reset). Nothing follows.
    Abort,
}

impl PortRequest {
    /// Whether it is the first that is said of a port.
    pub const fn is_first(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Resolve(_))
    }
}

/// What became of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortChange {
    /// Open. Host streams have no addresses.
    Opened {
        /// Our side's address, with the port that the system chose.
        local: Option<SocketAddr>,
        /// The other side's address; none for a listener and a bound port.
        peer: Option<SocketAddr>,
    },
    /// A listener has accepted a connection. Its owner refuses it by `Abort`.
    Accepted {
        /// The new connection, already open.
        port: PortId,
        /// The other side's address.
        peer: SocketAddr,
    },
    /// The answer to `Resolve`, never empty; the id is dead.
    Resolved(Addrs),
    /// The host's own addresses, loopback ones included, in no particular order; empty while it has none.
    Addresses(Addrs),
    /// The peer will send no more.
    Eof,
    /// It never opened, or it broke; the id is dead.
    Failed(PortError),
    /// The last answer to `Finish`: all that was owed has left and the peer has ended its side; the id is dead.
    Closed,
}

/// Why a port failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PortError {
    /// Nobody listens at that address.
    #[error("connection refused")]
    Refused,
    /// The other side ended the connection at once.
    #[error("connection reset")]
    Reset,
    /// No answer came in time.
    #[error("timed out")]
    TimedOut,
    /// There is no way to that address.
    #[error("unreachable")]
    Unreachable,
    /// Somebody else listens on that address already.
    #[error("address in use")]
    AddressInUse,
    /// The address is not one of this host.
    #[error("address not available")]
    AddressNotAvailable,
    /// The system does not allow it.
    #[error("permission denied")]
    PermissionDenied,
    /// The name has no address.
    #[error("name not found")]
    NameNotFound,
    /// Too many look-ups or sockets are in progress.
    #[error("out of resources")]
    Exhausted,
    /// The environment has no such kind of port.
    #[error("not supported here")]
    Unsupported,
    /// Any other failure, as the system names it.
    #[error("{0}")]
    Other(std::io::ErrorKind),
}

impl From<std::io::ErrorKind> for PortError {
    fn from(kind: std::io::ErrorKind) -> Self {
        use std::io::ErrorKind as K;
        match kind {
            K::ConnectionRefused => Self::Refused,
            K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe => Self::Reset,
            K::TimedOut => Self::TimedOut,
            K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown => Self::Unreachable,
            K::AddrInUse => Self::AddressInUse,
            K::AddrNotAvailable => Self::AddressNotAvailable,
            K::PermissionDenied => Self::PermissionDenied,
            K::Unsupported => Self::Unsupported,
            other => Self::Other(other),
        }
    }
}

impl From<std::io::Error> for PortError {
    fn from(error: std::io::Error) -> Self {
        error.kind().into()
    }
}
