use std::time::Duration;

use super::bench::{ANN, BOB, Bench, End, both, seconds};
use super::chance::Link;
use crate::link::sctp::{ChannelConfig, Config, Event, OpenError, Over};
use crate::wire::sctp::kind;

#[test]
fn a_shutdown_delivers_what_was_written_and_both_sides_know() {
    let mut bench = Bench::connected(both(Config::default()));
    let stream = bench.open(ANN, ChannelConfig::default());
    assert!(bench.write(ANN, stream, &[3; 200_000]));
    bench.shutdown(ANN);
    assert!(!bench.write(ANN, stream, b"too late"));
    let now = bench.now;
    let refused = bench.ends[ANN].association.open(now, ChannelConfig::default());
    assert_eq!(refused, Err(OpenError::NoAssociation));
    bench.run(seconds(5));
    assert_eq!(bench.ends[BOB].bytes(), [vec![3; 200_000]]);
    for end in &bench.ends {
        assert_eq!(end.over(), Some(&Over::Closed));
        assert_eq!(end.association.deadline(), None);
    }
}

#[test]
fn shutdowns_that_cross_close_both_and_deliver_both_ways() {
    let mut bench = Bench::connected(both(Config::default()));
    for end in [ANN, BOB] {
        let stream = bench.open(end, ChannelConfig::default());
        assert!(bench.write(end, stream, &[3; 5_000]));
        bench.shutdown(end);
    }
    bench.run(seconds(5));
    for end in &bench.ends {
        assert_eq!(end.messages.len(), 1);
        assert_eq!(end.over(), Some(&Over::Closed));
    }
}

#[test]
fn a_shutdown_survives_the_loss_of_each_of_its_chunks() {
    for lost in [kind::SHUTDOWN, kind::SHUTDOWN_ACK, kind::SHUTDOWN_COMPLETE] {
        let mut bench = Bench::connected(both(Config::default()));
        let mut is_lost = false;
        bench.meddle = Some(Box::new(move |_, packet| {
            let loses = packet[12] == lost && !is_lost;
            is_lost |= loses;
            !loses
        }));
        bench.shutdown(ANN);
        bench.run(seconds(5));
        for end in &bench.ends {
            assert_eq!(end.over(), Some(&Over::Closed), "without chunk {lost}");
        }
    }
}

#[test]
fn shutdowns_under_loss_end_closed_and_deliver_all() {
    for seed in 0..100 {
        let config = Config { shutdown_time: seconds(60), ..Config::default() };
        let link = Link { loss: 0.2, duplication: 0.1, jitter: Duration::from_millis(30), ..Link::GOOD };
        let mut bench = Bench::new(seed, link, both(config));
        bench.signal();
        let stream = bench.open(ANN, ChannelConfig::default());
        assert!(bench.write(ANN, stream, &[3; 20_000]));
        bench.shutdown(ANN);
        if seed % 2 == 0 {
            bench.shutdown(BOB);
        }
        bench.run(seconds(90));
        assert_eq!(bench.ends[BOB].messages.len(), 1, "seed {seed}");
        assert!(bench.ends.iter().all(|end| end.over() == Some(&Over::Closed)), "seed {seed}");
    }
}

#[test]
fn a_shutdown_that_takes_too_long_ends_by_force() {
    let mut bench = Bench::connected(both(Config::default()));
    let stream = bench.open(ANN, ChannelConfig::default());
    bench.ends[BOB].reads = false;
    bench.ends[BOB].association.hold(stream, true);
    for _ in 0..8 {
        bench.write(ANN, stream, &[3; 200_000]);
        bench.run(seconds(1));
    }
    bench.shutdown(ANN);
    bench.run(Config::default().shutdown_time + seconds(1));
    assert_eq!(bench.ends[ANN].over(), Some(&Over::Lost));
    assert!(matches!(bench.ends[BOB].over(), Some(Over::Aborted { is_by_peer: true, .. })));
}

#[test]
fn before_the_set_up_a_shutdown_is_over_at_once() {
    let mut bench = Bench::new(1, Link::GOOD, both(Config::default()));
    bench.connect(ANN);
    bench.shutdown(ANN);
    bench.drain();
    assert_eq!(bench.ends[ANN].over(), Some(&Over::Closed));
    assert_eq!(bench.ends[ANN].association.deadline(), None);
}

#[test]
fn an_abort_tells_its_reason_bounded_and_without_control_characters() {
    let mut bench = Bench::connected(both(Config::default()));
    let (now, reason) = (bench.now, format!("line\nbreak {}", "ü".repeat(300)));
    bench.ends[ANN].association.abort(now, &reason);
    bench.run(seconds(1));
    let Some(Over::Aborted { is_by_peer: false, reason: told }) = bench.ends[ANN].over() else { panic!("not aborted") };
    assert!(told.starts_with("line\\nbreak") && told.len() < 200, "{told}");
    let Some(Over::Aborted { is_by_peer: true, reason: told }) = bench.ends[BOB].over() else { panic!("not aborted") };
    assert!(told.contains("line\\nbreak") && told.len() < 300, "{told}");
}

#[test]
fn messages_that_came_before_the_end_can_still_be_taken() {
    let mut bench = Bench::connected(both(Config::default()));
    let stream = bench.open(ANN, ChannelConfig::default());
    bench.ends[BOB].reads = false;
    assert!(bench.write(ANN, stream, b"last words"));
    bench.run(seconds(1));
    let now = bench.now;
    bench.ends[ANN].association.abort(now, "");
    bench.run(seconds(1));
    assert!(bench.ends[BOB].over().is_some());
    bench.ends[BOB].reads = true;
    bench.drain();
    assert_eq!(bench.ends[BOB].bytes(), [b"last words"]);
}

#[test]
fn a_peer_that_does_not_acknowledge_is_lost() {
    let mut bench = Bench::connected(both(Config { most_retransmits: 4, ..Config::default() }));
    let stream = bench.open(ANN, ChannelConfig::default());
    bench.ends[BOB].is_cut_off = true;
    assert!(bench.write(ANN, stream, b"anybody?"));
    bench.run(seconds(120));
    assert_eq!(bench.ends[ANN].over(), Some(&Over::Lost));
    assert!(bench.ends.iter().all(|end: &End| end.messages.is_empty()));
}

#[test]
fn an_end_for_which_two_timers_are_due_at_once_is_told_once() {
    let mut bench = Bench::connected(both(Config { most_retransmits: 0, ..Config::default() }));
    let (closed, other) = (bench.open(ANN, ChannelConfig::default()), bench.open(ANN, ChannelConfig::default()));
    bench.run(seconds(1));
    bench.ends[BOB].is_cut_off = true;
    bench.close(ANN, closed);
    assert!(bench.write(ANN, other, b"unheard"));
    bench.drain();
    let sent = bench.ends[ANN].association.statistics().packets_sent;
    bench.now = bench.now + seconds(60);
    let now = bench.now;
    bench.ends[ANN].association.on_timeout(now);
    bench.drain();
    let overs = bench.ends[ANN].events.iter().filter(|event| matches!(event, Event::Over(_)));
    assert_eq!(overs.collect::<Vec<_>>(), [&Event::Over(Over::Lost)]);
    assert_eq!(bench.ends[ANN].association.statistics().packets_sent, sent + 1, "one ABORT");
}
