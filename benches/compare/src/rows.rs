//! The rows of the comparison.

mod dial;
mod forward;
mod idle;
mod pump;

use crate::plan::Plan;

/// Runs what is wanted.
pub fn run(plan: &Plan) {
    pump::run(plan);
    forward::run(plan);
    dial::run(plan);
    idle::run(plan);
}
