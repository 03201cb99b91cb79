//! Every bound in one place.

use std::time::Duration;

/// Every bound of the library, in bytes, counts or times.
///
/// A limit that is reached is answered where it is stated: by refusing, by back-pressure or by ending the
/// connection at fault, never by growing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest message of one link, in bytes; a larger one ends the link that announces it.
    pub message: usize,
    /// Largest HTTP head, in bytes, and with it what a peer can make us hold before a link is up.
    pub http_head: usize,
    /// Most header lines of one HTTP head.
    pub http_headers: usize,
    /// Connections of one listener that are not up yet; more are refused.
    pub handshakes: usize,
    /// Links of one listener; more are refused.
    pub links: usize,
    /// Bytes queued to be sent on one link by [`Alone`](crate::transport::Alone); more are handed back.
    pub lane: usize,
    /// Bytes received and not yet taken from [`Alone`](crate::transport::Alone); then links are paused.
    pub inbox: usize,
    /// From the dial or the accept until the link is up.
    pub handshake_time: Duration,
    /// From the start of a close until the connection is ended by force.
    pub close_time: Duration,
    /// Silence after which a WebSocket link is pinged; none turns it off.
    pub ping_after: Option<Duration>,
    /// Silence after a ping until the link is given up.
    pub pong_time: Duration,
    /// Between the starts of two connection attempts to a name with several addresses (RFC 8305, section 5).
    pub attempt_delay: Duration,
    /// Addresses tried of one name; further ones are ignored.
    pub addresses: usize,
    /// Largest signal of a session, in bytes; a larger one is dropped and counted.
    pub signal: usize,
    /// Rooms that a relay keeps; more are refused.
    pub rooms: usize,
    /// Members of one room; a relay refuses more, and a member leaves a room whose list is longer.
    pub room_members: usize,
    /// Largest broadcast to a room, in bytes before sealing; a larger one is an error at its sender and dropped by
    /// everybody else.
    pub room_broadcast: usize,
    /// Joins and leaves that a relay takes on one link in ten seconds; more are refused.
    pub room_joins: u32,
    /// How long a member whose link to the relay is down may take to come back.
    pub room_grace: Duration,
    /// Silence after which a relay takes a member for gone.
    pub room_expiry: Duration,
    /// Between two signs of life that a member gives the relay.
    pub room_refresh: Duration,
    /// Broadcasts of a room that wait for their sender's key, an eighth of them for any one sender; more are dropped.
    pub room_waiting: usize,
    /// Bytes of those broadcasts; more are dropped.
    pub room_waiting_bytes: usize,
    /// How long a broadcast waits for its sender's key, and a key for its sender to be listed.
    pub room_key_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 16 * 1024 * 1024,
            http_head: 16 * 1024,
            http_headers: 64,
            handshakes: 1024,
            links: 65_536,
            lane: 256 * 1024,
            inbox: 1024 * 1024,
            handshake_time: Duration::from_secs(10),
            close_time: Duration::from_secs(5),
            ping_after: Some(Duration::from_secs(30)),
            pong_time: Duration::from_secs(15),
            attempt_delay: Duration::from_millis(250),
            addresses: 8,
            signal: 64 * 1024,
            rooms: 10_000,
            room_members: 1_000,
            room_broadcast: 16 * 1024,
            room_joins: 128,
            room_grace: Duration::from_secs(10),
            room_expiry: Duration::from_secs(90),
            room_refresh: Duration::from_secs(30),
            room_waiting: 256,
            room_waiting_bytes: 256 * 1024,
            room_key_time: Duration::from_secs(10),
        }
    }
}
