//! Payload protocol identifiers of data channels (RFC 8831, section 8).

/// A message of [DCEP](super::dcep).
pub const DCEP: u32 = 50;
/// Text in UTF-8.
pub const STRING: u32 = 51;
/// A part of binary data that is not the last; nobody sends it any more (RFC 8831, section 6.6).
pub const BINARY_PARTIAL: u32 = 52;
/// Binary data.
pub const BINARY: u32 = 53;
/// A part of a text that is not the last; nobody sends it any more.
pub const STRING_PARTIAL: u32 = 54;
/// The empty text: one byte, which is ignored.
pub const STRING_EMPTY: u32 = 56;
/// Empty binary data: one byte, which is ignored.
pub const BINARY_EMPTY: u32 = 57;
