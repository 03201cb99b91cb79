//! The place of TLS in a build without it: what flows inside flows bare.

use std::time::Duration;

use super::inner::Inner;
use super::{AcceptRecipe, DialRecipe, Opened, StreamError};
use crate::machine::buf::Buf;
use crate::machine::payload::{Flow, Framer, Kind, Payload};
use crate::machine::{Cx, Fill};

#[derive(Debug)]
pub(super) struct Seal;

#[derive(Debug, Default)]
pub(super) struct Scratch;

impl Seal {
    pub(super) const fn client(_: &DialRecipe, _: Duration) -> Result<Self, StreamError> {
        Ok(Self)
    }

    pub(super) const fn server(_: &AcceptRecipe) -> Result<Self, StreamError> {
        Ok(Self)
    }

    pub(super) fn receive(
        &self,
        _: &Cx<'_>,
        _: &mut Scratch,
        data: &mut [u8],
        inner: &mut Inner,
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, StreamError> {
        inner.receive(data, up)
    }

    pub(super) fn fill(
        &self,
        cx: &mut Cx<'_>,
        _: &mut Scratch,
        buf: &mut Buf,
        inner: &mut Inner,
        supply: &mut dyn FnMut(&mut dyn Framer) -> bool,
    ) -> Result<Fill, StreamError> {
        Ok(inner.fill(cx, buf, supply))
    }

    pub(super) const fn close(&self) {}

    pub(super) const fn wants_fill(&self) -> bool {
        false
    }

    pub(super) const fn can_send(&self) -> bool {
        true
    }

    pub(super) const fn is_done(&self) -> bool {
        true
    }

    pub(super) const fn ended_properly(&self) -> bool {
        true
    }

    pub(super) const fn said_goodbye(&self) -> bool {
        false
    }

    pub(super) const fn describe(&self, opened: Opened) -> Opened {
        opened
    }
}
