//! Peers that may have something to send, by the port that it leaves on.
//!
//! A port that is filled asks them by turns: one batch, then the next peer's, so that none waits for another's bulk.

use crate::machine::ids::{PortId, Table};
use crate::machine::queue::ReadyList;
use crate::transport::PeerId;

#[derive(Debug, Default)]
pub(super) struct Turns {
    lanes: Table<PortId, Lane>,
    ready: ReadyList<PortId>,
}

#[derive(Debug, Default)]
struct Lane {
    peers: ReadyList<PeerId>,
    /// Whether the port is being filled, or was told to be.
    is_told: bool,
}

impl Turns {
    /// A peer may have something for a port; it is asked after those that are there already.
    pub(super) fn push(&mut self, port: PortId, peer: PeerId) {
        if !self.lanes.contains(port) {
            self.lanes.insert(port, Lane::default());
        }
        let Some(lane) = self.lanes.get_mut(port) else { return };
        lane.peers.push(peer);
        if !std::mem::replace(&mut lane.is_told, true) {
            self.ready.push(port);
        }
    }

    /// A port that has someone to ask since the last time that it had nobody: to be told as `Ready`.
    pub(super) fn pop_ready(&mut self) -> Option<PortId> {
        self.ready.pop()
    }

    /// Whose turn it is on a port; none: the port is done.
    pub(super) fn next(&mut self, port: PortId) -> Option<PeerId> {
        let lane = self.lanes.get_mut(port)?;
        let next = lane.peers.pop();
        lane.is_told = next.is_some();
        next
    }

    /// The port is gone.
    pub(super) fn forget(&mut self, port: PortId) {
        self.lanes.remove(port);
        self.ready.remove(port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ids::{Ids, Slab};

    #[test]
    fn a_port_is_ready_once_until_nobody_has_a_turn_and_peers_take_turns() {
        let (mut turns, port, mut ids) = (Turns::default(), Ids::new().port(), Slab::default());
        let (one, other): (PeerId, PeerId) = (ids.take(), ids.take());
        for peer in [one, other, one] {
            turns.push(port, peer);
        }
        assert_eq!((turns.pop_ready(), turns.pop_ready()), (Some(port), None));
        assert_eq!(turns.next(port), Some(one));
        turns.push(port, one);
        assert_eq!([turns.next(port), turns.next(port), turns.next(port)], [Some(other), Some(one), None]);
        assert_eq!(turns.pop_ready(), None);
        turns.push(port, other);
        assert_eq!(turns.pop_ready(), Some(port));
    }

    #[test]
    fn a_port_that_is_gone_is_not_told_of() {
        let (mut turns, port) = (Turns::default(), Ids::new().port());
        turns.push(port, Slab::default().take());
        turns.forget(port);
        assert_eq!((turns.pop_ready(), turns.next(port)), (None, None));
    }
}
