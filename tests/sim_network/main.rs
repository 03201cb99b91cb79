//! What lies between the hosts of a world, as their machines notice it.

#![allow(missing_docs, clippy::disallowed_methods)]

mod addresses;
mod clocks;
mod datagrams;
mod evidence;
mod gateways;
#[path = "../sim_world/peer.rs"]
#[allow(dead_code)]
mod peer;
mod streams;
mod talker;
