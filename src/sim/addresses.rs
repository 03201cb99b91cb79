//! The addresses of one virtual host, and whom it tells of them.
//!
//! A host has two addresses that its dials take, further ones if the world says so, and those of its loopback; if the
//! world says so only those of one family. While its link is unplugged the loopback's are all it has, as on a system
//! whose network manager takes addresses back with the carrier; they are all that is listed by a system that tells its
//! programs no others, as some do. A change is told [`LAG`] after the first that was not told yet, which is the longest
//! that a driver takes: what machines do meanwhile is as tested as what they do afterwards, and a link that was away for
//! less is not missed. The lag is measured by the host's own clock: one that sleeps hears after it has woken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::machine::ids::{PortId, Table};
use crate::machine::port::Addrs;
use crate::machine::time::Instant;

/// From a change of addresses until it is told.
pub(super) const LAG: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Addresses {
    /// By family; dials take them.
    pub(super) first: [IpAddr; 2],
    further: Vec<IpAddr>,
    /// By family: whether the host has it.
    families: [bool; 2],
    /// The system does not tell them.
    unlisted: bool,
    unplugged: bool,
    ports: Table<PortId, ()>,
    told: Addrs,
    due: Option<Instant>,
}

impl Addresses {
    pub(super) fn new(first: [IpAddr; 2]) -> Self {
        let (further, ports, told) = Default::default();
        Self { first, further, families: [true; 2], unlisted: false, unplugged: false, ports, told, due: None }
    }

    /// Whether packets to that address are for this host.
    pub(super) fn owns(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.has(ip) && (self.first.contains(&ip) || self.further.contains(&ip))
    }

    /// Whether the host has addresses of that one's family, beside its loopback's.
    pub(super) const fn has(&self, ip: IpAddr) -> bool {
        self.families[ip.is_ipv6() as usize]
    }

    pub(super) fn set_families(&mut self, now: Instant, families: [bool; 2]) {
        self.families = families;
        self.change(now);
    }

    /// The one that a packet to `peer` leaves from.
    pub(super) const fn towards(&self, peer: IpAddr) -> IpAddr {
        match peer {
            IpAddr::V4(v4) if v4.is_loopback() => peer,
            IpAddr::V6(v6) if v6.is_loopback() => peer,
            IpAddr::V4(_) => self.first[0],
            IpAddr::V6(_) => self.first[1],
        }
    }

    pub(super) fn add(&mut self, now: Instant, addresses: [IpAddr; 2]) {
        self.further.extend(addresses);
        self.change(now);
    }

    pub(super) fn replace(&mut self, now: Instant, addresses: [IpAddr; 2]) {
        self.first = addresses;
        self.further.clear();
        self.change(now);
    }

    pub(super) fn set_unlisted(&mut self, now: Instant) {
        self.unlisted = true;
        self.change(now);
    }

    pub(super) fn set_plugged(&mut self, now: Instant, plugged: bool) {
        self.unplugged = !plugged;
        self.change(now);
    }

    /// A port asks; what it is told at once.
    pub(super) fn open(&mut self, port: PortId) -> Addrs {
        if self.ports.is_empty() {
            (self.told, self.due) = (self.list(), None);
        }
        self.ports.insert(port, ());
        self.told.clone()
    }

    pub(super) fn close(&mut self, port: PortId) {
        self.ports.remove(port);
        self.due = self.due.filter(|_| !self.ports.is_empty());
    }

    /// When [`Self::take_news`] may have something to tell.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The list, if it is time to tell a new one, and the ports to be told.
    pub(super) fn take_news(&mut self, now: Instant) -> Option<(Addrs, Vec<PortId>)> {
        self.due.take_if(|due| *due <= now)?;
        let list = self.list();
        if self.told == list {
            return None;
        }
        self.told.clone_from(&list);
        Some((list, self.ports.keys().collect()))
    }

    fn change(&mut self, now: Instant) {
        if !self.ports.is_empty() {
            self.due.get_or_insert(now + LAG);
        }
    }

    fn list(&self) -> Addrs {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let others =
            self.first.iter().chain(&self.further).filter(|ip| !self.unplugged && !self.unlisted && self.has(**ip));
        others.copied().chain(loopback).collect()
    }
}
