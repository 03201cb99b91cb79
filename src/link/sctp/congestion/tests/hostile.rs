//! Acknowledgements as a hostile peer may make them up.

use std::time::Duration;

use super::super::Congestion::{Cubic, Ebb, Reno};
use super::super::{Ack, Congestion, Controller, MOST_WINDOW};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

const PACKET: usize = 1_148;

/// Any number, often a very large or small one.
fn any(rng: &mut Rng) -> u64 {
    let bits = rng.below(65) as u32;
    rng.u64().checked_shr(bits).unwrap_or(0)
}

fn any_rate(rng: &mut Rng) -> Option<f64> {
    match rng.below(8) {
        0 => None,
        1 => Some(f64::NAN),
        2 => Some(f64::INFINITY),
        3 => Some(-1.0),
        _ => Some(any(rng) as f64),
    }
}

fn any_ack(rng: &mut Rng) -> Ack {
    Ack {
        now: Instant::from_nanos(any(rng)),
        acked: any(rng) as usize,
        rtt: rng.chance(0.8).then(|| Duration::from_nanos(any(rng))),
        rate: any_rate(rng),
        is_app_limited: rng.chance(0.2),
        prior: any(rng),
        delivered: any(rng),
        top: any(rng),
        next: any(rng),
        flight: any(rng) as usize,
    }
}

fn step(controller: &mut Controller, rng: &mut Rng) {
    let (now, number, next) = (Instant::from_nanos(any(rng)), any(rng), any(rng));
    match rng.below(15) {
        0 => controller.on_timeout(now, next),
        1 => controller.on_spurious(number),
        2 => controller.on_idle(now),
        3 if rng.chance(0.1) => controller.on_path(now),
        4 => controller.on_packet_size(any(rng) as usize % 65_536),
        5..8 => controller.on_lost(now, number, next),
        _ => controller.on_ack(&any_ack(rng)),
    }
}

fn assert_sane(choice: Congestion, controller: &Controller) {
    let window = controller.window();
    assert!(window >= 64 && window as f64 <= MOST_WINDOW, "{choice:?}: window {window}");
    if let Some(rate) = controller.rate() {
        assert!(rate.is_finite() && rate > 0.0, "{choice:?}: rate {rate}");
    }
    assert!(controller.counters().random_loss.is_finite());
}

#[test]
fn nothing_a_peer_says_makes_window_or_rate_insane() {
    for seed in super::seeds(20) {
        let mut rng = Rng::from_u64(seed);
        for choice in [Ebb, Cubic, Reno] {
            let mut controller = Controller::new(choice, PACKET);
            for _ in 0..2_000 {
                step(&mut controller, &mut rng);
                assert_sane(choice, &controller);
            }
        }
    }
}

#[test]
fn a_controller_has_a_fixed_small_size() {
    let bytes = size_of::<Controller>() + size_of::<super::super::ebb::Ebb>();
    println!("{bytes} bytes");
    assert!(bytes <= 900);
}

fn ack(now: u64, top: u64, flight: usize) -> Ack {
    Ack {
        now: Instant::ZERO + Duration::from_millis(now),
        acked: 2 * PACKET,
        rtt: Some(Duration::from_millis(50)),
        rate: Some(1e6),
        is_app_limited: false,
        prior: top * 1_000,
        delivered: (top + 40) * 1_000,
        top,
        next: top + 40,
        flight,
    }
}

#[test]
fn a_window_that_late_packets_have_reduced_comes_back() {
    for choice in [Cubic, Reno] {
        let mut controller = Controller::new(choice, PACKET);
        (1..60).for_each(|n| controller.on_ack(&ack(n, n, controller.window())));
        let (now, window) = (Instant::ZERO + Duration::from_millis(60), controller.window());
        [61, 62].into_iter().for_each(|number| controller.on_lost(now, number, 100));
        assert!(controller.window() < window);
        controller.on_spurious(61);
        assert!(controller.window() < window, "{choice:?}: one of two was lost");
        controller.on_spurious(62);
        assert_eq!(controller.window(), window, "{choice:?}");
        assert_eq!(controller.counters().spurious, 2);
    }
}

#[test]
fn a_reduction_covers_all_losses_of_a_window() {
    for choice in [Cubic, Reno] {
        let mut controller = Controller::new(choice, PACKET);
        controller.on_lost(Instant::ZERO, 1, 50);
        let window = controller.window();
        (2..50).for_each(|number| controller.on_lost(Instant::ZERO, number, 50));
        assert_eq!(controller.window(), window);
        controller.on_lost(Instant::ZERO, 50, 90);
        assert!(controller.window() < window);
    }
}

#[test]
fn idleness_shorter_than_a_second_changes_nothing() {
    for choice in [Ebb, Cubic, Reno] {
        let mut controller = Controller::new(choice, PACKET);
        (1..200).for_each(|n| controller.on_ack(&ack(n, n, controller.window())));
        let window = controller.window();
        controller.on_idle(Instant::ZERO + Duration::from_millis(900));
        assert_eq!(controller.window(), window);
        controller.on_idle(Instant::ZERO + Duration::from_secs(5));
        assert!(controller.window() < window, "{choice:?}");
    }
}

#[test]
fn another_path_starts_anew() {
    for choice in [Ebb, Cubic, Reno] {
        let mut controller = Controller::new(choice, PACKET);
        let fresh = controller.window();
        (1..200).for_each(|n| controller.on_ack(&ack(n, n, controller.window())));
        assert!(controller.window() > fresh);
        controller.on_path(Instant::ZERO + Duration::from_secs(1));
        assert_eq!((controller.window(), controller.counters().least_rtt), (fresh, None));
    }
}

#[test]
fn the_third_timeout_in_a_row_starts_anew_and_the_others_change_nothing() {
    let mut controller = Controller::new(Ebb, PACKET);
    let fresh = controller.window();
    (1..200).for_each(|n| controller.on_ack(&ack(n, n, controller.window())));
    let window = controller.window();
    (0..2).for_each(|_| controller.on_timeout(Instant::ZERO, 300));
    assert_eq!(controller.window(), window);
    controller.on_timeout(Instant::ZERO, 300);
    assert_eq!(controller.window(), fresh);
}

#[test]
fn a_drain_that_late_packets_have_begun_costs_nothing() {
    let mut controller = Controller::new(Ebb, PACKET);
    (1..100).for_each(|n| controller.on_ack(&ack(n, n, controller.window())));
    let queued = |n| Ack { rtt: Some(Duration::from_millis(58)), ..ack(n, n, 0) };
    (100..110).for_each(|n| controller.on_ack(&queued(n)));
    let window = controller.window();
    controller.on_lost(queued(110).now, 105, 150);
    assert!(controller.window() < window);
    controller.on_spurious(105);
    (110..300).for_each(|n| controller.on_ack(&queued(n)));
    let counters = controller.counters();
    assert_eq!((counters.reductions, counters.verdicts_in_company, counters.spurious), (1, 1, 1));
    assert!(controller.window() >= window);
}
