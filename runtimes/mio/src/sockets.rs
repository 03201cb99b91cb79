//! mio's sockets as ports.
//!
//! Each socket is registered once, for both directions and by edges; its token is its port's index. A batch of
//! edges is translated before anybody can close a port, so an index names the port that the edge was meant for;
//! what other threads report (pipes, look-ups) carries the whole id, and a stale one finds nothing.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use mio::event::{Event, Source};
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, SockRef, Socket, Type};
use switchboard::machine::conformance::Happening;
use switchboard::machine::datagram::{Received, Transmit};
use switchboard::machine::ids::{Key, PortId, Table};
use switchboard::machine::pipe::{Exchange, PipeEnd};
use switchboard::machine::port::{Addrs, Name, PortChange, PortError, PortSpec};
use switchboard::machine::pump::{Readiness, Sockets};
use switchboard::machine::queue::ReadyList;

use crate::addresses::{Addresses, PERIOD};
use crate::resolver::Resolver;
use crate::udp::{self, Udp};

/// Connections that wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
const WAKER: Token = Token(usize::MAX);

pub(crate) trait Stream: Read + Write + Source {}

impl<T: Read + Write + Source> Stream for T {}

/// The sockets of one event loop.
pub struct MioSockets {
    poll: Poll,
    events: Events,
    ports: Table<PortId, Port>,
    by_index: Vec<Option<PortId>>,
    news: Vec<(PortId, Happening)>,
    nudged: ReadyList<PortId>,
    remote: Arc<Remote>,
    resolver: Option<Resolver>,
    addresses: Addresses,
    /// None while nobody wants to know.
    next_look: Option<Instant>,
    provided: BTreeMap<String, Box<dyn Stream>>,
}

enum Port {
    Tcp {
        stream: TcpStream,
        opened: bool,
    },
    Listener(TcpListener),
    Bound(UdpSocket, Udp),
    Pipe {
        end: PipeEnd,
        opened: bool,
    },
    Provided(Box<dyn Stream>),
    /// A provided stream that was finished.
    Ended,
    Question,
    Addresses,
}

/// What other threads may touch.
pub(crate) struct Remote {
    waker: mio::Waker,
    interrupted: AtomicBool,
    nudged: Mutex<ReadyList<PortId>>,
    answers: Mutex<Vec<(PortId, PortChange)>>,
}

struct Nudge {
    remote: Arc<Remote>,
    port: PortId,
}

impl Wake for Remote {
    fn wake(self: Arc<Self>) {
        self.interrupted.store(true, Ordering::Release);
        self.rouse();
    }
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        let mut nudged = lock(&self.remote.nudged);
        // Whoever was first has roused the loop, which has yet to take the list.
        if nudged.is_empty() {
            self.remote.rouse();
        }
        nudged.push(self.port);
    }
}

impl Remote {
    pub(crate) fn answer(&self, port: PortId, change: PortChange) {
        lock(&self.answers).push((port, change));
        self.rouse();
    }

    fn rouse(&self) {
        // It fails only when the loop's descriptors are beyond use, and then polling fails too.
        _ = self.waker.wake();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MioSockets {
    /// An event loop without ports.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        let (interrupted, nudged, answers) = Default::default();
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            ports: Table::new(),
            by_index: Vec::new(),
            news: Vec::new(),
            nudged: ReadyList::new(),
            remote: Arc::new(Remote { waker, interrupted, nudged, answers }),
            resolver: None,
            addresses: Addresses::default(),
            next_look: None,
            provided: BTreeMap::new(),
        })
    }

    /// Waits for news, at most `max` (`None`: as long as it takes), and appends them to `news`.
    pub fn poll(&mut self, max: Option<Duration>, news: &mut Vec<(PortId, Happening)>) -> io::Result<()> {
        let look = self.next_look.map(|at| at.saturating_duration_since(Instant::now()));
        let max = if self.news.is_empty() { max.into_iter().chain(look).min() } else { Some(Duration::ZERO) };
        match self.poll.poll(&mut self.events, max) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Err(_) => self.events.clear(),
            Ok(()) => {}
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in events.iter().filter(|event| event.token() != WAKER) {
            self.on_event(event);
        }
        self.events = events;
        self.on_remote();
        self.look_at_addresses();
        news.append(&mut self.news);
        Ok(())
    }

    pub(crate) fn waker(&self) -> Waker {
        self.remote.clone().into()
    }

    pub(crate) fn take_interruption(&self) -> bool {
        self.remote.interrupted.swap(false, Ordering::Acquire)
    }

    pub(crate) fn provide(&mut self, name: &str, stream: Box<dyn Stream>) {
        self.provided.insert(name.to_owned(), stream);
    }

    fn on_event(&mut self, event: &Event) {
        let Some(&Some(port)) = self.by_index.get(event.token().0) else { return };
        if !self.is_open(port) {
            return;
        }
        let error = event.is_error();
        let mut readiness = Readiness {
            readable: event.is_readable() || error,
            writable: event.is_writable() || event.is_write_closed() || error,
            read_closed: event.is_read_closed(),
        };
        // Not a socket, perhaps: a short read may leave bytes behind.
        readiness.read_closed |= readiness.readable && matches!(self.ports.get(port), Some(Port::Provided(_)));
        self.news.push((port, Happening::Ready(readiness)));
    }

    /// False for a dial under way. One that has come to its end is told.
    fn is_open(&mut self, port: PortId) -> bool {
        let Some(Port::Tcp { stream, opened: opened @ false }) = self.ports.get_mut(port) else { return true };
        let change = match dialled(stream) {
            Ok(change) => change,
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return false,
            Err(error) => PortChange::Failed(port_error(&error)),
        };
        *opened = true;
        self.news.push((port, Happening::Change(change)));
        true
    }

    fn on_remote(&mut self) {
        let remote = Arc::clone(&self.remote);
        let answers = std::mem::take(&mut *lock(&remote.answers));
        for (port, change) in answers {
            if self.ports.contains(port) {
                self.news.push((port, Happening::Change(change)));
            }
        }
        std::mem::swap(&mut *lock(&remote.nudged), &mut self.nudged);
        while let Some(port) = self.nudged.pop() {
            self.on_nudge(port);
        }
    }

    fn on_nudge(&mut self, port: PortId) {
        match self.ports.get_mut(port) {
            Some(Port::Pipe { end, opened }) if end.is_joined() => {
                // The pipe tells bytes from the end only by being read until it blocks.
                let readable = end.is_readable();
                if !std::mem::replace(opened, true) {
                    self.news.push((port, Happening::Change(PortChange::Opened { local: None, peer: None })));
                }
                let readiness = Readiness { readable, writable: true, read_closed: readable };
                self.news.push((port, Happening::Ready(readiness)));
            }
            _ => {}
        }
    }

    fn dial(&mut self, port: PortId, address: SocketAddr) -> io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        self.poll.registry().register(&mut stream, Token(port.index()), BOTH)?;
        self.put(port, Port::Tcp { stream, opened: false });
        Ok(())
    }

    fn listen(&mut self, port: PortId, address: SocketAddr) -> io::Result<()> {
        let mut listener = listener(address)?;
        let local = listener.local_addr()?;
        self.poll.registry().register(&mut listener, Token(port.index()), Interest::READABLE)?;
        self.put(port, Port::Listener(listener));
        self.news.push((port, Happening::Change(PortChange::Opened { local: Some(local), peer: None })));
        Ok(())
    }

    fn bind(&mut self, port: PortId, address: SocketAddr) -> io::Result<()> {
        let (socket, udp) = Udp::bind(address)?;
        let local = socket.local_addr()?;
        let mut socket = UdpSocket::from_std(socket);
        self.poll.registry().register(&mut socket, Token(port.index()), BOTH)?;
        self.put(port, Port::Bound(socket, udp));
        self.news.push((port, Happening::Change(PortChange::Opened { local: Some(local), peer: None })));
        Ok(())
    }

    fn open_host(&mut self, port: PortId, name: &str) -> io::Result<()> {
        if let Some(mut stream) = self.provided.remove(name) {
            self.poll.registry().register(&mut *stream, Token(port.index()), BOTH)?;
            self.put(port, Port::Provided(stream));
            self.news.push((port, Happening::Change(PortChange::Opened { local: None, peer: None })));
            return Ok(());
        }
        let nudge = Arc::new(Nudge { remote: Arc::clone(&self.remote), port });
        let end = Exchange::of_process().open(name, nudge.clone().into());
        self.put(port, Port::Pipe { end, opened: false });
        nudge.wake();
        Ok(())
    }

    fn list_addresses(&mut self, port: PortId) -> io::Result<()> {
        let list = self.addresses.open(port)?;
        self.next_look.get_or_insert_with(|| Instant::now() + PERIOD);
        self.put(port, Port::Addresses);
        let changes = [PortChange::Opened { local: None, peer: None }, PortChange::Addresses(list)];
        self.news.extend(changes.map(|change| (port, Happening::Change(change))));
        Ok(())
    }

    fn look_at_addresses(&mut self) {
        let Some(at) = self.next_look else { return };
        let now = Instant::now();
        if now < at {
            return;
        }
        self.next_look = Some(now + PERIOD);
        let Some((list, ports)) = self.addresses.look() else { return };
        let news = |port| (port, Happening::Change(PortChange::Addresses(list.clone())));
        self.news.extend(ports.into_iter().map(news));
    }

    fn put(&mut self, port: PortId, state: Port) {
        let index = port.index();
        if index >= self.by_index.len() {
            self.by_index.resize(index + 1, None);
        }
        self.by_index[index] = Some(port);
        self.ports.insert(port, state);
    }

    fn take(&mut self, port: PortId) -> Option<Port> {
        let state = self.ports.remove(port)?;
        self.by_index[port.index()] = None;
        Some(state)
    }
}

impl Sockets for MioSockets {
    fn open(&mut self, port: PortId, spec: PortSpec) -> Result<(), PortError> {
        match spec {
            PortSpec::Dial(address) => self.dial(port, address),
            PortSpec::Listen(address) => self.listen(port, address),
            PortSpec::Host(name) => self.open_host(port, &name),
            PortSpec::Bind(address) => self.bind(port, address),
            PortSpec::Addresses => self.list_addresses(port),
        }
        .map_err(|error| port_error(&error))
    }

    fn resolve(&mut self, port: PortId, name: Name) -> Result<(), PortError> {
        if let Ok(literal) = name.parse::<IpAddr>() {
            self.put(port, Port::Question);
            let answer = PortChange::Resolved(Addrs::from_iter([literal]));
            self.news.push((port, Happening::Change(answer)));
            return Ok(());
        }
        let resolver = match &self.resolver {
            Some(resolver) => resolver,
            None => self.resolver.insert(Resolver::start(&self.remote).map_err(|_| PortError::Exhausted)?),
        };
        resolver.ask(port, name)?;
        self.put(port, Port::Question);
        Ok(())
    }

    fn accept(&mut self, listener: PortId, port: PortId) -> io::Result<SocketAddr> {
        let Some(Port::Listener(socket)) = self.ports.get(listener) else { return Err(not_connected()) };
        let (mut stream, peer) = socket.accept()?;
        set_nodelay(&stream);
        self.poll.registry().register(&mut stream, Token(port.index()), BOTH)?;
        self.put(port, Port::Tcp { stream, opened: true });
        Ok(peer)
    }

    fn try_send(&mut self, port: PortId, bytes: &[u8]) -> io::Result<usize> {
        match self.ports.get_mut(port) {
            Some(Port::Tcp { stream, .. }) => stream.write(bytes),
            Some(Port::Provided(stream)) => stream.write(bytes),
            Some(Port::Pipe { end, .. }) => end.try_send(bytes),
            _ => Err(not_connected()),
        }
    }

    fn try_recv(&mut self, port: PortId, buf: &mut [u8]) -> io::Result<usize> {
        match self.ports.get_mut(port) {
            Some(Port::Tcp { stream, .. }) => stream.read(buf),
            Some(Port::Provided(stream)) => stream.read(buf),
            Some(Port::Pipe { end, .. }) => end.try_recv(buf),
            Some(Port::Ended) => Ok(0),
            _ => Err(not_connected()),
        }
    }

    fn try_send_datagrams(&mut self, port: PortId, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        let Some(Port::Bound(socket, udp)) = self.ports.get_mut(port) else { return Err(not_connected()) };
        socket.try_io(|| udp.send(socket, transmit, bytes))
    }

    fn try_recv_datagrams(&mut self, port: PortId, buf: &mut [u8], received: &mut Vec<Received>) -> io::Result<()> {
        let Some(Port::Bound(socket, udp)) = self.ports.get(port) else { return Err(not_connected()) };
        socket.try_io(|| udp.receive(socket, buf, received))
    }

    fn finish(&mut self, port: PortId) -> io::Result<()> {
        match self.ports.get_mut(port) {
            Some(Port::Tcp { stream, .. }) => stream.shutdown(Shutdown::Write),
            Some(Port::Pipe { end, .. }) => {
                end.finish();
                Ok(())
            }
            Some(Port::Provided(stream)) => {
                let flushed = stream.flush();
                self.close(port, false);
                self.put(port, Port::Ended);
                let ended = Readiness { readable: true, writable: false, read_closed: true };
                self.news.push((port, Happening::Ready(ended)));
                flushed
            }
            _ => Err(not_connected()),
        }
    }

    fn close(&mut self, port: PortId, abort: bool) {
        self.news.retain(|(named, _)| *named != port);
        match self.take(port) {
            Some(Port::Tcp { stream, .. }) if abort => _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
            Some(Port::Pipe { end, .. }) if !abort => end.finish(),
            Some(Port::Provided(mut stream)) => _ = self.poll.registry().deregister(&mut *stream),
            Some(Port::Addresses) => {
                self.addresses.close(port);
                self.next_look = self.next_look.filter(|_| self.addresses.is_wanted());
            }
            Some(Port::Question) => self.resolver.iter().for_each(|resolver| resolver.cancel(port)),
            _ => {}
        }
    }

    fn short_read_is_empty(&self) -> bool {
        cfg!(any(target_os = "linux", target_os = "android"))
    }

    fn datagram_chunk(&self) -> usize {
        udp::CHUNK
    }
}

fn dialled(stream: &TcpStream) -> io::Result<PortChange> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    let peer = stream.peer_addr()?;
    set_nodelay(stream);
    Ok(PortChange::Opened { local: Some(stream.local_addr()?), peer: Some(peer) })
}

/// Some systems refuse it once the peer has reset the connection, which the next read tells better.
fn set_nodelay(stream: &TcpStream) {
    _ = stream.set_nodelay(true);
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // On Windows this would let another program take the address over.
    socket.set_reuse_address(cfg!(not(windows)))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn port_error(error: &io::Error) -> PortError {
    /// ENFILE and EMFILE on every Unix; the standard library has no kind for them.
    const NO_DESCRIPTORS: [i32; 2] = [23, 24];
    match error.raw_os_error() {
        Some(code) if cfg!(unix) && NO_DESCRIPTORS.contains(&code) => PortError::Exhausted,
        _ => error.kind().into(),
    }
}

fn not_connected() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

#[cfg(test)]
mod tests {
    use switchboard::machine::ids::Ids;

    use super::*;

    #[test]
    fn a_change_of_addresses_is_told_while_somebody_listens_and_nothing_is_read_afterwards() {
        let mut readings = 0;
        let mut sockets = MioSockets::new().unwrap();
        sockets.addresses = Addresses::read_by(move || {
            readings += 1;
            assert!(readings < 3, "nobody wants to know");
            Ok(Addrs::from_iter([IpAddr::from([10, 0, 0, readings])]))
        });
        let port = Ids::new().port();
        sockets.open(port, PortSpec::Addresses).unwrap();
        let (mut news, asked) = (Vec::new(), Instant::now());
        while news.len() < 3 {
            sockets.poll(None, &mut news).unwrap();
        }
        assert!(asked.elapsed() >= PERIOD, "{:?}", asked.elapsed());
        let list =
            |n| (port, Happening::Change(PortChange::Addresses(Addrs::from_iter([IpAddr::from([10, 0, 0, n])]))));
        assert_eq!(news[1..], [list(1), list(2)]);
        sockets.close(port, true);
        sockets.poll(Some(PERIOD * 2), &mut news).unwrap();
        assert_eq!(news.len(), 3);
    }
}
