//! What flows inside TLS, or on the bare stream, in a build without WebSocket: length-delimited frames.

use super::{AcceptRecipe, DialRecipe, During, Goodbye, Opened, StreamError};
use crate::link::framed::Framed;
use crate::machine::buf::Buf;
use crate::machine::limits::Limits;
use crate::machine::payload::{Flow, Framer, Kind, Payload};
use crate::machine::{Cx, Fill};

#[derive(Debug)]
pub(super) struct Inner(Framed);

impl Inner {
    pub(super) const fn client(_: &Cx<'_>, _: &DialRecipe, limits: &Limits) -> Result<Self, StreamError> {
        Ok(Self(Framed::new(limits.message)))
    }

    pub(super) const fn server(_: &AcceptRecipe, limits: &Limits) -> Self {
        Self(Framed::new(limits.message))
    }

    pub(super) const fn pass_proxy(&self, _: &Cx<'_>, _: &[u8]) -> Result<Option<usize>, StreamError> {
        Ok(Some(0))
    }

    pub(super) fn receive(
        &mut self,
        data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        Ok(self.0.receive(data, up)?)
    }

    pub(super) fn fill(
        &mut self,
        _: &mut Cx<'_>,
        buf: &mut Buf,
        supply: &mut dyn FnMut(&mut dyn Framer) -> bool,
    ) -> Fill {
        self.0.fill(buf, supply)
    }

    pub(super) const fn wants_fill(&self) -> bool {
        false
    }

    pub(super) const fn ping(&self) -> bool {
        false
    }

    pub(super) const fn start_close(&self) {}

    pub(super) const fn answer(&self, _: &StreamError) {}

    pub(super) fn take_opened(&self) -> Opened {
        Opened::default()
    }

    pub(super) const fn goodbye(&self) -> Option<Goodbye> {
        None
    }

    pub(super) const fn is_closed(&self) -> bool {
        true
    }

    pub(super) const fn ends_with_seal(&self) -> bool {
        !self.0.is_mid_message()
    }

    pub(super) const fn server_leaves_first(&self) -> bool {
        false
    }

    pub(super) const fn is_in_proxy(&self) -> bool {
        false
    }

    pub(super) const fn is_open(&self) -> bool {
        true
    }

    pub(super) const fn ended_during(&self, properly: bool) -> Option<During> {
        if self.0.is_mid_message() {
            return Some(During::Message);
        }
        if properly { None } else { Some(During::Open) }
    }
}
