//! What two probes find besides their NATs.

use std::time::Duration;

use switchboard::link::stun::{Request, TransactionId};
use switchboard::machine::buf::Buf;
use switchboard::machine::datagram::Transmit;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use switchboard::sim::{Gateway, NatKind, Profile, World};
use switchboard::stack::probe::{
    MeetingConfig, NotDirect, NotMet, PathConfig, Probe, ProbeConfig, ProbeEvent, Punched, Verdict,
};

use crate::scene::{Event, HERE, Node, Scene, is_direct};

fn direct(verdict: &Verdict) -> switchboard::stack::probe::Direct {
    match verdict.punched {
        Some(Punched::Direct(direct)) => direct,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_direct_path_is_told_as_soon_as_it_is_found_and_with_its_round_trip() {
    let mut scene = Scene::new(1);
    let kind = "eim-apdf".parse().unwrap();
    let nets = [scene.world.behind("a", kind), scene.world.behind("b", kind)];
    let config = scene.config();
    let probes = nets.map(|net| scene.probe(net, "probe", config.clone()));
    let [first, _] = scene.verdicts(probes);
    let direct = direct(&first);
    assert_eq!(direct.rtt, Duration::from_millis(22), "10 ms between the gateways, half of one inside each, and back");
    assert!(direct.after < Duration::from_secs(1), "{:?}", direct.after);
    assert!(first.counters.checks < 50, "{:?}", first.counters);
}

#[test]
fn two_probes_in_one_network_reach_each_other_inside_if_they_know_their_addresses() {
    for kind in [NatKind::UdpBlocked, NatKind::NestedSymmetric] {
        let mut scene = Scene::new(1);
        let net = scene.world.behind("office", kind);
        let config = scene.config();
        let probes = ["a", "b"].map(|name| scene.probe_that_knows_itself(net, name, config.clone()));
        let addresses = probes.map(|probe| scene.world.address(probe));
        let verdicts = scene.verdicts(probes);
        assert_eq!(verdicts.map(|verdict| direct(&verdict).local.ip()), addresses, "{kind}");
    }
}

#[test]
fn two_probes_find_ipv6_where_ipv4_does_not_do() {
    let mut scene = Scene::new(1);
    let kind = NatKind::NestedSymmetric;
    let nets = [scene.world.behind("a", kind), scene.world.behind("b", kind)];
    let mut config = scene.config();
    config.paths.push(PathConfig { bind: "[::]:0".parse().unwrap(), stun: None });
    let probes = nets.map(|net| scene.probe_that_knows_itself(net, "probe", config.clone()));
    let verdicts = scene.verdicts(probes);
    assert!(verdicts.iter().all(|verdict| direct(verdict).remote.is_ipv6()), "{verdicts:?}");
}

#[test]
fn probes_agree_over_links_that_lose_packets() {
    for (seed, profile) in
        [Profile::CongestedWifi, Profile::Weak4g, Profile::Slow3g, Profile::Satellite].iter().enumerate()
    {
        for (codes, is_expected) in [(["eim-adf", "apdm-apdf"], true), (["apdm-eif", "apdm-apdf"], false)] {
            let mut scene = Scene::new(seed as u64);
            let gateways = codes.map(|code| scene.world.gateways(HERE, code, code.parse().unwrap()).unwrap());
            for gateway in gateways {
                scene.world.link(gateway, profile.link());
            }
            let config = scene.config();
            let probes = gateways.map(|gateway| scene.probe(gateway.inside(), "probe", config.clone()));
            let verdicts = scene.verdicts(probes);
            assert_eq!(verdicts.map(|verdict| is_direct(&verdict)), [is_expected; 2], "{codes:?} over {profile:?}");
        }
    }
}

#[test]
fn a_probe_that_reaches_nobody_sends_no_more_than_its_bounds_allow() {
    let mut scene = Scene::new(1);
    let kind = NatKind::NestedSymmetric;
    let nets = [scene.world.behind("a", kind), scene.world.behind("b", kind)];
    let config = scene.config();
    let probes = nets.map(|net| scene.probe(net, "probe", config.clone()));
    let [first, _] = scene.verdicts(probes);
    assert_eq!(first.punched, Some(Punched::NotDirect(NotDirect::NoAnswer)));
    assert_eq!(first.counters.checks, 2 * 25, "its own and its outside address, each 200 ms for 5 s");
}

#[test]
fn a_partner_who_does_not_come_is_waited_for_as_long_as_was_said() {
    let mut scene = Scene::new(1);
    let config = scene.config();
    let probe = scene.probe(HERE, "probe", config);
    let [verdict] = scene.verdicts([probe]);
    assert_eq!(verdict.punched, Some(Punched::NotDirect(NotDirect::NotMet(NotMet::TimedOut))));
    assert!(scene.world.now() - Instant::ZERO >= Duration::from_secs(30));
}

#[test]
fn a_rendezvous_that_is_not_there_is_said_to_be_missing() {
    let mut scene = Scene::new(1);
    let nowhere = "198.18.0.2:444".parse().unwrap();
    let meeting = Some(MeetingConfig { rendezvous: nowhere, ..scene.meeting("tulip") });
    let config = ProbeConfig { meeting, ..scene.config() };
    let probe = scene.probe(HERE, "probe", config);
    let [verdict] = scene.verdicts([probe]);
    let refused = switchboard::machine::port::PortError::Refused;
    assert_eq!(verdict.punched, Some(Punched::NotDirect(NotDirect::NotMet(NotMet::Port(refused)))));
}

#[test]
fn a_word_with_a_space_is_none() {
    let mut scene = Scene::new(1);
    let config = ProbeConfig { meeting: Some(scene.meeting("two words")), ..scene.config() };
    let probe = scene.probe(HERE, "probe", config);
    let [verdict] = scene.verdicts([probe]);
    assert_eq!(verdict.punched, Some(Punched::NotDirect(NotDirect::NotMet(NotMet::Word))));
}

#[test]
fn checks_of_strangers_are_counted_and_get_no_answer() {
    let mut world: World<Box<dyn Machine<Command = (), Event = ProbeEvent>>> = World::new(1);
    let bind = "0.0.0.0:5000".parse().unwrap();
    let silent = MeetingConfig {
        rendezvous: "198.18.0.2:443".parse().unwrap(),
        word: "tulip".to_owned(),
        patience: Duration::from_secs(5),
    };
    let config = ProbeConfig { meeting: Some(silent), ..ProbeConfig::new(vec![PathConfig { bind, stun: None }]) };
    let probe = world.host("probe", Box::new(Probe::new(config)));
    world.host("stranger", Box::new(Stranger::default()));
    world.run_for(Duration::from_secs(10)).unwrap();
    let events = world.events(probe);
    let Some((_, ProbeEvent::Verdict(verdict))) = events.last() else { panic!("{events:?}") };
    assert_eq!((verdict.counters.answered, verdict.counters.foreign), (0, 10));
}

/// Sends ten checks that it cannot sign to UDP port 5000 of the first host, accepts on TCP port 443, and says nothing.
#[derive(Debug, Default)]
struct Stranger {
    ports: Vec<PortId>,
    requests: Vec<(PortId, PortRequest)>,
    left: usize,
    is_ready: bool,
}

impl Machine for Stranger {
    type Command = ();
    type Event = ProbeEvent;

    fn handle(&mut self, _: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Port(port, PortChange::Opened { .. }) if port == self.ports[0] => {
                (self.left, self.is_ready) = (10, true);
            }
            Input::Datagrams(..) => panic!("somebody answered"),
            _ => {}
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<ProbeEvent> {
        if self.ports.is_empty() {
            self.ports = vec![cx.ids.port(), cx.ids.port()];
            let any = |port| std::net::SocketAddr::from(([0, 0, 0, 0], port));
            let specs = [PortSpec::Bind(any(5000)), PortSpec::Listen(any(443))];
            self.requests = self.ports.iter().copied().zip(specs.map(PortRequest::Open)).collect();
        }
        if let Some((port, request)) = self.requests.pop() {
            return Output::Port(port, request);
        }
        if std::mem::take(&mut self.is_ready) {
            return Output::Ready(self.ports[0]);
        }
        Output::Wait(None::<Deadline>)
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        if port != self.ports[0] || self.left == 0 {
            return Fill::Done;
        }
        self.left -= 1;
        let request = Request { username: Some("you:me".to_owned()), ..Request::default() };
        buf.extend(&request.encode_signed(TransactionId::random(cx.rng), "a guess"));
        Fill::Datagrams(Transmit::to("198.18.0.1:5000".parse().unwrap(), buf.len()))
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let hash = |seed| {
        let mut scene = Scene::new(seed);
        let nets = ["a", "b"].map(|name| scene.world.gateway(HERE, name, Gateway::open()).inside());
        let config = scene.config();
        let probes = nets.map(|net| scene.probe(net, "probe", config.clone()));
        scene.verdicts(probes);
        scene.world.transcript_hash()
    };
    assert_eq!(hash(5), hash(5));
}

#[test]
fn a_probe_that_is_over_says_nothing_more() {
    let mut scene = Scene::new(1);
    let config = scene.config();
    let probes = ["a", "b"].map(|name| scene.probe(HERE, name, config.clone()));
    scene.verdicts(probes);
    scene.world.run_for(Duration::from_secs(60)).unwrap();
    for probe in probes {
        assert!(scene.is_over(probe));
        assert_eq!(scene.world.events(probe), []);
    }
    let Node::Rendezvous(rendezvous) = scene.world.machine(scene.meeting) else { panic!() };
    assert_eq!((rendezvous.guests(), rendezvous.counters().pairs), (0, 1));
    let said = scene.world.events(scene.server);
    assert!(matches!(said[0].1, Event::Stun(_)), "{said:?}");
}
