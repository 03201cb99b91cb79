//! What lies between hosts: an event queue, paths with delay, rate and cuts, and names.
//!
//! A path keeps the order. What meets a cut, or a host that is down, and would be sent again by a real host
//! (data, ends of streams) is held and goes on when the way is open again, if its sender still lives; anything
//! else is lost. So a stream goes on at once after a heal, not after a retransmission timer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::HostId;
use super::packet::{Key, Packet};
use super::sockets::{Sent, Ticket};
use crate::machine::port::{Addrs, Name, PortError};
use crate::machine::time::Instant;

/// From a host to itself.
const LOOPBACK: Duration = Duration::from_micros(1);
const DEFAULT_DELAY: Duration = Duration::from_millis(10);
const RESOLVER_DELAY: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Network {
    up: Vec<bool>,
    by_address: BTreeMap<IpAddr, HostId>,
    paths: BTreeMap<(HostId, HostId), Path>,
    names: BTreeMap<Name, Addrs>,
    default_delay: Duration,
    resolver_delay: Duration,
    queue: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    held: BTreeMap<u64, (HostId, HostId, Packet)>,
}

#[derive(Debug, Default)]
struct Path {
    delay: Option<Duration>,
    rate: Option<u64>,
    cut: bool,
    free: Instant,
    last: Instant,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    sequence: u64,
    to: HostId,
    arrival: Arrival,
}

/// What comes to a host.
#[derive(Debug)]
pub(super) enum Arrival {
    Packet(HostId, Packet),
    Answer(Ticket, Name),
    Wake(Ticket),
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl Arrival {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Packet(_, packet) => packet.name(),
            Self::Answer(..) => "look-up",
            Self::Wake(_) => "pipe",
        }
    }

    pub(super) const fn size(&self) -> usize {
        match self {
            Self::Packet(_, packet) => packet.size(),
            Self::Answer(..) | Self::Wake(_) => 0,
        }
    }
}

impl Network {
    pub(super) fn new() -> Self {
        Self {
            up: Vec::new(),
            by_address: BTreeMap::new(),
            paths: BTreeMap::new(),
            names: BTreeMap::new(),
            default_delay: DEFAULT_DELAY,
            resolver_delay: RESOLVER_DELAY,
            queue: BinaryHeap::new(),
            sequence: 0,
            held: BTreeMap::new(),
        }
    }

    /// Makes room for one more host.
    pub(super) fn add_host(&mut self) -> HostId {
        let id = HostId(self.up.len() as u32);
        self.up.push(true);
        for address in addresses(id) {
            self.by_address.insert(address, id);
        }
        id
    }

    pub(super) fn set_name(&mut self, name: &str, addresses: Addrs) {
        self.names.insert(name.to_owned(), addresses);
    }

    pub(super) fn forget_name(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// What a name means; an address means itself.
    pub(super) fn look_up(&self, name: &str) -> Result<Addrs, PortError> {
        if let Ok(address) = name.parse() {
            return Ok(Addrs::from_slice(&[address]));
        }
        match self.names.get(name) {
            Some(addresses) if !addresses.is_empty() => Ok(addresses.clone()),
            _ => Err(PortError::NameNotFound),
        }
    }

    pub(super) const fn set_default_delay(&mut self, delay: Duration) {
        self.default_delay = delay;
    }

    pub(super) const fn set_resolver_delay(&mut self, delay: Duration) {
        self.resolver_delay = delay;
    }

    pub(super) fn set_delay(&mut self, a: HostId, b: HostId, delay: Duration) {
        self.update(a, b, |path| path.delay = Some(delay));
    }

    pub(super) fn set_rate(&mut self, a: HostId, b: HostId, rate: u64) {
        self.update(a, b, |path| path.rate = Some(rate.max(1)));
    }

    pub(super) fn set_cut(&mut self, a: HostId, b: HostId, cut: bool) {
        self.update(a, b, |path| path.cut = cut);
    }

    pub(super) fn set_up(&mut self, host: HostId, up: bool) {
        if let Some(state) = self.up.get_mut(host.index()) {
            *state = up;
        }
    }

    pub(super) fn is_barred(&self, from: HostId, to: HostId) -> bool {
        let cut = self.paths.get(&(from, to)).is_some_and(|path| path.cut);
        cut || !self.up.get(to.index()).is_some_and(|up| *up)
    }

    /// Puts what a host wants on its way.
    pub(super) fn send(&mut self, now: Instant, from: HostId, sent: Sent) {
        match sent {
            Sent::Packet(packet) => self.send_packet(now, from, packet),
            Sent::Lookup(ticket, name) => {
                self.push(now + self.resolver_delay, from, Arrival::Answer(ticket, name));
            }
            Sent::Wake(ticket) => self.push(now + LOOPBACK, from, Arrival::Wake(ticket)),
        }
    }

    /// Sends on what was held and is no longer, unless its sender has forgotten it. What is still under way on the
    /// same path left later, so it comes later.
    pub(super) fn release(&mut self, now: Instant, mut lives: impl FnMut(HostId, Key) -> bool) {
        let held = std::mem::take(&mut self.held);
        let (held, mut free): (BTreeMap<_, _>, BTreeMap<_, _>) =
            held.into_iter().partition(|(_, (from, to, _))| self.is_barred(*from, *to));
        self.held = held;
        free.retain(|_, (from, _, packet)| packet.sender().is_none_or(|key| lives(*from, key)));
        let paths: BTreeSet<_> = free.values().map(|(from, to, _)| (*from, *to)).collect();
        for Reverse(entry) in std::mem::take(&mut self.queue) {
            match entry.arrival {
                Arrival::Packet(from, packet) if paths.contains(&(from, entry.to)) => {
                    free.insert(entry.sequence, (from, entry.to, packet));
                }
                _ => self.queue.push(Reverse(entry)),
            }
        }
        for (from, to, packet) in free.into_values() {
            self.dispatch(now, from, to, packet);
        }
    }

    /// When the next thing is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes out what is due at `now`, or nothing if that met a cut.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(HostId, Arrival)> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse(Entry { sequence, to, arrival, .. }) = self.queue.pop()?;
        match arrival {
            Arrival::Packet(from, packet) if self.is_barred(from, to) => {
                self.hold(sequence, from, to, packet);
                None
            }
            arrival => Some((to, arrival)),
        }
    }

    /// Takes out what is due at `now` if it is for that host too.
    pub(super) fn pop_more(&mut self, now: Instant, host: HostId) -> Option<Arrival> {
        let Reverse(next) = self.queue.peek()?;
        if next.at > now || next.to != host {
            return None;
        }
        self.pop(now).map(|(_, arrival)| arrival)
    }

    /// Packets that wait for a heal.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    fn update(&mut self, a: HostId, b: HostId, change: impl Fn(&mut Path)) {
        for pair in [(a, b), (b, a)] {
            change(self.paths.entry(pair).or_default());
        }
    }

    fn send_packet(&mut self, now: Instant, from: HostId, packet: Packet) {
        let address = packet.destination.ip();
        let to = if address.is_loopback() { Some(from) } else { self.by_address.get(&address).copied() };
        let Some(to) = to else { return };
        if self.is_barred(from, to) {
            self.sequence += 1;
            return self.hold(self.sequence, from, to, packet);
        }
        self.dispatch(now, from, to, packet);
    }

    fn hold(&mut self, sequence: u64, from: HostId, to: HostId, packet: Packet) {
        if packet.is_repeated() {
            self.held.insert(sequence, (from, to, packet));
        }
    }

    fn dispatch(&mut self, now: Instant, from: HostId, to: HostId, packet: Packet) {
        let usual = if from == to { LOOPBACK } else { self.default_delay };
        let path = self.paths.entry((from, to)).or_default();
        if let Some(rate) = path.rate {
            let nanos = packet.size() as u128 * 1_000_000_000 / u128::from(rate);
            path.free = path.free.max(now) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        let left = path.free.max(now);
        path.last = path.last.max(left + path.delay.unwrap_or(usual));
        let at = path.last;
        self.push(at, to, Arrival::Packet(from, packet));
    }

    fn push(&mut self, at: Instant, to: HostId, arrival: Arrival) {
        self.sequence += 1;
        self.queue.push(Reverse(Entry { at, sequence: self.sequence, to, arrival }));
    }
}

/// The addresses of a host: 10.0.0.1 and `fd00::1` for the first.
pub(super) const fn addresses(host: HostId) -> [IpAddr; 2] {
    let n = host.0 + 1;
    let [_, x, y, z] = n.to_be_bytes();
    let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, (n >> 16) as u16, n as u16);
    [IpAddr::V4(Ipv4Addr::new(10, x, y, z)), IpAddr::V6(v6)]
}
