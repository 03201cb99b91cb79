//! The free external ports of one protocol, as ranges, so that the next free one is found without walking over those
//! in use.

use std::collections::BTreeMap;

/// The first port that is given out: those below belong to the gateway itself.
pub(super) const FIRST: u16 = 1024;
/// How many there are.
pub(super) const COUNT: u16 = u16::MAX - FIRST + 1;

/// First to last port of each free range; no two ranges touch.
#[derive(Debug)]
pub(super) struct FreePorts(BTreeMap<u16, u16>);

impl FreePorts {
    pub(super) fn new() -> Self {
        Self(BTreeMap::from([(FIRST, u16::MAX)]))
    }

    /// Takes the first free port at or after `wish`; those before it follow the last.
    pub(super) fn take(&mut self, wish: u16) -> Option<u16> {
        let around =
            self.0.range(..=wish).next_back().filter(|(_, last)| **last >= wish).map(|(first, _)| (*first, wish));
        let after = || self.0.range(wish..).next().map(|(first, _)| (*first, *first));
        let start = || self.0.first_key_value().map(|(first, _)| (*first, *first));
        let (first, port) = around.or_else(after).or_else(start)?;
        let last = self.0.remove(&first)?;
        if first < port {
            self.0.insert(first, port - 1);
        }
        if port < last {
            self.0.insert(port + 1, last);
        }
        Some(port)
    }

    /// Takes a port back that was taken.
    pub(super) fn give(&mut self, port: u16) {
        let last = port.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(port);
        let before = self.0.range(..port).next_back().filter(|(_, end)| **end + 1 == port);
        let first = before.map_or(port, |(first, _)| *first);
        self.0.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::rng::Rng;

    #[test]
    fn the_wish_is_granted_or_the_next_free_port_is() {
        let mut free = FreePorts::new();
        assert_eq!(free.take(5000), Some(5000));
        assert_eq!(free.take(5000), Some(5001));
        assert_eq!(free.take(4999), Some(4999));
        assert_eq!(free.take(4999), Some(5002));
        assert_eq!(free.take(65_535), Some(65_535));
        assert_eq!(free.take(65_535), Some(1024));
        assert_eq!(free.take(80), Some(1025));
        free.give(5001);
        assert_eq!(free.take(5000), Some(5001));
    }

    #[test]
    fn every_port_is_given_out_once_and_all_come_back_as_one_range() {
        let (mut free, mut rng, mut taken) = (FreePorts::new(), Rng::from_u64(1), Vec::new());
        while let Some(port) = free.take(rng.u32() as u16) {
            taken.push(port);
        }
        let mut sorted = taken.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(FIRST..=u16::MAX));
        taken.into_iter().for_each(|port| free.give(port));
        assert_eq!(free.0, BTreeMap::from([(FIRST, u16::MAX)]));
    }
}
