//! Links composed once, for the transports.

pub mod dial;
#[cfg(feature = "webrtc")]
pub mod gather;
#[cfg(feature = "webrtc")]
pub mod peer;
#[cfg(feature = "stun")]
pub mod probe;
pub mod stream;
#[cfg(feature = "stun")]
pub mod stun_server;
#[cfg(feature = "turn")]
pub mod turn_server;
