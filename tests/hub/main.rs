//! Endpoints that meet through relays, in worlds.

mod cut_points;
mod ledger;
mod party;
mod property;
mod rooms;
mod sessions;
mod slow_consumer;
