//! Packets as lines, drops as crosses.
//!
//! A packet's records give its places in order. Each record but the first draws a line from the last *other* place
//! that had the packet, so that copies and repetitions start where they were made. What was lost and sent again by its
//! stream is dashed. A packet that is dropped on its sender's own link gets no farther than a short way towards the lane
//! of whom it is for; one that a host sends to itself is an arc over its lane.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::layout::Layout;
use super::svg::{self, Svg};
use super::{Sign, View, is_late, tip};
use crate::machine::time::Instant;
use crate::sim::timeline::{Frame, NodeId, Record, What};

type Point = (f64, f64);

/// Where packets have been.
#[derive(Default)]
struct Trail {
    places: Vec<(Instant, NodeId)>,
    was_dropped: bool,
}

/// What one record shows.
struct Leg<'a> {
    record: &'a Record,
    frame: &'a Frame,
    is_late: bool,
    from: Option<Point>,
    to: Point,
}

pub(super) fn draw(svg: &mut Svg, view: &View<'_>, layout: &Layout) {
    let legs = legs(view, layout);
    for leg in &legs {
        leg.draw_line(svg);
    }
    for leg in &legs {
        leg.draw_end(svg);
    }
}

/// Also those that come from before the picture, or go on after it: half of them is in it.
fn legs<'a>(view: &View<'a>, layout: &Layout) -> Vec<Leg<'a>> {
    let owners = owners(view);
    let mut trails: BTreeMap<u64, Trail> = BTreeMap::new();
    let mut legs = Vec::new();
    for record in &view.timeline.records {
        let Some(frame) = record.what.frame() else { continue };
        let trail = trails.entry(frame.packet).or_default();
        let start = trail.start(record);
        if record.at >= view.from && start.map_or(record.at, |(at, _)| at) <= view.until {
            let from = start.map(|(at, node)| (layout.x(at), layout.y(node)));
            let is_stub = matches!(record.what, What::Dropped(..)) && start.is_none_or(|(_, node)| node == record.node);
            let to = if is_stub { stub(record, frame, layout, &owners) } else { place(record, layout) };
            legs.push(Leg { record, frame, is_late: is_late(frame, trail.was_dropped), from, to });
        }
        trail.step(record);
    }
    legs
}

impl Trail {
    /// Where it came from: another place if it has been at one.
    fn start(&self, record: &Record) -> Option<(Instant, NodeId)> {
        let other = self.places.iter().rev().find(|(_, node)| *node != record.node);
        other.or_else(|| self.places.last()).copied()
    }

    fn step(&mut self, record: &Record) {
        match record.what {
            What::Dropped(..) => self.was_dropped = true,
            What::Sent(_) | What::Forwarded(_) => self.places.push((record.at, record.node)),
            What::Delivered(_) | What::Event { .. } | What::Fault(_) => {}
        }
    }
}

impl Leg<'_> {
    fn draw_line(&self, svg: &mut Svg) {
        let (Some((x1, y1)), (x2, y2)) = (self.from, self.to) else { return };
        let late = if self.is_late { " late" } else { "" };
        let class = format!("{}{late}", Sign::of_body(&self.frame.body).class());
        let way = if (y1 - y2).abs() < 0.1 {
            format!("Q{:.1} {:.1} {x2:.1} {y2:.1}", (x1 + x2) / 2.0, y1 - 20.0)
        } else {
            format!("L{x2:.1} {y2:.1}")
        };
        let tip = tip(&words(self.frame));
        svg.raw(&format!("<path class=\"{class}\" d=\"M{x1:.1} {y1:.1}{way}\">{tip}</path>"));
    }

    fn draw_end(&self, svg: &mut Svg) {
        let (x, y) = self.to;
        let at = svg::time(self.record.at.as_nanos(), 1);
        match &self.record.what {
            What::Dropped(_, reason) => {
                svg.cross(x, y, &format!("dropped at {at}: {reason}\n{}", words(self.frame)));
            }
            What::Forwarded(_) => svg.raw(&format!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>")),
            _ => {}
        }
    }
}

/// Who has which address at the end of the run.
fn owners(view: &View<'_>) -> BTreeMap<IpAddr, NodeId> {
    let nodes = view.timeline.nodes.iter().zip(0..);
    nodes.flat_map(|(node, id)| node.addresses.iter().map(move |address| (*address, NodeId(id)))).collect()
}

fn place(record: &Record, layout: &Layout) -> Point {
    (layout.x(record.at), layout.y(record.node))
}

/// A short way from the lane towards that of the receiver.
fn stub(record: &Record, frame: &Frame, layout: &Layout, owners: &BTreeMap<IpAddr, NodeId>) -> Point {
    const ACROSS: f64 = 5.0;
    const ALONG: f64 = 13.0;
    let (x, y) = place(record, layout);
    let is_down = owners.get(&frame.destination.ip()).is_none_or(|owner| *owner > record.node);
    (x + ACROSS, if is_down { y + ALONG } else { y - ALONG })
}

fn words(frame: &Frame) -> String {
    let protocol = if Sign::of_body(&frame.body) == Sign::Udp { "UDP" } else { "TCP" };
    let Frame { packet, source, destination, .. } = frame;
    format!("packet {packet}: {protocol}, {} bytes, {source} to {destination}", frame.body.size())
}
