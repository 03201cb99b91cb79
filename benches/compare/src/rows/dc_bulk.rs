//! `dc-16KiB` and `dc-64B`: CPU time of messages between two data engines, both together, against `str0m` and against the
//! crate `rtc`, reliable and in order; and `dc-session-16KiB`: two endpoints with a direct path against the engines alone.
//! Datagrams are handed over in memory, one by one but for sessions, which are given batches as sockets give them.
//!
//! `str0m` has its usual bound of 128 KiB under way; at its best, with less, it walks over less.
//!
//! A ratio of CPU times is that of messages per CPU second upside down: ten times as many messages are a tenth.

use switchboard::stack::peer::str0m::WINDOW;
use switchboard_compare::engines::data::{Manner, Pair};
use switchboard_compare::engines::raw::{self, Window};
use switchboard_compare::engines::rival;
use switchboard_compare::lab::Lab;

use super::rtc_bulk::{config, spent};
use crate::plan::{Better, Comparison, Plan, median_pair};

const LARGE: usize = 16 * 1024;
const SMALL: usize = 64;
/// Bytes of `str0m`'s datagrams, as ours have.
const DATAGRAM: usize = 1_200;
const SESSION_GOAL: f64 = 1.25;

pub fn run(plan: &Plan) {
    if plan.wants_some("dc-16KiB/") {
        large(plan);
    }
    if plan.wants_some("dc-64B/") {
        small(plan);
    }
    if plan.wants_some("dc-session-16KiB/") {
        session(plan);
    }
}

fn large(plan: &Plan) {
    let (many, few) = if plan.quick { (500, 50) } else { (10_000, 1_000) };
    let (message, crypto) = (vec![7; LARGE], config().crypto);
    let [mut checked, mut unchecked] = [true, false].map(|is| Pair::new(&crypto, Manner::OneByOne, is));
    let [mut raw, mut tuned] =
        [Window::Default, Window::Bytes(WINDOW)].map(|window| raw::Pair::with_datagrams(DATAGRAM, window));
    let mut rival = rival::Pair::new();
    let [mut with, mut without, mut str0m, mut best, mut rtc] = [const { Vec::new() }; 5];
    let per_kib = |spent: f64, count: usize| spent * 1e9 / (count * LARGE / 1024) as f64;
    for _ in 0..=plan.slices {
        with.push(per_kib(spent(|| checked.burst(&message, many)), many));
        without.push(per_kib(spent(|| unchecked.burst(&message, many)), many));
        str0m.push(per_kib(spent(|| raw.burst(&message, few)), few));
        best.push(per_kib(spent(|| tuned.burst(&message, few)), few));
        rtc.push(per_kib(spent(|| rival.burst(&message, few)), few));
    }
    let [ours, theirs] = [checked.longest, raw.longest];
    eprintln!("dc-16KiB: datagrams of at most {ours} bytes; those of str0m {theirs}");
    let rows = [
        ("checksum-vs-str0m", &with, &str0m, Some(1.0 / 10.0)),
        ("no-checksum-vs-str0m", &without, &str0m, Some(1.0 / 12.0)),
        ("checksum-vs-str0m-at-its-best", &with, &best, None),
        ("checksum-vs-rtc", &with, &rtc, Some(1.0 / 4.0)),
    ];
    for (variant, ours, theirs, goal) in rows {
        report(plan, format!("dc-16KiB/{variant}"), (ours, theirs), "ns/KiB", goal);
    }
}

fn small(plan: &Plan) {
    let (many, few, fewest) = if plan.quick { (50_000, 2_000, 300) } else { (1_000_000, 60_000, 3_000) };
    let mut ours = Pair::new(&config().crypto, Manner::OneByOne, false);
    let (mut raw, mut rival) = (raw::Pair::with_defaults(), rival::Pair::new());
    let [mut data, mut str0m, mut rtc] = [const { Vec::new() }; 3];
    let each = |spent: f64, count: usize| spent * 1e9 / count as f64;
    for _ in 0..=plan.slices {
        data.push(each(spent(|| ours.burst(&[7; SMALL], many)), many));
        str0m.push(each(spent(|| raw.burst(&[7; SMALL], fewest)), fewest));
        rtc.push(each(spent(|| rival.burst(&[7; SMALL], few)), few));
    }
    report(plan, "dc-64B/unpacked-vs-str0m".to_owned(), (&data, &str0m), "ns", Some(1.0 / 800.0));
    report(plan, "dc-64B/unpacked-vs-rtc".to_owned(), (&data, &rtc), "ns", Some(1.0 / 30.0));
}

fn session(plan: &Plan) {
    let count = if plan.quick { 500 } else { 10_000 };
    let (message, config) = (vec![7; LARGE], config());
    let mut alone = Pair::usual(&config.crypto, Manner::Batches);
    let mut lab = Lab::direct(&config);
    let session = lab.open_direct();
    let per_kib = |spent: f64| spent * 1e9 / (count * LARGE / 1024) as f64;
    let [mut sessions, mut engines] = [const { Vec::new() }; 2];
    for _ in 0..=plan.slices {
        sessions.push(per_kib(spent(|| lab.burst(session, &message, count))));
        engines.push(per_kib(spent(|| alone.burst_bulk(&message, count))));
    }
    report(plan, "dc-session-16KiB/vs-engine".to_owned(), (&sessions, &engines), "ns/KiB", Some(SESSION_GOAL));
}

/// The median pair of all slices but the first.
fn report(plan: &Plan, name: String, (ours, baseline): (&[f64], &[f64]), unit: &'static str, goal: Option<f64>) {
    let (ours, baseline) = median_pair(&ours[1..], &baseline[1..]);
    plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit, goal });
}
