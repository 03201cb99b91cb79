//! Transports whose links two sides agree on by signals that somebody else carries: a session that has a path already
//! gets a better one.
//!
//! A *peer* is one try to connect the two sides. It is opened for an *attempt*, whose number both sides know; what it
//! has to tell the other side comes out as [`PeerEvent::Signal`], and what the other side tells goes in by
//! [`Upgrade::signal`]. A peer that is up has two links: `bulk`, reliable and unordered, and `quick`, on which what is
//! lost stays lost, for messages of at most one datagram. They are told of by [`PeerEvent::Up`] and
//! [`PeerEvent::Down`] alone: for neither is there a [`TransportEvent`](super::TransportEvent). All else of them is
//! as of any link: they deliver, are woken, pull and are resumed.
//!
//! Nobody proves who he is on these links. Signals come through a session that is sealed end to end, and what they say
//! of the other side's key makes the links private.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Transport;
use crate::machine::Cx;
use crate::machine::ids::{LinkId, id};
use crate::wire::candidate::{CandidateKind, Protocol};
use crate::wire::ice_server::IceServer;
use crate::wire::outlook::Outlook;
use crate::wire::signal::Signal;

id!(PeerId, "peer", "A peer of an upgrade.");

/// A transport whose links are agreed on by signals that somebody else carries.
pub trait Upgrade: Transport {
    /// Begins a peer for an attempt. Who `offers` makes the offer; the other waits for it. None: there are as many
    /// peers as allowed.
    fn open(&mut self, cx: &mut Cx<'_>, attempt: u32, offers: bool) -> Option<PeerId>;

    /// Takes in one signal of the peer's attempt: any but those about rooms.
    fn signal(&mut self, cx: &mut Cx<'_>, peer: PeerId, signal: &Signal<'_>);

    /// Ends a peer and its links. Its last event is the signal of it: a goodbye, or the error of that code and words.
    /// Then its id is dead; no `Down` follows.
    fn close(&mut self, cx: &mut Cx<'_>, peer: PeerId, ending: Option<(u8, &str)>);

    /// The next thing to be known of a peer; to be asked whenever [`Transport::poll`] is.
    fn poll_peer(&mut self, cx: &mut Cx<'_>) -> Option<(PeerId, PeerEvent)>;

    /// These are the servers that `from` hands out, instead of those that it has handed out before.
    fn set_servers(&mut self, cx: &mut Cx<'_>, from: u64, servers: &[IceServer]);

    /// What is known of a peer.
    fn report(&self, peer: PeerId) -> Option<PeerReport>;

    /// What is known of this side's ways out.
    fn outlook(&self) -> Outlook;

    /// How often the network of this side has changed; what failed before is worth another try after each.
    fn moves(&self) -> u64;

    /// Another number whenever [`Self::outlook`] or [`Self::moves`] may be another. It is asked for after each input.
    fn revision(&self) -> u64;
}

/// What happens to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// The other side has to know this: a [`Signal`], encoded.
    Signal(Zeroizing<Vec<u8>>),
    /// The two sides are connected.
    Up {
        /// Reliable, unordered.
        bulk: LinkId,
        /// Unordered; what is lost is not sent again.
        quick: LinkId,
    },
    /// It goes on.
    State(PeerState),
    /// It has ended: its id is dead, and so are its links.
    Down(PeerEnd),
}

/// How far a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum PeerState {
    /// It has just begun.
    #[default]
    New,
    /// It looks for addresses of its own.
    Gathering,
    /// Pairs of addresses are tried.
    Checking,
    /// A pair works, and the handshake goes over it.
    Connecting,
    /// The links are up.
    Connected,
    /// Nothing comes any more; that may pass.
    Disconnected,
    /// Nothing worked.
    Failed,
    /// It is over.
    Closed,
}

impl PeerState {
    /// The word of W3C WebRTC's `RTCIceConnectionState` for it.
    pub const fn ice_connection_state(self) -> &'static str {
        match self {
            Self::New | Self::Gathering => "new",
            Self::Checking => "checking",
            Self::Connecting | Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }

    /// The word of W3C WebRTC's `RTCPeerConnectionState` for it.
    pub const fn connection_state(self) -> &'static str {
        match self {
            Self::New | Self::Gathering => "new",
            Self::Checking | Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gathering => "gathering",
            Self::Connecting => "connecting",
            other => other.ice_connection_state(),
        })
    }
}

/// Why a peer has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerEnd {
    /// This side has closed it.
    #[error("closed here")]
    Closed,
    /// The other side has closed it.
    #[error("closed by the other side: {text} ({code})")]
    Bye {
        /// For programs.
        code: u8,
        /// For people.
        text: String,
    },
    /// The other side did not take the offer.
    #[error("refused by the other side: {text} ({code})")]
    Rejected {
        /// For programs; see [`Refusal`].
        code: u8,
        /// For people.
        text: String,
    },
    /// It has failed at the other side.
    #[error("the other side has failed: {text} ({code})")]
    FailedThere {
        /// For programs.
        code: u8,
        /// For people.
        text: String,
    },
    /// The other side has answered nothing.
    #[error("the other side did not answer")]
    Unanswered,
    /// No pair of addresses worked.
    #[error("no pair of addresses worked")]
    Failed,
    /// It was connected, and what carries it has failed.
    #[error("it has failed: {0}")]
    Broken(String),
    /// It was connected, and has fallen silent.
    #[error("it has fallen silent")]
    Silent,
    /// A pair worked, and the handshake over it did not come to its end.
    #[error("the handshake failed: {0}")]
    HandshakeFailed(String),
    /// The other side broke a rule.
    #[error("the other side broke a rule: {0}")]
    Misbehaved(String),
    /// This side found no address of its own.
    #[error("no address was found")]
    GatherFailed,
    /// There are as many peers as allowed.
    #[error("too many peers")]
    TooMany,
    /// Signals could not be sent.
    #[error("signals could not be sent")]
    Unsignalled,
}

/// Why an offer is not taken: the codes of [`Signal::Reject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There are no upgrades at this side.
    NoUpgrade,
    /// The session shall be relayed.
    Policy,
    /// There are as many peers, or attempts, as allowed.
    TooMany,
    /// Both sides offer, and the other one's offer counts.
    Glare,
    /// The attempt's number is not one of the other side's.
    Attempt,
}

impl Refusal {
    /// Its code.
    pub const fn code(self) -> u8 {
        match self {
            Self::NoUpgrade => 1,
            Self::Policy => 2,
            Self::TooMany => 3,
            Self::Glare => 4,
            Self::Attempt => 5,
        }
    }

    /// What a code stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::NoUpgrade,
            2 => Self::Policy,
            3 => Self::TooMany,
            4 => Self::Glare,
            5 => Self::Attempt,
            _ => return None,
        })
    }
}

/// What is known of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerReport {
    /// How far it is.
    pub state: PeerState,
    /// The round trip, as its checks measure it.
    pub rtt: Option<Duration>,
    /// Bytes sent, all of its protocols included.
    pub bytes_sent: u64,
    /// Bytes received, all of its protocols included.
    pub bytes_received: u64,
    /// The addresses in use.
    pub pair: Option<CandidatePair>,
    /// Candidates of this side.
    pub local_candidates: usize,
    /// Candidates of the other side.
    pub remote_candidates: usize,
}

/// The addresses that two peers use; "host 192.0.2.1:5000 to srflx 198.51.100.2:6000".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CandidatePair {
    /// Ours.
    pub local: PairEnd,
    /// Theirs.
    pub remote: PairEnd,
}

impl CandidatePair {
    /// Whether a TURN server passes everything on.
    pub fn is_relayed(&self) -> bool {
        [self.local.kind, self.remote.kind].contains(&CandidateKind::Relayed)
    }
}

impl fmt::Display for CandidatePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.local, self.remote)
    }
}

/// One end of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PairEnd {
    /// How it was found.
    pub kind: CandidateKind,
    /// Where it is.
    pub address: SocketAddr,
    /// What carries its datagrams; to a TURN server, for a relayed one.
    pub protocol: Protocol,
}

impl fmt::Display for PairEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.address)?;
        if self.protocol == Protocol::Tcp { f.write_str(" tcp") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_code() {
        let all = [Refusal::NoUpgrade, Refusal::Policy, Refusal::TooMany, Refusal::Glare, Refusal::Attempt];
        for refusal in all {
            assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
        }
        assert_eq!(Refusal::from_code(0), None);
    }
}
