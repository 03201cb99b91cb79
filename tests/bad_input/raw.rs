//! A peer that speaks bytes, not a protocol: it sends what a test says and keeps what comes back.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::net::SocketAddr;

use switchboard::link::tls::{ClientConfig, ServerConfig, Tls, TlsError};
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::payload::Flow;
use switchboard::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use switchboard::machine::{Cx, Fill};

/// What is around a connection's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Wrap {
    Bare,
    Client(ClientConfig),
    Server(ServerConfig),
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Eof,
    Failed(PortError),
}

#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// What came, decrypted if there is TLS.
    pub(crate) received: Vec<u8>,
    /// What TLS made of what came.
    pub(crate) error: Option<TlsError>,
    pub(crate) end: Option<End>,
    tls: Option<Tls>,
    plain: Vec<u8>,
    wire: VecDeque<u8>,
}

#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) connections: BTreeMap<PortId, Connection>,
    /// Around what it accepts.
    pub(crate) wrap: Wrap,
    requests: VecDeque<(PortId, PortRequest)>,
    ready: VecDeque<PortId>,
}

impl Raw {
    pub(crate) const fn new(wrap: Wrap) -> Self {
        Self { connections: BTreeMap::new(), wrap, requests: VecDeque::new(), ready: VecDeque::new() }
    }

    pub(crate) fn dial(&mut self, cx: &mut Cx<'_>, to: SocketAddr, wrap: &Wrap) -> PortId {
        let port = cx.ids.port();
        self.requests.push_back((port, PortRequest::Open(PortSpec::Dial(to))));
        self.connections.insert(port, Connection::new(cx, wrap));
        port
    }

    pub(crate) fn listen(&mut self, cx: &mut Cx<'_>, on: SocketAddr) {
        self.requests.push_back((cx.ids.port(), PortRequest::Open(PortSpec::Listen(on))));
    }

    /// Sends bytes, inside TLS if there is TLS.
    pub(crate) fn send(&mut self, port: PortId, bytes: &[u8]) {
        self.work(port, |connection| connection.plain.extend_from_slice(bytes));
    }

    /// Sends bytes as they are.
    pub(crate) fn send_wire(&mut self, port: PortId, bytes: &[u8]) {
        self.work(port, |connection| connection.wire.extend(bytes));
    }

    /// What the wire would carry for these bytes.
    pub(crate) fn seal(&mut self, port: PortId, bytes: &[u8]) -> Vec<u8> {
        let Some(tls) = self.connections.get_mut(&port).and_then(|connection| connection.tls.as_mut()) else {
            return bytes.to_vec();
        };
        let mut buf = Buf::new(usize::MAX);
        tls.encrypt(bytes, &mut buf).unwrap();
        mem::take(buf.vec())
    }

    pub(crate) fn take_received(&mut self, port: PortId) -> Vec<u8> {
        self.connections.get_mut(&port).map(|connection| mem::take(&mut connection.received)).unwrap_or_default()
    }

    /// Ends its side of the stream, and TLS does not say so.
    pub(crate) fn cut_off(&mut self, port: PortId) {
        self.requests.push_back((port, PortRequest::Finish));
    }

    pub(crate) fn handle(&mut self, cx: &Cx<'_>, port: PortId, data: &mut [u8]) {
        self.work(port, |connection| connection.receive(cx, data));
    }

    pub(crate) fn on_port(&mut self, cx: &Cx<'_>, port: PortId, change: &PortChange) {
        if let PortChange::Accepted { port, .. } = change {
            self.connections.insert(*port, Connection::new(cx, &self.wrap));
        }
        let Some(connection) = self.connections.get_mut(&port) else { return };
        match change {
            PortChange::Opened { .. } => self.ready.push_back(port),
            PortChange::Eof | PortChange::Closed => connection.end = Some(End::Eof),
            PortChange::Failed(error) => connection.end = Some(End::Failed(*error)),
            _ => {}
        }
        if matches!(change, PortChange::Failed(_) | PortChange::Closed) {
            self.ready.retain(|ready| *ready != port);
        }
    }

    pub(crate) fn next_request(&mut self) -> Option<(PortId, PortRequest)> {
        self.requests.pop_front()
    }

    pub(crate) fn next_ready(&mut self) -> Option<PortId> {
        self.ready.pop_front()
    }

    pub(crate) fn fill(&mut self, port: PortId, buf: &mut Buf) -> Fill {
        let Some(connection) = self.connections.get_mut(&port) else { return Fill::Done };
        let n = connection.wire.len().min(buf.room());
        buf.extend(&connection.wire.drain(..n).collect::<Vec<_>>());
        if connection.wire.is_empty() { Fill::Done } else { Fill::More }
    }

    fn work(&mut self, port: PortId, work: impl FnOnce(&mut Connection)) {
        let Some(connection) = self.connections.get_mut(&port) else { return };
        work(connection);
        connection.seal();
        if connection.end.is_none() && !connection.wire.is_empty() {
            self.ready.push_back(port);
        }
    }
}

impl Connection {
    fn new(cx: &Cx<'_>, wrap: &Wrap) -> Self {
        let tls = match wrap {
            Wrap::Bare => None,
            Wrap::Client(config) => Some(Tls::client(config, "server.test", cx.unix).unwrap()),
            Wrap::Server(config) => Some(Tls::server(config).unwrap()),
        };
        let mut connection = Self { tls, ..Self::default() };
        connection.seal();
        connection
    }

    /// Whether bytes can pass in both directions.
    pub(crate) fn is_open(&self) -> bool {
        self.tls.as_ref().is_none_or(Tls::can_send)
    }

    fn receive(&mut self, cx: &Cx<'_>, data: &mut [u8]) {
        let received = &mut self.received;
        let Some(tls) = &mut self.tls else { return received.extend_from_slice(data) };
        let result = tls.receive(cx.unix, data, &mut |plain| {
            received.extend_from_slice(plain);
            Flow::Go
        });
        self.error = self.error.take().or_else(|| result.err());
    }

    fn seal(&mut self) {
        let Some(tls) = &mut self.tls else { return self.wire.extend(self.plain.drain(..)) };
        let mut buf = Buf::new(usize::MAX);
        tls.fill(&mut buf).unwrap();
        if tls.can_send() {
            tls.encrypt(&mem::take(&mut self.plain), &mut buf).unwrap();
        }
        self.wire.extend(buf.as_slice());
    }
}
