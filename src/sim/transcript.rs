//! A hash over all that happened, so that a run can be compared with its twin.

use super::timeline::NodeId;
use crate::machine::time::Instant;

/// Over times, nodes, kinds and sizes, and over contents unless they may hold what no seed governs. Each word is mixed in
/// by a multiplication and a rotation, which is enough to tell runs apart, and costs a full packet less than its seal.
#[derive(Debug)]
pub(super) struct Transcript(u64);

impl Transcript {
    pub(super) const fn new(seed: u64) -> Self {
        let mut transcript = Self(0xcbf2_9ce4_8422_2325);
        transcript.add(seed);
        transcript
    }

    pub(super) const fn note(&mut self, at: Instant, node: NodeId, kind: &str, size: usize) {
        self.add(at.as_nanos());
        self.add((node.0 as u64) << 32 | size as u64);
        self.add_bytes(kind.as_bytes());
    }

    pub(super) const fn add_bytes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let [a, b, c, d, e, f, g, h, tail @ ..] = rest {
            self.add(u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]));
            rest = tail;
        }
        let mut last = rest.len() as u64;
        while let [byte, tail @ ..] = rest {
            last = last << 8 | *byte as u64;
            rest = tail;
        }
        self.add(last);
    }

    pub(super) const fn hash(&self) -> u64 {
        self.0
    }

    const fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}
