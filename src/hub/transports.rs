//! The transports of a hub: who owns which port, who has something to say, and what becomes of each.
//!
//! One function, [`Hub::settle`], drains every transport that was touched, lets the core do what follows, and carries
//! the core's wishes back, until nobody has anything to say. Transports are found by lists; none is looked at that
//! has nothing to do.

use super::core::Lent;
use super::event::{Event, LinkEnd};
use super::{Hub, TransportId};
use crate::machine::buf::Buf;
use crate::machine::ids::PortId;
use crate::machine::port::{PortChange, PortRequest};
use crate::machine::{Cx, Fill, Input, Output};
use crate::transport::upgrade::Upgrade;
use crate::transport::{Transport, TransportCommand, TransportEvent};

/// A transport, and how far the application was told of it.
pub(super) struct Slot {
    transport: Carrier,
    announced: bool,
    removing: bool,
}

enum Carrier {
    Plain(Box<dyn Transport + Send>),
    Upgrade(Box<dyn Upgrade + Send>),
}

impl Slot {
    pub(super) const fn new(transport: Box<dyn Transport + Send>) -> Self {
        Self { transport: Carrier::Plain(transport), announced: false, removing: false }
    }

    pub(super) const fn upgrade(upgrade: Box<dyn Upgrade + Send>) -> Self {
        Self { transport: Carrier::Upgrade(upgrade), announced: false, removing: false }
    }

    fn transport(&mut self) -> &mut dyn Transport {
        match &mut self.transport {
            Carrier::Plain(transport) => transport,
            Carrier::Upgrade(upgrade) => upgrade,
        }
    }

    pub(super) fn as_upgrade(&self) -> Option<&(dyn Upgrade + Send)> {
        match &self.transport {
            Carrier::Plain(_) => None,
            Carrier::Upgrade(upgrade) => Some(&**upgrade),
        }
    }

    pub(super) fn as_upgrade_mut(&mut self) -> Option<&mut (dyn Upgrade + Send + 'static)> {
        match &mut self.transport {
            Carrier::Plain(_) => None,
            Carrier::Upgrade(upgrade) => Some(&mut **upgrade),
        }
    }
}

impl Hub {
    pub(super) fn command(&mut self, cx: &mut Cx<'_>, id: TransportId, command: TransportCommand) {
        self.give(cx, id, Input::Command(command));
    }

    /// Gives one thing to a transport, with the core lent to it.
    pub(super) fn give(&mut self, cx: &mut Cx<'_>, id: TransportId, input: Input<'_, TransportCommand>) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let mut upper = Lent { core: &mut self.core, now: cx.now };
        slot.transport().handle(cx, input, &mut upper);
        self.touched.push(id);
    }

    pub(super) fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: PortChange) {
        let Some(&owner) = self.owners.get(port) else { return };
        if let PortChange::Accepted { port, .. } = change {
            self.owners.insert(port, owner);
        }
        let dead = matches!(change, PortChange::Resolved(_) | PortChange::Failed(_) | PortChange::Closed);
        self.give(cx, owner, Input::Port(port, change));
        if dead {
            self.forget_port(port);
        }
    }

    pub(super) fn fill_port(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        let Some(&owner) = self.owners.get(port) else { return Fill::Done };
        let Some(slot) = self.slots.get_mut(owner) else { return Fill::Done };
        let mut upper = Lent { core: &mut self.core, now: cx.now };
        let fill = slot.transport().fill(cx, port, buf, &mut upper);
        self.touched.push(owner);
        fill
    }

    pub(super) fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        while let Some(id) = self.deadlines.take_due(cx.now) {
            self.give(cx, id, Input::Timeout);
        }
        self.core.on_timeout(cx);
    }

    /// Lets everything happen that follows from what was given in.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>) {
        loop {
            while let Some(id) = self.touched.pop() {
                self.drain(cx, id);
            }
            self.core.settle(cx);
            for transport in std::mem::take(&mut self.core.proved) {
                self.announce(transport);
            }
            if self.core.commands.is_empty() && !self.core.upgrades.has_orders() {
                return;
            }
            self.obey(cx);
            while let Some((id, command)) = self.core.commands.pop_front() {
                self.command(cx, id, command);
            }
        }
    }

    fn drain(&mut self, cx: &mut Cx<'_>, id: TransportId) {
        let is_upgrade = self.core.upgrades.transport == Some(id);
        while let Some(slot) = self.slots.get_mut(id) {
            match slot.transport().poll(cx) {
                Output::Port(port, request) => self.on_request(id, port, request),
                Output::Event(event) => self.on_event(cx, id, event),
                Output::Ready(port) => self.ready.push(port),
                Output::Wait(_) if is_upgrade && self.hear_peers(cx) => {}
                Output::Wait(deadline) => return self.deadlines.set(id, deadline),
            }
        }
    }

    fn on_request(&mut self, id: TransportId, port: PortId, request: PortRequest) {
        match request {
            PortRequest::Open(_) | PortRequest::Resolve(_) => _ = self.owners.insert(port, id),
            PortRequest::Abort => self.forget_port(port),
            _ => {}
        }
        self.requests.push_back((port, request));
    }

    fn forget_port(&mut self, port: PortId) {
        self.owners.remove(port);
        self.ready.remove(port);
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, id: TransportId, event: TransportEvent) {
        match event {
            TransportEvent::Listening(address) => {
                self.core.event(Event::Listening { transport: id, address });
                self.announce(id);
            }
            TransportEvent::Up(link, info) => self.core.on_up(cx, id, link, &info),
            TransportEvent::Down(link, reason) => {
                self.core.settle_link(cx, link);
                self.core.on_down(cx, link, reason);
            }
            TransportEvent::Refused(_, reason) => self.core.event(Event::Refused { reason: LinkEnd::Down(reason) }),
            TransportEvent::Retrying(_) => {}
            TransportEvent::Failed(reason) => {
                let removing = self.slots.get(id).is_some_and(|slot| slot.removing);
                if !removing {
                    self.core.event(Event::Failed { transport: id, reason: LinkEnd::Down(reason) });
                    self.end_transport(cx, id);
                }
            }
            TransportEvent::Stopped => {
                self.core.event(Event::Removed { transport: id });
                self.end_transport(cx, id);
            }
        }
    }

    fn announce(&mut self, id: TransportId) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        if !std::mem::replace(&mut slot.announced, true) {
            self.core.event(Event::Up { transport: id });
        }
    }

    pub(super) fn remove_transport(&mut self, cx: &mut Cx<'_>, id: TransportId) {
        let Some(slot) = self.slots.get_mut(id).filter(|slot| !slot.removing) else { return };
        slot.removing = true;
        self.core.leave_transport(cx, id);
        self.core.upgrade_leaves(cx.now, id);
        self.obey(cx);
        self.command(cx, id, TransportCommand::Stop);
    }

    fn end_transport(&mut self, cx: &mut Cx<'_>, id: TransportId) {
        self.core.upgrade_is_gone(cx.now, id);
        self.slots.remove(id);
        self.touched.remove(id);
        self.deadlines.set(id, None);
        self.core.priorities.remove(id);
        self.transport_ids.give(id);
        if self.stopping && self.slots.is_empty() {
            self.stopping = false;
            self.core.event(Event::Stopped);
        }
    }
}
