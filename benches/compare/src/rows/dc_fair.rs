//! `dc-fair`: how associations share 20 Mbit/s and 50 ms from 5 to 60 seconds, in virtual time: beside own CUBIC, among
//! their own kind, and when one joins. Seeds are eight, each with both orders of starting.

use switchboard::link::sctp::Congestion::{Cubic, Ebb};
use switchboard_compare::course::{Course, Flow, Link, jain};

use crate::plan::{Comparison, Plan};

pub fn run(plan: &Plan) {
    for (products, middle, width) in
        [(0.5, 50.0, 12.0), (1.0, 50.0, 12.0), (2.0, 50.0, 12.0), (4.0, 50.0, 12.0), (8.0, 45.0, 10.0)]
    {
        let name = format!("dc-fair/beside-cubic-{products}bdp");
        if plan.wants_some(&name) {
            beside_cubic(plan, &name, products, middle, width);
        }
    }
    for flows in [2, 4] {
        for products in [0.5, 1.0, 4.0] {
            let name = format!("dc-fair/{flows}-flows-{products}bdp");
            if plan.wants_some(&name) {
                own_kind(plan, &name, flows, products);
            }
        }
    }
    for products in [0.5, 1.0, 4.0] {
        let name = format!("dc-fair/joiner-{products}bdp");
        if plan.wants_some(&name) {
            joiner(plan, &name, products);
        }
    }
}

const fn seeds(plan: &Plan) -> std::ops::Range<u64> {
    0..if plan.quick { 1 } else { 8 }
}

/// A link whose queue has so many bandwidth-delay products.
fn link(products: f64) -> Link {
    let link = Link::new(20.0, 50, 0.0);
    Link { queue: products * link.product(), ..link }
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

fn greatest(figures: impl Iterator<Item = f64>) -> f64 {
    figures.fold(0.0, f64::max)
}

fn rates(products: f64, flows: &[Flow], seed: u64) -> Vec<f64> {
    let mut course = Course::new(link(products), flows, seed);
    course.run(5);
    course.run(55)
}

/// How far the mean share is from the middle of what is fair, and how far the share of the worst run is from a half.
fn beside_cubic(plan: &Plan, name: &str, products: f64, middle: f64, width: f64) {
    let share = |seed, late| {
        let flows = [Flow::bulk(Ebb).from_second(late), Flow::bulk(Cubic).from_second(1 - late)];
        let rates = rates(products, &flows, seed);
        100.0 * rates[0] / (rates[0] + rates[1])
    };
    let shares: Vec<f64> = seeds(plan).flat_map(|seed| [share(seed, 0), share(seed, 1)]).collect();
    eprintln!("{name}: mean share {:.1} %, first and late in turn: {shares:.0?}", mean(&shares));
    let off = (mean(&shares) - middle).abs();
    plan.report(&Comparison::with_goal(format!("{name}-mean-off-{middle}%"), off, width, "points"));
    if products < 8.0 {
        let worst = greatest(shares.iter().map(|share| (share - 50.0).abs()));
        plan.report(&Comparison::with_goal(format!("{name}-worst-off-50%"), worst, 20.0, "points"));
    }
}

/// How far Jain's index is from 1, on the mean and in the worst run.
fn own_kind(plan: &Plan, name: &str, flows: usize, products: f64) {
    let index = |seed| jain(&rates(products, &vec![Flow::bulk(Ebb); flows], seed));
    let off: Vec<f64> = seeds(plan).map(|seed| 1.0 - index(seed)).collect();
    plan.report(&Comparison::with_goal(format!("{name}-jain-mean-off-1"), mean(&off), 0.02, ""));
    plan.report(&Comparison::with_goal(format!("{name}-jain-worst-off-1"), greatest(off.into_iter()), 0.1, ""));
}

/// Seconds from joining until Jain's index over three seconds is 0.95, on the mean over seeds and at worst.
fn joiner(plan: &Plan, name: &str, products: f64) {
    let waits: Vec<f64> = seeds(plan).map(|seed| joins_after(products, seed)).collect();
    eprintln!("{name}: {waits:?} seconds");
    plan.report(&Comparison::with_goal(format!("{name}-mean"), mean(&waits), 10.0, "s"));
}

fn joins_after(products: f64, seed: u64) -> f64 {
    let mut course = Course::new(link(products), &[Flow::bulk(Ebb), Flow::bulk(Ebb).from_second(20)], seed);
    course.run(20);
    let mut seconds: Vec<Vec<f64>> = Vec::new();
    loop {
        seconds.push(course.run(1));
        let last = &seconds[seconds.len().saturating_sub(3)..];
        let shares = [0, 1].map(|flow| last.iter().map(|rates| rates[flow]).sum::<f64>());
        if jain(&shares) >= 0.95 || seconds.len() == 30 {
            return seconds.len() as f64;
        }
    }
}
