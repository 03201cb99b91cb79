//! Two ends, in memory and virtual time.

mod dimpl_partner;
mod hostile;
mod key_update;
pub(super) mod nonces;
mod pair;
mod seeded;
mod set_up;
mod steady;
