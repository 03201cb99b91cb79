//! `dc-goodput`: Mbit/s of messages that one association brings over a path in virtual time, from its start, and the mean
//! queue that it makes.

use switchboard::link::sctp::Congestion;
use switchboard_compare::course::{Course, Flow, Link};

use crate::plan::{Comparison, Plan, median};

/// Megabits per second, milliseconds, bytes of queue, percent of loss, and the least goodput in Mbit/s.
const PATHS: [(f64, u64, f64, f64, f64); 6] = [
    (100.0, 50, 625e3, 0.0, 88.0),
    (100.0, 50, 625e3, 0.1, 88.0),
    (100.0, 50, 625e3, 1.0, 85.0),
    (100.0, 50, 625e3, 5.0, 75.0),
    (20.0, 50, 125e3, 0.0, 17.0),
    (1000.0, 50, 6.25e6, 0.0, 800.0),
];
/// The longest mean queue, in bandwidth-delay products.
const QUEUE: f64 = 0.3;

pub fn run(plan: &Plan) {
    for (megabits, round_trip, queue, loss, least) in PATHS {
        let path = format!("dc-goodput/{megabits}Mbps-{round_trip}ms-{loss}%");
        if plan.wants_some(&path) {
            let link = Link::new(megabits, round_trip, queue).lossy(loss);
            let seeds = if plan.quick || megabits > 500.0 { 1 } else { 3 };
            let (rates, queues): (Vec<f64>, Vec<f64>) = (0..seeds).map(|seed| transfer(link, seed)).unzip();
            plan.report(&Comparison::with_least(path.clone(), median(&rates), least, "Mbit/s"));
            plan.report(&Comparison::with_goal(format!("{path}-queue"), median(&queues), QUEUE, "BDP"));
        }
    }
}

fn transfer(link: Link, seed: u64) -> (f64, f64) {
    let bound = (8.0 * link.product()) as usize;
    let flow = Flow { bound, ..Flow::bulk(Congestion::Ebb) };
    let mut course = Course::new(link, &[flow], seed);
    let rate = course.run(20)[0];
    let counters = course.statistics(0).outbound.congestion;
    eprintln!("dc-goodput: {rate:.1} Mbit/s, {counters:?}");
    (rate, course.mean_queue() / link.product())
}
