//! Discovery where something is missing or different.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard::link::stun::{Dependence, Discovered};
use switchboard::machine::port::PortError;
use switchboard::sim::{Dependence as By, Gateway, NatConfig, NatKind, Profile};
use switchboard::stack::probe::{PathConfig, PathVerdict, ProbeConfig, ProbeEvent};

use crate::scene::{Event, HERE, Scene, discovered};

#[test]
fn a_probe_without_a_partner_says_its_address_and_then_its_verdict() {
    let mut scene = Scene::new(1);
    let net = scene.world.behind("home", "eim-apdf".parse().unwrap());
    let config = ProbeConfig { meeting: None, ..scene.config() };
    let probe = scene.probe(net, "probe", config);
    scene.world.run_for(Duration::from_secs(30)).unwrap();
    let said: Vec<_> = scene.world.events(probe).into_iter().map(|(_, event)| event).collect();
    let [
        Event::Probe(ProbeEvent::Discovered { path: 0, verdict: PathVerdict::Asked(Discovered::Behaviour(found)) }),
        Event::Probe(ProbeEvent::Verdict(_)),
    ] = &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!(found.reflexive.ip().to_string(), "198.18.0.4");
    assert_eq!(found.rtt, Duration::from_millis(21), "10 ms to the server, half of one to the gateway, and back");
    assert_eq!(scene.asked().malformed, 0);
}

#[test]
fn a_server_with_one_address_tells_the_address_and_nothing_of_the_nat() {
    let mut scene = Scene::by(1, true, false);
    let net = scene.world.behind("home", "eim-apdf".parse().unwrap());
    let PathVerdict::Asked(Discovered::Behaviour(found)) = discovered(&mut scene, net) else { panic!() };
    assert_eq!((found.mapping, found.filtering), (None, None));
    assert_eq!(found.is_translated(), Some(true));
}

#[test]
fn a_nat_that_hairpins_is_seen_to() {
    for hairpin in [false, true] {
        let mut scene = Scene::new(1);
        let nat = NatConfig { hairpin, ..NatConfig::new(By::EndpointIndependent, By::AddressAndPortDependent) };
        let home = scene.world.gateway(HERE, "home", Gateway { nat: Some(nat), ..Gateway::default() });
        let PathVerdict::Asked(Discovered::Behaviour(found)) = discovered(&mut scene, home.inside()) else { panic!() };
        assert_eq!(found.hairpins, Some(hairpin));
    }
}

#[test]
fn ipv6_is_asked_by_ipv6() {
    let mut scene = Scene::by(1, false, true);
    let home = scene.world.gateway(HERE, "home", Gateway::default());
    let bind = "[::]:0".parse().unwrap();
    let config = ProbeConfig::new(vec![PathConfig { bind, stun: Some(scene.stun(false)) }]);
    let probe = scene.probe(home.inside(), "probe", config);
    let [verdict] = scene.verdicts([probe]);
    let PathVerdict::Asked(Discovered::Behaviour(found)) = verdict.paths[0] else { panic!("{verdict:?}") };
    assert_eq!(found.is_translated(), Some(false));
    assert_eq!(found.filtering, Some(Dependence::AddressAndPortDependent), "its router lets only answers in");
}

#[test]
fn both_families_are_probed_side_by_side() {
    let mut scene = Scene::new(1);
    let silent = SocketAddr::new(scene.world.address_v6(scene.meeting), 3478);
    let paths = vec![
        PathConfig { bind: "0.0.0.0:0".parse().unwrap(), stun: Some(scene.stun(true)) },
        PathConfig { bind: "[::]:0".parse().unwrap(), stun: Some(silent) },
        PathConfig { bind: "0.0.0.0:0".parse().unwrap(), stun: None },
    ];
    let probe = scene.probe(HERE, "probe", ProbeConfig::new(paths));
    let [verdict] = scene.verdicts([probe]);
    assert!(matches!(verdict.paths[0], PathVerdict::Asked(Discovered::Behaviour(_))), "{verdict:?}");
    assert_eq!(verdict.paths[1..], [PathVerdict::Asked(Discovered::NoAnswer), PathVerdict::NotAsked]);
}

#[test]
fn an_address_that_is_not_this_hosts_is_said_to_be_none() {
    let mut scene = Scene::new(1);
    let bind = "198.18.1.1:0".parse().unwrap();
    let config = ProbeConfig::new(vec![PathConfig { bind, stun: Some(scene.stun(true)) }]);
    let probe = scene.probe(HERE, "probe", config);
    let [verdict] = scene.verdicts([probe]);
    assert_eq!(verdict.paths, [PathVerdict::NoSocket(PortError::AddressNotAvailable)]);
}

#[test]
fn discovery_says_the_same_over_links_that_lose_packets() {
    for profile in [Profile::CongestedWifi, Profile::Weak4g, Profile::Satellite] {
        for code in ["eim-adf", "adm-apdf", "apdm-eif"] {
            let kind: NatKind = code.parse().unwrap();
            let mut scene = Scene::new(3);
            let home = scene.world.gateways(HERE, "home", kind).unwrap();
            scene.world.link(home, profile.link());
            let PathVerdict::Asked(Discovered::Behaviour(found)) = discovered(&mut scene, home.inside()) else {
                panic!("{code}")
            };
            let NatKind::Nat { mapping, filtering } = kind else { unreachable!() };
            let made_as = [mapping, filtering].map(|by| format!("{by:?}"));
            let found = [found.mapping, found.filtering].map(|by| format!("{:?}", by.unwrap()));
            assert_eq!(found, made_as, "{code} over {profile:?}");
        }
    }
}
