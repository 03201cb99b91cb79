//! The proof of a link, against a neighbour that knows Noise, has a key of its own and says what it likes.

use switchboard::link::noise::{
    Claims, Handshake, Identity, Proof, ProofError, Protection, Protocol, Proved, Role, SecretKey, Token,
};
use switchboard::machine::rng::Rng;

use crate::memory;
use crate::script::Script;

/// What a proof may hold whatever comes.
const MOST_MEMORY: usize = 64 * 1024;

/// Any schedule: the first byte says which side we are and what we claim, then come the neighbour's doings.
pub fn link_proof(data: &[u8]) {
    let people = People::new();
    let ((), held) = memory::peak(|| run(&people, &mut Script::new(data)));
    assert!(held < MOST_MEMORY, "{held} bytes for a proof");
}

struct People {
    me: Identity,
    neighbour: Identity,
}

impl People {
    fn new() -> Self {
        let mut rng = Rng::from_u64(1);
        let [me, neighbour] = [(); 2].map(|()| Identity::new(SecretKey::generate(&mut rng), &mut rng));
        Self { me, neighbour }
    }
}

struct Link<'a> {
    people: &'a People,
    role: Role,
    claims: Claims,
    unexpected: bool,
    proof: Proof,
    neighbour: Handshake,
    /// The last that the neighbour said in the handshake, so long as it has kept all rules.
    honest: Option<Claims>,
    /// What was proved, and what the neighbour had said by then.
    proved: Option<(Proved, Option<Claims>)>,
    error: Option<ProofError>,
    sent: usize,
    /// A payload was not made here: it may be right, or not.
    raw: bool,
}

fn run(people: &People, script: &mut Script<'_>) {
    let mut link = Link::new(people, script.byte());
    for _ in 0..20 {
        link.hear();
        if script.is_over() {
            break;
        }
        link.act(script);
    }
    link.check();
}

impl<'a> Link<'a> {
    fn new(people: &'a People, how: u8) -> Self {
        let role = if how & 1 == 0 { Role::Responder } else { Role::Initiator };
        let claims = Claims {
            relays: how & 2 != 0,
            server_end_point: (how & 4 != 0).then_some([1; 32]),
            token: Token::new(&[b't'; 9][..usize::from(how >> 4) & 7]),
        };
        let unexpected = how & 8 != 0;
        let expected = unexpected.then(|| people.me.id());
        let mut rng = Rng::from_u64(2);
        Self {
            people,
            role,
            claims: claims.clone(),
            unexpected,
            proof: Proof::new(&people.me, role, claims, expected, &mut rng),
            neighbour: Handshake::new(&people.neighbour, role.other(), Protocol::Link, b"", &mut rng),
            honest: Some(Claims::default()),
            proved: None,
            error: None,
            sent: 0,
            raw: false,
        }
    }

    /// The neighbour takes in what we send.
    fn hear(&mut self) {
        assert!(self.error.is_none() || !self.proof.wants_supply(), "something is said after an error");
        let Some(message) = self.proof.supply() else { return };
        self.sent += 1;
        assert!(message.len() < 700 && self.sent <= 2);
        let shows_us = self.role == Role::Initiator && self.sent == 2;
        assert!(!(shows_us && self.unexpected), "we show ourselves to somebody unexpected");
        if self.neighbour.read(&message).is_err() {
            self.honest = None;
        }
    }

    fn act(&mut self, script: &mut Script<'_>) {
        match script.byte() % 5 {
            0 => {
                self.honest = None;
                self.say(&script.bytes().repeat(usize::from(script.byte() % 8)));
            }
            1 => {
                self.raw = true;
                self.write(script.bytes(), None);
            }
            2 => self.claim(script),
            3 => {
                let (payload, at, bits) = (self.claims_of(script).0, script.word(), script.byte());
                let Ok(mut message) = self.neighbour.write(&payload) else { return };
                let at = at % message.len();
                message[at] ^= bits.max(1);
                self.honest = None;
                self.say(&message);
            }
            _ => self.write(&[], Some(Claims::default()).filter(|_| self.sent == 0)),
        }
    }

    fn claim(&mut self, script: &mut Script<'_>) {
        let (payload, claims) = self.claims_of(script);
        self.write(&payload, claims);
    }

    /// Claims in their form; those that keep all rules come with their meaning.
    fn claims_of(&self, script: &mut Script<'_>) -> (Vec<u8>, Option<Claims>) {
        let (version, flags, end_point, token) = (script.byte(), script.byte(), script.byte(), script.bytes());
        // One byte of length says what is below 128.
        let token = &token[..token.len().min(127)];
        let mut payload = vec![version, flags];
        let given = |flag: u8| flags & flag != 0;
        if given(2) {
            payload.extend([end_point; 32]);
        }
        if given(8) {
            payload.extend(self.people.me.id().0);
        }
        if given(4) {
            payload.push(token.len() as u8);
            payload.extend(token);
        }
        let initiates = self.role == Role::Responder;
        let token_kept = !given(4) || (initiates && !token.is_empty());
        let kept = version == 1 && flags < 16 && given(8) == initiates && token_kept;
        let claims = Claims {
            relays: given(1),
            server_end_point: given(2).then_some([end_point; 32]),
            token: given(4).then(|| Token::new(token)).flatten(),
        };
        (payload, kept.then_some(claims))
    }

    fn write(&mut self, payload: &[u8], claims: Option<Claims>) {
        let Ok(message) = self.neighbour.write(payload) else { return };
        self.honest = self.honest.take().and(claims);
        self.say(&message);
    }

    fn say(&mut self, message: &[u8]) {
        let over = self.error.is_some() || self.proved.is_some();
        match self.proof.receive(message) {
            Err(error) => {
                assert!(!over || error == ProofError::AfterTheEnd);
                self.error = self.error.or(Some(error));
            }
            Ok(proved) => {
                assert!(!over, "a message is taken after the end");
                self.proved = proved.map(|proved| (proved, self.honest.clone()));
            }
        }
    }

    fn check(self) {
        let Some((proved, claims)) = self.proved else { return };
        assert_eq!(proved.peer, self.people.neighbour.address());
        assert!(!self.unexpected, "proved by somebody unexpected");
        if self.raw {
            return;
        }
        let claims = claims.unwrap_or_else(|| panic!("proved by a neighbour that broke a rule"));
        assert_eq!((proved.relays, proved.token), (claims.relays, claims.token));
        let same = claims.server_end_point.is_some() && claims.server_end_point == self.claims.server_end_point;
        match proved.protection {
            Protection::Tls => assert!(same),
            Protection::Noise { sealer, .. } if self.error.is_none() => {
                let Ok(mut keys) = self.neighbour.finish() else { return };
                let mut sealer = sealer;
                let mut text = b"hello".to_vec();
                let (_, tag) = sealer.seal(b"", &mut text);
                text.extend(tag);
                assert!(!same && keys.opener.open_next(b"", &mut text) == Ok(5));
            }
            Protection::Noise { .. } => assert!(!same),
        }
    }
}
