//! Types of chunks, and what is done with one that is not known (RFC 9260, section 3.2).

/// Payload.
pub const DATA: u8 = 0;
/// Asks for an association.
pub const INIT: u8 = 1;
/// Answers [`INIT`].
pub const INIT_ACK: u8 = 2;
/// Acknowledges payload.
pub const SACK: u8 = 3;
/// Asks whether the peer is there.
pub const HEARTBEAT: u8 = 4;
/// Answers [`HEARTBEAT`].
pub const HEARTBEAT_ACK: u8 = 5;
/// Ends the association at once.
pub const ABORT: u8 = 6;
/// Asks for the end.
pub const SHUTDOWN: u8 = 7;
/// Answers [`SHUTDOWN`].
pub const SHUTDOWN_ACK: u8 = 8;
/// Tells of an error.
pub const ERROR: u8 = 9;
/// Returns the cookie.
pub const COOKIE_ECHO: u8 = 10;
/// Answers [`COOKIE_ECHO`].
pub const COOKIE_ACK: u8 = 11;
/// Answers [`SHUTDOWN_ACK`].
pub const SHUTDOWN_COMPLETE: u8 = 14;
/// Payload of messages that interleave (RFC 8260).
pub const I_DATA: u8 = 64;
/// Resets streams (RFC 6525).
pub const RECONFIG: u8 = 130;
/// Fills a packet (RFC 4820).
pub const PAD: u8 = 132;
/// Gives payload up (RFC 3758).
pub const FORWARD_TSN: u8 = 192;
/// Gives payload of messages that interleave up (RFC 8260).
pub const I_FORWARD_TSN: u8 = 194;

/// Whether the chunks after an unknown one of this type are read.
pub const fn is_skipped(kind: u8) -> bool {
    kind & 0x80 != 0
}

/// Whether the sender of an unknown one is told, by ERROR with the cause
/// [`UNRECOGNIZED_CHUNK`](super::cause::UNRECOGNIZED_CHUNK).
pub const fn is_reported(kind: u8) -> bool {
    kind & 0x40 != 0
}

/// Whether it may share its packet with no other (RFC 9260, section 6.10).
pub(super) const fn is_alone(kind: u8) -> bool {
    matches!(kind, INIT | INIT_ACK | SHUTDOWN_COMPLETE)
}
