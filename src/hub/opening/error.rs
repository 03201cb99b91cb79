//! What can be wrong with a handshake.

use super::VERSION;
use super::verdict::MAX_TEXT;
use crate::hub::channel::ChannelsError;
use crate::link::noise::{HandshakeError, OpenError};
use crate::wire::cursor::Malformed;
use crate::wire::identity::Address;

/// Which rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// The other side would be this very process.
    #[error("a session with oneself")]
    Myself,
    /// Larger than [`Limits::packet`](crate::machine::limits::Limits::packet).
    #[error("a packet of a session's handshake is too large")]
    TooLarge,
    /// Not a packet of a handshake, or one without a known step.
    #[error("a packet is no step of a session's handshake")]
    NotAStep,
    /// A step that is the receiver's own, or that comes before its time.
    #[error("step {0} of a session's handshake came where it has no place")]
    WrongStep(u8),
    /// A step that was taken in has come again with other bytes.
    #[error("a step of a session's handshake came twice and not the same")]
    Changed,
    /// In the handshake itself: another instance, a wrong certificate, a forged message.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The first message says something, which nobody vouches for yet.
    #[error("the first message of a session's handshake has a payload")]
    EarlyPayload,
    /// It is another endpoint, or another instance of it, that has answered.
    #[error("{} has answered in the place of the endpoint that was asked", .0.id.short())]
    WrongPeer(Address),
    /// The other side speaks another version.
    #[error("the other side speaks version {0} of sessions, we speak version {VERSION}")]
    Version(u8),
    /// A purpose that is unknown.
    #[error("a session of the unknown purpose {0}")]
    Purpose(u8),
    /// The list of channels breaks a rule.
    #[error(transparent)]
    Channels(#[from] ChannelsError),
    /// A part of a payload or of a verdict is wrong.
    #[error("in a session's handshake {0}")]
    Malformed(#[from] Malformed),
    /// A payload or a verdict goes on after its end.
    #[error("a payload of a session's handshake goes on after its end")]
    Trailing,
    /// The verdict is not the peer's.
    #[error("the verdict on a session: {0}")]
    Verdict(#[from] OpenError),
    /// No verdict that we know.
    #[error("the unknown verdict {0} on a session")]
    UnknownVerdict(u8),
    /// The text of a refusal is too long.
    #[error("a refusal's text has more than {MAX_TEXT} bytes")]
    Text,
}

impl OpeningError {
    /// Whether the opening is over; else only the packet was of no use.
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::TooLarge | Self::NotAStep | Self::WrongStep(_) | Self::Changed | Self::Verdict(_))
    }
}
