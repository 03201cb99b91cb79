//! Pure codecs: bytes to values and back, without state or decisions.

pub mod candidate;
pub mod cursor;
#[cfg(feature = "webrtc")]
pub mod demux;
pub mod frame;
pub mod ice_server;
pub mod identity;
pub mod length;
#[cfg(feature = "webrtc")]
pub mod letter;
pub mod outlook;
#[cfg(feature = "webrtc")]
pub mod paste;
pub mod reason;
pub mod room;
#[cfg(feature = "webrtc")]
pub mod sctp;
#[cfg(feature = "webrtc")]
pub mod sdp;
pub mod servers;
pub mod session;
pub mod signal;
mod text;
#[cfg(feature = "ws")]
pub mod websocket;
