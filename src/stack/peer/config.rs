//! How a peer begins.

use std::time::Duration;

use super::engine::{EngineKind, Partner, Version};

/// How a peer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerConfig {
    /// What carries it.
    pub engine: EngineKind,
    /// Which versions of DTLS it speaks.
    pub version: Version,
    /// With whom it speaks.
    pub partner: Partner,
    /// Whether this side makes the first offer.
    pub offers: bool,
    /// Whether this side's offer gives way when both make one.
    pub polite: bool,
    /// Time for the other side to describe itself.
    pub answer: Duration,
    /// Time from then until the peer is connected.
    pub connect: Duration,
    /// Time without any pair that works.
    pub silence: Duration,
    /// Bytes of received messages that may wait to be taken.
    pub inbox: usize,
}

impl PeerConfig {
    /// The usual times, 15 s, 25 s and 15 s, and 2 MiB.
    pub fn new(partner: Partner, offers: bool) -> Self {
        Self {
            engine: EngineKind::default(),
            version: partner.version(),
            partner,
            offers,
            polite: !offers,
            answer: Duration::from_secs(15),
            connect: Duration::from_secs(25),
            silence: Duration::from_secs(15),
            inbox: 2 * 1024 * 1024,
        }
    }
}
