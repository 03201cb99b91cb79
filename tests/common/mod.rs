//! What the tests of transports share: worlds of nodes, each one transport standing alone.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod campaign;

use std::time::Duration;

use switchboard::connect::{AnyTransport, Options, Registry};
use switchboard::link::tls;
use switchboard::machine::ids::LinkId;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Machine};
use switchboard::sim::{HostId, World};
use switchboard::transport::alone::{Alone, AloneEvent, Message, SendError};
use switchboard::transport::{DownReason, LinkInfo, TransportEvent};

pub type Node = Alone<AnyTransport>;

/// A machine of a world that is a node, or has one inside.
pub trait Inhabitant: Machine<Event = AloneEvent> {
    fn start(&mut self, cx: &mut Cx<'_>);
    fn send(&mut self, cx: &mut Cx<'_>, link: LinkId, kind: Kind, bytes: &[u8]) -> Result<(), SendError>;
    fn recv(&mut self, cx: &mut Cx<'_>) -> Option<Message>;
}

impl Inhabitant for Node {
    fn start(&mut self, cx: &mut Cx<'_>) {
        Self::start(self, cx);
    }

    fn send(&mut self, cx: &mut Cx<'_>, link: LinkId, kind: Kind, bytes: &[u8]) -> Result<(), SendError> {
        Self::send(self, cx, link, kind, bytes)
    }

    fn recv(&mut self, cx: &mut Cx<'_>) -> Option<Message> {
        Self::recv(self, cx)
    }
}

/// The kinds of connection strings that carry messages between hosts.
pub const KINDS: [&str; 4] = ["tcp", "tls", "ws", "wss"];

pub const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate authority's root and its certificates for the given names. Ed25519, so that sizes do not vary.
pub struct Authority {
    pub root: Vec<u8>,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        Self::named("authority")
    }

    pub fn named(name: &str) -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().to_vec();
        Self { root, issuer: rcgen::Issuer::new(params, key) }
    }

    pub fn identity(&self, names: &[&str]) -> tls::Identity {
        self.identity_between(names, 1975, 4096)
    }

    pub fn identity_between(&self, names: &[&str], from: i32, until: i32) -> tls::Identity {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        tls::Identity::from_der(vec![certificate.der().to_vec()], key.serialize_der()).unwrap()
    }

    pub fn trust(&self) -> tls::ClientConfig {
        tls::ClientConfig::new([self.root.clone()]).unwrap()
    }
}

/// Options with a certificate for `server.test` and whoever trusts it.
pub fn options() -> Options {
    let authority = Authority::new();
    let identity = authority.identity(&["server.test", "198.18.0.1"]);
    Options {
        trust: Some(authority.trust()),
        identity: Some(tls::ServerConfig::new(&identity).unwrap()),
        ..Options::default()
    }
}

pub fn dialling(string: &str, options: &Options) -> Node {
    Node::new(Registry::new().dial(string, options).unwrap(), options.limits.clone())
}

pub fn listening(string: &str, options: &Options) -> Node {
    Node::new(Registry::new().listen(string, options).unwrap(), options.limits.clone())
}

/// `kind`'s connection string for a host and a port.
pub fn string(kind: &str, host: &str) -> String {
    if kind.starts_with("ws") { format!("{kind}://{host}:7000/") } else { format!("{kind}:{host}:7000") }
}

/// A node of a world as the test sees it.
pub struct Peer {
    pub host: HostId,
    pub events: Vec<TransportEvent>,
    /// When it said them.
    pub moments: Vec<Instant>,
    pub received: Vec<(LinkId, Kind, Vec<u8>)>,
}

impl Peer {
    pub fn start<M: Inhabitant>(world: &mut World<M>, name: &str, node: M) -> Self {
        let host = world.host(name, node);
        world.act(host, |node, cx| node.start(cx));
        Self { host, events: Vec::new(), moments: Vec::new(), received: Vec::new() }
    }

    /// Takes in what the node has said and received.
    pub fn look<M: Inhabitant>(&mut self, world: &mut World<M>) {
        for (at, event) in world.events(self.host) {
            if let AloneEvent::Transport(event) = event {
                self.events.push(event);
                self.moments.push(at);
            }
        }
        while let Some(message) = world.act(self.host, |node, cx| node.recv(cx)) {
            self.received.push((message.link, message.kind, message.bytes));
        }
    }

    pub fn send<M: Inhabitant>(
        &self,
        world: &mut World<M>,
        link: LinkId,
        kind: Kind,
        bytes: &[u8],
    ) -> Result<(), SendError> {
        world.act(self.host, |node, cx| node.send(cx, link, kind, bytes))
    }

    pub fn links(&self) -> Vec<LinkId> {
        self.ups().map(|(link, _)| link).collect()
    }

    pub fn ups(&self) -> impl Iterator<Item = (LinkId, &LinkInfo)> {
        self.events.iter().filter_map(|event| match event {
            TransportEvent::Up(link, info) => Some((*link, info)),
            _ => None,
        })
    }

    pub fn downs(&self) -> Vec<&DownReason> {
        let reasons = self.events.iter().filter_map(|event| match event {
            TransportEvent::Down(_, reason) => Some(reason),
            _ => None,
        });
        reasons.collect()
    }

    /// Why connections ended before they were links.
    pub fn refusals(&self) -> Vec<&DownReason> {
        let reasons = self.events.iter().filter_map(|event| match event {
            TransportEvent::Refused(_, reason) => Some(reason),
            _ => None,
        });
        reasons.collect()
    }
}

/// Runs until `done`, looking at both peers after each step.
#[track_caller]
pub fn run<M: Inhabitant>(world: &mut World<M>, peers: &mut [&mut Peer], mut done: impl FnMut(&[&mut Peer]) -> bool) {
    let result = world.run_until(
        |world| {
            for peer in peers.iter_mut() {
                peer.look(world);
            }
            done(peers)
        },
        PATIENCE,
    );
    if let Err(failure) = result {
        let said: Vec<_> = peers.iter().map(|peer| format!("{:?}", peer.events)).collect();
        panic!("{failure}\n{}", said.join("\n"));
    }
}

/// A listener on the first host and a dialler on the second, with the link between them up.
pub fn linked(seed: u64, kind: &str, options: &Options) -> (World<Node>, Peer, Peer) {
    let mut world = World::new(seed);
    let mut server = Peer::start(&mut world, "server", listening(&string(kind, "0.0.0.0"), options));
    world.name("server.test", &[server.host]);
    let mut client = Peer::start(&mut world, "client", dialling(&string(kind, "server.test"), options));
    run(&mut world, &mut [&mut server, &mut client], |peers| peers.iter().all(|peer| !peer.links().is_empty()));
    (world, server, client)
}

/// Many limits small, so that every bound is met.
pub fn tight() -> Limits {
    Limits { lane: 1000, inbox: 2000, ..Limits::default() }
}
