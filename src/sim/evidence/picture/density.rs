//! Packets as bars, for runs that have more of them than lines can show.
//!
//! Time is cut into buckets of a few pixels. In each a lane shows the bytes of payload that its node sent or passed on
//! (above), the bytes that came to it (below), and how many packets ended there (at the top). All lanes have one scale,
//! so that they can be compared; bytes are shown as their square root, and what is there at all is seen.

use std::collections::BTreeMap;

use super::layout::Layout;
use super::svg::{self, Svg};
use super::{Sign, View, tip};
use crate::machine::time::Instant;
use crate::sim::timeline::{DropReason, Frame, NodeId, What};

/// The width of a bucket in pixels.
const WIDTH: f64 = 4.0;
/// Of the reach above a lane, what drops have at its top.
const DROPS: f64 = 8.0;
const LEAST: f64 = 0.8;

type Place = (NodeId, usize);

/// Everything by lane and bucket.
struct Buckets {
    nanos: u64,
    bytes: BTreeMap<(Place, Way), Sum>,
    drops: BTreeMap<Place, BTreeMap<DropReason, u64>>,
    most: u64,
    most_drops: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Out,
    In,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    udp: u64,
    tcp: u64,
}

pub(super) fn draw(svg: &mut Svg, view: &View<'_>, layout: &Layout) {
    let buckets = Buckets::new(view, layout);
    for node in (0..view.timeline.nodes.len() as u32).map(NodeId) {
        buckets.draw_bytes(svg, view, layout, node);
        buckets.draw_drops(svg, view, layout, node);
    }
}

/// What the legend says of bars.
pub(super) fn scale(view: &View<'_>, layout: &Layout) -> String {
    let buckets = Buckets::new(view, layout);
    let bytes = svg::grouped(buckets.most);
    let time = svg::time(buckets.nanos, 1);
    format!("out above the lane, in below it, as square roots; a full bar is {bytes} bytes in {time}")
}

impl Buckets {
    fn new(view: &View<'_>, layout: &Layout) -> Self {
        let count = ((layout.columns.right - layout.columns.left) / WIDTH).max(1.0) as u64;
        let nanos = ((view.until - view.from).as_nanos() as u64).div_ceil(count).max(1);
        let mut buckets = Self { nanos, bytes: BTreeMap::new(), drops: BTreeMap::new(), most: 0, most_drops: 0 };
        for record in view.records() {
            let place = (record.node, (record.at.since(view.from).as_nanos() as u64 / nanos) as usize);
            match &record.what {
                What::Sent(frame) | What::Forwarded(frame) => buckets.add(place, Way::Out, frame),
                What::Delivered(frame) => buckets.add(place, Way::In, frame),
                What::Dropped(_, reason) => buckets.drop(place, *reason),
                What::Event { .. } | What::Fault(_) => {}
            }
        }
        buckets
    }

    fn add(&mut self, place: Place, way: Way, frame: &Frame) {
        let sum = self.bytes.entry((place, way)).or_default();
        match Sign::of_body(&frame.body) {
            Sign::Udp => sum.udp += frame.body.size() as u64,
            _ => sum.tcp += frame.body.size() as u64,
        }
        self.most = self.most.max(sum.udp + sum.tcp);
    }

    fn drop(&mut self, place: Place, reason: DropReason) {
        let reasons = self.drops.entry(place).or_default();
        *reasons.entry(reason).or_default() += 1;
        self.most_drops = self.most_drops.max(reasons.values().sum());
    }

    fn of<V>(map: &BTreeMap<Place, V>, node: NodeId) -> impl Iterator<Item = (usize, &V)> {
        map.range((node, 0)..=(node, usize::MAX)).map(|((_, bucket), value)| (*bucket, value))
    }

    fn x(&self, view: &View<'_>, layout: &Layout, bucket: usize) -> f64 {
        let nanos = view.from.as_nanos().saturating_add((bucket as u64).saturating_mul(self.nanos));
        layout.x(Instant::from_nanos(nanos))
    }

    /// One shape for all bars of one protocol of a lane, which keeps pictures small.
    fn draw_bytes(&self, svg: &mut Svg, view: &View<'_>, layout: &Layout, node: NodeId) {
        let full = layout.reach - DROPS;
        let height = |part: u64, all: u64| match part {
            0 => 0.0,
            _ => (full * (all as f64 / self.most as f64).sqrt() * part as f64 / all as f64).max(LEAST),
        };
        let (mut udp, mut tcp) = (String::new(), String::new());
        for ((place, way), sum) in self.bytes.range(((node, 0), Way::Out)..=((node, usize::MAX), Way::In)) {
            let (x, y) = (self.x(view, layout, place.1), layout.y(node));
            let sign = if *way == Way::Out { -1.0 } else { 1.0 };
            let all = sum.udp + sum.tcp;
            let (first, second) = (sign * height(sum.udp, all), sign * height(sum.tcp, all));
            bar(&mut udp, x, y, first);
            bar(&mut tcp, x, y + first, second);
        }
        for (class, shape) in [("udp", udp), ("tcp", tcp)] {
            if !shape.is_empty() {
                svg.raw(&format!("<path class=\"bar {class}\" d=\"{shape}\"/>"));
            }
        }
    }

    fn draw_drops(&self, svg: &mut Svg, view: &View<'_>, layout: &Layout, node: NodeId) {
        for (bucket, reasons) in Self::of(&self.drops, node) {
            let (x, top) = (self.x(view, layout, bucket), layout.y(node) - layout.reach);
            let count = reasons.values().sum::<u64>();
            let height = (DROPS * count as f64 / self.most_drops as f64).max(2.0);
            let mut shape = String::new();
            bar(&mut shape, x, top + DROPS - 1.0, -height);
            let tip = tip(&why(reasons));
            svg.raw(&format!("<path class=\"lost\" d=\"{shape}\">{tip}</path>"));
        }
    }
}

fn bar(shape: &mut String, x: f64, y: f64, height: f64) {
    if height != 0.0 {
        *shape += &format!("M{x:.1} {y:.1}v{height:.1}h{:.1}v{:.1}z", WIDTH - 0.8, -height);
    }
}

fn why(reasons: &BTreeMap<DropReason, u64>) -> String {
    let lines: Vec<_> = reasons.iter().map(|(reason, count)| format!("{count} dropped: {reason}")).collect();
    lines.join("\n")
}
