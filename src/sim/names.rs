//! Names: what they stand for, how their look-ups fail, and how long hosts believe an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::timeline::NodeId;
use crate::machine::port::{Addrs, Name, PortError};
use crate::machine::time::Instant;

/// A resolver that is not answered gives up: 5 s twice, as glibc's.
const PATIENCE: Duration = Duration::from_secs(10);
const DELAY: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Names {
    records: BTreeMap<Name, Record>,
    caches: BTreeMap<(NodeId, Name), (Addrs, Instant)>,
    delay: Duration,
}

#[derive(Debug, Default)]
struct Record {
    addresses: Addrs,
    is_silent: bool,
    life: Duration,
}

impl Names {
    pub(super) const fn new() -> Self {
        Self { records: BTreeMap::new(), caches: BTreeMap::new(), delay: DELAY }
    }

    pub(super) fn set(&mut self, name: &str, addresses: Addrs) {
        let record = self.records.entry(name.to_owned()).or_default();
        (record.addresses, record.is_silent) = (addresses, false);
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.records.remove(name);
    }

    pub(super) fn silence(&mut self, name: &str) {
        self.records.entry(name.to_owned()).or_default().is_silent = true;
    }

    pub(super) fn set_life(&mut self, name: &str, life: Duration) {
        self.records.entry(name.to_owned()).or_default().life = life;
    }

    pub(super) const fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// How long a look-up by that host takes.
    pub(super) fn takes(&self, now: Instant, host: NodeId, name: &Name) -> Duration {
        let is_silent = self.records.get(name).is_some_and(|record| record.is_silent);
        if is_silent && self.cached(now, host, name).is_none() { PATIENCE } else { self.delay }
    }

    /// What that host is told. An address means itself.
    pub(super) fn look_up(&mut self, now: Instant, host: NodeId, name: &Name) -> Result<Addrs, PortError> {
        if let Ok(address) = name.parse() {
            return Ok(Addrs::from_slice(&[address]));
        }
        if let Some(addresses) = self.cached(now, host, name) {
            return Ok(addresses.clone());
        }
        let (addresses, life) = match self.records.get(name) {
            Some(record) if record.is_silent => return Err(PortError::TimedOut),
            Some(record) if !record.addresses.is_empty() => (record.addresses.clone(), record.life),
            _ => return Err(PortError::NameNotFound),
        };
        if life > Duration::ZERO {
            self.caches.insert((host, name.clone()), (addresses.clone(), now + life));
        }
        Ok(addresses)
    }

    fn cached(&self, now: Instant, host: NodeId, name: &Name) -> Option<&Addrs> {
        let (addresses, until) = self.caches.get(&(host, name.clone()))?;
        (now < *until).then_some(addresses)
    }

    /// A host that starts anew remembers nothing.
    pub(super) fn clear(&mut self, host: NodeId) {
        self.caches.retain(|(owner, _), _| *owner != host);
    }
}
