//! A world for one pair: a STUN server with two addresses, a place to meet, and a probe behind each kind of NAT.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use switchboard::link::stun::Endpoints;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::sim::oracle::{Host, Turn, Verdict};
use switchboard::sim::{HostId, INTERNET, NatKind, World};
use switchboard::stack::probe::{
    MeetingConfig, PathConfig, Probe, ProbeConfig, ProbeEvent, Punched, Rendezvous, RendezvousConfig,
};
use switchboard::stack::stun_server::StunServer;

const STUN: u16 = 3478;
/// Let out also where nothing else is.
const MEETING: u16 = 443;
const LIMIT: Duration = Duration::from_secs(120);

/// What a host of the world runs. Only probes have something to say.
enum Node {
    Stun(StunServer),
    Rendezvous(Rendezvous),
    Probe(Probe),
}

impl Machine for Node {
    type Command = ();
    type Event = Option<ProbeEvent>;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match self {
            Self::Stun(machine) => machine.handle(cx, input),
            Self::Rendezvous(machine) => machine.handle(cx, input),
            Self::Probe(machine) => machine.handle(cx, input),
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Self::Event> {
        match self {
            Self::Stun(machine) => silent(machine.poll(cx)),
            Self::Rendezvous(machine) => silent(machine.poll(cx)),
            Self::Probe(machine) => told(machine.poll(cx), Some),
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        match self {
            Self::Stun(machine) => machine.fill(cx, port, buf),
            Self::Rendezvous(machine) => machine.fill(cx, port, buf),
            Self::Probe(machine) => machine.fill(cx, port, buf),
        }
    }
}

fn silent<E>(output: Output<E>) -> Output<Option<ProbeEvent>> {
    told(output, |_| None)
}

fn told<E>(output: Output<E>, tell: impl FnOnce(E) -> Option<ProbeEvent>) -> Output<Option<ProbeEvent>> {
    match output {
        Output::Port(port, request) => Output::Port(port, request),
        Output::Event(event) => Output::Event(tell(event)),
        Output::Ready(port) => Output::Ready(port),
        Output::Wait(deadline) => Output::Wait(deadline),
    }
}

/// Lets two probes try, and answers what the first one says.
pub(super) fn punch(seed: u64, kinds: [NatKind; 2]) -> Result<Punched, String> {
    let mut world = World::new(seed);
    let (stun, meeting) = servers(&mut world);
    let probes = [(kinds[0], "a"), (kinds[1], "b")].map(|(kind, name)| {
        let net = world.behind(&format!("gateway-{name}"), kind);
        let path = PathConfig { bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), stun: Some(stun) };
        let meeting = MeetingConfig { rendezvous: meeting, word: "matrix".to_owned(), patience: LIMIT };
        let config = ProbeConfig { meeting: Some(meeting), ..ProbeConfig::new(vec![path]) };
        world.host_in(net, name, Node::Probe(Probe::new(config)))
    });
    let mut verdicts = [None; 2];
    let result = world.run_until(
        |world| {
            for (probe, verdict) in probes.iter().zip(&mut verdicts) {
                *verdict = verdict.or(heard(world, *probe));
            }
            verdicts.iter().all(Option::is_some)
        },
        LIMIT,
    );
    result.map_err(|failure| format!("{} and {}: {failure}", kinds[0], kinds[1]))?;
    match verdicts {
        [Some(Punched::Direct(direct)), Some(Punched::Direct(_))] => Ok(Punched::Direct(direct)),
        [Some(Punched::Direct(_)), Some(other)] | [Some(other), _] => Ok(other),
        [None, _] => Err("a probe has said nothing".to_owned()),
    }
}

fn servers(world: &mut World<Node>) -> (SocketAddr, SocketAddr) {
    // The server's addresses are those that its host is about to get.
    let [primary, other]: [IpAddr; 2] = [[198, 18, 0, 1], [198, 18, 0, 2]].map(IpAddr::from);
    let (primary, other) = (SocketAddr::new(primary, STUN), SocketAddr::new(other, STUN + 1));
    let endpoints = Endpoints { primary, other: Some(other) };
    let stun = world.host_with(INTERNET, "stun", 1, Node::Stun(StunServer::new(endpoints, None)));
    debug_assert_eq!(world.address(stun), primary.ip());
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, MEETING));
    let meeting = world.host("rendezvous", Node::Rendezvous(Rendezvous::new(RendezvousConfig::new(any))));
    (primary, SocketAddr::new(world.address(meeting), MEETING))
}

fn heard(world: &mut World<Node>, probe: HostId) -> Option<Punched> {
    world.events(probe).into_iter().find_map(|(_, event)| match event {
        Some(ProbeEvent::Verdict(verdict)) => verdict.punched,
        _ => None,
    })
}

/// What the rules say of that pair, with STUN and a TURN server of every kind.
pub(super) fn oracle(kinds: [NatKind; 2]) -> Verdict {
    let [a, b] = kinds.map(|kind| Host {
        v4: Some(kind.gateways().into_iter().map(|gateway| gateway.v4()).collect()),
        v6: None,
        stun: true,
        turn: Turn::ALL,
    });
    Verdict::of(&a, &b, 0)
}
