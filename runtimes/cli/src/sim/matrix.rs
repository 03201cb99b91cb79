//! `sim matrix`: who punches a hole to whom, held against the oracle.

mod world;

use serde_json::json;
use switchboard::sim::oracle::Verdict;
use switchboard::sim::{Cell, Class, Matrix, NatKind};
use switchboard::stack::probe::Punched;

use super::write;
use crate::args::MatrixArgs;
use crate::outcome::{Code, Failure};
use crate::report;
use crate::table::Table;

/// What became of one pair.
struct Pair {
    kinds: [NatKind; 2],
    oracle: Verdict,
    punched: Punched,
}

impl Pair {
    const fn is_direct(&self) -> bool {
        matches!(self.punched, Punched::Direct(_))
    }

    fn agrees(&self) -> bool {
        self.is_direct() == (self.oracle == Verdict::Direct)
    }

    fn after_millis(&self) -> Option<u64> {
        match self.punched {
            Punched::Direct(direct) => Some(direct.after.as_millis() as u64),
            Punched::NotDirect(_) => None,
        }
    }
}

pub(super) fn run(args: &MatrixArgs, json: bool) -> Result<(), Failure> {
    let mut pairs = Vec::new();
    for a in NatKind::ALL {
        for b in NatKind::ALL {
            let punched = world::punch(args.seed, [a, b]).map_err(|error| Failure::new(Code::Failed, error))?;
            let pair = Pair { kinds: [a, b], oracle: world::oracle([a, b]), punched };
            if json {
                report::output(&object(&pair).to_string())?;
            }
            pairs.push(pair);
        }
    }
    if let Some(out) = &args.svg {
        let mut bytes = Vec::new();
        // A vector takes everything.
        _ = picture(&pairs, args.seed).write_svg(&mut bytes);
        write(out, &bytes)?;
    }
    conclude(&pairs, json)
}

fn object(pair: &Pair) -> serde_json::Value {
    json!({
        "a": pair.kinds[0].to_string(),
        "b": pair.kinds[1].to_string(),
        "direct": pair.is_direct(),
        "after_ms": pair.after_millis(),
        "oracle": pair.oracle.to_string(),
        "agrees": pair.agrees(),
    })
}

fn conclude(pairs: &[Pair], json: bool) -> Result<(), Failure> {
    if !json {
        report::output(&format!("{}", table(pairs)))?;
        let direct = pairs.iter().filter(|pair| pair.is_direct()).count();
        report::output(&format!(
            "+ direct ({direct} of {}), r through a relay only, - not at all; rows and columns in the same order",
            pairs.len()
        ))?;
    }
    let wrong: Vec<_> = pairs
        .iter()
        .filter(|pair| !pair.agrees())
        .map(|pair| format!("{} and {}", pair.kinds[0], pair.kinds[1]))
        .collect();
    match &wrong[..] {
        [] => Ok(()),
        wrong => Err(Failure::new(Code::Imperfect, format!("the oracle disagrees on {}", wrong.join(", ")))),
    }
}

fn rows(pairs: &[Pair]) -> impl Iterator<Item = &[Pair]> {
    pairs.chunks(NatKind::ALL.len())
}

fn table(pairs: &[Pair]) -> Table {
    let names = NatKind::ALL.map(|kind| kind.to_string());
    let mut head = vec![""];
    let numbers: Vec<_> = (1..=names.len()).map(|number| number.to_string()).collect();
    head.extend(numbers.iter().map(String::as_str));
    let mut table = Table::new(&head);
    for (number, row) in rows(pairs).enumerate() {
        let marks = row.iter().map(|pair| mark(pair).to_owned());
        let name = format!("{} {:>2}", names[number], number + 1);
        table.row(&std::iter::once(name).chain(marks).collect::<Vec<_>>());
    }
    table
}

fn mark(pair: &Pair) -> &'static str {
    match (pair.agrees(), pair.oracle) {
        (false, _) => "WRONG",
        (true, Verdict::Direct) => "+",
        (true, Verdict::Relayed) => "r",
        (true, Verdict::Impossible) => "-",
    }
}

fn picture(pairs: &[Pair], seed: u64) -> Matrix {
    let names: Vec<_> = NatKind::ALL.iter().map(ToString::to_string).collect();
    Matrix {
        title: format!("Who punches a hole to whom (seed {seed})"),
        axes: ["one host behind".to_owned(), "the other behind".to_owned()],
        rows: names.clone(),
        columns: names,
        cells: rows(pairs).map(|row| row.iter().map(cell).collect()).collect(),
        legend: vec![
            (Class::Good, "a direct path, and the time until it was found".to_owned()),
            (Class::Fair, "only through a relay".to_owned()),
            (Class::Bad, "not at all".to_owned()),
            (Class::Wrong, "the oracle says something else".to_owned()),
        ],
    }
}

fn cell(pair: &Pair) -> Cell {
    let [a, b] = pair.kinds;
    let class = match (pair.agrees(), pair.oracle) {
        (false, _) => Class::Wrong,
        (true, Verdict::Direct) => Class::Good,
        (true, Verdict::Relayed) => Class::Fair,
        (true, Verdict::Impossible) => Class::Bad,
    };
    let text = pair.after_millis().map_or_else(|| mark(pair).to_owned(), |millis| format!("{millis} ms"));
    let more = match pair.punched {
        Punched::Direct(direct) => format!("{a} and {b}: {} to {}", direct.local, direct.remote),
        Punched::NotDirect(why) => format!("{a} and {b}: {why}; the oracle says {}", pair.oracle),
    };
    Cell { class, text, more }
}
