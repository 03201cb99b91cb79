//! The client's side of the upgrade to a WebSocket (RFC 6455, section 4.1).

use std::fmt;
use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::head::{Fields, Gather, is_token, is_value, is_visible, parse_response};
use super::{HttpError, Progress, accept_value};
use crate::machine::buf::Buf;
use crate::machine::limits::Limits;
use crate::machine::rng::Rng;

/// What a client asks for.
#[derive(Clone, Default)]
pub struct UpgradeRequest {
    /// The `Host` header: a name or an address (IPv6 in brackets), with the port unless it is the usual one.
    pub host_header: String,
    /// What is asked for, from the first slash on.
    pub path_and_query: String,
    /// The subprotocols offered, in order of preference.
    pub subprotocols: Vec<String>,
    /// Further headers, for instance `Authorization` or `Origin`.
    pub headers: Vec<(String, String)>,
}

/// What a server has agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The subprotocol it chose of those offered.
    pub subprotocol: Option<String>,
}

/// Asks for a WebSocket and checks the answer.
pub struct UpgradeClient {
    owed: Vec<u8>,
    accept: String,
    subprotocols: Vec<String>,
    gather: Gather,
}

impl UpgradeClient {
    /// A client that will ask for this; an error says which part cannot be written.
    pub fn new(request: UpgradeRequest, limits: &Limits, rng: &mut Rng) -> Result<Self, HttpError> {
        request.check()?;
        let key = STANDARD.encode(rng.array::<16>());
        let (owed, accept) = (request.write(&key), accept_value(&key));
        Ok(Self { owed, accept, subprotocols: request.subprotocols, gather: Gather::new(b"HTTP/", limits) })
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
    pub fn receive(&mut self, data: &[u8]) -> Result<Progress<Agreed>, HttpError> {
        let Some((head, consumed)) = self.gather.take(data)? else {
            return Ok(Progress::More);
        };
        let answer = parse_response(&head, self.gather.headers())?;
        if answer.status != 101 {
            return Err(refusal(answer.status, &answer.fields));
        }
        if !answer.is_11 {
            return Err(HttpError::Version);
        }
        let response = self.check(&answer.fields)?;
        Ok(Progress::Done { consumed, response })
    }

    fn check(&self, fields: &Fields<'_>) -> Result<Agreed, HttpError> {
        fields.check_length()?;
        if !fields.has("upgrade", "websocket") {
            return Err(HttpError::UpgradeMissing);
        }
        if !fields.has("connection", "upgrade") {
            return Err(HttpError::ConnectionMissing);
        }
        let accept = fields.one("sec-websocket-accept", HttpError::AcceptWrong)?.ok_or(HttpError::AcceptMissing)?;
        if accept != self.accept {
            return Err(HttpError::AcceptWrong);
        }
        if let Some(extension) = fields.list("sec-websocket-extensions").next() {
            return Err(HttpError::Extension(extension.to_owned()));
        }
        self.check_subprotocol(fields)
    }

    /// A server may choose none (RFC 6455, section 4.2.2), but who offers some cannot go on without.
    fn check_subprotocol(&self, fields: &Fields<'_>) -> Result<Agreed, HttpError> {
        let chosen: Vec<&str> = fields.all("sec-websocket-protocol").collect();
        match (chosen.as_slice(), self.subprotocols.is_empty()) {
            ([], true) => Ok(Agreed { subprotocol: None }),
            ([], false) => Err(HttpError::SubprotocolMissing),
            ([one], _) if self.subprotocols.iter().any(|offered| offered == one) => {
                Ok(Agreed { subprotocol: Some((*one).to_owned()) })
            }
            (other, _) => Err(HttpError::SubprotocolUnknown(other.join(", "))),
        }
    }

    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.gather.capacity() + self.owed.capacity()
    }
}

impl fmt::Debug for UpgradeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeClient").field("subprotocols", &self.subprotocols).finish_non_exhaustive()
    }
}

impl UpgradeRequest {
    fn check(&self) -> Result<(), HttpError> {
        if !is_visible(&self.host_header) {
            return Err(HttpError::InvalidPart("host"));
        }
        if !self.path_and_query.starts_with('/') || !is_visible(&self.path_and_query) {
            return Err(HttpError::InvalidPart("path"));
        }
        if !self.subprotocols.iter().all(|name| is_token(name)) {
            return Err(HttpError::InvalidPart("subprotocol"));
        }
        self.headers.iter().try_for_each(|(name, value)| check_header(name, value))
    }

    fn write(&self, key: &str) -> Vec<u8> {
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
            self.path_and_query, self.host_header
        );
        if !self.subprotocols.is_empty() {
            head += &format!("Sec-WebSocket-Protocol: {}\r\n", self.subprotocols.join(", "));
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }
}

/// The headers may hold secrets, and so may the query.
impl fmt::Debug for UpgradeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeRequest")
            .field("host_header", &self.host_header)
            .field("subprotocols", &self.subprotocols)
            .finish_non_exhaustive()
    }
}

fn check_header(name: &str, value: &str) -> Result<(), HttpError> {
    if !is_token(name) {
        return Err(HttpError::InvalidPart("header's name"));
    }
    if !is_value(value) {
        return Err(HttpError::InvalidPart("header's value"));
    }
    let lower = name.to_ascii_lowercase();
    let own = ["host", "upgrade", "connection", "content-length", "transfer-encoding"].contains(&lower.as_str());
    if own || lower.starts_with("sec-websocket-") {
        return Err(HttpError::ReservedHeader(name.to_owned()));
    }
    Ok(())
}

fn refusal(status: u16, fields: &Fields<'_>) -> HttpError {
    let location = if (300..400).contains(&status) { fields.all("location").next() } else { None };
    HttpError::Status { status, location: location.map(str::to_owned) }
}
