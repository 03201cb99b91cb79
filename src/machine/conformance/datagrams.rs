//! Datagrams, their batches, and what is told of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Harness;
use super::bench::{Arrived, Bench};
use crate::machine::datagram::{Ecn, Transmit};
use crate::machine::ids::PortId;
use crate::machine::port::{PortChange, PortError, PortSpec};

/// More than one system call sends anywhere, in bytes, and less than waits for a receiver anywhere.
const LARGE_BATCH: usize = 100_000;
/// More than one system call sends anywhere, in datagrams (Linux: 128).
const MANY: usize = 300;

pub(super) fn a_bound_port_tells_the_address_that_the_system_chose<H: Harness>(harness: &mut H) -> Result<(), String> {
    let host = harness.host();
    let mut bench = Bench::new(harness);
    let (_, address) = bench.bind(host)?;
    if address.ip() == host && address.port() != 0 {
        return Ok(());
    }
    Err(format!("expected {host} with a port, got {address}"))
}

pub(super) fn a_bound_address_is_in_use<H: Harness>(harness: &mut H) -> Result<(), String> {
    let host = harness.host();
    let mut bench = Bench::new(harness);
    let (first, address) = bench.bind(host)?;
    let second = bench.open(PortSpec::Bind(address));
    match bench.failed(second)? {
        PortError::AddressInUse => {}
        error => return Err(format!("{second}: expected Failed(AddressInUse), got Failed({error:?})")),
    }
    bench.close(first, false);
    let third = bench.open(PortSpec::Bind(address));
    bench.opened(third).map(drop)
}

pub(super) fn datagrams_keep_their_boundaries_whatever_their_size<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut pair = Pair::bound(harness)?;
    for size in [1, 0, 1200, 1, 60_000, 0, 0, 1472] {
        pair.send(pair.there.1, size.max(1), &numbered(size))?;
    }
    for size in [1, 0, 1200, 1, 60_000, 0, 0, 1472] {
        pair.expect(&numbered(size))?;
    }
    pair.expect_nothing_more()
}

pub(super) fn a_batch_arrives_as_its_datagrams<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut pair = Pair::bound(harness)?;
    for (segment, size) in [(1200, 12_000), (1200, 12_001), (1, 5), (700, 699), (700, 700), (30_000, 60_000)] {
        pair.batch(segment, &numbered(size))?;
    }
    pair.expect_nothing_more()
}

pub(super) fn a_batch_that_no_system_sends_at_once_arrives_whole<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut pair = Pair::bound(harness)?;
    for (segment, size) in [(1000, LARGE_BATCH), (1217, LARGE_BATCH), (50_000, LARGE_BATCH), (100, MANY * 100)] {
        pair.batch(segment, &numbered(size))?;
    }
    pair.expect_nothing_more()
}

pub(super) fn each_emptied_bound_port_is_followed_by_an_edge<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut pair = Pair::bound(harness)?;
    for round in 0..100_u8 {
        pair.batch(500, &[round; 1300])?;
        pair.swap();
        pair.batch(1, &[round])?;
        pair.swap();
    }
    pair.expect_nothing_more()
}

pub(super) fn a_datagram_tells_where_it_is_from_and_to<H: Harness>(harness: &mut H) -> Result<(), String> {
    let host = harness.host();
    tells_addresses(harness, host, Ipv4Addr::UNSPECIFIED.into())
}

pub(super) fn datagrams_cross_ipv6_as_well<H: Harness>(harness: &mut H) -> Result<(), String> {
    let Some(host) = harness.host_v6() else { return Ok(()) };
    tells_addresses(harness, host, Ipv6Addr::UNSPECIFIED.into())?;
    marks_cross(harness, host)
}

/// A port on any address hears what comes to `host`, and answers from there.
fn tells_addresses<H: Harness>(harness: &mut H, host: IpAddr, any: IpAddr) -> Result<(), String> {
    let mut bench = Bench::new(harness);
    let ((open, bound), (here, near)) = (bench.bind(any)?, bench.bind(host)?);
    let far = SocketAddr::new(host, bound.port());
    for segments in [1, 3] {
        let bytes = numbered(900 * segments);
        bench.send_batch(here, &Transmit::to(far, 900), &bytes)?;
        expect_addresses(&mut bench, open, segments, near, host)?;
        bench.send_batch(open, &Transmit { source: Some(host), ..Transmit::to(near, 900) }, &bytes)?;
        expect_addresses(&mut bench, here, segments, far, host)?;
    }
    for port in [open, here] {
        bench.close(port, false);
    }
    Ok(())
}

fn expect_addresses<H: Harness>(
    bench: &mut Bench<'_, H>,
    port: PortId,
    datagrams: usize,
    source: SocketAddr,
    destination: IpAddr,
) -> Result<(), String> {
    for _ in 0..datagrams {
        let Arrived { source: from, destination: to, .. } = bench.arrival(port)?;
        if from != source || to.is_some_and(|to| to != destination) {
            return Err(format!("{port}: expected a datagram from {source} to {destination}, got {from} to {to:?}"));
        }
    }
    Ok(())
}

pub(super) fn marks_of_congestion_cross<H: Harness>(harness: &mut H) -> Result<(), String> {
    let host = harness.host();
    marks_cross(harness, host)
}

fn marks_cross<H: Harness>(harness: &mut H, host: IpAddr) -> Result<(), String> {
    if !harness.carries_ecn() {
        return Ok(());
    }
    let mut bench = Bench::new(harness);
    let ((here, _), (there, address)) = (bench.bind(host)?, bench.bind(host)?);
    for (ecn, segments) in [Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce), None].into_iter().zip([1, 4, 1, 4]) {
        bench.send_batch(here, &Transmit { ecn, ..Transmit::to(address, 800) }, &numbered(800 * segments))?;
        for _ in 0..segments {
            match bench.arrival(there)?.ecn {
                came if came == ecn => {}
                came => {
                    return Err(format!("{there}: expected the mark {ecn:?} on {segments} datagrams, got {came:?}"));
                }
            }
        }
    }
    Ok(())
}

pub(super) fn ports_of_both_families_may_have_one_number<H: Harness>(harness: &mut H) -> Result<(), String> {
    if harness.host_v6().is_none() {
        return Ok(());
    }
    let mut bench = Bench::new(harness);
    // Any single number may be somebody else's.
    for _ in 0..10 {
        let (_, address) = bench.bind(Ipv6Addr::UNSPECIFIED.into())?;
        let second = bench.open(PortSpec::Bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port())));
        match bench.change(second)? {
            PortChange::Opened { .. } => return Ok(()),
            _ => bench.close(second, true),
        }
    }
    Err("expected that a port on any IPv6 address leaves its number free for IPv4".into())
}

pub(super) fn a_datagram_to_nobody_harms_nothing<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut pair = Pair::bound(harness)?;
    let host = pair.there.1.ip();
    let (gone, nobody) = pair.bench.bind(host)?;
    pair.bench.close(gone, false);
    for _ in 0..3 {
        pair.send(nobody, 100, &numbered(1000))?;
        pair.batch(100, &numbered(1000))?;
        pair.swap();
        pair.batch(100, &numbered(10))?;
        pair.swap();
    }
    pair.expect_nothing_more()
}

pub(super) fn a_batch_that_cannot_leave_is_dropped_alone<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut pair = Pair::bound(harness)?;
    let address = pair.there.1;
    let other_family: IpAddr = if address.is_ipv4() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    // For documentation (RFC 5737), so that no host has it.
    let not_ours = Some(Ipv4Addr::new(192, 0, 2, 1).into());
    let hopeless = [
        (Transmit::to(SocketAddr::new(other_family, address.port()), 100), 1000),
        (Transmit { source: not_ours, ..Transmit::to(address, 100) }, 1000),
        (Transmit::to(address, 66_000), 66_000),
    ];
    for (transmit, size) in hopeless {
        if pair.bench.offer_batch(pair.here.0, &transmit, &numbered(size))?.is_ok() {
            return Err(format!("expected that {transmit:?} is refused"));
        }
        pair.batch(100, &numbered(1000))?;
    }
    pair.expect_nothing_more()
}

pub(super) fn a_closed_bound_port_is_never_heard_of_again<H: Harness>(harness: &mut H) -> Result<(), String> {
    let mut pair = Pair::bound(harness)?;
    let (there, address) = pair.there;
    pair.send(address, 100, &numbered(1000))?;
    pair.bench.readable(there)?;
    pair.send(address, 100, &numbered(1000))?;
    pair.bench.close(there, false);
    pair.send(address, 100, &numbered(1000))?;
    pair.bench.settle()?;
    let heir = pair.bench.open(PortSpec::Bind(address));
    pair.bench.opened(heir)?;
    pair.there.0 = heir;
    pair.batch(100, b"only this")?;
    pair.expect_nothing_more()
}

/// Two bound ports, one of which sends to the other.
struct Pair<'h, H> {
    bench: Bench<'h, H>,
    here: (PortId, SocketAddr),
    there: (PortId, SocketAddr),
}

impl<'h, H: Harness> Pair<'h, H> {
    fn bound(harness: &'h mut H) -> Result<Self, String> {
        let host = harness.host();
        let mut bench = Bench::new(harness);
        let (here, there) = (bench.bind(host)?, bench.bind(host)?);
        Ok(Self { bench, here, there })
    }

    const fn swap(&mut self) {
        (self.here, self.there) = (self.there, self.here);
    }

    fn send(&mut self, destination: SocketAddr, segment: usize, bytes: &[u8]) -> Result<(), String> {
        self.bench.send_batch(self.here.0, &Transmit::to(destination, segment), bytes)
    }

    /// Sends a batch and expects each of its datagrams.
    fn batch(&mut self, segment: usize, bytes: &[u8]) -> Result<(), String> {
        self.send(self.there.1, segment, bytes)?;
        bytes.chunks(segment).try_for_each(|datagram| self.expect(datagram))
    }

    fn expect(&mut self, data: &[u8]) -> Result<(), String> {
        let arrived = self.bench.arrival(self.there.0)?;
        if arrived.source != self.here.1 {
            return Err(format!("{}: expected {} as the source, got {}", self.there.0, self.here.1, arrived.source));
        }
        if arrived.data != data {
            let (expected, came) = (data.len(), arrived.data.len());
            return Err(format!("{}: expected a datagram of {expected} bytes, got another of {came}", self.there.0));
        }
        Ok(())
    }

    fn expect_nothing_more(&mut self) -> Result<(), String> {
        self.bench.settle()?;
        match self.bench.try_arrival(self.there.0)? {
            None => Ok(()),
            Some(more) => Err(format!("{}: expected no more, got {} bytes", self.there.0, more.data.len())),
        }
    }
}

/// Bytes of which no two neighbouring datagrams are alike.
fn numbered(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}
