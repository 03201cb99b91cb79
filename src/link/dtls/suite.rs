//! The three cipher suites of own records, by aws-lc-rs: sealing and opening in place, and the mask of numbers.
//!
//! Handshake and own records seal through the same [`Key`], so that tests can watch every nonce that is used. What holds
//! a key wipes it when it goes; aws-lc-rs does so by itself.

use aws_lc_rs::aead::quic::{self, HeaderProtectionKey};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use dimpl::crypto::{Dtls12CipherSuite, Dtls13CipherSuite};

use super::schedule::Hash;

/// Bytes of a tag, in every suite.
pub(super) const TAG: usize = 16;
/// Bytes of the longest key.
pub(super) const LONGEST_KEY: usize = 32;

/// A cipher suite, of either version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suite {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Suite {
    pub(super) const ALL: [Self; 3] = [Self::Aes128Gcm, Self::Aes256Gcm, Self::ChaCha20Poly1305];

    /// Our name for one of DTLS 1.2; none if it is none of ours.
    pub(super) fn of_12(suite: Dtls12CipherSuite) -> Option<Self> {
        Self::ALL.into_iter().find(|ours| ours.to_12() == suite)
    }

    /// Our name for one of DTLS 1.3; none if it is none of ours.
    pub(super) fn of_13(suite: Dtls13CipherSuite) -> Option<Self> {
        Self::ALL.into_iter().find(|ours| ours.to_13() == suite)
    }

    pub(super) const fn to_12(self) -> Dtls12CipherSuite {
        match self {
            Self::Aes128Gcm => Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256,
            Self::Aes256Gcm => Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384,
            Self::ChaCha20Poly1305 => Dtls12CipherSuite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256,
        }
    }

    pub(super) const fn to_13(self) -> Dtls13CipherSuite {
        match self {
            Self::Aes128Gcm => Dtls13CipherSuite::AES_128_GCM_SHA256,
            Self::Aes256Gcm => Dtls13CipherSuite::AES_256_GCM_SHA384,
            Self::ChaCha20Poly1305 => Dtls13CipherSuite::CHACHA20_POLY1305_SHA256,
        }
    }

    /// The hash of its key schedule.
    pub(super) const fn hash(self) -> Hash {
        match self {
            Self::Aes256Gcm => Hash::Sha384,
            Self::Aes128Gcm | Self::ChaCha20Poly1305 => Hash::Sha256,
        }
    }

    /// Bytes of a key, and of the key of a mask.
    pub(super) const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => LONGEST_KEY,
        }
    }

    /// Bytes of the nonce that a record of DTLS 1.2 carries (RFC 5288, section 3; RFC 7905, section 2).
    pub(super) const fn explicit_nonce(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 8,
            Self::ChaCha20Poly1305 => 0,
        }
    }

    /// How many records one key may seal: 2^24.5 for AES-GCM; for ChaCha20-Poly1305 numbers run out first (RFC 9147,
    /// section 4.5.3).
    pub(super) const fn most_sealed(self) -> u64 {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 23_726_566,
            Self::ChaCha20Poly1305 => u64::MAX,
        }
    }

    const fn aead(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128Gcm => &aead::AES_128_GCM,
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    const fn mask(self) -> &'static quic::Algorithm {
        match self {
            Self::Aes128Gcm => &quic::AES_128,
            Self::Aes256Gcm => &quic::AES_256,
            Self::ChaCha20Poly1305 => &quic::CHACHA20,
        }
    }
}

/// A key that seals or opens records.
pub(super) struct Key {
    key: LessSafeKey,
    #[cfg(test)]
    name: [u8; LONGEST_KEY],
}

impl Key {
    /// None if the key is not as long as those of the suite.
    pub(super) fn new(suite: Suite, bytes: &[u8]) -> Option<Self> {
        #[cfg(test)]
        super::tests::nonces::key_made();
        let key = LessSafeKey::new(UnboundKey::new(suite.aead(), bytes).ok()?);
        Some(Self {
            key,
            #[cfg(test)]
            name: std::array::from_fn(|n| bytes.get(n).copied().unwrap_or(0)),
        })
    }

    /// Encrypts in place; answers the tag. No nonce may come twice. None above 64 GiB.
    #[inline]
    pub(super) fn seal(&self, nonce: [u8; 12], aad: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        #[cfg(test)]
        super::tests::nonces::used(&self.name, nonce);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(aad), text).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts a text with its tag behind it, in place; answers the length of the text, none if it is forged. What is
    /// left after a failure is of no use.
    #[inline]
    pub(super) fn open(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        Some(self.key.open_in_place(nonce, Aad::from(aad), sealed).ok()?.len())
    }
}

/// The key that hides the numbers of records of DTLS 1.3 (RFC 9147, section 4.2.3).
pub(super) struct Mask(HeaderProtectionKey);

impl Mask {
    /// None if the key is not as long as those of the suite.
    pub(super) fn new(suite: Suite, bytes: &[u8]) -> Option<Self> {
        HeaderProtectionKey::new(suite.mask(), bytes).ok().map(Self)
    }

    /// The first five bytes of the mask, of which a number takes one or two; none unless the sample has 16 bytes.
    #[inline]
    pub(super) fn of(&self, sample: &[u8]) -> Option<[u8; 5]> {
        self.0.new_mask(sample).ok()
    }
}

/// `iv` with the number of a record in its last eight bytes (RFC 8446, section 5.3; RFC 7905, section 2).
#[inline]
pub(super) fn numbered(mut iv: [u8; 12], number: u64) -> [u8; 12] {
    iv[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, with)| *byte ^= with);
    iv
}
