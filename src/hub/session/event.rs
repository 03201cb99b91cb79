//! What a session tells its owner: events, reasons, reports and counts.

use std::fmt;
use std::time::Duration;

use super::super::channel::ChannelId;
use crate::wire::session::BadRecord;

/// A path of a session, named by whoever opened its route: the session's initiator even, its responder odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u8);

impl PathId {
    /// Whether the session's initiator has opened it.
    pub const fn is_initiators(self) -> bool {
        self.0.is_multiple_of(2)
    }
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "path {}", self.0)
    }
}

/// What the session needs to know of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PathInfo {
    /// Whether it leads to the peer without a relay.
    pub direct: bool,
    /// Whether packets on it may be lost or overtaken; relays drop.
    pub lossy: bool,
    /// Whether it is private end to end by itself, so that nothing need be sealed.
    pub private: bool,
    /// Whether it has two lanes: `bulk`, where nothing is lost, and `quick`, where what is lost stays lost.
    pub split: bool,
}

/// Which paths a session may use for its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum PathPolicy {
    /// Any; direct ones before relayed ones.
    #[default]
    PreferDirect,
    /// Relayed ones only: the peer learns no address.
    RelayOnly,
    /// Direct ones only.
    DirectOnly,
}

/// The path in use; "relayed 34 ms", or "direct" as long as its round trip is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathReport {
    /// Which it is.
    pub path: PathId,
    /// Whether it leads to the peer without a relay.
    pub direct: bool,
    /// Its round-trip time: the least of the last ten seconds.
    pub rtt: Option<Duration>,
}

impl fmt::Display for PathReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.direct { "direct" } else { "relayed" })?;
        let Some(rtt) = self.rtt else { return Ok(()) };
        match rtt.as_micros() {
            micros @ 0..1_000 => write!(f, " {micros} µs"),
            micros => write!(f, " {} ms", (micros + 500) / 1_000),
        }
    }
}

/// What happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// There are messages for [`recv`](super::Session::recv); told once, until it has answered `None`.
    Readable,
    /// There are signals for [`recv_signal`](super::Session::recv_signal); told once, until it has answered `None`.
    SignalReadable,
    /// A channel that answered [`SendError::Blocked`] takes messages again.
    Writable(ChannelId),
    /// Another path is used from now on, or its round trip has become known.
    Path(PathReport),
    /// A path makes no progress; another is used if there is one.
    PathSuspect(PathId),
    /// A path was given up: it answered nothing for too long. The session has forgotten it.
    PathClosed(PathId),
    /// No path is left that may be used; the session waits for one.
    Disconnected,
    /// There is one again; what was not acknowledged goes again on it.
    Reconnected,
    /// The session has ended. Nothing follows.
    Closed(CloseReason),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side closed it, and the peer has all that was sent.
    #[error("closed by this side")]
    Local,
    /// The peer closed it.
    #[error("closed by the peer: {text} ({code})")]
    Peer {
        /// The peer's number for why.
        code: u8,
        /// The peer's words for why.
        text: String,
    },
    /// This side closed it and the peer has not acknowledged that: the last messages may be lost.
    #[error("closed by this side, and the peer did not answer")]
    Unanswered,
    /// It had no path for [`resume_time`](crate::machine::limits::Limits::resume_time).
    #[error("no path for too long")]
    ResumeTimeout,
    /// The peer broke a rule in what it sealed.
    #[error("the peer broke a rule: {0}")]
    Misbehaved(Misbehaved),
    /// The peer does not know the session any more: it was started anew.
    #[error("the peer has forgotten the session")]
    Forgotten,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session does not stand: not yet, or not any more.
    #[error("the session is not open")]
    NotOpen,
    /// The channel holds its limit; [`SessionEvent::Writable`] follows.
    #[error("the channel is full")]
    Blocked,
    /// No such channel.
    #[error("no such channel")]
    NoChannel,
    /// The message is larger than [`message`](crate::machine::limits::Limits::message), or the signal than
    /// [`signal`](crate::machine::limits::Limits::signal).
    #[error("the message is too large")]
    TooLarge,
    /// The session is closing or closed.
    #[error("the session is closing")]
    Closing,
}

/// Which rule a packet broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Misbehaved {
    /// A packet that is not sealed came on a path that is not private.
    #[error("an unsealed packet on a path that is not private")]
    Unsealed,
    /// Not a packet of an established session, or one too short or too long.
    #[error("not a packet of a session")]
    NotAPacket,
    /// A sealed packet that does not authenticate.
    #[error("a sealed packet does not authenticate")]
    Forged,
    /// A sealed packet that came before, or too late to tell.
    #[error("a sealed packet came twice, or far too late")]
    Replayed,
    /// A packet for a path that the session does not have.
    #[error("a packet on an unknown path")]
    NoSuchPath,
    /// An attachment that names another session, no path, or another path than the one it came on.
    #[error("an attachment of something else")]
    Attachment,
    /// An attachment under an id that only this side gives out.
    #[error("the peer named a path by an id of ours")]
    PathParity,
    /// An attachment of a path beyond [`session_paths`](crate::machine::limits::Limits::session_paths).
    #[error("too many paths")]
    TooManyPaths,
    /// A record is not of the format.
    #[error("a malformed record: {0}")]
    Record(BadRecord),
    /// A record names a channel that was not declared.
    #[error("a record names a channel that does not exist")]
    NoSuchChannel,
    /// A run without a byte.
    #[error("an empty run")]
    EmptyRun,
    /// A run of messages whose lengths do not add up.
    #[error("a run of messages is malformed")]
    BadRun,
    /// A fragment that begins a message inside another, or continues none.
    #[error("a fragment is out of place")]
    FragmentOutOfPlace,
    /// A message beyond [`message`](crate::machine::limits::Limits::message).
    #[error("a message is too large")]
    MessageTooLarge,
    /// A signal beyond [`signal`](crate::machine::limits::Limits::signal).
    #[error("a signal is too large")]
    SignalTooLarge,
    /// More bytes on a reliable channel than were granted, or a run that could only exist beyond that.
    #[error("more was sent than granted")]
    BeyondGrant,
    /// A run so far ahead of the oldest one alive that no sender may have it.
    #[error("a run is too far ahead")]
    TooFarAhead,
    /// Runs of a reliable channel were given up.
    #[error("a reliable channel gave up a run")]
    ForwardOnReliable,
    /// An acknowledgement of a run that was never sent.
    #[error("an acknowledgement of what was never sent")]
    AckOfUnsent,
    /// Two acknowledgements of one channel in one packet.
    #[error("a channel is acknowledged twice in one packet")]
    RepeatedAck,
    /// A grant on a channel that has none, or one beyond any sense.
    #[error("a grant beyond sense")]
    GrantBeyondSense,
    /// An answer to a ping that was never sent.
    #[error("an answer to a ping that was never sent")]
    PongWithoutPing,
}

impl Misbehaved {
    /// Whether the path on which the packet came shall be closed: forged and repeated packets are only counted, for
    /// a relay or an outsider can make them.
    pub const fn closes_path(self) -> bool {
        !matches!(self, Self::Forged | Self::Replayed | Self::NoSuchPath)
    }
}

/// One path of a session, and what it has carried so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathCounts {
    /// Which it is.
    pub path: PathId,
    /// Whether it leads to the peer without a relay.
    pub direct: bool,
    /// Whether it carries the messages.
    pub in_use: bool,
    /// Whether it seems to be dead.
    pub suspect: bool,
    /// Its round-trip time: the least of the last ten seconds.
    pub rtt: Option<Duration>,
    /// Runs sent on it.
    pub runs_sent: u64,
    /// Runs of those that were held to be lost.
    pub runs_lost: u64,
    /// Bytes in packets sent.
    pub bytes_sent: u64,
    /// Bytes in packets received.
    pub bytes_received: u64,
}

impl PathCounts {
    /// The part of what was sent that was held to be lost, from 0 to 1.
    pub fn loss(&self) -> f64 {
        if self.runs_sent == 0 { 0.0 } else { self.runs_lost as f64 / self.runs_sent as f64 }
    }
}

/// Counts of one session since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionStatistics {
    /// Messages accepted to be sent, signals included.
    pub messages_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Messages taken by the application, signals included.
    pub messages_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
    /// Packets handed out.
    pub packets_sent: u64,
    /// Packets taken in that authenticated.
    pub packets_received: u64,
    /// Runs sent for the first time.
    pub runs_sent: u64,
    /// Runs sent again.
    pub runs_resent: u64,
    /// Runs that came again, and were dropped.
    pub duplicates: u64,
    /// Runs given up by the limits of their channels.
    pub abandoned: u64,
    /// Runs dropped at arrival because nobody took what came before.
    pub dropped: u64,
    /// Runs held to be lost.
    pub lost: u64,
    /// Probe time-outs.
    pub probes: u64,
    /// Packets that did not authenticate.
    pub forged: u64,
    /// Packets that came twice.
    pub replayed: u64,
    /// How often the path in use changed.
    pub path_changes: u64,
    /// How often a path became suspect.
    pub suspicions: u64,
    /// How often the last path went.
    pub disconnects: u64,
}
