//! A timeline as a capture: pcapng (draft-ietf-opsawg-pcapng) with one interface for each host and gateway.
//!
//! An interface shows what crosses its node's own link, so that one packet is in the capture once for each place that
//! it passes, each time with the same `epb_packetid`: its number. A packet that was dropped stands where it was dropped,
//! with the reason as a comment; if that is the link of its sender, it stands there a second time.
//!
//! Interfaces carry bare IP packets, with nanoseconds. Virtual time begins with the year 2026 in UTC. What was not kept
//! of a payload counts in the original length only.

use std::collections::BTreeMap;
use std::io;

use super::headers::{self, Streams};
use crate::sim::timeline::{Frame, NodeId, Record, Timeline, What};

/// 2026-01-01, in nanoseconds of the Unix epoch.
const ORIGIN: u64 = 1_767_225_600_000_000_000;
const SNAP_LENGTH: usize = 65_535;
const LINKTYPE_RAW: u16 = 101;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const EPB_PACKETID: u16 = 5;

/// The direction in `epb_flags`; 0 is unknown.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

impl Timeline {
    /// Writes the links of all hosts and gateways as one pcapng file, as Wireshark opens it: an interface a node.
    /// Record payloads ([`Recording::payloads`](super::super::Recording::payloads)) to have more than headers.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_pcapng(&self, out: &mut impl io::Write) -> io::Result<()> {
        let nodes: Vec<_> = (0..self.nodes.len() as u32).map(NodeId).collect();
        self.write_capture(&nodes, out)
    }

    /// Writes the link of one host or gateway as a pcapng file. Panics if the timeline does not have that node.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_pcapng_of(&self, node: NodeId, out: &mut impl io::Write) -> io::Result<()> {
        assert!(node.index() < self.nodes.len(), "the timeline has no {node}");
        self.write_capture(&[node], out)
    }

    fn write_capture(&self, nodes: &[NodeId], out: &mut impl io::Write) -> io::Result<()> {
        out.write_all(&self.section())?;
        for node in nodes {
            out.write_all(&self.interface(*node))?;
        }
        let interfaces: BTreeMap<_, _> = nodes.iter().copied().zip(0..).collect();
        let origins = self.origins();
        let mut streams = Streams::default();
        for record in &self.records {
            let (Some(frame), Some(interface)) = (record.what.frame(), interfaces.get(&record.node)) else { continue };
            let bytes = headers::bytes(&mut streams, record.node, frame);
            let direction = self.direction(record, frame, origins.get(&frame.packet).copied());
            out.write_all(&packet(*interface, record, frame, &bytes, direction))?;
        }
        Ok(())
    }

    fn section(&self) -> Vec<u8> {
        const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
        const MAJOR: u16 = 1;
        const MINOR: u16 = 0;
        const UNKNOWN_LENGTH: u64 = u64::MAX;
        let mut block = Block::new(SECTION_HEADER);
        block.put(&BYTE_ORDER_MAGIC.to_le_bytes());
        block.put(&MAJOR.to_le_bytes());
        block.put(&MINOR.to_le_bytes());
        block.put(&UNKNOWN_LENGTH.to_le_bytes());
        block.option(OPT_COMMENT, format!("simulated from seed {}", self.seed).as_bytes());
        if self.lost > 0 {
            block.option(OPT_COMMENT, format!("{} later records were not kept", self.lost).as_bytes());
        }
        block.option(SHB_USERAPPL, b"switchboard");
        block.end()
    }

    fn interface(&self, node: NodeId) -> Vec<u8> {
        const NANOSECONDS: u8 = 9;
        let node = &self.nodes[node.index()];
        let kind = if node.is_gateway { "gateway" } else { "host" };
        let addresses: Vec<_> = node.addresses.iter().map(ToString::to_string).collect();
        let mut block = Block::new(INTERFACE_DESCRIPTION);
        block.put(&LINKTYPE_RAW.to_le_bytes());
        block.put(&[0; 2]);
        block.put(&(SNAP_LENGTH as u32).to_le_bytes());
        block.option(IF_NAME, node.name.as_bytes());
        block.option(IF_DESCRIPTION, format!("{kind} {}", addresses.join(" ")).as_bytes());
        block.option(IF_TSRESOL, &[NANOSECONDS]);
        block.end()
    }

    /// As the node sees it. A gateway knows by its address outside, which only translated packets have.
    fn direction(&self, record: &Record, frame: &Frame, origin: Option<NodeId>) -> u32 {
        let node = &self.nodes[record.node.index()];
        match &record.what {
            What::Sent(_) => OUTBOUND,
            What::Delivered(_) => INBOUND,
            What::Dropped(..) if !node.is_gateway && origin == Some(record.node) => OUTBOUND,
            What::Dropped(..) if !node.is_gateway => INBOUND,
            _ if node.addresses.contains(&frame.source.ip()) => OUTBOUND,
            _ if node.addresses.contains(&frame.destination.ip()) => INBOUND,
            _ => 0,
        }
    }
}

fn packet(interface: u32, record: &Record, frame: &Frame, bytes: &[u8], direction: u32) -> Vec<u8> {
    let missing = frame.body.size().saturating_sub(frame.body.data().len());
    let captured = &bytes[..bytes.len().min(SNAP_LENGTH)];
    let time = ORIGIN.saturating_add(record.at.as_nanos());
    let mut block = Block::new(ENHANCED_PACKET);
    for number in [interface, (time >> 32) as u32, time as u32, captured.len() as u32, (bytes.len() + missing) as u32] {
        block.put(&number.to_le_bytes());
    }
    block.put(captured);
    if let What::Dropped(_, reason) = &record.what {
        block.option(OPT_COMMENT, format!("dropped: {reason}").as_bytes());
    }
    block.option(EPB_FLAGS, &direction.to_le_bytes());
    block.option(EPB_PACKETID, &frame.packet.to_le_bytes());
    block.end()
}

/// A block under construction, with numbers in little-endian order.
struct Block(Vec<u8>);

impl Block {
    fn new(kind: u32) -> Self {
        Self([kind.to_le_bytes(), [0; 4]].concat())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.align();
        self.put(&code.to_le_bytes());
        self.put(&(value.len() as u16).to_le_bytes());
        self.put(value);
        self.align();
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Ends the options, and tells the length before and after.
    fn end(mut self) -> Vec<u8> {
        self.put(&[0; 4]);
        let length = (self.0.len() as u32 + 4).to_le_bytes();
        self.0[4..8].copy_from_slice(&length);
        self.put(&length);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sim::evidence::sample;
    use crate::sim::timeline::{Body, DropReason};

    /// A block as a reader finds it.
    #[derive(Debug, PartialEq, Eq)]
    struct Found {
        kind: u32,
        body: Vec<u8>,
    }

    impl Found {
        fn number(&self, at: usize) -> u32 {
            u32::from_le_bytes(self.body[at..at + 4].try_into().unwrap())
        }

        /// The packet's bytes, and its length on the wire.
        fn packet(&self) -> (&[u8], u32) {
            (&self.body[20..20 + self.number(12) as usize], self.number(16))
        }

        fn nanoseconds(&self) -> u64 {
            u64::from(self.number(4)) << 32 | u64::from(self.number(8))
        }

        fn option(&self, code: u16) -> Option<Vec<u8>> {
            let fixed = match self.kind {
                SECTION_HEADER => 16,
                INTERFACE_DESCRIPTION => 8,
                _ => (20 + self.number(12) as usize).next_multiple_of(4),
            };
            let mut rest = &self.body[fixed..];
            loop {
                let [a, b, c, d, tail @ ..] = rest else { panic!("options without an end") };
                let (found, length) = (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
                match found {
                    0 => {
                        assert!(length == 0 && tail.is_empty(), "something after the end of options");
                        return None;
                    }
                    found if found == code => return Some(tail[..length].to_vec()),
                    _ => rest = &tail[length.next_multiple_of(4)..],
                }
            }
        }

        fn text(&self, code: u16) -> Option<String> {
            self.option(code).map(|bytes| String::from_utf8(bytes).unwrap())
        }
    }

    /// All blocks; panics where their lengths do not fit.
    fn blocks(mut file: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        while !file.is_empty() {
            let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
            let length = number(4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(number(length - 4) as usize, length);
            found.push(Found { kind: number(0), body: file[8..length - 4].to_vec() });
            file = &file[length..];
        }
        for block in &found {
            assert_eq!(block.option(0xffff), None);
        }
        found
    }

    fn capture(timeline: &Timeline) -> Vec<Found> {
        let mut file = Vec::new();
        timeline.write_pcapng(&mut file).unwrap();
        blocks(&file)
    }

    fn packets(timeline: &Timeline) -> Vec<Found> {
        capture(timeline).into_iter().filter(|block| block.kind == ENHANCED_PACKET).collect()
    }

    fn of(records: impl IntoIterator<Item = (NodeId, What)>) -> Timeline {
        let record = |(node, what)| Record { at: sample::at(5), node, what };
        Timeline { records: records.into_iter().map(record).collect(), ..sample::nothing() }
    }

    #[test]
    fn a_capture_begins_with_its_seed_and_an_interface_for_each_node() {
        let blocks = capture(&Timeline { lost: 3, ..sample::nothing() });
        assert_eq!(blocks[0].text(OPT_COMMENT).unwrap(), "simulated from seed 7");
        let names: Vec<_> = blocks[1..].iter().map(|block| block.text(IF_NAME).unwrap()).collect();
        assert_eq!(names, ["phone", "home", "relay <main>"]);
        assert_eq!(blocks[2].text(IF_DESCRIPTION).unwrap(), "gateway 198.18.0.1");
        assert_eq!((blocks[2].number(0), blocks[2].option(IF_TSRESOL)), (101, Some(vec![9])));
    }

    #[test]
    fn a_packet_stands_at_each_place_that_it_passes_with_its_number_and_its_moment() {
        let packets = packets(&sample::run());
        let seen: Vec<_> = packets
            .iter()
            .map(|block| {
                let id = u64::from_le_bytes(block.option(EPB_PACKETID).unwrap().try_into().unwrap());
                let flags = block.option(EPB_FLAGS).unwrap()[0];
                (block.number(0), (block.nanoseconds() - ORIGIN) / 1_000_000, id, u32::from(flags))
            })
            .collect();
        let expected = [
            (0, 1, 1, OUTBOUND),
            (1, 2, 1, OUTBOUND),
            (2, 12, 1, INBOUND),
            (2, 13, 2, OUTBOUND),
            (1, 23, 2, INBOUND),
            (0, 41, 3, OUTBOUND),
        ];
        assert_eq!(seen, expected);
        assert!(packets[0].packet().0.ends_with(b"hello"));
    }

    #[test]
    fn a_dropped_packet_says_why() {
        let comments: Vec<_> = packets(&sample::run()).iter().filter_map(|block| block.text(OPT_COMMENT)).collect();
        assert_eq!(comments, ["dropped: the NAT's filter"]);
    }

    #[test]
    fn a_drop_is_outbound_where_the_packet_came_from_and_inbound_at_other_hosts() {
        let frame = sample::udp(1, "10.0.0.9:1", "10.0.0.8:2", b"");
        let drop = |node| (node, What::Dropped(frame.clone(), DropReason::Loss));
        let timeline = of([
            (sample::PHONE, What::Sent(frame.clone())),
            drop(sample::PHONE),
            drop(sample::RELAY),
            drop(sample::HOME),
        ]);
        let flags: Vec<_> =
            packets(&timeline).iter().map(|block| u32::from(block.option(EPB_FLAGS).unwrap()[0])).collect();
        assert_eq!(flags, [OUTBOUND, OUTBOUND, INBOUND, 0]);
    }

    #[test]
    fn what_was_not_kept_or_is_too_long_to_capture_counts_in_the_length_on_the_wire() {
        let mut headers_only = sample::udp(1, "10.0.0.9:1", "10.0.0.8:2", b"");
        headers_only.body = Body::Udp { len: 1000, data: Arc::from([]) };
        let long = sample::udp(2, "10.0.0.9:1", "10.0.0.8:2", &[1; 70_000]);
        let packets = packets(&of([headers_only, long].map(|frame| (sample::PHONE, What::Sent(frame)))));
        let lengths: Vec<_> = packets.iter().map(|block| (block.packet().0.len(), block.packet().1)).collect();
        assert_eq!(lengths, [(28, 1028), (65_535, 70_028)]);
    }

    #[test]
    fn the_capture_of_one_link_has_that_link_alone() {
        let mut file = Vec::new();
        sample::run().write_pcapng_of(sample::RELAY, &mut file).unwrap();
        let blocks = blocks(&file);
        let kinds: Vec<_> = blocks.iter().map(|block| block.kind).collect();
        assert_eq!(kinds, [SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET, ENHANCED_PACKET]);
        assert_eq!(blocks[1].text(IF_NAME).unwrap(), "relay <main>");
        assert!(blocks[2..].iter().all(|block| block.number(0) == 0));
    }

    #[test]
    fn blocks_fit_whatever_the_lengths_of_names_and_payloads() {
        for length in 0..9 {
            let mut timeline = of([(sample::HOME, What::Sent(sample::udp(1, "[::1]:1", "[::2]:2", &vec![7; length])))]);
            timeline.nodes[1].name = "n".repeat(length);
            let blocks = capture(&timeline);
            assert_eq!(blocks[2].text(IF_NAME).unwrap().len(), length);
            assert_eq!(blocks[4].packet().0.len(), 48 + length);
        }
        let mut timeline = sample::nothing();
        timeline.nodes[1].name = "n".repeat(100_000);
        assert_eq!(capture(&timeline)[2].text(IF_NAME).unwrap().len(), 65_535);
    }
}
