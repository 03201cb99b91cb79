//! What peers tell, and what becomes of it: signals and states for whoever has asked for the peer, links, messages.

use std::net::SocketAddr;

use super::entry::Entry;
use super::{Webrtc, reports};
use crate::machine::Cx;
use crate::stack::peer::{Event, Partner};
use crate::transport::{DownReason, LinkInfo, PeerClose, PeerEnd, PeerEvent, PeerId, Side, TransportEvent};
use crate::wire::candidate::{Candidate, CandidateKind};

impl Webrtc {
    pub(super) fn on_event(&mut self, cx: &mut Cx<'_>, id: PeerId, event: Event) {
        match event {
            Event::Signal(bytes) => self.told.push_back((id, PeerEvent::Signal(bytes))),
            Event::Remote(address) => self.on_remote(cx, id, address),
            Event::State(state) => {
                self.told.push_back((id, PeerEvent::State(reports::state(state))));
                self.tell_up(id);
            }
            Event::Open(channel, label) => self.on_open(cx, id, channel, label),
            Event::ChannelClosed(channel) => self.on_channel_closed(cx, id, channel),
            Event::Over(end) => self.on_over(cx, id, reports::end(end)),
            Event::Writable | Event::Outlook(_) => {}
        }
    }

    pub(super) fn on_remote(&mut self, cx: &mut Cx<'_>, id: PeerId, address: SocketAddr) {
        let relayed = |candidate: &&Candidate| candidate.kind == CandidateKind::Relayed;
        let relayed: Vec<_> = self.gatherer.candidates().filter(relayed).map(|candidate| candidate.address).collect();
        let Some(entry) = self.peers.get_mut(id) else { return };
        for relayed in relayed {
            entry.permit(cx, &mut self.gatherer, relayed, address);
        }
        self.hear_gatherer(cx);
    }

    pub(super) fn on_open(&mut self, cx: &mut Cx<'_>, id: PeerId, channel: usize, label: String) {
        let Some(entry) = self.peers.get_mut(id) else { return };
        let link = cx.ids.link();
        entry.open(channel, link, label);
        self.links.insert(link, (id, channel));
        if entry.partner == Partner::Foreign {
            let info = LinkInfo { side: Side::Dialled, ..LinkInfo::default() };
            return self.outbox.event(TransportEvent::Up(link, info));
        }
        self.tell_up(id);
    }

    /// Both links are open, and so is the way.
    pub(super) fn tell_up(&mut self, id: PeerId) {
        let own = |entry: &&mut Entry| entry.partner == Partner::Own;
        let Some(entry) = self.peers.get_mut(id).filter(own) else { return };
        if let Some((bulk, quick)) = entry.take_up() {
            self.told.push_back((id, PeerEvent::Up { bulk, quick }));
        }
    }

    pub(super) fn close_for(&mut self, cx: &mut Cx<'_>, id: PeerId, rule: &str) {
        if let Some(entry) = self.peers.get_mut(id) {
            entry.peer.close(cx, Some((1, rule)));
            self.transmit(cx, id);
            self.on_over(cx, id, PeerEnd::Misbehaved(rule.to_owned()));
        }
    }

    pub(super) fn on_channel_closed(&mut self, cx: &mut Cx<'_>, id: PeerId, channel: usize) {
        let Some(entry) = self.peers.get_mut(id) else { return };
        let Some(link) = entry.close(channel) else { return };
        self.links.remove(link);
        cx.ids.release_link(link);
        if entry.partner == Partner::Foreign {
            self.outbox.event(TransportEvent::Down(link, DownReason::Closed(PeerClose::default())));
        } else {
            self.close_for(cx, id, "a channel that was closed");
        }
    }

    pub(super) fn on_over(&mut self, cx: &mut Cx<'_>, id: PeerId, end: PeerEnd) {
        let Some(entry) = self.peers.get(id) else { return };
        if entry.partner == Partner::Foreign {
            for link in entry.links() {
                self.outbox.event(TransportEvent::Down(link, DownReason::Closed(PeerClose::default())));
            }
        }
        self.transmit(cx, id);
        self.end(cx, id);
        self.told.push_back((id, PeerEvent::Down(end)));
    }
}
