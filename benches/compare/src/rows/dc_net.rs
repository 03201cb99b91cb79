//! `dc-net-16KiB`: CPU time per KiB of messages between two direct peers over loopback sockets, both ends and the
//! system's part together: ours by the mio driver, with GSO and GRO, and libdatachannel through node, which `run` installs
//! in `datachannel`; without npm there is only our figure.

use std::path::Path;

use crate::child::Actor;
use crate::plan::{Better, Comparison, Plan, median, median_pair};

const NAME: &str = "dc-net-16KiB/vs-libdatachannel";
const SIZE: usize = 16 * 1024;
/// A tenth of its CPU time.
const GOAL: f64 = 0.1;
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/datachannel");

pub fn run(plan: &Plan) {
    if !plan.wants(NAME) {
        return;
    }
    let (many, few) = if plan.quick { (2_000, 500) } else { (30_000, 3_000) };
    let size = SIZE.to_string();
    let (mut ours, _) = Actor::start("dc-net", &[&size]);
    let is_installed = Path::new(FOLDER).join("node_modules").is_dir();
    let mut theirs = is_installed.then(|| Actor::start("dc-net-node", &[&format!("{FOLDER}/peers.mjs"), &size]).0);
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..=plan.slices {
        our_times.push(per_kib(&mut ours, many));
        their_times.extend(theirs.as_mut().map(|theirs| per_kib(theirs, few)));
    }
    if theirs.is_none() {
        eprintln!("{NAME}: {:.2} ns/KiB; npm ci in {FOLDER} installs the rival", median(&our_times[1..]));
        return;
    }
    let (ours, baseline) = median_pair(&our_times[1..], &their_times[1..]);
    let (name, goal) = (NAME.to_owned(), Some(GOAL));
    plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "ns/KiB", goal });
}

/// CPU time of a process for a KiB.
fn per_kib(actor: &mut Actor, messages: usize) -> f64 {
    let before = actor.cpu();
    assert_eq!(actor.ask(&messages.to_string()), "done");
    (actor.cpu() - before).as_secs_f64() * 1e9 / (messages * SIZE / 1024) as f64
}
