//! `relay-forward-64B`: CPU time of a relay per message of a session that it passes on, against our plain forwarder,
//! which seals nothing and knows no endpoints.

use std::time::Duration;

use crate::child::Actor;
use crate::load::Load;
use crate::plan::{Better, Comparison, Plan, median, median_pair};
use crate::sessions::Sessions;

const SIZE: usize = 64;
/// Pairs of clients, and messages under way in each.
const LOADS: [(usize, usize); 3] = [(100, 16), (100, 256), (1, 256)];
/// 0.8 of the forwarder's messages per CPU second.
const GOAL: f64 = 1.0 / 0.8;

pub fn run(plan: &Plan) {
    for driver in ["mio", "tokio"] {
        for (pairs, window) in LOADS {
            let names = ["packed", "unpacked"].map(|way| format!("relay-forward-64B/{driver}-{pairs}x{window}-{way}"));
            if names.iter().any(|name| plan.wants(name)) {
                compare(plan, driver, pairs, window, names);
            }
        }
    }
}

fn compare(plan: &Plan, driver: &str, pairs: usize, window: usize, names: [String; 2]) {
    let mut forwarder = Runner::forwarder(driver, pairs, window);
    let mut relays = [true, false].map(|packed| Runner::relay(driver, pairs, window, packed));
    for _ in 0..plan.slices {
        forwarder.slice(plan.slice);
        relays.iter_mut().for_each(|relay| relay.slice(plan.slice));
    }
    for ((relay, name), goal) in relays.iter().zip(names).zip([Some(GOAL), None]) {
        eprintln!("{name}: {:.0}/s, the forwarder {:.0}/s", median(&relay.rates), median(&forwarder.rates));
        let (ours, baseline) = median_pair(&relay.nanos, &forwarder.nanos);
        plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "ns", goal });
    }
}

/// A process that passes on, with its load.
struct Runner {
    actor: Actor,
    load: Box<dyn FnMut(Duration) -> usize>,
    nanos: Vec<f64>,
    rates: Vec<f64>,
}

impl Runner {
    fn forwarder(driver: &str, pairs: usize, window: usize) -> Self {
        let (actor, address) = Actor::start(driver, &["ws"]);
        let address = address.trim().parse().expect("a forwarder says its address");
        let mut load = Load::connect(address, pairs, window, SIZE);
        Self::new(actor, Box::new(move |time| load.run(time)))
    }

    fn relay(driver: &str, pairs: usize, window: usize, packed: bool) -> Self {
        let (actor, address) = Actor::start(&format!("relay-{driver}"), &["ws://127.0.0.1:0/"]);
        let address = address.trim().parse().expect("a relay says its address");
        let mut load = Sessions::connect(address, pairs, window, SIZE, packed);
        let mut counted = 0;
        let counting = move |time| {
            let messages = load.run(time);
            counted += messages;
            let [there, back] = load.packets().map(|packets| counted as f64 / packets as f64);
            eprintln!("relay: {there:.1} messages per packet there, {back:.1} per packet back");
            messages
        };
        Self::new(actor, Box::new(counting))
    }

    fn new(actor: Actor, mut load: Box<dyn FnMut(Duration) -> usize>) -> Self {
        load(Duration::from_millis(50));
        Self { actor, load, nanos: Vec::new(), rates: Vec::new() }
    }

    fn slice(&mut self, time: Duration) {
        let before = self.actor.cpu();
        let messages = (self.load)(time) as f64;
        self.nanos.push((self.actor.cpu() - before).as_secs_f64() * 1e9 / messages);
        self.rates.push(messages / time.as_secs_f64());
    }
}
