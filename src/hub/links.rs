//! The life of a link: the proof, the neighbour's coming and going, and the keep-alive between.

use super::TransportId;
use super::core::Core;
use super::event::{Event, LinkEnd, Misbehaved};
use super::neighbour::{Link, Neighbour, Ping, State};
use super::routes::Target;
use crate::link::noise::{Claims, Proof, Proved, Role};
use crate::machine::ids::LinkId;
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};
use crate::transport::{DownReason, LinkInfo, Side, TransportCommand};
use crate::wire::frame::{Farewell, Frame, Unreachable};
use crate::wire::identity::{Address, EndpointId};

impl Core {
    /// A transport has brought a link up; now both sides prove who they are.
    pub(super) fn on_up(&mut self, cx: &mut Cx<'_>, transport: TransportId, id: LinkId, info: &LinkInfo) {
        let until = cx.now + self.limits.handshake_time;
        let state = match info.side {
            Side::InProcess => State::Greeting,
            side => State::Proving(Box::new(self.proof(cx, side, info))),
        };
        let mut link = Link::new(transport, info.side, cx.now, state);
        if info.side == Side::InProcess {
            link.push(&Frame::Hello { address: self.address(), relays: self.policy.relays() });
        }
        self.links.insert(id, link);
        self.link_deadlines.set(id, Some(Deadline::new(until, "proof of a link")));
        // What came with the bytes that brought it up has stopped it.
        self.stop(id);
        self.wake(id);
    }

    fn proof(&self, cx: &mut Cx<'_>, side: Side, info: &LinkInfo) -> Proof {
        let role = if side == Side::Dialled { Role::Initiator } else { Role::Responder };
        let token = self.token.clone().filter(|_| role == Role::Initiator);
        let claims = Claims { relays: self.policy.relays(), server_end_point: tls_binding(info), token };
        Proof::new(&self.identity, role, claims, None, cx.rng)
    }

    pub(super) fn on_proof(&mut self, cx: &mut Cx<'_>, id: LinkId, message: &[u8]) {
        let Some(Link { state: State::Proving(proof), .. }) = self.links.get_mut(id) else { return };
        match proof.receive(message) {
            Ok(None) => {}
            Ok(Some(proved)) => self.on_proved(cx, id, proved),
            Err(error) => {
                self.statistics.misbehaved_links += 1;
                self.leave(cx.now, id, Farewell::Misbehaved, error.into());
            }
        }
        self.wake(id);
    }

    fn on_proved(&mut self, cx: &mut Cx<'_>, id: LinkId, proved: Proved) {
        let Some(link) = self.links.get_mut(id) else { return };
        let accepted = link.side == Side::Accepted;
        let last = link.last_of_proof();
        let Proved { peer, relays, token, protection } = proved;
        link.state = State::Proved(Neighbour::new(peer, relays, protection));
        link.last_of_proof = last;
        if accepted && !self.policy.admits(&peer.id, token.as_ref()) {
            self.statistics.refused_links += 1;
            return self.leave(cx.now, id, Farewell::NotAllowed, LinkEnd::Left(Farewell::NotAllowed));
        }
        self.on_neighbour(cx, id, peer);
    }

    pub(super) fn on_greeting(&mut self, cx: &mut Cx<'_>, id: LinkId, message: &[u8]) {
        let Ok(Frame::Hello { address, relays }) = Frame::decode(message) else {
            return self.misbehaved(cx.now, id, Misbehaved::Hello);
        };
        let Some(link) = self.links.get_mut(id) else { return };
        link.state = State::Proved(Neighbour::trusted(address, relays));
        self.on_neighbour(cx, id, address);
    }

    fn on_neighbour(&mut self, cx: &mut Cx<'_>, id: LinkId, neighbour: Address) {
        if !self.accounts.add_link(cx.now, neighbour.id) {
            self.statistics.refused_links += 1;
            return self.leave(cx.now, id, Farewell::TooManyLinks, LinkEnd::Left(Farewell::TooManyLinks));
        }
        self.neighbours.entry(neighbour.id).or_default().push(id);
        let Some(link) = self.links.get_mut(id) else { return };
        (link.heard, link.counted, link.introduced) = (cx.now, true, true);
        let (transport, relays) = (link.transport, link.neighbour().is_some_and(|neighbour| neighbour.relays));
        self.keep_alive(cx.now, id);
        self.proved.push(transport);
        self.event(Event::NeighbourUp { link: id, neighbour });
        self.presence_changed(neighbour.id);
        if relays {
            self.watch_again(id);
            self.rooms_relay_up(cx.now);
            self.ask_for_servers(id);
        }
        self.paths_by_link(cx.now, id);
    }

    /// The link is down, or about to be: nothing goes over it any more.
    pub(super) fn forget_neighbour(&mut self, now: Instant, id: LinkId, address: Option<Address>) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.queue.clear();
        let counted = std::mem::take(&mut link.counted);
        let routes: Vec<_> = link.routes.drain().collect();
        for target in routes {
            self.route_lost(now, target);
        }
        self.watchers.forget(id);
        self.servers.forget(id);
        self.link_deadlines.set(id, None);
        let Some(address) = address.filter(|_| counted) else { return };
        self.accounts.remove_link(address.id);
        self.unlist(address.id, id);
        self.gone.push(id);
        self.presence_changed(address.id);
    }

    fn unlist(&mut self, neighbour: EndpointId, id: LinkId) {
        let Some(links) = self.neighbours.get_mut(&neighbour) else { return };
        links.retain(|link| *link != id);
        if links.is_empty() {
            self.neighbours.remove(&neighbour);
        }
    }

    fn route_lost(&mut self, now: Instant, target: Target) {
        match target {
            Target::Asked(session, path) | Target::Path(session, path) => {
                self.path_lost(now, session, path, Unreachable::LinkDown);
                self.seek_if_wanted(now, session);
            }
            Target::Forward(forward) | Target::Opening(forward) => {
                self.end_forward(forward, Unreachable::LinkDown);
            }
            Target::Fresh { .. } => {}
        }
    }

    /// A transport has lost a link, or has closed it at our wish.
    pub(super) fn on_down(&mut self, cx: &mut Cx<'_>, id: LinkId, reason: DownReason) {
        let Some(link) = self.links.get(id) else { return };
        let address = link.address();
        if link.end.is_none() {
            self.forget_neighbour(cx.now, id, address);
        }
        self.link_deadlines.set(id, None);
        let Some(link) = self.links.remove(id) else { return };
        let reason = link.end.or(link.farewell).unwrap_or(LinkEnd::Down(reason));
        self.event(match address.filter(|_| link.introduced) {
            Some(neighbour) => Event::NeighbourDown { link: id, neighbour, reason },
            None => Event::Refused { reason },
        });
    }

    pub(super) fn on_goodbye(&mut self, id: LinkId, reason: Farewell, text: &str) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.farewell = Some(LinkEnd::Goodbye { reason, text: text.to_owned() });
    }

    /// Asks a neighbour for a sign of life, and tells the application how long it took.
    pub(super) fn ping(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let Some(link) = self.links.get_mut(id).filter(|link| link.neighbour().is_some()) else { return };
        let nonce = cx.rng.u64();
        link.ping = Some(Ping { nonce, sent: cx.now, asked: true });
        self.push(id, &Frame::Ping(nonce));
        self.keep_alive(cx.now, id);
    }

    pub(super) fn on_pong(&mut self, now: Instant, id: LinkId, nonce: u64) {
        let Some((rtt, asked)) = self.links.get_mut(id).and_then(|link| link.take_pong(now, nonce)) else { return };
        if asked {
            self.event(Event::Pong { link: id, rtt });
        }
        self.keep_alive(now, id);
    }

    fn keep_alive(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        let Some(silence) = self.limits.ping_after else {
            let answer = |ping: Ping| Deadline::new(ping.sent + self.limits.pong_time, "answer of a neighbour");
            return self.link_deadlines.set(id, link.ping.map(answer));
        };
        let (at, why) = match link.ping {
            Some(ping) => (ping.sent + self.limits.pong_time, "answer of a neighbour"),
            None => (link.heard.max(now) + silence, "keep-alive of a neighbour"),
        };
        self.link_deadlines.set(id, Some(Deadline::new(at, why)));
    }

    pub(super) fn on_link_timeout(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        let (heard, ping) = (link.heard, link.ping);
        if link.neighbour().is_none() {
            return self.give_up(cx, id);
        }
        match (ping, self.limits.ping_after) {
            (Some(ping), _) if heard <= ping.sent => return self.give_up(cx, id),
            (Some(_), _) => _ = self.links.get_mut(id).and_then(|link| link.ping.take()),
            (None, None) => return self.link_deadlines.set(id, None),
            (None, Some(silence)) if heard + silence <= cx.now => {
                let nonce = cx.rng.u64();
                let Some(link) = self.links.get_mut(id) else { return };
                link.ping = Some(Ping { nonce, sent: cx.now, asked: false });
                self.push(id, &Frame::Ping(nonce));
            }
            (None, Some(silence)) => {
                let at = Deadline::new(heard + silence, "keep-alive of a neighbour");
                return self.link_deadlines.set(id, Some(at));
            }
        }
        self.keep_alive(cx.now, id);
    }

    fn give_up(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        if link.end.is_some() {
            return;
        }
        let end = if link.address().is_some() { LinkEnd::Silent } else { LinkEnd::Down(DownReason::HandshakeTimeout) };
        let address = link.address();
        self.forget_neighbour(cx.now, id, address);
        let Some(link) = self.links.get_mut(id) else { return };
        link.end = Some(end);
        self.commands.push_back((link.transport, TransportCommand::Close(id)));
    }
}

/// What this side sees of the certificate of a TLS link's server.
#[cfg(feature = "tls")]
fn tls_binding(info: &LinkInfo) -> Option<[u8; 32]> {
    info.opened.tls.as_ref().and_then(|tls| tls.server_end_point)
}

#[cfg(not(feature = "tls"))]
const fn tls_binding(_: &LinkInfo) -> Option<[u8; 32]> {
    None
}
