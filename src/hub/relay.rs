//! Passing on what is for others.
//!
//! A route over a relay is two numbers: the one that the relay has allotted to the side that opened it, and the one
//! that it has allotted to the side that was opened. Each stands for the link and the number that data goes out by,
//! so a packet costs one look-up and one copy. A packet that exceeds its sender's quota, or that does not fit what
//! may wait for its receiver, is dropped and counted: the relay pauses nobody.

use super::core::Core;
use super::routes::{Forward, Target};
use crate::machine::Cx;
use crate::machine::ids::LinkId;
use crate::machine::time::Instant;
use crate::wire::frame::{Frame, Unreachable};
use crate::wire::identity::{Address, EndpointId, Instance};

impl Core {
    /// Passes one packet on. Never asks the sender to wait.
    pub(super) fn forward(&mut self, now: Instant, from: LinkId, forward: Forward, packet: &[u8]) {
        let Some(sender) = self.links.get(from).and_then(|link| link.neighbour()) else { return };
        // What is no packet of any session would not fit the receiver's link, which would hold us guilty.
        if packet.len() > self.limits.packet {
            self.statistics.dropped_large += 1;
            return;
        }
        if !self.accounts.pass(now, sender.address.id, packet.len()) {
            self.statistics.dropped_quota += 1;
            return;
        }
        let Some(link) = self.links.get_mut(forward.link) else { return };
        if !link.packets.push(forward.route, packet, self.limits.forward) {
            self.statistics.dropped_full += 1;
            return;
        }
        self.statistics.forwarded_packets += 1;
        self.statistics.forwarded_bytes += packet.len() as u64;
        self.wake(forward.link);
    }

    /// A neighbour wants a route: to us, or through us.
    pub(super) fn on_open(&mut self, cx: &mut Cx<'_>, id: LinkId, route: u32, to: Address, from: Address, hops: u8) {
        let Some(neighbour) = self.links.get(id).and_then(|link| link.neighbour()) else { return };
        if neighbour.address != from && !neighbour.relays {
            return self.misbehaved(cx.now, id, super::event::Misbehaved::Source);
        }
        if to.id == self.address().id && [self.address().instance, Instance::NEWEST].contains(&to.instance) {
            return self.open_here(cx.now, id, route, from);
        }
        match self.open_through(id, to, hops) {
            Ok(out) => self.pass_open_on(cx.now, id, out, Frame::Open { route, to, from, hops }),
            Err(reason) => self.refuse_route(id, route, reason),
        }
    }

    fn open_here(&mut self, now: Instant, id: LinkId, theirs: u32, from: Address) {
        let most = self.limits.routes;
        let Some(link) = self.links.get_mut(id) else { return };
        if link.routes.len() >= most {
            return self.refuse_route(id, theirs, Unreachable::Quota);
        }
        let ours = link.routes.insert(Target::Fresh { from, theirs });
        self.expect(now + self.limits.handshake_time, id, ours);
        let from = self.address();
        self.push(id, &Frame::Opened { route: theirs, yours: ours, from });
    }

    /// The link that a route shall leave on, if this neighbour may have it.
    fn open_through(&self, id: LinkId, to: Address, hops: u8) -> Result<LinkId, Unreachable> {
        if !self.policy.relays() {
            return Err(Unreachable::NotARelay);
        }
        let link = self.links.get(id).ok_or(Unreachable::LinkDown)?;
        if link.routes.len() >= self.limits.routes {
            return Err(Unreachable::Quota);
        }
        if let Some(found) = self.links_to(to, id) {
            return found.ok_or(Unreachable::Instance);
        }
        let next = self.default_relay().filter(|next| *next != id).ok_or(Unreachable::Unknown)?;
        if hops == 0 { Err(Unreachable::Hops) } else { Ok(next) }
    }

    /// The link to a neighbour that carries the fewest routes; the outer `None`: nobody of that id is there.
    fn links_to(&self, to: Address, except: LinkId) -> Option<Option<LinkId>> {
        let links = self.neighbours.get(&to.id)?;
        let wanted = if to.instance == Instance::NEWEST { self.present(to.id)?.instance } else { to.instance };
        let fits = |link: &&LinkId| {
            **link != except
                && self.links.get(**link).and_then(|link| link.address()).is_some_and(|at| at.instance == wanted)
        };
        let load = |link: &&LinkId| self.links.get(**link).map_or(0, |link| link.routes.len());
        Some(links.iter().filter(fits).min_by_key(load).copied())
    }

    fn pass_open_on(&mut self, now: Instant, id: LinkId, out: LinkId, open: Frame<'_>) {
        let Frame::Open { route, to, from, hops } = open else { return };
        let most = self.limits.routes;
        let Some(payer) = self.payer(id) else { return };
        let full = self.links.get(out).is_none_or(|link| link.routes.len() >= most);
        if full || !self.accounts.add_session(payer) {
            return self.refuse_route(id, route, Unreachable::Quota);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        let near = link.routes.insert(Target::Opening(Forward { link: out, route: 0, twin: 0, payer }));
        let Some(link) = self.links.get_mut(out) else { return };
        let far = link.routes.insert(Target::Forward(Forward { link: id, route, twin: near, payer }));
        if let Some(link) = self.links.get_mut(id) {
            link.routes.set(near, Target::Opening(Forward { link: out, route: 0, twin: far, payer }));
        }
        self.statistics.routes += 2;
        self.expect(now + self.limits.handshake_time, id, near);
        self.push(out, &Frame::Open { route: far, to, from, hops: hops.saturating_sub(1) });
    }

    fn payer(&self, id: LinkId) -> Option<EndpointId> {
        Some(self.links.get(id)?.neighbour()?.address.id)
    }

    /// The side that was opened has answered.
    pub(super) fn forward_opened(&mut self, id: LinkId, back: Forward, theirs: u32, from: Address) {
        let Some(link) = self.links.get_mut(back.link) else { return };
        let Some(Target::Opening(forward)) = link.routes.get(back.twin) else { return };
        debug_assert_eq!(forward.link, id);
        link.routes.set(back.twin, Target::Forward(Forward { route: theirs, ..forward }));
        self.push(back.link, &Frame::Opened { route: back.route, yours: back.twin, from });
    }

    /// One direction of a route is gone from its link; the other one is ended too, and its side is told.
    pub(super) fn end_forward(&mut self, forward: Forward, reason: Unreachable) {
        self.statistics.routes = self.statistics.routes.saturating_sub(2);
        self.accounts.remove_session(forward.payer);
        let Some(link) = self.links.get_mut(forward.link) else { return };
        let frame = match link.routes.remove(forward.twin) {
            // The side that asked for it has not heard of it yet.
            Some(Target::Opening(_)) => Frame::Unreachable { route: forward.route, reason },
            // The side that was asked has not answered yet: there is no number to name.
            Some(Target::Forward(_)) if forward.route == 0 => return,
            Some(Target::Forward(_)) => Frame::CloseRoute { route: forward.route, reason },
            _ => return,
        };
        self.push(forward.link, &frame);
    }

    /// The links to relays, in the order of the priorities of their transports.
    pub(super) fn relays(&self) -> Vec<LinkId> {
        let mut relays: Vec<_> = self
            .links
            .iter()
            .filter_map(|(id, link)| {
                let priority = (*self.priorities.get(link.transport)?)?;
                link.neighbour().filter(|neighbour| neighbour.relays).map(|_| (priority, id))
            })
            .collect();
        relays.sort_by_key(|(priority, id)| (std::cmp::Reverse(*priority), *id));
        relays.into_iter().map(|(_, id)| id).collect()
    }

    /// Where what is for the unknown goes.
    pub(super) fn default_relay(&self) -> Option<LinkId> {
        self.relays().first().copied()
    }
}
