//! What the comparison shares with the program that counts allocations.

pub mod course;
pub mod crowd;
pub mod engines;
pub mod exchange;
pub mod lab;
