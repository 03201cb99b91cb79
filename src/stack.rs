//! Links composed once, for the transports.

pub mod dial;
pub mod stream;
