//! What the layer above asks for: to write, to go on, to close, to stop.

use super::Webrtc;
use super::entry::Entry;
use crate::machine::Cx;
use crate::machine::ids::LinkId;
use crate::machine::payload::{Framer, Kind, Upper};
use crate::stack::peer::{Partner, Peer, QUICK};
use crate::transport::{PeerId, TransportCommand, TransportEvent, Upgrade};

impl Webrtc {
    /// Lets the layer above write as much as there is room for, the quick before the bulk.
    pub(super) fn write(&mut self, cx: &mut Cx<'_>, id: PeerId, upper: &mut dyn Upper) {
        let Self { peers, scratch, counters, config, .. } = self;
        let Some(entry) = peers.get_mut(id) else { return };
        while let Some((channel, link)) = entry.next_writer() {
            let is_own = entry.partner == Partner::Own;
            let room = if channel == QUICK && is_own { 1200 } else { config.packet };
            if entry.peer.room(room) < room {
                return;
            }
            let mut message = Written { peer: &mut entry.peer, cx, scratch, channel, room, is_written: true };
            if !upper.supply(link, &mut message) {
                entry.wants[channel] = false;
            } else if !message.is_written {
                counters.unwritten += 1;
                if is_own {
                    return;
                }
            }
        }
    }

    pub(super) fn on_command(&mut self, cx: &mut Cx<'_>, command: TransportCommand) {
        match command {
            TransportCommand::Start => {}
            TransportCommand::Wake(link) => self.with_link(link, |entry, channel| entry.wants[channel] = true),
            TransportCommand::Resume(link) => self.with_link(link, |entry, channel| entry.peer.hold(channel, false)),
            TransportCommand::Close(link) => self.close_link(cx, link),
            TransportCommand::Stop => self.stop(cx),
        }
    }

    pub(super) fn with_link(&mut self, link: LinkId, act: impl FnOnce(&mut Entry, usize)) {
        let Some((id, channel)) = self.links.get(link).copied() else { return };
        let Some(entry) = self.peers.get_mut(id) else { return };
        act(entry, channel);
        self.touched.push(id);
    }

    /// A foreign peer's channel is closed; a peer of a session is closed whole, by the session.
    pub(super) fn close_link(&mut self, cx: &mut Cx<'_>, link: LinkId) {
        self.with_link(link, |entry, channel| entry.peer.close_channel(cx, channel));
    }

    pub(super) fn stop(&mut self, cx: &mut Cx<'_>) {
        for id in self.peers.keys().collect::<Vec<_>>() {
            self.close(cx, id, None);
        }
        self.gatherer.stop(cx);
        self.idle = None;
        self.outbox.event(TransportEvent::Stopped);
    }
}

/// One message, from the layer above to the engine.
struct Written<'a, 'b> {
    peer: &'a mut Peer,
    cx: &'a mut Cx<'b>,
    scratch: &'a mut Vec<u8>,
    channel: usize,
    room: usize,
    is_written: bool,
}

impl Written<'_, '_> {
    fn write(&mut self, kind: Kind, message: &[u8]) {
        let is_binary = kind == Kind::Binary;
        self.is_written = self.peer.write(self.cx, self.channel, is_binary, message);
    }
}

impl Framer for Written<'_, '_> {
    /// What comes in two parts, as no session's message does, is put together first.
    fn message(&mut self, kind: Kind, head: &[u8], body: &[u8]) {
        if head.is_empty() {
            return self.write(kind, body);
        }
        let mut whole = std::mem::take(self.scratch);
        whole.clear();
        whole.extend_from_slice(head);
        whole.extend_from_slice(body);
        self.write(kind, &whole);
        *self.scratch = whole;
    }

    fn room(&self) -> usize {
        self.room
    }
}
