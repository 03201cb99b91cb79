//! The client's side of CONNECT: a way through a proxy (RFC 9110, section 9.3.6).

use std::fmt;
use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::head::{Gather, is_value, is_visible, parse_response};
use super::{HttpError, Progress};
use crate::machine::buf::Buf;
use crate::machine::limits::Limits;

/// Asks a proxy to connect, and checks its answer.
///
/// Any version of HTTP/1 will do in the answer, as old proxies say 1.0; lengths in it mean nothing.
pub struct Connect {
    owed: Vec<u8>,
    gather: Gather,
}

impl Connect {
    /// A way to `target`, a host and a port (`name:443`, `[2001:db8::1]:443`), with a user and a password if the
    /// proxy wants them (RFC 7617; a user has no colon).
    pub fn new(target: &str, credentials: Option<(&str, &str)>, limits: &Limits) -> Result<Self, HttpError> {
        if !is_visible(target) {
            return Err(HttpError::InvalidPart("target"));
        }
        let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some((user, password)) = credentials {
            if user.contains(':') || !is_value(user) || !is_value(password) {
                return Err(HttpError::InvalidPart("proxy's user or password"));
            }
            head += &format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")));
        }
        Ok(Self { owed: (head + "\r\n").into_bytes(), gather: Gather::new(b"HTTP/", limits) })
    }

    /// Whether [`fill`](Self::fill) has something to write.
    pub const fn wants_fill(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Writes the request, once.
    pub fn fill(&mut self, buf: &mut Buf) {
        buf.extend(&mem::take(&mut self.owed));
    }

    /// Takes bytes of the answer.
    pub fn receive(&mut self, data: &[u8]) -> Result<Progress<()>, HttpError> {
        let Some((head, consumed)) = self.gather.take(data)? else {
            return Ok(Progress::More);
        };
        match parse_response(&head, self.gather.headers())?.status {
            200..300 => Ok(Progress::Done { consumed, response: () }),
            // Some proxies, tinyproxy among them, answer a wrong password as a server would.
            401 | 407 => Err(HttpError::ProxyAuthentication),
            status => Err(HttpError::ProxyRefused(status)),
        }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("wants_fill", &self.wants_fill()).finish_non_exhaustive()
    }
}
