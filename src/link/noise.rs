//! Who is at the other end, and secrecy up to there: Ed25519 identities, Noise XX handshakes that prove them, and
//! sealing with counters.
//!
//! **Keys.** An endpoint is an Ed25519 key ([`SecretKey`]). Each process draws an instance number and an X25519 key
//! for its handshakes, and certifies both with the Ed25519 key ([`Identity`]): the long-lived key signs twice per
//! process and is no part of any key agreement. A certificate says for which role it is, initiator or responder, so
//! that none can be thrown back at its owner.
//!
//! **Handshake.** [`Handshake`] is `Noise_XX_25519_AESGCM_SHA256` by `snow`, with randomness from our generator. Its
//! prologue names what it is for, [`Protocol`], and what the caller binds it to; its second and third message carry
//! the certificates, encrypted, and a payload of the caller's. Both sides get [`Keys`].
//!
//! **Proof.** [`Proof`] is the handshake of neighbours: it runs on every link before anything else and decides whether
//! TLS alone protects the link or Noise goes on.
//!
//! **Sealing.** [`Sealer`] and [`Opener`] work in place, allocate nothing, and tolerate loss, reordering and
//! repetition: each packet has a 64-bit counter, which is its nonce. On a link that is ordered and reliable the
//! counter is not sent ([`Opener::open_next`]). Keys are replaced every 2^20 packets by Noise's `REKEY`.
//!
//! **Errors.** An error of a handshake is final: whoever can make one could as well have dropped the message.
//! Errors of an [`Opener`] concern one packet.

mod aead;
mod certificate;
mod handshake;
mod identity;
mod proof;
mod resolver;
mod seal;

pub use aead::{open_once, seal_once};
pub use certificate::CertificateError;
pub use handshake::{Handshake, HandshakeError, Keys, Protocol, Role};
pub use identity::{Identity, SecretKey, verify};
pub use proof::{Claims, Proof, ProofError, Protection, Proved, Token};
pub use seal::{OpenError, Opener, Sealer, TAG};
