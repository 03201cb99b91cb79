//! Networks that have no name: any gateways one behind the other, some of them shared, any servers, any families.
//! `SWITCHBOARD_CAMPAIGN=full` plays many more.

use std::collections::BTreeMap;

use switchboard::machine::rng::Rng;
use switchboard::sim::oracle::{Turn, Verdict};
use switchboard::sim::{Dependence, FirewallConfig, Gateway, Inward, NatConfig, Outward};

use super::cell::{Cell, host};
use crate::common::campaign;
use crate::party::engines;
use crate::scene::{Side, stun, turn};

/// What one side has, and what the oracle knows of that.
#[derive(Debug)]
struct Given {
    gateways: Vec<Gateway>,
    families: [bool; 2],
    stun: bool,
    turn: Turn,
}

impl Given {
    fn side(&self) -> Side {
        let Turn { udp, tcp, tls } = self.turn;
        let turns = [(udp, "turn:turn.test"), (tcp, "turn:turn.test?transport=tcp"), (tls, "turns:turn.test:443")];
        let turns = turns.into_iter().filter(|(has, _)| *has).map(|(_, uri)| turn(uri));
        let stun = if self.stun { stun() } else { Vec::new() };
        let servers = stun.into_iter().chain(turns).collect();
        Side { gateways: self.gateways.clone(), families: self.families, servers, ..Side::default() }
    }
}

fn gateway(rng: &mut Rng) -> Gateway {
    let mut any = || Dependence::ALL[rng.below(3) as usize];
    let (mapping, filtering, guard, guard_v6) = (any(), any(), any(), any());
    let nat = NatConfig { hairpin: rng.chance(0.5), ..NatConfig::new(mapping, filtering) };
    let outward = match rng.below(12) {
        0 => Outward::NoUdp,
        1 => Outward::TcpOnly443,
        _ => Outward::All,
    };
    let mut answers = |filter| if rng.chance(0.5) { Inward::Answers(filter) } else { Inward::All };
    let (inward, inward_v6) = (answers(guard), answers(guard_v6));
    // IPv4 is not routed inwards in a world.
    Gateway { nat: Some(nat), firewall: FirewallConfig::new(outward, inward), inward_v6 }
}

fn network(rng: &mut Rng) -> ([Given; 2], usize) {
    let shared = rng.below(3).saturating_sub(u64::from(rng.chance(0.5))) as usize;
    let common: Vec<_> = (0..shared).map(|_| gateway(rng)).collect();
    let given = [(); 2].map(|()| {
        let own: Vec<_> = (0..rng.below(3)).map(|_| gateway(rng)).collect();
        let families = [[true, false], [true, false], [false, true], [true, true]][rng.below(4) as usize];
        let turn = match rng.below(5) {
            0 => Turn { udp: true, ..Turn::default() },
            1 => Turn { tcp: true, ..Turn::default() },
            2 => Turn { tls: true, ..Turn::default() },
            _ => Turn::default(),
        };
        Given { gateways: [common.clone(), own].concat(), families, stun: rng.chance(0.8), turn }
    });
    (given, shared)
}

#[test]
fn networks_without_a_name_agree_with_the_oracle() {
    let (mut histogram, mut carried) = (BTreeMap::new(), BTreeMap::new());
    let mut wrong = Vec::new();
    for seed in 0..if campaign::is_full() { 5_000 } else { 300 } {
        let (given, shared) = network(&mut Rng::from_u64(seed));
        let [a, b] = given.each_ref().map(|side| host(&side.gateways, side.families, (side.stun, side.turn)));
        let says = Verdict::of(&a, &b, shared);
        let engines = engines(seed);
        let sides = [0, 1].map(|n| Side { engine: engines[n], ..given[n].side() });
        let cell = Cell::of(seed, sides, shared);
        if !cell.is_as(says) {
            wrong.push(format!("seed {seed}: {cell:?} where the oracle says {says}: {shared} shared of {given:?}"));
        }
        *histogram.entry((says.to_string(), shared.min(1))).or_insert(0) += 1;
        *carried.entry(format!("{engines:?}")).or_insert(0) += 1;
    }
    println!("{histogram:?}; {carried:?}");
    assert!(wrong.is_empty(), "{} networks:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(histogram.len(), 6, "{histogram:?}");
}
