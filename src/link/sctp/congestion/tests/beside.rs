//! Shares of a bottleneck of 20 Mbit/s and 50 ms beside flows that fill its queue.

use super::super::Congestion::{self, Cubic, Ebb, Reno};
use super::super::harness::{Course, Flow, Link};
use super::{expect, rates, seeds, spread};

/// Shares in percent beside one opponent, from 5 to 60 s: when it starts first, and a second later.
fn shares(tested: Congestion, opponent: Congestion, products: f64, few: u64) -> [Vec<f64>; 2] {
    let share = |late: u64, seed| {
        let flows = [Flow::bulk(tested).from_second(late), Flow::bulk(opponent).from_second(1 - late)];
        let rates = rates(Link::new(20.0, 50.0, products), &flows, seed);
        100.0 * rates[0] / (rates[0] + rates[1])
    };
    [0, 1].map(|late| seeds(few).map(|seed| share(late, seed)).collect())
}

#[test]
fn a_flow_beside_cubic_has_its_half() {
    for products in [0.5, 1.0, 2.0, 4.0] {
        let shares = shares(Ebb, Cubic, products, 8);
        for (order, shares) in ["first", "late"].iter().zip(&shares) {
            expect(&format!("beside CUBIC, {products} BDP, {order}"), shares, 30.0..=70.0, 36.0..=65.0);
        }
        expect(&format!("beside CUBIC, {products} BDP"), &shares.concat(), 30.0..=70.0, 38.0..=62.0);
    }
}

#[test]
fn a_flow_beside_cubic_has_nearly_its_half_of_a_very_deep_queue() {
    expect("beside CUBIC, 8 BDP", &shares(Ebb, Cubic, 8.0, 8).concat(), 30.0..=70.0, 35.0..=55.0);
}

#[test]
fn a_flow_beside_reno_takes_no_more_than_cubic_would() {
    for products in [0.5, 1.0, 2.0] {
        expect(
            &format!("beside Reno, {products} BDP"),
            &shares(Ebb, Reno, products, 1).concat(),
            30.0..=75.0,
            38.0..=67.0,
        );
    }
    for products in [4.0, 8.0] {
        let (_, ours, _) = spread(&shares(Ebb, Reno, products, 1).concat());
        let (_, cubics, _) = spread(&shares(Cubic, Reno, products, 1).concat());
        println!("beside Reno, {products} BDP: {ours:.1} where CUBIC takes {cubics:.1}");
        assert!(ours <= cubics + 3.0);
    }
}

#[test]
fn the_harness_shows_what_is_known_of_cubic() {
    let both: Vec<f64> = [1.0, 4.0].iter().flat_map(|products| shares(Cubic, Cubic, *products, 1).concat()).collect();
    expect("CUBIC beside CUBIC", &both, 25.0..=75.0, 45.0..=55.0);
    let alone = rates(Link::new(100.0, 50.0, 1.0).lossy(1.0), &[Flow::bulk(Cubic)], 1);
    expect("CUBIC alone at 1 % of loss", &alone, 2.0..=3.5, 2.0..=3.5);
}

/// The share in percent of one CUBIC among four flows if `is_cubic`, else of one other among three of CUBIC.
fn share_of_four(is_cubic: bool, products: f64, seed: u64) -> f64 {
    let (one, three) = if is_cubic { (Cubic, Ebb) } else { (Ebb, Cubic) };
    let flows = [one, three, three, three].map(Flow::bulk);
    let rates = rates(Link::new(20.0, 50.0, products), &flows, seed);
    100.0 * rates[0] / rates.iter().sum::<f64>()
}

#[test]
fn one_beside_three_has_about_its_quarter() {
    for (is_cubic, what) in [(false, "one beside three CUBIC"), (true, "one CUBIC beside three")] {
        for products in [1.0, 4.0] {
            let shares: Vec<f64> = seeds(1).map(|seed| share_of_four(is_cubic, products, seed)).collect();
            expect(&format!("{what}, {products} BDP"), &shares, 15.0..=42.0, 17.0..=40.0);
        }
    }
}

#[test]
fn a_long_transfer_beside_cubic_in_a_very_deep_queue_comes_to_its_half() {
    let share = |seed| {
        let flows = [Flow::bulk(Ebb).from_second(1), Flow::bulk(Cubic)];
        let mut course = Course::new(Link::new(20.0, 50.0, 8.0), &flows, seed);
        course.run(50.0);
        let rates = course.run(150.0);
        100.0 * rates[0] / (rates[0] + rates[1])
    };
    expect("200 s beside CUBIC, 8 BDP", &seeds(1).map(share).collect::<Vec<_>>(), 38.0..=65.0, 40.0..=62.0);
}
