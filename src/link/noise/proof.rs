//! The first thing on every link: each side proves its key and says what it is.
//!
//! Three messages, whole binary messages of the link: Noise XX as [`super::Handshake`] runs it, the dialler being the
//! initiator. The encrypted payloads, the second message's and the third's, are [`Claims`]:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version of the protocol above, 1 |
//! | 1 | flags: 1 relays, 2 a TLS end point follows, 4 a token follows, 8 an echo follows |
//! | 32 | the TLS end point as this side sees it |
//! | 32 | echo: the responder's id, as the initiator has seen it; from the initiator always, else never |
//! | n | the token, after its length; from the initiator only |
//!
//! **Who protects what follows.** TLS, if both sides see the same server's certificate: then it ends where the proof
//! ends, and sealing twice would be waste. Where they differ, somebody between them ends TLS, and where one sees
//! none, there is none all the way: then the link stays inside Noise. A machine in the middle that passes the proof
//! on as it is thus gains nothing: the ends know each other, and it can't read on.
//!
//! **What is shown to whom.** A responder shows who it is to whoever asks. The initiator shows itself and its token
//! only to a responder that has proved its key, and that is the one it expected, if it expected one.

use std::fmt;

use zeroize::Zeroizing;

use super::handshake::{Handshake, HandshakeError, Protocol, Role};
use super::identity::Identity;
use super::seal::{Opener, Sealer};
use crate::machine::rng::Rng;
use crate::wire::cursor::{Cursor, Malformed, put_prefixed};
use crate::wire::identity::{Address, EndpointId};

/// Version of what follows the proof.
const VERSION: u8 = 1;

/// Largest message of a proof, in bytes; all are below 700.
const LARGEST: usize = 1024;

const RELAYS: u8 = 1;
const TLS: u8 = 2;
const TOKEN: u8 = 4;
const ECHO: u8 = 8;

/// A secret that admits to a relay: 1 to 256 bytes, masked in `Debug` and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<Vec<u8>>);

impl Token {
    /// Most bytes.
    pub const LONGEST: usize = 256;

    /// A token of these bytes; none if they are too many or none at all.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=Self::LONGEST).contains(&bytes.len()).then(|| Self(Zeroizing::new(bytes.to_vec())))
    }

    /// Whether it is made of these bytes, found out in a time that tells nothing but the length.
    pub fn is(&self, bytes: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], bytes).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// What one side says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Whether it passes on what is for others.
    pub relays: bool,
    /// What it sees of TLS: `TlsInfo::server_end_point`.
    pub server_end_point: Option<[u8; 32]>,
    /// What admits it to the responder; responders have none, theirs is not sent.
    pub token: Option<Token>,
}

/// A proof under way.
#[derive(Debug)]
pub struct Proof {
    /// None once it is over.
    handshake: Option<Handshake>,
    role: Role,
    me: EndpointId,
    expected: Option<EndpointId>,
    claims: Claims,
    out: Option<Vec<u8>>,
}

/// What a proof has shown.
#[derive(Debug)]
pub struct Proved {
    /// The neighbour.
    pub peer: Address,
    /// Whether it passes on what is for others.
    pub relays: bool,
    /// The initiator's token, as the responder sees it; not checked.
    pub token: Option<Token>,
    /// What protects all that follows.
    pub protection: Protection,
}

/// What protects a link.
#[derive(Debug)]
pub enum Protection {
    /// TLS, which ends where the proof ends: messages pass as they are.
    Tls,
    /// Each message is sealed, with its tag behind it; counters are implied.
    Noise {
        /// For what we send.
        sealer: Sealer,
        /// For what comes: [`Opener::open_next`].
        opener: Opener,
    },
}

/// Which rule a neighbour has broken before it was one. The link is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ProofError {
    /// Longer than any message of a proof.
    #[error("a message of a proof has more than {LARGEST} bytes")]
    TooLarge,
    /// In the handshake: a wrong certificate, a forged message.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A message after the proof's last.
    #[error("a message came after the end of the proof, or after a failed one")]
    AfterTheEnd,
    /// The first message says something, which nobody vouches for yet.
    #[error("the first message of a proof has a payload")]
    EarlyPayload,
    /// The claims cannot be read.
    #[error("the claims of a neighbour: {0}")]
    Malformed(#[from] Malformed),
    /// The claims have flags that are unknown, or go on after their end.
    #[error("the claims of a neighbour hold what is unknown here")]
    UnknownClaims,
    /// The neighbour speaks another version.
    #[error("the neighbour speaks version {0}, we speak version {VERSION}")]
    Version(u8),
    /// The neighbour has our own key.
    #[error("the neighbour has our own key: we have dialled ourselves, or the key was copied")]
    Myself,
    /// The neighbour is not the endpoint that was expected.
    #[error("the neighbour is {} and not the endpoint that was expected", .0.short())]
    WrongPeer(EndpointId),
    /// The initiator did not name us as whom it talks to.
    #[error("the neighbour believes to talk to another endpoint")]
    WrongEcho,
    /// A responder has named somebody.
    #[error("a responder names whom it believes to talk to")]
    UnexpectedEcho,
    /// An empty token, or one that is too long.
    #[error("a token has 1 to {max} bytes", max = Token::LONGEST)]
    TokenLength,
    /// A responder has shown a token.
    #[error("a responder shows a token")]
    UnexpectedToken,
}

impl Proof {
    /// A proof on a link, right after it came up; the role of the side that dialled is [`Role::Initiator`]. With
    /// `expected` anybody else is refused, by the initiator before it shows who it is.
    pub fn new(identity: &Identity, role: Role, claims: Claims, expected: Option<EndpointId>, rng: &mut Rng) -> Self {
        let mut handshake = Handshake::new(identity, role, Protocol::Link, b"", rng);
        let out = (role == Role::Initiator).then(|| handshake.write(b"").expect("it is the initiator's turn"));
        Self { handshake: Some(handshake), role, me: identity.id(), expected, claims, out }
    }

    /// The message to be sent now, if there is one; nothing else may be sent before it.
    pub const fn supply(&mut self) -> Option<Vec<u8>> {
        self.out.take()
    }

    /// Whether [`supply`](Self::supply) has something.
    pub const fn wants_supply(&self) -> bool {
        self.out.is_some()
    }

    /// Takes one message of the link in. The last gives what was proved: for the initiator the second, after which
    /// `supply` still has the third.
    ///
    /// # Errors
    /// [`ProofError`]; nothing more is to be sent then, and the link is to be closed.
    pub fn receive(&mut self, message: &[u8]) -> Result<Option<Proved>, ProofError> {
        let mut handshake = self.handshake.take().ok_or(ProofError::AfterTheEnd)?;
        if message.len() > LARGEST {
            return Err(ProofError::TooLarge);
        }
        let payload = handshake.read(message)?;
        match handshake.peer() {
            Some(peer) => self.conclude(handshake, peer.id, &payload).map(Some),
            None if payload.is_empty() => {
                self.out = Some(handshake.write(&self.claims.encode(None))?);
                self.handshake = Some(handshake);
                Ok(None)
            }
            None => Err(ProofError::EarlyPayload),
        }
    }

    fn conclude(&mut self, mut handshake: Handshake, peer: EndpointId, payload: &[u8]) -> Result<Proved, ProofError> {
        if peer == self.me {
            return Err(ProofError::Myself);
        }
        if self.expected.is_some_and(|expected| expected != peer) {
            return Err(ProofError::WrongPeer(peer));
        }
        let (theirs, echo) = Claims::decode(payload)?;
        match self.role {
            Role::Initiator => {
                theirs.check_responder(echo)?;
                self.out = Some(handshake.write(&self.claims.encode(Some(peer)))?);
            }
            Role::Responder if echo != Some(self.me) => return Err(ProofError::WrongEcho),
            Role::Responder => {}
        }
        let keys = handshake.finish()?;
        let tls = theirs.server_end_point.is_some() && theirs.server_end_point == self.claims.server_end_point;
        let protection =
            if tls { Protection::Tls } else { Protection::Noise { sealer: keys.sealer, opener: keys.opener } };
        Ok(Proved { peer: keys.peer, relays: theirs.relays, token: theirs.token, protection })
    }
}

impl Claims {
    /// With an echo as the initiator writes them, which alone shows its token.
    fn encode(&self, echo: Option<EndpointId>) -> Vec<u8> {
        let token = self.token.as_ref().filter(|_| echo.is_some());
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(self.relays, RELAYS)
            | flag(self.server_end_point.is_some(), TLS)
            | flag(token.is_some(), TOKEN)
            | flag(echo.is_some(), ECHO);
        let mut out = vec![VERSION, flags];
        out.extend(self.server_end_point.iter().flatten());
        out.extend(echo.iter().flat_map(|id| id.0));
        if let Some(token) = token {
            put_prefixed(&mut out, &token.0);
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<(Self, Option<EndpointId>), ProofError> {
        let mut cursor = Cursor::new(bytes);
        let version = cursor.u8()?;
        if version != VERSION {
            return Err(ProofError::Version(version));
        }
        let flags = cursor.u8()?;
        let given = |flag| flags & flag != 0;
        let server_end_point = given(TLS).then(|| cursor.array()).transpose()?;
        let echo = given(ECHO).then(|| cursor.array().map(EndpointId)).transpose()?;
        let token = given(TOKEN).then(|| cursor.prefixed()).transpose()?;
        let token = token.map(|bytes| Token::new(bytes).ok_or(ProofError::TokenLength)).transpose()?;
        if !cursor.is_empty() || flags & !(RELAYS | TLS | TOKEN | ECHO) != 0 {
            return Err(ProofError::UnknownClaims);
        }
        Ok((Self { relays: given(RELAYS), server_end_point, token }, echo))
    }

    const fn check_responder(&self, echo: Option<EndpointId>) -> Result<(), ProofError> {
        match (&self.token, echo) {
            (Some(_), _) => Err(ProofError::UnexpectedToken),
            (_, Some(_)) => Err(ProofError::UnexpectedEcho),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
