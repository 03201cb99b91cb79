//! The core's conformance suite on mio's sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use switchboard::machine::conformance::{Happening, Harness, run_all};
use switchboard::machine::ids::PortId;
use switchboard_mio::MioSockets;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn mio_sockets_do_what_a_pump_expects() {
    if let Err(failures) = run_all(Mio::new) {
        panic!("{failures}");
    }
}

struct Mio {
    sockets: MioSockets,
    silent: Option<Silent>,
}

/// A listener whose queue is full, so that the system answers no further dial.
struct Silent {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Mio {
    fn new() -> Self {
        Self { sockets: MioSockets::new().unwrap(), silent: None }
    }
}

impl Harness for Mio {
    type Sockets = MioSockets;

    fn sockets(&mut self) -> &mut MioSockets {
        &mut self.sockets
    }

    fn wait(&mut self, max: Duration) -> Vec<(PortId, Happening)> {
        let mut news = Vec::new();
        self.sockets.poll(Some(max), &mut news).unwrap();
        news
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
