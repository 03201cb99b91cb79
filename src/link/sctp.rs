//! SCTP with data channels (RFC 9260, RFC 8831).

pub mod config;
pub mod congestion;
pub mod error;
mod outbound;
