//! Evidence: a [`Timeline`] as files that people and programs read.
//!
//! There are three, for three questions. *What happened to this packet, and why?* [`Timeline::write_json`] writes one
//! JSON object a line, with a reason for every dropped packet. *What was on the wire?* [`Timeline::write_pcapng`]
//! writes a capture that Wireshark dissects. *How did the run go?* [`Timeline::write_svg`] draws it for a person.
//! A [`Matrix`] is the picture of many runs: a table of verdicts.
//!
//! All are functions of the value alone: equal timelines give equal bytes.

mod headers;
mod json;
mod pcapng;
mod picture;

use std::collections::BTreeMap;

use super::timeline::{Body, Frame, NodeId, Timeline, What};

pub use picture::{Cell, Class, Matrix, Picture};

impl Timeline {
    /// Who sent each packet first.
    fn origins(&self) -> BTreeMap<u64, NodeId> {
        let sent = self.records.iter().rev().filter_map(|record| match &record.what {
            What::Sent(frame) => Some((frame.packet, record.node)),
            _ => None,
        });
        sent.collect()
    }
}

impl What {
    const fn frame(&self) -> Option<&Frame> {
        match self {
            Self::Sent(frame) | Self::Forwarded(frame) | Self::Delivered(frame) | Self::Dropped(frame, _) => {
                Some(frame)
            }
            Self::Event { .. } | Self::Fault(_) => None,
        }
    }
}

impl Body {
    /// Bytes of payload, kept or not.
    const fn size(&self) -> usize {
        match self {
            Self::Udp { len, .. } => *len,
            Self::Tcp(tcp) => tcp.len,
        }
    }

    /// What was kept of the payload.
    fn data(&self) -> &[u8] {
        match self {
            Self::Udp { data, .. } => data,
            Self::Tcp(tcp) => &tcp.data,
        }
    }
}

/// Timelines made by hand, for the tests of all kinds of evidence.
#[cfg(test)]
mod sample {
    use std::net::SocketAddr;

    use crate::machine::time::Instant;
    use crate::sim::timeline::{Body, DropReason, Flags, Frame, Node, NodeId, Record, Tcp, Timeline, What};

    pub(super) const PHONE: NodeId = NodeId(0);
    pub(super) const HOME: NodeId = NodeId(1);
    pub(super) const RELAY: NodeId = NodeId(2);

    /// A phone behind a gateway, and a relay; nothing has happened.
    pub(super) fn nothing() -> Timeline {
        let node = |name: &str, is_gateway, address: &str| Node {
            name: name.into(),
            is_gateway,
            addresses: vec![address.parse().unwrap()],
        };
        let nodes = vec![
            node("phone", false, "192.168.1.2"),
            node("home", true, "198.18.0.1"),
            node("relay <main>", false, "198.18.0.2"),
        ];
        Timeline { seed: 7, nodes, ..Timeline::default() }
    }

    /// A datagram that arrives through the gateway, a segment that is filtered there, an event, a change of path and
    /// a fault.
    pub(super) fn run() -> Timeline {
        let event = |text: &str, is_path| What::Event { text: text.into(), is_path };
        let refused = udp(2, "198.18.0.2:3478", "198.18.0.1:5000", b"answer");
        let records = [
            (1, PHONE, What::Sent(udp(1, "192.168.1.2:5000", "198.18.0.2:3478", b"hello"))),
            (2, HOME, What::Forwarded(udp(1, "198.18.0.1:5000", "198.18.0.2:3478", b"hello"))),
            (12, RELAY, What::Delivered(udp(1, "198.18.0.1:5000", "198.18.0.2:3478", b"hello"))),
            (12, RELAY, event("heard \"hello\"", false)),
            (13, RELAY, What::Sent(refused.clone())),
            (23, HOME, What::Dropped(refused, DropReason::Filtered)),
            (30, PHONE, event("direct & fast", true)),
            (40, HOME, What::Fault("reboot".into())),
            (41, PHONE, What::Sent(segment(3, Flags { syn: true, ..Flags::default() }, b""))),
        ];
        let record = |(ms, node, what)| Record { at: at(ms), node, what };
        Timeline { records: records.into_iter().map(record).collect(), ..nothing() }
    }

    pub(super) fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    pub(super) fn udp(packet: u64, source: &str, destination: &str, data: &[u8]) -> Frame {
        frame(packet, source, destination, Body::Udp { len: data.len(), data: data.into() })
    }

    /// From the phone to the relay's port 443, in front of any gateway.
    pub(super) fn segment(packet: u64, flags: Flags, data: &[u8]) -> Frame {
        let (sequence, acknowledgement) = if flags.syn { (0, None) } else { (1, Some(1)) };
        let tcp = Tcp { sequence, acknowledgement, window: 0, flags, len: data.len(), data: data.into() };
        frame(packet, "192.168.1.2:40000", "198.18.0.2:443", Body::Tcp(tcp))
    }

    fn frame(packet: u64, source: &str, destination: &str, body: Body) -> Frame {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        Frame { packet, source: address(source), destination: address(destination), ecn: None, body }
    }
}
