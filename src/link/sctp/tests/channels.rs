use std::time::Duration;

use super::bench::{ANN, BOB, Bench, both, kinds, seconds};
use crate::link::sctp::{ChannelConfig, Config, Event, OpenError, Opened, Reliability};

fn named(label: &str) -> ChannelConfig {
    ChannelConfig { label: label.into(), ..Default::default() }
}

fn opened(events: &[Event]) -> Vec<&Opened> {
    let opened = events.iter().map(|event| if let Event::Open(opened) = event { Some(opened) } else { None });
    opened.flatten().collect()
}

#[test]
fn each_side_opens_channels_of_its_parity_and_both_hear_of_them() {
    let mut bench = Bench::connected(both(Config::default()));
    let ids = [bench.open(ANN, named("a")), bench.open(BOB, named("b")), bench.open(ANN, named("c"))];
    assert_eq!(ids, [0, 1, 2]);
    bench.run(seconds(1));
    for end in [ANN, BOB] {
        let mut all = opened(&bench.ends[end].events);
        all.sort_by_key(|opened| opened.stream);
        let told: Vec<_> = all.iter().map(|opened| (opened.label.as_str(), opened.is_by_peer)).collect();
        assert_eq!(told, [("a", end == BOB), ("b", end == ANN), ("c", end == BOB)]);
    }
}

#[test]
fn a_channel_has_the_same_properties_on_both_sides() {
    let mut bench = Bench::connected(both(Config::default()));
    for (place, kind) in kinds().into_iter().enumerate() {
        let priority = [128, 256, 512, 1024][place % 4];
        let protocol = format!("protocol {place}");
        bench.open(ANN, ChannelConfig { priority, protocol, ..kind });
    }
    bench.run(seconds(1));
    let flip = |opened: &Opened| Opened { is_by_peer: !opened.is_by_peer, ..opened.clone() };
    let (ann, bob) = (opened(&bench.ends[ANN].events), opened(&bench.ends[BOB].events));
    assert_eq!(ann.len(), kinds().len());
    assert_eq!(bob, ann.iter().map(|opened| flip(opened)).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    assert_eq!(bob[6].reliability, Reliability::MaxLifetime(Duration::from_millis(150)));
}

#[test]
fn empty_messages_and_text_arrive_as_what_they_are() {
    let mut bench = Bench::connected(both(Config::default()));
    let (stream, now) = (bench.open(ANN, ChannelConfig::default()), bench.now);
    let all = [(true, b"".as_slice()), (false, b""), (true, b"\0"), (false, "ü".as_bytes())];
    for (is_binary, bytes) in all {
        assert!(bench.ends[ANN].association.write(now, stream, is_binary, bytes));
    }
    bench.run(seconds(1));
    let came: Vec<_> = bench.ends[BOB].messages.iter().map(|came| (came.is_binary, came.bytes.as_slice())).collect();
    assert_eq!(came, all);
}

#[test]
fn messages_of_an_unordered_channel_go_in_order_until_it_is_confirmed() {
    let mut bench = Bench::connected(both(Config::default()));
    let stream = bench.open(ANN, ChannelConfig { is_ordered: false, ..Default::default() });
    let mut is_first = true;
    bench.meddle = Some(Box::new(move |from, _| from != ANN || !std::mem::take(&mut is_first)));
    bench.drain();
    for _ in 0..5 {
        assert!(bench.write(ANN, stream, b"early"));
        bench.run(Duration::from_millis(1));
    }
    bench.run(seconds(2));
    assert_eq!(bench.ends[BOB].messages.len(), 5, "none came before its channel");
    assert_eq!(bench.ends[BOB].association.statistics().dropped.no_channel, 0);
}

#[test]
fn a_message_that_overtakes_the_confirmation_is_one() {
    let mut bench = Bench::connected(both(Config::default()));
    let stream = bench.open(ANN, ChannelConfig { is_ordered: false, ..Default::default() });
    let mut is_first = true;
    bench.meddle = Some(Box::new(move |from, _| from != BOB || !std::mem::take(&mut is_first)));
    assert!(bench.run_until(seconds(1), |bench| opened(&bench.ends[BOB].events).len() == 1));
    assert!(bench.write(BOB, stream, b"at once"));
    assert!(bench.run_until(seconds(1), |bench| !bench.ends[ANN].messages.is_empty()));
    assert_eq!(opened(&bench.ends[ANN].events).len(), 1, "the channel is told of before its first message");
    bench.run(seconds(2));
    assert_eq!((opened(&bench.ends[ANN].events).len(), bench.ends[ANN].bytes()), (1, vec![b"at once".as_slice()]));
}

#[test]
fn negotiated_channels_are_open_without_a_word() {
    let mut bench = Bench::connected(both(Config::default()));
    let config = ChannelConfig { negotiated: Some(700), ..Default::default() };
    let (ann, bob) = (bench.open(ANN, config.clone()), bench.open(BOB, config.clone()));
    assert_eq!((ann, bob), (700, 700));
    assert!(bench.write(ANN, 700, b"a") && bench.write(BOB, 700, b"b"));
    bench.run(seconds(1));
    assert_eq!((bench.ends[ANN].bytes(), bench.ends[BOB].bytes()), (vec![b"b".as_slice()], vec![b"a".as_slice()]));
    assert!(opened(&bench.ends[ANN].events).is_empty());
    let now = bench.now;
    assert_eq!(bench.ends[ANN].association.open(now, config), Err(OpenError::InUse(700)));
    let beyond = ChannelConfig { negotiated: Some(65_535), ..Default::default() };
    assert_eq!(bench.ends[ANN].association.open(now, beyond), Err(OpenError::NoStream(65_535)));
}

#[test]
fn labels_and_channels_are_bounded_on_the_own_side_by_errors() {
    let config = Config { max_channels: 2, max_label: 10, ..Config::default() };
    let mut bench = Bench::connected(both(config));
    let now = bench.now;
    let association = &mut bench.ends[ANN].association;
    assert_eq!(association.open(now, named("eleven byte")), Err(OpenError::LabelTooLong));
    assert_eq!(association.open(now, named("ten bytes.")), Ok(0));
    assert_eq!(association.open(now, named("")), Ok(2));
    assert_eq!(association.open(now, named("")), Err(OpenError::TooMany));
}

#[test]
fn channels_beyond_the_bound_or_with_long_labels_are_closed_and_the_association_lives() {
    let small = Config { max_channels: 1, max_label: 4, ..Config::default() };
    let mut bench = Bench::connected([Config::default(), small]);
    let long = bench.open(ANN, named("long label"));
    bench.run(seconds(1));
    assert!(bench.ends[ANN].has_closed(long));
    bench.ends[ANN].events.retain(|event| *event == Event::Connected);
    let (first, second) = (bench.open(ANN, named("1st")), bench.open(ANN, named("2nd")));
    bench.run(seconds(1));
    assert!(!bench.ends[ANN].has_closed(first) && bench.ends[ANN].has_closed(second));
    assert_eq!(bench.ends[BOB].association.statistics().dropped.refused_channel, 2);
    assert!(bench.write(ANN, first, b"still here"));
    bench.run(seconds(1));
    assert_eq!(bench.ends[BOB].bytes(), [b"still here"]);
}

#[test]
fn a_channel_closes_from_either_side_or_both_after_its_last_message() {
    for closers in [vec![ANN], vec![BOB], vec![ANN, BOB]] {
        let mut bench = Bench::connected(both(Config::default()));
        let stream = bench.open(ANN, ChannelConfig::default());
        bench.run(seconds(1));
        for end in &closers {
            assert!(bench.write(*end, stream, &[9; 50_000]));
            bench.close(*end, stream);
            assert!(!bench.write(*end, stream, b"too late"));
        }
        bench.run(seconds(5));
        for end in [ANN, BOB] {
            assert!(bench.ends[end].has_closed(stream), "closed by {closers:?}, not told to {end}");
            assert_eq!(bench.ends[end].association.statistics().channels, 0);
        }
        if let [closer] = closers[..] {
            assert_eq!(bench.ends[1 - closer].messages.len(), 1);
        }
    }
}

#[test]
fn an_id_is_used_again_after_both_ways_are_reset_and_counts_from_the_start() {
    for is_ordered in [true, false] {
        let mut bench = Bench::connected(both(Config::default()));
        for round in 0..20_u8 {
            let stream = bench.open(ANN, ChannelConfig { is_ordered, ..Default::default() });
            assert_eq!(stream, 0);
            assert!(bench.write(ANN, stream, &[round]) && bench.write(ANN, stream, &[round]));
            bench.run(seconds(1));
            assert!(bench.write(BOB, stream, &[round]));
            bench.run(seconds(1));
            bench.close(usize::from(round % 2), stream);
            bench.run(seconds(1));
        }
        assert_eq!(bench.ends[BOB].messages.len(), 40);
        assert_eq!(bench.ends[ANN].messages.len(), 20);
    }
}

#[test]
fn channels_open_and_close_under_loss_and_their_ids_come_back() {
    for seed in 0..30 {
        let mut bench = Bench::connected(both(Config::default()));
        bench.link = super::chance::Link {
            loss: 0.2,
            duplication: 0.2,
            jitter: Duration::from_millis(30),
            ..super::chance::Link::GOOD
        };
        for round in 0..10 {
            let end = (seed + round) % 2;
            let stream = bench.open(end, ChannelConfig::default());
            assert_eq!(usize::from(stream), end, "seed {seed}: the id came back");
            assert!(bench.write(end, stream, b"one"));
            bench.close(end, stream);
            let closed = |bench: &Bench| bench.ends.iter().all(|end| end.association.statistics().channels == 0);
            assert!(bench.run_until(seconds(60), closed), "seed {seed}, round {round}");
        }
        let came = bench.ends[ANN].messages.len() + bench.ends[BOB].messages.len();
        assert_eq!(came, 10, "seed {seed}");
    }
}

#[test]
fn the_close_of_a_channel_waits_for_its_messages_to_be_taken() {
    let mut bench = Bench::connected(both(Config::default()));
    let stream = bench.open(ANN, ChannelConfig::default());
    bench.run(seconds(1));
    bench.ends[BOB].reads = false;
    assert!(bench.write(ANN, stream, b"unread"));
    bench.close(ANN, stream);
    bench.run(seconds(5));
    assert!(!bench.ends[BOB].has_closed(stream));
    bench.ends[BOB].reads = true;
    bench.run(seconds(1));
    assert!(bench.ends[BOB].has_closed(stream));
    assert_eq!(bench.ends[BOB].bytes(), [b"unread"]);
}

#[test]
fn a_channel_that_is_held_stays_behind_and_others_pass() {
    let mut bench = Bench::connected(both(Config::default()));
    let (held, other) = (bench.open(ANN, ChannelConfig::default()), bench.open(ANN, ChannelConfig::default()));
    bench.run(seconds(1));
    bench.ends[BOB].association.hold(held, true);
    assert!(bench.write(ANN, held, b"held") && bench.write(ANN, other, b"other"));
    bench.run(seconds(1));
    assert_eq!(bench.ends[BOB].bytes(), [b"other"]);
    bench.ends[BOB].association.hold(held, false);
    bench.run(seconds(1));
    assert_eq!(bench.ends[BOB].bytes(), [b"other".as_slice(), b"held"]);
}

#[test]
fn room_comes_back_and_is_told_once_after_it_was_wanted() {
    let mut bench = Bench::connected(both(Config::default()));
    let stream = bench.open(ANN, ChannelConfig::default());
    let mut count = 0;
    while bench.write(ANN, stream, &[1; 16 << 10]) {
        count += 1;
    }
    assert!((10..=16).contains(&count), "{count}");
    assert!(bench.ends[ANN].association.room() < 16 << 10);
    bench.ends[ANN].association.want_room();
    bench.run(seconds(5));
    assert_eq!(bench.ends[ANN].events.iter().filter(|event| **event == Event::Writable).count(), 1);
    assert_eq!(bench.ends[ANN].association.room(), Config::default().send_bound);
    assert_eq!(bench.ends[BOB].messages.len(), count);
}

#[test]
fn a_message_larger_than_the_peer_takes_is_not_written() {
    let config = Config { peer_max_message: 1_000, ..Config::default() };
    let mut bench = Bench::connected(both(config));
    let stream = bench.open(ANN, ChannelConfig::default());
    assert!(!bench.write(ANN, stream, &[0; 1_001]));
    assert!(bench.write(ANN, stream, &[0; 1_000]));
}

#[test]
fn a_thousand_channels_carry_a_message_each() {
    let mut bench = Bench::connected(both(Config::default()));
    let streams: Vec<_> = (0..1_000).map(|_| bench.open(ANN, ChannelConfig::default())).collect();
    for stream in &streams {
        assert!(bench.write(ANN, *stream, &stream.to_be_bytes()));
    }
    bench.run(seconds(10));
    assert_eq!(bench.ends[BOB].messages.len(), 1_000);
    assert!(bench.ends[BOB].messages.iter().all(|came| came.bytes == came.stream.to_be_bytes()));
}
