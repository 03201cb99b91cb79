//! Answers binding requests (RFC 8489, section 6.3), on four endpoints if it has two addresses (RFC 5780, section 6).
//!
//! No state is kept between requests, and nothing larger than a few attributes is sent that the request had not too:
//! padding comes back in the length that it was sent in.

use std::net::{IpAddr, SocketAddr};

use super::message::{self, Body, CHANGE_REQUEST, Change, Malformed, Message, Request, Success};

/// The code of a request that contradicts itself.
const BAD_REQUEST: u16 = 400;
/// The code of a request with attributes that must be understood and are not.
const UNKNOWN_ATTRIBUTE: u16 = 420;

/// Where a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// Where clients begin to ask.
    pub primary: SocketAddr,
    /// Another address of the same family with another port; none: the server has one endpoint only and can change
    /// nothing.
    pub other: Option<SocketAddr>,
}

impl Endpoints {
    /// All of them: the primary first; with the other, both addresses with both ports.
    pub fn all(&self) -> Vec<SocketAddr> {
        let primary = self.primary;
        let Some(other) = self.other else { return vec![primary] };
        let with = |ip, port| SocketAddr::new(ip, port);
        vec![primary, with(primary.ip(), other.port()), with(other.ip(), primary.port()), other]
    }

    /// From where a request is answered that came to `at`; none if that cannot be changed so.
    fn changed(&self, at: SocketAddr, change: Change) -> Option<SocketAddr> {
        if change == Change::NONE {
            return Some(at);
        }
        let opposite = self.opposite(at)?;
        let ip = if change.address { opposite.ip() } else { at.ip() };
        let port = if change.port { opposite.port() } else { at.port() };
        Some(SocketAddr::new(ip, port))
    }

    /// The endpoint with the other address and the other port.
    fn opposite(&self, at: SocketAddr) -> Option<SocketAddr> {
        let other = self.other?;
        let ip: IpAddr = if at.ip() == self.primary.ip() { other.ip() } else { self.primary.ip() };
        let port = if at.port() == self.primary.port() { other.port() } else { self.primary.port() };
        Some(SocketAddr::new(ip, port))
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The endpoint that it shall leave from.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Its payload.
    pub bytes: Vec<u8>,
}

/// Why a datagram was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// It is no binding message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is an answer or an indication, which nobody answers.
    #[error("not a request")]
    NotARequest,
    /// Nobody can be answered at port 0.
    #[error("its sender has no port")]
    NoPort,
}

/// What a server has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerCounters {
    /// Requests that were answered with an address.
    pub answered: u64,
    /// Requests that were refused with an error response.
    pub refused: u64,
    /// Datagrams that break a rule of the format.
    pub malformed: u64,
    /// Messages that are no requests, or from port 0.
    pub unanswerable: u64,
}

impl std::ops::Add for ServerCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            answered: self.answered + other.answered,
            refused: self.refused + other.refused,
            malformed: self.malformed + other.malformed,
            unanswerable: self.unanswerable + other.unanswerable,
        }
    }
}

/// A STUN server, without its sockets.
#[derive(Debug)]
pub struct Server {
    endpoints: Endpoints,
    software: Option<String>,
    counters: ServerCounters,
}

impl Server {
    /// A server on these endpoints, which calls itself `software` (at most 763 bytes, else it has no name).
    pub fn new(endpoints: Endpoints, software: Option<String>) -> Self {
        let software = software.filter(|software| software.len() <= 763);
        Self { endpoints, software, counters: ServerCounters::default() }
    }

    /// Where it is asked.
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// What it has seen.
    pub const fn counters(&self) -> ServerCounters {
        self.counters
    }

    /// The answer to a datagram that came from `source` to the endpoint `at`.
    ///
    /// # Errors
    /// Why there is none; it is counted.
    pub fn answer(&mut self, at: SocketAddr, source: SocketAddr, data: &[u8]) -> Result<Reply, Dropped> {
        let result = self.reply(at, source, data);
        match &result {
            Ok(_) => {}
            Err(Dropped::Malformed(_)) => self.counters.malformed += 1,
            Err(Dropped::NotARequest | Dropped::NoPort) => self.counters.unanswerable += 1,
        }
        result
    }

    fn reply(&mut self, at: SocketAddr, source: SocketAddr, data: &[u8]) -> Result<Reply, Dropped> {
        let message = Message::parse(data)?;
        let Body::Request { request, unknown } = &message.body else { return Err(Dropped::NotARequest) };
        if source.port() == 0 {
            return Err(Dropped::NoPort);
        }
        let refuse = |code, unknown: &[u16]| message::encode_error(message.id, code, unknown, self.software.as_deref());
        let (from, bytes) = match (self.endpoints.changed(at, request.change), self.refusal(request, unknown)) {
            (_, Some(code)) => (at, refuse(code, unknown)),
            // To a server without another address the attribute is an unknown one (RFC 8489, section 6.3.1).
            (None, None) => (at, refuse(UNKNOWN_ATTRIBUTE, &[CHANGE_REQUEST])),
            (Some(from), None) => {
                self.counters.answered += 1;
                let bytes = self.success(at, from, source, request).encode(message.id);
                return Ok(Reply { from, to: target(source, request), bytes });
            }
        };
        self.counters.refused += 1;
        Ok(Reply { from, to: source, bytes })
    }

    fn refusal(&self, request: &Request, unknown: &[u16]) -> Option<u16> {
        if !unknown.is_empty() {
            return Some(UNKNOWN_ATTRIBUTE);
        }
        // Both at once would send large packets to ports that never asked (RFC 5780, section 6.1).
        (request.padding.is_some() && request.response_port.is_some()).then_some(BAD_REQUEST)
    }

    fn success(&self, at: SocketAddr, from: SocketAddr, source: SocketAddr, request: &Request) -> Success {
        Success {
            mapped: Some(source),
            origin: Some(from).filter(|from| !from.ip().is_unspecified()),
            other: self.endpoints.opposite(at),
            padding: request.padding,
            software: self.software.clone(),
        }
    }
}

fn target(source: SocketAddr, request: &Request) -> SocketAddr {
    SocketAddr::new(source.ip(), request.response_port.unwrap_or_else(|| source.port()))
}

#[cfg(test)]
mod tests;
