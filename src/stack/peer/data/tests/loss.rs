//! Whatever the network does between two peers: reliable channels deliver all exactly once, ordered ones in order, the
//! others a subset without repetitions.

use std::time::Duration;

use super::world::{Link, World};
use crate::link::sctp;
use crate::machine::rng::Rng;
use crate::stack::peer::data::Data;
use crate::stack::peer::engine::{ChannelSpec, EngineConfig, Partner};
use crate::wire::demux::Carried;

/// Seeds of each test: with both of them 300, and ten times as many in a campaign.
fn seeds() -> std::ops::Range<u64> {
    let is_campaign = std::env::var("SWITCHBOARD_CAMPAIGN").is_ok_and(|campaign| campaign == "full");
    0..if is_campaign { 1_500 } else { 150 }
}

/// Every kind of channel that a peer can open; reliable and unordered first.
pub(super) fn kinds() -> Vec<ChannelSpec> {
    let of = |max_retransmits, ordered| (max_retransmits, ordered);
    let limits = [None, Some(0), Some(2)];
    let kinds = limits.into_iter().flat_map(|limit| [of(limit, false), of(limit, true)]);
    let specs = kinds.zip(10..).map(|((max_retransmits, ordered), number)| ChannelSpec {
        label: format!("{max_retransmits:?} {ordered}"),
        ordered,
        max_retransmits,
        negotiated: Some(number),
    });
    specs.collect()
}

/// A message tells its number; its length and bytes follow from that and a seed.
fn message(seed: u64, kind: usize, number: u32, most: u64) -> Vec<u8> {
    let mut rng = Rng::from_u64(seed ^ (kind as u64) << 32 ^ u64::from(number) << 48);
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

/// What the seeds produced, by tenths of loss: seeds, messages that had to arrive, others that were sent, and that came.
#[derive(Debug, Default)]
struct Histogram([[usize; 4]; 4]);

impl Histogram {
    fn print(&self) {
        for (tenth, [seeds, reliable, sent, came]) in self.0.iter().enumerate() {
            println!("loss from {tenth}0 %: {seeds} seeds, {reliable} reliable messages, of {sent} others {came} came");
        }
    }
}

fn play(seed: u64, change: impl FnOnce(&mut sctp::Config), most: u64, histogram: &mut Histogram) {
    let partner = if seed.is_multiple_of(2) { Partner::Own } else { Partner::Foreign };
    let mut config = Data::association_config(&EngineConfig::new(partner, true));
    change(&mut config);
    let kinds = kinds();
    let mut world = World::connected(seed, partner, &config, &kinds);
    let first = if partner == Partner::Own { 2 } else { 0 };
    let mut rng = Rng::from_u64(seed);
    world.link = link(&mut rng);
    let mut sent = [[0; 6]; 2];
    for _ in 0..200 {
        let (n, kind) = (rng.below(2) as usize, rng.below(6) as usize);
        if world.write(n, first + kind, &message(seed, kind, sent[n][kind], most)) {
            sent[n][kind] += 1;
        }
        world.run(Duration::from_millis(rng.below(20)));
    }
    let is_quiet = |world: &World| world.ends.iter().all(|end| end.peer.association().room() == config.send_bound);
    if !world.run_until(Duration::from_secs(300), is_quiet) {
        let ends = world.ends.each_ref().map(|end| (&end.peer, end.over(), end.peer.association().statistics()));
        panic!("seed {seed}, {:?}: not all arrives: {ends:#?}", world.link);
    }
    world.run(Duration::from_secs(1));
    let row = &mut histogram.0[(world.link.loss * 10.0) as usize];
    row[0] += 1;
    for n in [0, 1] {
        assert_eq!(world.ends[n].over(), None, "seed {seed}");
        for (kind, spec) in kinds.iter().enumerate() {
            let came = check(&world, 1 - n, (first + kind, kind), sent[n][kind], spec, (seed, most));
            if spec.max_retransmits.is_none() {
                row[1] += came;
            } else {
                (row[2], row[3]) = (row[2] + sent[n][kind] as usize, row[3] + came);
            }
        }
    }
}

/// How many came on one channel, all of them as they may.
fn check(
    world: &World,
    n: usize,
    (place, kind): (usize, usize),
    sent: u32,
    spec: &ChannelSpec,
    (seed, most): (u64, u64),
) -> usize {
    let context = format!("seed {seed}, {spec:?}");
    let mut numbers = Vec::new();
    for (_, bytes) in world.ends[n].heard.iter().filter(|(channel, _)| *channel == place) {
        let number = u32::from_be_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(*bytes, message(seed, kind, number, most), "{context}");
        numbers.push(number);
    }
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), numbers.len(), "{context}: one came twice");
    assert!(!spec.ordered || sorted == numbers, "{context}: out of order");
    assert!(sorted.last().is_none_or(|last| *last < sent), "{context}");
    assert!(spec.max_retransmits.is_some() || sorted.len() == sent as usize, "{context}: one is missing");
    numbers.len()
}

#[test]
fn every_kind_of_channel_keeps_its_promise() {
    let mut histogram = Histogram::default();
    seeds().for_each(|seed| play(seed, |_| {}, 3_000, &mut histogram));
    histogram.print();
}

#[test]
fn every_kind_of_channel_keeps_its_promise_with_windows_smaller_than_a_message() {
    let mut histogram = Histogram::default();
    seeds().for_each(|seed| play(seed, |config| config.receive_window = 4_096, 20_000, &mut histogram));
    histogram.print();
}

#[test]
fn a_path_on_which_only_checks_of_consent_pass_is_waited_for() {
    for partner in [Partner::Own, Partner::Foreign] {
        let config = Data::association_config(&EngineConfig::new(partner, true));
        let mut world = World::connected(1, partner, &config, &kinds()[..1]);
        world.meddle = Some(Box::new(|data| if Carried::of(&data) == Carried::Stun { vec![data] } else { Vec::new() }));
        assert!(world.write(0, 0, b"late"));
        world.run(Duration::from_secs(90));
        world.meddle = None;
        let is_heard = |world: &World| world.ends[1].heard == [(0, b"late".to_vec())];
        assert!(world.run_until(Duration::from_secs(15), is_heard), "{partner:?}: {:?}", world.ends[0].events);
    }
}
