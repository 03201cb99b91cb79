//! `dc-idle`: what a connected data engine holds that has carried a message and says nothing: bytes of the heap, with
//! what the allocator adds.

use super::session::allocations;
use crate::plan::{Comparison, Plan};

const PAIRS: usize = 100;
const GOAL: f64 = 16.0 * 1024.0;

pub fn run(plan: &Plan) {
    let name = "dc-idle/heap-per-peer".to_owned();
    if plan.wants(&name) {
        let pairs = if plan.quick { 5 } else { PAIRS };
        let bytes = allocations(&["dc-idle", &pairs.to_string()])[0];
        plan.report(&Comparison::with_goal(name, bytes, GOAL, "bytes"));
    }
}
