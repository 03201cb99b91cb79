//! `dc-small`: how late messages of 64 bytes are, reliable and ordered, in virtual time: the 99th percentile from `write`
//! to `recv`.

use std::time::Duration;

use switchboard::link::sctp::Congestion;
use switchboard_compare::course::{Course, Flow, Link};

use crate::plan::{Comparison, Plan};

pub fn run(plan: &Plan) {
    for (loss, goal) in [(1.0, 20.0), (5.0, 40.0)] {
        let link = Link { rate: f64::INFINITY, ..Link::new(1.0, 10, f64::INFINITY) }.lossy(loss);
        report(plan, &format!("dc-small/every-10ms-{loss}%"), link, Flow::small(Duration::from_millis(10)), goal);
    }
    let bulk = Flow { is_bulk: true, congestion: Congestion::Ebb, ..Flow::small(Duration::from_millis(5)) };
    for queue in [125e3, 1e6] {
        report(plan, &format!("dc-small/beside-bulk-{queue}B"), Link::new(20.0, 50, queue), bulk, 80.0);
    }
}

fn report(plan: &Plan, name: &str, link: Link, flow: Flow, goal: f64) {
    if !plan.wants_some(name) {
        return;
    }
    let mut late = Vec::new();
    for seed in 0..if plan.quick { 1 } else { 8 } {
        let mut course = Course::new(link, &[flow], seed);
        course.run(if plan.quick { 5 } else { 60 });
        late.extend(course.lateness(0));
    }
    late.sort();
    let at = |share: f64| late[(share * (late.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
    eprintln!("{name}: {} messages, ms at 50, 99, 99.9 and 100 %: {:.1?}", late.len(), [0.5, 0.99, 0.999, 1.0].map(at));
    plan.report(&Comparison::with_goal(name.to_owned(), at(0.99), goal, "ms"));
}
