//! All kinds of NAT, each alone and each against each.

use switchboard::link::stun::{Dependence as Found, Discovered};
use switchboard::sim::oracle::{self, Verdict};
use switchboard::sim::{Dependence, Gateway, NatKind};
use switchboard::stack::probe::{PathVerdict, Punched};

use crate::scene::{Scene, discovered};

const fn found(dependence: Dependence) -> Found {
    match dependence {
        Dependence::EndpointIndependent => Found::EndpointIndependent,
        Dependence::AddressDependent => Found::AddressDependent,
        Dependence::AddressAndPortDependent => Found::AddressAndPortDependent,
    }
}

/// What a kind maps and filters by; none where no UDP gets through.
const fn made_as(kind: NatKind) -> Option<(Found, Found)> {
    match kind {
        NatKind::None => Some((Found::EndpointIndependent, Found::EndpointIndependent)),
        NatKind::Nat { mapping, filtering } => Some((found(mapping), found(filtering))),
        NatKind::NestedSymmetric => Some((Found::AddressAndPortDependent, Found::AddressAndPortDependent)),
        NatKind::UdpBlocked | NatKind::TcpOnly443 => None,
    }
}

#[test]
fn discovery_says_of_each_kind_what_it_maps_and_filters_by() {
    for kind in NatKind::ALL {
        let mut scene = Scene::new(1);
        let net = scene.world.behind("home", kind);
        let verdict = discovered(&mut scene, net);
        let Some((mapping, filtering)) = made_as(kind) else {
            assert_eq!(verdict, PathVerdict::Asked(Discovered::NoAnswer), "{kind}");
            continue;
        };
        let PathVerdict::Asked(Discovered::Behaviour(behaviour)) = verdict else { panic!("{kind}: {verdict:?}") };
        assert_eq!((behaviour.mapping, behaviour.filtering), (Some(mapping), Some(filtering)), "{kind}");
        assert_eq!(behaviour.is_translated(), Some(kind != NatKind::None), "{kind}");
    }
}

fn oracle(kind: NatKind) -> oracle::Host {
    let v4 = Some(kind.gateways().into_iter().map(Gateway::v4).collect());
    oracle::Host { v4, stun: true, ..oracle::Host::default() }
}

/// Whether two probes behind these kinds reach each other.
fn punched([a, b]: [NatKind; 2]) -> bool {
    let mut scene = Scene::new(7);
    let nets = [scene.world.behind("a", a), scene.world.behind("b", b)];
    let config = scene.config();
    let probes = nets.map(|net| scene.probe(net, "probe", config.clone()));
    let [first, second] = scene.verdicts(probes);
    match (first.punched.unwrap(), second.punched.unwrap()) {
        (Punched::Direct(ours), Punched::Direct(theirs)) => {
            assert_eq!((ours.local, ours.remote), (theirs.remote, theirs.local), "{a} and {b}: one path");
            true
        }
        (Punched::NotDirect(_), Punched::NotDirect(_)) => false,
        (first, second) => panic!("{a} and {b} do not agree: {first:?}, {second:?}"),
    }
}

#[test]
fn two_probes_reach_each_other_wherever_the_oracle_says_so_and_nowhere_else() {
    let mut counts = [0, 0];
    let mut wrong = Vec::new();
    for a in NatKind::ALL {
        for b in NatKind::ALL {
            let is_expected = Verdict::of(&oracle(a), &oracle(b), 0) == Verdict::Direct;
            let is_direct = punched([a, b]);
            counts[usize::from(is_direct)] += 1;
            if is_direct != is_expected {
                wrong.push(format!("{a} and {b}: the oracle says {is_expected}"));
            }
        }
    }
    println!("direct {}, not direct {}", counts[1], counts[0]);
    assert_eq!(wrong, Vec::<String>::new());
}
