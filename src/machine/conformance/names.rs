//! Names: those of hosts, which are looked up, and those of streams inside the host.

use super::Harness;
use super::bench::Bench;
use crate::machine::ids::PortId;
use crate::machine::port::{PortChange, PortError, PortSpec};

pub(super) fn a_name_resolves_to_its_address<H: Harness>(harness: &mut H) -> Result<(), String> {
    let (name, _) = harness.names();
    let host = harness.host();
    let mut bench = Bench::new(harness);
    let question = bench.resolve(&name);
    let change = bench.change(question)?;
    bench.close(question, false);
    match change {
        PortChange::Resolved(addrs) if addrs.contains(&host) && is_distinct(&addrs) => bench.settle(),
        change => Err(format!("{name}: expected {host} among addresses named once each, got {change:?}")),
    }
}

fn is_distinct<T: Ord + Copy>(items: &[T]) -> bool {
    let mut sorted = items.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

pub(super) fn a_name_without_an_address_is_not_found<H: Harness>(harness: &mut H) -> Result<(), String> {
    let (_, name) = harness.names();
    let mut bench = Bench::new(harness);
    let question = bench.resolve(&name);
    match bench.failed(question)? {
        PortError::NameNotFound => bench.settle(),
        error => Err(format!("{name}: expected Failed(NameNotFound), got Failed({error:?})")),
    }
}

pub(super) fn a_cancelled_look_up_is_never_heard_of_again<H: Harness>(harness: &mut H) -> Result<(), String> {
    let (name, _) = harness.names();
    let mut bench = Bench::new(harness);
    // The longer the wait, the further the answers are on their way.
    for polls in (0..1000).step_by(20) {
        let questions = [(); 8].map(|()| bench.resolve(&name));
        for _ in 0..polls {
            bench.poll()?;
        }
        for question in questions {
            bench.close(question, true);
        }
    }
    bench.settle()?;
    // It has the index of one that was cancelled, and must get its own answer alone.
    let question = bench.resolve(&name);
    let change = bench.change(question)?;
    if !matches!(change, PortChange::Resolved(_)) {
        return Err(format!("{name}: expected Resolved, got {change:?}"));
    }
    bench.unchanged(question)?;
    bench.close(question, false);
    bench.settle()
}

pub(super) fn the_first_opener_of_a_host_stream_waits_for_the_second<H: Harness>(
    harness: &mut H,
) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let name = unique_name(&mut bench)?;
    let first = bench.open(PortSpec::Host(name.clone()));
    bench.unchanged(first)?;
    let second = bench.open(PortSpec::Host(name));
    for port in [first, second] {
        match bench.opened(port)? {
            (None, None) => {}
            addresses => return Err(format!("{port}: expected a host stream without addresses, got {addresses:?}")),
        }
    }
    exchange(&mut bench, first, second)?;
    bench.finish(first)?;
    bench.expect_last(second, b"")?;
    bench.finish(second)?;
    bench.expect_last(first, b"")?;
    bench.close(first, false);
    bench.close(second, false);
    bench.settle()
}

pub(super) fn a_third_opener_of_a_host_stream_starts_anew<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let name = unique_name(&mut bench)?;
    let ports: Vec<_> = (0..4).map(|_| bench.open(PortSpec::Host(name.clone()))).collect();
    for &port in &ports {
        bench.opened(port)?;
    }
    exchange(&mut bench, ports[2], ports[3])?;
    exchange(&mut bench, ports[0], ports[1])
}

pub(super) fn a_host_stream_that_was_given_up_is_not_joined<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let name = unique_name(&mut bench)?;
    let given_up = bench.open(PortSpec::Host(name.clone()));
    bench.close(given_up, true);
    let first = bench.open(PortSpec::Host(name.clone()));
    bench.unchanged(first)?;
    let second = bench.open(PortSpec::Host(name));
    bench.opened(first)?;
    bench.opened(second)?;
    exchange(&mut bench, first, second)
}

/// The listener that makes it unique stays open until the harness is dropped.
fn unique_name<H: Harness>(bench: &mut Bench<'_, H>) -> Result<String, String> {
    let (_, address) = bench.listen()?;
    Ok(bench.host_name(address))
}

fn exchange<H: Harness>(bench: &mut Bench<'_, H>, a: PortId, b: PortId) -> Result<(), String> {
    bench.send(a, b"there")?;
    bench.expect(b, b"there")?;
    bench.send(b, b"and back")?;
    bench.expect(a, b"and back")
}
