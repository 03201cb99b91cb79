//! The only source of randomness: ChaCha12, seeded from outside, forked for children.

use std::fmt;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Seeded randomness, fit for keys and masks when the seed came from the system.
#[derive(Clone)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// Randomness that follows from 32 bytes: the system's in a driver, the world's in a simulation.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// Randomness that follows from a number; for simulations and tests.
    pub fn from_u64(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self::from_seed(bytes)
    }

    /// Independent randomness for a child; advances the parent.
    pub fn fork(&mut self) -> Self {
        Self::from_seed(self.array())
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// `N` random bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random number.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A random number.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, by multiplication (bias below 2^-32 for bounds that fit 32 bits); 0 for bound 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        (self.u64() >> 11) as f64 / ((1u64 << 53) as f64) < p
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_a_fork_gives_others() {
        let (mut a, mut b) = (Rng::from_u64(7), Rng::from_u64(7));
        assert_eq!(a.u64(), b.u64());
        let (mut child, mut twin) = (a.fork(), b.fork());
        assert_eq!(child.u64(), twin.u64());
        assert_ne!(a.u64(), child.u64());
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::from_u64(1);
        assert!((0..1000).all(|_| rng.below(3) < 3));
        assert_eq!(rng.below(0), 0);
    }
}
