//! Sockets on tokio's reactor, by readiness.
//!
//! Each port has one waker, which lists the port and wakes the task. All input and output goes through tokio's
//! `poll_*` functions with that waker, so whatever says `WouldBlock` has registered it in the same step, and no
//! edge is lost in between. A waker does not say which direction woke; trying the other one costs no system
//! call, as tokio remembers that it was not ready.
//!
//! For the same reason short reads are not reported as empty: tokio notes a short read where that proves
//! something (epoll, kqueue, and not once the end of the stream is known), so the second try ends in tokio's
//! bookkeeping, and everywhere else it is needed.
//!
//! Dials and look-ups are futures that live in their port, polled when their waker fires and dropped with it.
//! Only a look-up that has begun goes on in tokio's blocking pool until the system answers.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::SockRef;
use switchboard::machine::conformance::Happening;
use switchboard::machine::datagram::{Received, Transmit};
use switchboard::machine::ids::{PortId, Table};
use switchboard::machine::pipe::{Exchange, PipeEnd};
use switchboard::machine::port::{Addrs, Name, PortChange, PortError, PortSpec};
use switchboard::machine::pump::{Readiness, Sockets};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::time::{Instant, Interval, interval_at};

use crate::addresses::{Addresses, PERIOD};
use crate::udp::{self, Udp};
use crate::wakeups::Wakeups;

/// Connections that the system completes before they are accepted.
const BACKLOG: u32 = 1024;
/// Look-ups in progress at once; one more fails as [`PortError::Exhausted`].
const LOOKUPS: usize = 64;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Begun<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// TCP, UDP, name look-ups, handed-over streams and in-process pipes; used inside a runtime with I/O enabled.
#[derive(Default)]
pub struct TokioSockets {
    sockets: Table<PortId, Socket>,
    wakeups: Arc<Wakeups>,
    provided: Vec<(String, Box<dyn Stream>)>,
    lingering: Vec<(PortId, Socket)>,
    lookups: Arc<()>,
    addresses: Addresses,
    /// None while nobody wants to know.
    looks: Option<Interval>,
    news: VecDeque<(PortId, Happening)>,
}

struct Socket {
    kind: Kind,
    opened: bool,
    owes: Owes,
    waker: Waker,
}

enum Kind {
    Lookup(Begun<Addrs>),
    Dial(Begun<TcpStream>),
    Listener(TcpListener),
    Tcp(TcpStream),
    Bound(UdpSocket, Udp),
    Host(Box<dyn Stream>),
    Pipe(PipeEnd),
}

/// What a stream has taken and not passed on yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owes {
    Nothing,
    Flush,
    Shutdown,
}

impl TokioSockets {
    /// No sockets yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a stream for the first port that is opened as [`PortSpec::Host`] of that name.
    pub fn provide(&mut self, name: &str, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        self.provided.push((name.to_owned(), Box::new(stream)));
    }

    /// The next thing that happened to a port, for the pump to be told; `cx` is woken by whatever comes next.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(PortId, Happening)> {
        self.look_at_addresses(cx);
        if let Some(news) = self.news.pop_front() {
            return Poll::Ready(news);
        }
        while let Poll::Ready(port) = self.wakeups.poll_pop(cx) {
            if let Poll::Ready(happening) = self.look(port) {
                return Poll::Ready((port, happening));
            }
        }
        Poll::Pending
    }

    pub(crate) fn wakeups(&self) -> Arc<Wakeups> {
        self.wakeups.clone()
    }

    fn look(&mut self, port: PortId) -> Poll<Happening> {
        let Some(socket) = self.sockets.get_mut(port) else {
            self.lingering.retain_mut(|(owner, socket)| *owner != port || socket.poll_owed().is_pending());
            return Poll::Pending;
        };
        if socket.opened {
            return Poll::Ready(match socket.poll_owed() {
                Poll::Ready(Err(error)) => Happening::Change(PortChange::Failed(error.into())),
                _ => Happening::Ready(Readiness { readable: true, writable: true, read_closed: false }),
            });
        }
        let change = ready!(socket.poll_open());
        socket.opened = true;
        match change {
            PortChange::Opened { .. } => self.wakeups.push(port),
            _ => _ = self.sockets.remove(port),
        }
        Poll::Ready(Happening::Change(change))
    }

    fn list_addresses(&mut self, port: PortId) -> io::Result<()> {
        let list = self.addresses.open(port)?;
        self.looks.get_or_insert_with(|| interval_at(Instant::now() + PERIOD, PERIOD));
        let changes = [PortChange::Opened { local: None, peer: None }, PortChange::Addresses(list)];
        self.news.extend(changes.map(|change| (port, Happening::Change(change))));
        self.wakeups.wake();
        Ok(())
    }

    fn look_at_addresses(&mut self, cx: &mut Context<'_>) {
        let Some(looks) = &mut self.looks else { return };
        while looks.poll_tick(cx).is_ready() {
            // Time that was paused or slept away is one look, not many.
            looks.reset();
            let Some((list, ports)) = self.addresses.look() else { continue };
            let news = |port| (port, Happening::Change(PortChange::Addresses(list.clone())));
            self.news.extend(ports.into_iter().map(news));
        }
    }

    fn close_list(&mut self, port: PortId) {
        if self.addresses.close(port) {
            self.news.retain(|(named, _)| *named != port);
            self.looks.take_if(|_| !self.addresses.is_wanted());
        }
    }

    fn insert(&mut self, port: PortId, kind: Kind, opened: bool) {
        let waker = self.wakeups.waker(port);
        self.sockets.insert(port, Socket { kind, opened, owes: Owes::Nothing, waker });
        self.wakeups.push(port);
    }

    fn host(&mut self, port: PortId, name: &str) -> Kind {
        match self.provided.iter().position(|(provided, _)| provided == name) {
            Some(index) => Kind::Host(self.provided.remove(index).1),
            None => Kind::Pipe(Exchange::of_process().open(name, self.wakeups.waker(port))),
        }
    }

    fn socket(&mut self, port: PortId) -> io::Result<&mut Socket> {
        self.sockets.get_mut(port).ok_or_else(not_connected)
    }
}

impl Sockets for TokioSockets {
    fn open(&mut self, port: PortId, spec: PortSpec) -> Result<(), PortError> {
        let kind = match spec {
            PortSpec::Dial(addr) => Kind::Dial(Box::pin(dial(addr))),
            PortSpec::Listen(addr) => Kind::Listener(listen(addr)?),
            PortSpec::Host(name) => self.host(port, &name),
            PortSpec::Bind(addr) => bind(addr)?,
            PortSpec::Addresses => return Ok(self.list_addresses(port)?),
        };
        self.insert(port, kind, false);
        Ok(())
    }

    fn resolve(&mut self, port: PortId, name: Name) -> Result<(), PortError> {
        if Arc::strong_count(&self.lookups) > LOOKUPS {
            return Err(PortError::Exhausted);
        }
        let lookup = self.lookups.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = look_up(&name);
            drop(lookup);
            answer
        });
        self.insert(port, Kind::Lookup(Box::pin(async { answer.await? })), false);
        Ok(())
    }

    fn accept(&mut self, listener: PortId, port: PortId) -> io::Result<SocketAddr> {
        let socket = self.socket(listener)?;
        let Kind::Listener(listener) = &socket.kind else { return Err(io::ErrorKind::InvalidInput.into()) };
        let accepted = listener.poll_accept(&mut Context::from_waker(&socket.waker));
        let (stream, peer) = or_would_block(accepted)?;
        _ = stream.set_nodelay(true);
        self.insert(port, Kind::Tcp(stream), true);
        Ok(peer)
    }

    fn try_send(&mut self, port: PortId, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(self.socket(port)?.poll_send(bytes))
    }

    fn try_recv(&mut self, port: PortId, buf: &mut [u8]) -> io::Result<usize> {
        or_would_block(self.socket(port)?.poll_recv(buf))
    }

    fn try_send_datagrams(&mut self, port: PortId, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        or_would_block(self.socket(port)?.poll_send_datagrams(transmit, bytes))
    }

    fn try_recv_datagrams(&mut self, port: PortId, buf: &mut [u8], received: &mut Vec<Received>) -> io::Result<()> {
        or_would_block(self.socket(port)?.poll_recv_datagrams(buf, received))
    }

    fn finish(&mut self, port: PortId) -> io::Result<()> {
        let socket = self.socket(port)?;
        socket.owes = Owes::Shutdown;
        match socket.poll_owed() {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    fn close(&mut self, port: PortId, abort: bool) {
        let Some(socket) = self.sockets.remove(port) else { return self.close_list(port) };
        match &socket.kind {
            Kind::Tcp(stream) if abort => _ = SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            _ if !abort && socket.owes != Owes::Nothing => self.lingering.push((port, socket)),
            _ => {}
        }
    }

    fn short_read_is_empty(&self) -> bool {
        false
    }

    fn datagram_chunk(&self) -> usize {
        udp::CHUNK
    }
}

impl Socket {
    fn poll_open(&mut self) -> Poll<PortChange> {
        let mut cx = Context::from_waker(&self.waker);
        if let Kind::Dial(dial) = &mut self.kind {
            match ready!(dial.as_mut().poll(&mut cx)) {
                Ok(stream) => self.kind = Kind::Tcp(stream),
                Err(error) => return Poll::Ready(PortChange::Failed(error.into())),
            }
        }
        let (local, peer) = match &mut self.kind {
            Kind::Lookup(answer) => return answer.as_mut().poll(&mut cx).map(answered),
            Kind::Pipe(end) if !end.is_joined() => return Poll::Pending,
            Kind::Listener(listener) => (listener.local_addr().ok(), None),
            Kind::Tcp(stream) => (stream.local_addr().ok(), stream.peer_addr().ok()),
            Kind::Bound(socket, _) => (socket.local_addr().ok(), None),
            Kind::Dial(_) | Kind::Host(_) | Kind::Pipe(_) => (None, None),
        };
        Poll::Ready(PortChange::Opened { local, peer })
    }

    fn poll_recv(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        if let Kind::Pipe(end) = &self.kind {
            return Poll::Ready(end.try_recv(buf.initialize_unfilled()));
        }
        let (stream, mut cx) = self.stream()?;
        ready!(stream.poll_read(&mut cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_send(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Kind::Pipe(end) = &self.kind {
            return Poll::Ready(end.try_send(bytes));
        }
        let (stream, mut cx) = self.stream()?;
        let sent = ready!(stream.poll_write(&mut cx, bytes))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.owes = Owes::Flush;
        match self.poll_owed() {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(sent)),
        }
    }

    fn poll_send_datagrams(&mut self, transmit: &Transmit, bytes: &[u8]) -> Poll<io::Result<()>> {
        let mut cx = Context::from_waker(&self.waker);
        let Kind::Bound(socket, udp) = &mut self.kind else { return Poll::Ready(Err(not_connected())) };
        loop {
            ready!(socket.poll_send_ready(&mut cx))?;
            match socket.try_io(Interest::WRITABLE, || udp.send(socket, transmit, bytes)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_recv_datagrams(&mut self, buf: &mut [u8], received: &mut Vec<Received>) -> Poll<io::Result<()>> {
        let mut cx = Context::from_waker(&self.waker);
        let Kind::Bound(socket, udp) = &self.kind else { return Poll::Ready(Err(not_connected())) };
        loop {
            ready!(socket.poll_recv_ready(&mut cx))?;
            match socket.try_io(Interest::READABLE, || udp.receive(socket, buf, received)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_owed(&mut self) -> Poll<io::Result<()>> {
        if let (Kind::Pipe(end), Owes::Shutdown) = (&self.kind, self.owes) {
            end.finish();
            self.owes = Owes::Nothing;
        }
        let owes = self.owes;
        let result = match owes {
            Owes::Nothing => return Poll::Ready(Ok(())),
            Owes::Flush => self.stream().map(|(stream, mut cx)| stream.poll_flush(&mut cx)),
            Owes::Shutdown => self.stream().map(|(stream, mut cx)| stream.poll_shutdown(&mut cx)),
        };
        let result = ready!(result?);
        self.owes = Owes::Nothing;
        Poll::Ready(result)
    }

    fn stream(&mut self) -> io::Result<(Pin<&mut dyn Stream>, Context<'_>)> {
        let stream: &mut dyn Stream = match &mut self.kind {
            Kind::Tcp(stream) => stream,
            Kind::Host(stream) => &mut **stream,
            _ => return Err(not_connected()),
        };
        Ok((Pin::new(stream), Context::from_waker(&self.waker)))
    }
}

async fn dial(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Windows the option means something else: it lets others take the address over.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

fn bind(addr: SocketAddr) -> io::Result<Kind> {
    let (socket, udp) = Udp::bind(addr)?;
    Ok(Kind::Bound(UdpSocket::from_std(socket)?, udp))
}

fn look_up(name: &str) -> io::Result<Addrs> {
    let mut addrs = Addrs::new();
    for ip in (name, 0).to_socket_addrs()?.map(|addr: SocketAddr| -> IpAddr { addr.ip() }) {
        if !addrs.contains(&ip) {
            addrs.push(ip);
        }
    }
    Ok(addrs)
}

fn answered(answer: io::Result<Addrs>) -> PortChange {
    match answer {
        Ok(addrs) if !addrs.is_empty() => PortChange::Resolved(addrs),
        _ => PortChange::Failed(PortError::NameNotFound),
    }
}

fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn not_connected() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use switchboard::machine::ids::Ids;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_of_addresses_is_told_while_somebody_listens_and_nothing_is_read_afterwards() {
        let mut readings = 0;
        let mut sockets = TokioSockets::new();
        sockets.addresses = Addresses::read_by(move || {
            readings += 1;
            assert!(readings < 3, "nobody wants to know");
            Ok(Addrs::from_iter([IpAddr::from([10, 0, 0, readings])]))
        });
        let port = Ids::new().port();
        sockets.open(port, PortSpec::Addresses).unwrap();
        let (mut news, asked) = (Vec::new(), Instant::now());
        while news.len() < 3 {
            news.push(poll_fn(|cx| sockets.poll(cx)).await);
        }
        assert!((PERIOD..PERIOD * 2).contains(&asked.elapsed()), "{:?}", asked.elapsed());
        let list =
            |n| (port, Happening::Change(PortChange::Addresses(Addrs::from_iter([IpAddr::from([10, 0, 0, n])]))));
        assert_eq!(news[1..], [list(1), list(2)]);
        sockets.close(port, true);
        assert!(tokio::time::timeout(PERIOD * 10, poll_fn(|cx| sockets.poll(cx))).await.is_err());
    }
}
