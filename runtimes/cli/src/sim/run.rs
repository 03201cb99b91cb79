//! `sim run`: one seed or many, a line for each, and a summary.

use std::io::IsTerminal as _;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use switchboard::connect::rehearsal::{self, Flaw, Outcome, Rehearsal};
use switchboard::sim::Scenario;
use switchboard::sim::scenario::Shape;

use super::{load, reason, write};
use crate::args::RunArgs;
use crate::outcome::{Code, Failure};
use crate::report;
use crate::table::{Table, grouped};

const HEAD: [&str; 9] =
    ["seed", "verdict", "messages", "path changes", "longest stall", "converged", "dropped", "world", "transcript"];
/// Runs of which each has a line; of more only those that failed have one.
const LINES: u64 = 20;

type Played = Result<Outcome, Flaw>;

pub(super) fn run(args: &RunArgs, json: bool) -> Result<(), Failure> {
    let file = args.scenario.as_deref().map(load).transpose()?;
    let first = args.seed.or_else(|| file.as_ref().map(|scenario| scenario.seed)).unwrap_or(1);
    let scenario = |seed| match (&file, args.profile) {
        (Some(file), _) => Scenario { seed, ..file.clone() },
        (None, Some(profile)) => rehearsal::on_profile(profile, seed),
        (None, None) => Shape::default().from_seed(seed),
    };
    let bar = progress(args.runs, json);
    let mut table = Table::new(&HEAD);
    let mut failed = 0;
    let mut messages = 0;
    for seed in first..first.saturating_add(args.runs) {
        let scenario = scenario(seed);
        let played = Rehearsal::new(&scenario).run(&mut |_| {});
        failed += u64::from(played.is_err());
        messages += played.as_ref().map_or(0, |outcome| outcome.arrived);
        tell(&mut table, seed, &played, json, args.runs)?;
        if let Err(flaw) = &played {
            bar.suspend(|| report::line(&format!("seed {seed}: {}", reason(flaw))));
            save(args.save.as_deref(), seed, &scenario)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    conclude(&table, args.runs, failed, messages, json)
}

/// On a terminal only, and for people only.
fn progress(runs: u64, json: bool) -> ProgressBar {
    if json || runs < 2 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} runs, {eta} left");
    ProgressBar::new(runs).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn tell(table: &mut Table, seed: u64, played: &Played, json: bool, runs: u64) -> Result<(), Failure> {
    if json {
        return report::output(&object(seed, played).to_string());
    }
    if runs <= LINES || played.is_err() {
        table.row(&cells(seed, played));
    }
    Ok(())
}

fn object(seed: u64, played: &Played) -> Value {
    match played {
        Ok(outcome) => json!({
            "seed": seed,
            "verdict": "kept",
            "sent": outcome.sent,
            "arrived": outcome.arrived,
            "forgotten": outcome.forgotten,
            "path_changes": outcome.path_changes,
            "sessions_closed": outcome.closed,
            "longest_stall_ms": outcome.longest_stall.as_millis() as u64,
            "converged_ms": outcome.converged_after.as_millis() as u64,
            "world_ms": outcome.time.as_millis() as u64,
            "dropped": dropped(outcome),
            "transcript_hash": hash(outcome),
        }),
        Err(flaw) => json!({"seed": seed, "verdict": "broken", "reason": reason(flaw)}),
    }
}

fn dropped(outcome: &Outcome) -> Value {
    outcome.drops.iter().map(|(reason, count)| (reason.code().to_owned(), Value::from(*count))).collect()
}

fn cells(seed: u64, played: &Played) -> [String; HEAD.len()] {
    let Ok(outcome) = played else {
        return std::array::from_fn(|column| {
            [seed.to_string(), "BROKEN".to_owned()].get(column).cloned().unwrap_or_default()
        });
    };
    let millis = |time: std::time::Duration| format!("{} ms", time.as_millis());
    [
        seed.to_string(),
        "kept".to_owned(),
        grouped(outcome.arrived),
        grouped(outcome.path_changes),
        millis(outcome.longest_stall),
        format!("after {}", millis(outcome.converged_after)),
        grouped(outcome.drops.iter().map(|(_, count)| count).sum()),
        format!("{:.1} s", outcome.time.as_secs_f64()),
        hash(outcome),
    ]
}

pub(super) fn hash(outcome: &Outcome) -> String {
    format!("{:016x}", outcome.transcript_hash)
}

fn save(folder: Option<&Path>, seed: u64, scenario: &Scenario) -> Result<(), Failure> {
    let Some(folder) = folder else { return Ok(()) };
    let failed = |error| Failure::new(Code::Failed, format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    write(&folder.join(format!("seed-{seed}.scenario")), scenario.to_string().as_bytes())
}

fn conclude(table: &Table, runs: u64, failed: u64, messages: u64, json: bool) -> Result<(), Failure> {
    if !json {
        if !table.is_empty() {
            report::output(&table.to_string())?;
        }
        let kept = runs - failed;
        report::output(&format!(
            "{} of {} runs kept every promise; {} messages arrived, once and in order.",
            grouped(kept),
            grouped(runs),
            grouped(messages)
        ))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::new(Code::Imperfect, format!("{failed} of {runs} runs failed"))
            .advise("`--save FOLDER` keeps their scenarios; then `switchboard sim shrink FILE`")),
    }
}
