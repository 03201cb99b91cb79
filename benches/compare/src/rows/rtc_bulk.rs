//! `rtc-16KiB` and `rtc-64B`: CPU time of messages between two endpoints with a direct path by `str0m`, both ends
//! together, against the engine alone and against the crate `rtc`. Datagrams are handed over in memory.

use switchboard::machine::rng::Rng;
use switchboard::stack::peer::str0m::WINDOW;
use switchboard::stack::peer::{Crypto, EngineKind};
use switchboard::transport::webrtc::WebrtcConfig;
use switchboard_compare::engines::{ours, raw, rival};
use switchboard_compare::lab::Lab;

use super::hub_idle::cpu;
use crate::plan::{Better, Comparison, Plan, median, median_pair};

const LARGE: usize = 16 * 1024;
const SMALL: usize = 64;
/// 1.5 million per second.
const SMALL_GOAL: f64 = 1e9 / 1.5e6;

pub fn run(plan: &Plan) {
    if plan.wants_some("rtc-16KiB/") {
        large(plan);
    }
    if plan.wants_some("rtc-64B/") {
        small(plan);
    }
}

/// What direct peers of a comparison are made with.
pub fn config() -> WebrtcConfig {
    WebrtcConfig::new(Crypto::new(ours::epoch(), &mut Rng::from_u64(1)).expect("a certificate is made"))
}

/// The same, by `str0m`.
fn by_str0m() -> WebrtcConfig {
    let mut config = config();
    config.engine = EngineKind::Str0m;
    config
}

fn large(plan: &Plan) {
    let count = if plan.quick { 50 } else { 1500 };
    let message = vec![7; LARGE];
    let mut lab = Lab::direct(&by_str0m());
    let session = lab.open_direct();
    let (mut raw, mut default) = (raw::Pair::with_window(WINDOW), raw::Pair::with_defaults());
    let per_kib = |spent: f64| spent * 1e9 / (count * LARGE / 1024) as f64;
    let [mut ours, mut same, mut defaults] = [const { Vec::new() }; 3];
    for _ in 0..=plan.slices {
        ours.push(per_kib(spent(|| lab.burst(session, &message, count))));
        same.push(per_kib(spent(|| raw.burst(&message, count))));
        defaults.push(per_kib(spent(|| default.burst(&message, count))));
    }
    let each = |carried: u64| carried as f64 / (count * (plan.slices + 1)) as f64;
    let (lab, raw) = (each(lab.carried), each(raw.carried));
    eprintln!("rtc-16KiB: {lab:.1} datagrams a message, both ways; the engine alone {raw:.1}");
    for (variant, baseline, goal) in [("vs-str0m", same, Some(1.08)), ("vs-str0m-defaults", defaults, None)] {
        let (ours, baseline) = median_pair(&ours[1..], &baseline[1..]);
        let name = format!("rtc-16KiB/{variant}");
        plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "ns/KiB", goal });
    }
}

fn small(plan: &Plan) {
    let (count, alone) = if plan.quick { (10_000, 2_000) } else { (400_000, 60_000) };
    let mut lab = Lab::direct(&by_str0m());
    let session = lab.open_direct();
    let mut rival = rival::Pair::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..=plan.slices {
        ours.push(spent(|| lab.burst(session, &[7; SMALL], count)) * 1e9 / count as f64);
        theirs.push(spent(|| rival.burst(&[7; SMALL], alone)) * 1e9 / alone as f64);
    }
    let name = "rtc-64B/packed".to_owned();
    plan.report(&Comparison::with_goal(name, median(&ours[1..]), SMALL_GOAL, "ns"));
    let (ours, baseline) = median_pair(&ours[1..], &theirs[1..]);
    let name = "rtc-64B/vs-rtc-one-by-one".to_owned();
    plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "ns", goal: Some(0.25) });
}

/// Seconds of CPU that this process spends on something.
pub fn spent(act: impl FnOnce()) -> f64 {
    let before = cpu();
    act();
    cpu() - before
}
