//! The small words of session descriptions.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// A number in plain digits: `FromStr` alone takes a sign too.
pub(crate) fn number<T: FromStr>(word: &str) -> Option<T> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) { word.parse().ok() } else { None }
}

/// Whether it has so many characters, of those that ICE allows (RFC 8839, section 5.1).
pub(crate) fn ice_chars(word: &str, len: RangeInclusive<usize>) -> bool {
    len.contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

#[cfg(feature = "webrtc")]
/// Whether it is a word that may be written into a line as it is: visible ASCII, not empty.
pub(crate) fn visible(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic())
}
