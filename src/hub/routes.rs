//! The routes of one link: what comes on it, by the number that we allotted.
//!
//! A number is an index into a dense table and a generation, so that what is still under way to a route that has
//! ended finds nothing, and not its successor.

use super::SessionId;
use super::session::event::PathId;
use crate::machine::ids::LinkId;
use crate::wire::identity::{Address, EndpointId};

const INDEX_BITS: u32 = 20;

/// Where data of one route goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Asked for by us; the neighbour has not answered yet.
    Asked(SessionId, PathId),
    /// Asked for by the neighbour for us; the first packet says for which session.
    Fresh {
        /// Who wants it, by the neighbour's word.
        from: Address,
        /// Where it wants data.
        theirs: u32,
    },
    /// A path of a session of ours.
    Path(SessionId, PathId),
    /// To be passed on.
    Forward(Forward),
    /// To be passed on once the other side has answered.
    Opening(Forward),
}

/// One direction of what a relay joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forward {
    /// The link that data goes out on.
    pub(super) link: LinkId,
    /// The route there, allotted by that neighbour; 0 while it has not answered.
    pub(super) route: u32,
    /// The other direction: the number on `link` that we allotted.
    pub(super) twin: u32,
    /// In whose account both are.
    pub(super) payer: EndpointId,
}

/// The routes of one link.
#[derive(Debug, Default)]
pub(super) struct Routes {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    target: Option<Target>,
}

impl Routes {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Allots a number.
    pub(super) fn insert(&mut self, target: Target) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 1, target: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.target = Some(target);
        slot.generation << INDEX_BITS | index
    }

    fn slot(&self, route: u32) -> Option<usize> {
        let index = (route & ((1 << INDEX_BITS) - 1)) as usize;
        let slot = self.slots.get(index)?;
        (slot.generation == route >> INDEX_BITS).then_some(index)
    }

    /// What a number stands for.
    pub(super) fn get(&self, route: u32) -> Option<Target> {
        self.slots[self.slot(route)?].target
    }

    /// Lets a number stand for something else.
    pub(super) fn set(&mut self, route: u32, target: Target) {
        if let Some(index) = self.slot(route) {
            self.slots[index].target = Some(target);
        }
    }

    /// Takes a number back.
    pub(super) fn remove(&mut self, route: u32) -> Option<Target> {
        let index = self.slot(route)?;
        let slot = &mut self.slots[index];
        let target = slot.target.take()?;
        // Never 0, which stands for a route that is not known yet.
        slot.generation = (slot.generation % ((1 << (32 - INDEX_BITS)) - 1)) + 1;
        self.free.push(index as u32);
        Some(target)
    }

    /// Takes all numbers out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Target> {
        self.free.clear();
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| slot.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::identity::Instance;

    fn target(theirs: u32) -> Target {
        Target::Fresh { from: Address { id: EndpointId([1; 32]), instance: Instance(1) }, theirs }
    }

    #[test]
    fn a_number_that_was_taken_back_finds_nothing() {
        let mut routes = Routes::default();
        let first = routes.insert(target(1));
        assert_eq!(routes.get(first), Some(target(1)));
        assert_eq!(routes.remove(first), Some(target(1)));
        let second = routes.insert(target(2));
        assert_ne!(first, second);
        assert_eq!((routes.get(first), routes.get(second), routes.len()), (None, Some(target(2)), 1));
    }

    #[test]
    fn a_number_never_allotted_finds_nothing() {
        assert_eq!(Routes::default().get(77), None);
    }

    #[test]
    fn generations_come_round_without_harm() {
        let mut routes = Routes::default();
        for n in 0..10_000 {
            let route = routes.insert(target(n));
            assert_eq!(routes.remove(route), Some(target(n)));
        }
        assert_eq!(routes.len(), 0);
    }
}
