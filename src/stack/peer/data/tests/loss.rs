//! Whatever the network does between two peers: reliable channels deliver all exactly once, ordered ones in order, the
//! others a subset without repetitions.

use std::time::Duration;

use super::address;
use super::world::World;
use crate::link::sctp;
use crate::link::sctp::tests::chance::{self, Histogram, Link, Promise, message};
use crate::machine::Cx;
use crate::machine::rng::Rng;
use crate::stack::peer::data::Data;
use crate::stack::peer::engine::{ChannelSpec, EngineConfig, Partner};
use crate::wire::demux::Carried;

/// Seeds of each of two tests.
fn seeds() -> std::ops::Range<u64> {
    chance::seeds(150)
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

fn play(seed: u64, change: impl FnOnce(&mut sctp::Config), most: u64, histogram: &mut Histogram) {
    let partner = if seed.is_multiple_of(2) { Partner::Own } else { Partner::Foreign };
    let mut config = Data::association_config(&EngineConfig::new(partner, true));
    change(&mut config);
    let kinds = kinds();
    let mut world = World::connected(seed, partner, &config, &kinds);
    let first = if partner == Partner::Own { 2 } else { 0 };
    let mut rng = Rng::from_u64(seed);
    world.link = Link::by_chance(&mut rng);
    let mut sent = [[0; 6]; 2];
    for _ in 0..200 {
        let (n, kind) = (rng.below(2) as usize, rng.below(6) as usize);
        if world.write(n, first + kind, &message(seed, kind as u16, sent[n][kind], most)) {
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
    histogram.add(world.link.loss);
    for n in [0, 1] {
        assert_eq!(world.ends[n].over(), None, "seed {seed}");
        for (kind, spec) in kinds.iter().enumerate() {
            let is_reliable = spec.max_retransmits.is_none();
            let promise = Promise { is_ordered: spec.ordered, is_reliable, sent: sent[n][kind] };
            let heard = world.ends[1 - n].heard.iter().filter(|(channel, _)| *channel == first + kind);
            let came = promise.check(
                heard.map(|(_, bytes)| bytes.as_slice()),
                |number| message(seed, kind as u16, number, most),
                &format!("seed {seed}, {spec:?}"),
            );
            histogram.add_channel(world.link.loss, &promise, came);
        }
    }
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

#[test]
fn a_call_ahead_of_a_time_out_does_what_is_due() {
    type Call = fn(&mut Data, &mut Cx<'_>);
    let calls: [(&str, Call); 3] = [
        ("receive", |peer, cx| peer.receive(cx, address(0), address(1), None, &mut [200])),
        ("write", |peer, cx| assert!(!peer.write(cx, 9, true, b"nowhere"))),
        ("poll_transmit", |_, _| {}),
    ];
    for (name, call) in calls {
        let mut world = World::connected(1, Partner::Own, &Data::association_config(&own()), &[]);
        world.run(Duration::from_secs(2));
        world.meddle = Some(Box::new(|_| Vec::new()));
        assert!(world.write(0, 0, b"lost"));
        let before = world.ends[0].peer.association().statistics().packets_sent;
        let due = world.ends[0].peer.association().deadline().unwrap().at;
        world.now = due + Duration::from_millis(1);
        world.with(0, call);
        let sent = world.ends[0].peer.association().statistics().packets_sent - before;
        assert_eq!(sent, 1, "{name}");
    }
}

#[test]
fn losses_are_mended_in_time_where_datagrams_overtake_time_outs() {
    for seed in 0..20 {
        let mut world = World::connected(seed, Partner::Own, &Data::association_config(&own()), &[]);
        (world.link.loss, world.lateness) = (0.2, Duration::from_millis(10));
        for number in 0..40 {
            let start = world.now;
            assert!(world.write(0, 0, &[number; 100]));
            while !world.ends[1].heard.iter().any(|(channel, bytes)| (*channel, bytes[0]) == (0, number)) {
                world.write(1, 1, b"something else");
                world.run(Duration::from_millis(5));
                assert!(world.now - start < Duration::from_secs(2), "seed {seed}, message {number}");
            }
        }
    }
}

#[test]
fn a_first_message_that_is_lost_is_sent_again_after_what_checks_took_and_not_half_a_second() {
    let mut world = World::connected(1, Partner::Own, &Data::association_config(&own()), &[]);
    assert_eq!(world.ends[0].peer.association().statistics().rtt, None);
    world.meddle = Some(Box::new(|_| Vec::new()));
    assert!(world.write(0, 0, b"lost"));
    world.meddle = None;
    assert!(world.run_until(Duration::from_millis(150), |world| !world.ends[1].heard.is_empty()));
}

fn own() -> EngineConfig {
    EngineConfig::new(Partner::Own, true)
}
