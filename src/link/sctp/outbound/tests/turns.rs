//! Whose turn it is.

use super::super::super::config::{Agreed, Config};
use super::super::super::congestion::Congestion;
use super::super::Outbound;
use super::harness::{FIRST, Got, ORDERED, UNORDERED, agreed, at, chunks, fill, sack, started};

fn unpaced() -> Config {
    Config { congestion: Congestion::Reno, send_bound: 1 << 20, ..Config::default() }
}

/// Chunks of the next packets, all of them acknowledged at once.
fn take(outbound: &mut Outbound, packets: usize) -> Vec<Got> {
    let mut all = Vec::new();
    for _ in 0..packets {
        let Some(packet) = fill(outbound, at(0)) else { break };
        all.extend(chunks(&packet));
        let last = outbound.next_tsn().previous();
        sack(outbound, at(0), last, 1 << 20, &[], &[]).unwrap();
    }
    all
}

fn bytes(got: &[Got], stream: u16) -> usize {
    got.iter().filter(|got| got.stream == stream).map(|got| got.payload.len()).sum()
}

fn interleaved() -> Outbound {
    let mut outbound = Outbound::new(&unpaced(), FIRST);
    outbound.start(at(0), 1 << 20, Agreed { is_interleaved: true, ..agreed() });
    outbound
}

#[test]
fn with_interleaving_fragments_of_large_messages_alternate() {
    let mut outbound = interleaved();
    outbound.write(at(0), 0, ORDERED, &[0; 100_000]);
    outbound.write(at(0), 1, ORDERED, &[0; 100_000]);
    let got = take(&mut outbound, 40);
    let (one, two) = (bytes(&got, 0), bytes(&got, 1));
    assert!(one.abs_diff(two) < 3_000, "{one} and {two}");
}

#[test]
fn without_interleaving_a_message_is_sent_to_its_end() {
    let mut outbound = started(&unpaced());
    for _ in 0..3 {
        outbound.write(at(0), 0, ORDERED, &[0; 16_000]);
        outbound.write(at(0), 1, ORDERED, &[0; 16_000]);
    }
    let got = take(&mut outbound, 80);
    for pair in got.windows(2) {
        assert_eq!(pair[0].is_end, pair[1].is_begin);
        assert!(pair[0].is_end || (pair[0].stream, pair[0].message) == (pair[1].stream, pair[1].message));
    }
    let order: Vec<u16> = got.iter().filter(|got| got.is_begin).map(|got| got.stream).collect();
    assert_eq!(order, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn small_messages_do_not_starve_beside_large_ones() {
    let mut outbound = started(&unpaced());
    for _ in 0..10 {
        outbound.write(at(0), 0, ORDERED, &[0; 16_000]);
    }
    for _ in 0..1_000 {
        outbound.write(at(0), 1, ORDERED, &[0; 64]);
    }
    let got = take(&mut outbound, 50);
    let (large, small) = (bytes(&got, 0), bytes(&got, 1));
    assert!(small > large / 2, "{small} of small ones beside {large}");
}

#[test]
fn who_sends_one_large_message_at_a_time_does_not_escape_its_debt() {
    let mut outbound = started(&unpaced());
    for _ in 0..1_000 {
        outbound.write(at(0), 1, ORDERED, &[0; 64]);
    }
    let mut got = Vec::new();
    for _ in 0..30 {
        if outbound.buffered(0) == 0 {
            outbound.write(at(0), 0, ORDERED, &[0; 8_000]);
        }
        got.extend(take(&mut outbound, 1));
    }
    let (large, small) = (bytes(&got, 0), bytes(&got, 1));
    assert!(small > large / 3, "{small} of small ones beside {large}");
}

#[test]
fn priorities_share_as_one_two_four_eight() {
    let mut outbound = interleaved();
    for (stream, priority) in [(0, 128), (1, 256), (2, 512), (3, 1_024)] {
        outbound.set_priority(stream, priority);
        outbound.write(at(0), stream, ORDERED, &[0; 200_000]);
    }
    let got = take(&mut outbound, 150);
    let share = |stream| bytes(&got, stream) as f64 / bytes(&got, 0) as f64;
    for (stream, expected) in [(1, 2.0), (2, 4.0), (3, 8.0)] {
        assert!((share(stream) / expected - 1.0).abs() < 0.3, "stream {stream}: {}", share(stream));
    }
}

#[test]
fn ordered_and_unordered_messages_count_apart() {
    let mut outbound = interleaved();
    for head in [ORDERED, UNORDERED, UNORDERED, ORDERED] {
        outbound.write(at(0), 0, head, b"x");
    }
    let numbers: Vec<(bool, u32)> = take(&mut outbound, 1).iter().map(|got| (got.is_unordered, got.message)).collect();
    assert_eq!(numbers, [(false, 0), (true, 0), (true, 1), (false, 1)]);
}

#[test]
fn a_stream_that_was_reset_counts_from_zero() {
    let mut outbound = started(&unpaced());
    outbound.write(at(0), 5, ORDERED, b"x");
    outbound.write(at(0), 5, ORDERED, b"x");
    assert_eq!(take(&mut outbound, 1).last().unwrap().message, 1);
    outbound.restart_stream(5);
    outbound.restart_stream(6);
    outbound.write(at(0), 5, ORDERED, b"x");
    assert_eq!(take(&mut outbound, 1)[0].message, 0);
}

#[test]
fn what_is_discarded_is_what_has_not_begun() {
    let mut outbound = started(&unpaced());
    for stream in [0, 1, 0] {
        outbound.write(at(0), stream, ORDERED, &[0; 1_700]);
    }
    let first = take(&mut outbound, 1);
    assert_eq!((first.len(), first[0].stream), (1, 0));
    outbound.discard(0);
    outbound.discard(7);
    assert_eq!((outbound.buffered(0), outbound.buffered(1)), (1_700 - first[0].payload.len(), 1_700));
    let rest = take(&mut outbound, 10);
    assert_eq!((bytes(&rest, 1), rest.iter().filter(|got| got.is_end).count()), (1_700, 2));
    assert!(outbound.is_idle());
}

#[test]
fn a_thousand_streams_take_turns() {
    let mut outbound = started(&unpaced());
    for _ in 0..2 {
        for stream in (0..1_000).rev() {
            assert!(outbound.write(at(0), stream * 65, ORDERED, &[0; 200]));
        }
    }
    let got = take(&mut outbound, 1_000);
    assert_eq!(got.len(), 2_000);
    let mut streams: Vec<u16> = got.iter().map(|got| got.stream).collect();
    streams.sort_unstable();
    streams.dedup();
    assert_eq!((streams.len(), outbound.is_idle()), (1_000, true));
}
