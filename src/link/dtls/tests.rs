//! Two ends, in memory and virtual time.

pub(super) mod nonces;
mod pair;
mod set_up;
