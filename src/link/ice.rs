//! ICE (RFC 8445) for peers.

mod asked;

pub use asked::Asked;
