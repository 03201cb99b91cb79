//! Honest neighbours, and dishonest ones.

use super::super::certificate::CertificateError;
use super::super::identity::SecretKey;
use super::*;

#[test]
fn neighbours_learn_who_they_are_and_what_they_claim() {
    let mut world = World::new();
    let token = Token::new(b"let me in");
    let dialler = world.dial(Claims { token: token.clone(), ..Claims::default() }, None);
    let listener = world.accept(Claims { relays: true, ..Claims::default() }, None);
    let (one, two) = run(dialler, listener, |_, _| ()).unwrap();
    assert_eq!((one.peer, two.peer), (world.bob.address(), world.alice.address()));
    assert_eq!((one.relays, two.relays), (true, false));
    assert_eq!((one.token, two.token), (None, token));
}

#[test]
fn only_the_same_certificate_seen_by_both_leaves_the_link_to_tls() {
    for (ours, theirs, tls) in [
        (Some([1; 32]), Some([1; 32]), true),
        (Some([1; 32]), Some([2; 32]), false),
        (Some([1; 32]), None, false),
        (None, Some([1; 32]), false),
        (None, None, false),
    ] {
        let mut world = World::new();
        let dialler = world.dial(Claims { server_end_point: ours, ..Claims::default() }, None);
        let listener = world.accept(Claims { server_end_point: theirs, ..Claims::default() }, None);
        let (one, two) = run(dialler, listener, |_, _| ()).unwrap();
        for proved in [&one, &two] {
            assert_eq!(matches!(proved.protection, Protection::Tls), tls, "{ours:?} {theirs:?}");
        }
        if !tls {
            talk(one, two);
        }
    }
}

#[test]
fn a_machine_in_the_middle_that_passes_the_proof_on_is_no_party_to_it() {
    let mut world = World::new();
    let dialler = world.dial(Claims { server_end_point: Some([1; 32]), ..Claims::default() }, None);
    let listener = world.accept(Claims { server_end_point: Some([2; 32]), ..Claims::default() }, None);
    let mut seen = Vec::new();
    let (one, two) = run(dialler, listener, |_, message| seen.extend_from_slice(message)).unwrap();
    assert_eq!((one.peer, two.peer), (world.bob.address(), world.alice.address()));
    seen.extend(talk(one, two));
    for secret in [&b"hello, neighbour"[..], &world.alice.id().0, &world.bob.id().0] {
        assert!(!seen.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn a_middle_that_proves_itself_to_both_is_known_by_both() {
    let mut world = World::new();
    let bob = world.bob.id();
    let mallory = world.stranger();
    let mut dialler = world.dial(Claims::default(), Some(bob));
    let mut middle = Proof::new(&mallory, Role::Responder, Claims::default(), None, &mut world.rng);
    middle.receive(&dialler.supply().unwrap()).unwrap();
    let error = dialler.receive(&middle.supply().unwrap()).unwrap_err();
    assert_eq!(error, ProofError::WrongPeer(mallory.id()));
    assert!(!dialler.wants_supply(), "the initiator shows neither itself nor its token");
}

#[test]
fn a_listener_may_expect_somebody_too() {
    let mut world = World::new();
    let (expected, alice) = (world.stranger().id(), world.alice.id());
    let (dialler, listener) = (world.dial(Claims::default(), None), world.accept(Claims::default(), Some(expected)));
    assert_eq!(run(dialler, listener, |_, _| ()).unwrap_err(), ProofError::WrongPeer(alice));
}

#[test]
fn a_replayed_proof_is_forged() {
    let mut world = World::new();
    let mut recorded = Vec::new();
    let (dialler, listener) = (world.dial(Claims::default(), None), world.accept(Claims::default(), None));
    run(dialler, listener, |_, message| recorded.push(message.clone())).unwrap();
    let mut listener = world.accept(Claims::default(), None);
    listener.receive(&recorded[0]).unwrap();
    assert_eq!(listener.receive(&recorded[2]).unwrap_err(), HandshakeError::Forged.into());
    let mut dialler = world.dial(Claims::default(), None);
    dialler.supply();
    assert_eq!(dialler.receive(&recorded[1]).unwrap_err(), HandshakeError::Forged.into());
}

#[test]
fn a_message_changed_anywhere_is_forged() {
    for (n, len) in lengths().into_iter().enumerate() {
        for at in 0..len {
            let error = run_default(|number, message| {
                if number == n {
                    message[at] ^= 0x40
                }
            })
            .unwrap_err();
            assert_eq!(error, HandshakeError::Forged.into(), "byte {at} of message {n}");
        }
    }
}

#[test]
fn a_message_cut_or_continued_is_refused() {
    for (n, len) in lengths().into_iter().enumerate() {
        for at in 0..len {
            let error = run_default(|number, message| {
                if number == n {
                    message.truncate(at)
                }
            })
            .unwrap_err();
            let expected = matches!(error, ProofError::Handshake(HandshakeError::Short | HandshakeError::Forged));
            assert!(expected, "message {n} of {at} bytes: {error:?}");
        }
        let error = run_default(|number, message| {
            if number == n {
                message.push(0)
            }
        })
        .unwrap_err();
        let expected = if n == 0 { ProofError::EarlyPayload } else { HandshakeError::Forged.into() };
        assert_eq!(error, expected);
    }
    assert_eq!(run_default(|_, message| message.resize(LARGEST + 1, 0)).unwrap_err(), ProofError::TooLarge);
}

#[test]
fn a_proof_thrown_back_at_its_owner_fails() {
    let mut world = World::new();
    let mut dialler = world.dial(Claims::default(), None);
    let first = dialler.supply().unwrap();
    assert_eq!(dialler.receive(&first).unwrap_err(), HandshakeError::Short.into());
    let mut listener = world.accept(Claims::default(), None);
    listener.receive(&first).unwrap();
    let second = listener.supply().unwrap();
    assert_eq!(listener.receive(&second).unwrap_err(), HandshakeError::Forged.into());
}

#[test]
fn dialling_oneself_is_told() {
    let mut world = World::new();
    world.bob = Identity::new(world.alice.secret().clone(), &mut world.rng);
    let (dialler, listener) = (world.dial(Claims::default(), None), world.accept(Claims::default(), None));
    assert_eq!(run(dialler, listener, |_, _| ()).unwrap_err(), ProofError::Myself);
}

#[test]
fn whatever_comes_after_the_end_or_a_failure_is_refused() {
    let mut world = World::new();
    let (mut dialler, mut listener) = (world.dial(Claims::default(), None), world.accept(Claims::default(), None));
    listener.receive(&dialler.supply().unwrap()).unwrap();
    dialler.receive(&listener.supply().unwrap()).unwrap();
    let third = dialler.supply().unwrap();
    assert_eq!(dialler.receive(&third).unwrap_err(), ProofError::AfterTheEnd);
    listener.receive(&third).unwrap();
    assert_eq!(listener.receive(&third).unwrap_err(), ProofError::AfterTheEnd);
    let mut failed = world.accept(Claims::default(), None);
    failed.receive(&[]).unwrap_err();
    assert_eq!(failed.receive(&third).unwrap_err(), ProofError::AfterTheEnd);
}

#[test]
fn a_certificate_of_another_key_or_role_is_refused() {
    let mut world = World::new();
    let twin = Identity::new(world.alice.secret().clone(), &mut world.rng);
    for (certificate, expected) in [
        (twin.certificate(Role::Initiator).clone(), CertificateError::Signature),
        (world.bob.certificate(Role::Responder).clone(), CertificateError::Role),
    ] {
        let echo = world.bob.id();
        let error = world.third_message(|handshake| {
            handshake.certify_by(certificate);
            Claims::default().encode(Some(echo))
        });
        assert_eq!(error, ProofError::Handshake(HandshakeError::Certificate(expected)));
    }
}

#[test]
fn each_broken_rule_of_the_initiators_claims_has_its_own_error() {
    let me = World::new().bob.id();
    let honest = Claims { token: Token::new(b"token"), ..Claims::default() }.encode(Some(me));
    let mut long = vec![VERSION, ECHO | TOKEN];
    long.extend_from_slice(&me.0);
    let empty = [&long[..], &[0]].concat();
    put_prefixed(&mut long, &[b'x'; 257]);
    for (claims, expected) in [
        (vec![2, 0], ProofError::Version(2)),
        (vec![], ProofError::Malformed(Malformed::Truncated)),
        (honest[..honest.len() - 1].to_vec(), ProofError::Malformed(Malformed::Truncated)),
        ([&honest[..], &[0]].concat(), ProofError::UnknownClaims),
        (vec![VERSION, 16], ProofError::UnknownClaims),
        (Claims::default().encode(None), ProofError::WrongEcho),
        (Claims::default().encode(Some(EndpointId([1; 32]))), ProofError::WrongEcho),
        (long, ProofError::TokenLength),
        (empty, ProofError::TokenLength),
    ] {
        assert_eq!(World::new().third_message(|_| claims), expected);
    }
}

#[test]
fn a_responder_has_neither_a_token_nor_an_echo() {
    for (flag, expected) in [(TOKEN, ProofError::UnexpectedToken), (ECHO, ProofError::UnexpectedEcho)] {
        let mut world = World::new();
        let mut dialler = world.dial(Claims::default(), None);
        let mut other = Handshake::new(&world.bob, Role::Responder, Protocol::Link, b"", &mut world.rng);
        other.read(&dialler.supply().unwrap()).unwrap();
        let body = if flag == TOKEN { &b"\x05token"[..] } else { &[7; 32] };
        let second = other.write(&[&[VERSION, flag], body].concat()).unwrap();
        assert_eq!(dialler.receive(&second).unwrap_err(), expected);
    }
}

#[test]
fn a_responders_token_stays_with_it() {
    let mut world = World::new();
    let claims = Claims { token: Token::new(b"secret"), ..Claims::default() };
    let (dialler, listener) = (world.dial(Claims::default(), None), world.accept(claims, None));
    assert!(run(dialler, listener, |_, _| ()).unwrap().0.token.is_none());
}

#[test]
fn tokens_are_bounded_and_masked() {
    assert!(Token::new(&[0; 256]).is_some() && Token::new(&[0; 257]).is_none() && Token::new(&[]).is_none());
    let token = Token::new(b"secret").unwrap();
    assert!(token.is(b"secret") && !token.is(b"secret2") && !token.is(b"Secret"));
    assert_eq!(format!("{token:?}"), "Token");
}

#[test]
fn the_largest_message_is_within_the_bound() {
    let mut world = World::new();
    let server_end_point = Some([1; 32]);
    let dialler = world.dial(Claims { relays: true, server_end_point, token: Token::new(&[0; 256]) }, None);
    let listener = world.accept(Claims { relays: true, server_end_point, token: None }, None);
    let mut largest = 0;
    run(dialler, listener, |_, message| largest = largest.max(message.len())).unwrap();
    assert!(largest < 700, "{largest}");
}

struct World {
    rng: Rng,
    alice: Identity,
    bob: Identity,
}

impl World {
    fn new() -> Self {
        let mut rng = Rng::from_u64(11);
        let [alice, bob] = [(); 2].map(|()| Identity::new(SecretKey::generate(&mut rng), &mut rng));
        Self { rng, alice, bob }
    }

    fn stranger(&mut self) -> Identity {
        Identity::new(SecretKey::generate(&mut self.rng), &mut self.rng)
    }

    fn dial(&mut self, claims: Claims, expected: Option<EndpointId>) -> Proof {
        Proof::new(&self.alice, Role::Initiator, claims, expected, &mut self.rng)
    }

    fn accept(&mut self, claims: Claims, expected: Option<EndpointId>) -> Proof {
        Proof::new(&self.bob, Role::Responder, claims, expected, &mut self.rng)
    }

    /// What a listener says of a dialler that ends with these claims.
    fn third_message(&mut self, claims: impl FnOnce(&mut Handshake) -> Vec<u8>) -> ProofError {
        let mut listener = self.accept(Claims::default(), None);
        let mut dialler = Handshake::new(&self.alice, Role::Initiator, Protocol::Link, b"", &mut self.rng);
        listener.receive(&dialler.write(b"").unwrap()).unwrap();
        dialler.read(&listener.supply().unwrap()).unwrap();
        let claims = claims(&mut dialler);
        listener.receive(&dialler.write(&claims).unwrap()).unwrap_err()
    }
}

type Way<'a> = &'a mut dyn FnMut(usize, &mut Vec<u8>);

fn run(one: Proof, two: Proof, mut way: impl FnMut(usize, &mut Vec<u8>)) -> Result<(Proved, Proved), ProofError> {
    run_dyn(one, two, &mut way)
}

fn run_dyn(mut one: Proof, mut two: Proof, way: Way<'_>) -> Result<(Proved, Proved), ProofError> {
    let mut passed = 0;
    let mut pass = |from: &mut Proof, to: &mut Proof| {
        let mut message = from.supply().unwrap();
        way(passed, &mut message);
        passed += 1;
        to.receive(&message)
    };
    assert!(pass(&mut one, &mut two)?.is_none());
    let ours = pass(&mut two, &mut one)?.unwrap();
    let theirs = pass(&mut one, &mut two)?.unwrap();
    assert!(!one.wants_supply() && !two.wants_supply());
    Ok((ours, theirs))
}

fn run_default(way: impl FnMut(usize, &mut Vec<u8>)) -> Result<(Proved, Proved), ProofError> {
    let mut world = World::new();
    let (dialler, listener) = (world.dial(Claims::default(), None), world.accept(Claims::default(), None));
    run(dialler, listener, way)
}

fn lengths() -> [usize; 3] {
    let mut lengths = [0; 3];
    run_default(|n, message| lengths[n] = message.len()).unwrap();
    lengths
}

/// Says hello both ways; answers what was on the wire.
fn talk(one: Proved, two: Proved) -> Vec<u8> {
    let [Protection::Noise { sealer: a, opener: b }, Protection::Noise { sealer: c, opener: d }] =
        [one.protection, two.protection]
    else {
        panic!("TLS protects it")
    };
    let mut wire = Vec::new();
    for (mut sealer, mut opener) in [(a, d), (c, b)] {
        let mut message = b"hello, neighbour".to_vec();
        let (_, tag) = sealer.seal(b"", &mut message);
        message.extend_from_slice(&tag);
        wire.extend_from_slice(&message);
        assert_eq!(opener.open_next(b"", &mut message), Ok(16));
        assert_eq!(&message[..16], b"hello, neighbour");
        assert!(opener.open_next(b"", &mut wire.clone()).is_err());
    }
    wire
}
