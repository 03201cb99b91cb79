//! A pump's bookkeeping without a machine: levels from edges, and expectations that give up.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Happening, Harness};
use crate::machine::datagram::{Ecn, Received, Transmit};
use crate::machine::ids::{Ids, PortId, Table};
use crate::machine::port::{PortChange, PortError, PortSpec};
use crate::machine::pump::Sockets;

/// The most that is waited at once.
const STEP: Duration = Duration::from_millis(20);
/// Waits after which an expectation has failed.
const WAITS: usize = 500;
/// Waits during which nothing must happen.
const QUIET: usize = 5;

/// Both addresses of an opened port.
pub(super) type Addresses = (Option<SocketAddr>, Option<SocketAddr>);

/// What two ports are joined by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Host,
}

/// Both kinds of streams, which must behave alike.
pub(super) const KINDS: [Kind; 2] = [Kind::Tcp, Kind::Host];

/// How a stream's receiving side ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Broken(io::ErrorKind),
}

/// A datagram that has come.
pub(super) struct Arrived {
    pub(super) source: SocketAddr,
    pub(super) destination: Option<IpAddr>,
    pub(super) ecn: Option<Ecn>,
    pub(super) data: Vec<u8>,
}

pub(super) struct Bench<'h, H> {
    harness: &'h mut H,
    ids: Ids,
    ports: Table<PortId, Level>,
    chunk: Vec<u8>,
}

struct Level {
    readable: bool,
    writable: bool,
    read_closed: bool,
    inbox: Vec<u8>,
    arrived: VecDeque<Arrived>,
    end: Option<End>,
    changes: VecDeque<PortChange>,
}

impl Level {
    const fn new() -> Self {
        Self {
            readable: false,
            writable: true,
            read_closed: false,
            inbox: Vec::new(),
            arrived: VecDeque::new(),
            end: None,
            changes: VecDeque::new(),
        }
    }

    fn describe(&self) -> String {
        let Self { readable, writable, read_closed, inbox, end, changes, .. } = self;
        let received = inbox.len();
        format!(
            "readable {readable}, writable {writable}, read_closed {read_closed}, \
             {received} bytes received, end {end:?}, changes {changes:?}"
        )
    }
}

impl<'h, H: Harness> Bench<'h, H> {
    pub(super) fn new(harness: &'h mut H) -> Self {
        Self { harness, ids: Ids::new(), ports: Table::new(), chunk: Vec::new() }
    }

    pub(super) const fn harness(&mut self) -> &mut H {
        self.harness
    }

    pub(super) fn open(&mut self, spec: PortSpec) -> PortId {
        self.begin(|sockets, port| sockets.open(port, spec))
    }

    pub(super) fn resolve(&mut self, name: &str) -> PortId {
        self.begin(|sockets, port| sockets.resolve(port, name.to_owned()))
    }

    pub(super) fn dial(&mut self, address: SocketAddr) -> PortId {
        self.open(PortSpec::Dial(address))
    }

    fn begin(&mut self, begin: impl FnOnce(&mut H::Sockets, PortId) -> Result<(), PortError>) -> PortId {
        let port = self.ids.port();
        self.ports.insert(port, Level::new());
        if let Err(error) = begin(self.harness.sockets(), port) {
            self.level(port).changes.push_back(PortChange::Failed(error));
        }
        port
    }

    /// An open listener on a port that the system chose, with its address.
    pub(super) fn listen(&mut self) -> Result<(PortId, SocketAddr), String> {
        let host = SocketAddr::new(self.harness.host(), 0);
        let listener = self.open(PortSpec::Listen(host));
        match self.opened(listener)? {
            (Some(local), None) => Ok((listener, local)),
            addresses => Err(format!("expected a listener's local address alone, got {addresses:?}")),
        }
    }

    /// Two open ends of one stream.
    pub(super) fn pair(&mut self, kind: Kind) -> Result<(PortId, PortId), String> {
        let (listener, address) = self.listen()?;
        let pair = match kind {
            Kind::Tcp => {
                let dialled = self.dial(address);
                self.opened(dialled)?;
                (dialled, self.accept(listener)?.0)
            }
            Kind::Host => {
                let name = self.host_name(address);
                let ends = [(); 2].map(|()| self.open(PortSpec::Host(name.clone())));
                self.opened(ends[0])?;
                self.opened(ends[1])?;
                (ends[0], ends[1])
            }
        };
        self.close(listener, false);
        Ok(pair)
    }

    /// A name for a host stream that nobody else in this process uses while the listener is open.
    pub(super) fn host_name(&self, listener: SocketAddr) -> String {
        format!("conformance, beside {listener}")
    }

    pub(super) fn accept(&mut self, listener: PortId) -> Result<(PortId, SocketAddr), String> {
        self.until(listener, "a connection to accept", |bench| bench.try_accept(listener))
    }

    /// Accepts if the listener was said to be readable.
    pub(super) fn try_accept(&mut self, listener: PortId) -> Result<Option<(PortId, SocketAddr)>, String> {
        if !self.level(listener).readable {
            return Ok(None);
        }
        let port = self.ids.port();
        match self.harness.sockets().accept(listener, port) {
            Ok(peer) => {
                self.ports.insert(port, Level::new());
                return Ok(Some((port, peer)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.level(listener).readable = false,
            Err(error) => return Err(format!("{listener}: expected to accept, got {error:?}")),
        }
        self.ids.release_port(port);
        Ok(None)
    }

    pub(super) fn change(&mut self, port: PortId) -> Result<PortChange, String> {
        self.until(port, "a change", |bench| Ok(bench.level(port).changes.pop_front()))
    }

    pub(super) fn opened(&mut self, port: PortId) -> Result<Addresses, String> {
        match self.change(port)? {
            PortChange::Opened { local, peer } => Ok((local, peer)),
            change => Err(format!("{port}: expected Opened, got {change:?}")),
        }
    }

    /// Why a port failed; as a pump does, the port is then closed.
    pub(super) fn failed(&mut self, port: PortId) -> Result<PortError, String> {
        match self.change(port)? {
            PortChange::Failed(error) => {
                self.close(port, true);
                Ok(error)
            }
            change => Err(format!("{port}: expected Failed, got {change:?}")),
        }
    }

    /// Sends some of `bytes`; 0 while the port is not writable.
    pub(super) fn send_some(&mut self, port: PortId, bytes: &[u8]) -> Result<usize, String> {
        if !self.level(port).writable {
            return Ok(0);
        }
        match self.harness.sockets().try_send(port, bytes) {
            Ok(sent) if (1..=bytes.len()).contains(&sent) => return Ok(sent),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.level(port).writable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return Err(format!("{port}: expected to send some of {} bytes, got {other:?}", bytes.len())),
        }
        Ok(0)
    }

    pub(super) fn send(&mut self, port: PortId, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        self.until(port, "to be writable", |bench| {
            while !rest.is_empty() {
                match bench.send_some(port, rest)? {
                    0 => return Ok(None),
                    sent => rest = &rest[sent..],
                }
            }
            Ok(Some(()))
        })
    }

    /// Sends until the port takes no more, and has taken no more for a while; all that was sent.
    pub(super) fn fill(&mut self, port: PortId) -> Result<Vec<u8>, String> {
        const TOO_MUCH: usize = 256 << 20;
        let mut sent = Vec::new();
        let mut refused = 0;
        while refused < QUIET {
            let block: Vec<u8> = (sent.len()..sent.len() + 60_000).map(|at| (at % 251) as u8).collect();
            match self.send_some(port, &block)? {
                0 => {
                    refused += 1;
                    self.wait()?;
                }
                n => {
                    refused = 0;
                    sent.extend_from_slice(&block[..n]);
                }
            }
            if sent.len() > TOO_MUCH {
                return Err(format!("{port}: expected WouldBlock while nobody reads, sent {} bytes", sent.len()));
            }
        }
        Ok(sent)
    }

    /// Waits until the port is writable.
    pub(super) fn writable(&mut self, port: PortId) -> Result<(), String> {
        self.until(port, "to be writable", |bench| Ok(bench.level(port).writable.then_some(())))
    }

    /// Waits until the port is readable, without receiving.
    pub(super) fn readable(&mut self, port: PortId) -> Result<(), String> {
        self.until(port, "to be readable", |bench| Ok(bench.level(port).readable.then_some(())))
    }

    /// Expects exactly `bytes` next.
    pub(super) fn expect(&mut self, port: PortId, bytes: &[u8]) -> Result<(), String> {
        let what = format!("{} bytes", bytes.len());
        let got: Vec<u8> = self.until(port, &what, |bench| {
            bench.receive(port)?;
            let level = bench.level(port);
            match level.end {
                _ if level.inbox.len() >= bytes.len() => Ok(Some(level.inbox.drain(..bytes.len()).collect())),
                Some(end) => Err(format!("{port}: expected {what}, got {} and {end:?}", level.inbox.len())),
                None => Ok(None),
            }
        })?;
        same(port, bytes, &got)
    }

    /// Expects exactly `bytes`, then the end of the stream.
    pub(super) fn expect_last(&mut self, port: PortId, bytes: &[u8]) -> Result<(), String> {
        match self.rest(port)? {
            (got, End::Finished) => same(port, bytes, &got),
            (got, end) => Err(format!("{port}: expected the end of the stream, got {} bytes and {end:?}", got.len())),
        }
    }

    /// All that comes until the stream's end.
    pub(super) fn rest(&mut self, port: PortId) -> Result<(Vec<u8>, End), String> {
        self.until(port, "the end of the stream", |bench| {
            bench.receive(port)?;
            let level = bench.level(port);
            Ok(level.end.map(|end| (std::mem::take(&mut level.inbox), end)))
        })
    }

    /// Receives as a pump does, until there must be another edge.
    fn receive(&mut self, port: PortId) -> Result<(), String> {
        let short_read_is_empty = self.harness.sockets().short_read_is_empty();
        self.chunk.resize(self.harness.sockets().chunk(), 0);
        while self.level(port).readable && self.level(port).end.is_none() {
            let received = self.harness.sockets().try_recv(port, &mut self.chunk);
            let Some(level) = self.ports.get_mut(port) else { break };
            match received {
                Ok(0) => level.end = Some(End::Finished),
                Ok(n) if n > self.chunk.len() => return Err(format!("{port}: received {n} bytes into fewer")),
                Ok(n) => {
                    level.inbox.extend_from_slice(&self.chunk[..n]);
                    level.readable = n == self.chunk.len() || !short_read_is_empty || level.read_closed;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    (level.readable, level.read_closed) = (false, false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => level.end = Some(End::Broken(error.kind())),
            }
        }
        Ok(())
    }

    /// A port bound to that address with a number that the system chose, and the whole address.
    pub(super) fn bind(&mut self, ip: IpAddr) -> Result<(PortId, SocketAddr), String> {
        let port = self.open(PortSpec::Bind(SocketAddr::new(ip, 0)));
        match self.opened(port)? {
            (Some(local), None) => Ok((port, local)),
            addresses => Err(format!("expected a bound port's local address alone, got {addresses:?}")),
        }
    }

    pub(super) fn send_batch(&mut self, port: PortId, transmit: &Transmit, bytes: &[u8]) -> Result<(), String> {
        let sent = self.offer_batch(port, transmit, bytes)?;
        sent.map_err(|error| format!("{port}: expected to send {transmit:?}, got {error:?}"))
    }

    /// Sends a batch, or is told why it never will.
    pub(super) fn offer_batch(
        &mut self,
        port: PortId,
        transmit: &Transmit,
        bytes: &[u8],
    ) -> Result<io::Result<()>, String> {
        self.until(port, "to be writable", |bench| {
            if !bench.level(port).writable {
                return Ok(None);
            }
            match bench.harness.sockets().try_send_datagrams(port, transmit, bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => bench.level(port).writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Ok(Some(result)),
            }
            Ok(None)
        })
    }

    /// The next datagram.
    pub(super) fn arrival(&mut self, port: PortId) -> Result<Arrived, String> {
        self.until(port, "a datagram", |bench| bench.try_arrival(port))
    }

    /// The next datagram, if there is one already.
    pub(super) fn try_arrival(&mut self, port: PortId) -> Result<Option<Arrived>, String> {
        while self.level(port).readable && self.level(port).arrived.is_empty() {
            self.receive_datagrams(port)?;
        }
        Ok(self.level(port).arrived.pop_front())
    }

    fn receive_datagrams(&mut self, port: PortId) -> Result<(), String> {
        let mut chunk = vec![0; self.harness.sockets().datagram_chunk()];
        let mut received = Vec::new();
        let result = self.harness.sockets().try_recv_datagrams(port, &mut chunk, &mut received);
        match result.map_err(|error| error.kind()) {
            Ok(()) if received.is_empty() => return Err(format!("{port}: received no datagram, and no error")),
            Err(io::ErrorKind::WouldBlock) => self.level(port).readable = false,
            Ok(()) | Err(io::ErrorKind::Interrupted | io::ErrorKind::ConnectionReset) => {}
            Err(error) => return Err(format!("{port}: expected datagrams, got {error:?}")),
        }
        for batch in received {
            let Some(bytes) = chunk.get(batch.start..batch.start + batch.len) else {
                return Err(format!("{port}: expected a batch in {} bytes, got {batch:?}", chunk.len()));
            };
            self.level(port).arrived.extend(cut(&batch, bytes));
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, port: PortId) -> Result<(), String> {
        self.harness.sockets().finish(port).map_err(|error| format!("{port}: expected to finish, got {error:?}"))
    }

    pub(super) fn close(&mut self, port: PortId, abort: bool) {
        self.ports.remove(port);
        self.harness.sockets().close(port, abort);
        self.ids.release_port(port);
    }

    /// Waits until nothing happens any more.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let mut quiet = 0;
        for _ in 0..WAITS {
            quiet = if self.wait()? == 0 { quiet + 1 } else { 0 };
            if quiet == QUIET {
                return Ok(());
            }
        }
        Err(format!("expected nothing to happen any more, but {WAITS} waits brought news"))
    }

    /// Waits for a while in which the port must not change.
    pub(super) fn unchanged(&mut self, port: PortId) -> Result<(), String> {
        for _ in 0..QUIET {
            self.wait()?;
        }
        match self.level(port).changes.front() {
            Some(change) => Err(format!("{port}: expected no change, got {change:?}")),
            None => Ok(()),
        }
    }

    /// Tries, waits, and tries again, until there is an answer.
    pub(super) fn until<T>(
        &mut self,
        port: PortId,
        what: &str,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, String>,
    ) -> Result<T, String> {
        for _ in 0..WAITS {
            if let Some(answer) = attempt(self)? {
                return Ok(answer);
            }
            self.wait()?;
        }
        Err(format!("{port}: expected {what}, got after {WAITS} waits only: {}", self.level(port).describe()))
    }

    /// Takes in what has happened already.
    pub(super) fn poll(&mut self) -> Result<(), String> {
        self.wait_at_most(Duration::ZERO).map(drop)
    }

    fn wait(&mut self) -> Result<usize, String> {
        self.wait_at_most(STEP)
    }

    fn wait_at_most(&mut self, max: Duration) -> Result<usize, String> {
        let happenings = self.harness.wait(max);
        let count = happenings.len();
        for (port, happening) in happenings {
            let Some(level) = self.ports.get_mut(port) else {
                return Err(format!("{port}: expected nothing of a closed port, got {happening:?}"));
            };
            match happening {
                Happening::Change(change) => level.changes.push_back(change),
                Happening::Ready(readiness) => {
                    level.readable |= readiness.readable || readiness.read_closed;
                    level.writable |= readiness.writable;
                    level.read_closed |= readiness.read_closed;
                }
            }
        }
        Ok(count)
    }

    fn level(&mut self, port: PortId) -> &mut Level {
        self.ports.get_mut(port).expect("a case names only the ports that it has not closed")
    }
}

fn cut<'a>(batch: &'a Received, bytes: &'a [u8]) -> impl Iterator<Item = Arrived> + 'a {
    let Received { source, destination, ecn, .. } = *batch;
    let empty = bytes.is_empty().then_some(bytes);
    let datagrams = bytes.chunks(batch.segment.max(1)).chain(empty);
    datagrams.map(move |data| Arrived { source, destination, ecn, data: data.to_vec() })
}

fn same(port: PortId, expected: &[u8], got: &[u8]) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let at = expected.iter().zip(got).take_while(|(expected, got)| expected == got).count();
    let (expected, got) = (expected.len(), got.len());
    Err(format!("{port}: expected {expected} bytes, got {got}, of which only the first {at} are right"))
}
