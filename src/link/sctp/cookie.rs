//! The cookie of the set-up (RFC 9260, section 5.1.3): what an INIT said, kept by its sender and signed by us.
//!
//! Whoever answers an INIT remembers nothing of it; all that it needs comes back with COOKIE ECHO. The cookie is
//! protected by HMAC-SHA-256 under a key that lives as long as the association, and it says when it was made.

use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::handshake::Offer;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::sctp::Tsn;

/// Bytes of what is signed.
const BODY: usize = 25;
/// Bytes of the signature.
const SIGNATURE: usize = 32;
/// Bytes of a cookie of ours.
pub(super) const COOKIE: usize = BODY + SIGNATURE;

const INTERLEAVING: u8 = 1;
const FORWARD_TSN: u8 = 2;
const RECONFIG: u8 = 4;
const ZERO_CHECKSUM: u8 = 8;

/// Makes cookies and knows them again.
#[derive(Clone)]
pub(super) struct Baker {
    key: [u8; 32],
}

/// Why a cookie is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadCookie {
    /// Not ours, or altered: dropped in silence (RFC 9260, section 5.1.5).
    Forged,
    /// Ours, but too old by so much: its sender, who has that tag, is told.
    Stale(Duration, u32),
}

impl Baker {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { key: rng.array() }
    }

    pub(super) fn bake(&self, now: Instant, offer: &Offer) -> [u8; COOKIE] {
        let mut cookie = [0; COOKIE];
        write(&mut cookie, now, offer);
        let signature = self.mac(&cookie[..BODY]).finalize().into_bytes();
        cookie[BODY..].copy_from_slice(&signature);
        cookie
    }

    /// # Errors
    /// Why it is refused.
    pub(super) fn open(&self, now: Instant, life: Duration, cookie: &[u8]) -> Result<Offer, BadCookie> {
        let cookie: &[u8; COOKIE] = cookie.try_into().map_err(|_| BadCookie::Forged)?;
        self.mac(&cookie[..BODY]).verify_slice(&cookie[BODY..]).map_err(|_| BadCookie::Forged)?;
        let (made, offer) = read(cookie);
        match now.since(made).checked_sub(life) {
            Some(late) if !late.is_zero() => Err(BadCookie::Stale(late, offer.tag)),
            _ => Ok(offer),
        }
    }

    fn mac(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut padded = [0; 64];
        padded[..self.key.len()].copy_from_slice(&self.key);
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(&padded.into());
        mac.update(body);
        mac
    }
}

impl std::fmt::Debug for Baker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Baker")
    }
}

fn write(cookie: &mut [u8; COOKIE], now: Instant, offer: &Offer) {
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    cookie[..8].copy_from_slice(&now.as_nanos().to_be_bytes());
    cookie[8..12].copy_from_slice(&offer.tag.to_be_bytes());
    cookie[12..16].copy_from_slice(&offer.window.to_be_bytes());
    cookie[16..20].copy_from_slice(&offer.initial_tsn.0.to_be_bytes());
    cookie[20..22].copy_from_slice(&offer.outbound_streams.to_be_bytes());
    cookie[22..24].copy_from_slice(&offer.inbound_streams.to_be_bytes());
    cookie[24] = flag(offer.has_interleaving, INTERLEAVING)
        | flag(offer.has_forward_tsn, FORWARD_TSN)
        | flag(offer.has_reconfig, RECONFIG)
        | flag(offer.has_zero_checksum, ZERO_CHECKSUM);
}

fn read(cookie: &[u8; COOKIE]) -> (Instant, Offer) {
    let u16_at = |at: usize| u16::from_be_bytes([cookie[at], cookie[at + 1]]);
    let u32_at = |at: usize| u32::from(u16_at(at)) << 16 | u32::from(u16_at(at + 2));
    let made = u64::from(u32_at(0)) << 32 | u64::from(u32_at(4));
    let offer = Offer {
        tag: u32_at(8),
        window: u32_at(12),
        initial_tsn: Tsn(u32_at(16)),
        outbound_streams: u16_at(20),
        inbound_streams: u16_at(22),
        has_interleaving: cookie[24] & INTERLEAVING != 0,
        has_forward_tsn: cookie[24] & FORWARD_TSN != 0,
        has_reconfig: cookie[24] & RECONFIG != 0,
        has_zero_checksum: cookie[24] & ZERO_CHECKSUM != 0,
    };
    (Instant::from_nanos(made), offer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    fn offer() -> Offer {
        Offer {
            tag: 0x0102_0304,
            window: 0x0a0b_0c0d,
            initial_tsn: Tsn(u32::MAX),
            outbound_streams: 65_535,
            inbound_streams: 1,
            has_interleaving: true,
            has_forward_tsn: false,
            has_reconfig: true,
            has_zero_checksum: false,
        }
    }

    #[test]
    fn a_cookie_brings_back_what_went_into_it() {
        let baker = Baker::new(&mut Rng::from_u64(1));
        let now = Instant::from_nanos(5_000_000_000);
        assert_eq!(baker.open(now + LIFE, LIFE, &baker.bake(now, &offer())), Ok(offer()));
    }

    #[test]
    fn a_cookie_with_any_bit_altered_or_of_another_association_is_forged() {
        let baker = Baker::new(&mut Rng::from_u64(1));
        let cookie = baker.bake(Instant::ZERO, &offer());
        for bit in 0..cookie.len() * 8 {
            let mut altered = cookie;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(baker.open(Instant::ZERO, LIFE, &altered), Err(BadCookie::Forged), "bit {bit}");
        }
        let other = Baker::new(&mut Rng::from_u64(2));
        assert_eq!(other.open(Instant::ZERO, LIFE, &cookie), Err(BadCookie::Forged));
        assert_eq!(baker.open(Instant::ZERO, LIFE, &cookie[1..]), Err(BadCookie::Forged));
    }

    #[test]
    fn an_old_cookie_is_stale_by_what_it_is_late() {
        let baker = Baker::new(&mut Rng::from_u64(1));
        let cookie = baker.bake(Instant::ZERO, &offer());
        let late = Duration::from_millis(3);
        assert_eq!(baker.open(Instant::ZERO + LIFE + late, LIFE, &cookie), Err(BadCookie::Stale(late, offer().tag)));
    }
}
