//! The same of rehearsals with direct paths, whose engines draw from the seeds of their worlds.

use switchboard::connect::Endpoint;
use switchboard::connect::rehearsal::{self, Rehearsal};
use switchboard::machine::time::Epoch;
use switchboard::sim::scenario::Shape;
use switchboard::sim::{Profile, Scenario, World};
use switchboard::transport::webrtc::WebrtcConfig;

fn scenarios() -> Vec<(String, Scenario)> {
    let is_campaign = std::env::var("SWITCHBOARD_CAMPAIGN").is_ok_and(|mode| mode == "full");
    let mut scenarios = Vec::new();
    for seed in 0..if is_campaign { 60 } else { 6 } {
        scenarios.push((format!("any faults, seed {seed}"), Shape::default().from_seed(seed)));
        for profile in [Profile::GoodWifi, Profile::Weak4g, Profile::VeryBadCellular] {
            scenarios.push((format!("{profile}, seed {seed}"), rehearsal::on_profile(profile, seed)));
        }
    }
    scenarios
}

/// Whether a run went well is not the question here; how often a path was direct is told, too.
pub(crate) fn lines() -> Vec<String> {
    let line = |(name, scenario): (String, Scenario)| {
        let epoch = Epoch::new(std::time::Instant::now(), std::time::Duration::from_secs(1_700_000_000));
        let config = WebrtcConfig::new(World::<Endpoint>::new(scenario.seed).crypto(epoch));
        let mut rehearsal = Rehearsal::direct(&scenario, &config);
        _ = rehearsal.run(&mut |_| {});
        let outcome = rehearsal.so_far();
        format!("hash of {name}: {:016x}, {} times direct", outcome.transcript_hash, outcome.went_direct)
    };
    scenarios().into_iter().map(line).collect()
}
