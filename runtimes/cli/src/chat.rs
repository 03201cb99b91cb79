//! `chat`.

use crate::args::ChatArgs;
use crate::outcome::{Code, Failure};

pub(crate) fn run(_: &ChatArgs) -> Result<(), Failure> {
    Err(Failure::new(Code::Failed, "not yet"))
}
