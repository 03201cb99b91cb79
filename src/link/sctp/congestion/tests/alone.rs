//! One flow alone: how full it keeps a path, and how short the queue.

use std::time::Duration;

use super::super::Congestion::{Cubic, Ebb, Reno};
use super::super::harness::{Course, Flow, Link};
use super::{expect, seeds};

/// Mbit/s of 20 seconds from the start, and the mean queue in bandwidth-delay products.
fn run(link: Link, seed: u64) -> (f64, f64) {
    let mut course = Course::new(link, &[Flow::bulk(Ebb)], seed);
    let rate = course.run(20.0)[0];
    (rate, course.mean_queue() / (link.rate * 2.0 * link.delay.as_secs_f64()))
}

fn expect_full(link: Link, what: &str, least: f64, queue: f64) {
    let (rates, queues): (Vec<f64>, Vec<f64>) = seeds(2).map(|seed| run(link, seed)).unzip();
    expect(&format!("{what}: Mbit/s"), &rates, least..=f64::INFINITY, least..=f64::INFINITY);
    expect(&format!("{what}: queue in BDP"), &queues, 0.0..=queue, 0.0..=queue);
}

#[test]
fn a_lossy_path_is_full() {
    let path = Link::new(100.0, 50.0, 1.0);
    for (loss, least) in [(0.0, 88.0), (0.1, 88.0), (1.0, 85.0), (5.0, 75.0), (10.0, 70.0)] {
        expect_full(path.lossy(loss), &format!("100 Mbit/s, 50 ms, {loss} %"), least, 0.3);
    }
}

#[test]
fn slow_fast_long_and_short_paths_are_full() {
    expect_full(Link::new(20.0, 50.0, 1.0), "20 Mbit/s, 50 ms", 17.0, 0.3);
    expect_full(Link::new(20.0, 50.0, 0.24).lossy(1.0), "20 Mbit/s, 50 ms, short queue, 1 %", 16.5, 0.3);
    expect_full(Link::new(10.0, 200.0, 1.0), "10 Mbit/s, 200 ms", 8.0, 0.4);
    expect_full(Link::new(200.0, 10.0, 1.0), "200 Mbit/s, 10 ms", 170.0, 0.6);
    expect_full(Link::new(5.0, 80.0, 1.5), "5 Mbit/s, 80 ms", 4.2, 0.4);
}

#[test]
fn a_fast_path_is_full() {
    let (rate, _) = run(Link::new(1_000.0, 50.0, 1.0), 1);
    expect("1 Gbit/s, 50 ms: Mbit/s", &[rate], 800.0..=950.0, 800.0..=950.0);
}

#[test]
fn a_queue_of_a_dozen_packets_suffices() {
    let link = Link { queue: 15_000.0, ..Link::new(20.0, 50.0, 1.0) };
    let rates: Vec<f64> = seeds(2).map(|seed| run(link, seed).0).collect();
    expect("20 Mbit/s, queue of 15 kB: Mbit/s", &rates, 16.0..=18.6, 16.0..=18.6);
}

#[test]
fn a_queue_of_four_packets_suffices_to_bursts_of_two() {
    let link = Link { queue: 5_000.0, ..Link::new(20.0, 50.0, 1.0) };
    let rates: Vec<f64> = seeds(2).map(|seed| run(link, seed).0).collect();
    expect("20 Mbit/s, queue of 5 kB: Mbit/s", &rates, 14.0..=18.6, 15.0..=18.6);
}

#[test]
fn acknowledgements_in_bursts_leave_most_of_the_path() {
    for (millis, least) in [(10, 75.0), (20, 75.0), (30, 75.0)] {
        let link = Link { bursts: Duration::from_millis(millis), ..Link::new(100.0, 50.0, 1.0) };
        let rates: Vec<f64> = seeds(2).map(|seed| run(link, seed).0).collect();
        expect(&format!("bursts of {millis} ms: Mbit/s"), &rates, least..=92.5, least..=92.5);
    }
}

#[test]
fn the_others_fill_a_path_that_loses_nothing() {
    for choice in [Cubic, Reno] {
        let mut course = Course::new(Link::new(20.0, 50.0, 1.0), &[Flow::bulk(choice)], 1);
        course.run(5.0);
        let rate = course.run(20.0)[0];
        expect(&format!("{choice:?} alone: Mbit/s"), &[rate], 17.0..=18.6, 17.0..=18.6);
        assert_eq!(course.counters(0).rate, None);
    }
}
