//! Numbers of chunks.

use std::fmt;

/// The number of a DATA chunk. It wraps: what is later is so by serial arithmetic (RFC 1982), so there is no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tsn(pub u32);

impl Tsn {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        self.add(1)
    }

    /// The one before it.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }

    /// The `n`th after it.
    #[must_use]
    pub const fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// How many steps lead from `base` to it, forwards: 0 to 2³² - 1.
    pub const fn since(self, base: Self) -> u32 {
        self.0.wrapping_sub(base.0)
    }

    /// Whether it is 1 to 2³¹ - 1 steps after `other`.
    pub const fn is_after(self, other: Self) -> bool {
        self.since(other).cast_signed() > 0
    }
}

impl fmt::Display for Tsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TSN {}", self.0)
    }
}
