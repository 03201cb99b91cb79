//! What an association tells.

use super::config::Reliability;
use super::error::Broken;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The association stands: negotiated channels are open, others open now.
    Connected,
    /// A channel is open: one that the peer asked for, or one of ours that the peer has confirmed. Not told of
    /// negotiated ones.
    Open(Opened),
    /// A channel is closed both ways, its messages have been taken, and its id may be used again.
    Closed(u16),
    /// There is room again, after [`want_room`](super::Association::want_room).
    Writable,
    /// The association has ended; nothing more comes but messages that arrived before.
    Over(Over),
}

/// A channel that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its id, both ways.
    pub stream: u16,
    /// Whether the peer asked for it; else we did.
    pub is_by_peer: bool,
    /// Its name.
    pub label: String,
    /// Its protocol.
    pub protocol: String,
    /// Whether its messages come in order.
    pub is_ordered: bool,
    /// When the peer gives a message up.
    pub reliability: Reliability,
    /// Its weight (RFC 8831, section 6.4): 128, 256 (normal), 512 or 1,024.
    pub priority: u16,
}

/// How an association has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// All was delivered, and both sides know (RFC 9260, section 9.2).
    #[error("closed")]
    Closed,
    /// The peer, or this side by [`abort`](super::Association::abort), ended it at once.
    #[error("aborted by {}: {reason}", if *is_by_peer { "the peer" } else { "us" })]
    Aborted {
        /// Who did.
        is_by_peer: bool,
        /// What for, in words: bounded, and without control characters.
        reason: String,
    },
    /// The peer does not answer: not to the set-up, not to data, or not to the shutdown.
    #[error("the peer does not answer")]
    Lost,
    /// What was cut for larger packets does not pass a path that takes only smaller ones any more, and can't be cut anew
    /// (RFC 9260, section 6.9; RFC 8899, section 4.3). The peer lives: another association with it will do.
    #[error("the path does not take packets as large as before")]
    TooLargeForPath,
    /// The peer broke a rule, and was told so by an ABORT.
    #[error("the peer broke a rule: {0}")]
    Broken(Broken),
}

/// Why a channel is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// The association has not been started, or is closing, or is over.
    #[error("there is no association")]
    NoAssociation,
    /// The negotiated id is in use.
    #[error("the id {0} is in use")]
    InUse(u16),
    /// The negotiated id is not below the streams of both sides.
    #[error("there is no stream {0}")]
    NoStream(u16),
    /// As many channels as [`Config::max_channels`](super::Config::max_channels) says, or no id is left.
    #[error("there are too many channels")]
    TooMany,
    /// Label or protocol is longer than [`Config::max_label`](super::Config::max_label).
    #[error("label or protocol is too long")]
    LabelTooLong,
    /// The peer can't be told to give messages up (RFC 3758).
    #[error("the peer knows no partial reliability")]
    NoPartialReliability,
}
