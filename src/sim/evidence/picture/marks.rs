//! What happened at a lane that is no packet: events as dots, changes of path as diamonds, faults as flags.
//!
//! Marks of one kind that would lie on each other become one, with the first's text and how many more there are; its
//! title tells them all, up to a limit. Text goes into rows above the lane, faults first, then changes of path, then
//! events, each where it meets no other text; what finds no place has its title only. From a change of path to the next
//! the lane has a band, in two tints that take turns.

use std::collections::BTreeMap;

use super::layout::{Columns, Layout};
use super::svg::{self, Svg, text_width};
use super::{Sign, View, tip};
use crate::machine::time::Instant;
use crate::sim::timeline::{NodeId, What};

/// Closer marks of one kind are one.
const CLOSE: f64 = 9.0;
const MOST_ROWS: usize = 4;
/// Characters of a text where there is room, and where there is less and less.
const LENGTHS: [usize; 3] = [48, 28, 14];
/// What a title tells of many.
const TOLD: usize = 12;
/// Beyond so many faults, lines through all lanes would be a curtain.
const MOST_CUTS: usize = 40;

pub(super) struct Marks {
    marks: Vec<Mark>,
    rows: BTreeMap<NodeId, usize>,
    /// Where each change of path is, merged or not.
    changes: BTreeMap<NodeId, Vec<f64>>,
    right: f64,
}

/// One or more of the same kind at one place.
struct Mark {
    sign: Sign,
    node: NodeId,
    x: f64,
    /// The end of what was merged.
    last: f64,
    text: String,
    told: Vec<String>,
    count: usize,
    label: Option<Label>,
}

struct Label {
    row: usize,
    x: f64,
    text: String,
}

impl Marks {
    pub(super) fn new(view: &View<'_>, columns: Columns) -> Self {
        let mut marks =
            Self { marks: Vec::new(), rows: BTreeMap::new(), changes: BTreeMap::new(), right: columns.right };
        let mut latest = BTreeMap::new();
        for record in view.records() {
            let sign = Sign::of(&record.what);
            let (What::Event { text, .. } | What::Fault(text)) = &record.what else { continue };
            let x = columns.x(record.at);
            if sign == Sign::Path {
                marks.changes.entry(record.node).or_default().push(x);
            }
            let place = latest.entry((record.node, sign)).or_insert(usize::MAX);
            match marks.marks.get_mut(*place).filter(|mark| x - mark.x < CLOSE) {
                Some(mark) => mark.add(x, record.at, text),
                None => {
                    *place = marks.marks.len();
                    marks.marks.push(Mark::new(sign, record.node, x, record.at, text));
                }
            }
        }
        marks.place(columns);
        marks
    }

    /// How many rows of text are above that lane.
    pub(super) fn rows(&self, node: NodeId) -> usize {
        self.rows.get(&node).copied().unwrap_or(0)
    }

    /// Finds a row for each text, the most important first.
    fn place(&mut self, columns: Columns) {
        let mut order: Vec<_> = (0..self.marks.len()).collect();
        order.sort_by_key(|place| match self.marks[*place].sign {
            Sign::Fault => 0,
            Sign::Path => 1,
            _ => 2,
        });
        let mut taken: BTreeMap<NodeId, Vec<Vec<(f64, f64)>>> = BTreeMap::new();
        for place in order {
            let mark = &mut self.marks[place];
            let rows = taken.entry(mark.node).or_insert_with(|| vec![Vec::new(); MOST_ROWS]);
            mark.label = mark.fit(rows, columns);
            if let Some(label) = &mark.label {
                let most = self.rows.entry(mark.node).or_default();
                *most = (*most).max(label.row + 1);
            }
        }
    }

    /// Bands lie under packets.
    pub(super) fn draw_bands(&self, svg: &mut Svg, layout: &Layout) {
        const THICK: f64 = 8.0;
        for (node, changes) in &self.changes {
            let y = layout.y(*node) - THICK / 2.0;
            let mut tint = 0;
            for (place, x) in changes.iter().enumerate() {
                let end = changes.get(place + 1).copied().unwrap_or(self.right);
                tint = 1 - tint;
                if end - x >= 0.5 {
                    svg.rect((*x, y), (end - x, THICK), if tint == 1 { "band0" } else { "band1" });
                }
            }
        }
        let cuts: Vec<_> = self.marks.iter().filter(|mark| mark.sign == Sign::Fault).collect();
        for mark in cuts.iter().filter(|_| cuts.len() <= MOST_CUTS) {
            svg.line((mark.x, layout.top()), (mark.x, layout.bottom()), "cut");
        }
    }

    /// Text lies over packets, and marks over text of other lanes.
    pub(super) fn draw(&self, svg: &mut Svg, layout: &Layout) {
        for mark in &self.marks {
            mark.draw_label(svg, layout);
        }
        for mark in &self.marks {
            shape(svg, mark.sign, mark.x, layout.y(mark.node), &mark.tip());
        }
    }
}

impl Mark {
    fn new(sign: Sign, node: NodeId, x: f64, at: Instant, text: &str) -> Self {
        let mut mark = Self { sign, node, x, last: x, text: text.to_owned(), told: Vec::new(), count: 0, label: None };
        mark.add(x, at, text);
        mark
    }

    fn add(&mut self, x: f64, at: Instant, text: &str) {
        self.last = x;
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{} {text}", svg::time(at.as_nanos(), 1)));
        }
    }

    fn tip(&self) -> String {
        let more = self.count - self.told.len();
        let more = if more > 0 { format!("\nand {} more", svg::grouped(more as u64)) } else { String::new() };
        self.told.join("\n") + &more
    }

    /// The whole text, or less of it, in the lowest row that has room.
    fn fit(&self, rows: &mut [Vec<(f64, f64)>], columns: Columns) -> Option<Label> {
        for most in LENGTHS {
            let text = self.words(most);
            let width = text_width(&text) + 8.0;
            let x = self.x.min(columns.right - width).max(columns.left);
            let is_free = |row: &Vec<(f64, f64)>| row.iter().all(|(from, to)| x + width < *from || x > *to);
            if let Some(row) = rows.iter().position(is_free) {
                rows[row].push((x, x + width));
                // The line from a mark up to its text must not cross another text.
                for lower in &mut rows[..row] {
                    lower.push((self.x - 1.0, self.x + 1.0));
                }
                return Some(Label { row, x, text });
            }
        }
        None
    }

    fn words(&self, most: usize) -> String {
        let more = if self.count > 1 { format!(" (+{})", self.count - 1) } else { String::new() };
        svg::shortened(&self.text, most) + &more
    }

    fn draw_label(&self, svg: &mut Svg, layout: &Layout) {
        let Some(label) = &self.label else { return };
        let y = layout.y(self.node);
        let base = y - layout.reach - 3.0 - label.row as f64 * svg::LINE;
        svg.line((self.x, y), (self.x, base + 2.0), "leader");
        let class = format!("label {}", class(self.sign));
        svg.open("");
        svg.raw(&tip(&self.tip()));
        svg.text(label.x + 3.0, base, &class, &label.text);
        svg.close();
    }
}

const fn class(sign: Sign) -> &'static str {
    match sign {
        Sign::Path => "path",
        Sign::Fault => "fault",
        _ => "event",
    }
}

/// A diamond, a flag or a dot.
pub(super) fn shape(svg: &mut Svg, sign: Sign, x: f64, y: f64, words: &str) {
    let way = match sign {
        Sign::Path => format!("M{x:.1} {:.1}l6 7l-6 7l-6 -7z", y - 7.0),
        Sign::Fault => format!("M{x:.1} {:.1}v-17l12 5l-12 5", y + 6.0),
        _ => format!("M{:.1} {y:.1}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0z", x - 3.2),
    };
    svg.raw(&format!("<path class=\"{}\" d=\"{way}\">{}</path>", class(sign), tip(words)));
}
