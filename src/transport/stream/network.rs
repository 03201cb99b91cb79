//! What a dialled link hears of its host's own addresses.
//!
//! The list is a port of its own ([`PortSpec::Addresses`]), open from the transport's start to its end. Only the
//! difference from the list before it matters: an address that has gone takes along what was connected from it, and
//! one that is new is a reason to dial. The first list is no news. An environment that has no such list refuses the
//! port, and nothing is heard.

use crate::machine::Cx;
use crate::machine::ids::PortId;
use crate::machine::port::{Addrs, PortChange, PortRequest, PortSpec};

use super::super::Outbox;

/// The addresses of this host, as far as the environment tells.
#[derive(Debug, Default)]
pub(super) struct Network {
    port: Option<PortId>,
    known: Option<Box<Addrs>>,
}

/// How one list differs from that before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    /// Addresses that the host has no longer.
    pub(super) lost: Addrs,
    /// There is one that it had not.
    pub(super) gained: bool,
    /// It had no address before but those of its loopback.
    pub(super) was_cut_off: bool,
}

impl Moved {
    /// Whether a dial that began before has little to hope for.
    pub(super) fn overtakes_dials(&self) -> bool {
        !self.lost.is_empty() || self.gained && self.was_cut_off
    }
}

impl Network {
    pub(super) fn start(&mut self, cx: &mut Cx<'_>, outbox: &mut Outbox) {
        self.stop(outbox);
        let port = cx.ids.port();
        self.port = Some(port);
        outbox.request(port, PortRequest::Open(PortSpec::Addresses));
    }

    pub(super) fn stop(&mut self, outbox: &mut Outbox) {
        self.known = None;
        if let Some(port) = self.port.take() {
            outbox.request(port, PortRequest::Abort);
        }
    }

    pub(super) fn owns(&self, port: PortId) -> bool {
        self.port == Some(port)
    }

    /// Takes in what became of its port.
    pub(super) fn on_port(&mut self, change: PortChange) -> Option<Moved> {
        match change {
            PortChange::Addresses(list) => self.on_list(list),
            PortChange::Failed(_) | PortChange::Closed => {
                *self = Self::default();
                None
            }
            PortChange::Opened { .. } | PortChange::Accepted { .. } | PortChange::Resolved(_) | PortChange::Eof => None,
        }
    }

    fn on_list(&mut self, list: Addrs) -> Option<Moved> {
        let before = self.known.replace(Box::new(list))?;
        let now = self.known.as_deref()?;
        let lost: Addrs = before.iter().filter(|address| !now.contains(address)).copied().collect();
        let gained = now.iter().any(|address| !before.contains(address));
        let was_cut_off = before.iter().all(|address| address.is_loopback());
        Some(Moved { lost, gained, was_cut_off })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> PortChange {
        PortChange::Addresses(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }

    #[test]
    fn the_first_list_is_no_news_and_the_next_is_compared_with_it() {
        let mut network = Network::default();
        assert_eq!(network.on_port(list(&["::1"])), None);
        let moved = network.on_port(list(&["10.0.0.1", "::1"])).unwrap();
        assert_eq!(moved, Moved { lost: Addrs::new(), gained: true, was_cut_off: true });
        assert!(moved.overtakes_dials());
        let moved = network.on_port(list(&["::1", "10.0.0.1", "10.0.0.2"])).unwrap();
        assert!(moved.gained && !moved.overtakes_dials());
        let moved = network.on_port(list(&["::1", "10.0.0.2"])).unwrap();
        assert!(!moved.gained && moved.overtakes_dials());
        assert_eq!(moved.lost[..], ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    }
}
