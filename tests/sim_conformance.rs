//! Virtual sockets keep the promises that every driver's sockets keep.

#![allow(missing_docs)]

use switchboard::machine::conformance;
use switchboard::sim::Harness;

#[test]
fn virtual_sockets_pass_the_conformance_suite() {
    conformance::run_all(Harness::new).unwrap_or_else(|error| panic!("{error}"));
}
