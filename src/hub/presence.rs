//! Who is told when an endpoint comes and goes.

use std::collections::{BTreeMap, BTreeSet};

use super::core::Core;
use super::event::Event;
use crate::machine::ids::LinkId;
use crate::wire::frame::Frame;
use crate::wire::identity::{Address, EndpointId, Instance};

/// Links that want to hear of endpoints. Bounded per link by
/// [`Limits::watches`](crate::machine::limits::Limits::watches); a wish beyond that is dropped.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_id: BTreeMap<EndpointId, BTreeSet<LinkId>>,
    by_link: BTreeMap<LinkId, BTreeSet<EndpointId>>,
}

impl Watchers {
    /// Adds a wish; false: the link has as many as it may.
    fn add(&mut self, id: EndpointId, link: LinkId, limit: usize) -> bool {
        let wishes = self.by_link.entry(link).or_default();
        if wishes.len() >= limit && !wishes.contains(&id) {
            return false;
        }
        wishes.insert(id);
        self.by_id.entry(id).or_default().insert(link);
        true
    }

    /// Takes a wish back.
    pub(super) fn remove(&mut self, id: EndpointId, link: LinkId) {
        if let Some(wishes) = self.by_link.get_mut(&link) {
            wishes.remove(&id);
            if wishes.is_empty() {
                self.by_link.remove(&link);
            }
        }
        let Some(links) = self.by_id.get_mut(&id) else { return };
        links.remove(&link);
        if links.is_empty() {
            self.by_id.remove(&id);
        }
    }

    /// The link is gone, its wishes with it.
    pub(super) fn forget(&mut self, link: LinkId) {
        for id in self.by_link.remove(&link).unwrap_or_default() {
            self.remove(id, link);
        }
    }

    fn of(&self, id: EndpointId) -> Vec<LinkId> {
        self.by_id.get(&id).map(|links| links.iter().copied().collect()).unwrap_or_default()
    }
}

impl Core {
    /// The newest process of an endpoint that is linked to us.
    pub(super) fn present(&self, id: EndpointId) -> Option<Address> {
        let link = self.neighbours.get(&id)?.last()?;
        self.links.get(*link)?.address()
    }

    pub(super) fn on_watch(&mut self, link: LinkId, id: EndpointId) {
        if !self.policy.relays() || !self.watchers.add(id, link, self.limits.watches) {
            self.statistics.dropped_frames += 1;
            return;
        }
        self.tell_presence(id, &[link]);
    }

    /// An endpoint has come, has gone, or has another newest process.
    pub(super) fn presence_changed(&mut self, id: EndpointId) {
        self.tell_presence(id, &self.watchers.of(id));
    }

    fn tell_presence(&mut self, id: EndpointId, links: &[LinkId]) {
        let address = self.present(id).unwrap_or_else(|| Address::from(id));
        for link in links {
            self.push(*link, &Frame::Presence(address));
        }
    }

    /// Only who was asked is believed.
    pub(super) fn on_presence(&mut self, from: LinkId, address: Address) {
        if !self.sessions.watched.contains(&address.id) || !self.relays().contains(&from) {
            self.statistics.dropped_frames += 1;
            return;
        }
        let instance = Some(address.instance).filter(|instance| *instance != Instance::NEWEST);
        self.event(Event::Presence { id: address.id, instance });
    }

    pub(super) fn watch(&mut self, id: EndpointId) {
        if self.sessions.watched.insert(id)
            && let Some(relay) = self.default_relay()
        {
            self.push(relay, &Frame::Watch(id));
        }
    }

    pub(super) fn unwatch(&mut self, id: EndpointId) {
        if self.sessions.watched.remove(&id) {
            for relay in self.relays() {
                self.push(relay, &Frame::Unwatch(id));
            }
        }
    }

    /// A relay has come: it is asked what the others were asked.
    pub(super) fn watch_again(&mut self, relay: LinkId) {
        if !self.relays().contains(&relay) {
            return;
        }
        for id in self.sessions.watched.clone() {
            self.push(relay, &Frame::Watch(id));
        }
    }
}
