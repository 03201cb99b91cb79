//! Neighbours, relays and peers that break the rules: each is told, or dropped, by its reason, and those who have
//! done nothing wrong go on.

mod board;
mod floods;
mod frames;
mod policies;
mod proofs;
mod relays;
pub(crate) mod rogue;
pub(crate) mod scene;
mod sessions;
