//! `sim shrink`: the smallest scenario that still fails.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use switchboard::connect::rehearsal::Rehearsal;
use switchboard::sim::Scenario;

use super::{load, reason, write};
use crate::args::ShrinkArgs;
use crate::outcome::{Code, Failure};
use crate::report;

pub(super) fn run(args: &ShrinkArgs, json: bool) -> Result<(), Failure> {
    let scenario = load(&args.file)?;
    let Some(why) = fails(&scenario) else {
        let text = format!("{} does not fail: there is nothing to shrink", args.file.display());
        return Err(Failure::new(Code::Usage, text).advise("`switchboard sim run --runs N FILE` tries other seeds"));
    };
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_style(
        ProgressStyle::with_template("{spinner} {pos} runs").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    let small = scenario.shrink(args.most, |candidate| {
        bar.inc(1);
        can_go_well(candidate) && fails(candidate).is_some()
    });
    bar.finish_and_clear();
    let (before, after) = (size(&scenario), size(&small));
    if let Some(out) = &args.out {
        write(out, small.to_string().as_bytes())?;
    }
    match (json, &args.out) {
        (true, _) => report::output(
            &json!({"lines_before": before, "lines_after": after, "reason": why, "scenario": small.to_string()})
                .to_string(),
        ),
        (false, out) => {
            report::line(&format!("{before} lines became {after}; it fails with: {}", fails(&small).unwrap_or(why)));
            if out.is_none() { report::output(small.to_string().trim_end()) } else { Ok(()) }
        }
    }
}

/// Without a relay nobody meets anybody, which is no smaller failure but another.
fn can_go_well(scenario: &Scenario) -> bool {
    let relays = scenario.hosts.iter().filter(|host| host.role == "relay").count();
    relays > 0 && scenario.hosts.len() > relays + 1
}

fn fails(scenario: &Scenario) -> Option<String> {
    Rehearsal::new(scenario).run(&mut |_| {}).err().map(|flaw| reason(&flaw))
}

fn size(scenario: &Scenario) -> usize {
    scenario.to_string().lines().count()
}
