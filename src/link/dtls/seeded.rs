//! DTLS whose every draw follows from seeds, for worlds only: it protects nothing.
//!
//! Key exchange is a sum of public numbers, signatures are constant and never looked at, and all share one
//! certificate; records are sealed as ever. So sizes and times of a handshake repeat. A value of this kind is made by
//! [`World`](crate::sim::World) and by nobody else: no driver can name it, and the feature `sim` changes no peer
//! outside worlds.

use std::cell::Cell;
use std::sync::OnceLock;

use dimpl::DtlsCertificate;
use dimpl::crypto::{
    ActiveKeyExchange, Buf, CryptoProvider as Primitives, KeyProvider, SignatureVerifier, SigningKey, SupportedKxGroup,
};
use dimpl::crypto::{HashAlgorithm, NamedGroup, SignatureAlgorithm};

use super::Provider;
use crate::machine::rng::Rng;

/// DER of a self-signed certificate (ECDSA, P-256).
const CERTIFICATE: &[u8] = include_bytes!("seeded/certificate.der");
/// As long as most signatures of that curve.
const SIGNATURE: [u8; 71] = [0x42; 71];
const KEY: usize = 32;

std::thread_local! {
    /// What the next peer, and the next key exchange, of this thread draw from.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// The certificate of all peers.
pub(crate) fn certificate() -> DtlsCertificate {
    DtlsCertificate { certificate: CERTIFICATE.to_vec(), private_key: Vec::new() }
}

/// Seeds what the engine draws next on this thread.
pub(crate) fn seed(seed: u64) {
    fastrand::seed(seed);
    SEED.set(seed);
}

/// What was seeded last.
#[cfg(feature = "str0m")]
pub(crate) fn latest() -> u64 {
    SEED.get()
}

/// What all peers of worlds make their connections with.
pub(crate) fn provider() -> Provider {
    static PROVIDER: OnceLock<Provider> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| {
        Provider::seeded(&primitives(), seed).expect("the primitives are the system's, but for what draws")
    });
    provider.clone()
}

/// The real primitives, but for what draws and for what would differ in size.
pub(crate) fn primitives() -> Primitives {
    static GROUPS: [&dyn SupportedKxGroup; 1] = [&Sum];
    static PRIMITIVES: OnceLock<Primitives> = OnceLock::new();
    let primitives = PRIMITIVES.get_or_init(|| {
        let real = dimpl::crypto::aws_lc_rs::default_provider();
        Primitives {
            kx_groups: &GROUPS,
            signature_verification: &Anything,
            key_provider: &Constant,
            cipher_suites: &real.cipher_suites[..1],
            dtls13_cipher_suites: &real.dtls13_cipher_suites[..1],
            ..real
        }
    });
    primitives.clone()
}

/// A key exchange that both sides agree in, and that hides nothing.
#[derive(Debug)]
struct Sum;

#[derive(Debug)]
struct Exchange {
    public: [u8; KEY],
}

impl SupportedKxGroup for Sum {
    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }

    fn start_exchange(&self, _: Buf) -> Result<Box<dyn ActiveKeyExchange>, dimpl::CryptoError> {
        Ok(Box::new(Exchange { public: Rng::from_u64(SEED.get()).array() }))
    }
}

impl ActiveKeyExchange for Exchange {
    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, peer: &[u8], out: &mut Buf) -> Result<(), dimpl::CryptoError> {
        let peer: &[u8; KEY] = peer.try_into().map_err(|_| dimpl::CryptoError::InvalidPublicKey(self.group()))?;
        let sum: Vec<u8> = self.public.iter().zip(peer).map(|(ours, theirs)| ours.wrapping_add(*theirs)).collect();
        out.clear();
        out.extend_from_slice(&sum);
        Ok(())
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

#[derive(Debug)]
struct Constant;

impl KeyProvider for Constant {
    fn load_private_key(&self, _: &[u8]) -> Result<Box<dyn SigningKey>, dimpl::CryptoError> {
        Ok(Box::new(Self))
    }
}

impl SigningKey for Constant {
    fn sign(&mut self, _: &[u8], _: HashAlgorithm, out: &mut Buf) -> Result<(), dimpl::CryptoError> {
        out.clear();
        out.extend_from_slice(&SIGNATURE);
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &[HashAlgorithm::SHA256]
    }
}

#[derive(Debug)]
struct Anything;

impl SignatureVerifier for Anything {
    fn verify_signature(
        &self,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: HashAlgorithm,
        _: SignatureAlgorithm,
    ) -> Result<(), dimpl::CryptoError> {
        Ok(())
    }
}
