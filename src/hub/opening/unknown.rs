//! Disowning a session.

use sha2::{Digest as _, Sha256};

use crate::link::noise::{Identity, verify};
use crate::wire::identity::Address;
use crate::wire::session::{SessionKey, UNKNOWN};

const UNKNOWN_LABEL: &[u8] = b"switchboard unknown session\0";

/// The packet that tells the other side of a session that it is not known here any more: kind 5, the session's key,
/// and a signature over a label, our address, that key, and the SHA-256 of the packet that is so answered. It counts
/// for our instance only, as another process of the endpoint may know the session well; and as an answer only, as we
/// may come to know a session later whose key a relay can tell already.
pub fn unknown(identity: &Identity, session: &SessionKey, attach: &[u8]) -> Vec<u8> {
    let asked = Sha256::digest(attach).into();
    let signature = identity.secret().sign(&disowned(identity.address(), session, &asked));
    [&[UNKNOWN], &session.0[..], &signature].concat()
}

/// Whether a packet is the one by which `peer` disowns that session, asked by one of those packets, of which the
/// SHA-256 are given.
pub fn is_unknown<'a>(
    peer: Address,
    session: &SessionKey,
    asked: impl IntoIterator<Item = &'a [u8; 32]>,
    packet: &[u8],
) -> bool {
    let Some((head, signature)) = packet.split_last_chunk() else { return false };
    let named = head.split_first().is_some_and(|(kind, key)| *kind == UNKNOWN && key == session.0);
    let answers = |asked| verify(&peer.id, &disowned(peer, session, asked), signature);
    named && asked.into_iter().any(answers)
}

fn disowned(who: Address, session: &SessionKey, asked: &[u8; 32]) -> Vec<u8> {
    let mut message = UNKNOWN_LABEL.to_vec();
    who.put(&mut message);
    message.extend_from_slice(&session.0);
    message.extend_from_slice(asked);
    message
}
