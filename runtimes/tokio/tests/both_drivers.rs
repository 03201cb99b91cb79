//! One scenario, played by both drivers over the system's sockets, also with each other.

#[path = "both_drivers/datagrams.rs"]
mod datagrams;
#[path = "both_drivers/end.rs"]
mod end;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use end::{End, Mio, Tokio};
use switchboard::connect::{AnyTransport, Options, Registry};
use switchboard::link::tls;
use switchboard::machine::ids::LinkId;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::transport::alone::{Alone, AloneEvent, Message, SendError};
use switchboard::transport::{DownReason, TransportEvent};

type Node = Alone<AnyTransport>;

/// Messages each way.
const COUNT: usize = 400;
/// Far more than any of these exchanges takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one end saw.
#[derive(Debug, Default)]
struct Report {
    received: Vec<Message>,
    blocked: usize,
    downs: Vec<DownReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Closes,
    IsClosed,
}

macro_rules! scenarios {
    ($($name:ident: $server:ident, $client:ident;)*) => {$(
        #[test]
        fn $name() {
            for kind in ["tcp", "tls", "ws", "wss"] {
                listen_and_dial::<$server<Node>, $client<Node>>(kind);
            }
            pair::<$server<Node>, $client<Node>>(stringify!($name));
        }
    )*};
}

scenarios! {
    tokio_talks_to_tokio: Tokio, Tokio;
    mio_talks_to_mio: Mio, Mio;
    a_tokio_server_talks_to_a_mio_client: Tokio, Mio;
    a_mio_server_talks_to_a_tokio_client: Mio, Tokio;
}

fn listen_and_dial<Server: End<Node>, Client: End<Node>>(kind: &str) {
    let options = options();
    let (tell, address) = channel();
    let string = |address: SocketAddr| match kind {
        "ws" | "wss" => format!("{kind}://{address}/"),
        _ => format!("{kind}:{address}"),
    };
    let listening = Registry::new().listen(&string(([127, 0, 0, 1], 0).into()), &options).unwrap();
    let server = play::<Server>(Alone::new(listening, tight()), Role::IsClosed, Some(tell));
    let address = address.recv_timeout(PATIENCE).expect("a listener");
    let dialling = Registry::new().dial(&string(address), &options).unwrap();
    let client = play::<Client>(Alone::new(dialling, tight()), Role::Closes, None);
    judge(kind, &server, &client);
}

fn pair<Server: End<Node>, Client: End<Node>>(name: &str) {
    let node = || Alone::new(Registry::new().dial(&format!("pair:{name}"), &options()).unwrap(), tight());
    let server = play::<Server>(node(), Role::IsClosed, None);
    let client = play::<Client>(node(), Role::Closes, None);
    judge("pair", &server, &client);
}

/// Nothing was lost, repeated, reordered or changed, and both sides were stopped by their limits on the way.
fn judge(kind: &str, server: &Receiver<Report>, client: &Receiver<Report>) {
    let [server, client] = [server, client].map(|report| {
        report.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{kind}: an end has no end: {error}"))
    });
    for (from, report) in [(Role::Closes, &server), (Role::IsClosed, &client)] {
        let numbers: Vec<_> = (0..COUNT).collect();
        let came: Vec<_> = report.received.iter().map(number).collect();
        assert_eq!(came, numbers, "{kind}: what {from:?} sent");
        for (n, message) in report.received.iter().enumerate() {
            assert!((message.kind, &message.bytes) == (kind_of(n), &bytes(n, from)), "{kind}: message {n} was changed");
        }
        assert!(report.blocked > 0, "{kind}: no limit was met");
    }
    assert_eq!(client.downs, [DownReason::Requested], "{kind}");
    assert!(matches!(server.downs[..], [DownReason::Closed(_)]), "{kind}: {:?}", server.downs);
}

/// Plays one end on a thread of its own.
fn play<E: End<Node>>(node: Node, role: Role, tell: Option<Sender<SocketAddr>>) -> Receiver<Report> {
    let (done, report) = channel();
    std::thread::spawn(move || {
        let mut end = E::start(node);
        end.act(|node, cx| node.start(cx));
        _ = done.send(exchange(&mut end, role, tell));
    });
    report
}

/// Sends all, receives all; then one side closes, and both stop.
fn exchange(end: &mut impl End<Node>, role: Role, tell: Option<Sender<SocketAddr>>) -> Report {
    let (mut report, mut sent, mut link) = (Report::default(), 0, None);
    let mut closing = false;
    loop {
        match end.next(PATIENCE) {
            AloneEvent::Transport(TransportEvent::Listening(address)) => {
                tell.iter().for_each(|tell| tell.send(address).expect("the test waits"));
            }
            AloneEvent::Transport(TransportEvent::Up(up, _)) => link = Some(up),
            AloneEvent::Transport(TransportEvent::Down(_, reason)) => {
                report.downs.push(reason);
                end.act(|node, cx| node.stop(cx));
            }
            AloneEvent::Transport(TransportEvent::Stopped) => return report,
            AloneEvent::Transport(TransportEvent::Refused(_, reason)) => panic!("{reason}"),
            _ => {}
        }
        while let Some(message) = end.act(|node, cx| node.recv(cx)) {
            report.received.push(message);
        }
        let Some(link) = link else { continue };
        sent = send(end, role, link, sent, &mut report.blocked);
        if role == Role::Closes && !closing && sent == COUNT && report.received.len() == COUNT {
            closing = true;
            end.act(|node, cx| node.close(cx, link));
        }
    }
}

fn send(end: &mut impl End<Node>, role: Role, link: LinkId, mut sent: usize, blocked: &mut usize) -> usize {
    while sent < COUNT {
        match end.act(|node, cx| node.send(cx, link, kind_of(sent), &bytes(sent, role))) {
            Ok(()) => sent += 1,
            Err(SendError::Blocked) => {
                *blocked += 1;
                break;
            }
            Err(error) => panic!("message {sent}: {error}"),
        }
    }
    sent
}

const fn kind_of(n: usize) -> Kind {
    if n.is_multiple_of(3) { Kind::Text } else { Kind::Binary }
}

/// Four digits, then a letter as often as the size wants it.
fn bytes(n: usize, from: Role) -> Vec<u8> {
    let sizes = [0, 1, 121, 122, 1000, 1456, 16_380, 16_384, 65_531, 65_536, 100_000];
    let letter = if from == Role::Closes { b'c' } else { b's' };
    let mut bytes = format!("{n:04}").into_bytes();
    bytes.resize(4 + sizes[n % sizes.len()], letter);
    bytes
}

fn number(message: &Message) -> usize {
    std::str::from_utf8(&message.bytes[..4]).expect("digits").parse().expect("a number")
}

fn tight() -> Limits {
    Limits { lane: 1000, inbox: 2000, ..Limits::default() }
}

/// A certificate for the loopback address and whoever trusts it.
fn options() -> Options {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let der = certificate.der().to_vec();
    let identity = tls::Identity::from_der(vec![der.clone()], key.serialize_der()).unwrap();
    Options {
        limits: tight(),
        trust: Some(tls::ClientConfig::new([der]).unwrap()),
        identity: Some(tls::ServerConfig::new(&identity).unwrap()),
        ..Options::default()
    }
}
