//! The hub's side of its upgrade: orders of the core are carried out, and what becomes of peers is told to it.

use super::Order;
use crate::hub::transports::Slot;
use crate::hub::{Hub, TransportId};
use crate::machine::Cx;
use crate::transport::TransportCommand;
use crate::transport::upgrade::{PeerId, Upgrade};
use crate::wire::ice_server::IceServer;
use crate::wire::identity::EndpointId;
use crate::wire::servers::GrantedServer;
use crate::wire::signal::Signal;

impl Hub {
    /// Lets sessions have direct paths, made by this transport; what made them before is removed. It is started, and
    /// has no part in what relays do: no [`Event::Up`](crate::hub::Event::Up) follows.
    pub fn set_upgrade(&mut self, cx: &mut Cx<'_>, upgrade: Box<dyn Upgrade + Send>) -> TransportId {
        if let Some(before) = self.core.upgrades.transport {
            self.remove(cx, before);
        }
        let id = self.transport_ids.take();
        self.slots.insert(id, Slot::upgrade(upgrade));
        self.core.priorities.insert(id, None);
        self.command(cx, id, TransportCommand::Start);
        self.core.upgrade_is_here(cx.now, id);
        id
    }

    /// A relay, or the application, hands out servers: the upgrade uses them, and if they are others than before, not
    /// the same with fresh credentials, what has failed is tried again.
    fn on_servers(&mut self, cx: &mut Cx<'_>, from: u64, servers: &[IceServer]) {
        let Some(upgrade) = self.upgrade_mut() else { return };
        upgrade.set_servers(cx, from, servers);
        self.touch_upgrade();
        let uris: Vec<_> = servers.iter().map(|server| server.uri.clone()).collect();
        if self.core.upgrades.knows_no(from, uris) {
            self.core.news_of_network(cx.now);
        }
    }

    /// What is none of them is passed over: a relay may hand out kinds of later versions.
    fn take_servers(&mut self, cx: &mut Cx<'_>, relay: EndpointId) {
        let given = self.core.servers.given().find(|(known, _)| *known == relay);
        let servers = given.into_iter().flat_map(|(_, given)| &given.servers);
        let read = |server: &GrantedServer| IceServer::new(&server.uri, &server.username, &server.credential).ok();
        let servers: Vec<_> = servers.filter_map(read).collect();
        let [a, b, c, d, e, f, g, h, ..] = relay.0;
        self.on_servers(cx, u64::from_be_bytes([a, b, c, d, e, f, g, h]), &servers);
    }

    /// Gives the upgrade servers of the application's own, instead of those that it has given before.
    pub fn set_ice_servers(&mut self, cx: &mut Cx<'_>, servers: &[IceServer]) {
        self.on_servers(cx, 0, servers);
    }

    pub(in crate::hub) fn upgrade(&self) -> Option<&(dyn Upgrade + Send)> {
        self.slots.get(self.core.upgrades.transport?)?.as_upgrade()
    }

    fn upgrade_mut(&mut self) -> Option<&mut (dyn Upgrade + Send + 'static)> {
        self.slots.get_mut(self.core.upgrades.transport?)?.as_upgrade_mut()
    }

    fn touch_upgrade(&mut self) {
        if let Some(id) = self.core.upgrades.transport {
            self.touched.push(id);
        }
    }

    /// Carries out what the core wants of peers.
    pub(in crate::hub) fn obey(&mut self, cx: &mut Cx<'_>) {
        while let Some(order) = self.core.upgrades.orders.pop_front() {
            self.touch_upgrade();
            match order {
                Order::Open { session, number, offers } => {
                    let peer = self.upgrade_mut().and_then(|upgrade| upgrade.open(cx, number, offers));
                    self.core.on_opened_peer(cx.now, session, number, peer);
                }
                Order::Signal { session, number, bytes } => {
                    let Some(peer) = self.core.upgrades.peer(session, number) else { continue };
                    let Ok(signal) = Signal::decode(&bytes, usize::MAX) else { continue };
                    if let Some(upgrade) = self.upgrade_mut() {
                        upgrade.signal(cx, peer, &signal);
                    }
                }
                Order::Servers { relay } => self.take_servers(cx, relay),
                Order::Close { session, number, ending } => {
                    let Some(peer) = self.core.upgrades.peer(session, number) else { continue };
                    self.close_peer(cx, peer, ending);
                }
            }
        }
    }

    /// Its goodbye is the last that it says.
    fn close_peer(&mut self, cx: &mut Cx<'_>, peer: PeerId, ending: Option<(u8, &'static str)>) {
        if let Some(upgrade) = self.upgrade_mut() {
            upgrade.close(cx, peer, ending);
        }
        self.hear_peers(cx);
        self.core.upgrades.forget(peer);
    }

    /// What has become of peers; whether there was anything.
    pub(in crate::hub) fn hear_peers(&mut self, cx: &mut Cx<'_>) -> bool {
        let mut some = false;
        while let Some((peer, event)) = self.upgrade_mut().and_then(|upgrade| upgrade.poll_peer(cx)) {
            some = true;
            self.core.on_peer(cx.now, peer, event);
        }
        self.hear_outlook(cx);
        some
    }

    /// What the upgrade knows of our ways out, if that may have changed.
    fn hear_outlook(&mut self, cx: &mut Cx<'_>) {
        let Some(upgrade) = self.upgrade() else { return };
        let revision = Some(upgrade.revision());
        if revision == self.core.upgrades.revision {
            return;
        }
        let (outlook, moves) = (upgrade.outlook(), upgrade.moves());
        self.core.upgrades.revision = revision;
        self.core.on_outlook(cx.now, outlook, moves);
    }
}
