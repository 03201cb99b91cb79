//! A listener, a friend with a healthy link to it, and a host that misbehaves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use switchboard::connect::Options;
use switchboard::link::http::UpgradeServer;
use switchboard::link::tls::TlsError;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::machine::time::Instant;
use switchboard::sim::{HostId, World};
use switchboard::transport::{DownReason, TransportEvent};
use switchboard::wire::websocket::{Header, Mask, Opcode};

use crate::common::{Node, PATIENCE, Peer, dialling, listening, options, string};
use crate::party::Party;
use crate::raw::{Connection, Raw, Wrap};

/// What crosses the simulator's sockets at once, at most.
pub(crate) const CHUNK: usize = 16 * 1024;
/// One connection: its places in tables, its protocol's state, its answer to a broken rule.
const CONNECTION: usize = 4 * 1024;
/// One connection's TLS: its state, and two records (RFC 8446, section 5.2). One is not whole yet, in a vector that
/// grows by doubling and stands beside its successor while it grows; one is decrypted.
const TLS: usize = 8 * 1024 + (3 + 2) * (16 * 1024 + 256 + 5);
/// What the friend's messages may hold at one moment, and what tables and queues keep of places once used.
const TRAFFIC: usize = 4 * 1024;
/// What TLS keeps for all connections: the memory that records are decrypted in, and what a server remembers of a
/// client that came through the handshake, for it to come again.
const KEPT: usize = 2 * 16 * 1024 + 8 * 1024;

/// How long the friend pauses between messages.
const BEAT: Duration = Duration::from_millis(100);
const MASK: Mask = Mask::from_bytes([0x37, 0xfa, 0x21, 0x3d]);

/// A request for a WebSocket that is in order.
pub(crate) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: server.test:7000\r\nUpgrade: websocket\r\n\
     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) struct Scene {
    pub(crate) world: World<Party>,
    pub(crate) server: Peer,
    pub(crate) friend: Peer,
    pub(crate) options: Options,
    pub(crate) kind: &'static str,
    raw: HostId,
    sent: u32,
    /// Bytes held before, by the server and by the friend.
    base: [i64; 2],
    /// Whether the friend is the one who meets the offender.
    dials: bool,
}

impl Scene {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self::with(kind, options())
    }

    pub(crate) fn with(kind: &'static str, options: Options) -> Self {
        let mut world = World::new(17);
        let server = Peer::start(&mut world, "server", Party::program());
        let friend = Peer::start(&mut world, "friend", Party::program());
        let wrap = match &options.identity {
            Some(identity) if matches!(kind, "tls" | "wss") => Wrap::Server(identity.clone()),
            _ => Wrap::Bare,
        };
        let raw = world.host("offender", Party::Raw(Raw::new(wrap)));
        world.name("server.test", &[server.host]);
        world.name("other.test", &[server.host]);
        let mut scene = Self { world, server, friend, options, kind, raw, sent: 0, base: [0; 2], dials: false };
        scene.add(scene.server.host, listening(&string(kind, "0.0.0.0"), &scene.options));
        scene.add(scene.friend.host, dialling(&string(kind, "server.test"), &scene.options));
        scene.until(|scene| scene.server.links().len() == 1 && scene.friend.links().len() == 1);
        scene.warm_up();
        scene
    }

    /// Starts one more node on a host.
    pub(crate) fn add(&mut self, host: HostId, node: Node) {
        self.world.act(host, |party, cx| party.ours().add(cx, node));
    }

    /// One connection that comes and goes, so that tables have the places that one more connection needs.
    fn warm_up(&mut self) {
        let port = self.dial(&Wrap::Bare);
        self.until(|scene| scene.world.ports(scene.server.host) == 3);
        self.cut_off(port);
        self.until(|scene| scene.world.ports(scene.server.host) == 2);
        self.world.run_to_quiescence(PATIENCE).unwrap();
        self.look();
        for peer in [&mut self.server, &mut self.friend] {
            let healthy = peer.links()[0];
            peer.events.retain(|event| matches!(event, TransportEvent::Up(link, _) if *link == healthy));
            peer.moments = vec![Instant::ZERO];
        }
        self.world.act(self.raw, |party, _| party.raw().connections.clear());
        let hosts = [self.server.host, self.friend.host];
        self.base = hosts.map(|host| self.world.act(host, |party, _| party.ours().begin()));
    }

    /// What the offender's listener will have around its connections.
    pub(crate) fn become_server(&mut self, wrap: Wrap) {
        self.world.act(self.raw, |party, _| party.raw().wrap = wrap);
    }

    /// The friend dials the offender too, as it dialled the server.
    pub(crate) fn friend_dials(&mut self) {
        self.dials = true;
        let any = SocketAddr::from(([0, 0, 0, 0], 7000));
        self.world.act(self.raw, |party, cx| party.raw().listen(cx, any));
        self.world.name("server.test", &[self.raw]);
        self.add(self.friend.host, dialling(&string(self.kind, "server.test"), &self.options));
    }

    /// The same, and the offender's end of it when bytes can pass.
    pub(crate) fn friend_dialled(&mut self) -> PortId {
        self.friend_dials();
        self.until(|scene| scene.connections().any(|(_, connection)| connection.is_open()));
        self.only_connection()
    }

    /// The same, as a link.
    pub(crate) fn friend_linked(&mut self) -> PortId {
        let port = self.friend_dialled();
        if self.is_websocket() {
            self.until(|scene| scene.connection(port).received.ends_with(b"\r\n\r\n"));
            let answer = welcome(&self.take_received(port));
            self.send(port, &answer);
        }
        self.until(|scene| scene.friend.links().len() == 2);
        port
    }

    /// What stands around the bytes of a client that is in order.
    pub(crate) fn wrap(&self) -> Wrap {
        if self.is_tls() { Wrap::Client(self.options.trust.clone().unwrap()) } else { Wrap::Bare }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.kind, "tls" | "wss")
    }

    pub(crate) fn is_websocket(&self) -> bool {
        self.kind.starts_with("ws")
    }

    /// The offender's connection to the server, bare or with the handshake of TLS under way.
    pub(crate) fn dial(&mut self, wrap: &Wrap) -> PortId {
        let to = SocketAddr::new(self.world.address(self.server.host), 7000);
        self.world.act(self.raw, |party, cx| party.raw().dial(cx, to, wrap))
    }

    /// The same, when bytes can pass.
    pub(crate) fn dial_open(&mut self) -> PortId {
        let wrap = self.wrap();
        let port = self.dial(&wrap);
        self.until(|scene| scene.connection(port).is_open());
        port
    }

    /// The same, as a link.
    pub(crate) fn dial_linked(&mut self) -> PortId {
        let port = self.dial_open();
        if self.is_websocket() {
            self.send(port, REQUEST.as_bytes());
        }
        self.until(|scene| scene.server.links().len() == 2);
        self.pass(BEAT);
        let answer = self.take_received(port);
        assert_eq!(answer.starts_with(b"HTTP/1.1 101 "), self.is_websocket());
        port
    }

    pub(crate) fn send(&mut self, port: PortId, bytes: &[u8]) {
        self.world.act(self.raw, |party, _| party.raw().send(port, bytes));
    }

    /// Sends bytes as they are, also where TLS would be.
    pub(crate) fn send_wire(&mut self, port: PortId, bytes: &[u8]) {
        self.world.act(self.raw, |party, _| party.raw().send_wire(port, bytes));
    }

    pub(crate) fn seal(&mut self, port: PortId, bytes: &[u8]) -> Vec<u8> {
        self.world.act(self.raw, |party, _| party.raw().seal(port, bytes))
    }

    pub(crate) fn cut_off(&mut self, port: PortId) {
        self.world.act(self.raw, |party, _| party.raw().cut_off(port));
    }

    pub(crate) fn take_received(&mut self, port: PortId) -> Vec<u8> {
        self.world.act(self.raw, |party, _| party.raw().take_received(port))
    }

    pub(crate) fn connection(&self, port: PortId) -> &Connection {
        &self.world.machine(self.raw).as_raw().connections[&port]
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = (&PortId, &Connection)> {
        self.world.machine(self.raw).as_raw().connections.iter()
    }

    pub(crate) fn only_connection(&self) -> PortId {
        let ports: Vec<_> = self.connections().map(|(port, _)| *port).collect();
        assert_eq!(ports.len(), 1);
        ports[0]
    }

    const fn victim(&self) -> &Peer {
        if self.dials { &self.friend } else { &self.server }
    }

    /// Lets time pass, in which the friends talk.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.world.now() < end {
            self.talk();
            self.world.run_for(BEAT.min(end.since(self.world.now()))).unwrap();
            self.look();
        }
    }

    #[track_caller]
    pub(crate) fn until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let end = self.world.now() + PATIENCE;
        while !done(self) {
            assert!(self.world.now() < end, "{:?}\n{:?}", self.server.events, self.friend.events);
            self.pass(BEAT);
        }
    }

    /// Why the offender did not become a link, and when that was told.
    #[track_caller]
    pub(crate) fn refusal(&mut self) -> (DownReason, Instant) {
        self.end(|event| matches!(event, TransportEvent::Refused(..)))
    }

    /// Why the offender's link ended, and when that was told.
    #[track_caller]
    pub(crate) fn down(&mut self) -> (DownReason, Instant) {
        self.end(|event| matches!(event, TransportEvent::Down(..)))
    }

    #[track_caller]
    fn end(&mut self, is_end: impl Fn(&TransportEvent) -> bool) -> (DownReason, Instant) {
        self.until(|scene| scene.victim().events.iter().any(&is_end));
        let victim = self.victim();
        let at = victim.events.iter().position(is_end).unwrap();
        match &victim.events[at] {
            TransportEvent::Refused(_, reason) | TransportEvent::Down(_, reason) => {
                (reason.clone(), victim.moments[at])
            }
            event => panic!("{event:?}"),
        }
    }

    /// What the offender was told, once its connection has ended.
    #[track_caller]
    pub(crate) fn told(&mut self, port: PortId) -> Vec<u8> {
        self.until(|scene| scene.connection(port).end.is_some());
        self.connection(port).received.clone()
    }

    /// What TLS told the offender, once its connection has ended.
    #[track_caller]
    pub(crate) fn alert(&mut self, port: PortId) -> Option<TlsError> {
        self.told(port);
        self.raw_error(port)
    }

    pub(crate) fn raw_error(&self, port: PortId) -> Option<TlsError> {
        self.connection(port).error.clone()
    }

    /// Nothing is left of the offender, nothing of the friends' messages was lost, and beside what any connection costs
    /// no more than `most` bytes were held for the offender at any moment.
    #[track_caller]
    pub(crate) fn over(&mut self, most: usize) {
        self.pass(self.options.limits.close_time + Duration::from_secs(1));
        self.world.run_to_quiescence(PATIENCE).unwrap();
        self.look();
        self.assert_healthy();
        let (tls, kept) = if self.is_tls() { (TLS, KEPT) } else { (0, 0) };
        self.assert_memory(most + CONNECTION + tls, kept);
    }

    /// Nothing of the friends' messages was lost, their links are up, and there is no other. Who dialled also has the list
    /// of its host's addresses open.
    #[track_caller]
    pub(crate) fn assert_healthy(&self) {
        assert_eq!((self.world.ports(self.server.host), self.world.ports(self.friend.host)), (2, 2), "ports");
        for peer in [&self.server, &self.friend] {
            let healthy = peer.links()[0];
            let down = |event: &TransportEvent| matches!(event, TransportEvent::Down(link, _) if *link == healthy);
            assert!(!peer.events.iter().any(down), "{:?}", peer.events);
            let messages = peer.received.iter().filter(|(link, ..)| *link == healthy);
            let came: Vec<_> = messages.map(|(_, _, bytes)| bytes.clone()).collect();
            let expected: Vec<_> = (0..self.sent).map(message).collect();
            assert!(came == expected, "{} messages of {} came", came.len(), expected.len());
        }
    }

    /// How many bytes the victim holds more than after the warm-up.
    pub(crate) fn held(&mut self) -> i64 {
        let (host, base) = (self.victim().host, self.base[usize::from(self.dials)]);
        self.world.act(host, |party, _| party.ours().held - base)
    }

    /// The victim held at most that much at any moment since the warm-up, and now what it held then.
    #[track_caller]
    pub(crate) fn assert_memory(&mut self, most: usize, kept: usize) {
        let (host, base) = (self.victim().host, self.base[usize::from(self.dials)]);
        let (peak, left) = self.world.act(host, |party, _| (party.ours().peak - base, party.ours().held - base));
        println!("{}: {peak} bytes were held at most, {most} may be; {left} are left", self.kind);
        assert!(peak <= (most + TRAFFIC) as i64, "{peak} bytes were held, {most} may be");
        assert!(left <= (kept + TRAFFIC) as i64, "{left} bytes are left, {kept} may be");
    }

    /// What came over links of the offender.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        let (victim, healthy) = (self.victim(), self.victim().links()[0]);
        let messages = victim.received.iter().filter(|(from, ..)| *from != healthy);
        messages.map(|(_, _, bytes)| bytes.clone()).collect()
    }

    /// Each friend says the next number to the other.
    fn talk(&mut self) {
        let (Some(&here), Some(&there)) = (self.server.links().first(), self.friend.links().first()) else { return };
        self.server.send(&mut self.world, here, Kind::Binary, &message(self.sent)).unwrap();
        self.friend.send(&mut self.world, there, Kind::Binary, &message(self.sent)).unwrap();
        self.sent += 1;
    }

    fn look(&mut self) {
        self.server.look(&mut self.world);
        self.friend.look(&mut self.world);
    }
}

fn message(number: u32) -> Vec<u8> {
    format!("{number:0100}").into_bytes()
}

/// A frame as a client sends it.
pub(crate) fn masked(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Header { fin, opcode, mask: Some(MASK), len: payload.len() as u64 }.encode(&mut frame);
    let start = frame.len();
    frame.extend_from_slice(payload);
    MASK.apply(&mut frame[start..]);
    frame
}

/// A message as that kind of link carries it from a client.
pub(crate) fn framed(kind: &str, payload: &[u8]) -> Vec<u8> {
    match kind {
        "ws" | "wss" => masked(true, Opcode::Binary, payload),
        _ => [&(payload.len() as u32).to_be_bytes(), payload].concat(),
    }
}

/// The code of a close frame, which must be the last thing that was said.
#[track_caller]
pub(crate) fn close_code(said: &[u8]) -> u16 {
    let (header, size) = Header::decode(said).unwrap().expect("a frame");
    assert_eq!((header.opcode, said.len()), (Opcode::Close, size + header.len as usize), "{said:02x?}");
    let mut payload = said[size..].to_vec();
    if let Some(mask) = header.mask {
        mask.apply(&mut payload);
    }
    u16::from_be_bytes([payload[0], payload[1]])
}

/// The status of an HTTP answer that also closes.
#[track_caller]
pub(crate) fn status(said: &[u8]) -> u16 {
    let text = String::from_utf8(said.to_vec()).unwrap();
    assert!(text.contains("\r\nConnection: close"), "{text}");
    text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// The answer of a server that is in order.
pub(crate) fn welcome(request: &[u8]) -> Vec<u8> {
    let mut upgrade = UpgradeServer::new(Arc::default(), &Limits::default());
    upgrade.receive(request).unwrap();
    let mut buf = Buf::new(usize::MAX);
    upgrade.fill(&mut buf);
    buf.as_slice().to_vec()
}
