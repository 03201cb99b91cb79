//! Every pair of kinds of NAT, with every sort of servers, by every family: which path a session comes to have, held
//! against the oracle, and how long that takes and what it costs, held against the tables in `golden/`.
//!
//! A run plays each two kinds once with each sort of servers, in one of their orders and by one of the families;
//! `SWITCHBOARD_CAMPAIGN=full` plays all, and `SWITCHBOARD_GOLDEN=write` does so and writes the tables anew. What becomes of a cell must be as the table says; its figures may differ by a quarter, so that a table
//! is out of date only when something has really changed.
//!
//! A cell reads `D162/4/0`: a direct path (`D`), one through TURN (`T`), or none, so that the hub's relay carries all
//! (`R`); the milliseconds from the session's start until both sides use the path, or a letter for the reason that is
//! explained (`golden.rs`); kilobytes through the hub's relay, and through TURN, for signals and 60 messages of 1,000 bytes.

mod cell;
mod golden;
mod networks;

use std::collections::BTreeMap;

use cell::{Cell, Family, Outcome, Servers};
use switchboard::machine::rng::Rng;
use switchboard::sim::NatKind;

type Pair = [NatKind; 2];

fn is_campaign() -> bool {
    golden::writes() || std::env::var("SWITCHBOARD_CAMPAIGN").is_ok_and(|campaign| campaign == "full")
}

/// The cells to be played with one sort of servers.
fn places(rng: &mut Rng) -> Vec<(Family, Pair)> {
    let all = NatKind::ALL.into_iter().flat_map(|a| NatKind::ALL.map(|b| [a, b]));
    if is_campaign() {
        return all.flat_map(|pair| Family::ALL.map(|family| (family, pair))).collect();
    }
    let ordered = all.filter(|[a, b]| a <= b);
    ordered.map(|[a, b]| (one_of(rng), if rng.chance(0.5) { [a, b] } else { [b, a] })).collect()
}

/// IPv4 twice as often as the others: it has the NATs.
fn one_of(rng: &mut Rng) -> Family {
    [Family::V4, Family::V4, Family::V6, Family::Both][rng.below(4) as usize]
}

/// Plays the cells of one sort of servers.
fn play(servers: Servers) {
    let mut rng = Rng::from_u64(servers as u64 + 1);
    let mut cells = BTreeMap::new();
    let mut wrong = Vec::new();
    for (family, pair) in places(&mut rng) {
        let cell = Cell::play(servers, family, pair);
        wrong.extend(cell.flaw(servers, family, pair));
        cells.insert((family, pair), cell);
    }
    println!("{servers}: {}", summary(cells.values()));
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
