//! The tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use switchboard::hub::explain::NotDirect;
use switchboard::sim::NatKind;

use super::cell::{Cell, Family, Outcome, Servers};

type Place = (Family, [NatKind; 2]);

/// Whether the tables are written and not compared.
pub(super) fn writes() -> bool {
    std::env::var("SWITCHBOARD_GOLDEN").is_ok_and(|golden| golden == "write")
}

fn path(servers: Servers) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/direct/golden/{servers}.txt"))
}

pub(super) fn write(servers: Servers, cells: &BTreeMap<Place, Cell>) {
    let mut out = String::new();
    for family in Family::ALL {
        _ = writeln!(out, "{family}");
        for a in NatKind::ALL {
            let row = NatKind::ALL.map(|b| format!("{:13}", text(&cells[&(family, [a, b])])));
            _ = writeln!(out, "{a:17}{}", row.concat().trim_end());
        }
    }
    std::fs::write(path(servers), out).unwrap();
}

fn text(cell: &Cell) -> String {
    let what = match &cell.outcome {
        Outcome::Direct(time) | Outcome::Turn(time) => time.as_millis().to_string(),
        Outcome::Relayed(reason) => letter(reason).to_string(),
        Outcome::Split(what) => what.clone(),
    };
    let kilobytes = |bytes: u64| (bytes + 500) / 1000;
    format!("{}{what}/{}/{}", cell.outcome.letter(), kilobytes(cell.relay[0]), kilobytes(cell.turn[0]))
}

/// No servers, UDP is blocked, both NATs map by destination, one does and the other filters, TURN does not answer, checks
/// are not answered.
fn letter(reason: &NotDirect) -> char {
    match reason {
        NotDirect::UdpBlocked(_) => 'u',
        NotDirect::NoServers(_) => 's',
        NotDirect::BothNatsDependent => 'b',
        NotDirect::DependentAndFiltered { .. } => 'f',
        NotDirect::TurnUnreachable(_) => 't',
        NotDirect::ChecksUnanswered => 'c',
        other => panic!("{other:?}"),
    }
}

/// The cells that are not as the table has them.
pub(super) fn differences(servers: Servers, cells: &BTreeMap<Place, Cell>) -> Vec<String> {
    let table = std::fs::read_to_string(path(servers)).unwrap();
    let table = parse(&table);
    let differs = |(place, cell): (&Place, &Cell)| {
        let (was, is) = (table[place], text(cell));
        let (family, [a, b]) = place;
        (!alike(was, &is)).then(|| format!("{servers}, {family}, {a} and {b}: {was} was, {is} is"))
    };
    cells.iter().filter_map(differs).collect()
}

fn parse(table: &str) -> BTreeMap<Place, &str> {
    let mut cells = BTreeMap::new();
    let mut family = Family::V4;
    for line in table.lines() {
        if let Some(next) = Family::ALL.into_iter().find(|family| family.to_string() == line) {
            family = next;
            continue;
        }
        let (a, row) = line.split_once(' ').unwrap();
        let a = a.parse().unwrap();
        cells.extend(NatKind::ALL.into_iter().zip(row.split_whitespace()).map(|(b, cell)| ((family, [a, b]), cell)));
    }
    cells
}

/// The same outcome for the same reason; a time that differs by less than a round trip between networks, and traffic that
/// differs by less than a quarter and a bit.
fn alike(was: &str, is: &str) -> bool {
    let mut pairs = was[1..].split('/').zip(is[1..].split('/')).zip([(20, 10), (4, 4), (4, 4)]);
    was[..1] == is[..1]
        && pairs.all(|((was, is), (part, bit))| match (was.parse::<u64>(), is.parse::<u64>()) {
            (Ok(was), Ok(is)) => was.abs_diff(is) <= was / part + bit,
            _ => was == is,
        })
}
