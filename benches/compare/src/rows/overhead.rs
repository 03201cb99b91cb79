//! `overhead`: what is handed to the link for a reliable message of 64 bytes, beyond these, when each has a packet of
//! its own: record, packet, sealing and route, but not what the link puts around it.

use std::time::Duration;

use switchboard_compare::lab::Lab;

use crate::plan::{Comparison, Plan};

const SIZE: usize = 64;
const MESSAGES: u64 = 1000;
/// Between two messages: long enough that acknowledgements go by themselves.
const PAUSE: Duration = Duration::from_millis(50);

pub fn run(plan: &Plan) {
    for (way, goal) in [("direct", 20.0), ("relayed-sealed", 52.0)] {
        let name = format!("overhead/{way}");
        if plan.wants(&name) {
            plan.report(&Comparison::with_goal(name, measure(way), goal, "bytes"));
        }
    }
}

/// The mean over messages; the path is pinged once a second, which is in it.
fn measure(way: &str) -> f64 {
    let direct = way == "direct";
    let mut lab = Lab::new(3, 2);
    let next = if direct { 1 } else { 2 };
    lab.join(0, next);
    if !direct {
        lab.join(1, 2);
    }
    let session = lab.open(0, 1);
    lab.look(1);
    lab.look(0);
    lab.pass(Duration::from_secs(5));
    let (there, back) = (lab.handed(0, next), lab.handed(next, 0));
    for _ in 0..MESSAGES {
        lab.send(0, session, &[7; SIZE]);
        assert_eq!(lab.look(1).messages, 1, "a message has not arrived");
        lab.pass(PAUSE);
    }
    let (sent, bytes) = lab.handed(0, next);
    let (answers, answered) = lab.handed(next, 0);
    eprintln!(
        "overhead/{way}: {} packets there; {} packets with {} bytes back, for {MESSAGES} messages",
        sent - there.0,
        answers - back.0,
        answered - back.1
    );
    (bytes - there.1) as f64 / MESSAGES as f64 - SIZE as f64
}
