//! The long-lived key, and what one process makes of it.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::handshake::Role;
use super::resolver;
use crate::machine::rng::Rng;
use crate::wire::identity::{Address, EndpointId, Instance};

/// An endpoint's Ed25519 key (RFC 8032). It is wiped when dropped and masked in `Debug`.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A fresh key.
    pub fn generate(rng: &mut Rng) -> Self {
        Self::from_bytes(&Zeroizing::new(rng.array()))
    }

    /// The key of a seed (RFC 8032, section 5.1.5); any 32 bytes are one.
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, to be stored where only its owner reads.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The endpoint that it is the key of.
    pub fn id(&self) -> EndpointId {
        EndpointId(self.0.verifying_key().to_bytes())
    }

    /// Signs. A message must begin with a label of its purpose, so that no signature serves another.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.id().short())
    }
}

/// Whether `signature` is this endpoint's, of this message. Strict: keys of small order and signatures in other than
/// their canonical form are refused (RFC 8032, section 5.1.7), so no message has two.
pub fn verify(id: &EndpointId, message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&id.0) else { return false };
    key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
}

/// One process of an endpoint: its address, and the key of its handshakes with a certificate for each role.
pub struct Identity {
    secret: SecretKey,
    address: Address,
    exchange: Zeroizing<[u8; 32]>,
    certificates: [Certificate; 2],
}

impl Identity {
    /// Draws an instance number and an X25519 key, and certifies them.
    pub fn new(secret: SecretKey, rng: &mut Rng) -> Self {
        let instance = Instance(1 + rng.below(u64::from(u32::MAX)) as u32);
        let address = Address { id: secret.id(), instance };
        let exchange = Zeroizing::new(rng.array());
        let public = resolver::public_key(&exchange);
        let certificates = Role::BOTH.map(|role| Certificate::issue(&secret, role, address, &public));
        Self { secret, address, exchange, certificates }
    }

    /// Who and which process this is.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Who this is.
    pub const fn id(&self) -> EndpointId {
        self.address.id
    }

    /// The long-lived key.
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// The private X25519 key of this process.
    pub(super) const fn exchange(&self) -> &Zeroizing<[u8; 32]> {
        &self.exchange
    }

    pub(super) const fn certificate(&self, role: Role) -> &Certificate {
        &self.certificates[role as usize]
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_one_of_its_message_by_its_key() {
        let mut rng = Rng::from_u64(1);
        let (key, other) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
        let signature = key.sign(b"message");
        assert!(verify(&key.id(), b"message", &signature));
        assert!(!verify(&key.id(), b"massage", &signature));
        assert!(!verify(&other.id(), b"message", &signature));
    }

    #[test]
    fn keys_that_anyone_could_sign_for_are_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verify(&EndpointId(neutral), b"anything", &signature));
        assert!(!verify(&EndpointId([255; 32]), b"anything", &signature));
    }

    #[test]
    fn a_stored_key_is_the_same_endpoint_and_another_instance() {
        let mut rng = Rng::from_u64(2);
        let key = SecretKey::generate(&mut rng);
        let again = SecretKey::from_bytes(&key.to_bytes());
        let (one, two) = (Identity::new(key, &mut rng), Identity::new(again, &mut rng));
        assert_eq!(one.id(), two.id());
        assert_ne!(one.address(), two.address());
        assert_ne!(one.address().instance, Instance::NEWEST);
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_key_of_the_standard_signs_as_it_says() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = SecretKey::from_bytes(&seed);
        assert_eq!(key.id().0[..4], [0xd7, 0x5a, 0x98, 0x01]);
        assert_eq!(key.sign(b"")[..4], [0xe5, 0x56, 0x43, 0x00]);
    }

    #[test]
    fn debug_shows_no_secret() {
        let identity = Identity::new(SecretKey::from_bytes(&[0x5a; 32]), &mut Rng::from_u64(3));
        let text = format!("{identity:?} {:?}", identity.secret());
        assert!(!text.contains("90") && !text.to_lowercase().contains("5a, "), "{text}");
        assert!(text.contains(&identity.id().short()));
    }
}
