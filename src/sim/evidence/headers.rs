//! The bytes of a packet as they would be on a wire: IPv4 (RFC 791) or IPv6 (RFC 8200), then UDP (RFC 768) or TCP
//! (RFC 9293).
//!
//! The simulator has no headers, only what they say; here they are made. Where a payload was not kept, checksums are
//! those of as many zeros. The IPv4 identification is the low 16 bits of the packet's number.
//!
//! *TCP.* Numbers are the low 32 bits. A TCP repeats in each segment what it has last said, its acknowledgement and its
//! window, and sends empty segments with its next number. The simulator's segments say each thing once, so [`Streams`]
//! remembers it by direction and place. Windows above 65,535 bytes are written as that: there is no scaling.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::machine::datagram::Ecn;
use crate::sim::timeline::{Body, Frame, NodeId, Tcp};

const UDP: u8 = 17;
const TCP: u8 = 6;
const HOP_LIMIT: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;

/// What each direction of each stream has last said, at each place.
#[derive(Debug, Default)]
pub(super) struct Streams(BTreeMap<(NodeId, SocketAddr, SocketAddr), Said>);

#[derive(Debug, Clone, Copy)]
struct Said {
    /// The number after the last byte.
    next: u64,
    acknowledgement: u64,
    window: u64,
}

impl Said {
    const NOTHING: Self = Self { next: 1, acknowledgement: 0, window: u16::MAX as u64 };
}

/// A TCP header before it is bytes.
struct Header {
    sequence: u64,
    acknowledgement: Option<u64>,
    window: u64,
}

/// A packet at a place, headers and what was kept of its payload.
pub(super) fn bytes(streams: &mut Streams, node: NodeId, frame: &Frame) -> Vec<u8> {
    let size = frame.body.size();
    let (protocol, mut transport) = match &frame.body {
        Body::Udp { .. } => (UDP, udp(frame, size)),
        Body::Tcp(tcp) => (TCP, segment(frame, tcp, &streams.header(node, frame, tcp))),
    };
    let (headers, data) = (transport.len(), frame.body.data());
    transport.extend_from_slice(data);
    let length = headers + size;
    let (ips, pseudo) = addresses(frame, protocol, length);
    let at = if protocol == UDP { 6 } else { 16 };
    let sum = match checksum(&[&pseudo, &transport]) {
        // RFC 768: zero says that there is none.
        0 if protocol == UDP => 0xffff,
        sum => sum,
    };
    transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    let mut packet = ip(frame, &ips, protocol, length);
    packet.append(&mut transport);
    packet
}

impl Streams {
    fn header(&mut self, node: NodeId, frame: &Frame, tcp: &Tcp) -> Header {
        let key = (node, frame.source, frame.destination);
        let old = self.0.get(&key).copied().filter(|_| !tcp.flags.syn);
        let said = old.unwrap_or(Said::NOTHING);
        // A number before the next one without anything to carry is a probe.
        let is_empty = tcp.len == 0 && !tcp.flags.syn && !tcp.flags.fin;
        let sequence = match is_empty {
            true if tcp.sequence == 0 && !tcp.flags.rst => said.next - 1,
            true => said.next.max(tcp.sequence),
            false => tcp.sequence,
        };
        // Only what opens the stream and pure acknowledgements say a window.
        let tells_window = tcp.flags.syn || is_empty && tcp.sequence > 0 && !tcp.flags.rst;
        let window = if tells_window { tcp.window } else { said.window };
        let acknowledgement = tcp.acknowledgement.map(|number| number.max(said.acknowledgement));
        let taken = tcp.len as u64 + u64::from(tcp.flags.syn) + u64::from(tcp.flags.fin);
        let now = Said {
            next: said.next.max(tcp.sequence.saturating_add(taken)),
            acknowledgement: acknowledgement.unwrap_or(said.acknowledgement),
            // A SYN has nothing to say of its window yet.
            window: if tcp.acknowledgement.is_some() { window } else { said.window },
        };
        self.0.insert(key, now);
        Header { sequence, acknowledgement, window }
    }
}

fn udp(frame: &Frame, size: usize) -> Vec<u8> {
    let mut header = ports(frame);
    header.extend_from_slice(&short(8 + size).to_be_bytes());
    header.extend_from_slice(&[0; 2]);
    header
}

fn segment(frame: &Frame, tcp: &Tcp, header: &Header) -> Vec<u8> {
    const WORDS: u8 = 5;
    let flags = u8::from(tcp.flags.fin)
        | u8::from(tcp.flags.syn) << 1
        | u8::from(tcp.flags.rst) << 2
        | u8::from(tcp.len > 0) << 3
        | u8::from(header.acknowledgement.is_some()) << 4;
    let window = u16::try_from(header.window).unwrap_or(u16::MAX);
    let mut bytes = ports(frame);
    bytes.extend_from_slice(&(header.sequence as u32).to_be_bytes());
    bytes.extend_from_slice(&(header.acknowledgement.unwrap_or(0) as u32).to_be_bytes());
    bytes.extend_from_slice(&[WORDS << 4, flags]);
    bytes.extend_from_slice(&window.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

fn ports(frame: &Frame) -> Vec<u8> {
    [frame.source.port().to_be_bytes(), frame.destination.port().to_be_bytes()].concat()
}

/// Both addresses as bytes, and the pseudo-header that checksums cover (RFC 9293, section 3.1; RFC 8200, section 8.1).
fn addresses(frame: &Frame, protocol: u8, length: usize) -> (Vec<u8>, Vec<u8>) {
    let (ips, rest) = match (frame.source.ip(), frame.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let [high, low] = short(length).to_be_bytes();
            ([source.octets(), destination.octets()].concat(), vec![0, protocol, high, low])
        }
        (source, destination) => {
            let rest = [(length as u32).to_be_bytes(), [0, 0, 0, protocol]].concat();
            ([source, destination].map(v6).concat(), rest)
        }
    };
    let pseudo = [&ips[..], &rest].concat();
    (ips, pseudo)
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn ip(frame: &Frame, ips: &[u8], protocol: u8, length: usize) -> Vec<u8> {
    const V4_BYTES: usize = 20;
    let ecn = frame.ecn.map_or(0, Ecn::bits);
    let mut header;
    if ips.len() == 8 {
        header = vec![0x45, ecn];
        header.extend_from_slice(&short(V4_BYTES + length).to_be_bytes());
        header.extend_from_slice(&(frame.packet as u16).to_be_bytes());
        header.extend_from_slice(&DONT_FRAGMENT.to_be_bytes());
        header.extend_from_slice(&[HOP_LIMIT, protocol, 0, 0]);
        header.extend_from_slice(ips);
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        header = vec![0x60, ecn << 4, 0, 0];
        header.extend_from_slice(&short(length).to_be_bytes());
        header.extend_from_slice(&[protocol, HOP_LIMIT]);
        header.extend_from_slice(ips);
    }
    header
}

/// What a field of 16 bits can say of a length.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// The Internet checksum (RFC 1071) of parts of which all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u64 = words.map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sim::evidence::sample;
    use crate::sim::timeline::Flags;

    fn made(frame: &Frame) -> Vec<u8> {
        bytes(&mut Streams::default(), sample::PHONE, frame)
    }

    #[test]
    fn a_datagram_over_ipv4_has_the_headers_of_the_standard() {
        let expected = "4500 0021 0001 4000 4011 b30c c0a8 0102 c612 0002 1388 0d96 000d 1325 6865 6c6c 6f";
        let packet = made(&sample::udp(1, "192.168.1.2:5000", "198.18.0.2:3478", b"hello"));
        let words: Vec<_> =
            packet.chunks(2).map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect::<String>()).collect();
        assert_eq!(words.join(" "), expected);
        assert_eq!(checksum(&[&packet[..20]]), 0);
    }

    #[test]
    fn a_datagram_over_ipv6_sums_to_nothing_with_its_pseudo_header() {
        let frame = Frame { ecn: Some(Ecn::Ce), ..sample::udp(1, "[2001:db8::1]:1", "[2001:db8::2]:2", b"odd") };
        let packet = made(&frame);
        assert_eq!(packet[..8], [0x60, 0x30, 0, 0, 0, 11, UDP, HOP_LIMIT]);
        let pseudo = [&packet[8..40], &[0, 0, 0, 11, 0, 0, 0, UDP]].concat();
        assert_eq!(checksum(&[&pseudo, &packet[40..]]), 0);
    }

    #[test]
    fn a_payload_that_was_not_kept_counts_in_lengths_and_as_zeros_in_the_checksum() {
        let mut frame = sample::udp(1, "192.168.1.2:5000", "198.18.0.2:3478", &[0; 100]);
        let kept = made(&frame);
        frame.body = Body::Udp { len: 100, data: Arc::from([]) };
        assert_eq!(made(&frame), kept[..28]);
    }

    #[test]
    fn a_datagram_longer_than_any_length_field_says_the_most_it_can() {
        let mut frame = sample::udp(1, "192.168.1.2:5000", "198.18.0.2:3478", b"");
        frame.body = Body::Udp { len: 100_000, data: Arc::from([]) };
        let packet = made(&frame);
        assert_eq!((&packet[2..4], &packet[24..26]), (&[0xff, 0xff][..], &[0xff, 0xff][..]));
    }

    #[test]
    fn a_segment_repeats_what_its_end_has_said_before() {
        let mut streams = Streams::default();
        let mut header = |sequence, acknowledgement, window, flags: Flags, len| {
            let tcp = Tcp { sequence, acknowledgement, window, flags, len, data: Arc::from([]) };
            let frame = Frame { body: Body::Tcp(tcp.clone()), ..sample::segment(1, flags, b"") };
            let Header { sequence, acknowledgement, window } = streams.header(sample::PHONE, &frame, &tcp);
            (sequence, acknowledgement, window)
        };
        let (plain, syn) = (Flags::default(), Flags { syn: true, ..Flags::default() });
        assert_eq!(header(0, None, 0, syn, 0), (0, None, 0));
        assert_eq!(header(1, Some(1), 0, plain, 10), (1, Some(1), 65_535));
        assert_eq!(header(1, Some(501), 0, plain, 0), (11, Some(501), 0), "a window that is closed");
        assert_eq!(header(11, Some(1), 0, plain, 5), (11, Some(501), 0));
        assert_eq!(header(0, Some(1), 0, plain, 0), (15, Some(501), 0), "a probe");
        assert_eq!(header(1, Some(501), 900, plain, 0), (16, Some(501), 900));
        assert_eq!(header(1, Some(1), 0, plain, 10), (1, Some(501), 900), "a repetition");
        assert_eq!(header(0, None, 0, Flags { rst: true, ..plain }, 0), (16, None, 900));
        assert_eq!(header(0, None, 0, syn, 0), (0, None, 0), "the same ports again");
        assert_eq!(header(1, Some(1), 0, plain, 1), (1, Some(1), 65_535));
    }
}
