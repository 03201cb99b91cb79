//! What the comparison shares with the program that counts allocations.

pub mod exchange;
pub mod lab;
