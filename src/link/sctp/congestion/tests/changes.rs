//! Paths and applications that change on the way.

use std::time::Duration;

use super::super::Congestion::{Cubic, Ebb};
use super::super::harness::{Course, Flow, Link, Load};
use super::super::{Ack, Controller};
use super::expect;
use crate::machine::time::Instant;

const PATH: (f64, f64, f64) = (20.0, 50.0, 1.0);

fn path() -> Link {
    Link::new(PATH.0, PATH.1, PATH.2)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_path_that_becomes_slower_and_faster_is_full_all_the_time() {
    let mut course = Course::new(path(), &[Flow::bulk(Ebb)], 1);
    course.run(10.0);
    course.change(|link| link.rate /= 5.0);
    course.run(5.0);
    expect("4 Mbit/s: Mbit/s", &course.run(10.0), 3.3..=3.7, 3.3..=3.7);
    course.change(|link| link.rate *= 5.0);
    expect("20 Mbit/s again, five seconds: Mbit/s", &course.run(5.0), 9.0..=18.6, 9.0..=18.6);
    expect("20 Mbit/s, later: Mbit/s", &course.run(10.0), 17.0..=18.6, 17.0..=18.6);
}

#[test]
fn after_an_outage_the_path_is_full_again() {
    let mut course = Course::new(path(), &[Flow::bulk(Ebb)], 1);
    course.run(10.0);
    course.change(|link| link.loss = 1.0);
    course.run(2.0);
    course.change(|link| link.loss = 0.0);
    course.run(3.0);
    expect("after two seconds of outage: Mbit/s", &course.run(10.0), 16.5..=18.6, 16.5..=18.6);
}

#[test]
fn bulk_in_turns_is_fast_in_each_and_loses_little() {
    let mut course = Course::new(path(), &[Flow::bulk(Ebb).with(Load::Turns(secs(3), secs(4)))], 1);
    course.run(7.2);
    let turns: Vec<f64> = (0..3).map(|_| course.run(7.0)[0] * 7.0 / 3.0).collect();
    expect("three seconds on, four off: Mbit/s", &turns, 15.5..=18.6, 16.5..=18.6);
    assert!(course.lost(0) < 60, "{} lost", course.lost(0));
    assert!(course.counters(0).idle_restarts >= 3);
}

#[test]
fn a_flow_with_little_to_send_gets_it_through() {
    let little = Flow::bulk(Ebb).with(Load::Rate(375_000.0));
    let alone = rates_after_start(path().lossy(1.0), &[little]);
    expect("3 Mbit/s at 1 %: Mbit/s", &alone, 2.9..=3.05, 2.9..=3.05);
    let beside = rates_after_start(path(), &[little, Flow::bulk(Ebb)]);
    expect("3 Mbit/s beside bulk: Mbit/s", &beside[..1], 2.9..=3.05, 2.9..=3.05);
    expect("bulk beside 3 Mbit/s: Mbit/s", &beside[1..], 14.0..=15.6, 14.0..=15.6);
}

fn rates_after_start(link: Link, flows: &[Flow]) -> Vec<f64> {
    let mut course = Course::new(link, flows, 1);
    course.run(5.0);
    course.run(20.0)
}

#[test]
fn a_round_trip_that_doubles_for_good_costs_seconds() {
    let mut course = Course::new(path(), &[Flow::bulk(Ebb)], 1);
    course.run(10.0);
    course.change(|link| link.delay *= 2);
    course.run(8.0);
    expect("eight seconds after the change: Mbit/s", &course.run(10.0), 16.5..=18.6, 16.5..=18.6);
}

#[test]
fn when_cubic_leaves_the_queue_becomes_short_again() {
    let cubic = Flow { stop: secs(20), ..Flow::bulk(Cubic) };
    let mut course = Course::new(Link::new(20.0, 50.0, 4.0), &[Flow::bulk(Ebb), cubic], 1);
    course.run(20.0);
    course.run(3.0);
    let rate = course.run(10.0)[0];
    expect("when CUBIC has left: Mbit/s", &[rate], 17.0..=18.6, 17.0..=18.6);
    course.mean_queue();
    course.run(30.0);
    let queue = course.mean_queue();
    println!("queue when CUBIC has left: {queue:.0} bytes");
    assert!(queue < 100_000.0);
}

#[test]
fn who_says_little_at_first_is_not_slowed_when_there_is_more() {
    let mut controller = Controller::new(Ebb, 1_200);
    let rtt = Duration::from_millis(80);
    for n in 1..20 {
        controller.on_ack(&Ack {
            now: Instant::ZERO + u32::try_from(n).unwrap() * rtt,
            acked: 60,
            rtt: Some(rtt),
            rate: Some(750.0),
            is_app_limited: n % 2 == 0,
            prior: 60 * (n - 1),
            delivered: 60 * n,
            top: n,
            next: n + 1,
            flight: 0,
        });
        let (rate, window) = (controller.rate().unwrap(), controller.window());
        assert!(
            rate * rtt.as_secs_f64() >= 0.99 * window.min(14 * 1_200) as f64,
            "{rate} bytes per second, {window} bytes of window"
        );
    }
}

#[test]
fn a_longer_round_trip_is_not_starved_by_a_shorter_one() {
    let long = Flow { extra_delay: Duration::from_millis(50), ..Flow::bulk(Ebb) };
    let rates = rates_after_start(path(), &[Flow::bulk(Ebb), long]);
    expect("50 ms and 150 ms: Mbit/s", &rates, 4.0..=14.0, 8.5..=9.5);
}
