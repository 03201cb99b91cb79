//! Direct paths: endpoints that meet through a relay and find a way of their own.

#![allow(clippy::disallowed_methods, reason = "any epoch will do, and the number of runs comes from the environment")]

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod contrary;
mod cut_points;
mod evil;
mod hostile;
#[allow(dead_code, reason = "the tests of hubs use all of it")]
#[path = "../hub/ledger.rs"]
mod ledger;
mod matrix;
mod party;
mod profiles;
mod reasons;
mod scene;
mod stage;
mod stalls;
mod stories;

use std::time::Duration;

use party::Party;
use switchboard::hub::Event;

#[test]
fn two_endpoints_on_the_internet_become_direct() {
    let mut party = Party::new(7, &[None, None]);
    let (ada, bob) = party.open();
    let direct = party.until(Duration::from_secs(10), |party| party.is_direct(0) && party.is_direct(1));
    println!("direct after {direct:?}; {:?}", party.events);
    let direct = direct.expect("no direct path");
    assert!(direct < Duration::from_secs(2), "{direct:?}");
    for n in 0..1000_u32 {
        party.say(0, ada, &n.to_be_bytes());
        party.say(1, bob, &n.to_be_bytes());
    }
    party.until(Duration::from_secs(10), |party| party.heard.iter().all(|heard| heard.len() == 1000)).unwrap();
    assert!(!party.events.iter().any(|(_, event)| matches!(event, Event::Closed { .. })));
}
