//! One session: messages between two endpoints over any number of paths. A pure structure that knows no link.

pub mod event;

use self::event::{
    CloseReason, Misbehaved, PathId, PathInfo, PathPolicy, PathReport, SendError, SessionEvent, SessionStatistics,
};
use super::channel::{Channel, ChannelId};
use crate::link::noise::{Opener, Sealer};
use crate::machine::Deadline;
use crate::machine::limits::Limits;
use crate::machine::payload::Payload;
use crate::machine::time::Instant;
use crate::wire::session::SessionKey;

/// One session.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    channels: Vec<Channel>,
    statistics: SessionStatistics,
}

#[expect(unused_variables, clippy::needless_pass_by_value, reason = "signatures")]
impl Session {
    /// A session whose handshake is done. It has no path yet: [`Self::add_path`] gives it the one of the handshake,
    /// usable at once as it is the first.
    pub fn new(
        now: Instant,
        limits: &Limits,
        key: SessionKey,
        initiator: bool,
        keys: (Sealer, Opener),
        channels: Vec<Channel>,
    ) -> Self {
        Self { key, channels, statistics: SessionStatistics::default() }
    }

    /// What names it on both sides.
    pub const fn key(&self) -> SessionKey {
        self.key
    }

    /// The declared channels; the first is channel 1.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// Accepts one message for a channel.
    ///
    /// # Errors
    /// [`SendError`]; then nothing was taken.
    pub fn send(&mut self, now: Instant, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        Ok(())
    }

    /// Lends the next received message; taking it grants its sender as many bytes.
    pub fn recv(&mut self) -> Option<(ChannelId, Payload<'_>)> {
        None
    }

    /// Accepts one signal.
    ///
    /// # Errors
    /// [`SendError`]; then nothing was taken.
    pub fn signal(&mut self, now: Instant, signal: &[u8]) -> Result<(), SendError> {
        Ok(())
    }

    /// Lends the next received signal.
    pub fn recv_signal(&mut self) -> Option<Payload<'_>> {
        None
    }

    /// Sends what was accepted, then says goodbye. `text` is cut at 200 bytes.
    pub fn close(&mut self, now: Instant, code: u8, text: &str) {}

    /// Ends the session at once, without a word to the peer; [`SessionEvent::Closed`] follows.
    pub fn abort(&mut self, reason: CloseReason) {}

    /// Gives the session a path whose far end knows already that it is one: that of the handshake.
    pub fn add_path(&mut self, now: Instant, path: PathId, info: PathInfo) {}

    /// Gives the session a path that this side opened: until it answers, its packets attach it at the far end.
    pub fn attach(&mut self, now: Instant, path: PathId, info: PathInfo) {}

    /// Takes in the first packet of a path that the peer opened, and adds that path. Later ones go to
    /// [`Self::receive`].
    ///
    /// # Errors
    /// The rule broken; then there is no path.
    pub fn open_attach(&mut self, now: Instant, info: PathInfo, packet: &mut [u8]) -> Result<PathId, Misbehaved> {
        Err(Misbehaved::Attachment)
    }

    /// Takes a path away; without an event.
    pub fn remove_path(&mut self, now: Instant, path: PathId) {}

    /// A free id for a path that this side opens.
    pub fn free_path(&self) -> Option<PathId> {
        None
    }

    /// Which paths may be used.
    pub fn set_policy(&mut self, now: Instant, policy: PathPolicy) {}

    /// Takes in one packet (`Plain`, `Sealed` or `Attach`), opened in place.
    ///
    /// # Errors
    /// The rule broken; [`Misbehaved::closes_path`] says whether the path shall be closed. The session itself never
    /// ends by an error: a rule broken inside a sealed packet is told as [`SessionEvent::Closed`].
    pub fn receive(&mut self, now: Instant, path: PathId, packet: &mut [u8]) -> Result<(), Misbehaved> {
        Ok(())
    }

    /// Appends one packet for a path, at most [`Limits::packet`] bytes; false: nothing now, [`Self::pop_ready`] says
    /// when.
    pub fn supply(&mut self, now: Instant, path: PathId, out: &mut Vec<u8>) -> bool {
        false
    }

    /// A path that has gained something to send since [`Self::supply`] said false.
    pub fn pop_ready(&mut self) -> Option<PathId> {
        None
    }

    /// When [`Self::on_timeout`] is due.
    pub fn deadline(&self) -> Option<Deadline> {
        None
    }

    /// Does what is due; too early is no harm.
    pub fn on_timeout(&mut self, now: Instant) {}

    /// What happened, one thing at a time.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        None
    }

    /// Counts since the start.
    pub const fn statistics(&self) -> SessionStatistics {
        self.statistics
    }

    /// The path in use.
    pub fn path(&self) -> Option<PathReport> {
        None
    }
}
