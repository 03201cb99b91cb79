//! A hash over all that happened, so that a run can be compared with its twin.

use super::HostId;
use crate::machine::time::Instant;

/// FNV-1a over times, hosts, kinds and sizes. Contents are left out: they may hold what no seed governs.
#[derive(Debug)]
pub(super) struct Transcript(u64);

impl Transcript {
    pub(super) const fn new(seed: u64) -> Self {
        let mut transcript = Self(0xcbf2_9ce4_8422_2325);
        transcript.add(&seed.to_le_bytes());
        transcript
    }

    pub(super) const fn note(&mut self, at: Instant, host: HostId, kind: &str, size: usize) {
        self.add(&at.as_nanos().to_le_bytes());
        self.add(&host.0.to_le_bytes());
        self.add(kind.as_bytes());
        self.add(&(size as u64).to_le_bytes());
    }

    pub(super) const fn hash(&self) -> u64 {
        self.0
    }

    const fn add(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let [byte, tail @ ..] = rest {
            self.0 = (self.0 ^ *byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
            rest = tail;
        }
    }
}
