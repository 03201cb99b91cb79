//! TLS around what flows inside, or nothing.

use std::time::Duration;

use super::inner::Inner;
use super::{AcceptRecipe, DialRecipe, Opened, StreamError};
use crate::link::tls::Tls;
use crate::machine::buf::Buf;
use crate::machine::payload::{Flow, Framer, Kind, Payload};
use crate::machine::{Cx, Fill};

/// Plaintext encrypted at once: a TLS record.
const RECORD: usize = 16 * 1024;
/// What the scratch memory keeps between uses.
const KEEP: usize = 4 * RECORD;

/// TLS, or nothing.
#[derive(Debug)]
pub(super) struct Seal(Option<Box<Tls>>);

/// Plaintext on its way, one record in and about one out.
#[derive(Debug)]
pub(super) struct Scratch {
    received: Vec<u8>,
    sent: Buf,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { received: Vec::new(), sent: Buf::new(RECORD) }
    }
}

impl Seal {
    pub(super) fn client(recipe: &DialRecipe, unix: Duration) -> Result<Self, StreamError> {
        let Some((config, name)) = &recipe.tls else { return Ok(Self(None)) };
        Ok(Self(Some(Box::new(Tls::client(config, name, unix)?))))
    }

    pub(super) fn server(recipe: &AcceptRecipe) -> Result<Self, StreamError> {
        let Some(config) = &recipe.tls else { return Ok(Self(None)) };
        Ok(Self(Some(Box::new(Tls::server(config)?))))
    }

    pub(super) fn receive(
        &mut self,
        cx: &Cx<'_>,
        scratch: &mut Scratch,
        data: &mut [u8],
        inner: &mut Inner,
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        let Some(tls) = &mut self.0 else { return inner.receive(data, up) };
        if data.is_empty() && inner.receive(data, up)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let mut broken = None;
        let flow = tls.receive(cx.unix, data, &mut |plain| {
            // A record is lent to be read only, and the WebSocket unmasks in place.
            scratch.received.clear();
            scratch.received.extend_from_slice(plain);
            inner.receive(&mut scratch.received, up).unwrap_or_else(|error| {
                broken = Some(error);
                Flow::Stop
            })
        })?;
        broken.map_or(Ok(flow), Err)
    }

    pub(super) fn fill(
        &mut self,
        cx: &mut Cx<'_>,
        scratch: &mut Scratch,
        buf: &mut Buf,
        inner: &mut Inner,
        supply: &mut dyn FnMut(&mut dyn Framer) -> bool,
    ) -> Result<Fill, StreamError> {
        let Some(tls) = &mut self.0 else { return Ok(inner.fill(cx, buf, supply)) };
        tls.fill(buf)?;
        while tls.can_send() {
            if buf.is_full() {
                return Ok(Fill::More);
            }
            let fill = inner.fill(cx, &mut scratch.sent, supply);
            let sealed = tls.encrypt(scratch.sent.as_slice(), buf);
            scratch.sent.trim(KEEP);
            sealed?;
            if fill == Fill::Done {
                break;
            }
        }
        Ok(Fill::Done)
    }

    /// Says that our side sends no more.
    pub(super) fn close(&mut self) {
        if let Some(tls) = &mut self.0 {
            tls.close();
        }
    }

    pub(super) fn wants_fill(&self) -> bool {
        self.0.as_ref().is_some_and(|tls| tls.wants_fill())
    }

    pub(super) fn can_send(&self) -> bool {
        self.0.as_ref().is_none_or(|tls| tls.can_send())
    }

    /// Whether there is no handshake, or it is done.
    pub(super) fn is_done(&self) -> bool {
        self.0.as_ref().is_none_or(|tls| !tls.is_handshaking())
    }

    /// Whether the end of the stream is known to be the peer's, not of somebody who cut it off.
    pub(super) fn ended_properly(&self) -> bool {
        self.0.as_ref().is_none_or(|tls| tls.peer_closed() || tls.has_closed())
    }

    /// Whether the peer has said that it sends no more, whether or not the stream has ended.
    pub(super) fn said_goodbye(&self) -> bool {
        self.0.as_ref().is_some_and(|tls| tls.peer_closed())
    }

    pub(super) fn describe(&self, opened: Opened) -> Opened {
        Opened { tls: self.0.as_ref().map(|tls| tls.info()), ..opened }
    }
}
