//! Packets of a live pair, altered under way: whoever can forge them ends it at most, whoever can't does not.
//!
//! A campaign alters fifty times as many.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::bench::{ANN, BOB, Bench, End, both, seconds};
use super::chance::Link;
use crate::link::sctp::{ChannelConfig, Config, Over};
use crate::machine::campaign;
use crate::machine::rng::Rng;
use crate::wire::sctp::kind;

/// What the bench keeps of one run besides both associations, in bytes: packets under way and messages that came.
const BENCH: usize = 512 << 10;

/// Packets that a test alters.
fn packets() -> u64 {
    if campaign::is_full() { 1_000_000 } else { 20_000 }
}

fn config(seed: u64) -> Config {
    Config {
        receive_window: 32 << 10,
        send_bound: 64 << 10,
        max_message: 32 << 10,
        max_channels: 16,
        interleaving: seed.is_multiple_of(2),
        ..Config::default()
    }
}

/// What a pair may hold, by the documentation of [`Config`], and the bench with it.
fn most_held(config: &Config) -> usize {
    let channels = config.max_channels * (512 + 2 * config.max_label);
    let received = config.receive_window as usize + 2 * config.max_message + (64 << 10) + channels;
    2 * (received + config.send_bound) + BENCH
}

/// What was done in one run.
struct Run {
    bench: Bench,
    /// Packets that were altered.
    altered: u64,
    /// Messages that each end wrote.
    written: [usize; 2],
}

/// A channel is opened, used both ways and closed; every third packet is altered.
fn run(seed: u64, config: Config, mut alter: impl FnMut(&mut Vec<u8>, &mut Rng) + 'static) -> Run {
    let mut rng = Rng::from_u64(seed);
    let (mut mutations, count) = (rng.fork(), Rc::new(Cell::new(0)));
    let mut bench = Bench::new(seed, Link::GOOD, both(config));
    let counter = count.clone();
    bench.meddle = Some(Box::new(move |_, packet| {
        if mutations.chance(0.3) {
            alter(packet, &mut mutations);
            counter.set(counter.get() + 1);
        }
        true
    }));
    bench.signal();
    let stream = bench.open(ANN, ChannelConfig::default());
    let mut written = [0; 2];
    for _ in 0..30 {
        written[ANN] += usize::from(bench.write(ANN, stream, &vec![1; rng.below(3_000) as usize]));
        written[BOB] += usize::from(bench.write(BOB, stream, b"back"));
        bench.run(Duration::from_millis(30));
    }
    bench.meddle = None;
    bench.run(seconds(10));
    bench.close(ANN, stream);
    bench.run(seconds(2));
    Run { bench, altered: count.get(), written }
}

/// Alters any byte behind the header, cuts, or repeats chunks.
fn mutate(packet: &mut Vec<u8>, rng: &mut Rng) {
    let at = 12 + rng.below(packet.len() as u64 - 12) as usize;
    match rng.below(4) {
        0 => packet[at] ^= 1 << rng.below(8),
        1 => packet[at] ^= 1 + rng.below(255) as u8,
        2 => packet.truncate(at),
        _ => packet.extend_from_within(12..=at),
    }
}

#[test]
fn any_forgery_is_survived_in_bounds() {
    let (mut count, mut seed, mut peak, mut ended) = (0, 0, 0, 0);
    while count < packets() {
        let config = Config { zero_checksum: true, ..config(seed) };
        let most = most_held(&config);
        let held = allocation_counter::measure(|| {
            let Run { bench, altered, .. } = run(seed, config, |packet, rng| {
                // Without checksum it is taken in; an INIT would not be.
                if packet[12] != kind::INIT {
                    packet[8..12].fill(0);
                    mutate(packet, rng);
                }
            });
            count += altered;
            ended += u64::from(bench.ends.iter().any(|end| end.over().is_some()));
        });
        let held = usize::try_from(held.bytes_max).unwrap();
        assert!(held <= most, "seed {seed}: {held} bytes are held");
        (seed, peak) = (seed + 1, peak.max(held));
    }
    println!("{count} packets in {seed} runs, {ended} of which ended early; at most {peak} bytes were held");
}

#[test]
fn what_is_damaged_without_its_checksum_ends_nothing_and_all_arrives() {
    let (mut count, mut seed) = (0, 0);
    while count < packets() {
        let Run { bench, altered, written } = run(seed, config(seed), mutate);
        count += altered;
        let over: Vec<Option<&Over>> = bench.ends.iter().map(End::over).collect();
        assert_eq!(over, [None, None], "seed {seed}");
        assert_eq!([BOB, ANN].map(|end| bench.ends[end].messages.len()), written, "seed {seed}");
        let dropped = bench.ends.iter().map(|end| end.association.statistics().dropped);
        assert_eq!(dropped.map(|dropped| dropped.checksum + dropped.malformed).sum::<u64>(), altered, "seed {seed}");
        seed += 1;
    }
    println!("{count} packets in {seed} runs");
}
