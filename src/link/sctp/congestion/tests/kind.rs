//! Flows of the same kind beside each other.

use super::super::Congestion::Ebb;
use super::super::harness::{Course, Flow, Link, jain};
use super::{expect, rates, seeds};

#[test]
fn two_and_four_flows_share_equally() {
    for (flows, few) in [(2, 3), (4, 3)] {
        for products in [0.5, 1.0, 4.0] {
            let index = |seed| jain(&rates(Link::new(20.0, 50.0, products), &vec![Flow::bulk(Ebb); flows], seed));
            let indices: Vec<f64> = seeds(few).map(index).collect();
            expect(&format!("{flows} flows, {products} BDP: Jain"), &indices, 0.9..=1.0, 0.98..=1.0);
        }
    }
}

#[test]
fn two_flows_keep_a_deep_queue_short() {
    let link = Link::new(20.0, 50.0, 4.0);
    let queue = |seed| {
        let mut course = Course::new(link, &[Flow::bulk(Ebb); 2], seed);
        course.run(60.0);
        course.mean_queue() / link.queue
    };
    expect("queue of two flows in 4 BDP", &seeds(2).map(queue).collect::<Vec<_>>(), 0.02..=0.2, 0.02..=0.15);
}

/// Seconds that a flow needs, joining after 20 s, until both are even over three seconds.
fn joins_after(link: Link, seed: u64) -> f64 {
    let mut course = Course::new(link, &[Flow::bulk(Ebb), Flow::bulk(Ebb).from_second(20)], seed);
    course.run(20.0);
    let mut seconds: Vec<Vec<f64>> = Vec::new();
    loop {
        seconds.push(course.run(1.0));
        let last = &seconds[seconds.len().saturating_sub(3)..];
        let shares = [0, 1].map(|flow| last.iter().map(|rates| rates[flow]).sum::<f64>());
        if jain(&shares) >= 0.95 || seconds.len() > 20 {
            return seconds.len() as f64;
        }
    }
}

#[test]
fn a_joiner_is_even_within_ten_seconds() {
    for products in [0.5, 1.0, 4.0] {
        let waits: Vec<f64> = seeds(4).map(|seed| joins_after(Link::new(20.0, 50.0, products), seed)).collect();
        expect(&format!("joiner at 20 Mbit/s, {products} BDP: seconds"), &waits, 1.0..=12.0, 1.0..=10.0);
    }
    let waits: Vec<f64> = seeds(4).map(|seed| joins_after(Link::new(100.0, 50.0, 1.0), seed)).collect();
    expect("joiner at 100 Mbit/s: seconds", &waits, 1.0..=18.0, 1.0..=10.0);
}
