//! Pure codecs: bytes to values and back, without state or decisions.

#[cfg(feature = "webrtc")]
pub mod candidate;
pub mod cursor;
pub mod frame;
#[cfg(feature = "webrtc")]
pub mod ice_server;
pub mod identity;
pub mod length;
pub mod outlook;
pub mod reason;
pub mod room;
#[cfg(feature = "webrtc")]
pub mod sdp;
pub mod servers;
pub mod session;
pub mod signal;
#[cfg(feature = "ws")]
pub mod websocket;
