//! What a TURN server counts.

/// What a [`TurnServer`](super::TurnServer) has passed on and dropped since it was made, in datagrams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnServerStatistics {
    /// From clients to peers.
    pub to_peers: u64,
    /// From peers to clients.
    pub to_clients: u64,
    /// Dropped: from a client and good for nothing, that is no STUN, an unknown channel, no permission for the peer.
    pub useless: u64,
    /// Dropped: from a peer that the client has no permission for.
    pub unwanted: u64,
    /// Dropped: larger than an indication can carry, or empty.
    pub unfit: u64,
    /// Dropped: too much waited on the port.
    pub overflows: u64,
    /// Dropped: an Allocate that came again while it was being served.
    pub repeats: u64,
    /// Dropped because of [`Misbehaviour::Silent`](super::Misbehaviour::Silent).
    pub silenced: u64,
    /// Allocations refused by 486.
    pub over_quota: u64,
    /// Allocations refused by 508.
    pub over_capacity: u64,
    /// Clients without an allocation that were forgotten for the sake of others.
    pub evicted: u64,
    /// Bytes from clients to peers.
    pub bytes_to_peers: u64,
    /// Bytes from peers to clients.
    pub bytes_to_clients: u64,
    /// Dropped: more than the rate of the user.
    pub over_rate: u64,
    /// Requests refused by 403, and datagrams dropped, because nobody may reach that peer.
    pub forbidden: u64,
    /// Requests refused because their credentials have expired.
    pub expired: u64,
    /// Connections over TCP and TLS that were let in.
    pub connections: u64,
    /// Connections over TCP and TLS that were refused, because there are too many.
    pub refused_connections: u64,
}
