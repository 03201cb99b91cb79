//! What a datagram of a peer carries, by its first byte (RFC 7983, section 7).

/// The protocols that share a peer's pair of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// STUN: checks, and their answers.
    Stun,
    /// DTLS records.
    Dtls,
    /// Anything else: TURN's channels, RTP, ZRTP, QUIC; or nothing at all.
    Other,
}

impl Carried {
    /// What `datagram` carries.
    pub const fn of(datagram: &[u8]) -> Self {
        match datagram.first() {
            Some(0..=3) => Self::Stun,
            Some(20..=63) => Self::Dtls,
            _ => Self::Other,
        }
    }
}

/// Whether a datagram is STUN.
pub const fn is_stun(datagram: &[u8]) -> bool {
    matches!(Carried::of(datagram), Carried::Stun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells() {
        let of = |first: u8| Carried::of(&[first, 1, 2]);
        assert_eq!((of(0), of(3), of(4), of(19)), (Carried::Stun, Carried::Stun, Carried::Other, Carried::Other));
        assert_eq!((of(20), of(63), of(64), of(128)), (Carried::Dtls, Carried::Dtls, Carried::Other, Carried::Other));
        assert_eq!(Carried::of(&[]), Carried::Other);
    }
}
