//! The sending half against a model of a receiver, over a network in virtual time.

mod bounds;
mod delivery;
mod harness;
mod limits;
mod recovery;
mod turns;
