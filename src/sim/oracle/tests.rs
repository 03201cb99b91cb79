//! The oracle against two hosts that try, over all pairs of kinds and over many networks that have no name.

use std::collections::BTreeMap;

use super::bench::{Setup, tried};
use super::{Host, Turn, Verdict};
use crate::machine::rng::Rng;
use crate::sim::filter::Dependence;
use crate::sim::firewall::{FirewallConfig, Inward, Outward};
use crate::sim::kind::{Gateway, NatKind};
use crate::sim::nat::NatConfig;
use crate::sim::nat::faults::Fault;

/// Pairs of kinds for which trying, with that fault in every NAT, does not find what the oracle says.
pub(in crate::sim) fn disagreements(fault: Option<Fault>) -> Vec<String> {
    let mut found = Vec::new();
    for (stun, turn) in [(true, Turn::default()), (false, Turn::default()), (true, Turn::ALL), (false, Turn::ALL)] {
        for [a, b] in pairs() {
            let setups = [a, b].map(|kind| setup(kind, stun, turn));
            let says = verdict(&setups, 0);
            let setups = setups.map(|setup| broken(setup, fault));
            let finds = tried([&setups[0], &setups[1]], 0);
            if says != finds {
                found.push(format!("{a} and {b}, STUN {stun}, {turn:?}: {finds}, not {says}"));
            }
        }
    }
    found
}

#[test]
fn the_matrix_of_all_kinds_agrees_with_the_oracle() {
    assert_eq!(disagreements(None), Vec::<String>::new());
}

/// As the module's documentation derives it by hand.
#[test]
fn the_table_of_kinds_with_stun_is_as_the_rules_have_it() {
    let letters = |a: NatKind| -> String {
        let verdict = |b| verdict(&[a, b].map(|kind| setup(kind, true, Turn::ALL)), 0);
        NatKind::ALL.map(|b| if verdict(b) == Verdict::Direct { 'D' } else { 'r' }).into_iter().collect()
    };
    let table = NatKind::ALL.map(|kind| format!("{kind:16} {}", letters(kind)));
    assert_eq!(
        table,
        [
            "none             DDDDDDDDDDDrr",
            "eim-eif          DDDDDDDDDDDrr",
            "eim-adf          DDDDDDDDDDDrr",
            "eim-apdf         DDDDrrrrrrrrr",
            "adm-eif          DDDrDDrDDrrrr",
            "adm-adf          DDDrDrrDrrrrr",
            "adm-apdf         DDDrrrrrrrrrr",
            "apdm-eif         DDDrDDrrrrrrr",
            "apdm-adf         DDDrDrrrrrrrr",
            "apdm-apdf        DDDrrrrrrrrrr",
            "nested-symmetric DDDrrrrrrrrrr",
            "udp-blocked      rrrrrrrrrrrrr",
            "tcp-443          rrrrrrrrrrrrr",
        ]
    );
}

#[test]
fn without_stun_only_a_host_with_an_address_of_its_own_is_reached() {
    for [a, b] in pairs() {
        let says = verdict(&[a, b].map(|kind| setup(kind, false, Turn::default())), 0);
        let is_open = [a, b].contains(&NatKind::None) && ![a, b].iter().any(|kind| is_blocked(*kind));
        assert_eq!(says == Verdict::Direct, is_open, "{a} and {b}");
    }
}

#[test]
fn hosts_of_one_network_reach_each_other_and_others_inside_only_through_a_gateway_that_hairpins() {
    let home =
        NatKind::Nat { mapping: Dependence::EndpointIndependent, filtering: Dependence::AddressAndPortDependent };
    let carrier = |hairpin| Gateway { nat: Some(NatConfig { hairpin, ..NatConfig::default() }), ..Gateway::default() };
    let both = |hairpin| {
        let gateways = [vec![carrier(hairpin)], home.gateways()].concat();
        [(); 2].map(|()| Setup { gateways: gateways.clone(), stun: true, turn: Turn::ALL })
    };
    assert_eq!(verdict(&both(false), 2), Verdict::Direct);
    assert_eq!(verdict(&both(false), 1), Verdict::Relayed);
    assert_eq!(verdict(&both(true), 1), Verdict::Direct);
}

#[test]
fn a_relay_that_one_host_reaches_serves_the_other_only_if_its_address_is_known() {
    let only = |stun| [setup(NatKind::UdpBlocked, true, Turn::ALL), setup(NatKind::ALL[3], stun, Turn::default())];
    assert_eq!(verdict(&only(true), 0), Verdict::Relayed);
    assert_eq!(verdict(&only(false), 0), Verdict::Impossible);
    let by_udp = Turn { udp: true, ..Turn::default() };
    let blocked = [setup(NatKind::UdpBlocked, true, by_udp), setup(NatKind::None, true, by_udp)];
    assert_eq!(verdict(&blocked, 0), Verdict::Impossible);
    let by_tcp = Turn { tcp: true, ..Turn::default() };
    assert_eq!(
        verdict(&[NatKind::UdpBlocked, NatKind::TcpOnly443].map(|a| setup(a, true, by_tcp)), 0),
        Verdict::Impossible
    );
    let by_tls = Turn { tls: true, ..Turn::default() };
    assert_eq!(
        verdict(&[NatKind::UdpBlocked, NatKind::TcpOnly443].map(|a| setup(a, true, by_tls)), 0),
        Verdict::Relayed
    );
}

#[test]
fn the_oracle_imports_nothing_of_the_simulator() {
    for text in [include_str!("../oracle.rs"), include_str!("reach.rs")] {
        let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
        let uses: Vec<_> = code.filter(|line| line.contains("crate") || line.contains("super::")).collect();
        assert!(uses.iter().all(|line| *line == "use super::{Depends, Gateway, sends_udp};"), "{uses:?}");
    }
}

#[test]
fn hosts_need_a_family_in_common_and_the_better_one_counts() {
    let symmetric = NatKind::NestedSymmetric.gateways();
    let host = |v4: bool, v6: bool| Host {
        v4: v4.then(|| symmetric.iter().copied().map(Gateway::v4).collect()),
        v6: v6.then(|| symmetric.iter().copied().map(Gateway::v6).collect()),
        stun: true,
        turn: Turn::ALL,
    };
    assert_eq!(Verdict::of(&host(true, false), &host(true, false), 0), Verdict::Relayed);
    assert_eq!(Verdict::of(&host(true, true), &host(true, true), 0), Verdict::Direct);
    assert_eq!(Verdict::of(&host(true, true), &host(false, true), 0), Verdict::Direct);
    assert_eq!(Verdict::of(&host(true, false), &host(false, true), 0), Verdict::Relayed);
    let alone = |host: Host| Host { turn: Turn::default(), ..host };
    assert_eq!(Verdict::of(&alone(host(true, false)), &alone(host(false, true)), 0), Verdict::Impossible);
}

#[test]
fn networks_without_a_name_agree_with_the_oracle() {
    let mut histogram = BTreeMap::new();
    for seed in 0..20_000 {
        let (setups, shared) = network(&mut Rng::from_u64(seed));
        let (says, finds) = (verdict(&setups, shared), tried([&setups[0], &setups[1]], shared));
        assert_eq!(says, finds, "seed {seed}: the first {shared} shared of {:#?}", setups.each_ref().map(host));
        *histogram.entry((says.to_string(), shared.min(1))).or_insert(0) += 1;
    }
    println!("{histogram:?}");
    assert!(histogram.len() == 6 && histogram.values().all(|count| *count > 200), "{histogram:?}");
}

fn network(rng: &mut Rng) -> ([Setup; 2], usize) {
    let shared = rng.below(3).saturating_sub(u64::from(rng.chance(0.5))) as usize;
    let common: Vec<_> = (0..shared).map(|_| gateway(rng)).collect();
    let turns = [Turn::default(), Turn::ALL, Turn { tcp: true, ..Turn::default() }];
    let setups = [(); 2].map(|()| {
        let own: Vec<_> = (0..rng.below(3)).map(|_| gateway(rng)).collect();
        let turn = turns[rng.below(3) as usize];
        Setup { gateways: [common.clone(), own].concat(), stun: rng.chance(0.8), turn }
    });
    (setups, shared)
}

fn gateway(rng: &mut Rng) -> Gateway {
    let mut any = || Dependence::ALL[rng.below(3) as usize];
    let (mapping, filtering, guard) = (any(), any(), any());
    let nat = NatConfig { hairpin: rng.chance(0.5), ..NatConfig::new(mapping, filtering) };
    let outward = match rng.below(12) {
        0 => Outward::NoUdp,
        1 => Outward::TcpOnly443,
        _ => Outward::All,
    };
    let inward = if rng.chance(0.5) { Inward::Answers(guard) } else { Inward::All };
    let firewall = FirewallConfig::new(outward, inward);
    Gateway { nat: rng.chance(0.7).then_some(nat), firewall, ..Gateway::default() }
}

fn pairs() -> impl Iterator<Item = [NatKind; 2]> {
    NatKind::ALL.into_iter().flat_map(|a| NatKind::ALL.map(|b| [a, b]))
}

fn is_blocked(kind: NatKind) -> bool {
    matches!(kind, NatKind::UdpBlocked | NatKind::TcpOnly443)
}

fn setup(kind: NatKind, stun: bool, turn: Turn) -> Setup {
    Setup { gateways: kind.gateways(), stun, turn }
}

fn broken(mut setup: Setup, fault: Option<Fault>) -> Setup {
    setup.gateways.iter_mut().filter_map(|gateway| gateway.nat.as_mut()).for_each(|nat| nat.fault = fault);
    setup
}

fn verdict(setups: &[Setup; 2], shared: usize) -> Verdict {
    let [a, b] = setups.each_ref().map(host);
    Verdict::of(&a, &b, shared)
}

fn host(setup: &Setup) -> Host {
    let gateways = setup.gateways.iter().copied().map(Gateway::v4).collect();
    Host { v4: Some(gateways), v6: None, stun: setup.stun, turn: setup.turn }
}
