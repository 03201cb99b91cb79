//! One byte stream as a pipe of messages: proxy, TLS, HTTP upgrade and framing composed, in that order.
//!
//! A [`Stream`] takes the wire's bytes by [`receive`](Stream::receive), writes what is owed by
//! [`fill`](Stream::fill), and is told of the end of the stream by [`eof`](Stream::eof). It owns no port and no
//! timer: its transport does. Whoever breaks a rule gets the answer that the protocol has for it (an alert, an
//! HTTP status, a close frame), written by the next `fill`; then [`is_finished`](Stream::is_finished) says that
//! the port can be finished. Nothing that comes after a broken rule is looked at.

use crate::link::framed::{self, Framed};
#[cfg(feature = "ws")]
use crate::link::http::{self, HttpError};
#[cfg(feature = "tls")]
use crate::link::tls::{self, Tls, TlsError, TlsInfo};
#[cfg(feature = "ws")]
use crate::link::websocket::{self, Role, State, WebSocket};
use crate::machine::buf::Buf;
use crate::machine::limits::Limits;
use crate::machine::payload::{Flow, Framer, Kind, Payload};
use crate::machine::{Cx, Fill};
#[cfg(feature = "ws")]
use crate::wire::websocket::CloseCode;

/// Plaintext encrypted at once: a TLS record.
const RECORD: usize = 16 * 1024;

/// How a dialled stream becomes messages.
#[derive(Debug, Clone, Default)]
pub struct DialRecipe {
    /// Through an HTTP proxy by CONNECT.
    #[cfg(feature = "ws")]
    pub proxy: Option<http::ConnectRequest>,
    /// By TLS, with the name that the certificate must carry.
    #[cfg(feature = "tls")]
    pub tls: Option<(tls::ClientConfig, String)>,
    /// As WebSocket; none: as length-delimited frames.
    #[cfg(feature = "ws")]
    pub websocket: Option<http::UpgradeRequest>,
}

/// How an accepted stream becomes messages.
#[derive(Debug, Clone, Default)]
pub struct AcceptRecipe {
    /// By TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<tls::ServerConfig>,
    /// As WebSocket; none: as length-delimited frames.
    #[cfg(feature = "ws")]
    pub websocket: Option<http::UpgradePolicy>,
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
#[derive(Debug)]
pub struct Tools {
    #[cfg(feature = "tls")]
    received: Vec<u8>,
    plain: Buf,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            #[cfg(feature = "tls")]
            received: Vec::new(),
            plain: Buf::new(RECORD),
        }
    }
}

/// One byte stream as a pipe of messages.
#[derive(Debug)]
pub struct Stream {
    #[cfg(feature = "tls")]
    tls: Option<Box<Tls>>,
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

/// What flows inside TLS, or on the bare stream.
#[derive(Debug)]
struct Inner {
    phase: Phase,
    later: Option<Box<Later>>,
    head: Vec<u8>,
    opened: Option<Box<Opened>>,
    max_message: usize,
}

#[derive(Debug)]
enum Phase {
    #[cfg(feature = "ws")]
    Proxy(Box<http::Connect>),
    #[cfg(feature = "ws")]
    UpgradeClient(Box<http::UpgradeClient>),
    #[cfg(feature = "ws")]
    UpgradeServer(Box<http::UpgradeServer>),
    #[cfg(feature = "ws")]
    WebSocket(WebSocket),
    Framed(Framed),
}

/// What a phase to come needs.
#[derive(Debug, Default)]
struct Later {
    #[cfg(feature = "ws")]
    upgrade: Option<http::UpgradeRequest>,
    #[cfg(feature = "tls")]
    tls: Option<(tls::ClientConfig, String)>,
}

impl Stream {
    /// Our end of a stream that we dialled. Fails if the recipe cannot be written (a header with a line end).
    pub fn dialled(cx: &mut Cx<'_>, recipe: &DialRecipe, limits: &Limits) -> Result<Self, StreamError> {
        let mut later = Later::default();
        #[cfg(feature = "ws")]
        later.upgrade.clone_from(&recipe.websocket);
        #[cfg(feature = "tls")]
        later.tls.clone_from(&recipe.tls);
        let phase = Phase::Framed(Framed::new(limits.message));
        #[cfg(feature = "ws")]
        let phase = match &recipe.proxy {
            Some(request) => Phase::Proxy(Box::new(http::Connect::new(request, limits)?)),
            None => phase,
        };
        let mut stream = Self::new(Inner::new(phase, Some(Box::new(later)), limits), true);
        if !stream.is_in_proxy() {
            stream.secure(cx, limits)?;
        }
        Ok(stream)
    }

    /// Our end of a stream that we accepted.
    pub fn accepted(recipe: &AcceptRecipe, limits: &Limits) -> Result<Self, StreamError> {
        let phase = Phase::Framed(Framed::new(limits.message));
        #[cfg(feature = "ws")]
        let phase = match &recipe.websocket {
            Some(policy) => Phase::UpgradeServer(Box::new(http::UpgradeServer::new(policy.clone(), limits))),
            None => phase,
        };
        #[allow(unused_mut)]
        let mut stream = Self::new(Inner::new(phase, None, limits), false);
        #[cfg(feature = "tls")]
        if let Some(config) = &recipe.tls {
            stream.tls = Some(Box::new(Tls::server(config)?));
        }
        Ok(stream)
    }

    const fn new(inner: Inner, dialled: bool) -> Self {
        Self {
            #[cfg(feature = "tls")]
            tls: None,
            inner,
            ending: Ending::No,
            told: false,
            ended: false,
            dialled,
        }
    }

    /// Takes in what came on the wire and hands up the messages in it.
    ///
    /// On `Stop` the rest is kept and the caller pauses its port; a call with no bytes goes on with it. An error
    /// is told once; what comes after it is discarded.
    pub fn receive(
        &mut self,
        cx: &mut Cx<'_>,
        limits: &Limits,
        tools: &mut Tools,
        data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        if self.ending == Ending::Failed {
            return Ok(Flow::Go);
        }
        let result = self.take(cx, limits, tools, data, up);
        match &result {
            Ok(_) => self.note_close(),
            Err(error) => self.fail(error),
        }
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
    pub fn ping(&mut self) -> bool {
        match &mut self.inner.phase {
            #[cfg(feature = "ws")]
            Phase::WebSocket(websocket) => {
                websocket.ping();
                true
            }
            _ => false,
        }
    }

    /// The stream has just come up: what its handshakes agreed on, answered once.
    pub fn take_opened(&mut self) -> Option<Opened> {
        if self.told || !self.is_open() {
            return None;
        }
        self.told = true;
        let mut opened = self.inner.opened.take().map_or_else(Opened::default, |opened| *opened);
        #[cfg(feature = "tls")]
        {
            opened.tls = self.tls.as_ref().map(|tls| tls.info());
        }
        let _ = &mut opened;
        Some(opened)
    }

    /// Whether `fill` has something to write although the layer above supplied nothing.
    pub fn wants_fill(&self) -> bool {
        if self.tls_wants_fill() {
            return true;
        }
        self.can_write() && (self.inner.wants_fill() || self.ending == Ending::Draining)
    }

    /// The peer has closed the stream properly, and said this.
    pub fn goodbye(&self) -> Option<Goodbye> {
        match &self.inner.phase {
            #[cfg(feature = "ws")]
            Phase::WebSocket(websocket) => websocket
                .peer_close()
                .map(|close| Goodbye { code: close.code.map(CloseCode::value), reason: close.reason.clone() }),
            _ => None,
        }
    }

    /// All that had to be said has been filled: the port can be finished.
    pub fn is_finished(&self) -> bool {
        if self.wants_fill() {
            return false;
        }
        match self.ending {
            Ending::No | Ending::Draining => false,
            Ending::Closing => self.inner.is_closed() && (self.ended || !self.leaves_last()),
            Ending::Failed => true,
        }
    }

    /// The peer will send no more. Ok: it had closed properly; whoever has not yet closed may do so now.
    pub fn eof(&mut self) -> Result<Goodbye, StreamError> {
        if self.ending == Ending::Failed {
            return Ok(Goodbye::default());
        }
        self.ended = true;
        if let Some(goodbye) = self.goodbye() {
            return Ok(goodbye);
        }
        let verdict = self.ended_during();
        self.ending = Ending::Failed;
        verdict.map_or_else(|| Ok(Goodbye::default()), |during| Err(StreamError::Ended(during)))
    }

    fn take(
        &mut self,
        cx: &mut Cx<'_>,
        limits: &Limits,
        tools: &mut Tools,
        mut data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        #[cfg(feature = "ws")]
        if let Phase::Proxy(connect) = &mut self.inner.phase {
            let http::Progress::Done { consumed, .. } = connect.receive(data)? else { return Ok(Flow::Go) };
            data = &mut data[consumed..];
            self.inner.phase = Phase::Framed(Framed::new(limits.message));
            self.secure(cx, limits)?;
        }
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.take_sealed(cx, tools, data, up);
        }
        let _ = (&mut data, tools);
        self.inner.receive(cx, data, up)
    }

    #[cfg(feature = "tls")]
    fn take_sealed(
        &mut self,
        cx: &mut Cx<'_>,
        tools: &mut Tools,
        data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        let Some(tls) = &mut self.tls else { return Ok(Flow::Go) };
        let inner = &mut self.inner;
        if data.is_empty() && inner.receive(cx, data, up)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let mut broken = None;
        let unix = cx.unix;
        let flow = tls.receive(unix, data, &mut |plain| {
            tools.received.clear();
            tools.received.extend_from_slice(plain);
            inner.receive(cx, &mut tools.received, up).unwrap_or_else(|error| {
                broken = Some(error);
                Flow::Stop
            })
        })?;
        broken.map_or(Ok(flow), Err)
    }

    fn write(
        &mut self,
        cx: &mut Cx<'_>,
        tools: &mut Tools,
        buf: &mut Buf,
        supply: &mut dyn FnMut(&mut dyn Framer) -> bool,
    ) -> Result<Fill, StreamError> {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.write_sealed(cx, tools, buf, supply);
        }
        let _ = tools;
        Ok(self.inner.fill(cx, buf, supply))
    }

    #[cfg(feature = "tls")]
    fn write_sealed(
        &mut self,
        cx: &mut Cx<'_>,
        tools: &mut Tools,
        buf: &mut Buf,
        supply: &mut dyn FnMut(&mut dyn Framer) -> bool,
    ) -> Result<Fill, StreamError> {
        let Some(tls) = &mut self.tls else { return Ok(Fill::Done) };
        tls.fill(buf)?;
        while tls.can_send() {
            if buf.is_full() {
                return Ok(Fill::More);
            }
            let fill = self.inner.fill(cx, &mut tools.plain, supply);
            tls.encrypt(tools.plain.as_slice(), buf)?;
            tools.plain.trim(4 * RECORD);
            if fill == Fill::Done {
                break;
            }
        }
        if self.ending == Ending::Failed || self.ending == Ending::Closing && self.inner.is_closed() {
            tls.close();
            tls.fill(buf)?;
        }
        Ok(Fill::Done)
    }

    /// Begins TLS, if the recipe has it, and what flows inside; after the proxy, if there was one.
    fn secure(&mut self, cx: &mut Cx<'_>, limits: &Limits) -> Result<(), StreamError> {
        let Some(later) = self.inner.later.take() else { return Ok(()) };
        #[cfg(feature = "tls")]
        if let Some((config, name)) = &later.tls {
            self.tls = Some(Box::new(Tls::client(config, name, cx.unix)?));
        }
        #[cfg(feature = "ws")]
        if let Some(request) = later.upgrade {
            let upgrade = http::UpgradeClient::new(&request, limits, cx.rng)?;
            self.inner.phase = Phase::UpgradeClient(Box::new(upgrade));
        }
        let _ = (cx, limits, later);
        Ok(())
    }

    /// The answer that the protocol has for a broken rule becomes owed.
    fn fail(&mut self, error: &StreamError) {
        self.ending = Ending::Failed;
        #[cfg(feature = "ws")]
        if let (Phase::WebSocket(websocket), StreamError::WebSocket(rule)) = (&mut self.inner.phase, error) {
            websocket.close(rule.close_code(), &rule.to_string());
        }
        let _ = error;
    }

    fn note_close(&mut self) {
        if self.ending != Ending::Failed && self.goodbye().is_some() {
            self.ending = Ending::Closing;
        }
    }

    /// The server ends the stream first (RFC 6455, section 7.1.1): a client waits for that.
    const fn leaves_last(&self) -> bool {
        match &self.inner.phase {
            #[cfg(feature = "ws")]
            Phase::WebSocket(_) => self.dialled,
            _ => false,
        }
    }

    const fn is_in_proxy(&self) -> bool {
        match &self.inner.phase {
            #[cfg(feature = "ws")]
            Phase::Proxy(_) => true,
            _ => false,
        }
    }

    fn is_open(&self) -> bool {
        self.is_secured() && !self.is_in_proxy() && self.inner.is_open()
    }

    #[cfg(feature = "tls")]
    fn is_secured(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
    }

    #[cfg(not(feature = "tls"))]
    const fn is_secured(&self) -> bool {
        true
    }

    #[cfg(feature = "tls")]
    fn can_write(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.can_send())
    }

    #[cfg(not(feature = "tls"))]
    const fn can_write(&self) -> bool {
        true
    }

    #[cfg(feature = "tls")]
    fn tls_wants_fill(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_fill())
    }

    #[cfg(not(feature = "tls"))]
    const fn tls_wants_fill(&self) -> bool {
        false
    }

    fn ended_during(&self) -> Option<During> {
        if self.is_in_proxy() {
            return Some(During::Proxy);
        }
        if !self.is_secured() {
            return Some(During::TlsHandshake);
        }
        match &self.inner.phase {
            #[cfg(feature = "ws")]
            Phase::WebSocket(websocket) if websocket.is_mid_message() => Some(During::Message),
            #[cfg(feature = "ws")]
            Phase::WebSocket(_) => Some(During::Open),
            Phase::Framed(framed) if framed.is_mid_message() => Some(During::Message),
            #[cfg(feature = "tls")]
            Phase::Framed(_) => self.tls.as_ref().and_then(|tls| (!tls.peer_closed()).then_some(During::Open)),
            #[cfg(not(feature = "tls"))]
            Phase::Framed(_) => None,
            #[cfg(feature = "ws")]
            _ => Some(During::Upgrade),
        }
    }
}

impl Inner {
    const fn new(phase: Phase, later: Option<Box<Later>>, limits: &Limits) -> Self {
        Self { phase, later, head: Vec::new(), opened: None, max_message: limits.message }
    }

    fn receive(
        &mut self,
        cx: &mut Cx<'_>,
        data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        #[cfg(feature = "ws")]
        let data = match self.upgrade(data)? {
            Some(consumed) => &mut data[consumed..],
            None => return Ok(Flow::Go),
        };
        let _ = cx;
        match &mut self.phase {
            #[cfg(feature = "ws")]
            Phase::WebSocket(websocket) => Ok(websocket.receive(data, up)?),
            Phase::Framed(framed) => Ok(framed.receive(data, up)?),
            #[cfg(feature = "ws")]
            _ => Ok(Flow::Go),
        }
    }

    /// How many bytes belonged to the upgrade that is complete now; none: it is not.
    #[cfg(feature = "ws")]
    fn upgrade(&mut self, data: &mut [u8]) -> Result<Option<usize>, StreamError> {
        let (role, progress) = match &mut self.phase {
            Phase::UpgradeClient(upgrade) => (Role::Client, upgrade.receive(data)?),
            Phase::UpgradeServer(upgrade) => (Role::Server, upgrade.receive(data)?),
            _ => return Ok(Some(0)),
        };
        let http::Progress::Done { consumed, upgraded } = progress else { return Ok(None) };
        if let Phase::UpgradeServer(upgrade) = &mut self.phase {
            let mut response = Buf::new(usize::MAX);
            upgrade.fill(&mut response);
            self.head = std::mem::take(response.vec());
        }
        self.opened =
            Some(Box::new(Opened { subprotocol: upgraded.subprotocol, path: upgraded.path, ..Opened::default() }));
        self.phase = Phase::WebSocket(WebSocket::new(role, self.max_message));
        Ok(Some(consumed))
    }

    fn fill(&mut self, cx: &mut Cx<'_>, buf: &mut Buf, supply: &mut dyn FnMut(&mut dyn Framer) -> bool) -> Fill {
        if !self.head.is_empty() {
            buf.extend(&std::mem::take(&mut self.head));
        }
        match &mut self.phase {
            #[cfg(feature = "ws")]
            Phase::Proxy(connect) => connect.fill(buf),
            #[cfg(feature = "ws")]
            Phase::UpgradeClient(upgrade) => upgrade.fill(buf),
            #[cfg(feature = "ws")]
            Phase::UpgradeServer(upgrade) => upgrade.fill(buf),
            #[cfg(feature = "ws")]
            Phase::WebSocket(websocket) => return websocket.fill(cx.rng, buf, supply),
            Phase::Framed(framed) => return framed.fill(buf, supply),
        }
        let _ = cx;
        Fill::Done
    }

    fn wants_fill(&self) -> bool {
        !self.head.is_empty()
            || match &self.phase {
                #[cfg(feature = "ws")]
                Phase::Proxy(connect) => connect.wants_fill(),
                #[cfg(feature = "ws")]
                Phase::UpgradeClient(upgrade) => upgrade.wants_fill(),
                #[cfg(feature = "ws")]
                Phase::UpgradeServer(upgrade) => upgrade.wants_fill(),
                #[cfg(feature = "ws")]
                Phase::WebSocket(websocket) => websocket.wants_fill(),
                Phase::Framed(_) => false,
            }
    }

    const fn is_open(&self) -> bool {
        match &self.phase {
            #[cfg(feature = "ws")]
            Phase::WebSocket(_) => true,
            Phase::Framed(_) => true,
            #[cfg(feature = "ws")]
            _ => false,
        }
    }

    fn start_close(&mut self) {
        #[cfg(feature = "ws")]
        if let Phase::WebSocket(websocket) = &mut self.phase {
            websocket.close(CloseCode::NORMAL, "");
        }
    }

    fn is_closed(&self) -> bool {
        match &self.phase {
            #[cfg(feature = "ws")]
            Phase::WebSocket(websocket) => matches!(websocket.state(), State::Closed { .. }),
            _ => true,
        }
    }
}
