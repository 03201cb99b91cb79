//! The list of the host's own addresses.

use super::Harness;
use super::bench::Bench;
use crate::machine::ids::PortId;
use crate::machine::port::{Addrs, PortChange, PortSpec};

pub(super) fn the_list_follows_the_opening_and_holds_this_host<H: Harness>(harness: &mut H) -> Result<(), String> {
    let host = harness.host();
    let mut bench = Bench::new(harness);
    let port = bench.open(PortSpec::Addresses);
    let addresses = listed(&mut bench, port)?;
    if !addresses.contains(&host) {
        return Err(format!("{port}: expected {host} among this host's addresses, got {addresses:?}"));
    }
    bench.unchanged(port)?;
    bench.close(port, false);
    bench.settle()
}

pub(super) fn two_lists_tell_the_same<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let first = bench.open(PortSpec::Addresses);
    let there = listed(&mut bench, first)?;
    let second = bench.open(PortSpec::Addresses);
    let here = listed(&mut bench, second)?;
    bench.unchanged(first)?;
    bench.close(first, true);
    bench.unchanged(second)?;
    if here == there {
        return Ok(());
    }
    Err(format!("expected one list at both ports, got {there:?} and {here:?}"))
}

pub(super) fn a_closed_list_is_never_heard_of_again<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let unanswered = bench.open(PortSpec::Addresses);
    bench.close(unanswered, true);
    // It has the index of the one that was closed, and hears its own answer alone.
    let port = bench.open(PortSpec::Addresses);
    listed(&mut bench, port)?;
    bench.close(port, true);
    bench.settle()
}

/// The first list of a port, sorted.
fn listed<H: Harness>(bench: &mut Bench<'_, H>, port: PortId) -> Result<Addrs, String> {
    match bench.opened(port)? {
        (None, None) => {}
        addresses => return Err(format!("{port}: expected a list without an address of its own, got {addresses:?}")),
    }
    match bench.change(port)? {
        PortChange::Addresses(mut addresses) => {
            addresses.sort_unstable();
            Ok(addresses)
        }
        change => Err(format!("{port}: expected Addresses, got {change:?}")),
    }
}
