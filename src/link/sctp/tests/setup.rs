use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::bench::{ANN, BOB, Bench, both, seconds};
use super::chance::Link;
use crate::link::sctp::{Association, Broken, ChannelConfig, Config, Event, Over, PORT};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::sctp::{Checksum, Chunk, Header, Packet, kind, parse};

/// The ways to set an association up.
const WAYS: [&str; 3] = ["one connects", "both connect", "signalling"];

fn start(bench: &mut Bench, way: &str) {
    match way {
        "one connects" => {
            bench.listen(BOB);
            bench.connect(ANN);
        }
        "both connect" => {
            bench.connect(ANN);
            bench.connect(BOB);
        }
        _ => bench.signal(),
    }
}

#[test]
fn an_association_stands_in_every_way_and_carries_messages_both_ways() {
    for way in WAYS {
        let mut bench = Bench::new(1, Link::GOOD, both(Config::default()));
        start(&mut bench, way);
        bench.run(seconds(1));
        for end in [ANN, BOB] {
            assert!(bench.ends[end].is_connected(), "{way}: {:?}", bench.ends[end].events);
            let stream = bench.open(end, ChannelConfig::default());
            assert!(bench.write(end, stream, b"hello"), "{way}");
        }
        bench.run(seconds(1));
        for end in [ANN, BOB] {
            assert_eq!(bench.ends[end].bytes(), [b"hello"], "{way}");
            let connected = bench.ends[end].events.iter().filter(|event| **event == Event::Connected).count();
            assert_eq!(connected, 1, "{way}");
        }
    }
}

#[test]
fn a_set_up_survives_loss_repetition_and_reordering() {
    for seed in 0..200 {
        for way in WAYS {
            let jitter = Duration::from_millis(40);
            let link = Link { loss: 0.3, duplication: 0.2, jitter, ..Link::GOOD };
            let mut bench = Bench::new(seed, link, both(Config::default()));
            start(&mut bench, way);
            let streams = [ANN, BOB].map(|end| {
                let stream = bench.open(end, ChannelConfig::default());
                assert!(bench.write(end, stream, b"early"));
                stream
            });
            let both_have = |bench: &Bench| bench.ends.iter().all(|end| end.messages.len() == 1);
            assert!(bench.run_until(seconds(60), both_have), "{way}, seed {seed}: {:?}", bench.ends[ANN].events);
            assert_eq!(streams, [0, 1]);
        }
    }
}

#[test]
fn without_handshake_the_first_message_takes_half_a_round_trip() {
    let mut bench = Bench::new(1, Link::GOOD, both(Config::default()));
    bench.signal();
    let stream = bench.open(ANN, ChannelConfig::default());
    assert!(bench.write(ANN, stream, b"first"));
    assert!(bench.run_until(Link::GOOD.delay, |bench| bench.ends[BOB].messages.len() == 1));
}

#[test]
fn messages_written_before_the_set_up_ride_with_the_cookie() {
    let mut bench = Bench::new(1, Link::GOOD, both(Config::default()));
    bench.listen(BOB);
    bench.connect(ANN);
    let stream = bench.open(ANN, ChannelConfig::default());
    assert!(bench.write(ANN, stream, b"first"));
    assert!(bench.run_until(3 * Link::GOOD.delay, |bench| bench.ends[BOB].messages.len() == 1));
}

#[test]
fn a_set_up_without_an_answer_is_repeated_and_then_lost() {
    let sent = Rc::new(Cell::new(0));
    let counter = sent.clone();
    let mut bench = Bench::new(1, Link::GOOD, both(Config::default()));
    bench.meddle = Some(Box::new(move |_, _| {
        counter.set(counter.get() + 1);
        false
    }));
    bench.connect(ANN);
    bench.run(seconds(120));
    assert_eq!(bench.ends[ANN].over(), Some(&Over::Lost));
    assert_eq!(sent.get(), 1 + Config::default().most_setup_retransmits);
}

#[test]
fn an_association_that_was_not_started_answers_nothing() {
    let mut bench = Bench::new(1, Link::GOOD, both(Config::default()));
    bench.connect(ANN);
    bench.run(seconds(1));
    assert_eq!(bench.ends[BOB].association.statistics().packets_sent, 0);
    assert!(bench.ends[BOB].association.statistics().dropped.state > 0);
}

#[test]
fn an_altered_cookie_is_counted_and_the_right_one_sets_the_association_up() {
    let mut bench = Bench::new(1, Link::GOOD, both(Config { zero_checksum: true, ..Config::default() }));
    let mut altered = 0;
    bench.meddle = Some(Box::new(move |from, packet| {
        if from == ANN && packet[12] == kind::COOKIE_ECHO && altered < 2 {
            altered += 1;
            packet[8..12].fill(0);
            packet[20] ^= 1;
        }
        true
    }));
    bench.listen(BOB);
    bench.connect(ANN);
    bench.run(seconds(5));
    assert_eq!(bench.ends[BOB].association.statistics().dropped.forged_cookie, 2);
    assert!(bench.ends.iter().all(super::bench::End::is_connected));
}

/// What answers Ann's INIT, with these fields: tag, streams out, streams in; it brings no cookie.
fn init_ack(bench: &Bench, tag: u32, outbound: u16, inbound: u16) -> Vec<u8> {
    let header = Header { source_port: PORT, destination_port: PORT, tag: bench.ends[ANN].association.local_tag };
    let fields = [&tag.to_be_bytes()[..], &[0, 1, 0, 0], &outbound.to_be_bytes(), &inbound.to_be_bytes(), &[0; 4]];
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &header, 1_000);
    packet.chunk(kind::INIT_ACK, 0, &fields.concat());
    packet.finish(true);
    out
}

#[test]
fn an_init_ack_with_a_tag_of_zero_or_without_streams_is_counted_and_the_right_one_awaited() {
    let mut bench = Bench::new(1, Link::GOOD, both(Config::default()));
    bench.connect(ANN);
    for (tag, outbound, inbound) in [(0, 1, 1), (1, 0, 1), (1, 1, 0)] {
        let packet = init_ack(&bench, tag, outbound, inbound);
        bench.inject(ANN, &packet);
    }
    assert_eq!(bench.ends[ANN].association.statistics().dropped.malformed, 3);
    bench.listen(BOB);
    bench.run(seconds(5));
    assert!(bench.ends.iter().all(super::bench::End::is_connected));
}

#[test]
fn an_init_ack_without_a_cookie_ends_the_association() {
    let mut bench = Bench::new(1, Link::GOOD, both(Config::default()));
    bench.connect(ANN);
    let packet = init_ack(&bench, 1, 1, 1);
    bench.inject(ANN, &packet);
    assert_eq!(bench.ends[ANN].over(), Some(&Over::Broken(Broken::NoCookie)));
}

#[test]
fn a_stale_cookie_is_told_and_another_one_asked_for() {
    let config = Config { cookie_life: Duration::from_millis(15), ..Config::default() };
    let mut bench = Bench::new(1, Link::GOOD, both(config));
    bench.listen(BOB);
    bench.connect(ANN);
    bench.link.delay = Duration::from_millis(20);
    bench.run(Duration::from_millis(30));
    assert!(bench.run_until(Duration::from_millis(100), |bench| {
        bench.ends[BOB].association.statistics().dropped.stale_cookie > 0
    }));
    bench.link.delay = Duration::from_millis(5);
    bench.run(seconds(5));
    assert!(bench.ends.iter().all(super::bench::End::is_connected));
}

#[test]
fn a_peer_that_chooses_another_tag_after_a_stale_cookie_is_reached_by_it() {
    let config = Config { cookie_life: Duration::from_millis(15), ..Config::default() };
    let mut bench = Bench::new(1, Link::GOOD, both(config));
    bench.link.delay = Duration::from_millis(20);
    bench.listen(BOB);
    bench.connect(ANN);
    let stream = bench.open(ANN, ChannelConfig::default());
    assert!(bench.write(ANN, stream, b"first"));
    assert!(bench.run_until(Duration::from_millis(100), |bench| {
        bench.ends[BOB].association.statistics().dropped.stale_cookie > 0
    }));
    bench.ends[BOB].association = Association::new(Config::default(), &mut Rng::from_u64(99));
    bench.listen(BOB);
    bench.run(seconds(5));
    assert!(bench.ends.iter().all(super::bench::End::is_connected));
    assert_eq!(bench.ends[BOB].bytes(), [b"first"]);
}

#[test]
fn a_second_init_in_mid_session_is_counted_and_both_live_on() {
    let init = Rc::new(std::cell::RefCell::new(Vec::new()));
    let copy = init.clone();
    let mut bench = Bench::new(1, Link::GOOD, both(Config::default()));
    bench.meddle = Some(Box::new(move |_, packet| {
        if packet[12] == kind::INIT {
            *copy.borrow_mut() = packet.clone();
        }
        true
    }));
    bench.listen(BOB);
    bench.connect(ANN);
    bench.run(seconds(1));
    let again = init.borrow().clone();
    bench.inject(BOB, &again);
    bench.run(seconds(1));
    assert_eq!(bench.ends[BOB].association.statistics().dropped.restart, 1);
    assert!(bench.ends.iter().all(super::bench::End::is_connected));
}

#[test]
fn a_peer_that_begins_anew_is_refused_by_an_abort_and_the_association_lives_on() {
    let mut bench = Bench::connected(both(Config::default()));
    let (mut other, now) = (Association::new(Config::default(), &mut Rng::from_u64(99)), bench.now);
    other.connect(now, true);
    let mut packet = Vec::new();
    assert!(other.fill(now, &mut packet));
    bench.ends[BOB].association.receive(now, &packet);
    let mut answer = Vec::new();
    assert!(bench.ends[BOB].association.fill(now, &mut answer));
    let (_, mut chunks) = parse(&answer, Checksum::Required).unwrap();
    assert!(matches!(chunks.next(), Some(Ok(Chunk::Abort(_)))));
    other.receive(now, &answer);
    assert!(matches!(other.poll_event(), Some(Event::Over(Over::Aborted { is_by_peer: true, .. }))));
    assert!(bench.ends[BOB].is_connected());
    assert_eq!(bench.ends[BOB].association.statistics().dropped.restart, 1);
}

#[test]
fn an_init_of_the_signalling_that_is_none_is_told_and_nothing_has_happened() {
    let mut association = Association::new(Config::default(), &mut Rng::from_u64(1));
    let good = Association::new(Config::default(), &mut Rng::from_u64(2)).init_chunk();
    for bad in [&good[..good.len() - 1], &good[1..], b"", &[0; 20]] {
        assert_eq!(association.start_with(Instant::ZERO, bad, true), Err(Broken::MalformedInit));
    }
    assert_eq!(association.poll_event(), None);
    assert_eq!(association.start_with(Instant::ZERO, &good, true), Ok(()));
    assert_eq!(association.poll_event(), Some(Event::Connected));
}

#[test]
fn checksums_are_left_out_only_if_both_sides_say_so() {
    for (ann, bob) in [(true, true), (true, false), (false, true), (false, false)] {
        let config = |zero_checksum| Config { zero_checksum, ..Config::default() };
        let bare = Rc::new(Cell::new(0));
        let counter = bare.clone();
        let mut bench = Bench::new(1, Link::GOOD, [config(ann), config(bob)]);
        bench.meddle = Some(Box::new(move |_, packet| {
            counter.set(counter.get() + u32::from(packet[8..12] == [0; 4]));
            true
        }));
        bench.listen(BOB);
        bench.connect(ANN);
        let stream = bench.open(ANN, ChannelConfig::default());
        bench.run(seconds(1));
        assert!(bench.write(ANN, stream, b"x"));
        bench.run(seconds(1));
        assert_eq!(bench.ends[BOB].messages.len(), 1);
        assert_eq!(bare.get() > 0, ann && bob, "{ann} {bob}");
    }
}

#[test]
fn messages_interleave_only_if_both_sides_want_it() {
    for (ann, bob) in [(true, true), (true, false), (false, true)] {
        let config = |interleaving| Config { interleaving, ..Config::default() };
        let interleaved = Rc::new(Cell::new(0));
        let counter = interleaved.clone();
        let mut bench = Bench::new(1, Link::GOOD, [config(ann), config(bob)]);
        bench.meddle = Some(Box::new(move |_, packet| {
            counter.set(counter.get() + u32::from(packet[12] == kind::I_DATA));
            true
        }));
        bench.signal();
        bench.run(seconds(1));
        let stream = bench.open(ANN, ChannelConfig::default());
        assert!(bench.write(ANN, stream, &[7; 5_000]));
        bench.run(seconds(1));
        assert_eq!(bench.ends[BOB].bytes(), [&[7; 5_000]]);
        assert_eq!(interleaved.get() > 0, ann && bob, "{ann} {bob}");
    }
}

#[test]
fn a_channel_beyond_the_streams_agreed_on_is_closed_as_soon_as_that_is_known() {
    let mut bench = Bench::new(1, Link::GOOD, [Config::default(), Config { streams: 10, ..Config::default() }]);
    bench.listen(BOB);
    bench.connect(ANN);
    let beyond = bench.open(ANN, ChannelConfig { negotiated: Some(10), ..Default::default() });
    let within = bench.open(ANN, ChannelConfig { negotiated: Some(9), ..Default::default() });
    bench.run(seconds(1));
    assert!(bench.ends[ANN].has_closed(beyond));
    assert!(!bench.ends[ANN].has_closed(within));
}

#[test]
fn an_association_at_rest_has_no_timer() {
    let mut bench = Bench::connected(both(Config::default()));
    let stream = bench.open(ANN, ChannelConfig::default());
    assert!(bench.write(ANN, stream, &[1; 100_000]));
    bench.run(seconds(10));
    assert_eq!(bench.ends[BOB].messages.len(), 1);
    for end in &bench.ends {
        assert_eq!(end.association.deadline(), None);
    }
}

#[test]
fn a_heartbeat_by_wish_is_answered_and_a_silent_peer_is_lost() {
    let config = Config { heartbeat: Some(seconds(5)), most_retransmits: 3, ..Config::default() };
    let mut bench = Bench::connected([config, Config::default()]);
    bench.run(seconds(60));
    assert!(bench.ends.iter().all(super::bench::End::is_connected));
    bench.ends[BOB].is_cut_off = true;
    bench.run(seconds(60));
    assert_eq!(bench.ends[ANN].over(), Some(&Over::Lost));
}
