//! A peer that breaks one rule after the other: each ends the association by that rule, or is counted and harms nobody.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::bench::{ANN, BOB, Bench, both, seconds};
use crate::link::sctp::{Association, Broken, ChannelConfig, Config, Dropped, Event, Over, PORT};
use crate::machine::rng::Rng;
use crate::wire::sctp::dcep::{ChannelType, Message, Open};
use crate::wire::sctp::reconfig::{Request, Streams};
use crate::wire::sctp::{Checksum, Chunk, DataHead, Header, Packet, Skipped, Tsn, cause, kind, parse, ppid};

/// A packet as Ann would send it to Bob.
fn packet(bench: &Bench, write: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
    let tag = bench.ends[BOB].association.local_tag;
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &Header { source_port: PORT, destination_port: PORT, tag }, 60_000);
    write(&mut packet);
    packet.finish(true);
    out
}

/// A chunk with any length field, after which nothing follows.
fn raw_chunk(bench: &Bench, chunk: &[u8]) -> Vec<u8> {
    let tag = bench.ends[BOB].association.local_tag;
    let mut out = Vec::new();
    let packet = Packet::begin(&mut out, &Header { source_port: PORT, destination_port: PORT, tag }, 60_000);
    packet.finish(false);
    out.extend_from_slice(chunk);
    out
}

fn data(packet: &mut Packet<'_>, tsn: Tsn, stream: u16, message: u32, ppid: u32, payload: &[u8]) {
    packet.data(&DataHead {
        tsn,
        stream,
        ppid,
        is_unordered: false,
        is_begin: true,
        is_end: true,
        is_immediate: false,
        is_interleaved: false,
        message,
        fragment: 0,
        len: payload.len(),
    });
    packet.payload(payload);
    packet.pad_chunk();
}

/// Two that stand, with one channel on which a message has passed.
fn bench(config: Config) -> (Bench, u16) {
    let mut bench = Bench::connected(both(config));
    let stream = bench.open(ANN, ChannelConfig::default());
    assert!(bench.write(ANN, stream, b"before"));
    bench.run(seconds(2));
    assert_eq!(bench.ends[BOB].messages.len(), 1);
    (bench, stream)
}

/// The next TSN of Ann.
fn next(bench: &Bench) -> Tsn {
    bench.ends[ANN].association.outbound.next_tsn()
}

fn dropped(bench: &Bench) -> Dropped {
    bench.ends[BOB].association.statistics().dropped
}

/// Bob lives, and so does the channel.
fn assert_lives(bench: &mut Bench, stream: u16) {
    let before = bench.ends[BOB].messages.len();
    assert!(bench.write(ANN, stream, b"after"));
    bench.run(seconds(20));
    assert!(bench.ends.iter().all(super::bench::End::is_connected), "{:?}", bench.ends[BOB].events);
    assert_eq!(bench.ends[BOB].messages.len(), before + 1);
}

/// Bob has ended the association by that rule, and Ann was told so.
fn assert_broken(bench: &mut Bench, rule: Broken) {
    bench.run(seconds(1));
    assert_eq!(bench.ends[BOB].over(), Some(&Over::Broken(rule)));
    let Some(Over::Aborted { is_by_peer: true, reason }) = bench.ends[ANN].over() else { panic!("Ann was not told") };
    assert!(reason.contains(&rule.to_string()), "{reason}");
}

#[test]
fn acknowledging_what_was_never_sent_ends_the_association() {
    let (mut bench, _) = bench(Config::default());
    let never = bench.ends[BOB].association.outbound.next_tsn();
    let packet = packet(&bench, |packet| {
        packet.sack(never, 100_000, std::iter::empty(), std::iter::empty());
    });
    bench.inject(BOB, &packet);
    assert_broken(&mut bench, Broken::AcknowledgedUnsent);
}

#[test]
fn acknowledging_by_gap_what_was_never_sent_ends_the_association() {
    let (mut bench, _) = bench(Config::default());
    let cumulative = bench.ends[BOB].association.outbound.next_tsn().previous();
    let packet = packet(&bench, |packet| {
        packet.sack(cumulative, 100_000, [(5, 9)].into_iter(), std::iter::empty());
    });
    bench.inject(BOB, &packet);
    assert_broken(&mut bench, Broken::AcknowledgedUnsent);
}

#[test]
fn gap_blocks_without_end_cost_no_more_than_their_packet() {
    let (mut bench, stream) = bench(Config::default());
    bench.ends[ANN].is_cut_off = true;
    for _ in 0..8 {
        bench.write(BOB, stream, &[1; 16 << 10]);
    }
    bench.run(Duration::from_millis(5));
    let association = &bench.ends[BOB].association;
    let (cumulative, sent) = (association.outbound.next_tsn(), association.statistics().packets_sent);
    assert!(sent > 4);
    let old = Tsn(cumulative.0.wrapping_sub(5));
    let packet = packet(&bench, |packet| {
        packet.sack(old, 100_000, (0..10_000).map(|block| (1 + block % 4, 1 + block % 4)), std::iter::empty());
    });
    let held = allocation_counter::measure(|| (0..1_000).for_each(|_| bench.inject(BOB, &packet))).bytes_max;
    assert!(held < 64 << 10, "{held} bytes are held");
    let more = bench.ends[BOB].association.statistics().packets_sent - sent;
    assert!(more < 20, "{more} packets are sent");
    bench.ends[ANN].is_cut_off = false;
    assert_lives(&mut bench, stream);
    assert_eq!(bench.ends[ANN].messages.len(), 8);
}

#[test]
fn a_forward_tsn_ahead_of_everything_ends_the_association() {
    let (mut bench, _) = bench(Config::default());
    let ahead = next(&bench).add(1 << 30);
    let packet = packet(&bench, |packet| {
        let skipped = (0..1_000).map(|stream| Skipped { stream, is_unordered: false, message: 60_000 });
        packet.forward_tsn(ahead, false, skipped);
    });
    bench.inject(BOB, &packet);
    assert_broken(&mut bench, Broken::SkippedUnsent);
}

#[test]
fn data_on_stream_65_535_is_dropped_and_told_by_an_error() {
    let (mut bench, stream) = bench(Config { zero_checksum: true, ..Config::default() });
    let other = bench.open(ANN, ChannelConfig { is_ordered: false, ..Default::default() });
    bench.run(seconds(1));
    let told = Rc::new(Cell::new(0));
    let counter = told.clone();
    bench.meddle = Some(Box::new(move |from, packet| {
        if from == BOB {
            counter.set(counter.get() + u32::from(tells_invalid_stream(packet)));
        } else if packet[12] == kind::DATA {
            packet[20..22].fill(0xff);
        }
        true
    }));
    assert!(bench.write(ANN, other, b"where to?"));
    bench.run(seconds(1));
    bench.meddle = None;
    assert_eq!(told.get(), 1);
    assert_eq!(bench.ends[BOB].messages.len(), 1);
    assert_eq!(bench.ends[BOB].association.statistics().inbound.invalid_stream, 1);
    assert_lives(&mut bench, stream);
}

fn tells_invalid_stream(packet: &[u8]) -> bool {
    let (_, chunks) = parse(packet, Checksum::MayBeZero).unwrap();
    let mut causes = chunks.filter_map(|chunk| match chunk {
        Ok(Chunk::Error(causes)) => Some(causes),
        _ => None,
    });
    causes.any(|mut causes| causes.any(|told| told.code == cause::INVALID_STREAM && told.value[..2] == [0xff; 2]))
}

#[test]
fn chunks_of_zero_and_of_overlong_length_are_counted() {
    let zero_checksum = Config { zero_checksum: true, ..Config::default() };
    let (mut bench, stream) = bench(zero_checksum);
    for chunk in [[0, 0, 0, 0], [3, 0, 0, 3], [0, 0, 255, 255], [132, 0, 0, 5], [9, 0, 0, 2]] {
        let packet = raw_chunk(&bench, &chunk);
        bench.inject(BOB, &packet);
    }
    assert_eq!(dropped(&bench).malformed, 5);
    assert_lives(&mut bench, stream);
}

#[test]
fn data_without_payload_is_counted() {
    let (mut bench, stream) = bench(Config { zero_checksum: true, ..Config::default() });
    let tsn = next(&bench).0.to_be_bytes();
    let chunk = [&[0, 3, 0, 16], tsn.as_slice(), &[0, 0, 0, 1, 0, 0, 0, 53]].concat();
    let packet = raw_chunk(&bench, &chunk);
    bench.inject(BOB, &packet);
    assert_eq!(dropped(&bench).malformed, 1);
    assert_lives(&mut bench, stream);
}

#[test]
fn a_storm_of_resets_is_answered_in_bounds_and_leaves_the_channel() {
    let (mut bench, stream) = bench(Config::default());
    let last = next(&bench).previous();
    let streams: Vec<u16> = (1_000..3_000).collect();
    for round in 0..2_000_u32 {
        let request = Request::OutgoingReset {
            request: round.wrapping_mul(77),
            response: round,
            last,
            streams: Streams::of(&streams),
        };
        let packet = packet(&bench, |packet| {
            packet.reconfig(&[request]);
        });
        bench.inject(BOB, &packet);
    }
    bench.run(seconds(5));
    assert!(bench.ends[BOB].association.statistics().packets_sent < 10_000);
    assert!(bench.ends[BOB].association.events.len() < 100);
    assert_lives(&mut bench, stream);
}

#[test]
fn a_storm_of_resets_in_sequence_closes_each_channel_once_and_leaves_the_others() {
    let (mut bench, stream) = bench(Config::default());
    let streams = [(); 8].map(|()| bench.open(ANN, ChannelConfig::default()));
    bench.run(seconds(1));
    let (first, last) = (bench.ends[ANN].association.local_tsn.0, next(&bench).previous());
    let sent = bench.ends[BOB].association.statistics().packets_sent;
    for round in 0..2_000_u32 {
        let (request, response) = (first.wrapping_add(round), round);
        let request = Request::OutgoingReset { request, response, last, streams: Streams::of(&streams) };
        let packet = packet(&bench, |packet| {
            packet.reconfig(&[request]);
        });
        bench.inject(BOB, &packet);
    }
    bench.run(seconds(5));
    assert!(bench.ends[BOB].association.statistics().packets_sent - sent < 2_100);
    for closed in streams {
        let told = bench.ends[BOB].events.iter().filter(|event| **event == Event::Closed(closed)).count();
        assert_eq!(told, 1, "stream {closed}");
    }
    assert_eq!(bench.ends[BOB].association.statistics().channels, 1);
    assert_lives(&mut bench, stream);
}

#[test]
fn an_open_message_with_a_label_of_64_kib_is_refused_by_a_reset() {
    let config = Config { max_label: 65_535, ..Config::default() };
    let mut bench = Bench::connected([config, Config::default()]);
    let first = bench.open(ANN, ChannelConfig::default());
    let long = ChannelConfig { label: "l".repeat(65_535), ..Default::default() };
    let stream = bench.open(ANN, long);
    bench.run(seconds(5));
    assert_eq!(dropped(&bench).refused_channel, 1);
    assert!(bench.ends[ANN].has_closed(stream));
    assert_lives(&mut bench, first);
}

#[test]
fn two_open_messages_for_one_id_change_nothing() {
    let (mut bench, stream) = bench(Config::default());
    let now = bench.now;
    bench.ends[ANN].association.channels.remove(stream);
    let again = ChannelConfig { label: "again".into(), ..Default::default() };
    assert_eq!(bench.ends[ANN].association.open(now, again), Ok(stream));
    bench.run(seconds(1));
    assert_eq!(dropped(&bench).second_open, 1);
    assert_eq!(bench.ends[BOB].association.statistics().channels, 1);
    assert!(bench.ends[BOB].is_connected());
}

#[test]
fn nonsense_of_the_establishment_protocol_is_counted() {
    let (mut bench, stream) = bench(Config::default());
    let open = Open { channel_type: ChannelType::Reliable, priority: 0, reliability: 0, label: "ab", protocol: "" };
    let mut cut = Vec::new();
    Message::Open(open).emit(&mut cut);
    cut.pop();
    for bad in [&[9][..], &[2], &cut] {
        let head = super::super::outbound::Head {
            ppid: ppid::DCEP,
            is_ordered: true,
            reliability: crate::link::sctp::Reliability::Reliable,
        };
        let now = bench.now;
        assert!(bench.ends[ANN].association.outbound.write(now, stream, head, bad));
    }
    bench.run(seconds(1));
    assert_eq!((dropped(&bench).establishment, dropped(&bench).refused_channel), (2, 1));
    assert_lives(&mut bench, stream);
}

#[test]
fn an_open_message_that_cannot_be_read_is_refused_by_a_reset() {
    for (at, byte) in [(1, 0x55), (9, 200), (12, 0xff)] {
        let (mut bench, first) = bench(Config { zero_checksum: true, ..Config::default() });
        bench.meddle = Some(Box::new(move |_, packet| {
            if packet[12] == kind::DATA && packet[28] == 3 {
                packet[28 + at] = byte;
            }
            true
        }));
        let stream = bench.open(ANN, ChannelConfig { label: "x".into(), ..Default::default() });
        bench.run(seconds(5));
        assert_eq!(dropped(&bench).refused_channel, 1);
        assert!(bench.ends[ANN].has_closed(stream) && !bench.ends[ANN].has_closed(first));
        assert_lives(&mut bench, first);
    }
}

#[test]
fn messages_without_a_channel_or_of_an_unknown_kind_are_counted() {
    let (mut bench, stream) = bench(Config::default());
    let unknown = [(700, ppid::BINARY), (stream, 99)];
    for (stream, ppid) in unknown {
        let head = super::super::outbound::Head { ppid, is_ordered: true, reliability: Default::default() };
        let now = bench.now;
        assert!(bench.ends[ANN].association.outbound.write(now, stream, head, b"?"));
    }
    bench.run(seconds(1));
    assert_eq!((dropped(&bench).no_channel, dropped(&bench).kind), (1, 1));
    assert_lives(&mut bench, stream);
}

#[test]
fn a_window_shrunk_below_what_is_in_flight_slows_and_ends_nothing() {
    let (mut bench, stream) = bench(Config::default());
    for _ in 0..8 {
        assert!(bench.write(BOB, stream, &[1; 16 << 10]));
    }
    bench.run(Duration::from_millis(5));
    let cumulative = bench.ends[ANN].association.inbound.cumulative();
    let packet = packet(&bench, |packet| {
        packet.sack(cumulative, 0, std::iter::empty(), std::iter::empty());
    });
    bench.inject(BOB, &packet);
    bench.run(seconds(30));
    assert_eq!(bench.ends[ANN].messages.len(), 8);
    assert_lives(&mut bench, stream);
}

#[test]
fn a_message_larger_than_we_take_ends_the_association() {
    let config = Config { max_message: 10_000, ..Config::default() };
    let mut bench = Bench::connected(both(config));
    let stream = bench.open(ANN, ChannelConfig::default());
    assert!(bench.write(ANN, stream, &[0; 20_000]));
    bench.run(seconds(2));
    assert_broken(&mut bench, Broken::MessageTooLarge);
}

#[test]
fn data_of_the_kind_that_was_not_agreed_on_ends_the_association() {
    let (mut bench, stream) = bench(Config { interleaving: true, ..Config::default() });
    let tsn = next(&bench);
    let packet = packet(&bench, |packet| data(packet, tsn, stream, 2, ppid::BINARY, b"x"));
    bench.inject(BOB, &packet);
    assert_broken(&mut bench, Broken::WrongDataKind);
}

#[test]
fn packets_of_strangers_are_counted() {
    let (mut bench, stream) = bench(Config::default());
    let of = |tag: u32, port: u16, write: &dyn Fn(&mut Packet<'_>)| {
        let mut out = Vec::new();
        let header = Header { source_port: port, destination_port: PORT, tag };
        let mut packet = Packet::begin(&mut out, &header, 1_000);
        write(&mut packet);
        packet.finish(true);
        out
    };
    let abort = |packet: &mut Packet<'_>| {
        packet.abort(false, &[]);
    };
    let tag = bench.ends[BOB].association.local_tag;
    for packet in [of(tag ^ 1, PORT, &abort), of(0, PORT, &abort), of(tag, PORT + 1, &abort)] {
        bench.inject(BOB, &packet);
    }
    let mut damaged = of(tag, PORT, &abort);
    damaged[9] ^= 1;
    bench.inject(BOB, &damaged);
    let counted = dropped(&bench);
    assert_eq!((counted.tag, counted.port, counted.checksum), (2, 1, 1));
    assert_lives(&mut bench, stream);
}

#[test]
fn an_abort_with_a_reflected_tag_counts_only_if_it_is_the_peers_own() {
    let (mut bench, _) = bench(Config::default());
    let reflected = |tag| {
        let mut out = Vec::new();
        let mut packet = Packet::begin(&mut out, &Header { source_port: PORT, destination_port: PORT, tag }, 1_000);
        packet.abort(true, &[]);
        packet.finish(true);
        out
    };
    let packet = reflected(bench.ends[BOB].association.local_tag);
    bench.inject(BOB, &packet);
    assert!(bench.ends[BOB].over().is_none());
    let packet = reflected(bench.ends[ANN].association.local_tag);
    bench.inject(BOB, &packet);
    assert!(matches!(bench.ends[BOB].over(), Some(Over::Aborted { is_by_peer: true, .. })));
}

#[test]
fn unknown_chunks_are_skipped_stopped_at_and_told_as_their_type_says() {
    let (mut bench, stream) = bench(Config::default());
    let before = bench.ends[BOB].association.statistics().packets_sent;
    let mut answered = Vec::new();
    for kind in [0x3f, 0x7f, 0xbf, 0xff] {
        let heartbeat = [0, 1, 0, 4];
        let packet = packet(&bench, |packet| {
            packet.chunk(kind, 0, b"what");
            packet.chunk(kind::HEARTBEAT, 0, &heartbeat);
        });
        let sent = bench.ends[BOB].association.statistics().packets_sent;
        let mut answer = Vec::new();
        let now = bench.now;
        bench.ends[BOB].association.receive(now, &packet);
        while bench.ends[BOB].association.fill(now, &mut answer) {}
        let has = |wanted: u8| answer.get(12) == Some(&wanted) || answer.len() > 28 && answer[28] == wanted;
        answered.push((has(kind::ERROR), has(kind::HEARTBEAT_ACK)));
        assert!(bench.ends[BOB].association.statistics().packets_sent <= sent + 1);
    }
    assert_eq!(answered, [(false, false), (true, false), (false, true), (true, true)]);
    assert!(before < bench.ends[BOB].association.statistics().packets_sent);
    assert_eq!(dropped(&bench).unknown_chunk, 4);
    assert_lives(&mut bench, stream);
}

#[test]
fn heartbeats_without_end_wait_in_bounds() {
    let (mut bench, stream) = bench(Config::default());
    let packet = packet(&bench, |packet| {
        packet.chunk(kind::HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4]);
    });
    let now = bench.now;
    for _ in 0..10_000 {
        bench.ends[BOB].association.receive(now, &packet);
    }
    let mut out = Vec::new();
    while bench.ends[BOB].association.fill(now, &mut out) {}
    assert!(out.len() < 2_000, "{}", out.len());
    assert!(dropped(&bench).answers > 9_000);
    assert_lives(&mut bench, stream);
}

#[test]
fn tags_are_never_zero() {
    for seed in 0..100 {
        assert_ne!(Association::new(Config::default(), &mut Rng::from_u64(seed)).local_tag, 0);
    }
}
