//! WebSocket after its HTTP upgrade (RFC 6455, sections 5 to 7), both roles, without extensions.
//!
//! *Receiving.* Payload is unmasked in place. A message that is one frame and lies whole in the received chunk is
//! lent from it, at no cost but the unmasking; any other is gathered in one vector that grows with what has come,
//! never with what was announced, and is given away with the message. A control frame is handled once it is there
//! whole, also between the parts of a message. No `Text` is delivered that is not UTF-8: a lent text is checked at
//! once, a gathered one piece by piece, so that it fails at the first byte that can't be right (section 8.1).
//!
//! *Stopping.* When the receiver says [`Flow::Stop`], what it has not seen of the chunk is kept, at most the chunk,
//! and a cursor moves through it however often the receiver stops again. Nothing is delivered until it resumes by
//! `receive` with no data. Kept or gathered, memory goes back as soon as it is used up: an idle link owns none.
//!
//! *Sending.* A message becomes one frame, written straight into the caller's buffer and there masked by a client,
//! each with a mask of its own (section 5.3). Owed control frames go first. Pings are answered in
//! their order; of a flood only the newest 16, as section 5.5.3 allows, so a peer can't make us hold more than those.
//!
//! *Closing.* [`close`](WebSocket::close) sends a close frame and no message after it; messages that the peer sent
//! before its own close frame are still delivered. A close frame of the peer is answered with its code, and what
//! comes after it is ignored (section 5.5.1). Once both have passed, the state is [`State::Closed`] and the stream
//! may be finished, by the server first (section 7.1.1). After an error the caller says
//! [`close`](WebSocket::close) with [`Misbehaved::close_code`], fills the frame out, and ends the stream without
//! waiting (section 7.1.7).

mod control;
mod inbound;
mod message;
mod writer;

use crate::machine::Fill;
use crate::machine::buf::Buf;
use crate::machine::payload::{Flow, Framer, Kind, Payload};
use crate::machine::rng::Rng;
use crate::wire::websocket::{Close, CloseCode, CloseError, HeaderError};

use control::Control;
use inbound::Inbound;
use writer::Writer;

/// One end of a WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    role: Role,
    inbound: Inbound,
    control: Control,
}

/// Which end it is: clients mask what they send, servers do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It asked for the connection.
    Client,
    /// It accepted the connection.
    Server,
}

/// How far the closing handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State<'a> {
    /// Nobody has closed.
    Open,
    /// One side has closed and the other's close frame is to come: from the peer, or from us by `fill`.
    Closing,
    /// Both close frames have passed: nothing will be sent or delivered.
    Closed {
        /// The peer's code; none when its close frame was empty.
        code: Option<CloseCode>,
        /// The peer's reason, for people; may be empty.
        reason: &'a str,
    },
}

/// The rule that the peer broke; the connection must be failed (RFC 6455, section 7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaved {
    /// A frame's header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A close frame's payload breaks a rule.
    #[error(transparent)]
    Close(#[from] CloseError),
    /// A client must mask.
    #[error("a client sent a frame without a mask (RFC 6455, section 5.1)")]
    Unmasked,
    /// A server must not mask.
    #[error("a server sent a frame with a mask (RFC 6455, section 5.1)")]
    Masked,
    /// There is no message to continue.
    #[error("a continuation frame came without a message to continue (RFC 6455, section 5.4)")]
    ContinuationWithoutStart,
    /// Parts of two messages are mixed.
    #[error("a new message began before the last part of a fragmented one (RFC 6455, section 5.4)")]
    Interleaved,
    /// Refused on the header alone.
    #[error("a message is longer than the limit of {limit} bytes")]
    TooBig {
        /// What the link accepts.
        limit: usize,
    },
    /// A text message is not text.
    #[error("a text message is not UTF-8 (RFC 6455, section 8.1)")]
    TextNotUtf8,
}

impl Misbehaved {
    /// The code to close with (RFC 6455, section 7.4.1).
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::TextNotUtf8 | Self::Close(CloseError::ReasonNotUtf8) => CloseCode::INVALID_DATA,
            Self::TooBig { .. } => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl WebSocket {
    /// An open connection that accepts messages of up to `max_message` bytes.
    pub const fn new(role: Role, max_message: usize) -> Self {
        Self { role, inbound: Inbound::new(role, max_message), control: Control::new() }
    }

    /// Takes received bytes, unmasking them in place, and hands up the messages that they complete.
    ///
    /// Answers `Stop` once `up` did. From then on data is only kept behind the rest, and a call without data goes
    /// on where the receiver stopped. Control frames are handled on the way: look at
    /// [`wants_fill`](Self::wants_fill) and [`state`](Self::state) afterwards.
    ///
    /// # Errors
    /// The rule that the peer broke. Afterwards everything received is discarded.
    pub fn receive(
        &mut self,
        data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, Misbehaved> {
        self.inbound.receive(data, &mut self.control, up)
    }

    /// Writes owed control frames, then messages until the buffer is full or `supply` has none.
    pub fn fill(&mut self, rng: &mut Rng, buf: &mut Buf, supply: &mut dyn FnMut(&mut dyn Framer) -> bool) -> Fill {
        let mut writer = Writer::new(self.role, rng, buf);
        if writer.is_full() {
            return Fill::More;
        }
        self.control.write(&mut writer);
        if self.control.is_closing() {
            return Fill::Done;
        }
        while !writer.is_full() {
            if !supply(&mut writer) {
                return Fill::Done;
            }
        }
        Fill::More
    }

    /// Whether a control frame waits for [`fill`](Self::fill).
    pub const fn wants_fill(&self) -> bool {
        self.control.wants_fill()
    }

    /// Queues a ping, unless the connection is closing.
    pub const fn ping(&mut self) {
        self.control.ping();
    }

    /// Whether a pong has come since the last call, asked for or not: the peer lives.
    pub const fn take_pong(&mut self) -> bool {
        self.control.take_pong()
    }

    /// Starts the closing handshake; no message is sent any more. A reason beyond 123 bytes is cut. Does nothing
    /// when either side has closed already.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.control.close(Close { code, reason });
    }

    /// How far the closing handshake is.
    pub fn state(&self) -> State<'_> {
        self.control.state()
    }

    /// What the peer said when it closed, once it has: its code, none when its close frame was empty, and its reason.
    pub fn peer_close(&self) -> Option<(Option<CloseCode>, &str)> {
        self.control.peer_close()
    }

    /// Whether a message or a frame has begun that is not complete: a stream that ends here was cut off.
    ///
    /// Says nothing about what is kept since the receiver stopped: resume first. Without a closing handshake a
    /// stream that ends between messages is no clean end either.
    pub const fn is_mid_message(&self) -> bool {
        self.inbound.is_mid_message()
    }
}
