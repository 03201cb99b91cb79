//! What the application's calls do in the core.

use super::channel::ChannelId;
use super::core::Core;
use super::event::LinkEnd;
use super::session::event::{PathPolicy, SendError};
use super::statistics::Statistics;
use super::{SessionId, TransportId};
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};
use crate::wire::frame::Farewell;

impl Core {
    pub(super) fn send(
        &mut self,
        now: Instant,
        id: SessionId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError> {
        self.sessions.live_mut(id).ok_or(SendError::NotOpen)?.send(now, channel, message)?;
        self.after_session(now, id);
        Ok(())
    }

    pub(super) fn recv_with(&mut self, now: Instant, id: SessionId, take: impl FnOnce(ChannelId, &[u8])) -> bool {
        let Some(session) = self.sessions.live_mut(id) else { return false };
        let Some((channel, bytes)) = session.recv() else { return false };
        take(channel, bytes.as_slice());
        self.after_session(now, id);
        true
    }

    pub(super) fn close(&mut self, now: Instant, id: SessionId, code: u8, text: &str) {
        if let Some(session) = self.sessions.live_mut(id) {
            session.close(now, code, text);
            self.after_session(now, id);
        } else {
            self.abandon_session(id);
        }
    }

    /// A transport goes: its neighbours are told.
    pub(super) fn leave_transport(&mut self, cx: &mut Cx<'_>, transport: TransportId) {
        let of = |(id, link): (_, &super::neighbour::Link)| (link.transport == transport).then_some(id);
        let links: Vec<_> = self.links.iter().filter_map(of).collect();
        for link in links {
            self.leave(cx.now, link, Farewell::Stopping, LinkEnd::Left(Farewell::Stopping));
        }
    }

    pub(super) fn set_policy(&mut self, cx: &mut Cx<'_>, id: SessionId, policy: PathPolicy) {
        self.sessions.set_policy(cx.now, id, policy);
        self.seek_path(cx.now, id);
        self.after_session(cx.now, id);
    }

    pub(super) fn statistics(&self) -> Statistics {
        let rooms = self.rooms.statistics();
        Statistics {
            rooms: rooms.rooms,
            members: rooms.members,
            links: self.links.iter().filter(|(_, link)| link.neighbour().is_some()).count() as u64,
            sessions: self.sessions.len() as u64,
            ..self.statistics.clone()
        }
    }

    pub(super) fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        while let Some(link) = self.link_deadlines.take_due(cx.now) {
            self.on_link_timeout(cx, link);
        }
        while let Some(session) = self.sessions.deadlines.take_due(cx.now) {
            self.on_session_timeout(cx, session);
        }
        self.expire_routes(cx.now);
        self.on_rooms_timeout(cx.now);
        self.on_servers_timeout(cx.now);
    }

    pub(super) fn deadline(&mut self) -> Option<Deadline> {
        let deadlines = [
            self.link_deadlines.earliest(),
            self.sessions.deadlines.earliest(),
            self.routes_deadline(),
            self.rooms.deadline(),
            self.servers.deadline(),
        ];
        deadlines.into_iter().flatten().min_by_key(|deadline| deadline.at)
    }
}
