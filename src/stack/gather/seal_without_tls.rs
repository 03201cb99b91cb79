//! Nothing around TURN, where there is no TLS.

use std::collections::VecDeque;
use std::time::Duration;

use super::config::GatherConfig;
use super::server::ServerError;
use crate::machine::buf::Buf;

#[derive(Debug)]
pub(super) struct Seal;

impl Seal {
    pub(super) const fn plain() -> Self {
        Self
    }

    pub(super) const fn tls(_: &GatherConfig, _: &str, _: Duration) -> Result<Self, ServerError> {
        Err(ServerError::NoTls)
    }

    pub(super) const fn is_handshaking(&self) -> bool {
        false
    }

    pub(super) fn receive(
        &mut self,
        _: Duration,
        data: &mut [u8],
        up: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), ServerError> {
        up(data);
        Ok(())
    }

    pub(super) const fn wants_fill(&self) -> bool {
        false
    }

    pub(super) const fn can_send(&self) -> bool {
        true
    }

    /// Writes as much of `plain` as there is room for.
    pub(super) fn fill(&mut self, buf: &mut Buf, plain: &mut VecDeque<u8>) -> Result<(), ServerError> {
        let taken = plain.len().min(buf.room());
        buf.vec().extend(plain.drain(..taken));
        Ok(())
    }
}
