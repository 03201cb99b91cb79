//! The runs that are compared, and a line for each.

use switchboard::connect::rehearsal::{self, Rehearsal};
use switchboard::sim::scenario::Shape;
use switchboard::sim::{Profile, Scenario};

fn seeds() -> u64 {
    let is_campaign = std::env::var("SWITCHBOARD_CAMPAIGN").is_ok_and(|mode| mode == "full");
    if is_campaign { 200 } else { 20 }
}

fn scenarios() -> Vec<(String, Scenario)> {
    let mut scenarios = Vec::new();
    for seed in 0..seeds() {
        scenarios.push((format!("any faults, seed {seed}"), Shape::default().from_seed(seed)));
        for profile in Profile::ALL {
            scenarios.push((format!("{profile}, seed {seed}"), rehearsal::on_profile(profile, seed)));
        }
    }
    scenarios
}

/// Whether a run went well is not the question here.
pub(crate) fn lines() -> Vec<String> {
    let line = |(name, scenario): (String, Scenario)| {
        let mut rehearsal = Rehearsal::new(&scenario);
        _ = rehearsal.run(&mut |_| {});
        format!("hash of {name}: {:016x}", rehearsal.so_far().transcript_hash)
    };
    scenarios().into_iter().map(line).collect()
}
