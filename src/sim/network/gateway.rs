//! A gateway: what stands between a network and the one outside.

use std::net::IpAddr;

use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::sim::filter::Protocol;
use crate::sim::firewall::{Firewall, FirewallConfig};
use crate::sim::kind::Gateway;
use crate::sim::nat::Nat;
use crate::sim::packet::{Body, Packet};
use crate::sim::timeline::DropReason;
use crate::sim::topology::NetId;

/// A gateway at work.
#[derive(Debug)]
pub(super) struct Station {
    nat: Option<Nat>,
    firewall: Firewall,
    firewall_v6: Firewall,
    inside: NetId,
    outside: [IpAddr; 2],
}

/// Where a packet comes from, or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Inside,
    Outside,
}

impl Station {
    pub(super) fn new(gateway: Gateway, inside: NetId, outside: [IpAddr; 2], rng: Rng) -> Self {
        let nat = gateway.nat.map(|config| Nat::new(config, outside[0], rng));
        let v6 = FirewallConfig { inward: gateway.inward_v6, ..gateway.firewall };
        Self { nat, firewall: Firewall::new(gateway.firewall), firewall_v6: Firewall::new(v6), inside, outside }
    }

    /// How many mappings its NAT has.
    pub(super) fn mappings(&mut self, now: Instant) -> usize {
        self.nat.as_mut().map_or(0, |nat| nat.mappings(now))
    }

    pub(super) const fn inside(&self) -> NetId {
        self.inside
    }

    /// Forgets everything.
    pub(super) fn restart(&mut self, outside: [IpAddr; 2]) {
        self.outside = outside;
        self.firewall.reboot();
        self.firewall_v6.reboot();
        if let Some(nat) = &mut self.nat {
            nat.rebind(outside[0]);
        }
    }

    /// Translates a packet; where it goes on to.
    pub(super) fn pass(&mut self, now: Instant, from: Side, packet: &mut Packet) -> Result<Side, DropReason> {
        let protocol = match packet.body {
            Body::Segment { .. } => Protocol::Tcp,
            Body::Datagram(..) => Protocol::Udp,
        };
        match from {
            Side::Inside => self.go_out(now, protocol, packet),
            Side::Outside => self.come_in(now, protocol, packet).map(|()| Side::Inside),
        }
    }

    fn go_out(&mut self, now: Instant, protocol: Protocol, packet: &mut Packet) -> Result<Side, DropReason> {
        self.firewall(packet).outbound(now, protocol, packet.source, packet.destination)?;
        if let Some(nat) = self.nat.as_mut().filter(|_| packet.source.is_ipv4()) {
            packet.source = nat.outbound(now, protocol, packet.source, packet.destination)?;
        }
        if !self.outside.contains(&packet.destination.ip()) {
            return Ok(Side::Outside);
        }
        if packet.source.is_ipv6() {
            return Err(DropReason::NoHairpin);
        }
        self.come_in(now, protocol, packet).map(|()| Side::Inside)
    }

    fn come_in(&mut self, now: Instant, protocol: Protocol, packet: &mut Packet) -> Result<(), DropReason> {
        if let Some(nat) = self.nat.as_mut().filter(|_| packet.source.is_ipv4()) {
            packet.destination = nat.inbound(now, protocol, packet.source, packet.destination)?;
        }
        self.firewall(packet).inbound(now, protocol, packet.source, packet.destination)
    }

    const fn firewall(&mut self, packet: &Packet) -> &mut Firewall {
        if packet.source.is_ipv4() { &mut self.firewall } else { &mut self.firewall_v6 }
    }
}
