//! Links composed once, for the transports.

pub mod dial;
pub mod stream;
#[cfg(feature = "turn")]
pub mod turn_server;
