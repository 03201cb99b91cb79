//! One protocol each: plain structs with inherent `receive` and `fill` that take closures.

#[cfg(feature = "webrtc")]
pub mod dtls;
pub mod framed;
#[cfg(feature = "ws")]
pub mod http;
#[cfg(feature = "webrtc")]
pub mod ice;
#[cfg(feature = "webrtc")]
pub mod negotiation;
pub mod noise;
#[cfg(feature = "webrtc")]
pub mod sctp;
#[cfg(feature = "stun")]
pub mod stun;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "webrtc")]
pub mod turn;
#[cfg(feature = "ws")]
pub mod websocket;
