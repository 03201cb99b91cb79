//! Pairs of WebRTC engines in one thread, which hand each other datagrams: `str0m` as it is, the crate `rtc`, ours.

pub mod ours;
pub mod raw;
pub mod rival;
