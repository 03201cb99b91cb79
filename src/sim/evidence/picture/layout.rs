//! Where everything is: lanes from top to bottom, time from left to right, and what is drawn of both.

use std::collections::BTreeSet;

use super::svg::{self, LINE, MARGIN, Svg, escaped, text_width};
use super::{Sign, View};
use crate::machine::time::Instant;
use crate::sim::timeline::NodeId;

/// Of the shapes on a lane and of packets that its link drops, above and below it: text keeps away from them.
const REACH: f64 = 19.0;
const AXIS: f64 = 34.0;
const LONGEST_NAME: usize = 24;

/// How packets are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Lines,
    Bars,
}

/// The two edges of the plot, and the time at each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) left: f64,
    pub(super) right: f64,
    from: u64,
    until: u64,
}

pub(super) struct Layout {
    pub(super) style: Style,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) columns: Columns,
    /// Above and below a lane: what bars and lines may use.
    pub(super) reach: f64,
    top: f64,
    bottom: f64,
    lanes: Vec<f64>,
}

impl Columns {
    pub(super) fn x(&self, at: Instant) -> f64 {
        let part = (at.as_nanos() as f64 - self.from as f64) / (self.until - self.from) as f64;
        self.left + part * (self.right - self.left)
    }
}

impl Layout {
    /// Time needs no more than the width and the names.
    pub(super) fn columns(view: &View<'_>) -> Columns {
        const NARROWEST: u32 = 640;
        let widest = view.timeline.nodes.iter().map(|node| text_width(&label(&node.name)) * 1.25);
        let left = MARGIN + widest.fold(60.0, f64::max) + 14.0;
        let right = f64::from(view.picture.width.max(NARROWEST)) - MARGIN - 8.0;
        Columns { left, right, from: view.from.as_nanos(), until: view.until.as_nanos() }
    }

    /// `rows`: the rows of labels above each lane.
    pub(super) fn new(view: &View<'_>, style: Style, rows: impl Fn(NodeId) -> usize) -> Self {
        let count = view.timeline.nodes.len();
        let columns = Self::columns(view);
        let width = columns.right + MARGIN + 8.0;
        let reach = if style == Style::Bars { 22.0 } else { REACH };
        let top = 72.0 + legend_lines(view, style, width) * LINE + AXIS;
        let gap = gap(style, count);
        let mut lanes = Vec::with_capacity(count);
        let mut y = top + 6.0;
        for node in 0..count as u32 {
            y += rows(NodeId(node)) as f64 * LINE + reach + 4.0;
            lanes.push(y);
            y += reach + gap;
        }
        let bottom = y - gap + 8.0;
        Self { style, width, height: bottom + AXIS, columns, reach, top, bottom, lanes }
    }

    pub(super) fn x(&self, at: Instant) -> f64 {
        self.columns.x(at)
    }

    pub(super) fn y(&self, node: NodeId) -> f64 {
        self.lanes[node.index()]
    }

    pub(super) const fn top(&self) -> f64 {
        self.top
    }

    pub(super) const fn bottom(&self) -> f64 {
        self.bottom
    }

    /// The plot's frame, its axes, and a line and a name for each lane.
    pub(super) fn draw(&self, svg: &mut Svg, view: &View<'_>) {
        let Columns { left, right, .. } = self.columns;
        let (top, height) = (self.top, self.bottom - self.top);
        svg.raw(&format!(
            "<clipPath id=\"plot\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/></clipPath>",
            right - left
        ));
        self.axes(svg);
        for (node, y) in view.timeline.nodes.iter().zip(&self.lanes) {
            let (class, line) = if node.is_gateway { ("gateway", "door") } else { ("name", "lane") };
            let addresses: Vec<_> = node.addresses.iter().map(ToString::to_string).collect();
            let kind = if node.is_gateway { "gateway" } else { "host" };
            let tip = escaped(&format!("{kind} {}: {}", node.name, addresses.join(", ")));
            svg.raw(&format!("<g><title>{tip}</title>"));
            svg.text(MARGIN, y + 4.0, class, &label(&node.name));
            svg.close();
            svg.line((left, *y), (right, *y), line);
        }
    }

    fn axes(&self, svg: &mut Svg) {
        let Columns { left, right, from, until } = self.columns;
        let step = step(until - from, ((right - left) / 110.0) as u64);
        for tick in ticks(from, until, step) {
            let x = self.x(Instant::from_nanos(tick));
            svg.line((x, self.top), (x, self.bottom), "grid");
            for y in [self.top - 8.0, self.bottom + 16.0] {
                svg.centred(x, y, "small", &svg::time(tick, step));
            }
        }
        for y in [self.top, self.bottom] {
            svg.line((left, y), (right, y), "edge");
        }
    }

    /// The signs that occur, with their meaning; no sign is a remark.
    pub(super) fn legend(&self, shows: &BTreeSet<Sign>, scale: Option<&str>) -> Vec<(Option<Sign>, String)> {
        legend(self.style, shows, scale)
    }
}

fn legend(style: Style, shows: &BTreeSet<Sign>, scale: Option<&str>) -> Vec<(Option<Sign>, String)> {
    let is_shown = |sign: &&Sign| style == Style::Lines || **sign != Sign::Late;
    let words = |sign: &Sign| {
        let words = match (sign, style) {
            (Sign::Udp, Style::Lines) => "UDP",
            (Sign::Tcp, Style::Lines) => "TCP",
            (Sign::Udp, Style::Bars) => "UDP bytes",
            (Sign::Tcp, Style::Bars) => "TCP bytes",
            (Sign::Late, _) => "sent again after a loss",
            (Sign::Drop, _) => "dropped",
            (Sign::Path, _) => "change of path",
            (Sign::Fault, _) => "fault",
            (Sign::Event, _) => "event",
        };
        (Some(*sign), words.to_owned())
    };
    let mut entries: Vec<_> = shows.iter().filter(is_shown).map(words).collect();
    entries.extend(scale.map(|scale| (None, scale.to_owned())));
    entries
}

/// Lines that the legend takes, counted on the wide side.
fn legend_lines(view: &View<'_>, style: Style, width: f64) -> f64 {
    /// What [`scale`](super::density::scale) may say at most.
    const REMARK: &str =
        "out above the lane, in below it, as square roots; a full bar is 18,446,744,073 bytes in 18,446,744 ms";
    let entries = legend(style, &view.shows, (style == Style::Bars).then_some(REMARK));
    let total: f64 = entries.iter().map(|(_, words)| text_width(words) + 52.0).sum();
    (total / (width - 2.0 * MARGIN - 200.0)).floor()
}

fn label(name: &str) -> String {
    svg::shortened(name, LONGEST_NAME)
}

/// Between lanes; slanted lines need more of it to be slanted, many lanes less to be seen at once.
const fn gap(style: Style, lanes: usize) -> f64 {
    match (style, lanes) {
        (Style::Lines, ..=6) => 26.0,
        (Style::Lines, ..=16) => 10.0,
        (Style::Lines, _) => -12.0,
        (Style::Bars, _) => 2.0,
    }
}

/// The smallest of 1, 2 and 5 times a power of ten of which at most `most` fit.
fn step(span: u64, most: u64) -> u64 {
    let powers = (0..19).map(|exponent| 10_u64.pow(exponent));
    let mut steps = powers.flat_map(|power| [1, 2, 5].map(|factor| power.saturating_mul(factor)));
    steps.find(|step| span / step <= most.max(1)).unwrap_or(u64::MAX)
}

fn ticks(from: u64, until: u64, step: u64) -> impl Iterator<Item = u64> {
    let first = from.div_ceil(step);
    (first..=until / step).map(move |number| number * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(step(41_000_000, 10), 5_000_000);
        assert_eq!(ticks(3, 21, 5).collect::<Vec<_>>(), [5, 10, 15, 20]);
        for span in [1, 999, 1_000, 1_001, 3_600_000_000_000, u64::MAX] {
            let step = step(span, 10);
            assert!(span / step <= 10, "{span}: {step}");
            assert!(ticks(u64::MAX - span, u64::MAX, step).count() <= 11);
        }
    }
}
