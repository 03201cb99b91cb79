//! Links of direct paths: each is private to one session, so what crosses it is packets of that session, without a
//! frame, a route or a proof.

use crate::hub::SessionId;
use crate::hub::core::Core;
use crate::hub::session::event::{PathId, PathInfo};
use crate::machine::ids::LinkId;
use crate::machine::payload::{Flow, Framer, Kind, Payload};
use crate::machine::time::Instant;
use crate::transport::TransportCommand;

/// A direct path: the fingerprints of its ends came through the sealed session, so that nothing need be sealed.
const DIRECT: PathInfo = PathInfo { direct: true, lossy: false, private: true, split: true };

/// A link of one session.
#[derive(Debug)]
pub(in crate::hub) struct Private {
    session: SessionId,
    path: PathId,
    quick: bool,
    /// Whether the transport knows that there is something to send.
    woken: bool,
    /// Whether the link was told to stop delivering.
    stopped: bool,
}

impl Core {
    /// A session gets a direct path. What came before this was known has stopped its link, which is resumed.
    pub(super) fn add_direct(&mut self, now: Instant, session: SessionId, path: PathId, bulk: LinkId, quick: LinkId) {
        for (link, is_quick) in [(bulk, false), (quick, true)] {
            let private = Private { session, path, quick: is_quick, woken: false, stopped: false };
            self.upgrades.links.insert(link, private);
            self.command_upgrade(TransportCommand::Resume(link));
        }
        if let Some(session) = self.sessions.live_mut(session) {
            session.add_path(now, path, DIRECT);
        }
        self.after_session(now, session);
    }

    pub(super) fn remove_direct(&mut self, now: Instant, session: SessionId, path: PathId, links: (LinkId, LinkId)) {
        self.upgrades.links.remove(links.0);
        self.upgrades.links.remove(links.1);
        if let Some(session) = self.sessions.live_mut(session) {
            session.remove_path(now, path);
        }
    }

    fn command_upgrade(&mut self, command: TransportCommand) {
        if let Some(transport) = self.upgrades.transport {
            self.commands.push_back((transport, command));
        }
    }

    pub(in crate::hub) fn wake_private(&mut self, id: LinkId) {
        let Some(link) = self.upgrades.links.get_mut(id) else { return };
        if !std::mem::replace(&mut link.woken, true) {
            self.command_upgrade(TransportCommand::Wake(id));
        }
    }

    /// Lets the link's messages wait until it is resumed; whether it has to be.
    pub(in crate::hub) fn stop_private(&mut self, id: LinkId) -> bool {
        self.upgrades.links.get_mut(id).is_some_and(|link| !std::mem::replace(&mut link.stopped, true))
    }

    pub(in crate::hub) fn resume_private(&mut self, id: LinkId) {
        let Some(link) = self.upgrades.links.get_mut(id) else { return };
        link.stopped = false;
        self.command_upgrade(TransportCommand::Resume(id));
    }

    /// A packet, where it comes. Where too many events wait, what could bring more waits too; so does what came before
    /// its link was known.
    pub(in crate::hub) fn receive_private(&mut self, now: Instant, id: LinkId, message: Payload<'_>) -> Flow {
        if self.upgrades.links.get(id).is_none() || self.is_full() {
            return self.keep(id, message.into_vec());
        }
        match message {
            Payload::Owned(mut packet) => self.take_private(now, id, &mut packet),
            Payload::Borrowed(packet) if self.take_plain(now, id, packet) => {}
            Payload::Borrowed(packet) => {
                let mut scratch = self.take_scratch();
                scratch.extend_from_slice(packet);
                self.take_private(now, id, &mut scratch);
                self.give_scratch(scratch);
            }
        }
        Flow::Go
    }

    /// A packet that need not be opened in place, as nearly all here. False: it has to.
    fn take_plain(&mut self, now: Instant, id: LinkId, packet: &[u8]) -> bool {
        let Some(&Private { session, path, .. }) = self.upgrades.links.get(id) else { return false };
        let live = self.sessions.live_mut(session);
        let Some(received) = live.and_then(|live| live.receive_plain(now, path, packet)) else { return false };
        self.after_packet(now, session, path, received);
        true
    }

    /// A packet, where it comes or after it has waited.
    pub(in crate::hub) fn take_private(&mut self, now: Instant, id: LinkId, packet: &mut [u8]) {
        let Some(link) = self.upgrades.links.get(id) else { return };
        self.receive_packet(now, link.session, link.path, packet);
    }

    pub(in crate::hub) fn supply_private(
        &mut self,
        now: Instant,
        id: LinkId,
        scratch: &mut Vec<u8>,
        out: &mut dyn Framer,
    ) -> bool {
        let Some(link) = self.upgrades.links.get_mut(id) else { return false };
        let id = link.session;
        scratch.clear();
        let some = self.sessions.live_mut(id).is_some_and(|session| match link.quick {
            true => session.supply_quick(now, link.path, scratch),
            false => session.supply(now, link.path, scratch),
        });
        link.woken = some;
        if some {
            out.message(Kind::Binary, &[], scratch);
        }
        self.after_session(now, id);
        some
    }
}
