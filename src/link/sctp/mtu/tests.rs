//! A path that takes packets up to a size.

use super::*;
use crate::wire::sctp::{Checksum, Chunk, Header, parse};

const HEADER: Header = Header { source_port: 5000, destination_port: 5000, tag: 1 };

const RTO: Duration = Duration::from_millis(500);

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

/// Searches until there is nothing to be done for a minute; the sizes that were tried.
fn search(probe: &mut Probe, path: usize) -> Vec<usize> {
    let (mut now, mut sizes) = (Instant::ZERO, Vec::new());
    loop {
        while probe.is_due() {
            let mut out = Vec::new();
            let mut packet = Packet::begin(&mut out, &HEADER, probe.size());
            probe.fill(now, &mut packet);
            packet.finish(true);
            sizes.push(out.len());
            if out.len() <= path {
                answer(probe, now, &out);
            }
        }
        match probe.deadline() {
            Some(deadline) if deadline.at.since(now) < Duration::from_secs(60) => now = deadline.at,
            _ => return sizes,
        }
        probe.on_timeout(now);
    }
}

fn answer(probe: &mut Probe, now: Instant, packet: &[u8]) {
    let (_, chunks) = parse(packet, Checksum::Required).unwrap();
    for chunk in chunks {
        if let Chunk::Heartbeat(info) = chunk.unwrap() {
            assert!(probe.on_acked(now, info));
            assert!(!probe.on_acked(now, info), "an answer counts once");
        }
    }
}

#[test]
fn a_path_that_takes_the_largest_is_known_after_one_probe() {
    let mut probe = Probe::new(1_160, 1_440);
    assert_eq!(search(&mut probe, 1_500), [1_440]);
    assert_eq!((probe.packet(), probe.deadline()), (1_440, None));
}

#[test]
fn a_path_that_takes_less_is_known_within_a_step() {
    for path in (1_160..1_440).step_by(4) {
        let mut probe = Probe::new(1_160, 1_440);
        let sizes = search(&mut probe, path);
        assert!(probe.packet() <= path && path < probe.packet() + STEP + 4, "{path}: {}", probe.packet());
        assert!(sizes.len() <= 15, "{path}: {sizes:?}");
        assert!(probe.deadline().is_some(), "{path}");
    }
}

#[test]
fn larger_packets_are_tried_again_after_ten_minutes() {
    let mut probe = Probe::new(1_160, 1_440);
    search(&mut probe, 1_160);
    let at = probe.deadline().unwrap().at;
    probe.on_timeout(at);
    assert_eq!(search(&mut probe, 1_500), [1_440]);
}

#[test]
fn where_no_more_is_allowed_nothing_is_tried() {
    let mut probe = Probe::new(1_160, 1_160);
    assert_eq!((probe.is_due(), probe.deadline(), probe.packet()), (false, None, 1_160));
    assert!((1..=3).all(|second| !probe.on_failed(at(second), RTO)));
}

#[test]
fn a_black_hole_makes_packets_small_again() {
    let mut probe = Probe::new(1_160, 1_440);
    search(&mut probe, 1_500);
    assert!(!probe.on_failed(at(1), RTO) && !probe.on_failed(at(2), RTO));
    probe.on_passed();
    assert!(!probe.on_failed(at(3), RTO) && !probe.on_failed(at(4), RTO) && probe.on_failed(at(5), RTO));
    assert_eq!(probe.packet(), 1_160);
    search(&mut probe, 1_300);
    assert!((1_268..=1_300).contains(&probe.packet()));
}

#[test]
fn losses_within_a_timeout_are_one_sign_of_a_black_hole() {
    let mut probe = Probe::new(1_160, 1_440);
    search(&mut probe, 1_500);
    assert!((0..100).all(|_| !probe.on_failed(at(1), RTO)));
    assert!(!probe.on_failed(at(2), RTO) && probe.on_failed(at(3), RTO));
}

#[test]
fn another_path_is_searched_anew() {
    let mut probe = Probe::new(1_160, 1_440);
    search(&mut probe, 1_500);
    probe.on_path(1_440);
    assert_eq!((probe.packet(), probe.is_due()), (1_160, true));
}

#[test]
fn a_path_of_a_known_size_is_not_searched() {
    let mut probe = Probe::new(1_160, 1_440);
    search(&mut probe, 1_500);
    probe.on_path(1_160);
    assert_eq!((probe.packet(), probe.is_due(), probe.deadline()), (1_160, false, None));
    probe.on_path(1_440);
    assert!(probe.is_due());
}
