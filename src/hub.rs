//! Endpoints, sessions that outlive their paths, relays and rooms.

pub mod channel;
pub mod opening;
pub mod session;
