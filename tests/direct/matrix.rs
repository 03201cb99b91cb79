//! Every pair of kinds of NAT, with every sort of servers, by every family: which path a session comes to have, held
//! against the oracle, and how long that takes and what it costs, held against the tables in `golden/`.
//!
//! `SWITCHBOARD_GOLDEN=write` writes the tables anew. What becomes of a cell must be as the table says; its time may differ
//! by less than a round trip, its traffic by a quarter, so that a table is out of date only when something has really
//! changed.
//!
//! A cell reads `D162/4/0`: a direct path (`D`), one through TURN (`T`), or none, so that the hub's relay carries all
//! (`R`); the milliseconds from the session's start until both sides use the path, or a letter for the reason that is
//! explained (`golden.rs`); kilobytes through the hub's relay, and through TURN, for signals and 60 messages of 1,000
//! bytes.

mod cell;
mod golden;
mod networks;

use std::collections::BTreeMap;

use cell::{Cell, Family, Outcome, Servers};
use switchboard::sim::NatKind;

use crate::party::engines;

/// Plays the cells of one sort of servers.
fn play(servers: Servers) {
    let mut cells = BTreeMap::new();
    let mut wrong = Vec::new();
    let places = Family::ALL.into_iter().flat_map(|family| {
        let row = move |a| NatKind::ALL.map(|b| (family, [a, b]));
        NatKind::ALL.into_iter().flat_map(row)
    });
    let mut carried = BTreeMap::new();
    for (n, (family, pair)) in places.enumerate() {
        let engines = engines(n as u64);
        *carried.entry(format!("{engines:?}")).or_insert(0) += 1;
        let cell = Cell::play(servers, family, pair, engines);
        wrong.extend(cell.flaw(servers, family, pair));
        cells.insert((family, pair), cell);
    }
    println!("{servers}: {}; {carried:?}", summary(cells.values()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if golden::writes() {
        return golden::write(servers, &cells);
    }
    let changed = golden::differences(servers, &cells);
    assert!(changed.is_empty(), "{}\n(SWITCHBOARD_GOLDEN=write writes the tables anew)", changed.join("\n"));
}

fn summary<'a>(cells: impl Iterator<Item = &'a Cell>) -> String {
    let mut times = Vec::new();
    let mut counts = BTreeMap::new();
    for cell in cells {
        *counts.entry(cell.outcome.letter()).or_insert(0) += 1;
        if let Outcome::Direct(time) | Outcome::Turn(time) = cell.outcome {
            times.push(time);
        }
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    format!("{counts:?}, median {median:?}, longest {:?}", times.last().copied().unwrap_or_default())
}

#[test]
fn without_servers_sessions_are_as_direct_as_the_oracle_says() {
    play(Servers::None);
}

#[test]
fn with_stun_sessions_are_as_direct_as_the_oracle_says() {
    play(Servers::Stun);
}

#[test]
fn with_stun_and_turn_over_udp_sessions_are_as_direct_as_the_oracle_says() {
    play(Servers::TurnUdp);
}

#[test]
fn with_turn_over_tcp_sessions_are_as_direct_as_the_oracle_says() {
    play(Servers::TurnTcp);
}

#[test]
fn with_turn_over_tls_sessions_are_as_direct_as_the_oracle_says() {
    play(Servers::TurnTls);
}
