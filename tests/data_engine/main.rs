//! The data engine with others as partners, in memory and in virtual time: Google's `dcsctp` below channels of our own
//! making, and `str0m` as a whole peer.
//!
//! Each test is a [`Dialogue`](dialogue::Dialogue): channels of every kind are opened from both sides, thousands of
//! messages go each way, what arrives is compared with what was written, and all is closed from both sides.
#![cfg(feature = "str0m")]
#![allow(missing_docs, clippy::disallowed_methods)]

mod dialogue;
mod lane;
mod own;
mod pair;
mod partner;
mod with_dcsctp;
