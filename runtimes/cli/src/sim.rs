//! `sim`: scenarios, played, looked at and made smaller.

mod matrix;
mod replay;
mod run;
mod shrink;

use std::path::Path;

use switchboard::connect::rehearsal::Flaw;
use switchboard::sim::Scenario;

use crate::args::{SimArgs, SimCommand};
use crate::outcome::{Code, Failure};

pub(crate) fn run(args: &SimArgs) -> Result<(), Failure> {
    match &args.command {
        SimCommand::Run(run) => run::run(run, args.json),
        SimCommand::Replay(replay) => replay::run(replay, args.json),
        SimCommand::Shrink(shrink) => shrink::run(shrink, args.json),
        SimCommand::Matrix(matrix) => matrix::run(matrix, args.json),
    }
}

fn load(file: &Path) -> Result<Scenario, Failure> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::new(Code::Usage, format!("{name}: {error}")))?;
    text.parse().map_err(|error| {
        Failure::new(Code::Usage, format!("{name}: {error}"))
            .advise("the documentation of `switchboard::sim::scenario` has an example of the format")
    })
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error| Failure::new(Code::Failed, format!("{}: {error}", file.display()));
    std::fs::write(file, bytes).map_err(failed)
}

/// What went wrong, without the scenario.
fn reason(flaw: &Flaw) -> String {
    match flaw {
        Flaw::Run { failed, account } => format!("{}{account}", failed.failure),
        Flaw::Promise { broken, .. } => broken.to_string(),
    }
}
