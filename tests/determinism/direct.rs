//! The same of rehearsals with direct paths, whose engines draw from the seeds of their worlds.

use std::time::Duration;

use switchboard::connect::Endpoint;
use switchboard::connect::rehearsal::{self, Rehearsal};
use switchboard::machine::time::Epoch;
use switchboard::sim::scenario::Shape;
use switchboard::sim::{Profile, Scenario, World};
use switchboard::stack::peer::EngineKind;
use switchboard::transport::webrtc::WebrtcConfig;

/// Whether a run went well is not the question here.
fn staged(scenario: &Scenario, engine: EngineKind) -> Rehearsal {
    let epoch = Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000));
    let crypto = World::<Endpoint>::new(scenario.seed).crypto(epoch);
    Rehearsal::direct(scenario, &WebrtcConfig { engine, ..WebrtcConfig::new(crypto) })
}

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

/// Of each engine a few, the data engine's byte by byte; how often a path was direct is told, too.
pub(crate) fn lines() -> Vec<String> {
    let line = |(name, scenario): (String, Scenario)| {
        let engine = if scenario.seed % 6 == 5 { EngineKind::Str0m } else { EngineKind::Data };
        let mut rehearsal = staged(&scenario, engine);
        _ = rehearsal.run(&mut |_| {});
        let outcome = rehearsal.so_far();
        format!("hash of {name}, {engine:?}: {:016x}, {} times direct", outcome.transcript_hash, outcome.went_direct)
    };
    scenarios().into_iter().map(line).collect()
}

/// Two worlds that take turns on one thread are the same runs as each by itself.
#[test]
fn worlds_on_one_thread_do_not_disturb_each_other() {
    let scenarios = [1, 2].map(|seed| rehearsal::on_profile(Profile::Weak4g, seed));
    for engine in [EngineKind::Data, EngineKind::Str0m] {
        let hash = |rehearsal: &Rehearsal| rehearsal.so_far().transcript_hash;
        let alone = scenarios.each_ref().map(|scenario| {
            let mut rehearsal = staged(scenario, engine);
            run_to(&mut rehearsal, Duration::from_secs(20));
            hash(&rehearsal)
        });
        let mut both = scenarios.each_ref().map(|scenario| staged(scenario, engine));
        for step in 1..=1_000 {
            both.iter_mut().for_each(|rehearsal| run_to(rehearsal, step * Duration::from_millis(20)));
        }
        assert_eq!(both.each_ref().map(hash), alone, "{engine:?}");
        assert!(both.iter().all(|rehearsal| rehearsal.so_far().went_direct > 0), "{engine:?}");
    }
}

fn run_to(rehearsal: &mut Rehearsal, at: Duration) {
    rehearsal.run_to(at, &mut |_| {}).unwrap();
}
