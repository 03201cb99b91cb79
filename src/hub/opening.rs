//! Placeholder.
use super::channel::Channel;
use crate::link::noise::{Identity, Opener, Sealer};
use crate::machine::Deadline;
use crate::machine::limits::Limits;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::identity::Address;
use crate::wire::session::SessionKey;

/// P
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A
    Application,
}
/// P
#[derive(Debug)]
pub enum Progress {
    /// A
    Incoming {
        /// A
        channels: Vec<Channel>,
        /// A
        purpose: Purpose,
    },
    /// A
    Opened(Established),
    /// A
    Refused {
        /// A
        code: u8,
        /// A
        text: String,
    },
}
/// P
#[derive(Debug)]
pub enum Decision {
    /// A
    Accept,
    /// A
    Refuse {
        /// A
        code: u8,
        /// A
        text: String,
    },
}
/// E
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("x")]
pub struct OpeningError;
impl OpeningError {
    /// x
    pub fn is_fatal(&self) -> bool {
        true
    }
}
/// E
#[derive(Debug)]
pub struct Established {
    /// A
    pub id: SessionKey,
    /// A
    pub peer: Address,
    /// A
    pub keys: (Sealer, Opener),
    /// A
    pub channels: Vec<Channel>,
    /// A
    pub purpose: Purpose,
}
/// O
#[derive(Debug)]
pub struct Opening;
#[allow(missing_docs, unused, clippy::all)]
impl Opening {
    pub fn open(_: Instant, _: &Limits, _: &Identity, _: Address, _: Vec<Channel>, _: Purpose, _: &mut Rng) -> Self {
        Self
    }
    pub fn answer(
        _: Instant,
        _: &Limits,
        _: &Identity,
        _: Address,
        _: &[u8],
        _: &mut Rng,
    ) -> Result<Self, OpeningError> {
        Err(OpeningError)
    }
    pub fn receive(&mut self, _: Instant, _: &Identity, _: &[u8]) -> Result<Option<Progress>, OpeningError> {
        Ok(None)
    }
    pub fn decide(&mut self, _: Instant, _: Decision) -> Option<Established> {
        None
    }
    pub fn supply(&mut self) -> Option<Vec<u8>> {
        None
    }
    pub fn deadline(&self) -> Option<Deadline> {
        None
    }
    pub fn on_timeout(&mut self, _: Instant) -> bool {
        true
    }
}
