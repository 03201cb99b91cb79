//! Endpoints that meet through relays, in worlds.

mod party;
mod rooms;
mod sessions;
