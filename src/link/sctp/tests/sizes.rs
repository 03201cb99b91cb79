//! Paths that take packets up to a size, which changes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::bench::{ANN, BOB, Bench, both, seconds};
use crate::link::sctp::{ChannelConfig, Config, Over, Reliability};

const LOSSY: ChannelConfig = ChannelConfig {
    label: String::new(),
    protocol: String::new(),
    is_ordered: false,
    reliability: Reliability::MaxRetransmits(0),
    priority: 256,
    negotiated: None,
};

/// Two that send packets of 1,440 bytes, and up to how many bytes pass.
fn grown() -> (Bench, Rc<Cell<usize>>) {
    let mut bench = Bench::connected(both(Config { most_packet: 1_440, ..Config::default() }));
    let most = Rc::new(Cell::new(1_500));
    let limit = most.clone();
    bench.meddle = Some(Box::new(move |_, packet| packet.len() <= limit.get()));
    assert_eq!(size(&bench), 1_440);
    (bench, most)
}

fn size(bench: &Bench) -> usize {
    bench.ends[ANN].association.statistics().packet
}

fn came(bench: &Bench, len: usize) -> usize {
    bench.ends[BOB].messages.iter().filter(|came| came.bytes.len() == len).count()
}

#[test]
fn sizes_that_no_chunk_can_tell_are_lowered() {
    let huge = Config { packet: 1 << 20, most_packet: 2 << 20, receive_window: 4 << 20, ..Config::default() };
    let mut bench = Bench::connected(both(huge));
    assert_eq!(size(&bench), 65_532);
    let stream = bench.open(ANN, ChannelConfig::default());
    assert!(bench.write(ANN, stream, &[7; 200_000]));
    bench.run(seconds(1));
    assert_eq!(came(&bench, 200_000), 1);
}

/// Small messages pass, until something is so.
fn chat(bench: &mut Bench, stream: u16, time: Duration, is_so: impl Fn(&Bench) -> bool) {
    let end = bench.now + time;
    while bench.now < end && !is_so(bench) {
        bench.write(ANN, stream, b"small");
        bench.run(Duration::from_millis(20));
    }
}

#[test]
fn a_black_hole_is_found_although_small_messages_pass_it() {
    let (mut bench, most) = grown();
    let (small, large) = (bench.open(ANN, ChannelConfig::default()), bench.open(ANN, LOSSY));
    bench.run(seconds(1));
    most.set(1_200);
    for _ in 0..100 {
        assert!(bench.write(ANN, small, b"small") && bench.write(ANN, large, &[7; 5_000]));
        bench.run(Duration::from_millis(20));
    }
    assert!(size(&bench) <= 1_200);
    let before = came(&bench, 5_000);
    assert!(bench.write(ANN, large, &[7; 5_000]));
    bench.run(seconds(1));
    assert_eq!((came(&bench, 5_000), came(&bench, 5)), (before + 1, 100));
    assert!(bench.ends[ANN].is_connected());
}

#[test]
fn what_was_cut_too_large_for_a_path_that_shrank_ends_the_association_by_name() {
    let (mut bench, most) = grown();
    let (small, large) = (bench.open(ANN, ChannelConfig::default()), bench.open(ANN, ChannelConfig::default()));
    bench.run(seconds(1));
    most.set(1_200);
    assert!(bench.write(ANN, large, &[7; 5_000]));
    chat(&mut bench, small, seconds(10), |bench| bench.ends[ANN].over().is_some());
    bench.run(seconds(1));
    assert_eq!(bench.ends[ANN].over(), Some(&Over::TooLargeForPath));
    let Some(Over::Aborted { is_by_peer: true, reason }) = bench.ends[BOB].over() else { panic!("Bob was not told") };
    assert!(reason.contains(&Over::TooLargeForPath.to_string()), "{reason}");
}

#[test]
fn what_was_cut_too_large_for_another_path_ends_the_association_while_the_peer_is_heard() {
    let (mut bench, most) = grown();
    let stream = bench.open(ANN, ChannelConfig::default());
    bench.run(seconds(1));
    most.set(1_200);
    assert!(bench.write(ANN, stream, &[7; 5_000]));
    bench.drain();
    let now = bench.now;
    bench.ends[ANN].association.on_path(now, false, None);
    for _ in 0..1_000 {
        bench.write(BOB, stream, b"here");
        bench.run(Duration::from_millis(20));
    }
    assert_eq!(bench.ends[ANN].over(), Some(&Over::TooLargeForPath));
}

#[test]
fn a_path_that_takes_large_packets_again_ends_nothing() {
    let (mut bench, most) = grown();
    let (small, large) = (bench.open(ANN, ChannelConfig::default()), bench.open(ANN, ChannelConfig::default()));
    bench.run(seconds(1));
    most.set(1_200);
    assert!(bench.write(ANN, large, &[7; 5_000]));
    chat(&mut bench, small, seconds(10), |bench| size(bench) == 1_160);
    assert_eq!(size(&bench), 1_160);
    most.set(1_500);
    chat(&mut bench, small, seconds(10), |_| false);
    assert_eq!(came(&bench, 5_000), 1);
    assert!(bench.ends.iter().all(super::bench::End::is_connected));
}

#[test]
fn an_outage_with_large_chunks_under_way_ends_nothing() {
    let (mut bench, _) = grown();
    let stream = bench.open(ANN, ChannelConfig::default());
    bench.run(seconds(1));
    bench.ends[BOB].is_cut_off = true;
    assert!(bench.write(ANN, stream, &[7; 5_000]));
    bench.run(seconds(5));
    assert_eq!(size(&bench), 1_160);
    bench.ends[BOB].is_cut_off = false;
    bench.run(seconds(20));
    assert_eq!(came(&bench, 5_000), 1);
    assert!(bench.ends.iter().all(super::bench::End::is_connected));
}
