//! A timeline as a picture: SVG that any browser shows, without scripts.
//!
//! Each host and gateway is a *lane*, its name at the left; time goes to the right. A packet is a thin slanted line from
//! the lane of its sender, over those of the gateways that pass it on, to the lane where it arrives. Where it ends early
//! there is a cross. Around a lane stand the *marks* of what happened there: events, changes of path, faults, as text
//! where there is room. Whatever was shortened is whole in its `<title>`, which browsers show under the pointer.
//!
//! *Long runs.* More lines than a person can follow are no picture. Beyond [`Picture::most_packets`] lanes show bars
//! instead: bytes out above the lane, bytes in below it, drops at the top, by buckets of equal time and
//! on a scale of square roots, on which a relay and its quietest guest can both be seen. Marks that would
//! lie on each other become one with a count. So the size of a picture depends on its width and lanes, not on the run.
//!
//! *Colours* are of the palette of Okabe and Ito, which people with any kind of colour vision can tell apart, and
//! nothing is told by colour alone: a drop is a cross, a lost segment's repetition is dashed, marks differ in shape.

mod density;
mod layout;
mod lines;
mod marks;
mod matrix;
mod svg;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use layout::{Layout, Style};
use marks::Marks;
use svg::{Svg, escaped};

use crate::machine::time::Instant;
use crate::sim::timeline::{Body, Frame, Record, Timeline, What};

pub use matrix::{Cell, Class, Matrix};

/// What of a run is drawn, and how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Stands above all.
    pub title: String,
    /// Where time begins.
    pub from: Instant,
    /// Where it ends; `None` is the last record.
    pub until: Option<Instant>,
    /// Beyond so many packets bars are drawn instead of lines.
    pub most_packets: usize,
    /// In pixels, at least 640.
    pub width: u32,
}

impl Default for Picture {
    fn default() -> Self {
        let (from, until) = (Instant::ZERO, None);
        Self { title: "Timeline".to_owned(), from, until, most_packets: 500, width: 1400 }
    }
}

impl Timeline {
    /// Draws the run as SVG: hosts and gateways as rows; packets, drops, events, changes of path and faults in time.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_svg(&self, out: &mut impl io::Write, picture: &Picture) -> io::Result<()> {
        let view = View::new(self, picture);
        let marks = Marks::new(&view, Layout::columns(&view));
        let style = if view.packets > picture.most_packets { Style::Bars } else { Style::Lines };
        let layout = Layout::new(&view, style, |node| marks.rows(node));
        let mut svg = Svg::new(layout.width, layout.height, &format!("{}: seed {}", picture.title, self.seed));
        heading(&mut svg, &view, &layout);
        layout.draw(&mut svg, &view);
        svg.open("clip-path=\"url(#plot)\"");
        marks.draw_bands(&mut svg, &layout);
        match style {
            Style::Lines => lines::draw(&mut svg, &view, &layout),
            Style::Bars => density::draw(&mut svg, &view, &layout),
        }
        svg.close();
        marks.draw(&mut svg, &layout);
        out.write_all(svg.end().as_bytes())
    }
}

/// The part of a run that is drawn.
struct View<'a> {
    timeline: &'a Timeline,
    picture: &'a Picture,
    from: Instant,
    /// Later than `from`, so that there is an axis.
    until: Instant,
    packets: usize,
    drops: usize,
    shows: BTreeSet<Sign>,
}

/// What a legend explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    Udp,
    Tcp,
    Late,
    Drop,
    Path,
    Fault,
    Event,
}

impl<'a> View<'a> {
    fn new(timeline: &'a Timeline, picture: &'a Picture) -> Self {
        let from = picture.from;
        let last = timeline.records.last().map_or(from, |record| record.at);
        // What happens at the very end needs room beside it.
        let until = picture.until.unwrap_or_else(|| last + last.since(from) / 50);
        let until = until.max(from + Duration::from_micros(1));
        let mut view = Self { timeline, picture, from, until, packets: 0, drops: 0, shows: BTreeSet::new() };
        view.count();
        view
    }

    fn count(&mut self) {
        let (mut packets, mut dropped, mut signs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for record in self.records() {
            signs.insert(Sign::of(&record.what));
            if let Some(frame) = record.what.frame() {
                packets.insert(frame.packet);
                signs.insert(Sign::of_body(&frame.body));
            }
        }
        // A line may be dashed for what was before the picture, or end after it.
        for record in &self.timeline.records {
            let Some(frame) = record.what.frame() else { continue };
            if matches!(record.what, What::Dropped(..)) {
                dropped.insert(frame.packet);
            } else if record.at >= self.from && packets.contains(&frame.packet) {
                signs.extend(is_late(frame, dropped.contains(&frame.packet)).then_some(Sign::Late));
            }
        }
        self.drops = self.records().filter(|record| matches!(record.what, What::Dropped(..))).count();
        (self.packets, self.shows) = (packets.len(), signs);
    }

    /// The end as it is told.
    fn last(&self) -> Instant {
        self.picture.until.or_else(|| self.timeline.records.last().map(|record| record.at)).unwrap_or(self.until)
    }

    /// What happened in the time that is drawn.
    fn records(&self) -> impl Iterator<Item = &'a Record> + use<'a> {
        let (from, until) = (self.from, self.until);
        self.timeline.records.iter().filter(move |record| (from..=until).contains(&record.at))
    }
}

impl Sign {
    const fn of(what: &What) -> Self {
        match what {
            What::Dropped(..) => Self::Drop,
            What::Event { is_path: true, .. } => Self::Path,
            What::Event { .. } => Self::Event,
            What::Fault(_) => Self::Fault,
            What::Sent(frame) | What::Forwarded(frame) | What::Delivered(frame) => Self::of_body(&frame.body),
        }
    }

    const fn of_body(body: &Body) -> Self {
        match body {
            Body::Udp { .. } => Self::Udp,
            Body::Tcp(_) => Self::Tcp,
        }
    }

    /// Class of a line or a bar.
    const fn class(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            _ => "late",
        }
    }
}

/// Whether it is its stream's repetition of what was lost. A datagram that was dropped before was another copy.
const fn is_late(frame: &Frame, was_dropped: bool) -> bool {
    was_dropped && matches!(frame.body, Body::Tcp(_))
}

fn heading(svg: &mut Svg, view: &View<'_>, layout: &Layout) {
    let seed = view.timeline.seed;
    svg.text(svg::MARGIN, 30.0, "title", &view.picture.title);
    let mut words = format!(
        "seed {seed} · {} to {} · {} · {} dropped",
        svg::time(view.from.as_nanos(), 1),
        svg::time(view.last().as_nanos(), 1),
        svg::counted(view.packets as u64, "packet"),
        svg::grouped(view.drops as u64),
    );
    if view.timeline.lost > 0 {
        words += &format!(" · {} not kept", svg::counted(view.timeline.lost, "later record"));
    }
    svg.text(svg::MARGIN, 50.0, "small", &words);
    legend(svg, view, layout);
}

/// Explains what occurs, in a row that breaks at the right.
fn legend(svg: &mut Svg, view: &View<'_>, layout: &Layout) {
    const SIGN: f64 = 32.0;
    let (mut x, mut y) = (svg::MARGIN, 72.0);
    let scale = (layout.style == Style::Bars).then(|| density::scale(view, layout));
    for (sign, words) in layout.legend(&view.shows, scale.as_deref()) {
        let width = SIGN + svg::text_width(&words) + 20.0;
        if x + width > layout.width && x > svg::MARGIN {
            (x, y) = (svg::MARGIN, y + svg::LINE);
        }
        example(svg, layout.style, sign, x, y);
        svg.text(x + SIGN, y + 4.0, "small", &words);
        x += width;
    }
}

fn example(svg: &mut Svg, style: Style, sign: Option<Sign>, x: f64, y: f64) {
    let Some(sign) = sign else { return };
    match (sign, style) {
        (Sign::Udp | Sign::Tcp, Style::Bars) => svg.rect((x + 8.0, y - 6.0), (12.0, 12.0), sign.class()),
        (Sign::Drop, Style::Bars) => svg.rect((x + 8.0, y - 6.0), (12.0, 12.0), "lost"),
        (Sign::Udp | Sign::Tcp | Sign::Late, _) => {
            svg.raw(&format!("<path class=\"{}\" d=\"M{x:.1} {:.1}l26 -6\"/>", sign.class(), y + 3.0));
        }
        (Sign::Drop, _) => svg.cross(x + 14.0, y, ""),
        (Sign::Path | Sign::Fault | Sign::Event, _) => marks::shape(svg, sign, x + 14.0, y + 3.0, ""),
    }
}

/// A `<title>`, if there is something to say.
fn tip(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(words)) }
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;
    use crate::sim::evidence::sample;
    use crate::sim::timeline::{DropReason, NodeId};

    fn drawn(timeline: &Timeline, picture: &Picture) -> String {
        let mut bytes = Vec::new();
        timeline.write_svg(&mut bytes, picture).unwrap();
        let svg = String::from_utf8(bytes).unwrap();
        Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
        svg
    }

    /// The text of all elements of that name.
    fn texts(svg: &str, name: &str) -> Vec<String> {
        let document = Document::parse(svg).unwrap();
        let elements = document.descendants().filter(|node| node.has_tag_name(name));
        elements.filter_map(|node| node.text().map(str::to_owned)).collect()
    }

    fn count(svg: &str, class: &str) -> usize {
        svg.matches(&format!("class=\"{class}\"")).count()
    }

    fn many(packets: u64) -> Timeline {
        let sent = |packet| Record {
            at: sample::at(packet),
            node: sample::PHONE,
            what: What::Sent(sample::udp(packet, "192.168.1.2:5000", "198.18.0.2:3478", b"hello")),
        };
        let arrived = |packet| Record {
            at: sample::at(packet) + Duration::from_micros(500),
            node: sample::RELAY,
            what: What::Delivered(sample::udp(packet, "192.168.1.2:5000", "198.18.0.2:3478", b"hello")),
        };
        let records = (1..=packets).flat_map(|packet| [sent(packet), arrived(packet)]).collect();
        Timeline { records, ..sample::nothing() }
    }

    #[test]
    fn a_picture_names_the_run_its_lanes_and_what_its_signs_mean() {
        let svg = drawn(&sample::run(), &Picture { title: "A phone & a relay".into(), ..Picture::default() });
        let texts = texts(&svg, "text");
        for words in [
            "A phone & a relay",
            "seed 7 · 0 s to 41 ms · 3 packets · 1 dropped",
            "phone",
            "home",
            "relay <main>",
            "UDP",
            "TCP",
            "dropped",
            "change of path",
            "fault",
            "event",
            "20 ms",
        ] {
            assert!(texts.iter().any(|text| text == words), "{words:?} is not among {texts:?}");
        }
    }

    #[test]
    fn a_packet_is_a_line_from_lane_to_lane_and_a_drop_a_cross_that_says_why() {
        let svg = drawn(&sample::run(), &Picture::default());
        let lines = svg.matches("<title>packet 1: UDP, 5 bytes").count();
        assert_eq!(lines, 2, "to the gateway, and on");
        let told = texts(&svg, "title");
        let why = "dropped at 23 ms: the NAT's filter\npacket 2: UDP, 6 bytes, 198.18.0.2:3478 to 198.18.0.1:5000";
        assert!(told.iter().any(|title| title == why), "{told:?}");
    }

    #[test]
    fn events_changes_of_path_and_faults_have_their_text_beside_them() {
        let svg = drawn(&sample::run(), &Picture::default());
        let texts = texts(&svg, "text");
        for words in ["heard \"hello\"", "direct & fast", "reboot"] {
            assert!(texts.iter().any(|text| text == words), "{words:?} is not among {texts:?}");
        }
        assert_eq!((count(&svg, "band0"), count(&svg, "cut")), (1, 1));
    }

    #[test]
    fn what_was_lost_on_the_way_and_sent_again_is_dashed() {
        let run = |frame: Frame| {
            let [at, later] = [sample::at(1), sample::at(200)];
            let [sent, arrived] = [What::Sent(frame.clone()), What::Delivered(frame.clone())];
            let lost = What::Dropped(frame, DropReason::Loss);
            let records = [(at, sample::PHONE, sent), (at, sample::PHONE, lost), (later, sample::RELAY, arrived)];
            let records = records.map(|(at, node, what)| Record { at, node, what }).to_vec();
            Timeline { records, ..sample::nothing() }
        };
        let late = |svg: &str| (count(svg, "tcp late") + count(svg, "udp late"), svg.contains(">sent again after"));
        let segment = run(sample::segment(1, Default::default(), b"lost"));
        assert_eq!(late(&drawn(&segment, &Picture::default())), (1, true));
        let beginning = Picture { until: Some(sample::at(100)), ..Picture::default() };
        assert_eq!(late(&drawn(&segment, &beginning)), (1, true), "its end is after the picture");
        let copy = run(sample::udp(1, "192.168.1.2:5000", "198.18.0.2:3478", b"twice"));
        assert_eq!(late(&drawn(&copy, &Picture::default())), (0, false), "a datagram is not sent again");
    }

    #[test]
    fn more_packets_than_one_can_follow_become_bars_and_the_picture_stays_small() {
        let picture = Picture { most_packets: 100, ..Picture::default() };
        let lines = drawn(&many(100), &picture);
        assert_eq!((lines.matches("<title>packet ").count(), count(&lines, "bar udp")), (100, 0));
        let [bars, more] = [1_000, 20_000].map(|packets| drawn(&many(packets), &picture));
        assert_eq!((bars.matches("<title>packet ").count(), count(&bars, "bar udp")), (0, 2));
        assert!(more.len() < 60_000, "{} bytes", more.len());
        let scale = texts(&bars, "text").into_iter().find(|text| text.contains("a full bar is")).unwrap();
        assert!(scale.ends_with(" ms"), "{scale}");
    }

    #[test]
    fn a_part_of_a_run_has_what_happened_then_and_what_was_under_way() {
        let window = Picture { from: sample::at(5), until: Some(sample::at(20)), ..Picture::default() };
        let svg = drawn(&sample::run(), &window);
        assert!(svg.contains("seed 7 · 5 ms to 20 ms"));
        assert_eq!(svg.matches("<title>packet 1:").count(), 1, "from the gateway, before the window, to the relay");
        assert_eq!(svg.matches("<title>packet 2:").count(), 1, "to its end after the window");
        assert!(!svg.contains("reboot"));
    }

    #[test]
    fn hostile_names_and_times_make_a_picture_all_the_same() {
        let mut timeline = sample::run();
        timeline.nodes[0].name = "</text><script>\u{0}\u{1b}\"'&".into();
        timeline.records.push(Record {
            at: Instant::from_nanos(u64::MAX),
            node: NodeId(0),
            what: What::Fault("]]>\n\t\u{ffff}".repeat(100)),
        });
        assert!(!drawn(&timeline, &Picture::default()).contains("<script"));
        let end = Instant::from_nanos(u64::MAX);
        drawn(&timeline, &Picture { from: end, width: 0, ..Picture::default() });
        drawn(&timeline, &Picture { from: end, until: Some(Instant::ZERO), most_packets: 0, ..Picture::default() });
        drawn(&Timeline::default(), &Picture { title: String::new(), most_packets: 0, ..Picture::default() });
    }

    #[test]
    fn thousands_of_events_become_few_marks_that_say_how_many() {
        let event = |n| Record {
            at: sample::at(n),
            node: sample::PHONE,
            what: What::Event { text: format!("event {n}"), is_path: n % 2 == 0 },
        };
        let timeline = Timeline { records: (1..=20_000).map(event).collect(), ..sample::nothing() };
        let svg = drawn(&timeline, &Picture::default());
        assert!(svg.len() < 600_000, "{} bytes", svg.len());
        assert!(texts(&svg, "title").iter().any(|title| title.starts_with("1 ms event 1\n") && title.contains("more")));
    }
}
