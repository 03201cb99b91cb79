//! The core's conformance suite on tokio's sockets.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use switchboard::machine::conformance::{Happening, Harness, run_all};
use switchboard::machine::ids::PortId;
use switchboard_tokio::TokioSockets;
use tokio::runtime::{Builder, Runtime};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn tokio_sockets_do_what_a_pump_expects() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    if let Err(failures) = run_all(|| Tokio { runtime: &runtime, sockets: TokioSockets::new(), silent: None }) {
        panic!("{failures}");
    }
}

struct Tokio<'r> {
    runtime: &'r Runtime,
    sockets: TokioSockets,
    silent: Option<Silent>,
}

/// A listener whose queue is full, so that the system answers no further dial.
struct Silent {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Harness for Tokio<'_> {
    type Sockets = TokioSockets;

    fn sockets(&mut self) -> &mut TokioSockets {
        &mut self.sockets
    }

    fn wait(&mut self, max: Duration) -> Vec<(PortId, Happening)> {
        let mut all = Vec::new();
        if max.is_zero() {
            // The reactor looks once. A timer of tokio's takes a millisecond at least, and there are many such looks.
            self.runtime.block_on(tokio::task::yield_now());
        } else {
            let first = poll_fn(|cx| self.sockets.poll(cx));
            all.extend(self.runtime.block_on(async { tokio::time::timeout(max, first).await.ok() }));
        }
        while let Poll::Ready(next) = self.sockets.poll(&mut Context::from_waker(Waker::noop())) {
            all.push(next);
        }
        all
    }

    fn host(&self) -> IpAddr {
        HOST
    }

    fn host_v6(&self) -> Option<IpAddr> {
        let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
        UdpSocket::bind((loopback, 0)).is_ok().then_some(loopback)
    }

    fn carries_ecn(&self) -> bool {
        cfg!(target_os = "linux")
    }

    fn silent(&mut self) -> SocketAddr {
        self.silent.get_or_insert_with(Silent::new).listener.local_addr().unwrap()
    }

    fn names(&self) -> (String, String) {
        // An empty label is refused before anybody is asked.
        ("localhost".into(), "no..name".into())
    }

    fn crowd(&self) -> usize {
        // Two descriptors each, and some for everything else.
        1000.min(descriptors().saturating_sub(100) / 2)
    }
}

impl Silent {
    fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(HOST, 0).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queue.push(stream);
            assert!(queue.len() < 64, "the queue of a listener with backlog 0 never fills");
        }
        Self { listener, _queue: queue }
    }
}

fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(usize::MAX)
}
