//! What a TURN server is told: whom it serves, how much, and how it misbehaves.

use std::net::IpAddr;
use std::time::Duration;

use super::forbidden::PeerPolicy;
use super::users::{TurnSecret, User};
#[cfg(feature = "tls")]
use crate::link::tls;

/// By what clients come to a [`TurnServer`](super::TurnServer).
#[derive(Debug, Clone)]
pub enum Listener {
    /// Datagrams.
    Udp,
    /// TCP connections.
    Tcp,
    /// TLS on TCP connections.
    #[cfg(feature = "tls")]
    Tls(tls::ServerConfig),
}

/// Whom a [`TurnServer`](super::TurnServer) serves, from where, and every bound that it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnServerConfig {
    /// The realm of its users (RFC 8489, section 14.9), at most 127 characters.
    pub realm: String,
    /// Who may allocate. A name that comes twice has the last password.
    pub users: Vec<User>,
    /// Who has time-limited credentials made with this may allocate too.
    pub secret: Option<TurnSecret>,
    /// The addresses of this host that relayed ports are opened on: the first of a family serves that family, a family
    /// without one is refused by 440. Empty: only the address that the server listens on.
    pub relays: Vec<IpAddr>,
    /// The addresses by which peers reach relayed ports, where they are others than those of this host: the first of a
    /// family is announced for that family. Needed behind a NAT that passes all ports on, and where the server listens
    /// on an unspecified address to clients over TCP and TLS.
    pub announce: Vec<IpAddr>,
    /// Whom clients may reach.
    pub peers: PeerPolicy,
    /// Whether clients may reach loopback addresses: for tests on one host, as it opens that host's own services.
    pub loopback: bool,
    /// Further addresses of this host, and whatever else nobody may reach.
    pub forbidden: Vec<IpAddr>,
    /// Allocations of all users together; further ones are refused by 508 (insufficient capacity). An allocation with
    /// an address of each family counts once.
    pub allocations: usize,
    /// Allocations of one user; further ones are refused by 486 (allocation quota reached).
    pub allocations_per_user: usize,
    /// Bytes a second that are relayed for one user, both ways and over all its allocations; a burst of one second's
    /// worth is let through, what exceeds it is dropped. None: as many as come.
    pub rate_per_user: Option<u64>,
    /// Peers' addresses that one allocation has permissions for, and peers that it has channels for; further ones are
    /// refused by 508.
    pub permissions: usize,
    /// Clients that have asked and have no allocation; a further one takes the place of the one that has been silent
    /// longest, which loses no more than its nonce.
    pub strangers: usize,
    /// Silence after which a client without an allocation is forgotten.
    pub stranger_time: Duration,
    /// How long a nonce is valid; below 30 s counts as 30 s.
    pub nonce_time: Duration,
    /// Bytes that wait to be sent from one port or connection; further datagrams are dropped.
    pub queue: usize,
    /// Connections over TCP and TLS; further ones are refused.
    pub connections: usize,
    /// Connections from one address; further ones are refused.
    pub connections_per_source: usize,
    /// How long a connection without an allocation may bring no message; then it is ended.
    pub connection_time: Duration,
}

impl TurnServerConfig {
    /// A server for the users of that realm.
    pub fn new(realm: impl Into<String>, users: impl Into<Vec<User>>) -> Self {
        Self {
            realm: realm.into(),
            users: users.into(),
            secret: None,
            relays: Vec::new(),
            announce: Vec::new(),
            peers: PeerPolicy::PublicOnly,
            loopback: false,
            forbidden: Vec::new(),
            allocations: 1024,
            allocations_per_user: 16,
            rate_per_user: None,
            permissions: 64,
            strangers: 1024,
            stranger_time: Duration::from_secs(60),
            nonce_time: Duration::from_secs(3600),
            queue: 256 * 1024,
            connections: 1024,
            connections_per_source: 32,
            connection_time: Duration::from_secs(30),
        }
    }
}

/// What a server does wrong on purpose, as servers of the field do. It can begin and end while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Misbehaviour {
    /// Each request but Binding is answered by 401 (unauthorized) with another nonce, whoever asks.
    AlwaysUnauthorized,
    /// Each request with credentials is answered by 438 (stale nonce) with another nonce; one without by 401, as ever.
    AlwaysStaleNonce,
    /// Each new allocation is refused by 486 (allocation quota reached).
    QuotaReached,
    /// The next refresh with credentials is answered by 438 and another nonce, with which it succeeds. Then the server
    /// behaves again.
    StaleNonceOnRefresh,
    /// Each new allocation is refused by 440 (address family not supported).
    WrongFamily,
    /// Nothing that comes is looked at: to clients and peers the server seems gone. Relayed ports stay open.
    Silent,
}

impl Misbehaviour {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::AlwaysUnauthorized,
        Self::AlwaysStaleNonce,
        Self::QuotaReached,
        Self::StaleNonceOnRefresh,
        Self::WrongFamily,
        Self::Silent,
    ];
}
