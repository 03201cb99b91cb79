//! A NAT by RFC 4787 (UDP), RFC 5382 (TCP) and RFC 7857, as a pure value: a packet's two ends and the time in, what
//! they become or why the packet is dropped out.
//!
//! *Mapping.* What goes out from an inside endpoint gets an external port, which is the inside endpoint's alone (no
//! overloading, REQ-3) and the same again for all, for one address, or for one address and port
//! ([`NatConfig::mapping`]). UDP and TCP have ports of their own (RFC 7857, section 5). There is one external
//! address, so pooling is always paired (REQ-2); parity (REQ-4) is not kept.
//!
//! *Filtering* (section 5). Each mapping remembers to whom something was sent *through it*, and lets them in, or more
//! as [`NatConfig::filtering`] says. So where two mappings of one endpoint lead to two peers, neither peer is let in
//! through the other's. A contact lasts as long as a mapping would. TCP is filtered by address and port always:
//! nothing comes in that no SYN went out for.
//!
//! *Hairpinning* (REQ-9): what is sent from inside to the external address is translated outward and then inward, so
//! that it comes from an external address and port (REQ-9 a) and meets the filter as everybody's packets do.
//!
//! *Expiry* is counted from the last packet of a direction that [`NatConfig::refresh`] names. Where only those that
//! come in do, the packet that makes a mapping still starts its time.

mod ports;
mod rules;

#[cfg(test)]
pub(super) mod checks;
#[cfg(test)]
pub(super) mod faults;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ports::FreePorts;

// Tests decide by the same rules, less the one that a planted fault breaks.
#[cfg(test)]
use faults as decide;
#[cfg(not(test))]
use rules as decide;

use super::filter::{Contacts, Dependence, Endpoint, Lasting, Protocol, Refresh, TCP_EXPIRY, UDP_EXPIRY};
use super::timeline::DropReason;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// Which external port a mapping gets, of 1024 to 65535 (RFC 4787, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortChoice {
    /// The inside port, else the next free one.
    Preserving,
    /// The one after the last that was given, else the next free one.
    Sequential,
    /// Any, as the world's seed has it, else the next free one.
    Random,
}

/// How a NAT behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NatConfig {
    /// On what of the destination the external port depends.
    pub mapping: Dependence,
    /// On what of the sender it depends whether a packet is let in; of UDP only.
    pub filtering: Dependence,
    /// Which external port is taken.
    pub ports: PortChoice,
    /// How long a mapping of UDP lasts unused; 120 s by default (REQ-5).
    pub udp_expiry: Duration,
    /// How long a mapping of TCP lasts unused; 7,440 s by default (RFC 5382, REQ-5).
    pub tcp_expiry: Duration,
    /// Which packets are use; those that go out by default.
    pub refresh: Refresh,
    /// Whether those inside reach each other by external addresses; not by default.
    pub hairpin: bool,
    /// At most so many mappings, and so many contacts; 65,536 by default. A packet that needs one more is dropped.
    pub most: usize,
    /// What is planted to see a test fail.
    #[cfg(test)]
    pub(super) fault: Option<faults::Fault>,
}

impl NatConfig {
    /// That mapping and filtering, ports preserved, no hairpinning, and the RFCs' times.
    pub const fn new(mapping: Dependence, filtering: Dependence) -> Self {
        Self {
            mapping,
            filtering,
            ports: PortChoice::Preserving,
            udp_expiry: UDP_EXPIRY,
            tcp_expiry: TCP_EXPIRY,
            refresh: Refresh::Outbound,
            hairpin: false,
            most: 65_536,
            #[cfg(test)]
            fault: None,
        }
    }
}

impl Default for NatConfig {
    /// What most homes have: the same port for all, and let in is who was sent to.
    fn default() -> Self {
        Self::new(Dependence::EndpointIndependent, Dependence::AddressAndPortDependent)
    }
}

/// What a mapping is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Inside {
    protocol: Protocol,
    source: Endpoint,
    remote: Endpoint,
}

#[derive(Debug)]
struct Mapping {
    key: Inside,
    inside: SocketAddr,
    /// The owner of its contacts: unlike a port, never used again.
    serial: u64,
}

/// A NAT at work.
#[derive(Debug)]
pub(super) struct Nat {
    config: NatConfig,
    external: IpAddr,
    rng: Rng,
    serial: u64,
    ports: BTreeMap<Inside, u16>,
    mappings: Lasting<(Protocol, u16), Mapping>,
    contacts: Contacts<u64>,
    free: [FreePorts; 2],
    last: [u16; 2],
}

impl Nat {
    pub(super) fn new(config: NatConfig, external: IpAddr, rng: Rng) -> Self {
        Self {
            config,
            external,
            rng,
            serial: 0,
            ports: BTreeMap::new(),
            mappings: Lasting::new(),
            contacts: Contacts::new(),
            free: [FreePorts::new(), FreePorts::new()],
            last: [u16::MAX; 2],
        }
    }

    /// How many mappings there are.
    pub(super) fn mappings(&mut self, now: Instant) -> usize {
        self.expire(now);
        self.mappings.len()
    }

    /// Lets a packet out: from where it comes outside.
    pub(super) fn outbound(
        &mut self,
        now: Instant,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<SocketAddr, DropReason> {
        if destination.ip() == self.external && !decide::hairpins(&self.config) {
            return Err(DropReason::NoHairpin);
        }
        self.expire(now);
        let until = now + decide::expiry(&self.config, protocol);
        let refreshes = decide::refresh(&self.config).outbound();
        let key = decide::key(&self.config, protocol, source, destination);
        let port = match self.ports.get(&key) {
            Some(port) => *port,
            None => self.map(key, source, until)?,
        };
        let mapping = self.mappings.touch(&(protocol, port), until, refreshes).ok_or(DropReason::NoMapping)?;
        let contact = (mapping.serial, decide::filtering(&self.config, protocol).of(destination));
        let is_known = self.contacts.sent(contact, until, refreshes, self.config.most);
        is_known.then(|| SocketAddr::new(self.external, port)).ok_or(DropReason::PortsExhausted)
    }

    /// Lets a packet for an external port in: to where it goes inside.
    pub(super) fn inbound(
        &mut self,
        now: Instant,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<SocketAddr, DropReason> {
        self.expire(now);
        let until = now + decide::expiry(&self.config, protocol);
        let refreshes = decide::refresh(&self.config).inbound();
        let port = (protocol, destination.port());
        let mapping = self.mappings.get(&port).ok_or(DropReason::NoMapping)?;
        let (inside, contact) =
            (mapping.inside, (mapping.serial, decide::filtering(&self.config, protocol).of(source)));
        if !self.contacts.comes(contact, until, refreshes) {
            return Err(DropReason::Filtered);
        }
        self.mappings.touch(&port, until, refreshes);
        Ok(inside)
    }

    /// Forgets all mappings.
    pub(super) fn reboot(&mut self) {
        self.ports.clear();
        self.mappings.clear();
        self.contacts.clear();
        self.free = [FreePorts::new(), FreePorts::new()];
        self.last = [u16::MAX; 2];
    }

    /// Forgets all mappings and has another external address.
    pub(super) fn rebind(&mut self, external: IpAddr) {
        self.reboot();
        self.external = external;
    }

    fn map(&mut self, key: Inside, inside: SocketAddr, until: Instant) -> Result<u16, DropReason> {
        let own = key.protocol as usize;
        let wish = decide::wish(&self.config, inside.port(), self.last[own], &mut self.rng);
        let has_room = self.mappings.len() < self.config.most;
        let port = has_room.then(|| self.free[own].take(wish)).flatten().ok_or(DropReason::PortsExhausted)?;
        self.last[own] = port;
        self.serial += 1;
        self.ports.insert(key, port);
        self.mappings.add((key.protocol, port), Mapping { key, inside, serial: self.serial }, until);
        Ok(port)
    }

    fn expire(&mut self, now: Instant) {
        self.contacts.expire(now);
        while let Some(((protocol, port), mapping)) = self.mappings.expire(now) {
            self.ports.remove(&mapping.key);
            self.free[protocol as usize].give(port);
        }
    }
}
