//! What a TURN server is told: whom it serves, how much, and how it misbehaves.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Whom a [`TurnServer`](super::TurnServer) serves, from where, and every bound that it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnServerConfig {
    /// The realm of its users (RFC 8489, section 14.9), at most 127 characters.
    pub realm: String,
    /// Who may allocate. A name that comes twice has the last password.
    pub users: Vec<User>,
    /// The addresses of this host that relayed ports are opened on: the first of a family serves that family, a family
    /// without one is refused by 440. Empty: only the address that the server listens on.
    pub relays: Vec<IpAddr>,
    /// Allocations of all users together; further ones are refused by 508 (insufficient capacity). An allocation with
    /// an address of each family counts once.
    pub allocations: usize,
    /// Allocations of one user; further ones are refused by 486 (allocation quota reached).
    pub allocations_per_user: usize,
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
    /// Bytes that wait to be sent from one port; further datagrams are dropped.
    pub queue: usize,
}

impl TurnServerConfig {
    /// A server for the users of that realm.
    pub fn new(realm: impl Into<String>, users: impl Into<Vec<User>>) -> Self {
        Self {
            realm: realm.into(),
            users: users.into(),
            relays: Vec::new(),
            allocations: 1024,
            allocations_per_user: 16,
            permissions: 64,
            strangers: 1024,
            stranger_time: Duration::from_secs(60),
            nonce_time: Duration::from_secs(3600),
            queue: 256 * 1024,
        }
    }
}

/// Somebody who may allocate, by long-term credentials (RFC 8489, section 9.2). Its `Debug` masks the password.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The user's name, at most 508 bytes, as prepared by OpaqueString (RFC 8265).
    pub name: String,
    /// The user's password, prepared likewise.
    pub password: String,
}

impl User {
    /// A user.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: password.into() }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
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
