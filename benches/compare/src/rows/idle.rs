//! `ws-idle-10k`: what 10,000 idle links cost in memory, and what they add to another link's wake-up.
//!
//! The clients are this process, blocking and one after the other. After the idle links have been measured, each
//! sends and receives one message of 32 KiB, many at a time, and they are measured again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::child::Actor;
use crate::plan::{Better, Comparison, Plan, median_pair};
use crate::websocket;

const LINKS: usize = 10_000;
const FEW: usize = 10;
/// Links that have a large message under way at once.
const BATCH: usize = 1000;
const LARGE: usize = 32 * 1024;
/// Round trips of one slice of wake-ups.
const WAKE_UPS: usize = 2000;
/// Goals in MB.
const SCHEMES: [(&str, f64); 2] = [("ws", 40.0), ("wss", 100.0)];

trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

pub fn run(plan: &Plan) {
    for role in ["mio", "tokio"] {
        for (scheme, goal) in SCHEMES {
            if plan.wants_some(&format!("ws-idle-10k/{role}-{scheme}-")) {
                memory(plan, role, scheme, goal);
            }
        }
        let name = format!("ws-idle-10k/{role}-wake-up");
        if plan.wants(&name) {
            wake_up(plan, role, name);
        }
    }
}

fn memory(plan: &Plan, role: &str, scheme: &str, goal: f64) {
    let mut server = Server::start(role, scheme, LINKS);
    let idle = server.settled();
    let name = format!("ws-idle-10k/{role}-{scheme}-idle");
    plan.report(&Comparison::with_goal(name, idle, goal, "MB"));
    server.exchange();
    let used = server.settled();
    let name = format!("ws-idle-10k/{role}-{scheme}-after-32KiB");
    plan.report(&Comparison::with_goal(name, used, goal, "MB"));
}

fn wake_up(plan: &Plan, role: &str, name: String) {
    let (mut few, mut many) = (Server::start(role, "ws", FEW), Server::start(role, "ws", LINKS));
    let (mut with_few, mut with_many) = (Vec::new(), Vec::new());
    for _ in 0..plan.slices {
        with_many.push(many.wake_up());
        with_few.push(few.wake_up());
    }
    let (ours, baseline) = median_pair(&with_many, &with_few);
    plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "us", goal: Some(1.1) });
}

struct Server {
    actor: Actor,
    links: Vec<Box<dyn Wire>>,
}

impl Server {
    fn start(role: &str, scheme: &str, links: usize) -> Self {
        let (actor, said) = Actor::start(role, &[scheme]);
        let (address, certificate) = said.split_once(' ').unwrap_or((&said, ""));
        let tls = (scheme == "wss").then(|| trusting(certificate));
        let links = (0..links).map(|_| link(address, tls.as_ref())).collect();
        Self { actor, links }
    }

    /// Resident memory in MB once nothing more happens.
    fn settled(&self) -> f64 {
        std::thread::sleep(Duration::from_millis(300));
        self.actor.resident() / 1e6
    }

    /// One large message each way on every link; partners are neighbours.
    fn exchange(&mut self) {
        let payload = websocket::payload(LARGE);
        let (masked, bare) = (websocket::masked(&payload), websocket::bare(&payload));
        let mut received = vec![0; bare.len()];
        for batch in self.links.chunks_mut(BATCH) {
            for link in &mut *batch {
                link.write_all(&masked).and_then(|()| link.flush()).expect("a forwarder takes what is sent");
            }
            for link in &mut *batch {
                link.read_exact(&mut received).expect("what is forwarded can be received");
                assert!(received == bare, "a message has changed under way");
            }
        }
    }

    /// CPU time in microseconds of one small message between two links that are otherwise idle.
    fn wake_up(&mut self) -> f64 {
        let payload = websocket::payload(64);
        let (masked, bare) = (websocket::masked(&payload), websocket::bare(&payload));
        let mut received = vec![0; bare.len()];
        let [from, to, ..] = &mut self.links[..] else { panic!("there are two links") };
        let before = self.actor.cpu();
        for _ in 0..WAKE_UPS {
            from.write_all(&masked).expect("a forwarder takes what is sent");
            to.read_exact(&mut received).expect("what is forwarded can be received");
        }
        (self.actor.cpu() - before).as_secs_f64() * 1e6 / WAKE_UPS as f64
    }
}

fn link(address: &str, tls: Option<&Arc<ClientConfig>>) -> Box<dyn Wire> {
    let stream = TcpStream::connect(address).expect("a forwarder accepts");
    stream.set_nodelay(true).expect("a socket has this option");
    let mut link: Box<dyn Wire> = match tls {
        None => Box::new(stream),
        Some(config) => {
            let name = ServerName::try_from("localhost").expect("it is a name");
            let connection = ClientConnection::new(Arc::clone(config), name).expect("a client starts");
            Box::new(StreamOwned::new(connection, stream))
        }
    };
    websocket::upgrade(&mut link);
    link
}

fn trusting(certificate: &str) -> Arc<ClientConfig> {
    let digits = certificate.as_bytes().chunks(2);
    let byte = |digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap_or_default(), 16);
    let der: Vec<u8> = digits.map(byte).collect::<Result<_, _>>().expect("a forwarder says its certificate");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(der)).expect("it is a certificate");
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}
