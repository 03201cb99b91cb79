//! The key schedule of DTLS 1.3: from a traffic secret to keys, and to the next secret.
//!
//! HKDF-Expand-Label of RFC 8446, section 7.1, with the prefix "dtls13" (RFC 9147, section 5.9). Nothing of what is made
//! here is longer than a hash, so one block of HKDF is enough.

use aws_lc_rs::hmac;
use dimpl::crypto::HashAlgorithm;
use zeroize::Zeroizing;

use super::suite::{Key, LONGEST_KEY, Mask, Suite};

/// Bytes of the longest hash.
const LONGEST_HASH: usize = 48;
/// What all labels begin with.
const PREFIX: &[u8] = b"dtls13";

/// The hash of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
}

impl Hash {
    const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => LONGEST_HASH,
        }
    }

    const fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
        }
    }

    /// dimpl's name for it.
    pub(super) const fn to_dimpl(self) -> HashAlgorithm {
        match self {
            Self::Sha256 => HashAlgorithm::SHA256,
            Self::Sha384 => HashAlgorithm::SHA384,
        }
    }
}

/// A traffic secret (RFC 8446, section 7.1). Wiped when dropped.
#[derive(Clone)]
pub(super) struct Secret {
    hash: Hash,
    bytes: Zeroizing<[u8; LONGEST_HASH]>,
}

/// What protects the records of one epoch in one direction.
pub(super) struct Protection {
    pub(super) key: Key,
    pub(super) iv: Zeroizing<[u8; 12]>,
    pub(super) mask: Mask,
}

impl Secret {
    /// None unless it is as long as a hash.
    pub(super) fn new(hash: Hash, secret: &[u8]) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; LONGEST_HASH]);
        let place = &mut bytes[..hash.len()];
        (place.len() == secret.len()).then(|| place.copy_from_slice(secret))?;
        Some(Self { hash, bytes })
    }

    /// The secret of the next epoch (RFC 8446, section 7.2).
    pub(super) fn next(&self) -> Self {
        let mut bytes = Zeroizing::new([0; LONGEST_HASH]);
        self.expand(b"traffic upd", &mut bytes[..self.hash.len()]);
        Self { hash: self.hash, bytes }
    }

    /// The nonce of number 0.
    pub(super) fn iv(&self) -> Zeroizing<[u8; 12]> {
        let mut iv = Zeroizing::new([0; 12]);
        self.expand(b"iv", &mut *iv);
        iv
    }

    /// The keys of records (RFC 9147, section 4.2.3; RFC 8446, section 7.3).
    pub(super) fn protection(&self, suite: Suite) -> Protection {
        let mut bytes = Zeroizing::new([0; LONGEST_KEY]);
        let bytes = &mut bytes[..suite.key_len()];
        self.expand(b"key", bytes);
        let key = Key::new(suite, bytes).unwrap_or_else(|| unreachable!("it has the length of the suite"));
        self.expand(b"sn", bytes);
        let mask = Mask::new(suite, bytes).unwrap_or_else(|| unreachable!("it has the length of the suite"));
        Protection { key, iv: self.iv(), mask }
    }

    fn expand(&self, label: &[u8], out: &mut [u8]) {
        let length = u16::try_from(out.len()).unwrap_or(u16::MAX);
        let key = hmac::Key::new(self.hash.hmac(), &self.bytes[..self.hash.len()]);
        let mut block = hmac::Context::with_key(&key);
        block.update(&length.to_be_bytes());
        block.update(&[(PREFIX.len() + label.len()) as u8]);
        block.update(PREFIX);
        block.update(label);
        block.update(&[0, 1]);
        out.copy_from_slice(&block.sign().as_ref()[..out.len()]);
    }
}

/// The label of an HKDF-Expand-Label of DTLS 1.3, from the data of its HMAC; none if it is another HMAC.
pub(super) fn label(data: &[u8]) -> Option<&[u8]> {
    let len = usize::from(*data.get(2)?);
    data.get(3..3 + len)?.strip_prefix(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimpl::crypto::{Buf, prf_hkdf};

    #[test]
    fn the_schedule_is_that_of_dimpl() {
        for (hash, algorithm) in [(Hash::Sha256, HashAlgorithm::SHA256), (Hash::Sha384, HashAlgorithm::SHA384)] {
            let bytes: Vec<u8> = (0..hash.len() as u8).collect();
            let secret = Secret::new(hash, &bytes).unwrap();
            let hmac = dimpl::crypto::aws_lc_rs::default_provider().hmac_provider;
            for (label, len) in [(&b"key"[..], 16), (b"iv", 12), (b"sn", 32), (b"traffic upd", hash.len())] {
                let (mut ours, mut theirs) = (vec![0; len], Buf::new());
                secret.expand(label, &mut ours);
                prf_hkdf::hkdf_expand_label_dtls13(hmac, algorithm, &bytes, label, &[], &mut theirs, len).unwrap();
                assert_eq!(ours, theirs[..]);
            }
        }
    }

    #[test]
    fn a_secret_has_the_length_of_its_hash() {
        assert!(Secret::new(Hash::Sha256, &[0; 48]).is_none());
        assert!(Secret::new(Hash::Sha384, &[0; 32]).is_none());
    }

    #[test]
    fn a_label_is_found_in_what_is_hashed() {
        assert_eq!(label(b"\0\x10\x09dtls13key\0\x01"), Some(&b"key"[..]));
        assert_eq!(label(b"\0\x10\x09tls13 key\0\x01"), None);
        assert_eq!(label(b"\0\x10\xff"), None);
    }
}
