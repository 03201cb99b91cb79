//! What a peer tells its owner, and how it ends.

use std::net::SocketAddr;

use zeroize::Zeroizing;

use crate::link::negotiation::Ending;
use crate::wire::outlook::Outlook;
#[cfg(doc)]
use crate::wire::signal::Signal;

/// How far a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// The other side is not known.
    #[default]
    New,
    /// Pairs are checked.
    Checking,
    /// A pair works; DTLS shakes hands.
    Connecting,
    /// It can carry messages.
    Connected,
    /// No pair works any more.
    Disconnected,
}

/// Why a peer is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The other side has ended it.
    Told(Ending),
    /// The other side has closed its connection.
    Closed,
    /// The other side has not described itself in time.
    Unanswered,
    /// No pair worked in time.
    Unconnected,
    /// A pair worked, but DTLS did not connect over it.
    Handshake(String),
    /// It was connected, and its DTLS or SCTP has failed since: why.
    Failed(String),
    /// No pair works any more.
    Silent,
    /// The other side broke a rule.
    Misbehaved(String),
}

/// What a peer tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This is for the other side: a [`Signal`], encoded.
    Signal(Zeroizing<Vec<u8>>),
    /// The other side can be reached at that address, perhaps: relays are to let it in.
    Remote(SocketAddr),
    /// What the other side knows of its ways out.
    Outlook(Outlook),
    /// It is at another point.
    State(State),
    /// A channel is open: its place, its label.
    Open(usize, String),
    /// There is room again.
    Writable,
    /// A channel is closed.
    ChannelClosed(usize),
    /// It is over; nothing follows.
    Over(End),
}

impl End {
    /// What the other side is told.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Told(Ending { text, .. }) => text,
            Self::Closed => "closed",
            Self::Unanswered => "no answer",
            Self::Unconnected => "no pair of addresses worked",
            Self::Handshake(error) | Self::Failed(error) | Self::Misbehaved(error) => error,
            Self::Silent => "silence",
        }
    }
}
