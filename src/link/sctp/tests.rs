//! Two associations in memory, in virtual time.

#![allow(clippy::disallowed_methods)]

mod bench;
pub(crate) mod chance;
mod channels;
mod hostile;
mod loss;
mod memory;
mod mutated;
mod setup;
mod shutdown;
mod sizes;
