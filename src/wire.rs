//! Pure codecs: bytes to values and back. No time, no state beyond a cursor.

pub mod length;
#[cfg(feature = "ws")]
pub mod websocket;
