//! How TCP ports begin and how they end for good.

use std::collections::BTreeMap;

use super::Harness;
use super::bench::Bench;
use crate::machine::ids::PortId;
use crate::machine::port::{PortError, PortSpec};

pub(super) fn a_listener_tells_the_port_that_the_system_chose<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let (_, address) = bench.listen()?;
    let host = bench.harness().host();
    if address.ip() == host && address.port() != 0 {
        return Ok(());
    }
    Err(format!("expected {host} with a port, got {address}"))
}

pub(super) fn both_sides_tell_the_same_addresses<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let (listener, address) = bench.listen()?;
    let dialled = bench.dial(address);
    let (local, peer) = bench.opened(dialled)?;
    let (_, accepted) = bench.accept(listener)?;
    if peer == Some(address) && local == Some(accepted) {
        return Ok(());
    }
    Err(format!("expected a stream from {accepted} to {address}, got one from {local:?} to {peer:?}"))
}

pub(super) fn a_taken_address_is_in_use<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let (_, address) = bench.listen()?;
    let second = bench.open(PortSpec::Listen(address));
    fails_with(&mut bench, second, PortError::AddressInUse)
}

pub(super) fn a_dial_that_nobody_answers_is_refused<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let (listener, address) = bench.listen()?;
    bench.close(listener, false);
    let dialled = bench.dial(address);
    fails_with(&mut bench, dialled, PortError::Refused)?;
    bench.settle()
}

pub(super) fn a_silent_dial_stays_quiet_and_can_be_cancelled<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let silent = bench.harness().silent();
    let dialled = bench.dial(silent);
    bench.unchanged(dialled)?;
    bench.close(dialled, true);
    bench.settle()
}

pub(super) fn a_crowd_that_comes_at_once_is_accepted_whole<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let (listener, address) = bench.listen()?;
    let crowd = bench.harness().crowd();
    let dialled: Vec<_> = (0..crowd).map(|_| bench.dial(address)).collect();
    bench.settle()?;
    let accepted = accept_all(&mut bench, listener, crowd)?;
    for (number, port) in dialled.into_iter().enumerate() {
        let (local, _) = bench.opened(port)?;
        let Some(&peer) = local.and_then(|local| accepted.get(&local)) else {
            return Err(format!("{port}: expected its address {local:?} among those accepted"));
        };
        bench.send(port, &number.to_be_bytes())?;
        bench.expect(peer, &number.to_be_bytes())?;
    }
    Ok(())
}

fn accept_all<H: Harness>(
    bench: &mut Bench<'_, H>,
    listener: PortId,
    crowd: usize,
) -> Result<BTreeMap<std::net::SocketAddr, PortId>, String> {
    let mut accepted = BTreeMap::new();
    while accepted.len() < crowd {
        let (port, peer) =
            bench.accept(listener).map_err(|error| format!("{error}; accepted {} of {crowd}", accepted.len()))?;
        accepted.insert(peer, port);
    }
    Ok(accepted)
}

pub(super) fn a_closed_port_is_never_heard_of_again<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let (listener, address) = bench.listen()?;
    let here = bench.dial(address);
    bench.opened(here)?;
    let (there, _) = bench.accept(listener)?;
    let unanswered = bench.dial(address);
    bench.send(there, b"never read")?;
    bench.finish(there)?;
    for port in [here, unanswered, listener] {
        bench.close(port, true);
    }
    // The next ports take over the indices of those that were closed.
    let (listener, address) = bench.listen()?;
    let here = bench.dial(address);
    bench.opened(here)?;
    let (there, _) = bench.accept(listener)?;
    bench.send(there, b"read")?;
    bench.expect(here, b"read")?;
    bench.settle()
}

pub(super) fn a_port_that_is_closed_before_it_opened_is_never_heard_of<H: Harness>(
    harness: &mut H,
) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let (_, address) = bench.listen()?;
    let name = bench.host_name(address);
    let mut anywhere = address;
    anywhere.set_port(0);
    let specs =
        [PortSpec::Listen(anywhere), PortSpec::Dial(address), PortSpec::Host(name.clone()), PortSpec::Host(name)];
    let ports = specs.map(|spec| bench.open(spec));
    for port in ports {
        bench.close(port, true);
    }
    bench.settle()
}

fn fails_with<H: Harness>(bench: &mut Bench<'_, H>, port: PortId, expected: PortError) -> Result<(), String> {
    match bench.failed(port)? {
        error if error == expected => Ok(()),
        error => Err(format!("{port}: expected Failed({expected:?}), got Failed({error:?})")),
    }
}
