//! What `snow` works with: our randomness and our AES-GCM; X25519 and SHA-256 are its own.

use std::cell::Cell;

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

use super::aead::{Aead, TAG};
use crate::machine::rng::Rng;

/// Gives away its randomness once, so that no two handshakes draw the same.
pub(super) struct Resolver(Cell<Option<Rng>>);

impl Resolver {
    pub(super) const fn new(rng: Rng) -> Self {
        Self(Cell::new(Some(rng)))
    }
}

/// The X25519 key that belongs to a private one.
pub(super) fn public_key(private: &[u8; 32]) -> [u8; 32] {
    let mut exchange = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("it is compiled in");
    exchange.set(private);
    exchange.pubkey().try_into().expect("a key has 32 bytes")
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        self.0.take().map(|rng| Box::new(Source(rng)) as _)
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::AESGCM).then(|| Box::<AesGcm>::default() as _)
    }
}

struct Source(Rng);

impl Random for Source {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

/// A cipher, which `snow` gives a key before it uses it.
#[derive(Default)]
struct AesGcm(Option<Aead>);

impl AesGcm {
    fn key(&self) -> &Aead {
        self.0.as_ref().expect("snow sets a key first")
    }
}

impl Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(Aead::new(key));
    }

    fn encrypt(&self, nonce: u64, aad: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        let (sealed, tag) = out[..text.len() + TAG].split_at_mut(text.len());
        sealed.copy_from_slice(text);
        tag.copy_from_slice(&self.key().seal(nonce, aad, sealed));
        text.len() + TAG
    }

    fn decrypt(&self, nonce: u64, aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        let mut text = sealed.to_vec();
        let len = self.key().open(nonce, aad, &mut text).ok_or(snow::Error::Decrypt)?;
        out[..len].copy_from_slice(&text[..len]);
        Ok(len)
    }
}
