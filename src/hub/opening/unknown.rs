//! Disowning a session.

use crate::link::noise::{Identity, verify};
use crate::wire::identity::Address;
use crate::wire::session::SessionKey;

/// What the packet that disowns a session begins with.
const UNKNOWN: u8 = 5;
const UNKNOWN_LABEL: &[u8] = b"switchboard unknown session\0";

/// The packet that tells the other side of a session that it is not known here any more: kind 5, the session's key,
/// and a signature over a label, our address and that key. It counts for our instance only, as another process of
/// the endpoint may know the session well.
pub fn unknown(identity: &Identity, session: &SessionKey) -> Vec<u8> {
    let signature = identity.secret().sign(&disowned(identity.address(), session));
    [&[UNKNOWN], &session.0[..], &signature].concat()
}

/// Whether a packet is the one by which `peer` disowns that session.
pub fn is_unknown(peer: Address, session: &SessionKey, packet: &[u8]) -> bool {
    let Some((head, signature)) = packet.split_last_chunk() else { return false };
    let named = head.split_first().is_some_and(|(kind, key)| *kind == UNKNOWN && key == session.0);
    named && verify(&peer.id, &disowned(peer, session), signature)
}

fn disowned(who: Address, session: &SessionKey) -> Vec<u8> {
    let mut message = UNKNOWN_LABEL.to_vec();
    who.put(&mut message);
    message.extend_from_slice(&session.0);
    message
}
