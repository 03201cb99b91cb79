//! Pairs of WebRTC engines in one thread, which hand each other datagrams: `str0m` as it is, the crate `rtc`, our data
//! engine, and our peers with either engine.

pub mod data;
pub mod ours;
pub mod raw;
pub mod rival;
