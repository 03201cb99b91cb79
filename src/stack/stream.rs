//! One byte stream as a pipe of messages: proxy, TLS, HTTP upgrade and framing composed, in that order.
//!
//! A [`Stream`] takes the wire's bytes by [`receive`](Stream::receive), writes what is owed by
//! [`fill`](Stream::fill), and is told of the end of the stream by [`eof`](Stream::eof). It owns no port and no
//! timer: its transport does. Whoever breaks a rule gets the answer that the protocol has for it (an alert, an
//! HTTP status, a close frame), written by the next `fill`; then [`is_finished`](Stream::is_finished) says that
//! the port can be finished. Nothing that comes after a broken rule is looked at.

#[cfg(feature = "ws")]
mod inner;
#[cfg(not(feature = "ws"))]
#[path = "stream/inner_without_ws.rs"]
mod inner;
#[cfg(feature = "tls")]
mod seal;
#[cfg(not(feature = "tls"))]
#[path = "stream/seal_without_tls.rs"]
mod seal;

use inner::Inner;
use seal::Seal;

use crate::link::framed;
#[cfg(feature = "ws")]
use crate::link::http::{self, HttpError};
#[cfg(feature = "tls")]
use crate::link::tls::{self, TlsError, TlsInfo};
#[cfg(feature = "ws")]
use crate::link::websocket;
use crate::machine::buf::Buf;
use crate::machine::limits::Limits;
use crate::machine::payload::{Flow, Framer, Kind, Payload};
use crate::machine::{Cx, Fill};

/// How a dialled stream becomes messages.
#[derive(Debug, Clone, Default)]
pub struct DialRecipe {
    /// Through an HTTP proxy by CONNECT.
    #[cfg(feature = "ws")]
    pub proxy: Option<Proxy>,
    /// By TLS, with the name that the certificate must carry.
    #[cfg(feature = "tls")]
    pub tls: Option<(tls::ClientConfig, String)>,
    /// As WebSocket; none: as length-delimited frames.
    #[cfg(feature = "ws")]
    pub websocket: Option<http::UpgradeRequest>,
}

/// What a proxy is asked for.
#[cfg(feature = "ws")]
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it shall connect to, as `host:port`.
    pub target: String,
    /// User and password, if it wants them.
    pub credentials: Option<(String, String)>,
}

#[cfg(feature = "ws")]
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("target", &self.target).finish_non_exhaustive()
    }
}

/// How an accepted stream becomes messages.
#[derive(Debug, Clone, Default)]
pub struct AcceptRecipe {
    /// By TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<tls::ServerConfig>,
    /// As WebSocket; none: as length-delimited frames.
    #[cfg(feature = "ws")]
    pub websocket: Option<std::sync::Arc<http::UpgradeRules>>,
}

/// What the handshakes agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// The WebSocket subprotocol.
    pub subprotocol: Option<String>,
    /// On the server's side: the path and query that the client asked for.
    pub path: Option<String>,
    /// What TLS agreed on.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsInfo>,
}

/// How a stream broke the rules; one variant per layer, each with one variant per rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// In TLS.
    #[cfg(feature = "tls")]
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// In HTTP: the proxy's answer, or the upgrade.
    #[cfg(feature = "ws")]
    #[error("HTTP: {0}")]
    Http(#[from] HttpError),
    /// In WebSocket.
    #[cfg(feature = "ws")]
    #[error("WebSocket: {0}")]
    WebSocket(#[from] websocket::Misbehaved),
    /// In length-delimited frames.
    #[error("frames: {0}")]
    Framed(#[from] framed::Misbehaved),
    /// The stream ended where it must not.
    #[error("the stream ended {0}")]
    Ended(During),
}

/// Where a stream ended that must not end there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum During {
    /// Before the proxy had answered.
    #[error("before the proxy answered")]
    Proxy,
    /// In the TLS handshake.
    #[error("in the TLS handshake")]
    TlsHandshake,
    /// In the HTTP upgrade.
    #[error("in the HTTP upgrade")]
    Upgrade,
    /// In the middle of a message.
    #[error("in the middle of a message")]
    Message,
    /// Between messages, but without the close that its protocol prescribes (RFC 6455, section 7.1.5; RFC 8446,
    /// section 6.1): somebody may have cut it off.
    #[error("without a proper close")]
    Open,
}

/// How a peer ended a stream properly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goodbye {
    /// The close code, where the protocol has one.
    pub code: Option<u16>,
    /// The peer's words.
    pub reason: String,
}

/// Memory that all streams of a transport share, since one works at a time.
#[derive(Debug, Default)]
pub struct Tools(seal::Scratch);

/// One byte stream as a pipe of messages.
#[derive(Debug)]
pub struct Stream {
    seal: Seal,
    inner: Inner,
    ending: Ending,
    told: bool,
    ended: bool,
    dialled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    /// Our side wants to end once all that is owed has left.
    Draining,
    /// A close was said, by us or by the peer; what is owed of it leaves.
    Closing,
    /// A rule was broken: the answer leaves, nothing else is looked at.
    Failed,
}

impl Stream {
    /// Our end of a stream that we dialled. Fails if the recipe cannot be written (a header with a line end).
    pub fn dialled(cx: &mut Cx<'_>, recipe: &DialRecipe, limits: &Limits) -> Result<Self, StreamError> {
        Ok(Self::new(Seal::client(recipe, cx.unix)?, Inner::client(cx, recipe, limits)?, true))
    }

    /// Our end of a stream that we accepted.
    pub fn accepted(recipe: &AcceptRecipe, limits: &Limits) -> Result<Self, StreamError> {
        Ok(Self::new(Seal::server(recipe)?, Inner::server(recipe, limits), false))
    }

    const fn new(seal: Seal, inner: Inner, dialled: bool) -> Self {
        Self { seal, inner, ending: Ending::No, told: false, ended: false, dialled }
    }

    /// Takes in what came on the wire and hands up the messages in it.
    ///
    /// On `Stop` the rest is kept and the caller pauses its port; a call with no bytes goes on with it. An error
    /// is told once; what comes after it is discarded.
    pub fn receive(
        &mut self,
        cx: &mut Cx<'_>,
        tools: &mut Tools,
        data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        if self.ending == Ending::Failed {
            return Ok(Flow::Go);
        }
        let result = self.take(cx, tools, data, up);
        match &result {
            Ok(_) if self.goodbye().is_some() => self.ending = Ending::Closing,
            Ok(_) => {}
            Err(error) => {
                self.ending = Ending::Failed;
                self.inner.answer(error);
            }
        }
        self.close_seal();
        result
    }

    /// Writes what is owed to the wire, messages included, as far as the buffer's limit allows.
    pub fn fill(
        &mut self,
        cx: &mut Cx<'_>,
        tools: &mut Tools,
        buf: &mut Buf,
        supply: &mut dyn FnMut(&mut dyn Framer) -> bool,
    ) -> Result<Fill, StreamError> {
        let fill = self.write(cx, tools, buf, supply)?;
        if fill == Fill::More || self.ending != Ending::Draining || !self.is_open() {
            return Ok(fill);
        }
        self.ending = Ending::Closing;
        self.inner.start_close();
        self.write(cx, tools, buf, &mut |_| false)
    }

    /// Begins to end the stream: what the layer above still supplies is sent, then the close of its protocol.
    pub fn close(&mut self) {
        if self.ending == Ending::No {
            self.ending = Ending::Draining;
        }
    }

    /// Asks the peer for a sign of life. False: this protocol has no such question.
    pub const fn ping(&mut self) -> bool {
        self.inner.ping()
    }

    /// The stream has just come up: what its handshakes agreed on, answered once.
    pub fn take_opened(&mut self) -> Option<Opened> {
        if self.told || !self.is_open() {
            return None;
        }
        self.told = true;
        Some(self.seal.describe(self.inner.take_opened()))
    }

    /// Whether `fill` has something to write although the layer above supplied nothing.
    pub fn wants_fill(&self) -> bool {
        let inside = self.inner.wants_fill() || self.ending == Ending::Draining && self.is_open();
        self.seal.wants_fill() || inside && (self.inner.is_in_proxy() || self.seal.can_send())
    }

    /// The peer has closed the stream properly, and said this.
    pub fn goodbye(&self) -> Option<Goodbye> {
        let bare = || (self.seal.said_goodbye() && self.inner.ends_with_seal()).then(Goodbye::default);
        self.inner.goodbye().or_else(bare)
    }

    /// All that had to be said has been filled: the port can be finished.
    pub fn is_finished(&self) -> bool {
        if self.wants_fill() {
            return false;
        }
        match self.ending {
            Ending::No | Ending::Draining => false,
            // The server ends the stream first (RFC 6455, section 7.1.1): a client waits for that.
            Ending::Closing => {
                self.inner.is_closed() && (self.ended || !(self.dialled && self.inner.server_leaves_first()))
            }
            Ending::Failed => true,
        }
    }

    /// The peer will send no more. Ok: it had closed properly; whoever has not yet closed may do so now.
    pub fn eof(&mut self) -> Result<Goodbye, StreamError> {
        self.ended = true;
        if let Some(goodbye) = self.goodbye() {
            return Ok(goodbye);
        }
        let failed = std::mem::replace(&mut self.ending, Ending::Failed) == Ending::Failed;
        self.close_seal();
        match self.ended_during() {
            Some(during) if !failed => Err(StreamError::Ended(during)),
            _ => Ok(Goodbye::default()),
        }
    }

    fn take(
        &mut self,
        cx: &mut Cx<'_>,
        tools: &mut Tools,
        data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        let Some(consumed) = self.inner.pass_proxy(cx, data)? else { return Ok(Flow::Go) };
        self.seal.receive(cx, &mut tools.0, &mut data[consumed..], &mut self.inner, up)
    }

    fn write(
        &mut self,
        cx: &mut Cx<'_>,
        tools: &mut Tools,
        buf: &mut Buf,
        supply: &mut dyn FnMut(&mut dyn Framer) -> bool,
    ) -> Result<Fill, StreamError> {
        if self.inner.is_in_proxy() {
            return Ok(self.inner.fill(cx, buf, supply));
        }
        let fill = self.seal.fill(cx, &mut tools.0, buf, &mut self.inner, supply)?;
        self.close_seal();
        Ok(fill)
    }

    /// TLS says that our side sends no more once nothing inside it is owed.
    fn close_seal(&mut self) {
        let closed = self.ending == Ending::Failed || self.ending == Ending::Closing && self.inner.is_closed();
        if closed && !self.inner.wants_fill() {
            self.seal.close();
        }
    }

    fn is_open(&self) -> bool {
        self.seal.is_done() && self.inner.is_open()
    }

    fn ended_during(&self) -> Option<During> {
        if self.inner.is_in_proxy() {
            return Some(During::Proxy);
        }
        if !self.seal.is_done() {
            return Some(During::TlsHandshake);
        }
        self.inner.ended_during(self.seal.ended_properly())
    }
}
