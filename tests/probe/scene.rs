//! A world with a STUN server, a rendezvous, and probes where tests put them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use switchboard::link::stun::{Endpoints, ServerCounters};
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::sim::{HostId, INTERNET, NetId, World};
use switchboard::stack::probe::{
    MeetingConfig, PathConfig, PathVerdict, Probe, ProbeConfig, ProbeEvent, Punched, Rendezvous, RendezvousConfig,
    RendezvousEvent, Verdict,
};
use switchboard::stack::stun_server::{StunServer, StunServerEvent};

pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// The machines of these worlds.
#[derive(Debug)]
pub(crate) enum Node {
    /// A host that does nothing yet.
    Idle,
    Stun(StunServer),
    Rendezvous(Rendezvous),
    Probe(Box<Probe>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Stun(StunServerEvent),
    Rendezvous(RendezvousEvent),
    Probe(ProbeEvent),
}

fn map<E>(output: Output<E>, event: impl FnOnce(E) -> Event) -> Output<Event> {
    match output {
        Output::Event(said) => Output::Event(event(said)),
        Output::Port(port, request) => Output::Port(port, request),
        Output::Ready(port) => Output::Ready(port),
        Output::Wait(deadline) => Output::Wait(deadline),
    }
}

impl Machine for Node {
    type Command = ();
    type Event = Event;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match self {
            Self::Idle => {}
            Self::Stun(machine) => machine.handle(cx, input),
            Self::Rendezvous(machine) => machine.handle(cx, input),
            Self::Probe(machine) => machine.handle(cx, input),
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Event> {
        match self {
            Self::Idle => Output::Wait(None),
            Self::Stun(machine) => map(machine.poll(cx), Event::Stun),
            Self::Rendezvous(machine) => map(machine.poll(cx), Event::Rendezvous),
            Self::Probe(machine) => map(machine.poll(cx), Event::Probe),
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        match self {
            Self::Idle => Fill::Done,
            Self::Stun(machine) => machine.fill(cx, port, buf),
            Self::Rendezvous(machine) => machine.fill(cx, port, buf),
            Self::Probe(machine) => machine.fill(cx, port, buf),
        }
    }
}

pub(crate) struct Scene {
    pub(crate) world: World<Node>,
    pub(crate) server: HostId,
    pub(crate) meeting: HostId,
}

impl Scene {
    /// With a STUN server that has two addresses of each family, and asks by IPv4.
    pub(crate) fn new(seed: u64) -> Self {
        Self::by(seed, true, true)
    }

    /// With a STUN server of that family, with one address or two.
    pub(crate) fn by(seed: u64, is_v4: bool, has_other: bool) -> Self {
        let mut world = World::new(seed);
        let server = world.host("stun", Node::Idle);
        let meeting = world.host("rendezvous", Node::Idle);
        let further = world.add_addresses(server);
        let first = [world.address(server), world.address_v6(server)];
        let family = usize::from(!is_v4);
        let primary = SocketAddr::new(first[family], 3478);
        let other = has_other.then(|| SocketAddr::new(further[family], 3479));
        let stun = StunServer::new(Endpoints { primary, other }, Some("switchboard".to_owned()));
        world.act(server, |node, _| *node = Node::Stun(stun));
        let listen = SocketAddr::new(world.address(meeting), 443);
        world.act(meeting, |node, _| *node = Node::Rendezvous(Rendezvous::new(RendezvousConfig::new(listen))));
        Self { world, server, meeting }
    }

    pub(crate) fn stun(&self, is_v4: bool) -> SocketAddr {
        let ip = if is_v4 { self.world.address(self.server) } else { self.world.address_v6(self.server) };
        SocketAddr::new(ip, 3478)
    }

    pub(crate) fn meeting(&self, word: &str) -> MeetingConfig {
        let rendezvous = SocketAddr::new(self.world.address(self.meeting), 443);
        MeetingConfig { rendezvous, word: word.to_owned(), patience: Duration::from_secs(30) }
    }

    /// A probe by IPv4 that discovers and meets another by the word "tulip".
    pub(crate) fn config(&self) -> ProbeConfig {
        let bind = SocketAddr::from(([0, 0, 0, 0], 0));
        let paths = vec![PathConfig { bind, stun: Some(self.stun(true)) }];
        ProbeConfig { meeting: Some(self.meeting("tulip")), ..ProbeConfig::new(paths) }
    }

    pub(crate) fn probe(&mut self, net: NetId, name: &str, config: ProbeConfig) -> HostId {
        self.world.host_in(net, name, Node::Probe(Box::new(Probe::new(config))))
    }

    /// A probe that knows its own address as a driver would.
    pub(crate) fn probe_that_knows_itself(&mut self, net: NetId, name: &str, config: ProbeConfig) -> HostId {
        let host = self.world.host_in(net, name, Node::Idle);
        let hosts: Vec<IpAddr> = vec![self.world.address(host), self.world.address_v6(host)];
        let probe = Probe::new(ProbeConfig { hosts, ..config });
        self.world.act(host, |node, _| *node = Node::Probe(Box::new(probe)));
        host
    }

    pub(crate) fn is_over(&self, probe: HostId) -> bool {
        matches!(self.world.machine(probe), Node::Probe(probe) if probe.is_over())
    }

    /// Runs until these probes have their verdicts; those, in this order.
    pub(crate) fn verdicts<const N: usize>(&mut self, probes: [HostId; N]) -> [Verdict; N] {
        let over = |world: &mut World<Node>| {
            probes.iter().all(|probe| matches!(world.machine(*probe), Node::Probe(probe) if probe.is_over()))
        };
        self.world.run_until(over, LIMIT).unwrap_or_else(|failure| panic!("{failure}"));
        probes.map(|probe| self.verdict(probe))
    }

    fn verdict(&mut self, probe: HostId) -> Verdict {
        assert_eq!(self.world.ports(probe), 0, "it has closed its ports");
        match self.world.events(probe).pop() {
            Some((_, Event::Probe(ProbeEvent::Verdict(verdict)))) => verdict,
            other => panic!("the last event is {other:?}"),
        }
    }

    pub(crate) fn asked(&self) -> ServerCounters {
        match self.world.machine(self.server) {
            Node::Stun(server) => server.counters(),
            other => panic!("{other:?}"),
        }
    }
}

/// Discovery alone, from a network.
pub(crate) fn discovered(scene: &mut Scene, net: NetId) -> PathVerdict {
    let config = ProbeConfig { meeting: None, ..scene.config() };
    let probe = scene.probe(net, "probe", config);
    let [verdict] = scene.verdicts([probe]);
    assert_eq!(verdict.punched, None);
    verdict.paths[0]
}

pub(crate) const fn is_direct(verdict: &Verdict) -> bool {
    matches!(verdict.punched, Some(Punched::Direct(_)))
}

pub(crate) const HERE: NetId = INTERNET;
