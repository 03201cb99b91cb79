//! Sessions of the hub itself, with members of rooms: accepted, and silent until there are rooms.
use super::SessionId;
use super::core::Core;
use super::opening::Decision;
use crate::machine::time::Instant;
use crate::wire::identity::Address;
impl Core {
    pub(super) fn on_incoming_member(&mut self, now: Instant, id: SessionId, _: Address) {
        self.decide(now, id, Decision::Accept)
    }
    pub(super) fn on_member_session(&mut self, _: Instant, _: SessionId, _: Address) {}
    pub(super) fn on_member_session_closed(&mut self, _: SessionId, _: Address) {}
    pub(super) fn on_signals(&mut self, _: Instant, _: SessionId) {}
}
