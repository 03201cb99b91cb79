//! The result of the demonstration: a table for people, an object for programs.

use std::io::{self, IsTerminal as _};

use serde_json::json;

use super::Outcome;
use crate::table::grouped;

const HEAD: [&str; 7] = ["sent", "received", "lost", "repeated", "out of order", "stall", "path changes"];

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
    let cells = cells(outcome);
    let widths: Vec<_> = HEAD.iter().zip(&cells).map(|(head, cell)| head.len().max(cell.len())).collect();
    let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * (HEAD.len() - 1));
    let verdict = if outcome.is_perfect() {
        style.paint("32", "Every message arrived, once and in order.")
    } else {
        style.paint("31", "NOT every message arrived, once and in order.")
    };
    let head = style.paint("1", &aligned(&HEAD.map(str::to_owned), &widths));
    [String::new(), head, rule, aligned(&cells, &widths), String::new(), verdict].join("\n")
}

pub(super) fn json(outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    json!({
        "sent": outcome.sent,
        "received": tally.received,
        "lost": tally.lost,
        "repeated": tally.repeated,
        "out_of_order": tally.out_of_order,
        "stall_ms": tally.stall.as_millis() as u64,
        "path_changes": outcome.path_changes,
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
        grouped(outcome.path_changes),
    ]
}

fn aligned(cells: &[String; HEAD.len()], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
    cells.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    #[test]
    fn the_columns_of_the_table_are_aligned() {
        let outcome = Outcome { sent: 123_456_789, path_changes: 2, tally: Tally::new() };
        let text = text(&outcome, Style { coloured: false });
        let lines: Vec<_> = text.lines().skip(1).take(3).collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        assert!(text.ends_with("NOT every message arrived, once and in order."));
    }
}
