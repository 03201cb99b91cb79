//! Whatever the network does: reliable channels deliver all exactly once, ordered ones in order, the others a subset
//! without repetitions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::{ANN, BOB, Bench, Link, both, kinds, seconds};
use crate::link::sctp::{ChannelConfig, Config, Reliability};
use crate::machine::rng::Rng;

/// Seeds of each test: with the three of them 300, and ten times as many in a campaign.
fn seeds() -> std::ops::Range<u64> {
    let is_campaign = std::env::var("SWITCHBOARD_CAMPAIGN").is_ok_and(|campaign| campaign == "full");
    0..if is_campaign { 1_000 } else { 100 }
}

/// A message tells its number, and its length and bytes follow from that and a seed.
fn message(seed: u64, stream: u16, number: u32, most: u64) -> Vec<u8> {
    let mut rng = Rng::from_u64(seed ^ u64::from(stream) << 32 ^ u64::from(number) << 48);
    let len = if rng.chance(0.5) { rng.below(60) } else { rng.below(most) };
    let mut bytes = vec![0; len as usize + 4];
    rng.fill(&mut bytes);
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn link(rng: &mut Rng) -> Link {
    Link {
        delay: Duration::from_millis(1 + rng.below(50)),
        jitter: Duration::from_millis(rng.below(60)),
        loss: rng.below(31) as f64 / 100.0,
        duplication: rng.below(20) as f64 / 100.0,
    }
}

struct Sent {
    config: ChannelConfig,
    count: u32,
}

/// What the seeds produced, by tenths of loss: seeds, reliable messages, others that were sent, and those that came.
#[derive(Debug, Default)]
struct Histogram([[usize; 4]; 4]);

impl Histogram {
    fn add(&mut self, loss: f64, counts: [usize; 4]) {
        self.0[(loss * 10.0) as usize].iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }

    fn print(&self) {
        for (tenth, [seeds, reliable, sent, came]) in self.0.iter().enumerate() {
            println!("loss from {tenth}0 %: {seeds} seeds, {reliable} reliable messages, of {sent} others {came} came");
        }
    }
}

/// Both sides send on every kind of channel; what came is compared with what was sent.
fn play(seed: u64, config: Config, most: u64, count: u32, histogram: &mut Histogram) {
    let mut rng = Rng::from_u64(seed);
    let link = link(&mut rng);
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
    histogram.add(link.loss, [1, 0, 0, 0]);
    for end in [ANN, BOB] {
        assert!(bench.ends[end].over().is_none(), "seed {seed}: {:?}", bench.ends[end].over());
        for (stream, sent) in &sent[end] {
            let came = check(&bench, 1 - end, *stream, sent, seed, most);
            let is_reliable = sent.config.reliability == Reliability::Reliable;
            histogram.add(link.loss, if is_reliable { [0, came, 0, 0] } else { [0, 0, sent.count as usize, came] });
        }
    }
}

/// How many came on one channel, all of them as they may.
fn check(bench: &Bench, end: usize, stream: u16, sent: &Sent, seed: u64, most: u64) -> usize {
    let context = format!("seed {seed}, stream {stream}, {:?}", sent.config);
    let came = bench.ends[end].messages.iter().filter(|came| came.stream == stream);
    let mut numbers = Vec::new();
    for came in came {
        let number = u32::from_be_bytes(came.bytes[..4].try_into().unwrap());
        assert_eq!(came.bytes, message(seed, stream, number, most), "{context}");
        numbers.push(number);
    }
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), numbers.len(), "{context}: one came twice");
    assert!(!sent.config.is_ordered || sorted == numbers, "{context}: out of order");
    assert!(sorted.last().is_none_or(|last| *last < sent.count), "{context}");
    if sent.config.reliability == Reliability::Reliable {
        assert_eq!(sorted.len(), sent.count as usize, "{context}: one is missing");
    }
    numbers.len()
}

#[test]
fn every_kind_of_channel_keeps_its_promise() {
    let mut histogram = Histogram::default();
    seeds().for_each(|seed| play(seed, Config::default(), 3_000, 40, &mut histogram));
    histogram.print();
}

#[test]
fn every_kind_of_channel_keeps_its_promise_with_interleaving() {
    let config = Config { interleaving: true, zero_checksum: true, ..Config::default() };
    let mut histogram = Histogram::default();
    seeds().for_each(|seed| play(seed, config.clone(), 3_000, 40, &mut histogram));
    histogram.print();
}

#[test]
fn every_kind_of_channel_keeps_its_promise_with_windows_smaller_than_a_message() {
    let mut histogram = Histogram::default();
    for seed in seeds() {
        let config = Config { receive_window: 4_096, interleaving: seed % 2 == 0, ..Config::default() };
        play(seed, config, 20_000, 10, &mut histogram);
    }
    histogram.print();
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
