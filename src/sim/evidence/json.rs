//! A timeline as JSON Lines: a header, then a record a line, fields always in the same order.
//!
//! The header has `format`, `version`, `seed` (a string: JSON numbers are exact to 2^53 only), `lost` and `nodes`.
//! A record has `time` (nanoseconds), `node` and `kind`. Packets add `packet`, `source`, `destination`, `protocol`,
//! `size` (bytes of payload), `ecn` where it is marked, and for TCP `flags`, `sequence`, `acknowledgement` where there
//! is one, and `window`; dropped ones end with `reason` (a word) and `why` (the same for people). Events have `text` and
//! `path`, faults `text`.

use std::fmt::Write as _;
use std::io;

use crate::machine::datagram::Ecn;
use crate::sim::timeline::{Body, Frame, Node, Record, Tcp, Timeline, What};

const FORMAT: &str = "switchboard-timeline";
const VERSION: u64 = 1;

impl Timeline {
    /// Writes JSON Lines (RFC 8259, one object a line): a header that names format, version, seed and nodes, then one
    /// object for each record, with the reason of every drop. Times are in nanoseconds, sizes in bytes of payload.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        out.write_all(header(self).as_bytes())?;
        for record in &self.records {
            out.write_all(line(self, record).as_bytes())?;
        }
        Ok(())
    }
}

fn header(timeline: &Timeline) -> String {
    let mut object = Object::new();
    object.text("format", FORMAT);
    object.number("version", VERSION);
    object.text("seed", &timeline.seed.to_string());
    object.number("lost", timeline.lost);
    object.array("nodes", timeline.nodes.iter().map(node));
    object.line()
}

fn node(node: &Node) -> String {
    let mut object = Object::new();
    object.text("name", &node.name);
    object.flag("gateway", node.is_gateway);
    object.array("addresses", node.addresses.iter().map(|address| quoted(&address.to_string())));
    object.end()
}

fn line(timeline: &Timeline, record: &Record) -> String {
    let mut object = Object::new();
    object.number("time", record.at.as_nanos());
    object.text("node", &timeline.nodes[record.node.index()].name);
    object.text("kind", kind(&record.what));
    if let Some(frame) = record.what.frame() {
        packet(&mut object, frame);
    }
    match &record.what {
        What::Dropped(_, reason) => {
            object.text("reason", reason.code());
            object.text("why", &reason.to_string());
        }
        What::Event { text, is_path } => {
            object.text("text", text);
            object.flag("path", *is_path);
        }
        What::Fault(text) => object.text("text", text),
        What::Sent(_) | What::Forwarded(_) | What::Delivered(_) => {}
    }
    object.line()
}

const fn kind(what: &What) -> &'static str {
    match what {
        What::Sent(_) => "sent",
        What::Forwarded(_) => "forwarded",
        What::Delivered(_) => "delivered",
        What::Dropped(..) => "dropped",
        What::Event { .. } => "event",
        What::Fault(_) => "fault",
    }
}

fn packet(object: &mut Object, frame: &Frame) {
    object.number("packet", frame.packet);
    object.text("source", &frame.source.to_string());
    object.text("destination", &frame.destination.to_string());
    object.text("protocol", if matches!(frame.body, Body::Udp { .. }) { "udp" } else { "tcp" });
    object.number("size", frame.body.size() as u64);
    match frame.ecn {
        None => {}
        Some(Ecn::Ect1) => object.text("ecn", "ect1"),
        Some(Ecn::Ect0) => object.text("ecn", "ect0"),
        Some(Ecn::Ce) => object.text("ecn", "ce"),
    }
    if let Body::Tcp(tcp) = &frame.body {
        segment(object, tcp);
    }
}

fn segment(object: &mut Object, tcp: &Tcp) {
    let set = [
        (tcp.flags.syn, "syn"),
        (tcp.flags.fin, "fin"),
        (tcp.flags.rst, "rst"),
        (tcp.acknowledgement.is_some(), "ack"),
    ];
    object.array("flags", set.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| quoted(name)));
    object.number("sequence", tcp.sequence);
    if let Some(acknowledgement) = tcp.acknowledgement {
        object.number("acknowledgement", acknowledgement);
    }
    object.number("window", tcp.window);
}

/// One object, member by member.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn text(&mut self, name: &str, value: &str) {
        self.member(name, &quoted(value));
    }

    fn number(&mut self, name: &str, value: u64) {
        self.member(name, &value.to_string());
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.member(name, if value { "true" } else { "false" });
    }

    fn array(&mut self, name: &str, values: impl Iterator<Item = String>) {
        let values: Vec<_> = values.collect();
        self.member(name, &format!("[{}]", values.join(",")));
    }

    fn member(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0 += &quoted(name);
        self.0.push(':');
        self.0 += json;
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn line(self) -> String {
        self.end() + "\n"
    }
}

/// A string in quotation marks (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for char in text.chars() {
        match char {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            ..' ' => write!(json, "\\u{:04x}", u32::from(char)).expect("strings take all"),
            _ => json.push(char),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::evidence::sample;
    use crate::sim::timeline::{DropReason, NodeId};

    fn json(timeline: &Timeline) -> String {
        let mut bytes = Vec::new();
        timeline.write_json(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_run_is_a_header_and_a_line_for_each_record() {
        let expected = [
            r#"{"format":"switchboard-timeline","version":1,"seed":"7","lost":0,"nodes":[{"name":"phone","gateway":false,"addresses":["192.168.1.2"]},{"name":"home","gateway":true,"addresses":["198.18.0.1"]},{"name":"relay <main>","gateway":false,"addresses":["198.18.0.2"]}]}"#,
            r#"{"time":1000000,"node":"phone","kind":"sent","packet":1,"source":"192.168.1.2:5000","destination":"198.18.0.2:3478","protocol":"udp","size":5}"#,
            r#"{"time":2000000,"node":"home","kind":"forwarded","packet":1,"source":"198.18.0.1:5000","destination":"198.18.0.2:3478","protocol":"udp","size":5}"#,
            r#"{"time":12000000,"node":"relay <main>","kind":"delivered","packet":1,"source":"198.18.0.1:5000","destination":"198.18.0.2:3478","protocol":"udp","size":5}"#,
            r#"{"time":12000000,"node":"relay <main>","kind":"event","text":"heard \"hello\"","path":false}"#,
            r#"{"time":13000000,"node":"relay <main>","kind":"sent","packet":2,"source":"198.18.0.2:3478","destination":"198.18.0.1:5000","protocol":"udp","size":6}"#,
            r#"{"time":23000000,"node":"home","kind":"dropped","packet":2,"source":"198.18.0.2:3478","destination":"198.18.0.1:5000","protocol":"udp","size":6,"reason":"filtered","why":"the NAT's filter"}"#,
            r#"{"time":30000000,"node":"phone","kind":"event","text":"direct & fast","path":true}"#,
            r#"{"time":40000000,"node":"home","kind":"fault","text":"reboot"}"#,
            r#"{"time":41000000,"node":"phone","kind":"sent","packet":3,"source":"192.168.1.2:40000","destination":"198.18.0.2:443","protocol":"tcp","size":0,"flags":["syn"],"sequence":0,"window":0}"#,
        ];
        assert_eq!(json(&sample::run()).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_reason_for_a_drop_is_told_as_a_word_and_as_a_sentence() {
        for reason in DropReason::ALL {
            let frame = sample::udp(1, "[2001:db8::1]:1", "[2001:db8::2]:2", b"");
            let record = Record { at: sample::at(1), node: NodeId(0), what: What::Dropped(frame, reason) };
            let line = line(&sample::nothing(), &record);
            assert!(line.ends_with(&format!(",\"reason\":\"{}\",\"why\":\"{reason}\"}}\n", reason.code())), "{line}");
        }
    }

    #[test]
    fn a_mark_of_congestion_and_an_acknowledgement_are_told() {
        let frame = Frame { ecn: Some(Ecn::Ce), ..sample::segment(1, Default::default(), b"abc") };
        let mut object = Object::new();
        packet(&mut object, &frame);
        let expected = r#""size":3,"ecn":"ce","flags":["ack"],"sequence":1,"acknowledgement":1,"window":0}"#;
        assert!(object.end().ends_with(expected));
    }

    #[test]
    fn no_text_breaks_out_of_its_quotation_marks_or_its_line() {
        assert_eq!(quoted("a\"b\\c\n\r\t\u{0}\u{1f}\u{7f}é🙂"), "\"a\\\"b\\\\c\\n\\r\\t\\u0000\\u001f\u{7f}é🙂\"");
        let all: String = (0..0x80).map(char::from).collect();
        assert!(quoted(&all).chars().all(|char| char >= ' '));
    }
}
