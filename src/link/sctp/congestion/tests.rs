//! What the controllers promise, over many seeds. The figures are those of the module documentation; a run prints what it
//! measures.
//!
//! `SWITCHBOARD_CAMPAIGN=full` takes four times as many seeds.

mod alone;
mod beside;
mod changes;
mod hostile;
mod kind;

use super::harness::{Course, Flow, Link};
use crate::machine::campaign;

/// Seeds of a test that takes so many in every run.
fn seeds(few: u64) -> std::ops::Range<u64> {
    0..if campaign::is_full() { 4 * few } else { few }
}

/// Mbit/s of each flow from 5 to 60 seconds.
fn rates(link: Link, flows: &[Flow], seed: u64) -> Vec<f64> {
    let mut course = Course::new(link, flows, seed);
    course.run(5.0);
    course.run(55.0)
}

/// Least, mean and greatest.
fn spread(figures: &[f64]) -> (f64, f64, f64) {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least, figures.iter().sum::<f64>() / figures.len() as f64, most)
}

/// Prints figures and asserts the bounds of each and of the mean.
fn expect(what: &str, figures: &[f64], each: std::ops::RangeInclusive<f64>, mean: std::ops::RangeInclusive<f64>) {
    let (least, middle, most) = spread(figures);
    println!("{what}: {middle:.3} [{least:.3} to {most:.3}]");
    assert!(each.contains(&least) && each.contains(&most), "{what}: {figures:.3?} is not in {each:?}");
    assert!(mean.contains(&middle), "{what}: the mean of {figures:.3?} is not in {mean:?}");
}
