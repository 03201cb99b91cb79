//! What ties a process's X25519 key to the endpoint: a signature over who, which process, which role.
//!
//! On the wire: version 1, role (0 initiator, 1 responder), address, signature (64 bytes). Signed is a label, these
//! without the signature, and the X25519 key, which the handshake itself carries.

use super::handshake::Role;
use super::identity::{SecretKey, verify};
use crate::wire::cursor::Cursor;
use crate::wire::identity::{Address, Instance};

const LABEL: &[u8] = b"switchboard handshake key\0";
const VERSION: u8 = 1;

/// A certificate as it is sent.
#[derive(Clone)]
pub(super) struct Certificate(pub(super) [u8; Self::LEN]);

/// Why a certificate is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CertificateError {
    /// Cut short.
    #[error("the certificate ends too early")]
    Truncated,
    /// A format that we don't know.
    #[error("the certificate has version {0}, which is unknown here")]
    Version(u8),
    /// Made for the other side of a handshake.
    #[error("the certificate was made for the other role")]
    Role,
    /// Instance 0, which means "any".
    #[error("the certificate names no instance")]
    NoInstance,
    /// Not signed by the key that it names, or not for the key that shows it.
    #[error("the certificate's signature does not fit its key")]
    Signature,
}

impl Certificate {
    pub(super) const LEN: usize = 2 + Address::LEN + 64;

    pub(super) fn issue(secret: &SecretKey, role: Role, address: Address, exchange: &[u8; 32]) -> Self {
        let mut bytes = vec![VERSION, role as u8];
        address.put(&mut bytes);
        let signature = secret.sign(&signed(&bytes, exchange));
        bytes.extend_from_slice(&signature);
        Self(bytes.try_into().expect("these are its parts"))
    }

    /// Checks what a peer of this role has shown, whose X25519 key is `exchange`; answers who it is.
    pub(super) fn check(bytes: &[u8], role: Role, exchange: &[u8]) -> Result<Address, CertificateError> {
        let (body, signature) = bytes.split_last_chunk().ok_or(CertificateError::Truncated)?;
        let mut cursor = Cursor::new(body);
        let [version, shown] = cursor.array().map_err(|_| CertificateError::Truncated)?;
        if version != VERSION {
            return Err(CertificateError::Version(version));
        }
        if shown != role as u8 {
            return Err(CertificateError::Role);
        }
        let address = Address::take(&mut cursor).map_err(|_| CertificateError::Truncated)?;
        if address.instance == Instance::NEWEST {
            return Err(CertificateError::NoInstance);
        }
        if !verify(&address.id, &signed(body, exchange), signature) {
            return Err(CertificateError::Signature);
        }
        Ok(address)
    }
}

fn signed(body: &[u8], exchange: &[u8]) -> Vec<u8> {
    [LABEL, body, exchange].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::rng::Rng;

    #[test]
    fn a_certificate_is_good_for_one_key_and_one_role() {
        let (address, certificate) = issued(7);
        let check = |bytes: &[u8], role, exchange: u8| Certificate::check(bytes, role, &[exchange; 32]);
        assert_eq!(check(&certificate, Role::Initiator, 9), Ok(address));
        assert_eq!(check(&certificate, Role::Responder, 9), Err(CertificateError::Role));
        assert_eq!(check(&certificate, Role::Initiator, 8), Err(CertificateError::Signature));
    }

    #[test]
    fn a_certificate_changed_or_cut_anywhere_is_refused() {
        let (_, certificate) = issued(7);
        for at in 0..certificate.len() {
            let mut changed = certificate;
            changed[at] ^= 1;
            let expected = match at {
                0 => CertificateError::Version(0),
                1 => CertificateError::Role,
                _ => CertificateError::Signature,
            };
            assert_eq!(Certificate::check(&changed, Role::Initiator, &[9; 32]), Err(expected), "byte {at}");
            assert!(Certificate::check(&certificate[..at], Role::Initiator, &[9; 32]).is_err());
        }
    }

    #[test]
    fn a_certificate_without_an_instance_is_refused() {
        let (_, certificate) = issued(0);
        let checked = Certificate::check(&certificate, Role::Initiator, &[9; 32]);
        assert_eq!(checked, Err(CertificateError::NoInstance));
    }

    fn issued(instance: u32) -> (Address, [u8; Certificate::LEN]) {
        let secret = SecretKey::generate(&mut Rng::from_u64(1));
        let address = Address { id: secret.id(), instance: Instance(instance) };
        (address, Certificate::issue(&secret, Role::Initiator, address, &[9; 32]).0)
    }
}
