//! The result of the demonstration: a table for people, an object for programs.

use std::io::{self, IsTerminal as _};

use serde_json::{Value, json};

use super::Row;

const HEAD: [&str; 10] =
    ["kind", "sent", "received", "lost", "repeated", "out of order", "MB", "seconds", "messages/s", "MB/s"];

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

pub(super) fn text(rows: &[Row], perfect: bool, style: Style) -> String {
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let widths: Vec<_> = (0..HEAD.len()).map(|column| width(column, &cells)).collect();
    let head = HEAD.map(str::to_owned);
    let mut lines = vec![String::new(), style.paint("1", &aligned(&head, &widths))];
    lines.push("-".repeat(widths.iter().sum::<usize>() + 2 * (HEAD.len() - 1)));
    lines.extend(cells.iter().map(|cells| aligned(cells, &widths)));
    lines.push(String::new());
    lines.push(if perfect {
        style.paint("32", "Every message arrived, once and in order.")
    } else {
        style.paint("31", "NOT every message arrived, once and in order.")
    });
    lines.join("\n")
}

pub(super) fn json(rows: &[Row], perfect: bool) -> String {
    let kinds: Vec<Value> = rows.iter().map(object).collect();
    json!({"ok": perfect, "kinds": kinds}).to_string()
}

fn object(row: &Row) -> Value {
    let (tally, seconds) = (&row.tally, row.time.as_secs_f64());
    json!({
        "kind": row.kind,
        "sent": row.sent,
        "received": tally.received,
        "lost": tally.lost,
        "repeated": tally.repeated,
        "out_of_order": tally.out_of_order,
        "bytes": tally.bytes,
        "seconds": seconds,
        "messages_per_second": tally.received as f64 / seconds,
        "bytes_per_second": tally.bytes as f64 / seconds,
    })
}

fn cells(row: &Row) -> [String; HEAD.len()] {
    let (tally, seconds) = (&row.tally, row.time.as_secs_f64());
    let megabytes = tally.bytes as f64 / 1e6;
    [
        row.kind.to_owned(),
        grouped(row.sent),
        grouped(tally.received),
        grouped(tally.lost),
        grouped(tally.repeated),
        grouped(tally.out_of_order),
        format!("{megabytes:.1}"),
        format!("{seconds:.3}"),
        grouped((tally.received as f64 / seconds) as u64),
        format!("{:.1}", megabytes / seconds),
    ]
}

fn width(column: usize, rows: &[[String; HEAD.len()]]) -> usize {
    rows.iter().map(|cells| cells[column].len()).chain([HEAD[column].len()]).max().unwrap_or_default()
}

/// The first column to the left, numbers to the right.
fn aligned(cells: &[String; HEAD.len()], widths: &[usize]) -> String {
    let mut line = format!("{:<width$}", cells[0], width = widths[0]);
    for (cell, width) in cells.iter().zip(widths).skip(1) {
        line.push_str(&format!("  {cell:>width$}"));
    }
    line
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tally::Tally;
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_columns_of_the_table_are_aligned() {
        let row = |kind| Row { kind, sent: 4000, tally: Tally::of('a'), time: Duration::from_millis(250) };
        let text = text(&[row("tcp"), row("wss")], false, Style { coloured: false });
        let lines: Vec<_> = text.lines().skip(1).take(4).collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
    }
}
