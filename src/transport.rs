//! Ways to reach others. Each is a [`Transport`]: the verbs of a machine, with the layer above lent for the call.
//!
//! | module | connection strings | what it is |
//! | --- | --- | --- |
//! | [`stream`] | `tcp:` `tls:` `ws:` `wss:` `pair:` | messages on byte streams, dialled or accepted |
//! | [`offline`] | `offline` | connects at once, discards what is sent |
//! | `serve` | `stun:` `turn:` `turns:` | STUN and TURN servers; no links |
//!
//! An [`Upgrade`] is a transport whose links two sides agree on by signals, which a session carries.
//!
//! [`Alone`] makes any transport usable without a hub. A user's own transport implements the trait and goes
//! wherever these go.
//!
//! What every transport owes the layer above: each link is announced by one [`TransportEvent::Up`] and ended by
//! one [`TransportEvent::Down`]; between the two it delivers and pulls messages for that link and for no other.

pub mod alone;
pub mod offline;
mod outbox;
#[cfg(any(feature = "stun", feature = "turn"))]
pub mod serve;
pub mod stream;
pub mod upgrade;
#[cfg(feature = "webrtc")]
pub mod webrtc;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use alone::Alone;
pub use outbox::Outbox;
pub use upgrade::{CandidatePair, PairEnd, PeerEnd, PeerEvent, PeerId, PeerReport, PeerState, Refusal, Upgrade};

use crate::machine::buf::Buf;
use crate::machine::ids::{LinkId, PortId};
use crate::machine::payload::Upper;
use crate::machine::port::PortError;
use crate::machine::rng::Rng;
use crate::machine::{Cx, Fill, Input, Output};
use crate::stack::dial::DialError;
use crate::stack::stream::{Opened, StreamError};

/// One way to reach others: a machine that is lent the layer above; dyn-compatible, so a user's own fits.
pub trait Transport {
    /// Takes exactly one thing in, as [`Machine::handle`](crate::machine::Machine::handle).
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper);

    /// Takes exactly one thing out, as [`Machine::poll`](crate::machine::Machine::poll).
    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<TransportEvent>;

    /// Pulls payload for one port, as [`Machine::fill`](crate::machine::Machine::fill).
    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill;
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        (**self).handle(cx, input, upper);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<TransportEvent> {
        (**self).poll(cx)
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        (**self).fill(cx, port, buf, upper)
    }
}

/// What the layer above asks of a transport. A link that has gone down may still be named: that is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportCommand {
    /// Dial or listen. Comes once, first.
    Start,
    /// [`Upper::supply`] has something for this link.
    Wake(LinkId),
    /// The receiver that said `Stop` goes on.
    Resume(LinkId),
    /// Send what the layer above still supplies, then close the link in the way of its protocol.
    Close(LinkId),
    /// Close all links, dial and listen no more; answered by [`TransportEvent::Stopped`].
    Stop,
}

/// What a transport tells the layer above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportEvent {
    /// A listener is open at this address.
    Listening(SocketAddr),
    /// A link is up.
    Up(LinkId, LinkInfo),
    /// A link is down; its id is dead.
    Down(LinkId, DownReason),
    /// A connection, dialled or accepted, ended before it was a link.
    Refused(Option<SocketAddr>, DownReason),
    /// A dialling transport tries again after this time.
    Retrying(Duration),
    /// A dialling transport's policy allows no further try, and no port of it is left; or a listener could not be
    /// opened or has broken.
    Failed(DownReason),
    /// The answer to [`TransportCommand::Stop`]: no port and no link is left.
    Stopped,
}

/// Who made a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Side {
    /// We did.
    #[default]
    Dialled,
    /// The other side did.
    Accepted,
    /// Nobody: both ends lie in this process, or in what the environment answers for, and need no proof of each other.
    InProcess,
}

/// What is known of a link when it comes up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkInfo {
    /// Who made it.
    pub side: Side,
    /// Our address, where there is one.
    pub local: Option<SocketAddr>,
    /// The other side's address, where there is one.
    pub peer: Option<SocketAddr>,
    /// What its handshakes agreed on.
    pub opened: Opened,
}

/// Why a link ended, or why a connection never became one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// The layer above asked for it.
    #[error("closed here")]
    Requested,
    /// The peer closed it in the way of the protocol.
    #[error("closed by the peer{0}")]
    Closed(PeerClose),
    /// No connection could be made.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection, or the listener, broke.
    #[error("the connection broke: {0}")]
    Port(#[from] PortError),
    /// The peer broke a rule, or a handshake failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// It was not up within [`Limits::handshake_time`](crate::machine::limits::Limits::handshake_time).
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// The layer above asked for the end, and it was not complete within
    /// [`Limits::close_time`](crate::machine::limits::Limits::close_time): what was sent last may be lost.
    #[error("the close took too long: what was sent last may be lost")]
    CloseTimeout,
    /// Nothing came for `ping_after`, nor an answer within `pong_time`.
    #[error("the peer has fallen silent")]
    Silent,
    /// The listener has as many connections as its limits allow.
    #[error("too many connections")]
    TooMany,
}

/// What a peer said when it closed a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerClose {
    /// The close code, where the protocol has one (RFC 6455, section 7.4).
    pub code: Option<u16>,
    /// The peer's words.
    pub reason: String,
}

impl fmt::Display for PeerClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, " ({code} {:?})", self.reason),
            None => Ok(()),
        }
    }
}

/// What a dialling transport does when its link or its dial has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reconnect {
    /// Nothing: [`TransportEvent::Failed`].
    #[default]
    Never,
    /// Dials again at once after a link; after a failed dial in 100 ms.
    AtOnce,
    /// Dials again after this time.
    After(Duration),
    /// Dials again after a time that doubles from `first` to `cap`, of which a random part up to a half is taken
    /// off; a link that was up starts it anew.
    Backoff {
        /// The first time.
        first: Duration,
        /// The longest time.
        cap: Duration,
    },
}

impl Reconnect {
    /// The pause before the next dial, after `failures` dials that failed in a row; none: no further dial.
    pub fn pause(self, failures: u32, rng: &mut Rng) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::AtOnce if failures == 0 => Some(Duration::ZERO),
            Self::AtOnce => Some(Duration::from_millis(100)),
            Self::After(pause) => Some(pause),
            Self::Backoff { first, cap } => {
                let doubled = first.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
                let whole = u64::try_from(doubled.min(cap).as_nanos()).unwrap_or(u64::MAX);
                Some(Duration::from_nanos(whole - rng.below(whole / 2 + 1)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_back_off_doubles_up_to_its_cap_and_is_never_below_half() {
        let (first, cap) = (Duration::from_secs(1), Duration::from_secs(60));
        let policy = Reconnect::Backoff { first, cap };
        let mut rng = Rng::from_u64(3);
        for failures in 1..100 {
            let whole = first.saturating_mul(1 << (failures - 1).min(10)).min(cap);
            let pause = policy.pause(failures, &mut rng).unwrap();
            assert!(pause <= whole && pause >= whole / 2, "{failures}: {pause:?} of {whole:?}");
        }
    }

    #[test]
    fn at_once_does_not_spin_on_a_refused_dial() {
        let mut rng = Rng::from_u64(3);
        assert_eq!(Reconnect::AtOnce.pause(0, &mut rng), Some(Duration::ZERO));
        assert!(Reconnect::AtOnce.pause(1, &mut rng).unwrap() > Duration::ZERO);
        assert_eq!(Reconnect::Never.pause(0, &mut rng), None);
    }
}
