//! Endpoints that meet through relays, in worlds.

mod party;
mod sessions;
