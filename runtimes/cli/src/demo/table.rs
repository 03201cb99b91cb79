//! The result of the demonstration: tables for people, an object for programs.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use serde_json::json;

use super::Outcome;
use super::paths::Use;
use crate::table::grouped;

const HEAD: [&str; 7] = ["sent", "received", "lost", "repeated", "out of order", "longest stall", "path changes"];
const PATHS: [&str; 3] = ["from", "stall", "path"];

/// Whether colours are used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    coloured: bool,
}

impl Style {
    /// Coloured on a terminal, unless `NO_COLOR` is set.
    pub(super) fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { coloured: wanted && io::stdout().is_terminal() }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

pub(super) fn text(outcome: &Outcome, style: Style) -> String {
    let verdict = if outcome.is_perfect() {
        style.paint("32", "Every message arrived, once and in order.")
    } else {
        style.paint("31", "NOT every message arrived, once and in order.")
    };
    let rows: Vec<_> = outcome.paths.uses.iter().map(|used| row(outcome, used)).collect();
    let (paths, counts) = (table(PATHS, &rows, style), table(HEAD, &[cells(outcome)], style));
    ["", &paths, "", &counts, "", &verdict].join("\n")
}

/// A path in use: since when, and how long the messages stood still for it.
fn row(outcome: &Outcome, used: &Use) -> [String; PATHS.len()] {
    let (at, stall) = (outcome.paths.at(used), stall(outcome, used).as_millis());
    [format!("{:.2} s", at.as_secs_f64()), format!("{stall} ms"), used.text.clone()]
}

/// The first path is no change.
fn stall(outcome: &Outcome, used: &Use) -> Duration {
    let is_first = outcome.paths.uses.first().is_some_and(|first| first.from == used.from);
    if is_first { Duration::ZERO } else { outcome.tally.stall_at(used.from) }
}

fn table<const N: usize>(head: [&str; N], rows: &[[String; N]], style: Style) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).chain([head[at].len()]).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * (N - 1));
    let head = style.paint("1", &aligned(&head.map(str::to_owned), &widths));
    let rows = rows.iter().map(|row| aligned(row, &widths));
    [head, rule].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

pub(super) fn json(outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let path = |used: &Use| {
        json!({
            "at_ms": outcome.paths.at(used).as_millis() as u64,
            "stall_ms": stall(outcome, used).as_millis() as u64,
            "direct": used.direct,
            "path": used.text,
        })
    };
    let paths: Vec<_> = outcome.paths.uses.iter().map(path).collect();
    json!({
        "sent": outcome.sent,
        "received": tally.received,
        "lost": tally.lost,
        "repeated": tally.repeated,
        "out_of_order": tally.out_of_order,
        "stall_ms": tally.stall.as_millis() as u64,
        "path_changes": outcome.paths.changes(),
        "paths": paths,
    })
    .to_string()
}

fn cells(outcome: &Outcome) -> [String; HEAD.len()] {
    let tally = &outcome.tally;
    [
        grouped(outcome.sent),
        grouped(tally.received),
        grouped(tally.lost),
        grouped(tally.repeated),
        grouped(tally.out_of_order),
        format!("{} ms", tally.stall.as_millis()),
        grouped(outcome.paths.changes()),
    ]
}

/// Numbers to the right, a last column of words to the left.
fn aligned<const N: usize>(cells: &[String; N], widths: &[usize]) -> String {
    let is_words = N == PATHS.len();
    let cells = cells.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at {
        at if is_words && at + 1 == N => cell.clone(),
        _ => format!("{cell:>width$}"),
    });
    cells.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use switchboard::hub::explain::Explanation;
    use switchboard::hub::session::event::{PathId, PathReport};

    use super::super::paths::Paths;
    use super::super::tally::{Tally, payload};
    use super::*;

    #[test]
    fn the_columns_of_the_tables_are_aligned() {
        let outcome = Outcome { sent: 123_456_789, paths: Paths::new(Instant::now()), tally: Tally::new() };
        let text = text(&outcome, Style { coloured: false });
        let lines: Vec<_> = text.lines().skip(4).take(3).collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        assert!(text.ends_with("NOT every message arrived, once and in order."));
    }

    #[test]
    fn each_path_has_a_line_with_its_stall() {
        let (start, mut tally) = (Instant::now(), Tally::new());
        let mut paths = Paths::new(start);
        for (at, number, direct) in [(0, 0, false), (10, 1, false), (410, 2, true), (420, 3, true)] {
            let at = start + Duration::from_millis(at);
            tally.count(at, &payload(number));
            let path = PathReport { path: PathId(direct.into()), direct, rtt: None };
            paths.note(at, &Explanation { path: Some(path), pair: None, not_direct: None, again_in: None });
        }
        let text = text(&Outcome { sent: 4, paths, tally }, Style { coloured: false });
        let lines: Vec<_> = text.lines().skip(3).take(2).collect();
        assert_eq!(lines, ["0.00 s    0 ms  relayed", "0.41 s  400 ms  direct"]);
    }
}
