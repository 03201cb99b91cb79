//! CRC32c, little-endian on the wire (RFC 9260, appendix A).

use super::{COMMON_HEADER, Checksum, Malformed};

/// Where the checksum lies.
const AT: std::ops::Range<usize> = 8..COMMON_HEADER;

/// Checks a packet's checksum; its first bytes are handed in apart.
#[inline]
pub(super) fn check(packet: &[u8], head: &[u8; COMMON_HEADER], rule: Checksum) -> Result<(), Malformed> {
    let [.., a, b, c, d] = *head;
    let told = u32::from_le_bytes([a, b, c, d]);
    if told == 0 && rule == Checksum::MayBeZero {
        return Ok(());
    }
    let mut blank = *head;
    blank[AT].fill(0);
    let sum = crc32c::crc32c_append(crc32c::crc32c(&blank), &packet[COMMON_HEADER..]);
    if sum == told { Ok(()) } else { Err(Malformed::Checksum) }
}

/// Writes the checksum of a packet that has zeros in its place.
pub(super) fn write(packet: &mut [u8]) {
    let sum = crc32c::crc32c(packet);
    if let Some(place) = packet.get_mut(AT) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}
