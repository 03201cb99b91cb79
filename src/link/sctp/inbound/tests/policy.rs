//! When an acknowledgement is due, and what it tells.

use std::time::Duration;

use super::*;

#[test]
fn every_second_packet_is_acknowledged_and_a_single_one_after_a_while() {
    let (mut inbound, delay) = (plain(), Duration::from_millis(20));
    feed(&mut inbound, &[whole(0, 0, b"a")]).unwrap();
    assert!(!inbound.wants_sack(Instant::ZERO) && inbound.has_unacknowledged());
    assert_eq!(inbound.deadline().map(|deadline| deadline.at), Some(Instant::ZERO + delay));
    assert!(inbound.wants_sack(Instant::ZERO + delay));
    feed(&mut inbound, &[whole(1, 1, b"b")]).unwrap();
    assert!(inbound.wants_sack(Instant::ZERO));
    assert_eq!(told(&mut inbound).cumulative, FIRST.add(1));
    assert!(!inbound.has_unacknowledged() && inbound.deadline().is_none());
}

#[test]
fn a_gap_a_duplicate_and_the_i_bit_are_answered_at_once() {
    let gap = [whole(1, 1, b"b")];
    let duplicate = [whole(0, 0, b"a"), whole(0, 0, b"a")];
    let immediate = [Data { is_immediate: true, ..whole(0, 0, b"a") }];
    for chunks in [gap.as_slice(), &duplicate[1..], &immediate] {
        let mut inbound = plain();
        if chunks == &duplicate[1..] {
            feed(&mut inbound, &duplicate[..1]).unwrap();
            told(&mut inbound);
        }
        feed(&mut inbound, chunks).unwrap();
        assert!(inbound.wants_sack(Instant::ZERO), "{chunks:?}");
    }
}

#[test]
fn an_acknowledgement_tells_ranges_and_at_most_16_duplicates_once() {
    let mut inbound = plain();
    let chunks = [0, 2, 3, 6].map(|at| whole(at, at, b"a"));
    feed(&mut inbound, &chunks).unwrap();
    for _ in 0..20 {
        feed(&mut inbound, &chunks[1..2]).unwrap();
    }
    let sack = told(&mut inbound);
    assert_eq!((sack.cumulative, sack.gaps), (FIRST, vec![(2, 3), (6, 6)]));
    assert_eq!(sack.duplicates, [FIRST.add(2); 16]);
    assert_eq!(told(&mut inbound).duplicates, []);
    assert_eq!(inbound.statistics().duplicates, 20);
}

#[test]
fn of_many_ranges_the_lowest_are_told() {
    let mut inbound = plain();
    for at in 1..300 {
        feed(&mut inbound, &[whole(2 * at, at, b"a")]).unwrap();
    }
    let gaps = told(&mut inbound).gaps;
    assert_eq!((gaps.len(), gaps[0], gaps[127]), (128, (3, 3), (257, 257)));
}

#[test]
fn messages_that_are_not_taken_close_the_window_and_taking_them_opens_it_unasked() {
    let mut inbound = inbound(&Config { receive_window: 16_000, ..Config::default() }, false, true);
    let bytes = [7; 1_000];
    for at in 0..15 {
        feed(&mut inbound, &[whole(at, at, &bytes)]).unwrap();
    }
    assert_eq!(told(&mut inbound).window, 0, "760 bytes are not worth telling");
    inbound.take();
    assert!(!inbound.wants_sack(Instant::ZERO));
    inbound.take();
    assert!(inbound.wants_sack(Instant::ZERO), "two packets have room again");
    assert_eq!(told(&mut inbound).window, 16_000 - 13 * 1_016);
}
