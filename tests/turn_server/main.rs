//! The TURN server in worlds: what clients behind NATs and their peers notice.
#![cfg(feature = "turn")]
#![allow(missing_docs, clippy::disallowed_methods)]

mod bounds;
mod caller;
mod misbehaviour;
mod relaying;
mod scene;
#[path = "../sim_network/talker.rs"]
#[allow(dead_code)]
mod talker;
