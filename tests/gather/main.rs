//! Gathering in worlds: which candidates come, what passes through relays, and what servers and networks do to both.
#![cfg(all(feature = "webrtc", feature = "turn"))]
#![allow(missing_docs, clippy::disallowed_methods)]

mod candidates;
#[path = "../common/mod.rs"]
#[cfg(feature = "tls")]
mod common;
mod hostile;
mod relays;
mod scene;
