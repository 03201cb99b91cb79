//! How the keys of a handshake come to us: primitives that tell what they are used for.
//!
//! dimpl exports no traffic keys, but it takes its primitives from whoever makes its configuration. Ours are aws-lc-rs'
//! as its own are, and note on the way what [`Records`](super::records::Records) need to go on: the key or the secret of
//! each direction, the number of the last record sealed, which numbers were opened, and the number of the last message.
//!
//! *Whose keys are these?* One configuration serves all connections of a process, and primitives are called without a
//! word about the connection. So a [`Tap`] lies in a slot of the thread while a call into dimpl lasts ([`during`]), and
//! only then; a call never suspends and never leaves its thread. What has no slot, as the checks of a new configuration,
//! notes nothing.
//!
//! *DTLS 1.2.* A cipher is made with its key. The fixed part of the nonce comes with the first record, the number in its
//! additional data. dimpl draws the eight explicit bytes of AES-GCM's nonces at random; own records count in them. So the
//! tap notes by which first bytes dimpl's nonces began ([`Firsts`]), and own records begin theirs by another.
//!
//! *DTLS 1.3.* The HMAC sees the secret from which a key is expanded just before the cipher is made with that key, and
//! from a secret follow all the others. Bits in the additional data tell the epoch.
//!
//! Everything noted is wiped when the tap goes. dimpl keeps copies of its own while it lives.

use std::cell::Cell;

use dimpl::CryptoError;
use dimpl::crypto::{
    Aad, Buf, Cipher, Dtls12CipherSuite, Dtls13CipherSuite, HashAlgorithm, HmacProvider, Nonce,
    SupportedDtls12CipherSuite, SupportedDtls13CipherSuite, TmpBuf,
};
use dimpl::{CryptoOperation, crypto};
use zeroize::Zeroizing;

use super::record::{HANDSHAKE, Message, content};
use super::replay::Window;
use super::schedule::{self, Secret};
use super::suite::{Key, Suite, TAG, numbered};

std::thread_local! {
    static SLOT: Cell<Option<Box<Tap>>> = const { Cell::new(None) };
}

/// What the handshake of one connection has shown.
#[derive(Default)]
pub(super) struct Tap {
    /// What a key was last expanded from.
    expanded: Option<Zeroizing<Vec<u8>>>,
    /// What the next records are sealed with.
    pub(super) write: Option<Write>,
    /// What the peer's records are opened with.
    pub(super) read: Option<Read>,
    /// What the peer's records of epoch 2 are opened with (1.3 only).
    pub(super) handshake: Option<Read>,
    /// The number of the last message of the handshake that was sent under a key.
    pub(super) message: u16,
    /// Whether keys were updated already.
    pub(super) is_updated: bool,
}

/// How records are sealed.
pub(super) struct Write {
    pub(super) suite: Suite,
    pub(super) material: Material,
    /// The number of the next record.
    pub(super) next: u64,
    pub(super) firsts: Firsts,
}

/// How records are opened.
pub(super) struct Read {
    pub(super) material: Material,
    pub(super) window: Window,
}

/// What keys are made of.
#[derive(Clone)]
pub(super) enum Material {
    /// DTLS 1.2: a key, and the fixed part of the nonce.
    Key(Zeroizing<Vec<u8>>, Zeroizing<[u8; 12]>),
    /// DTLS 1.3.
    Secret(Secret),
}

/// The first bytes of the explicit nonces that were drawn at random.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Firsts([u128; 2]);

impl Firsts {
    fn note(&mut self, first: u8) {
        self.0[usize::from(first >> 7)] |= 1 << (first & 127);
    }

    /// A byte by which none began.
    pub(super) fn unused(&self) -> Option<u8> {
        (0..=u8::MAX).find(|first| self.0[usize::from(first >> 7)] >> (first & 127) & 1 == 0)
    }
}

/// Lets what `call` does be noted in `tap`.
pub(super) fn during<R>(tap: &mut Option<Box<Tap>>, call: impl FnOnce() -> R) -> R {
    SLOT.set(tap.take());
    let result = call();
    *tap = SLOT.take();
    result
}

fn note(take: impl FnOnce(&mut Tap)) {
    if let Some(mut tap) = SLOT.take() {
        take(&mut tap);
        SLOT.set(Some(tap));
    }
}

/// `provider` with primitives that tell. None if it has a suite that we don't know, but for those of shared keys, which
/// are never offered: its connections then stay on dimpl's records.
pub(super) fn tapped(provider: &crypto::CryptoProvider) -> Option<crypto::CryptoProvider> {
    let of_12 = provider.cipher_suites.iter().map(|suite| suite.suite());
    let of_13 = provider.dtls13_cipher_suites.iter().map(|suite| suite.suite());
    let is_known = of_12.filter(|suite| !suite.is_psk()).all(|suite| Suite::of_12(suite).is_some())
        && of_13.into_iter().all(|suite| Suite::of_13(suite).is_some());
    is_known.then(|| crypto::CryptoProvider {
        cipher_suites: &SUITES_12,
        dtls13_cipher_suites: &SUITES_13,
        hmac_provider: &Tapped,
        ..provider.clone()
    })
}

static SUITES_12: [&dyn SupportedDtls12CipherSuite; 3] =
    [&Tapped12(Suite::Aes128Gcm), &Tapped12(Suite::Aes256Gcm), &Tapped12(Suite::ChaCha20Poly1305)];
static SUITES_13: [&dyn SupportedDtls13CipherSuite; 3] =
    [&Tapped13(Suite::Aes128Gcm), &Tapped13(Suite::Aes256Gcm), &Tapped13(Suite::ChaCha20Poly1305)];

/// HMAC that tells from which secret a key is expanded.
#[derive(Debug)]
struct Tapped;

impl HmacProvider for Tapped {
    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8], out: &mut [u8]) -> Result<usize, CryptoError> {
        use aws_lc_rs::hmac;
        let algorithm = match hash {
            HashAlgorithm::SHA256 => hmac::HMAC_SHA256,
            HashAlgorithm::SHA384 => hmac::HMAC_SHA384,
            other => return Err(CryptoError::UnsupportedHmacHash(other)),
        };
        match schedule::label(data) {
            Some(b"key") => note(|tap| tap.expanded = Some(Zeroizing::new(key.to_vec()))),
            Some(b"traffic upd") => note(|tap| tap.is_updated = true),
            _ => {}
        }
        let tag = hmac::sign(&hmac::Key::new(algorithm, key), data);
        let tag = tag.as_ref();
        out[..tag.len()].copy_from_slice(tag);
        Ok(tag.len())
    }
}

#[derive(Debug)]
struct Tapped12(Suite);

impl SupportedDtls12CipherSuite for Tapped12 {
    fn suite(&self) -> Dtls12CipherSuite {
        self.0.to_12()
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.0.hash().to_dimpl()
    }

    fn key_lengths(&self) -> (usize, usize, usize) {
        (0, self.0.key_len(), 12 - self.0.explicit_nonce())
    }

    fn explicit_nonce_len(&self) -> usize {
        self.0.explicit_nonce()
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        Ok(Box::new(Cipher12 { suite: self.0, bytes: Zeroizing::new(key.to_vec()), key: cipher(self.0, key)? }))
    }
}

#[derive(Debug)]
struct Tapped13(Suite);

impl SupportedDtls13CipherSuite for Tapped13 {
    fn suite(&self) -> Dtls13CipherSuite {
        self.0.to_13()
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.0.hash().to_dimpl()
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn iv_len(&self) -> usize {
        12
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        let mut expanded = None;
        note(|tap| expanded = tap.expanded.take());
        let secret = expanded.and_then(|bytes| Secret::new(self.0.hash(), &bytes));
        Ok(Box::new(Cipher13 { suite: self.0, secret, key: cipher(self.0, key)? }))
    }

    fn encrypt_sn(&self, key: &[u8], sample: &[u8; 16]) -> [u8; 16] {
        let theirs = crypto::aws_lc_rs::default_provider().dtls13_cipher_suites;
        let suite = theirs.iter().find(|suite| suite.suite() == self.suite());
        suite.map_or([0; 16], |suite| suite.encrypt_sn(key, sample))
    }
}

fn cipher(suite: Suite, key: &[u8]) -> Result<Key, CryptoError> {
    Key::new(suite, key).ok_or(CryptoError::OperationFailed(CryptoOperation::CreateCipher))
}

/// Seals or opens the records of one direction of DTLS 1.2.
struct Cipher12 {
    suite: Suite,
    bytes: Zeroizing<Vec<u8>>,
    key: Key,
}

impl Cipher12 {
    /// The fixed part of the nonce, and the number of the record, from what a record is sealed with.
    fn numbers(&self, aad: &[u8], nonce: &Nonce) -> Option<(Material, u64)> {
        let number = u64::from_be_bytes(*aad.first_chunk()?);
        let mut iv = Zeroizing::new(nonce.0);
        match self.suite {
            Suite::ChaCha20Poly1305 => *iv = numbered(*iv, number),
            Suite::Aes128Gcm | Suite::Aes256Gcm => iv[4..].fill(0),
        }
        Some((Material::Key(self.bytes.clone(), iv), number & MOST))
    }
}

/// The highest number of a record of DTLS 1.2, below the 16 bits of its epoch.
const MOST: u64 = (1 << 48) - 1;

impl Cipher for Cipher12 {
    fn encrypt(&mut self, text: &mut Buf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        seal(&self.key, text, &aad, &nonce)?;
        let Some((material, number)) = self.numbers(&aad, &nonce) else { return Ok(()) };
        note(|tap| {
            let start = || Write { suite: self.suite, material, next: 0, firsts: Firsts::default() };
            let write = tap.write.get_or_insert_with(start);
            write.next = number + 1;
            write.firsts.note(nonce.0[4]);
        });
        Ok(())
    }

    fn decrypt(&mut self, sealed: &mut TmpBuf<'_>, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        open(&self.key, sealed, &aad, &nonce)?;
        let Some((material, number)) = self.numbers(&aad, &nonce) else { return Ok(()) };
        note(|tap| {
            let start = || Read { material, window: Window::default() };
            tap.read.get_or_insert_with(start).window.mark(number);
        });
        Ok(())
    }
}

/// Seals or opens the records of one direction and epoch of DTLS 1.3.
struct Cipher13 {
    suite: Suite,
    secret: Option<Secret>,
    key: Key,
}

impl Cipher13 {
    /// The secret and the number of a record, and whether it is of epoch 2.
    fn numbers(&self, aad: &[u8], nonce: &Nonce) -> Option<(Secret, u64, bool)> {
        let epoch = aad.first()? & 3;
        let secret = self.secret.clone()?;
        let number = secret.iv().iter().zip(nonce.0).skip(4).fold(0, |n, (a, b)| n << 8 | u64::from(a ^ b));
        Some((secret, number, epoch == 2))
    }
}

impl Cipher for Cipher13 {
    fn encrypt(&mut self, text: &mut Buf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let message = message(text);
        seal(&self.key, text, &aad, &nonce)?;
        let Some((secret, number, is_handshake)) = self.numbers(&aad, &nonce) else { return Ok(()) };
        note(|tap| {
            tap.message = tap.message.max(message);
            if !is_handshake {
                let start = || Write {
                    suite: self.suite,
                    material: Material::Secret(secret),
                    next: 0,
                    firsts: Firsts::default(),
                };
                tap.write.get_or_insert_with(start).next = number + 1;
            }
        });
        Ok(())
    }

    fn decrypt(&mut self, sealed: &mut TmpBuf<'_>, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        open(&self.key, sealed, &aad, &nonce)?;
        let Some((secret, number, is_handshake)) = self.numbers(&aad, &nonce) else { return Ok(()) };
        note(|tap| {
            let read = if is_handshake { &mut tap.handshake } else { &mut tap.read };
            let start = || Read { material: Material::Secret(secret), window: Window::default() };
            read.get_or_insert_with(start).window.mark(number);
        });
        Ok(())
    }
}

/// The number of the message that a record of DTLS 1.3 holds; 0 if it holds none.
fn message(text: &[u8]) -> u16 {
    match content(text) {
        Some((HANDSHAKE, text)) => Message::parse(text).map_or(0, |fragment| fragment.message.number),
        _ => 0,
    }
}

fn seal(key: &Key, text: &mut Buf, aad: &[u8], nonce: &Nonce) -> Result<(), CryptoError> {
    let tag = key.seal(nonce.0, aad, text).ok_or(CryptoError::OperationFailed(CryptoOperation::Encrypt))?;
    text.extend_from_slice(&tag);
    Ok(())
}

fn open(key: &Key, sealed: &mut TmpBuf<'_>, aad: &[u8], nonce: &Nonce) -> Result<(), CryptoError> {
    let len = key.open(nonce.0, aad, sealed.as_mut()).ok_or(CryptoError::OperationFailed(CryptoOperation::Decrypt))?;
    sealed.truncate(len);
    Ok(())
}

macro_rules! opaque {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("suite", &self.suite).finish_non_exhaustive()
            }
        }
    )*};
}

opaque!(Cipher12, Cipher13);
