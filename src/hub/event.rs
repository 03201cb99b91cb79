//! What a hub tells its application.

use std::net::SocketAddr;
use std::time::Duration;

use super::channel::{Channel, ChannelId};
use super::rooms::RoomEvent;
use super::session::event::{CloseReason, PathReport};
use super::{RoomId, SessionId, TransportId};
use crate::link::noise::ProofError;
use crate::machine::ids::LinkId;
use crate::transport::DownReason;
use crate::wire::frame::{Farewell, FrameError, Unreachable};
use crate::wire::identity::{Address, EndpointId, Instance};

/// There is something to take by [`Hub::next`](super::Hub::next); told once until that has answered `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News;

/// What an application may want to know.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A transport listens at this address.
    Listening {
        /// The transport.
        transport: TransportId,
        /// Where.
        address: SocketAddr,
    },
    /// A transport is up: it listens, or its first link is proved. For each transport added there is one `Up` or one
    /// `Failed`.
    Up {
        /// The transport.
        transport: TransportId,
    },
    /// A transport has failed for good. It may have been up before.
    Failed {
        /// The transport.
        transport: TransportId,
        /// Why.
        reason: LinkEnd,
    },
    /// A transport that was removed has closed all its links.
    Removed {
        /// The transport.
        transport: TransportId,
    },
    /// A neighbour has proved who it is.
    NeighbourUp {
        /// The link to it.
        link: LinkId,
        /// Who it is.
        neighbour: Address,
    },
    /// A link to a neighbour is down.
    NeighbourDown {
        /// The link; its id is dead.
        link: LinkId,
        /// Who it was.
        neighbour: Address,
        /// Why.
        reason: LinkEnd,
    },
    /// A connection never became a link to a neighbour.
    Refused {
        /// Why.
        reason: LinkEnd,
    },
    /// Somebody wants a session; answer by [`Hub::accept`](super::Hub::accept) or [`Hub::refuse`](super::Hub::refuse).
    Incoming {
        /// The session.
        session: SessionId,
        /// Who, proved end to end.
        from: Address,
        /// What it has declared.
        channels: Vec<Channel>,
    },
    /// A session stands; messages may be sent.
    Opened {
        /// The session.
        session: SessionId,
        /// With whom, proved end to end.
        peer: Address,
    },
    /// A session uses another path than before.
    Path {
        /// The session.
        session: SessionId,
        /// With whom.
        peer: Address,
        /// The path; it displays as "relayed 34 ms".
        path: PathReport,
    },
    /// A session has no path; it lives on for [`Limits::resume_time`](crate::machine::limits::Limits::resume_time).
    Disconnected {
        /// The session.
        session: SessionId,
    },
    /// A session has a path again; nothing was lost on reliable channels.
    Reconnected {
        /// The session.
        session: SessionId,
    },
    /// A channel that answered `Blocked` has room again.
    Writable {
        /// The session.
        session: SessionId,
        /// The channel.
        channel: ChannelId,
    },
    /// A relay has given STUN and TURN servers, read by [`Hub::servers`](super::Hub::servers).
    Servers {
        /// Which relay.
        relay: EndpointId,
    },
    /// A message.
    Message {
        /// The session.
        session: SessionId,
        /// The channel.
        channel: ChannelId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A session has ended, or never began.
    Closed {
        /// The session; its id is dead.
        session: SessionId,
        /// With whom, or with whom it should have been.
        peer: Address,
        /// Why.
        reason: Closed,
    },
    /// An endpoint that is watched has come, with that instance, or has gone.
    Presence {
        /// The endpoint.
        id: EndpointId,
        /// Its newest process; none: it is away.
        instance: Option<Instance>,
    },
    /// Something of a room that we are in, or wanted to be in.
    Room {
        /// The room; dead after [`RoomEvent::Closed`].
        room: RoomId,
        /// What.
        event: RoomEvent,
    },
    /// The answer to [`Hub::ping`](super::Hub::ping).
    Pong {
        /// The link.
        link: LinkId,
        /// The round trip.
        rtt: Duration,
    },
    /// The answer to [`Hub::stop`](super::Hub::stop): no transport is left.
    Stopped,
}

/// Why a session has ended, or never began.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// It had begun.
    #[error(transparent)]
    Ended(#[from] CloseReason),
    /// There is no route to the endpoint.
    #[error("unreachable: {0}")]
    Unreachable(#[from] Unreachable),
    /// No transport that could carry it was up in time.
    #[error("no transport was up")]
    NoTransport,
    /// The application of the other side has refused it.
    #[error("refused: {text} ({code})")]
    Refused {
        /// The other application's code.
        code: u8,
        /// Its words.
        text: String,
    },
    /// The handshake failed: somebody else answers, or somebody on the way changes messages.
    #[error("the handshake failed: {0}")]
    Handshake(#[from] super::opening::OpeningError),
    /// The other side answered, but the session did not stand in time.
    #[error("the handshake took too long")]
    TimedOut,
    /// We have closed it before it stood.
    #[error("given up here")]
    Abandoned,
}

/// Why a link to a neighbour has ended, or never began.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// Below the hub.
    #[error(transparent)]
    Down(#[from] DownReason),
    /// The proof failed.
    #[error("the neighbour's proof: {0}")]
    Proof(#[from] ProofError),
    /// The neighbour has broken a rule.
    #[error("the neighbour broke a rule: {0}")]
    Misbehaved(#[from] Misbehaved),
    /// The neighbour has left.
    #[error("the neighbour left: {reason}{}", if text.is_empty() { String::new() } else { format!(" ({text})") })]
    Goodbye {
        /// Why.
        reason: Farewell,
        /// Its words.
        text: String,
    },
    /// We have left.
    #[error("we left: {0}")]
    Left(Farewell),
    /// The neighbour does not answer.
    #[error("the neighbour has fallen silent")]
    Silent,
}

/// How a neighbour broke the rules of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Misbehaved {
    /// A message is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message is text.
    #[error("a text message")]
    Text,
    /// A sealed message was changed on the way, repeated or left out.
    #[error("a message that was changed on the way")]
    Seal,
    /// A message is larger than any frame.
    #[error("a message larger than a frame can be")]
    TooLarge,
    /// It asks for a route in the name of somebody else.
    #[error("a route asked for in somebody else's name")]
    Source,
    /// It greets on a link where it has to prove itself.
    #[error("a greeting in place of a proof")]
    Hello,
}
