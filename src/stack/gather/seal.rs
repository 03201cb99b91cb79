//! TLS around TURN, or nothing.

use std::collections::VecDeque;
use std::time::Duration;

use super::config::GatherConfig;
use super::server::ServerError;
use crate::link::tls::Tls;
use crate::machine::buf::Buf;
use crate::machine::payload::Flow;

#[derive(Debug)]
pub(super) struct Seal(Option<Box<Tls>>);

impl Seal {
    pub(super) const fn plain() -> Self {
        Self(None)
    }

    pub(super) fn tls(config: &GatherConfig, name: &str, unix: Duration) -> Result<Self, ServerError> {
        let trust = config.trust.as_ref().ok_or(ServerError::NoTls)?;
        Ok(Self(Some(Box::new(Tls::client(trust, name, unix)?))))
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.0.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    pub(super) fn receive(
        &mut self,
        unix: Duration,
        data: &mut [u8],
        up: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), ServerError> {
        let Some(tls) = &mut self.0 else {
            up(data);
            return Ok(());
        };
        tls.receive(unix, data, &mut |plain| {
            // A record is lent to be read only, and ICE decrypts in place.
            up(&mut plain.to_vec());
            Flow::Go
        })?;
        Ok(())
    }

    pub(super) fn wants_fill(&self) -> bool {
        self.0.as_ref().is_some_and(|tls| tls.wants_fill())
    }

    pub(super) fn can_send(&self) -> bool {
        self.0.as_ref().is_none_or(|tls| tls.can_send())
    }

    /// Writes as much of `plain` as there is room for.
    pub(super) fn fill(&mut self, buf: &mut Buf, plain: &mut VecDeque<u8>) -> Result<(), ServerError> {
        let Some(tls) = &mut self.0 else {
            let taken = plain.len().min(buf.room());
            buf.vec().extend(plain.drain(..taken));
            return Ok(());
        };
        tls.fill(buf)?;
        if tls.can_send() && !plain.is_empty() && buf.room() > 0 {
            let taken: Vec<u8> = plain.drain(..plain.len().min(buf.room())).collect();
            tls.encrypt(&taken, buf)?;
        }
        Ok(())
    }
}
