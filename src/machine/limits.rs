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
    /// Events that wait for the application of a hub; then its neighbours wait.
    pub events: usize,
    /// Sessions of a hub; further ones are refused.
    pub sessions: usize,
    /// Sessions of a hub that others have asked for and that do not stand yet; further ones are dropped.
    pub openings: usize,
    /// Routes of one link; further ones are refused.
    pub routes: usize,
    /// Relays that a route may lead over.
    pub hops: u8,
    /// Bytes that wait to be passed on over one link; further packets are dropped.
    pub forward: usize,
    /// Endpoints that one neighbour may watch.
    pub watches: usize,
    /// From a session's proposal until the application has decided on it.
    pub decision_time: Duration,
    /// Largest packet of a session, in bytes, its sealing included.
    pub packet: usize,
    /// Channels of one session, without the session's own; a longer list is refused.
    pub session_channels: usize,
    /// Paths of one session at a time; more are refused.
    pub session_paths: usize,
    /// Bytes accepted on one channel of a session and not yet acknowledged; then `send` answers `Blocked`.
    pub session_send: usize,
    /// Bytes received on one channel of a session and not yet taken: what a reliable channel grants its sender; on
    /// others the newest are dropped. An incomplete message may hold up to [`Self::message`] beyond it.
    pub session_receive: usize,
    /// Largest signal of a session, in bytes.
    pub signal: usize,
    /// A session without any path lives so long.
    pub resume_time: Duration,
    /// Least time without an acknowledgement, while something is in flight, after which a path is suspect (else three
    /// round trips).
    pub suspicion: Duration,
    /// Silence of a path that owes an answer, after which it is closed.
    pub path_silence: Duration,
    /// Attempts at a direct path of one session within a minute, of both sides; more are refused, or wait.
    pub attempts: u32,
    /// From the start of an attempt at a direct path until it is given up, unless it is up.
    pub attempt_time: Duration,
    /// Between an attempt at a direct path that failed and the next; it doubles with each failure.
    pub attempt_pause: Duration,
    /// The longest such pause.
    pub attempt_pause_most: Duration,
    /// How long a direct path may be suspect until it is given up for a new one.
    pub replace_after: Duration,
    /// Signals of one attempt that wait for the session to take them; with more the attempt fails.
    pub waiting_signals: usize,
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
            events: 4096,
            sessions: 65_536,
            openings: 1024,
            routes: 65_536,
            hops: 4,
            forward: 1024 * 1024,
            watches: 1024,
            decision_time: Duration::from_secs(60),
            packet: 16 * 1024 + 64,
            session_channels: 64,
            session_paths: 8,
            session_send: 1024 * 1024,
            session_receive: 1024 * 1024,
            signal: 16 * 1024,
            resume_time: Duration::from_secs(60),
            suspicion: Duration::from_millis(250),
            path_silence: Duration::from_secs(5),
            attempts: 20,
            attempt_time: Duration::from_secs(30),
            attempt_pause: Duration::from_secs(2),
            attempt_pause_most: Duration::from_secs(60),
            replace_after: Duration::from_secs(1),
            waiting_signals: 64,
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
