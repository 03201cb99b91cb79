//! What flows inside TLS, or on the bare stream: the HTTP upgrade and WebSocket, or length-delimited frames; and,
//! before TLS begins, the conversation with a proxy.

#![allow(clippy::needless_update, reason = "without the feature `tls` nothing is left to update")]

use super::{AcceptRecipe, DialRecipe, During, Goodbye, Opened, StreamError};
use crate::link::framed::Framed;
use crate::link::http::{Connect, Progress, UpgradeClient, UpgradeRequest, UpgradeServer};
use crate::link::websocket::{Role, State, WebSocket};
use crate::machine::buf::Buf;
use crate::machine::limits::Limits;
use crate::machine::payload::{Flow, Framer, Kind, Payload};
use crate::machine::{Cx, Fill};
use crate::wire::websocket::CloseCode;

#[derive(Debug)]
pub(super) struct Inner {
    phase: Phase,
    /// Owed by a phase that is over.
    head: Vec<u8>,
    opened: Option<Box<Opened>>,
    max_message: usize,
}

#[derive(Debug)]
enum Phase {
    Proxy(Box<(Connect, Limits, Option<UpgradeRequest>)>),
    UpgradeClient(Box<UpgradeClient>),
    UpgradeServer(Box<UpgradeServer>),
    WebSocket(WebSocket),
    Framed(Framed),
}

impl Phase {
    /// What a client speaks once it has reached its server.
    fn client(cx: &mut Cx<'_>, upgrade: Option<UpgradeRequest>, limits: &Limits) -> Result<Self, StreamError> {
        let Some(request) = upgrade else { return Ok(Self::Framed(Framed::new(limits.message))) };
        Ok(Self::UpgradeClient(Box::new(UpgradeClient::new(request, limits, cx.rng)?)))
    }
}

impl Inner {
    pub(super) fn client(cx: &mut Cx<'_>, recipe: &DialRecipe, limits: &Limits) -> Result<Self, StreamError> {
        let upgrade = recipe.websocket.clone();
        let Some(proxy) = &recipe.proxy else { return Ok(Self::new(Phase::client(cx, upgrade, limits)?, limits)) };
        let credentials = proxy.credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        let connect = Connect::new(&proxy.target, credentials, limits)?;
        Ok(Self::new(Phase::Proxy(Box::new((connect, limits.clone(), upgrade))), limits))
    }

    pub(super) fn server(recipe: &AcceptRecipe, limits: &Limits) -> Self {
        let phase = match &recipe.websocket {
            Some(rules) => Phase::UpgradeServer(Box::new(UpgradeServer::new(rules.clone(), limits))),
            None => Phase::Framed(Framed::new(limits.message)),
        };
        Self::new(phase, limits)
    }

    const fn new(phase: Phase, limits: &Limits) -> Self {
        Self { phase, head: Vec::new(), opened: None, max_message: limits.message }
    }

    /// How many bytes belonged to the proxy's answer, if there is a proxy; none: the answer is not whole.
    pub(super) fn pass_proxy(&mut self, cx: &mut Cx<'_>, data: &[u8]) -> Result<Option<usize>, StreamError> {
        let Phase::Proxy(proxy) = &mut self.phase else { return Ok(Some(0)) };
        let (connect, limits, upgrade) = &mut **proxy;
        let Progress::Done { consumed, .. } = connect.receive(data)? else { return Ok(None) };
        self.phase = Phase::client(cx, upgrade.take(), limits)?;
        Ok(Some(consumed))
    }

    pub(super) fn receive(
        &mut self,
        data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        let Some(consumed) = self.upgrade(data)? else { return Ok(Flow::Go) };
        let data = &mut data[consumed..];
        match &mut self.phase {
            Phase::WebSocket(websocket) => Ok(websocket.receive(data, up)?),
            Phase::Framed(framed) => Ok(framed.receive(data, up)?),
            Phase::Proxy(_) | Phase::UpgradeClient(_) | Phase::UpgradeServer(_) => Ok(Flow::Go),
        }
    }

    /// How many bytes belonged to the upgrade that is complete now; none: it is not.
    fn upgrade(&mut self, data: &[u8]) -> Result<Option<usize>, StreamError> {
        let (role, consumed, opened) = match &mut self.phase {
            Phase::UpgradeClient(upgrade) => {
                let Progress::Done { consumed, response } = upgrade.receive(data)? else { return Ok(None) };
                (Role::Client, consumed, Opened { subprotocol: response.subprotocol, ..Opened::default() })
            }
            Phase::UpgradeServer(upgrade) => {
                let Progress::Done { consumed, response } = upgrade.receive(data)? else { return Ok(None) };
                let mut welcome = Buf::new(usize::MAX);
                upgrade.fill(&mut welcome);
                self.head = std::mem::take(welcome.vec());
                let (subprotocol, path) = (response.subprotocol, Some(response.path));
                (Role::Server, consumed, Opened { subprotocol, path, ..Opened::default() })
            }
            _ => return Ok(Some(0)),
        };
        self.opened = Some(Box::new(opened));
        self.phase = Phase::WebSocket(WebSocket::new(role, self.max_message));
        Ok(Some(consumed))
    }

    pub(super) fn fill(
        &mut self,
        cx: &mut Cx<'_>,
        buf: &mut Buf,
        supply: &mut dyn FnMut(&mut dyn Framer) -> bool,
    ) -> Fill {
        if !self.head.is_empty() {
            buf.extend(&std::mem::take(&mut self.head));
        }
        match &mut self.phase {
            Phase::Proxy(proxy) => proxy.0.fill(buf),
            Phase::UpgradeClient(upgrade) => upgrade.fill(buf),
            Phase::UpgradeServer(upgrade) => upgrade.fill(buf),
            Phase::WebSocket(websocket) => return websocket.fill(cx.rng, buf, supply),
            Phase::Framed(framed) => return framed.fill(buf, supply),
        }
        Fill::Done
    }

    pub(super) fn wants_fill(&self) -> bool {
        let phase = match &self.phase {
            Phase::Proxy(proxy) => proxy.0.wants_fill(),
            Phase::UpgradeClient(upgrade) => upgrade.wants_fill(),
            Phase::UpgradeServer(upgrade) => upgrade.wants_fill(),
            Phase::WebSocket(websocket) => websocket.wants_fill(),
            Phase::Framed(_) => false,
        };
        phase || !self.head.is_empty()
    }

    pub(super) const fn ping(&mut self) -> bool {
        let Phase::WebSocket(websocket) = &mut self.phase else { return false };
        websocket.ping();
        true
    }

    pub(super) fn start_close(&mut self) {
        if let Phase::WebSocket(websocket) = &mut self.phase {
            websocket.close(CloseCode::NORMAL, "");
        }
    }

    /// Owes the answer that the protocol has for a broken rule.
    pub(super) fn answer(&mut self, error: &StreamError) {
        if let (Phase::WebSocket(websocket), StreamError::WebSocket(rule)) = (&mut self.phase, error) {
            websocket.close(rule.close_code(), &rule.to_string());
        }
    }

    pub(super) fn take_opened(&mut self) -> Opened {
        self.opened.take().map_or_else(Opened::default, |opened| *opened)
    }

    pub(super) fn goodbye(&self) -> Option<Goodbye> {
        let Phase::WebSocket(websocket) = &self.phase else { return None };
        let (code, reason) = websocket.peer_close()?;
        Some(Goodbye { code: code.map(CloseCode::get), reason: reason.to_owned() })
    }

    /// Whether our side of the closing handshake, if there is one, has nothing to wait for.
    pub(super) fn is_closed(&self) -> bool {
        match &self.phase {
            Phase::WebSocket(websocket) => matches!(websocket.state(), State::Closed { .. }),
            _ => true,
        }
    }

    /// Whether the end of TLS is a proper end of what flows inside: it has no close of its own, and owes nothing.
    pub(super) const fn ends_with_seal(&self) -> bool {
        matches!(&self.phase, Phase::Framed(framed) if !framed.is_mid_message())
    }

    pub(super) const fn server_leaves_first(&self) -> bool {
        matches!(self.phase, Phase::WebSocket(_))
    }

    pub(super) const fn is_in_proxy(&self) -> bool {
        matches!(self.phase, Phase::Proxy(_))
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::WebSocket(_) | Phase::Framed(_))
    }

    /// What the stream ended in the middle of; `properly`: the layer below knows that it is the peer's end.
    pub(super) const fn ended_during(&self, properly: bool) -> Option<During> {
        match &self.phase {
            Phase::WebSocket(websocket) if websocket.is_mid_message() => Some(During::Message),
            Phase::WebSocket(_) => Some(During::Open),
            Phase::Framed(framed) if framed.is_mid_message() => Some(During::Message),
            Phase::Framed(_) if properly => None,
            Phase::Framed(_) => Some(During::Open),
            Phase::Proxy(_) | Phase::UpgradeClient(_) | Phase::UpgradeServer(_) => Some(During::Upgrade),
        }
    }
}
