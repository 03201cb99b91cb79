//! A world with a STUN server of two addresses, a TURN server, and parties that gather.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use switchboard::link::stun::Endpoints;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::sim::{HostId, INTERNET, NetId, World};
use switchboard::stack::gather::{GatherConfig, GatherEvent, Gatherer, Inbound, ServerState};
use switchboard::stack::stun_server::StunServer;
use switchboard::stack::turn_server::{Misbehaviour, TurnServer, TurnServerConfig, User};
use switchboard::wire::candidate::{Candidate, CandidateKind};
use switchboard::wire::ice_server::IceServer;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A gatherer, and all that it said and brought.
#[derive(Debug)]
pub(crate) struct Party {
    pub(crate) gatherer: Gatherer,
    pub(crate) events: Vec<GatherEvent>,
    /// Where a datagram came to, from whom, and what it said.
    pub(crate) heard: Vec<(SocketAddr, SocketAddr, String)>,
}

impl Party {
    fn take(heard: &mut Vec<(SocketAddr, SocketAddr, String)>, inbound: &Inbound<'_>) {
        heard.push((inbound.local, inbound.source, String::from_utf8_lossy(inbound.data).into_owned()));
    }
}

/// Sends datagrams that tests made up.
#[derive(Debug, Default)]
pub(crate) struct Liar {
    pub(crate) port: Option<PortId>,
    pub(crate) requests: VecDeque<(PortId, switchboard::machine::port::PortRequest)>,
    pub(crate) out: VecDeque<(SocketAddr, Vec<u8>)>,
    pub(crate) answers: bool,
    pub(crate) told: bool,
}

#[derive(Debug)]
pub(crate) enum Node {
    Idle,
    Stun(Box<StunServer>),
    Turn(Box<TurnServer>),
    Party(Box<Party>),
    Liar(Liar),
}

fn quiet<E>(output: Output<E>) -> Output<()> {
    match output {
        Output::Event(_) => Output::Event(()),
        Output::Port(port, request) => Output::Port(port, request),
        Output::Ready(port) => Output::Ready(port),
        Output::Wait(deadline) => Output::Wait(deadline),
    }
}

impl Machine for Party {
    type Command = ();
    type Event = ();

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        let Self { gatherer, heard, .. } = self;
        match input {
            Input::Timeout => gatherer.on_timeout(cx),
            Input::Port(port, change) => gatherer.on_port(cx, port, change),
            Input::Datagrams(port, datagrams) => {
                for datagram in datagrams {
                    if let Some(inbound) = gatherer.on_datagram(cx, port, datagram) {
                        Self::take(heard, &inbound);
                    }
                }
            }
            Input::Receive(port, data) => {
                gatherer.on_bytes(cx, port, data, &mut |_, inbound| Self::take(heard, &inbound));
            }
            Input::Command(()) => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<()> {
        self.events.extend(std::iter::from_fn(|| self.gatherer.poll_event()));
        if let Some((port, request)) = self.gatherer.poll_request() {
            assert!(!matches!(request, switchboard::machine::port::PortRequest::Pause));
            return Output::Port(port, request);
        }
        self.gatherer.poll_ready().map_or_else(|| Output::Wait(self.gatherer.deadline()), Output::Ready)
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.gatherer.fill(cx, port, buf)
    }
}

impl Machine for Node {
    type Command = ();
    type Event = ();

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match self {
            Self::Idle => {}
            Self::Stun(machine) => machine.handle(cx, input),
            Self::Turn(server) => match input {
                Input::Timeout => server.handle(cx, Input::Timeout),
                Input::Receive(port, data) => server.handle(cx, Input::Receive(port, data)),
                Input::Datagrams(port, datagrams) => server.handle(cx, Input::Datagrams(port, datagrams)),
                Input::Port(port, change) => server.handle(cx, Input::Port(port, change)),
                Input::Command(()) => {}
            },
            Self::Party(party) => party.handle(cx, input),
            Self::Liar(liar) => liar.handle(cx, input),
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<()> {
        match self {
            Self::Idle => Output::Wait(None),
            Self::Stun(machine) => quiet(machine.poll(cx)),
            Self::Turn(machine) => quiet(machine.poll(cx)),
            Self::Party(party) => party.poll(cx),
            Self::Liar(liar) => liar.poll(cx),
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        match self {
            Self::Idle => Fill::Done,
            Self::Stun(machine) => machine.fill(cx, port, buf),
            Self::Turn(machine) => machine.fill(cx, port, buf),
            Self::Party(party) => party.fill(cx, port, buf),
            Self::Liar(liar) => liar.fill(cx, port, buf),
        }
    }
}

impl Machine for Liar {
    type Command = ();
    type Event = ();

    fn handle(&mut self, _: &mut Cx<'_>, input: Input<'_, ()>) {
        let Input::Datagrams(_, datagrams) = input else { return };
        for datagram in datagrams.filter(|_| self.answers) {
            // Its own question, turned into an answer that is none: the type of a success, and garbage after it.
            let mut lie = datagram.data.to_vec();
            lie[0] |= 0x01;
            self.out.push_back((datagram.source, lie.clone()));
            self.out.push_back((datagram.source, vec![0x40, 0, 0, 4, 1, 2, 3, 4]));
            self.out.push_back((datagram.source, vec![0; 1200]));
            lie.truncate(10);
            self.out.push_back((datagram.source, lie));
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<()> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        match self.port {
            Some(port) if !self.out.is_empty() && !std::mem::replace(&mut self.told, true) => Output::Ready(port),
            _ => Output::Wait(None),
        }
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf) -> Fill {
        let Some((to, bytes)) = self.out.pop_front() else {
            self.told = false;
            return Fill::Done;
        };
        buf.extend(&bytes);
        Fill::Datagrams(switchboard::machine::datagram::Transmit::to(to, bytes.len()))
    }
}

pub(crate) struct Scene {
    pub(crate) world: World<Node>,
    pub(crate) turn: HostId,
}

pub(crate) fn turn_config() -> TurnServerConfig {
    TurnServerConfig::new("example.org", [User::new("alice", "open sesame"), User::new("bob", "swordfish")])
}

impl Scene {
    pub(crate) fn new() -> Self {
        let mut world = World::new(1);
        let stun = world.host("stun", Node::Idle);
        let primary = SocketAddr::new(world.address(stun), 3478);
        let [further, _] = world.add_addresses(stun);
        let endpoints = Endpoints { primary, other: Some(SocketAddr::new(further, 3479)) };
        world.act(stun, |node, _| *node = Node::Stun(Box::new(StunServer::new(endpoints, None))));
        let turn = world.host("turn", Node::Idle);
        world.name("stun.example.org", &[stun]);
        world.name("turn.example.org", &[turn]);
        let mut scene = Self { world, turn };
        scene.start_turn(turn_config());
        scene.run(SECOND);
        scene
    }

    pub(crate) fn turn_address(&self) -> SocketAddr {
        SocketAddr::new(self.world.address(self.turn), 3478)
    }

    /// Starts the TURN server, by UDP and TCP, anew if it ran.
    pub(crate) fn start_turn(&mut self, config: TurnServerConfig) {
        use switchboard::stack::turn_server::Listener;
        let (address, turn) = (self.turn_address(), self.turn);
        self.world.reboot(turn, Node::Turn(Box::new(TurnServer::new(config))));
        self.serve(|server, cx| {
            server.listen(cx, address);
            server.listen_by(cx, Listener::Tcp, address);
        });
    }

    pub(crate) fn serve<R>(&mut self, call: impl FnOnce(&mut TurnServer, &mut Cx<'_>) -> R) -> R {
        self.world.act(self.turn, |node, cx| match node {
            Node::Turn(server) => call(server, cx),
            other => panic!("{other:?}"),
        })
    }

    pub(crate) fn misbehave(&mut self, misbehaviour: Option<Misbehaviour>) {
        self.serve(|server, _| server.misbehave(misbehaviour));
    }

    pub(crate) fn party(&mut self, config: GatherConfig) -> HostId {
        self.party_in(INTERNET, config)
    }

    pub(crate) fn party_in(&mut self, net: NetId, config: GatherConfig) -> HostId {
        let party = Party { gatherer: Gatherer::new(config), events: Vec::new(), heard: Vec::new() };
        let host = self.world.host_in(net, "party", Node::Party(Box::new(party)));
        self.call(host, |gatherer, cx| gatherer.start(cx));
        host
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.world.run_for(time).unwrap();
    }

    pub(crate) fn call<R>(&mut self, host: HostId, call: impl FnOnce(&mut Gatherer, &mut Cx<'_>) -> R) -> R {
        self.world.act(host, |node, cx| match node {
            Node::Party(party) => call(&mut party.gatherer, cx),
            other => panic!("{other:?}"),
        })
    }

    pub(crate) fn at(&self, host: HostId) -> &Party {
        match self.world.machine(host) {
            Node::Party(party) => party,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn forget_events(&mut self, host: HostId) {
        self.world.act(host, |node, _| match node {
            Node::Party(party) => party.events.clear(),
            other => panic!("{other:?}"),
        });
    }

    pub(crate) fn is_done(&self, host: HostId) -> bool {
        self.at(host).events.contains(&GatherEvent::Done)
    }

    /// The candidates of a kind and of IPv4.
    pub(crate) fn all(&self, host: HostId, kind: CandidateKind) -> Vec<Candidate> {
        let candidates = self.at(host).gatherer.candidates();
        candidates.filter(|one| one.kind == kind && one.address.is_ipv4()).cloned().collect()
    }

    /// The address of the only candidate of a kind and of IPv4.
    pub(crate) fn only(&self, host: HostId, kind: CandidateKind) -> SocketAddr {
        let all = self.all(host, kind);
        assert_eq!(all.len(), 1, "{kind:?} in {:?}", self.at(host));
        all[0].address
    }

    /// How its servers fare, in the order in which they were given.
    pub(crate) fn states(&self, host: HostId) -> Vec<ServerState> {
        self.at(host).gatherer.server_states().map(|(_, state)| state).collect()
    }

    /// What a party has heard: where, from whom, what.
    pub(crate) fn heard(&self, host: HostId) -> Vec<(SocketAddr, SocketAddr, &str)> {
        self.at(host).heard.iter().map(|(local, source, words)| (*local, *source, words.as_str())).collect()
    }

    pub(crate) fn send(&mut self, host: HostId, local: SocketAddr, to: SocketAddr, words: &str) -> bool {
        self.call(host, |gatherer, cx| gatherer.send(cx, local, to, words.as_bytes()))
    }

    /// Lets a peer through, and waits until the server has agreed.
    pub(crate) fn permit(&mut self, host: HostId, relayed: SocketAddr, peer: SocketAddr) {
        self.call(host, |gatherer, cx| gatherer.permit(cx, relayed, peer));
        self.run(SECOND);
        let permitted = GatherEvent::Permitted { relayed, peer: peer.ip() };
        assert!(self.at(host).events.contains(&permitted), "{:?}", self.at(host).events);
    }

    /// Whether words pass between a relayed address of one and an address of the other, both ways.
    pub(crate) fn assert_passes(&mut self, one: HostId, relayed: SocketAddr, other: HostId, address: SocketAddr) {
        let words = format!("at {}", self.world.now());
        assert!(self.send(one, relayed, address, &words));
        self.run(SECOND);
        assert!(self.heard(other).contains(&(address, relayed, &*words)), "{:?}", self.heard(other));
        assert!(self.send(other, address, relayed, &words));
        self.run(SECOND);
        assert!(self.heard(one).contains(&(relayed, address, &*words)), "{:?}", self.heard(one));
    }
}

pub(crate) fn stun() -> IceServer {
    IceServer::stun("stun:stun.example.org").unwrap()
}

pub(crate) fn turn(transport: &str) -> IceServer {
    IceServer::new(&format!("turn:turn.example.org{transport}"), "alice", "open sesame").unwrap()
}

pub(crate) fn with(servers: &[IceServer]) -> GatherConfig {
    GatherConfig { servers: servers.to_vec(), ..GatherConfig::default() }
}
