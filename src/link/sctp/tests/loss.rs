//! Whatever the network does: reliable channels deliver all exactly once, ordered ones in order, the others a subset
//! without repetitions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::{ANN, BOB, Bench, both, kinds, seconds};
use super::chance::{Histogram, Link, Promise, message, seeds};
use crate::link::sctp::{ChannelConfig, Config, Reliability};
use crate::machine::rng::Rng;

struct Sent {
    config: ChannelConfig,
    count: u32,
}

/// Both sides send on every kind of channel; what came is compared with what was sent.
fn play(seed: u64, config: Config, most: u64, count: u32, histogram: &mut Histogram) {
    let mut rng = Rng::from_u64(seed);
    let link = Link::by_chance(&mut rng);
    let mut bench = Bench::new(seed, link, both(config));
    bench.signal();
    let mut sent: [BTreeMap<u16, Sent>; 2] = Default::default();
    for end in [ANN, BOB] {
        for config in kinds() {
            let negotiated = Some(100 * end as u16 + sent[end].len() as u16);
            let config = ChannelConfig { negotiated, ..config };
            bench.open(1 - end, config.clone());
            let stream = bench.open(end, config.clone());
            sent[end].insert(stream, Sent { config, count: 0 });
        }
    }
    for _ in 0..count * 16 {
        let end = rng.below(2) as usize;
        let stream = 100 * end as u16 + rng.below(8) as u16;
        let entry = sent[end].get_mut(&stream).unwrap();
        if entry.count < count && bench.write(end, stream, &message(seed, stream, entry.count, most)) {
            entry.count += 1;
        }
        if rng.chance(0.3) {
            bench.run(Duration::from_millis(rng.below(20)));
        }
    }
    let is_quiet = |bench: &Bench| bench.ends.iter().all(|end| end.association.outbound.is_idle());
    assert!(bench.run_until(seconds(300), is_quiet), "seed {seed}, {link:?}: not all was delivered");
    histogram.add(link.loss);
    for end in [ANN, BOB] {
        assert!(bench.ends[end].over().is_none(), "seed {seed}: {:?}", bench.ends[end].over());
        for (stream, sent) in &sent[end] {
            let is_reliable = sent.config.reliability == Reliability::Reliable;
            let promise = Promise { is_ordered: sent.config.is_ordered, is_reliable, sent: sent.count };
            let messages = bench.ends[1 - end].messages.iter().filter(|came| came.stream == *stream);
            let came = promise.check(
                messages.map(|came| came.bytes.as_slice()),
                |number| message(seed, *stream, number, most),
                &format!("seed {seed}, stream {stream}, {:?}", sent.config),
            );
            histogram.add_channel(link.loss, &promise, came);
        }
    }
}

#[test]
fn every_kind_of_channel_keeps_its_promise() {
    let mut histogram = Histogram::default();
    seeds(100).for_each(|seed| play(seed, Config::default(), 3_000, 40, &mut histogram));
    histogram.print();
    histogram.assert_useful();
}

#[test]
fn every_kind_of_channel_keeps_its_promise_with_interleaving() {
    let config = Config { interleaving: true, zero_checksum: true, ..Config::default() };
    let mut histogram = Histogram::default();
    seeds(100).for_each(|seed| play(seed, config.clone(), 3_000, 40, &mut histogram));
    histogram.print();
    histogram.assert_useful();
}

#[test]
fn every_kind_of_channel_keeps_its_promise_with_windows_smaller_than_a_message() {
    let mut histogram = Histogram::default();
    for seed in seeds(150) {
        let config = Config { receive_window: 4_096, interleaving: seed % 2 == 0, ..Config::default() };
        play(seed, config, 20_000, 10, &mut histogram);
    }
    histogram.print();
    histogram.assert_useful();
}

#[test]
fn the_same_seed_sends_the_same_packets() {
    let record = |seed| {
        let packets = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let copy = packets.clone();
        let mut bench = Bench::new(seed, Link { loss: 0.1, ..Link::GOOD }, both(Config::default()));
        bench.meddle = Some(Box::new(move |_, packet| {
            copy.borrow_mut().push(packet.clone());
            true
        }));
        bench.listen(BOB);
        bench.connect(ANN);
        let stream = bench.open(ANN, ChannelConfig::default());
        for _ in 0..20 {
            bench.write(ANN, stream, &[5; 3_000]);
            bench.run(Duration::from_millis(20));
        }
        bench.run(seconds(10));
        packets.take()
    };
    assert_eq!(record(3), record(3));
    assert_ne!(record(3), record(4));
}
