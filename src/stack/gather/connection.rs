//! A connection to a TURN server by TCP or TLS.
//!
//! The server's addresses are tried one after the other in the resolver's order; each but the last has a third of the
//! time that the whole may take. Inside TLS, what is to be sent waits as plaintext until it is asked for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::config::GatherConfig;
use super::seal::Seal;
use super::server::ServerError;
use crate::link::turn::Splitter;
use crate::machine::buf::Buf;
use crate::machine::ids::PortId;
use crate::machine::port::{PortError, PortRequest, PortSpec};
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline, Fill};
use crate::wire::ice_server::{IceTransport, IceUri};

type Requests = VecDeque<(PortId, PortRequest)>;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) port: PortId,
    /// Our side's address, once it is open.
    pub(super) local: Option<SocketAddr>,
    waiting: VecDeque<SocketAddr>,
    limit: usize,
    patience: Duration,
    /// When an attempt, or TLS, is given up.
    until: Option<Instant>,
    seal: Seal,
    splitter: Splitter,
    out: VecDeque<u8>,
}

impl Connection {
    /// Dials the first of the addresses, of which there is one at least.
    pub(super) fn open(
        cx: &mut Cx<'_>,
        config: &GatherConfig,
        uri: &IceUri,
        addresses: impl Iterator<Item = SocketAddr>,
        requests: &mut Requests,
    ) -> Result<Self, ServerError> {
        let seal = match uri.transport {
            IceTransport::Tls => Seal::tls(config, &uri.host, cx.unix)?,
            IceTransport::Tcp | IceTransport::Udp => Seal::plain(),
        };
        let mut connection = Self {
            port: cx.ids.port(),
            local: None,
            waiting: addresses.collect(),
            limit: config.queue,
            patience: config.connect_time,
            until: None,
            seal,
            splitter: Splitter::default(),
            out: VecDeque::new(),
        };
        let first = connection.waiting.pop_front().ok_or(ServerError::NoFamily)?;
        connection.dial(cx.now, first, requests);
        Ok(connection)
    }

    fn dial(&mut self, now: Instant, address: SocketAddr, requests: &mut Requests) {
        requests.push_back((self.port, PortRequest::Open(PortSpec::Dial(address))));
        let patience = if self.waiting.is_empty() { self.patience } else { self.patience / 3 };
        self.until = Some(now + patience);
    }

    /// It is open; with TLS, the handshake begins.
    pub(super) fn opened(&mut self, now: Instant, local: Option<SocketAddr>) {
        self.local = local;
        self.waiting.clear();
        self.until = self.seal.is_handshaking().then(|| now + self.patience);
    }

    /// An attempt has failed: dials the next address.
    ///
    /// # Errors
    /// There is none, or it had been open.
    pub(super) fn failed(
        &mut self,
        cx: &mut Cx<'_>,
        error: PortError,
        requests: &mut Requests,
    ) -> Result<(), ServerError> {
        let next = self.waiting.pop_front().ok_or(ServerError::Connection(error))?;
        self.port = cx.ids.port();
        self.dial(cx.now, next, requests);
        Ok(())
    }

    pub(super) const fn is_open(&self) -> bool {
        self.local.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.until.map(|until| Deadline::new(until, "connection to a TURN server"))
    }

    /// Whether an attempt has taken too long.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Takes bytes in and lends the messages in them.
    ///
    /// # Errors
    /// What comes is not TLS, or not TURN.
    pub(super) fn receive(
        &mut self,
        unix: Duration,
        data: &mut [u8],
        each: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), ServerError> {
        let splitter = &mut self.splitter;
        let mut result = Ok(());
        self.seal.receive(unix, data, &mut |plain| {
            if result.is_ok() {
                result = splitter.receive(plain, each).map_err(|_| ServerError::NotTurn);
            }
        })?;
        if !self.seal.is_handshaking() {
            self.until = None;
        }
        result
    }

    /// Queues a message. False: too much waits.
    pub(super) fn send(&mut self, message: &[u8]) -> bool {
        let fits = self.out.len() + message.len() <= self.limit;
        if fits {
            self.out.extend(message);
        }
        fits
    }

    /// Whether [`Self::fill`] has something to write.
    pub(super) fn wants_fill(&self) -> bool {
        self.is_open() && (self.seal.wants_fill() || self.seal.can_send() && !self.out.is_empty())
    }

    pub(super) fn fill(&mut self, buf: &mut Buf) -> Result<Fill, ServerError> {
        self.seal.fill(buf, &mut self.out)?;
        Ok(if self.seal.can_send() && !self.out.is_empty() { Fill::More } else { Fill::Done })
    }
}
