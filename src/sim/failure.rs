//! Why a run ended.

use std::fmt;
use std::time::Duration;

use super::HostId;
use crate::machine::Deadline;
use crate::machine::check::Breach;
use crate::machine::time::Instant;

/// Why a run ended before its condition held. Its message names the seed, so that the run can be repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A machine broke a law.
    #[error("seed {seed}: {name} ({host}): {breach}")]
    Broken {
        /// Of the world.
        seed: u64,
        /// Where.
        host: HostId,
        /// The host's name.
        name: String,
        /// Which law, and when.
        breach: Breach,
    },
    /// A machine always had something to say at one moment, so that time could not go on.
    #[error("seed {seed}: {name} ({host}) never waits at {at}")]
    Endless {
        /// Of the world.
        seed: u64,
        /// Where.
        host: HostId,
        /// The host's name.
        name: String,
        /// When.
        at: Instant,
    },
    /// The condition did not hold in time.
    #[error(transparent)]
    Stuck(Stuck),
}

/// A condition that did not hold in time, and what each host was waiting for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Stuck {
    /// Of the world.
    pub seed: u64,
    /// When the run ended.
    pub at: Instant,
    /// How long it lasted.
    pub limit: Duration,
    /// Packets that wait for a heal or a reboot.
    pub held: usize,
    /// All hosts.
    pub hosts: Vec<Waiting>,
}

/// What one host was waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// Its ports, look-ups included.
    pub ports: usize,
    /// Its machine's next deadline.
    pub deadline: Option<Deadline>,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, at, limit, held, hosts } = self;
        write!(f, "seed {seed}: stuck at {at} after {limit:?}, {held} packets held")?;
        hosts.iter().try_for_each(|waiting| write!(f, "; {waiting}"))
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, name, up, ports, deadline } = self;
        write!(f, "{name} ({host}) ")?;
        match deadline {
            _ if !up => return f.write_str("is down"),
            Some(Deadline { at, why }) => write!(f, "waits for {why} until {at}")?,
            None => f.write_str("waits for nothing")?,
        }
        write!(f, " with {ports} ports")
    }
}
