//! A world with a TURN server, a peer that echoes, and clients behind NATs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use switchboard::connect::Endpoint;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::sim::{HostId, INTERNET, NatKind, NetId, World};
use switchboard::stack::turn_server::{
    Misbehaviour, TurnServer, TurnServerConfig, TurnServerEvent, TurnServerStatistics, User,
};

use crate::caller::Caller;
use crate::dialler::Dialler;
use crate::talker::Talker;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// A user and her password.
pub(crate) const ALICE: (&str, &str) = ("alice", "open sesame");
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// The server is the world's first host.
pub(crate) const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)), 3478);

/// What runs on a host.
pub(crate) enum Program {
    Server(Box<TurnServer>),
    Caller(Box<Caller>),
    Dialler(Box<Dialler>),
    Peer(Talker),
    Endpoint(Box<Endpoint>),
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "a server",
            Self::Caller(_) => "a caller",
            Self::Dialler(_) => "a dialler",
            Self::Peer(_) => "a peer",
            Self::Endpoint(_) => "an endpoint",
        })
    }
}

impl Machine for Program {
    type Command = ();
    type Event = TurnServerEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match self {
            Self::Server(server) => pass(&mut **server, cx, input),
            Self::Endpoint(endpoint) => pass(&mut **endpoint, cx, input),
            Self::Caller(caller) => caller.handle(cx, input),
            Self::Dialler(dialler) => dialler.handle(cx, input),
            Self::Peer(talker) => talker.handle(cx, input),
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<TurnServerEvent> {
        match self {
            Self::Server(server) => server.poll(cx),
            Self::Caller(caller) => quiet(caller.poll(cx)),
            Self::Dialler(dialler) => quiet(dialler.poll(cx)),
            Self::Peer(talker) => quiet(talker.poll(cx)),
            Self::Endpoint(endpoint) => loop {
                match endpoint.poll(cx) {
                    Output::Event(_) => while endpoint.next(cx).is_some() {},
                    output => break quiet(output),
                }
            },
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        match self {
            Self::Server(server) => server.fill(cx, port, buf),
            Self::Caller(caller) => caller.fill(cx, port, buf),
            Self::Dialler(dialler) => dialler.fill(cx, port, buf),
            Self::Peer(talker) => talker.fill(cx, port, buf),
            Self::Endpoint(endpoint) => endpoint.fill(cx, port, buf),
        }
    }
}

/// Lends an input to a machine that takes no commands.
fn pass<M: Machine>(machine: &mut M, cx: &mut Cx<'_>, input: Input<'_, ()>) {
    match input {
        Input::Timeout => machine.handle(cx, Input::Timeout),
        Input::Receive(port, data) => machine.handle(cx, Input::Receive(port, data)),
        Input::Datagrams(port, datagrams) => machine.handle(cx, Input::Datagrams(port, datagrams)),
        Input::Port(port, change) => machine.handle(cx, Input::Port(port, change)),
        Input::Command(()) => {}
    }
}

fn quiet<E: std::fmt::Debug>(output: Output<E>) -> Output<TurnServerEvent> {
    match output {
        Output::Port(port, request) => Output::Port(port, request),
        Output::Ready(port) => Output::Ready(port),
        Output::Wait(deadline) => Output::Wait(deadline),
        Output::Event(event) => panic!("{event:?}"),
    }
}

pub(crate) struct Scene {
    pub(crate) world: World<Program>,
    pub(crate) server: HostId,
    pub(crate) peer: HostId,
}

pub(crate) fn config() -> TurnServerConfig {
    TurnServerConfig::new("example.org", [User::new("alice", "open sesame"), User::new("bob", "swordfish")])
}

impl Scene {
    pub(crate) fn new(config: TurnServerConfig) -> Self {
        Self::seeded(1, config)
    }

    pub(crate) fn seeded(seed: u64, config: TurnServerConfig) -> Self {
        let mut world = World::new(seed);
        let server = world.host("server", Program::Server(Box::new(TurnServer::new(config))));
        let peer = world.host("peer", Program::Peer(Talker::echo(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 5000))));
        let mut scene = Self { world, server, peer };
        scene.listen();
        scene.peer(Talker::start);
        scene
    }

    fn listen(&mut self) {
        self.serve(|server, cx| server.listen(cx, SERVER));
    }

    pub(crate) fn reboot(&mut self, config: TurnServerConfig) {
        self.world.reboot(self.server, Program::Server(Box::new(TurnServer::new(config))));
        self.listen();
    }

    pub(crate) fn caller_behind(&mut self, kind: NatKind, caller: Caller) -> HostId {
        let net = self.world.behind("home", kind);
        self.caller_in(net, caller)
    }

    pub(crate) fn caller(&mut self, name: &str, password: &str) -> HostId {
        self.caller_in(INTERNET, Caller::new(SERVER, name, password))
    }

    pub(crate) fn caller_in(&mut self, net: NetId, caller: Caller) -> HostId {
        let host = self.world.host_in(net, "caller", Program::Caller(Box::new(caller)));
        self.call(host, Caller::start);
        host
    }

    pub(crate) fn dialler(&mut self, net: NetId, dialler: Dialler) -> HostId {
        let host = self.world.host_in(net, "dialler", Program::Dialler(Box::new(dialler)));
        self.dial(host, Dialler::start);
        host
    }

    pub(crate) fn dial<R>(&mut self, host: HostId, call: impl FnOnce(&mut Dialler, &mut Cx<'_>) -> R) -> R {
        self.world.act(host, |program, cx| match program {
            Program::Dialler(dialler) => call(dialler, cx),
            other => panic!("{other:?}"),
        })
    }

    pub(crate) fn dialled(&self, host: HostId) -> &Dialler {
        match self.world.machine(host) {
            Program::Dialler(dialler) => dialler,
            other => panic!("{other:?}"),
        }
    }

    /// Alice, with an allocation.
    pub(crate) fn alice(&mut self) -> HostId {
        let alice = self.caller("alice", "open sesame");
        self.run(SECOND);
        assert!(self.relayed(alice).is_some(), "{:?}", self.at(alice));
        alice
    }

    /// Alice, with an allocation and a permission for the peer.
    pub(crate) fn alice_with_permission(&mut self) -> HostId {
        let (alice, peer) = (self.alice(), self.peer_address());
        self.call(alice, |caller, cx| caller.permit(cx, peer.ip()));
        self.run(SECOND);
        alice
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.world.run_for(time).unwrap();
    }

    pub(crate) fn call<R>(&mut self, host: HostId, call: impl FnOnce(&mut Caller, &mut Cx<'_>) -> R) -> R {
        self.world.act(host, |program, cx| match program {
            Program::Caller(caller) => call(caller, cx),
            other => panic!("{other:?}"),
        })
    }

    pub(crate) fn serve<R>(&mut self, call: impl FnOnce(&mut TurnServer, &mut Cx<'_>) -> R) -> R {
        self.world.act(self.server, |program, cx| match program {
            Program::Server(server) => call(server, cx),
            other => panic!("{other:?}"),
        })
    }

    pub(crate) fn peer<R>(&mut self, call: impl FnOnce(&mut Talker, &mut Cx<'_>) -> R) -> R {
        self.world.act(self.peer, |program, cx| match program {
            Program::Peer(talker) => call(talker, cx),
            other => panic!("{other:?}"),
        })
    }

    pub(crate) fn misbehave(&mut self, misbehaviour: Misbehaviour) {
        self.serve(|server, _| server.misbehave(Some(misbehaviour)));
    }

    pub(crate) fn peer_address(&self) -> SocketAddr {
        SocketAddr::new(self.world.address(self.peer), 5000)
    }

    pub(crate) fn at(&self, host: HostId) -> &Caller {
        match self.world.machine(host) {
            Program::Caller(caller) => caller,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn server(&self) -> &TurnServer {
        match self.world.machine(self.server) {
            Program::Server(server) => server,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn statistics(&self) -> TurnServerStatistics {
        self.server().statistics()
    }

    pub(crate) fn relayed(&self, host: HostId) -> Option<SocketAddr> {
        self.at(host).relayed()
    }

    /// What a caller has heard from the peer.
    pub(crate) fn words(&self, host: HostId) -> Vec<&str> {
        let peer = self.peer_address();
        self.at(host).heard.iter().filter(|(from, _)| *from == peer).map(|(_, words)| words.as_str()).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<TurnServerEvent> {
        self.world.events(self.server).into_iter().map(|(_, event)| event).collect()
    }

    pub(crate) fn say(&mut self, from: HostId, words: &str) {
        let peer = self.peer_address();
        self.call(from, |caller, cx| caller.say(cx, peer, words));
    }
}
