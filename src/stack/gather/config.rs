//! What a gatherer is told, and what it counts.

use std::time::Duration;

use crate::link::stun::Retransmission;
#[cfg(feature = "tls")]
use crate::link::tls;
use crate::wire::ice_server::IceServer;
use crate::wire::outlook::CandidatePolicy;

/// What a [`Gatherer`](super::Gatherer) gathers, and every bound that it keeps.
#[derive(Debug, Clone)]
pub struct GatherConfig {
    /// The servers to begin with; others may come by [`set_servers`](super::Gatherer::set_servers). 16 in all.
    pub servers: Vec<IceServer>,
    /// Which kinds of candidates are given out; all by default.
    pub policy: CandidatePolicy,
    /// Whether loopback addresses are used even where there are others. False by default.
    pub loopback: bool,
    /// The port of all sockets; 0, the default, lets the system choose, as does a port that is taken.
    pub bind_port: u16,
    /// Whom to trust as a TURN server by TLS. Without it there is no TLS.
    #[cfg(feature = "tls")]
    pub trust: Option<tls::ClientConfig>,
    /// How requests to servers are repeated. By default four times, and given up after 5.5 s.
    pub retransmission: Retransmission,
    /// How long a connection to a TURN server may take to open, TLS included. 10 s by default.
    pub connect_time: Duration,
    /// Addresses of the host that sockets are opened on. 16 by default; further ones are not used.
    pub addresses: usize,
    /// Allocations at TURN servers, and those under way. 16 by default; further ones are not asked for.
    pub allocations: usize,
    /// Peers' addresses that one allocation has permissions for, and peers that it has channels for. 64 by default;
    /// further ones are refused.
    pub permissions: usize,
    /// Bytes that wait to be sent from one socket or connection. 256 KiB by default; further datagrams are dropped.
    pub queue: usize,
}

impl Default for GatherConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            policy: CandidatePolicy::ALL,
            loopback: false,
            bind_port: 0,
            #[cfg(feature = "tls")]
            trust: None,
            retransmission: Retransmission { first: Duration::from_millis(500), sends: 4, patience: 4 },
            connect_time: Duration::from_secs(10),
            addresses: 16,
            allocations: 16,
            permissions: 64,
            queue: 256 * 1024,
        }
    }
}

/// What a [`Gatherer`](super::Gatherer) has dropped and lost since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GatherCounters {
    /// Datagrams that were to be sent from an address that is not there, or without a permission.
    pub unsendable: u64,
    /// Datagrams that were to be sent and for which too much waited.
    pub overflows: u64,
    /// Messages of servers that answer no question of ours, or break a rule.
    pub useless: u64,
    /// Datagrams of peers that a TURN server passed on without our permission.
    pub unwanted: u64,
    /// Sockets that could not be opened, or broke.
    pub sockets_failed: u64,
    /// How often an address of the host has come or gone.
    pub moves: u64,
}
