//! Worlds: every byte follows from the seeds.

use std::cell::Cell;
use std::time::Duration;

use dimpl::CryptoError;
use dimpl::crypto::aws_lc_rs::default_provider;
use dimpl::crypto::{
    ActiveKeyExchange, Buf, CryptoProvider, HashAlgorithm, KeyProvider, NamedGroup, SignatureAlgorithm,
    SignatureVerifier, SigningKey, SupportedKxGroup,
};

use super::super::{Dtls, Provider};
use super::dimpl_partner::VERSIONS;
use super::pair::{Pair, context};
use crate::machine::rng::Rng;

std::thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

#[test]
fn the_same_seeds_give_the_same_bytes_and_others_give_others() {
    static GROUPS: [&dyn SupportedKxGroup; 1] = [&Sum];
    let primitives = CryptoProvider {
        kx_groups: &GROUPS,
        signature_verification: &Constant,
        key_provider: &Constant,
        ..default_provider()
    };
    let context = context(Provider::seeded(&primitives, |seed| SEED.set(seed)).unwrap());
    for version in VERSIONS {
        let wire = |seeds: [u64; 2], loss: u64| {
            let mut rng = Rng::from_u64(loss);
            let mut pair = Pair::between([&context; 2], [version; 2], seeds.map(Some));
            pair.run(Duration::from_secs(5), |_, _| rng.chance(0.1));
            assert!(pair.ends.iter().all(Dtls::has_own_records), "{version:?}: {:?}", pair.events);
            pair.wire
        };
        assert!(wire([1, 2], 0) == wire([1, 2], 0));
        assert!(wire([1, 2], 9) == wire([1, 2], 9));
        assert!(wire([1, 2], 0)[0] != wire([3, 2], 0)[0]);
        assert!(wire([1, 2], 0)[1] != wire([1, 5], 0)[1]);
    }
}

/// A key exchange that both sides agree in, and that hides nothing.
#[derive(Debug)]
struct Sum;

#[derive(Debug)]
struct Exchange([u8; 32]);

impl SupportedKxGroup for Sum {
    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }

    fn start_exchange(&self, _: Buf) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        Ok(Box::new(Exchange(Rng::from_u64(SEED.get()).array())))
    }
}

impl ActiveKeyExchange for Exchange {
    fn pub_key(&self) -> &[u8] {
        &self.0
    }

    fn complete(self: Box<Self>, peer: &[u8], out: &mut Buf) -> Result<(), CryptoError> {
        let sum: Vec<u8> = self.0.iter().zip(peer).map(|(ours, theirs)| ours.wrapping_add(*theirs)).collect();
        out.clear();
        out.extend_from_slice(&sum);
        Ok(())
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// Signatures that are always the same.
#[derive(Debug)]
struct Constant;

impl KeyProvider for Constant {
    fn load_private_key(&self, _: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        Ok(Box::new(Self))
    }
}

impl SigningKey for Constant {
    fn sign(&mut self, _: &[u8], _: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        out.clear();
        out.extend_from_slice(&[0x42; 71]);
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

impl SignatureVerifier for Constant {
    fn verify_signature(
        &self,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: HashAlgorithm,
        _: SignatureAlgorithm,
    ) -> Result<(), CryptoError> {
        Ok(())
    }
}
