//! Files over one reliable ordered channel of a session: `send` and `receive`.
//!
//! The sender offers a file with its BLAKE3 hash. The receiver answers what it has of it from an earlier, broken
//! transfer, with the hash of that; the sender compares it with its own file and goes on behind it, or from the
//! beginning. The receiver hashes what arrives, compares it with the offer, and only then gives the file its name.
//! What the two ends say and in which order is in [`sender`] and [`receiver`], which touch no file; [`files`] does.

mod files;
mod message;
mod progress;
mod receive;
mod receiver;
mod send;
mod sender;
#[cfg(test)]
mod tests;

pub(crate) use receive::run as receive;
pub(crate) use send::run as send;

use message::Violation;

use crate::outcome::{Code, Failure};

/// What the channel of a transfer is called.
const LABEL: &str = "file";

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::new(Code::Lost, violation.to_string())
    }
}

impl From<files::FileError> for Failure {
    fn from(error: files::FileError) -> Self {
        Self::new(Code::Usage, error.to_string())
    }
}
