//! The NAT probe in worlds: discovery says what a NAT was made as, and punching agrees with the oracle.

#![cfg(feature = "stun")]
#![allow(missing_docs, clippy::disallowed_methods)]

mod alone;
mod kinds;
mod punching;
mod rendezvous;
mod scene;
