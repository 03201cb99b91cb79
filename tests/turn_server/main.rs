//! The TURN server in worlds: what clients behind NATs and their peers notice.
#![cfg(feature = "turn")]
#![allow(missing_docs, clippy::disallowed_methods)]

mod bounds;
mod caller;
#[cfg(feature = "tls")]
#[path = "../common/mod.rs"]
mod common;
mod dialler;
mod misbehaviour;
mod policies;
mod relaying;
mod scene;
#[cfg(all(feature = "stun", feature = "tls"))]
mod serving;
mod streams;
#[path = "../sim_network/talker.rs"]
#[allow(dead_code)]
mod talker;
