//! Clients over TCP and TLS: connections, and messages in them.
//!
//! On a stream, STUN messages follow each other as they are; ChannelData is padded to four bytes (RFC 8656, section
//! 12.5), and the first two bits tell the two apart (RFC 8489, section 6.2.2). Whatever else comes has no end that could
//! be found, and ends the connection. A message is kept until it is whole, so at most 64 KiB wait, and they come before
//! they are held.
//!
//! Connections are bounded in number, and for each source, in bytes that wait to be sent, and in time without a message
//! before they have an allocation. A reader that is slow loses datagrams of its peers, whole ones, as a full network
//! would lose them; nobody else waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::config::{Listener, TurnServerConfig};
use super::seal::Seal;
use super::{MOMENT, Tuple, TurnServer};
use crate::machine::buf::Buf;
use crate::machine::ids::{PortId, Table};
use crate::machine::port::{PortChange, PortRequest};
use crate::machine::queue::ReadyList;
use crate::machine::time::Instant;
use crate::machine::timers::DeadlineHeap;
use crate::machine::{Cx, Deadline, Fill};

/// How long a connection that we end may take to send what it is owed.
const LINGER: Duration = Duration::from_secs(5);
/// What stands before the content of a STUN message, and of ChannelData.
const STUN_HEAD: usize = 20;
const CHANNEL_HEAD: usize = 4;

/// What came on a stream is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NotAMessage;

/// All connections of a server.
#[derive(Debug, Default)]
pub(super) struct Streams {
    connections: Table<PortId, Connection>,
    per_source: BTreeMap<IpAddr, usize>,
    ready: ReadyList<PortId>,
    deadlines: DeadlineHeap<PortId>,
}

#[derive(Debug)]
struct Connection {
    peer: SocketAddr,
    /// Where the listener listens that it came to.
    listen: SocketAddr,
    seal: Seal,
    received: Vec<u8>,
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    heard: Instant,
    ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    /// What is owed leaves; what comes is not looked at.
    Draining,
    /// The end of our side was asked for.
    Finished,
}

impl Streams {
    pub(super) fn tuple(&self, port: PortId) -> Option<Tuple> {
        let connection = self.connections.get(port)?;
        Some(Tuple { address: connection.peer, port, local: None })
    }

    /// Where the engine believes that such a client asks: at no port, since a relayed address may have any.
    pub(super) fn listen_address(&self, port: PortId) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.connections.get(port)?.listen.ip(), 0))
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn ports(&self) -> Vec<PortId> {
        self.connections.keys().collect()
    }

    pub(super) fn pop_ready(&mut self) -> Option<PortId> {
        self.ready.pop()
    }

    pub(super) fn earliest(&mut self) -> Option<Deadline> {
        self.deadlines.earliest()
    }

    /// Queues a message. None: there is no such connection; false: it does not fit.
    pub(super) fn push(&mut self, port: PortId, mut message: Vec<u8>, most: usize) -> Option<bool> {
        let connection = self.connections.get_mut(port)?;
        if is_channel_data(&message) {
            message.resize(message.len().next_multiple_of(4), 0);
        }
        let fits = connection.ending == Ending::No && connection.bytes + message.len() <= most;
        if fits {
            connection.bytes += message.len();
            connection.waiting.push_back(message);
            self.ready.push(port);
        }
        Some(fits)
    }

    fn add(&mut self, now: Instant, port: PortId, connection: Connection, idle: Duration) {
        *self.per_source.entry(connection.peer.ip()).or_default() += 1;
        self.connections.insert(port, connection);
        self.deadlines.set(port, Some(Deadline::new(now + idle.max(MOMENT), "a connection without an allocation")));
    }

    fn has_room(&self, source: IpAddr, config: &TurnServerConfig) -> bool {
        let of_source = self.per_source.get(&source).copied().unwrap_or_default();
        self.connections.len() < config.connections && of_source < config.connections_per_source
    }

    fn remove(&mut self, port: PortId) -> bool {
        let Some(connection) = self.connections.remove(port) else { return false };
        self.ready.remove(port);
        self.deadlines.set(port, None);
        let source = connection.peer.ip();
        if let Some(count) = self.per_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&source);
            }
        }
        true
    }

    /// Begins to end a connection: what it is owed leaves first.
    fn drain(&mut self, now: Instant, port: PortId) {
        let Some(connection) = self.connections.get_mut(port).filter(|open| open.ending == Ending::No) else { return };
        connection.ending = Ending::Draining;
        connection.received = Vec::new();
        connection.seal.close();
        self.deadlines.set(port, Some(Deadline::new(now + LINGER, "the end of a connection")));
        self.ready.push(port);
    }
}

impl Connection {
    /// The messages that are whole now. The second: nothing more is to be expected of this peer.
    fn receive(&mut self, cx: &Cx<'_>, data: &mut [u8]) -> (Vec<Vec<u8>>, bool) {
        let broken = self.seal.receive(cx.unix, data, &mut self.received).is_err();
        let (mut messages, mut at) = (Vec::new(), 0);
        let foreign = loop {
            match next_message(&self.received[at..]) {
                Ok(Some((message, len))) => {
                    messages.push(message.to_vec());
                    at += len;
                }
                Ok(None) => break false,
                Err(NotAMessage) => break true,
            }
        };
        self.received.drain(..at);
        if self.received.is_empty() {
            self.received = Vec::new();
        }
        (messages, broken || foreign || self.seal.peer_closed())
    }

    fn fill(&mut self, buf: &mut Buf) -> Fill {
        self.seal.fill(buf);
        while !self.waiting.is_empty() && self.seal.can_send() {
            if buf.is_full() {
                return Fill::More;
            }
            let Some(message) = self.waiting.pop_front() else { break };
            self.bytes -= message.len();
            self.seal.seal(&message, buf);
        }
        if self.ending != Ending::No && self.waiting.is_empty() {
            self.seal.close();
            self.seal.fill(buf);
        }
        Fill::Done
    }
}

const fn is_channel_data(message: &[u8]) -> bool {
    matches!(message.first(), Some(first) if *first & 0xc0 == 0x40)
}

/// The message at the front of a stream, and how many bytes it takes there; none: it is not whole yet.
fn next_message(stream: &[u8]) -> Result<Option<(&[u8], usize)>, NotAMessage> {
    let Some(first) = stream.first() else { return Ok(None) };
    let head = match first >> 6 {
        0 => STUN_HEAD,
        1 => CHANNEL_HEAD,
        _ => return Err(NotAMessage),
    };
    let Some(&[_, _, high, low]) = stream.first_chunk() else { return Ok(None) };
    let content = usize::from(u16::from_be_bytes([high, low]));
    if head == STUN_HEAD && !content.is_multiple_of(4) {
        return Err(NotAMessage);
    }
    let len = head + content;
    let taken = len.next_multiple_of(4);
    Ok((stream.len() >= taken).then(|| (&stream[..len], taken)))
}

impl TurnServer {
    pub(super) fn on_accepted(&mut self, now: Instant, listener: PortId, port: PortId, peer: SocketAddr) {
        let seal = match self.listeners.get(listener) {
            Some(open) => open.address.and_then(|listen| Some((Seal::new(&open.kind)?, listen))),
            None => None,
        };
        let Some((seal, listen)) = seal.filter(|_| self.streams.has_room(peer.ip(), &self.config)) else {
            self.statistics.refused_connections += 1;
            return self.requests.push_back((port, PortRequest::Abort));
        };
        self.statistics.connections += 1;
        let (received, waiting) = (Vec::new(), VecDeque::new());
        let connection = Connection { peer, listen, seal, received, waiting, bytes: 0, heard: now, ending: Ending::No };
        self.streams.add(now, port, connection, self.config.connection_time);
    }

    pub(super) fn on_bytes(&mut self, cx: &mut Cx<'_>, port: PortId, data: &mut [u8]) {
        let Some(tuple) = self.streams.tuple(port) else { return };
        let Some(connection) = self.streams.connections.get_mut(port) else { return };
        if connection.ending != Ending::No {
            return;
        }
        let (messages, ends) = connection.receive(cx, data);
        if !messages.is_empty() {
            connection.heard = cx.now;
        }
        if connection.seal.wants_fill() {
            self.streams.ready.push(port);
        }
        for message in messages {
            self.on_message(cx, tuple, &message);
        }
        if ends {
            self.end_connection(cx.now, port);
        }
    }

    pub(super) fn on_connection(&mut self, now: Instant, port: PortId, change: &PortChange) {
        match change {
            PortChange::Eof => self.end_connection(now, port),
            PortChange::Failed(_) | PortChange::Closed => self.forget_connection(port),
            _ => {}
        }
    }

    pub(super) fn on_connection_timeouts(&mut self, now: Instant) {
        while let Some(port) = self.streams.deadlines.take_due(now) {
            let Some(connection) = self.streams.connections.get(port) else { continue };
            let idle = self.config.connection_time.max(MOMENT);
            let holds =
                self.streams.tuple(port).and_then(|tuple| self.clients.get(&tuple)).is_some_and(|it| it.holds());
            let until = if holds { now + idle } else { connection.heard + idle };
            if connection.ending != Ending::No {
                self.abort_connection(port);
            } else if until > now {
                self.streams.deadlines.set(port, Some(Deadline::new(until, "a connection without an allocation")));
            } else {
                self.end_connection(now, port);
            }
        }
    }

    pub(super) fn fill_connection(&mut self, port: PortId, buf: &mut Buf) -> Option<Fill> {
        let connection = self.streams.connections.get_mut(port)?;
        let fill = connection.fill(buf);
        if connection.ending == Ending::Draining && fill == Fill::Done {
            connection.ending = Ending::Finished;
            self.requests.push_back((port, PortRequest::Finish));
        }
        Some(fill)
    }

    fn end_connection(&mut self, now: Instant, port: PortId) {
        if let Some(tuple) = self.streams.tuple(port) {
            self.lose(tuple);
        }
        self.streams.drain(now, port);
    }

    /// The port is dead.
    fn forget_connection(&mut self, port: PortId) {
        let Some(tuple) = self.streams.tuple(port) else { return };
        self.lose(tuple);
        self.streams.remove(port);
        self.requests.retain(|(asked, _)| *asked != port);
    }

    pub(super) fn abort_connection(&mut self, port: PortId) {
        self.forget_connection(port);
        self.requests.push_back((port, PortRequest::Abort));
    }

    /// Ends the connections that came by a listener.
    pub(super) fn abort_connections_of(&mut self, listener: SocketAddr, kind: &Listener) {
        if matches!(kind, Listener::Udp) {
            return;
        }
        for port in self.streams.ports() {
            if self.streams.connections.get(port).is_some_and(|connection| connection.listen == listener) {
                self.abort_connection(port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(mut stream: &[u8]) -> (Vec<usize>, Result<usize, NotAMessage>) {
        let mut lengths = Vec::new();
        loop {
            match next_message(stream) {
                Ok(Some((message, taken))) => {
                    lengths.push(message.len());
                    stream = &stream[taken..];
                }
                Ok(None) => return (lengths, Ok(stream.len())),
                Err(error) => return (lengths, Err(error)),
            }
        }
    }

    #[test]
    fn messages_follow_each_other_and_channel_data_is_padded() {
        let stun = [&[0, 1, 0, 4][..], &[0; 20]].concat();
        let channel = [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0];
        let stream = [&stun[..], &channel, &stun, &channel[..9]].concat();
        assert_eq!(split(&stream), (vec![24, 9, 24], Ok(9)));
        assert_eq!(split(&[0x40, 0, 0, 0]), (vec![4], Ok(0)));
    }

    #[test]
    fn what_has_no_length_ends_a_stream() {
        for foreign in [&b"\x80abc"[..], &[0xff; 20], &[0, 1, 0, 3]] {
            assert_eq!(split(foreign), (vec![], Err(NotAMessage)), "{foreign:?}");
        }
    }
}
