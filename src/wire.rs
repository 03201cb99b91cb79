//! Pure codecs: bytes to values and back, without state or decisions.

pub mod cursor;
pub mod frame;
pub mod identity;
pub mod length;
pub mod reason;
pub mod room;
pub mod servers;
pub mod session;
pub mod signal;
#[cfg(feature = "ws")]
pub mod websocket;
