//! The handshake: three messages of Noise XX, after which both know each other and share keys.

use std::fmt;

use snow::HandshakeState;
use snow::params::NoiseParams;
use zeroize::Zeroizing;

use super::certificate::{Certificate, CertificateError};
use super::identity::Identity;
use super::resolver::Resolver;
use super::seal::{Opener, Sealer, TAG};
use crate::machine::rng::Rng;
use crate::wire::identity::Address;

const NAME: &str = "Noise_XX_25519_AESGCM_SHA256";
/// Bytes of an X25519 key.
const KEY: usize = 32;
/// Largest message (Noise specification, section 3).
const LARGEST: usize = 65_535;

/// Which side of a handshake. The initiator sends first; on a link it is the side that dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sends the first and the third message.
    Initiator,
    /// Sends the second.
    Responder,
}

impl Role {
    pub(super) const BOTH: [Self; 2] = [Self::Initiator, Self::Responder];

    /// The other side's.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// What a handshake is for; messages of one are no use in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Between neighbours, on a link.
    Link,
    /// End to end.
    Session,
}

impl Protocol {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Link => b"switchboard link 1\0",
            Self::Session => b"switchboard session 1\0",
        }
    }
}

/// A handshake under way.
pub struct Handshake {
    /// None once it has failed.
    state: Option<Box<HandshakeState>>,
    role: Role,
    certificate: Certificate,
    peer: Option<Address>,
}

/// What a handshake gives both sides.
#[derive(Debug)]
pub struct Keys {
    /// Whom it proved.
    pub peer: Address,
    /// The same on both sides, and of no other handshake; not secret.
    pub hash: [u8; 32],
    /// Seals what we send.
    pub sealer: Sealer,
    /// Opens what the peer sends.
    pub opener: Opener,
}

/// Why a handshake failed. It cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HandshakeError {
    /// A message ends too early.
    #[error("a handshake message is too short")]
    Short,
    /// A message, or the payload of one, is larger than Noise allows (65,535 bytes).
    #[error("a handshake message is too large")]
    TooLarge,
    /// A message was changed on its way, replayed, or meant for somebody or something else.
    #[error("a handshake message is forged or damaged, or belongs to another handshake")]
    Forged,
    /// It is the other side's turn.
    #[error("a handshake message came out of turn")]
    OutOfTurn,
    /// All messages have been exchanged, or one was bad.
    #[error("the handshake is over")]
    Over,
    /// Messages are missing yet.
    #[error("the handshake is not over yet")]
    Unfinished,
    /// The peer is not who it says.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl Handshake {
    /// Prepares one side. Both must give the same `protocol` and `prologue`, of any length, or it fails with
    /// [`HandshakeError::Forged`].
    pub fn new(identity: &Identity, role: Role, protocol: Protocol, prologue: &[u8], rng: &mut Rng) -> Self {
        let params: NoiseParams = NAME.parse().expect("it is a name of Noise");
        let prologue = [protocol.label(), prologue].concat();
        let builder = snow::Builder::with_resolver(params, Box::new(Resolver::new(rng.fork())))
            .local_private_key(&identity.exchange()[..])
            .and_then(|builder| builder.prologue(&prologue));
        let state = builder.and_then(|builder| match role {
            Role::Initiator => builder.build_initiator(),
            Role::Responder => builder.build_responder(),
        });
        Self {
            state: Some(Box::new(state.expect("nothing is missing"))),
            role,
            certificate: identity.certificate(role).clone(),
            peer: None,
        }
    }

    /// The next message, with `payload` in it. That of the first message is readable and changeable by all; that of
    /// the second is readable by whoever asks; that of the third only by the responder.
    ///
    /// # Errors
    /// [`HandshakeError::OutOfTurn`], [`HandshakeError::Over`], [`HandshakeError::TooLarge`].
    pub fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        let mut state = self.turn(true)?;
        let first = state.get_remote_static().is_none() && self.role == Role::Initiator;
        let certificate = if first { &[][..] } else { &self.certificate.0 };
        let mut message = vec![0; KEY + KEY + TAG + certificate.len() + payload.len() + TAG];
        if message.len() > LARGEST {
            return Err(HandshakeError::TooLarge);
        }
        let payload = [certificate, payload].concat();
        let len = state.write_message(&payload, &mut message).expect("it has room and it is our turn");
        message.truncate(len);
        self.state = Some(state);
        Ok(message)
    }

    /// Takes the peer's next message in; answers its payload. After the second message the initiator knows its
    /// [`peer`](Self::peer), after the third the responder does.
    ///
    /// # Errors
    /// [`HandshakeError`]; the handshake is over then.
    pub fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        if message.len() > LARGEST {
            return Err(HandshakeError::TooLarge);
        }
        let mut state = self.turn(false)?;
        let mut payload = vec![0; message.len()];
        let len = state.read_message(message, &mut payload).map_err(explain)?;
        payload.truncate(len);
        if let Some(exchange) = state.get_remote_static() {
            let (certificate, _) = payload.split_at_checked(Certificate::LEN).ok_or(HandshakeError::Short)?;
            self.peer = Some(Certificate::check(certificate, self.role.other(), exchange)?);
            payload.drain(..Certificate::LEN);
        }
        self.state = Some(state);
        Ok(payload)
    }

    /// The peer, once it has proved who it is.
    pub const fn peer(&self) -> Option<Address> {
        self.peer
    }

    /// The keys, after the third message.
    ///
    /// # Errors
    /// [`HandshakeError::Unfinished`], [`HandshakeError::Over`] after a failure.
    pub fn finish(self) -> Result<Keys, HandshakeError> {
        let mut state = self.state.ok_or(HandshakeError::Over)?;
        let Some(peer) = self.peer.filter(|_| state.is_handshake_finished()) else {
            return Err(HandshakeError::Unfinished);
        };
        let hash = state.get_handshake_hash().try_into().expect("SHA-256 has 32 bytes");
        let (initiator, responder) = state.dangerously_get_raw_split();
        let (initiator, responder) = (Zeroizing::new(initiator), Zeroizing::new(responder));
        let (ours, theirs) = match self.role {
            Role::Initiator => (initiator, responder),
            Role::Responder => (responder, initiator),
        };
        Ok(Keys { peer, hash, sealer: Sealer::new(&ours), opener: Opener::new(&theirs) })
    }

    #[cfg(test)]
    pub(super) fn certify_by(&mut self, certificate: Certificate) {
        self.certificate = certificate;
    }

    /// Takes the state out if it is the turn that is asked for; whoever succeeds puts it back.
    fn turn(&mut self, ours: bool) -> Result<Box<HandshakeState>, HandshakeError> {
        let state = self.state.take_if(|state| !state.is_handshake_finished() && state.is_my_turn() == ours);
        state.ok_or_else(|| match &self.state {
            Some(state) if !state.is_handshake_finished() => HandshakeError::OutOfTurn,
            _ => HandshakeError::Over,
        })
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("role", &self.role).field("peer", &self.peer).finish_non_exhaustive()
    }
}

fn explain(error: snow::Error) -> HandshakeError {
    match error {
        snow::Error::Input => HandshakeError::Short,
        _ => HandshakeError::Forged,
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::SecretKey;
    use super::*;

    #[test]
    fn both_sides_learn_each_other_and_can_talk() {
        let mut world = World::new(b"", b"");
        let (mut one, mut two) = world.run().unwrap();
        assert_eq!((one.peer, two.peer), (world.bob.address(), world.alice.address()));
        assert_eq!(one.hash, two.hash);
        for (from, to) in [(&mut one.sealer, &mut two.opener), (&mut two.sealer, &mut one.opener)] {
            let mut text = *b"hello";
            let (counter, tag) = from.seal(b"", &mut text);
            let mut sealed = [&text[..], &tag].concat();
            assert_eq!(to.open(counter, b"", &mut sealed), Ok(5));
            assert_eq!(&sealed[..5], b"hello");
        }
    }

    #[test]
    fn payloads_arrive_and_are_not_seen_on_the_way_once_both_have_keys() {
        let mut world = World::new(b"", b"");
        let first = world.one.write(b"first").unwrap();
        assert_eq!(world.two.read(&first).unwrap(), b"first");
        let second = world.two.write(b"second").unwrap();
        assert_eq!(world.one.read(&second).unwrap(), b"second");
        let third = world.one.write(b"third").unwrap();
        assert_eq!(world.two.read(&third).unwrap(), b"third");
        let seen = [second, third].concat();
        for secret in [b"second".as_slice(), b"third", &world.alice.id().0, &world.bob.id().0] {
            assert!(!seen.windows(secret.len()).any(|window| window == secret));
        }
    }

    #[test]
    fn another_purpose_or_prologue_fails() {
        assert_eq!(World::new(b"a", b"b").run().unwrap_err(), HandshakeError::Forged);
        let mut world = World::new(b"", b"");
        world.two = Handshake::new(&world.bob, Role::Responder, Protocol::Session, b"", &mut world.rng);
        assert_eq!(world.run().unwrap_err(), HandshakeError::Forged);
    }

    #[test]
    fn a_message_changed_anywhere_ends_the_handshake() {
        let lens = messages().map(|message| message.len());
        for (n, len) in lens.into_iter().enumerate() {
            for at in 0..len {
                let mut world = World::new(b"", b"");
                let damage = |number, message: &mut Vec<u8>| {
                    if number == n {
                        message[at] ^= 1
                    }
                };
                assert_eq!(world.run_through(damage).unwrap_err(), HandshakeError::Forged, "byte {at} of {n}");
            }
        }
    }

    #[test]
    fn a_message_cut_anywhere_ends_the_handshake() {
        let lens = messages().map(|message| message.len());
        for (n, len) in lens.into_iter().enumerate() {
            for at in 0..len {
                let mut world = World::new(b"", b"");
                let cut = |number, message: &mut Vec<u8>| {
                    if number == n {
                        message.truncate(at)
                    }
                };
                let error = world.run_through(cut).unwrap_err();
                assert!(matches!(error, HandshakeError::Short | HandshakeError::Forged), "{error}");
            }
        }
    }

    #[test]
    fn messages_of_another_run_are_worth_nothing() {
        let recorded = messages();
        let mut world = World::seeded(6, b"", b"");
        world.two.read(&recorded[0]).unwrap();
        world.two.write(b"").unwrap();
        assert_eq!(world.two.read(&recorded[2]).unwrap_err(), HandshakeError::Forged);
    }

    #[test]
    fn ones_own_certificate_thrown_back_is_of_the_wrong_role() {
        let mut world = World::new(b"", b"");
        world.two.certify_by(world.bob.certificate(Role::Initiator).clone());
        assert_eq!(world.run().unwrap_err(), HandshakeError::Certificate(CertificateError::Role));
    }

    #[test]
    fn a_certificate_of_another_process_does_not_fit() {
        let mut world = World::new(b"", b"");
        let twin = Identity::new(world.bob.secret().clone(), &mut world.rng);
        world.two.certify_by(twin.certificate(Role::Responder).clone());
        assert_eq!(world.run().unwrap_err(), HandshakeError::Certificate(CertificateError::Signature));
    }

    #[test]
    fn a_certificate_that_is_missing_is_too_short() {
        let mut world = World::new(b"", b"");
        let first = world.one.write(b"").unwrap();
        let mut state = world.two.state.take().unwrap();
        let mut room = [0; 500];
        state.read_message(&first, &mut room).unwrap();
        let len = state.write_message(&[0; Certificate::LEN - 1], &mut room).unwrap();
        assert_eq!(world.one.read(&room[..len]).unwrap_err(), HandshakeError::Short);
    }

    #[test]
    fn messages_out_of_turn_or_after_the_end_are_refused() {
        let mut world = World::new(b"", b"");
        assert_eq!(world.one.read(b"").unwrap_err(), HandshakeError::OutOfTurn);
        assert_eq!(world.two.write(b"").unwrap_err(), HandshakeError::OutOfTurn);
        assert_eq!(world.one.read(&vec![0; 65_536]).unwrap_err(), HandshakeError::TooLarge);
        world.exchange(|_, _| ()).unwrap();
        assert_eq!(world.one.write(b"").unwrap_err(), HandshakeError::Over);
        assert_eq!(world.two.read(b"").unwrap_err(), HandshakeError::Over);
        let early = World::new(b"", b"").one;
        assert_eq!(early.finish().unwrap_err(), HandshakeError::Unfinished);
    }

    #[test]
    fn after_a_failure_all_is_over() {
        let mut world = World::new(b"", b"");
        world.one.write(b"").unwrap();
        assert_eq!(world.one.read(&[0; 300]).unwrap_err(), HandshakeError::Forged);
        assert_eq!(world.one.read(&[0; 300]).unwrap_err(), HandshakeError::Over);
        assert_eq!(world.one.finish().unwrap_err(), HandshakeError::Over);
    }

    #[test]
    fn the_same_randomness_gives_the_same_messages() {
        assert_eq!(messages(), messages());
    }

    struct World {
        rng: Rng,
        alice: Identity,
        bob: Identity,
        one: Handshake,
        two: Handshake,
    }

    impl World {
        fn new(left: &[u8], right: &[u8]) -> Self {
            Self::seeded(5, left, right)
        }

        fn seeded(seed: u64, left: &[u8], right: &[u8]) -> Self {
            let mut rng = Rng::from_u64(seed);
            let [alice, bob] = [(); 2].map(|()| Identity::new(SecretKey::generate(&mut rng), &mut rng));
            let one = Handshake::new(&alice, Role::Initiator, Protocol::Link, left, &mut rng);
            let two = Handshake::new(&bob, Role::Responder, Protocol::Link, right, &mut rng);
            Self { rng, alice, bob, one, two }
        }

        fn run(&mut self) -> Result<(Keys, Keys), HandshakeError> {
            self.run_through(|_, _| ())
        }

        fn run_through(&mut self, way: impl FnMut(usize, &mut Vec<u8>)) -> Result<(Keys, Keys), HandshakeError> {
            self.exchange(way)?;
            let fresh = || Handshake::new(&self.alice, Role::Initiator, Protocol::Link, b"", &mut Rng::from_u64(0));
            let one = std::mem::replace(&mut self.one, fresh());
            let two = std::mem::replace(&mut self.two, fresh());
            Ok((one.finish()?, two.finish()?))
        }

        fn exchange(&mut self, mut way: impl FnMut(usize, &mut Vec<u8>)) -> Result<(), HandshakeError> {
            for n in 0..3 {
                let (from, to) = match n {
                    1 => (&mut self.two, &mut self.one),
                    _ => (&mut self.one, &mut self.two),
                };
                let mut message = from.write(b"")?;
                way(n, &mut message);
                to.read(&message)?;
            }
            Ok(())
        }
    }

    fn messages() -> [Vec<u8>; 3] {
        let mut all = Vec::new();
        World::new(b"", b"").exchange(|_, message| all.push(message.clone())).unwrap();
        all.try_into().unwrap()
    }
}
