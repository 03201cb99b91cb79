//! What a room's name and secret are turned into.
//!
//! All by SHA-256 over a label and the parts, each after its length (8 bytes, big-endian).

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::wire::identity::Address;
use crate::wire::room::RoomHash;
use crate::wire::signal::SenderKey;

/// What one must know to be in a room.
#[derive(Clone)]
pub struct RoomSecret {
    hash: RoomHash,
    verifier: [u8; 32],
    key: Zeroizing<[u8; 32]>,
}

impl RoomSecret {
    /// Of a room with that name, and that secret if it has one.
    pub fn new(name: &str, secret: Option<&str>) -> Self {
        let parts = [name.as_bytes(), secret.unwrap_or_default().as_bytes()];
        Self {
            hash: RoomHash(hash("switchboard room name 1", &parts[..1])),
            verifier: hash("switchboard room verifier 1", &parts),
            key: Zeroizing::new(hash("switchboard room members 1", &parts)),
        }
    }

    /// Names the room towards the relay.
    pub const fn hash(&self) -> RoomHash {
        self.hash
    }

    /// Shows the relay that we know the secret.
    pub const fn verifier(&self) -> [u8; 32] {
        self.verifier
    }

    /// Shows other members that `who` knows the secret; of no use to anybody else, nor in another room.
    pub fn admission(&self, who: &Address) -> [u8; 32] {
        hash("switchboard room admission 1", &[&*self.key, &self.hash.0, &bytes(who)])
    }

    /// The proof of a sender key, whose own `proof` does not count.
    pub(super) fn key_proof(&self, from: &Address, to: &Address, key: &SenderKey) -> [u8; 32] {
        let (generation, sequence) = (key.generation.to_be_bytes(), key.sequence.to_be_bytes());
        let parts: [&[u8]; 7] =
            [&*self.key, &self.hash.0, &bytes(from), &bytes(to), &generation, &*key.chain.0, &sequence];
        hash("switchboard room sender key 1", &parts)
    }

    /// The proof of who asks for a sender key.
    pub(super) fn want_proof(&self, from: &Address, to: &Address) -> [u8; 32] {
        hash("switchboard room want key 1", &[&*self.key, &self.hash.0, &bytes(from), &bytes(to)])
    }
}

impl fmt::Debug for RoomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomSecret(of {:?})", self.hash)
    }
}

/// The hash of labelled parts.
pub(super) fn hash(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&[label.as_bytes()], parts].concat() {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whether two proofs are the same, in constant time.
pub(super) fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    use subtle::ConstantTimeEq as _;
    one.ct_eq(other).into()
}

fn bytes(address: &Address) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(Address::LEN);
    address.put(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::identity::EndpointId;

    #[test]
    fn everything_depends_on_the_secret_but_the_name_of_the_room() {
        let who: Address = EndpointId([1; 32]).into();
        let (one, other) = (RoomSecret::new("lobby", Some("a")), RoomSecret::new("lobby", Some("b")));
        assert_eq!(one.hash(), other.hash());
        assert_ne!(one.verifier(), other.verifier());
        assert_ne!(one.admission(&who), other.admission(&who));
        assert_ne!(one.hash(), RoomSecret::new("lobbya", None).hash());
        assert_ne!(one.verifier(), RoomSecret::new("lobbya", None).verifier());
        assert_eq!(RoomSecret::new("lobby", None).verifier(), RoomSecret::new("lobby", Some("")).verifier());
    }

    #[test]
    fn a_proof_is_for_one_and_by_one() {
        let room = RoomSecret::new("lobby", Some("secret"));
        let (a, b): (Address, Address) = (EndpointId([1; 32]).into(), EndpointId([2; 32]).into());
        assert_ne!(room.want_proof(&a, &b), room.want_proof(&b, &a));
        assert_ne!(room.admission(&a), room.admission(&b));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let text = format!("{:?}", RoomSecret::new("lobby", Some("hush")));
        assert!(text.starts_with("RoomSecret(of room ") && text.len() < 40, "{text}");
    }
}
