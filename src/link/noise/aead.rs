//! AES-256-GCM as Noise uses it: a 64-bit nonce, big-endian behind four zero bytes (Noise specification, section 12.3).
//!
//! With the feature `tls` the work is aws-lc-rs', else RustCrypto's, which is several times slower and builds where
//! there is no C compiler. Both make the same bytes.

#[cfg(not(feature = "tls"))]
use self::portable as engine;
#[cfg(feature = "tls")]
use self::tuned as engine;

use zeroize::Zeroizing;

/// Bytes of a tag.
pub(super) const TAG: usize = 16;

/// The nonce that Noise keeps for `REKEY` (section 4.2).
const REKEY: u64 = u64::MAX;

/// One key.
pub(super) struct Aead(engine::Key);

impl Aead {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(engine::Key::new(key))
    }

    /// Encrypts in place.
    pub(super) fn seal(&self, nonce: u64, aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
        self.0.seal(layout(nonce), aad, text)
    }

    /// Decrypts text with its tag behind it, in place; answers the length of the text. What is left after a failure
    /// is of no use.
    pub(super) fn open(&self, nonce: u64, aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
        self.0.open(layout(nonce), aad, sealed)
    }

    /// The key after this one: `REKEY` of the Noise specification.
    pub(super) fn next(&self) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        self.seal(REKEY, &[], &mut *key);
        Self::new(&key)
    }
}

/// Encrypts in place under a key that seals nothing else, ever.
pub fn seal_once(key: &[u8; 32], aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
    Aead::new(key).seal(0, aad, text)
}

/// Decrypts what [`seal_once`] made, its tag behind it, in place; answers the length of the text, none if it is
/// forged. What is left after a failure is of no use.
pub fn open_once(key: &[u8; 32], aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
    Aead::new(key).open(0, aad, sealed)
}

fn layout(nonce: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&nonce.to_be_bytes());
    bytes
}

#[cfg(feature = "tls")]
mod tuned {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    pub(super) struct Key(LessSafeKey);

    impl Key {
        pub(super) fn new(key: &[u8; 32]) -> Self {
            Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key")))
        }

        pub(super) fn seal(&self, nonce: [u8; 12], aad: &[u8], text: &mut [u8]) -> [u8; 16] {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), text).expect("it is below 64 GiB");
            tag.as_ref().try_into().expect("a tag has 16 bytes")
        }

        pub(super) fn open(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
            let nonce = Nonce::assume_unique_for_key(nonce);
            Some(self.0.open_in_place(nonce, Aad::from(aad), sealed).ok()?.len())
        }
    }
}

#[cfg(any(test, not(feature = "tls")))]
mod portable {
    use aes_gcm::aead::{AeadInPlace as _, KeyInit as _};
    use aes_gcm::{Aes256Gcm, Tag};

    pub(super) struct Key(Aes256Gcm);

    impl Key {
        pub(super) fn new(key: &[u8; 32]) -> Self {
            Self(Aes256Gcm::new(key.into()))
        }

        pub(super) fn seal(&self, nonce: [u8; 12], aad: &[u8], text: &mut [u8]) -> [u8; 16] {
            self.0.encrypt_in_place_detached(&nonce.into(), aad, text).expect("it is below 64 GiB").into()
        }

        pub(super) fn open(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
            let (text, tag) = sealed.split_last_chunk_mut::<16>()?;
            let tag = Tag::from(*tag);
            self.0.decrypt_in_place_detached(&nonce.into(), aad, text, &tag).ok()?;
            Some(text.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
    const NONCE: u64 = 0x0102_0304_0506_0708;
    const TEXT: &[u8] = b"a message of 24 bytes...";

    /// Made by another implementation from the three above and the additional data `about`.
    const SEALED: &str = "91b3b8fbd036d9c4285d845628af75d1a1b3b9dc340cf5687de96d923987edb5f7d557c96bf3456d";
    /// The same under the key that `REKEY` makes of it.
    const REKEYED: &str = "d7bd623af6607172f992c1c3c8eafb70ace0e29f3868417732d4d4ece5c46e762ce40cf672ecf249";
    /// Test case 14 of the specification of GCM: a key, a nonce and a block of zeros.
    const ZEROS: &str = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919";

    macro_rules! both {
        ($name:ident, $engine:ident) => {
            #[test]
            fn $name() {
                let seal = |key: &[u8; 32], nonce, aad: &[u8], text: &[u8]| {
                    let mut text = text.to_vec();
                    let tag = $engine::Key::new(key).seal(layout(nonce), aad, &mut text);
                    [&text[..], &tag].concat()
                };
                assert_eq!(hex(&seal(&[0; 32], 0, b"", &[0; 16])), ZEROS);
                let mut sealed = seal(KEY, NONCE, b"about", TEXT);
                assert_eq!(hex(&sealed), SEALED);
                let open = |aad: &[u8], sealed: &mut [u8]| $engine::Key::new(KEY).open(layout(NONCE), aad, sealed);
                assert_eq!(open(b"other", &mut sealed.clone()), None);
                assert_eq!(open(b"about", &mut sealed[..15].to_vec()), None);
                assert_eq!(open(b"about", &mut sealed), Some(TEXT.len()));
                assert_eq!(&sealed[..TEXT.len()], TEXT);
            }
        };
    }

    both!(the_portable_engine_seals_as_others_do, portable);
    #[cfg(feature = "tls")]
    both!(the_tuned_engine_seals_as_others_do, tuned);

    #[test]
    fn the_next_key_is_the_one_that_noise_defines() {
        let mut text = TEXT.to_vec();
        let tag = Aead::new(KEY).next().seal(NONCE, b"about", &mut text);
        assert_eq!(hex(&[&text[..], &tag].concat()), REKEYED);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
