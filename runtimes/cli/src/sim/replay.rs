//! `sim replay`: one run, with all that is known of it.

use serde_json::json;
use switchboard::connect::rehearsal::{Flaw, Outcome, Rehearsal};
use switchboard::machine::time::Instant;
use switchboard::sim::timeline::{Record, What};
use switchboard::sim::{Picture, Recording, Timeline};

use super::run::hash;
use super::{load, reason, write};
use crate::args::ReplayArgs;
use crate::outcome::{Code, Failure};
use crate::report;

pub(super) fn run(args: &ReplayArgs, json: bool) -> Result<(), Failure> {
    let scenario = load(&args.file)?;
    let mut rehearsal = Rehearsal::new(&scenario);
    rehearsal.record(Recording { payloads: args.pcap.is_some(), ..Recording::default() });
    let played = match args.until {
        Some(until) => rehearsal.run_to(until.min(scenario.heal), &mut |_| {}).map(|()| rehearsal.so_far()),
        None => rehearsal.run(&mut |_| {}),
    };
    let timeline = rehearsal.timeline();
    evidence(args, &timeline)?;
    if !json {
        story(&timeline)?;
    }
    conclude(&played, &timeline, json)
}

/// The files that were asked for.
fn evidence(args: &ReplayArgs, timeline: &Timeline) -> Result<(), Failure> {
    let title = args.file.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut bytes = Vec::new();
    // A vector takes everything.
    if let Some(out) = &args.svg {
        _ = timeline.write_svg(&mut bytes, &Picture { title, ..Picture::default() });
        write(out, &std::mem::take(&mut bytes))?;
    }
    if let Some(out) = &args.pcap {
        _ = timeline.write_pcapng(&mut bytes);
        write(out, &std::mem::take(&mut bytes))?;
    }
    if let Some(out) = &args.timeline {
        _ = timeline.write_json(&mut bytes);
        write(out, &bytes)?;
    }
    Ok(())
}

/// What machines said and what was done to them, in order.
fn story(timeline: &Timeline) -> Result<(), Failure> {
    let line = |record: &Record| {
        let (mark, text) = match &record.what {
            What::Event { text, .. } => (" ", text),
            What::Fault(text) => ("!", text),
            _ => return None,
        };
        let seconds = (record.at - Instant::ZERO).as_secs_f64();
        Some(format!("{seconds:10.3} s {mark} {:<12} {text}", timeline.nodes[record.node.index()].name))
    };
    timeline.records.iter().filter_map(line).try_for_each(|line| report::output(&line))
}

fn conclude(played: &Result<Outcome, Flaw>, timeline: &Timeline, json: bool) -> Result<(), Failure> {
    let outcome = match played {
        Ok(outcome) => outcome,
        Err(flaw) => return Err(Failure::new(Code::Imperfect, reason(flaw))),
    };
    let dropped: u64 = outcome.drops.iter().map(|(_, count)| count).sum();
    if json {
        let records = timeline.records.len();
        return report::output(
            &json!({
                "seed": timeline.seed,
                "verdict": "kept",
                "arrived": outcome.arrived,
                "dropped": dropped,
                "records": records,
                "transcript_hash": hash(outcome),
            })
            .to_string(),
        );
    }
    let (arrived, seconds) = (outcome.arrived, outcome.time.as_secs_f64());
    report::output(&format!(
        "{arrived} messages arrived in {seconds:.1} s of the world; {dropped} packets were dropped"
    ))?;
    for (reason, count) in &outcome.drops {
        report::output(&format!("{count:>10}  {reason}"))?;
    }
    Ok(())
}
