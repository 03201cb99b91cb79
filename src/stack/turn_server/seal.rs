//! TLS around a client's stream, or nothing.

use std::time::Duration;

use super::config::Listener;
#[cfg(feature = "tls")]
use crate::link::tls::Tls;
use crate::machine::buf::Buf;
#[cfg(feature = "tls")]
use crate::machine::payload::Flow;

/// The stream can't be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

#[derive(Debug)]
pub(super) enum Seal {
    None,
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
}

impl Seal {
    /// None: no stream comes by such a listener.
    pub(super) fn new(listener: &Listener) -> Option<Self> {
        match listener {
            Listener::Udp => None,
            Listener::Tcp => Some(Self::None),
            #[cfg(feature = "tls")]
            Listener::Tls(config) => Some(Self::Tls(Box::new(Tls::server(config).ok()?))),
        }
    }

    /// Appends what came to `plain`, decrypted.
    pub(super) fn receive(&mut self, unix: Duration, data: &mut [u8], plain: &mut Vec<u8>) -> Result<(), Broken> {
        let _ = unix;
        match self {
            Self::None => plain.extend_from_slice(data),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let mut take = |record: &[u8]| {
                    plain.extend_from_slice(record);
                    Flow::Go
                };
                tls.receive(unix, data, &mut take).map_err(|_| Broken)?;
            }
        }
        Ok(())
    }

    pub(super) fn wants_fill(&self) -> bool {
        match self {
            Self::None => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.wants_fill(),
        }
    }

    pub(super) fn can_send(&self) -> bool {
        match self {
            Self::None => true,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.can_send(),
        }
    }

    /// Writes what the protocol owes. What it can't write any more is not missed: the stream is ending then.
    pub(super) fn fill(&mut self, buf: &mut Buf) {
        let _ = &buf;
        match self {
            Self::None => {}
            #[cfg(feature = "tls")]
            Self::Tls(tls) => _ = tls.fill(buf),
        }
    }

    pub(super) fn seal(&mut self, message: &[u8], buf: &mut Buf) {
        match self {
            Self::None => buf.extend(message),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => _ = tls.encrypt(message, buf),
        }
    }

    pub(super) fn close(&mut self) {
        match self {
            Self::None => {}
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.close(),
        }
    }

    pub(super) fn peer_closed(&self) -> bool {
        match self {
            Self::None => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.peer_closed(),
        }
    }
}
