//! What changes while sessions stand: upgrades, networks, the application's wishes.

use super::{Direct, Order, Upgrades};
use crate::hub::core::Core;
use crate::hub::session::event::PathPolicy;
use crate::hub::{SessionId, TransportId};
use crate::machine::time::Instant;
use crate::transport::upgrade::PeerEnd;
use crate::wire::identity::EndpointId;
use crate::wire::outlook::Outlook;
use crate::wire::signal::Signal;

impl Core {
    pub(super) fn upgrade_is_here(&mut self, now: Instant, transport: TransportId) {
        (self.upgrades.transport, self.upgrades.leaving) = (Some(transport), false);
        let relays: Vec<_> = self.servers.given().map(|(relay, _)| relay).collect();
        relays.into_iter().for_each(|relay| self.servers_for_upgrade(relay));
        self.want_servers();
        let ids: Vec<_> = self.sessions.ids().collect();
        for id in ids {
            self.ask_again(now, id);
        }
    }

    /// The upgrade goes, or has gone: its peers end.
    pub(in crate::hub) fn upgrade_leaves(&mut self, now: Instant, transport: TransportId) {
        if self.upgrades.transport != Some(transport) {
            return;
        }
        self.upgrades.leaving = true;
        for id in self.upgrades.sessions.clone() {
            self.drop_attempt(now, id, PeerEnd::Closed, None);
            if let Some(direct) = self.direct_mut(id) {
                direct.retry = None;
            }
            self.sessions.set_deadline(id);
        }
    }

    /// It has gone.
    pub(in crate::hub) fn upgrade_is_gone(&mut self, now: Instant, transport: TransportId) {
        self.upgrade_leaves(now, transport);
        if self.upgrades.transport == Some(transport) {
            self.upgrades = Upgrades::default();
        }
    }

    /// A relay has given servers: they are the upgrade's.
    pub(in crate::hub) fn servers_for_upgrade(&mut self, relay: EndpointId) {
        if self.upgrades.transport.is_some() {
            self.upgrades.orders.push_back(Order::Servers { relay });
        }
    }

    /// Ways out have come or changed: what has failed may work now.
    pub(super) fn news_of_network(&mut self, now: Instant) {
        for id in self.upgrades.sessions.clone() {
            self.ask_again(now, id);
        }
    }

    /// Tries again if it is ours to do so, else asks the other side to.
    pub(in crate::hub) fn ask_again(&mut self, now: Instant, id: SessionId) {
        let Some(entry) = self.sessions.get(id).filter(|entry| self.may_be_direct(entry)) else { return };
        if entry.initiator || self.attempt(id).is_some() {
            return self.try_again(now, id);
        }
        self.send_signal(now, id, Signal::Restart { attempt: u32::MAX }.encode());
    }

    /// What is known of our ways out, now; told to those with whom an attempt is under way.
    pub(super) fn on_outlook(&mut self, now: Instant, outlook: Outlook, moves: u64) {
        let before = std::mem::replace(&mut self.upgrades.outlook, outlook);
        let moved = std::mem::replace(&mut self.upgrades.moves, moves) != moves;
        if before == outlook && !moved {
            return;
        }
        for id in self.upgrades.sessions.clone() {
            self.tell_outlook(now, id);
        }
        if !moved && before.policy == outlook.policy {
            return;
        }
        // An attempt that is under way takes its part in it.
        let idle = |id: &SessionId| self.attempt(*id).is_none();
        let ids: Vec<_> = self.upgrades.sessions.iter().copied().filter(idle).collect();
        for id in ids {
            self.ask_again(now, id);
        }
    }

    pub(super) fn tell_outlook(&mut self, now: Instant, id: SessionId) {
        let outlook = self.upgrades.outlook;
        let Some(number) = self.attempt(id).filter(|attempt| !attempt.is_up()).map(|attempt| attempt.number) else {
            return;
        };
        let Some(direct) = self.direct_mut(id).filter(|direct| direct.told != Some(outlook)) else { return };
        direct.told = Some(outlook);
        self.send_signal(now, id, Signal::Outlook { attempt: number, outlook }.encode());
    }

    /// The application has another wish for the paths of a session.
    pub(in crate::hub) fn on_policy(&mut self, now: Instant, id: SessionId, policy: PathPolicy) {
        if policy == PathPolicy::RelayOnly {
            self.drop_attempt(now, id, PeerEnd::Closed, None);
            self.seek_direct(now, id);
        } else {
            self.ask_again(now, id);
        }
    }

    /// A session has ended.
    pub(in crate::hub) fn forget_direct(&mut self, id: SessionId, direct: Option<&Direct>) {
        self.upgrades.sessions.remove(&id);
        let Some(attempt) = direct.and_then(|direct| direct.attempt.as_ref()) else { return };
        if let Some((bulk, quick)) = attempt.links {
            self.upgrades.links.remove(bulk);
            self.upgrades.links.remove(quick);
        }
        self.upgrades.orders.push_back(Order::Close { session: id, number: attempt.number, ending: None });
    }
}
