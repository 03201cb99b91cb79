//! Endpoints that meet through relays, in worlds.

#[path = "../common/mod.rs"]
mod common;
mod cut_points;
mod hostile;
mod ledger;
mod party;
#[allow(dead_code, reason = "the tests of bad input use the rest")]
#[path = "../bad_input/program.rs"]
mod program;
mod property;
#[allow(dead_code, reason = "the tests of bad input use the rest")]
#[path = "../bad_input/raw.rs"]
mod raw;
mod roaming;
mod rooms;
mod sessions;
mod slow_consumer;
