//! What the layer above asks for: to write, to go on, to close, to stop.

use super::Webrtc;
use super::entry::Entry;
use crate::machine::Cx;
use crate::machine::ids::LinkId;
use crate::machine::payload::{Framer, Kind, Upper};
use crate::stack::peer::{Partner, QUICK};
use crate::transport::{PeerId, TransportCommand, TransportEvent, Upgrade};

impl Webrtc {
    /// Lets the layer above write as much as there is room for, the quick before the bulk.
    pub(super) fn write(&mut self, cx: &mut Cx<'_>, id: PeerId, upper: &mut dyn Upper) {
        let Some(entry) = self.peers.get_mut(id) else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some((channel, link)) = entry.next_writer() {
            let most = if channel == QUICK && entry.partner == Partner::Own { 1200 } else { self.config.packet };
            if entry.peer.room(most) < most {
                break;
            }
            let mut message = Written { bytes: &mut scratch, kind: Kind::Binary, room: most };
            message.bytes.clear();
            if !upper.supply(link, &mut message) {
                entry.wants[channel] = false;
                continue;
            }
            let binary = message.kind == Kind::Binary;
            if scratch.is_empty() || !entry.peer.write(cx, channel, binary, &scratch) {
                self.counters.unwritten += 1;
                if entry.partner == Partner::Own {
                    break;
                }
            }
        }
        if scratch.capacity() > self.config.packet * 2 {
            scratch = Vec::new();
        }
        self.scratch = scratch;
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

/// One message that the layer above writes.
struct Written<'a> {
    bytes: &'a mut Vec<u8>,
    kind: Kind,
    room: usize,
}

impl Framer for Written<'_> {
    fn message(&mut self, kind: Kind, head: &[u8], body: &[u8]) {
        self.kind = kind;
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(body);
    }

    fn room(&self) -> usize {
        self.room
    }
}
