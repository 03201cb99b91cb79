//! Bad input: a clear error, and nothing lost.
//!
//! Whoever breaks a rule is told so in the way of the protocol, the program is told by a typed error, what the
//! offender made us hold stays within the limits and is given back, and a friend of the same listener talks on all
//! the while. All in virtual time; memory is measured by a counting allocator.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod dialler;
mod garbage;
mod http;
mod party;
mod program;
mod raw;
mod scene;
mod strings;
mod tls;
mod websocket;
