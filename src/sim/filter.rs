//! What NATs and firewalls have in common: on what a decision depends, and state that lasts while it is used.
//!
//! Expiry costs a packet one comparison: each entry is once in a heap, under the moment at which it would expire if
//! it were never used again. Use moves the entry's own moment only; when the heap's comes, the entry is gone or goes
//! back in under its new one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::machine::time::Instant;

/// What RFC 4787, REQ-5 asks of a UDP mapping at least (c recommends 5 minutes).
pub(super) const UDP_EXPIRY: Duration = Duration::from_secs(120);
/// What RFC 5382, REQ-5 asks of an established TCP connection at least: 2 hours 4 minutes.
pub(super) const TCP_EXPIRY: Duration = Duration::from_secs(7_440);

/// What NATs and firewalls tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Protocol {
    Udp,
    Tcp,
}

/// On what of the other end a mapping or a filter depends (RFC 4787, sections 4.1 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependence {
    /// On nothing: the same for all.
    EndpointIndependent,
    /// On its address, whatever the port.
    AddressDependent,
    /// On its address and port.
    AddressAndPortDependent,
}

impl Dependence {
    /// All of them, from the most open to the closest.
    pub const ALL: [Self; 3] = [Self::EndpointIndependent, Self::AddressDependent, Self::AddressAndPortDependent];

    /// What of `remote` counts.
    pub(super) fn of(self, remote: SocketAddr) -> Endpoint {
        match self {
            Self::EndpointIndependent => Endpoint { ip: 0, port: 0 },
            Self::AddressDependent => Endpoint { port: 0, ..Endpoint::from(remote) },
            Self::AddressAndPortDependent => remote.into(),
        }
    }
}

/// Which packets start the time of expiry anew (RFC 4787, REQ-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refresh {
    /// Those that go out, as REQ-6 demands.
    Outbound,
    /// Those that come in and are let in; the packet that makes the entry counts once.
    Inbound,
    /// Both.
    Both,
}

impl Refresh {
    pub(super) const fn outbound(self) -> bool {
        matches!(self, Self::Outbound | Self::Both)
    }

    pub(super) const fn inbound(self) -> bool {
        matches!(self, Self::Inbound | Self::Both)
    }
}

/// An address and port as numbers, which compare faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    pub(super) ip: u128,
    pub(super) port: u16,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => 0xffff << 32 | u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        Self { ip, port: address.port() }
    }
}

/// A table whose entries last until a moment that can be moved. Whoever uses it drains [`Lasting::expire`] first.
#[derive(Debug)]
pub(super) struct Lasting<K, V> {
    entries: BTreeMap<K, (Instant, V)>,
    order: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Ord + Copy, V> Lasting<K, V> {
    pub(super) const fn new() -> Self {
        Self { entries: BTreeMap::new(), order: BinaryHeap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Adds an entry under a key that has none.
    pub(super) fn add(&mut self, key: K, value: V, until: Instant) {
        self.entries.insert(key, (until, value));
        self.order.push(Reverse((until, key)));
    }

    /// Lets the entry, if there is one, last until then, where `refreshes`; else it lasts as long as before.
    pub(super) fn touch(&mut self, key: &K, until: Instant, refreshes: bool) -> Option<&V> {
        let (last, value) = self.entries.get_mut(key)?;
        if refreshes {
            *last = until;
        }
        Some(value)
    }

    /// Takes out one entry whose moment has come.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(K, V)> {
        while let Some(&Reverse((at, key))) = self.order.peek()
            && at <= now
        {
            self.order.pop();
            let until = self.entries[&key].0;
            if until <= now {
                return self.entries.remove(&key).map(|(_, value)| (key, value));
            }
            self.order.push(Reverse((until, key)));
        }
        None
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }
}

/// To whom each owner, a mapping or an inside endpoint, has sent: whose packets it is let in.
#[derive(Debug)]
pub(super) struct Contacts<O>(Lasting<(O, Endpoint), ()>);

impl<O: Ord + Copy> Contacts<O> {
    pub(super) const fn new() -> Self {
        Self(Lasting::new())
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while self.0.expire(now).is_some() {}
    }

    /// Remembers that something was sent; false where there is no room for a new contact.
    pub(super) fn sent(&mut self, to: (O, Endpoint), until: Instant, refreshes: bool, most: usize) -> bool {
        if self.0.touch(&to, until, refreshes).is_some() {
            return true;
        }
        let has_room = self.0.len() < most;
        if has_room {
            self.0.add(to, (), until);
        }
        has_room
    }

    /// Whether what comes from there is let in.
    pub(super) fn comes(&mut self, from: (O, Endpoint), until: Instant, refreshes: bool) -> bool {
        self.0.touch(&from, until, refreshes).is_some()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lasts_until_its_last_moment_and_not_longer() {
        let at = Instant::from_nanos;
        let mut table = Lasting::new();
        table.add('a', 1, at(10));
        table.add('b', 2, at(11));
        table.touch(&'a', at(20), true);
        assert_eq!(table.expire(at(10)), None);
        assert_eq!(table.expire(at(19)), Some(('b', 2)));
        assert_eq!(table.expire(at(19)), None);
        assert_eq!(table.get(&'a'), Some(&1));
        assert_eq!(table.expire(at(20)), Some(('a', 1)));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_touch_that_does_not_refresh_changes_no_moment() {
        let mut table = Lasting::new();
        table.add('a', 1, Instant::from_nanos(10));
        assert_eq!(table.touch(&'a', Instant::from_nanos(20), false), Some(&1));
        assert_eq!(table.expire(Instant::from_nanos(10)), Some(('a', 1)));
    }

    #[test]
    fn an_entry_in_use_is_once_in_the_order() {
        let mut table = Lasting::new();
        table.add('a', 1, Instant::from_nanos(10));
        for now in 0..10_000 {
            assert_eq!(table.expire(Instant::from_nanos(now)), None);
            table.touch(&'a', Instant::from_nanos(now + 10), true);
        }
        assert_eq!(table.order.len(), 1);
    }
}
