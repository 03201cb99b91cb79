//! How bytes are cut into chunks, and when their receiver stops.

use switchboard::machine::payload::Flow;
use switchboard::machine::rng::Rng;

/// Chunks and stops that follow from one byte.
pub(crate) struct Cuts {
    rng: Rng,
    longest: usize,
    stop: f64,
}

impl Cuts {
    /// All at once, and the receiver never stops.
    pub(crate) fn none() -> Self {
        Self { rng: Rng::from_u64(0), longest: usize::MAX, stop: 0.0 }
    }

    /// The low three bits say how long chunks are, the next two how often the receiver stops; all seed the rest.
    pub(crate) fn of(byte: u8) -> Self {
        let longest = [1, 2, 3, 7, 20, 64, 300, 4096][usize::from(byte & 7)];
        let stop = [0.0, 0.1, 0.5, 0.9][usize::from(byte >> 3 & 3)];
        Self { rng: Rng::from_u64(byte.into()), longest, stop }
    }

    /// Cuts the next chunk off; mostly an empty one while the receiver has stopped.
    pub(crate) fn chunk(&mut self, rest: &mut &[u8], flow: Flow) -> Vec<u8> {
        if rest.is_empty() || flow == Flow::Stop && self.rng.chance(0.8) {
            return Vec::new();
        }
        let most = self.longest.min(rest.len()) as u64;
        let most = if self.longest == usize::MAX { most } else { 1 + self.rng.below(most) };
        let (chunk, after) = rest.split_at(most as usize);
        *rest = after;
        chunk.to_vec()
    }

    /// What the receiver answers to a message.
    pub(crate) fn flow(&mut self) -> Flow {
        if self.rng.chance(self.stop) { Flow::Stop } else { Flow::Go }
    }
}
