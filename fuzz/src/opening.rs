//! The handshake of a session: two honest sides over a hostile route, and one against a dishonest other.

use std::time::Duration;

use switchboard::hub::channel::Channel;
use switchboard::hub::opening::{Decision, Established, Opening, Progress, Purpose};
use switchboard::link::noise::{Handshake, Identity, Protocol, Role, SecretKey};
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;

use crate::memory;
use crate::script::Script;

/// What both sides may hold whatever comes, with what is on the route.
const MOST_MEMORY: usize = 1024 * 1024;

/// The first byte says who is honest; then comes what happens on the route.
pub fn session_opening(data: &[u8]) {
    let mut script = Script::new(data);
    let people = People::new();
    let ((), held) = memory::peak(|| match script.byte() % 3 {
        0 => Route::new(&people).run(&mut script),
        1 => caller(&people, &mut script),
        _ => callee(&people, &mut script),
    });
    assert!(held < MOST_MEMORY, "{held} bytes for a handshake");
}

struct People {
    limits: Limits,
    alice: Identity,
    bob: Identity,
}

impl People {
    fn new() -> Self {
        let mut rng = Rng::from_u64(1);
        let [alice, bob] = [(); 2].map(|()| Identity::new(SecretKey::generate(&mut rng), &mut rng));
        Self { limits: Limits::default(), alice, bob }
    }

    fn prologue(&self) -> Vec<u8> {
        let mut prologue = Vec::new();
        self.alice.address().put(&mut prologue);
        self.bob.address().put(&mut prologue);
        prologue
    }

    fn opening(&self) -> Opening {
        let (peer, mut rng) = (self.bob.address(), Rng::from_u64(2));
        Opening::open(START, &self.limits, &self.alice, peer, channels(), Purpose::Application, &mut rng)
    }

    fn answer(&self, now: Instant, first: &[u8]) -> Option<Opening> {
        let (peer, mut rng) = (self.alice.address(), Rng::from_u64(3));
        Opening::answer(now, &self.limits, &self.bob, peer, first, &mut rng).ok()
    }
}

const START: Instant = Instant::from_nanos(1);

fn channels() -> Vec<Channel> {
    vec![Channel::reliable("chat"), Channel::reliable("files").unordered().priority(1)]
}

/// Two honest sides; what lies between them keeps every packet and delivers what it likes.
struct Route<'a> {
    people: &'a People,
    now: Instant,
    one: Opening,
    two: Option<Opening>,
    /// Every packet there was, and whether it is for the responder.
    seen: Vec<(bool, Vec<u8>)>,
    proposed: bool,
    decided: Option<Decision>,
    ours: Option<Established>,
    theirs: Option<Established>,
}

impl<'a> Route<'a> {
    fn new(people: &'a People) -> Self {
        Self {
            people,
            now: START,
            one: people.opening(),
            two: None,
            seen: Vec::new(),
            proposed: false,
            decided: None,
            ours: None,
            theirs: None,
        }
    }

    fn run(mut self, script: &mut Script<'_>) {
        for _ in 0..60 {
            self.collect();
            if script.is_over() {
                break;
            }
            self.act(script);
        }
        let (Some(mut ours), Some(mut theirs)) = (self.ours, self.theirs) else { return };
        assert_eq!((ours.id, &ours.channels), (theirs.id, &theirs.channels));
        assert_eq!((ours.peer, theirs.peer), (self.people.bob.address(), self.people.alice.address()));
        let mut text = b"hello".to_vec();
        let (counter, tag) = ours.keys.0.seal(b"", &mut text);
        text.extend(tag);
        assert_eq!(theirs.keys.1.open(counter, b"", &mut text), Ok(5));
    }

    fn collect(&mut self) {
        for (to_responder, opening) in [(true, Some(&mut self.one)), (false, self.two.as_mut())] {
            let Some(packet) = opening.and_then(Opening::supply) else { continue };
            assert!(packet.len() <= self.people.limits.packet);
            self.seen.push((to_responder, packet));
        }
    }

    fn act(&mut self, script: &mut Script<'_>) {
        match script.byte() % 6 {
            0 => self.deliver(self.seen.last().cloned()),
            1 => self.deliver(self.seen.get(usize::from(script.byte())).cloned()),
            2 => {
                let (which, at, bits) = (usize::from(script.byte()), script.word(), script.byte().max(1));
                let Some((to, mut packet)) = self.seen.get(which).cloned() else { return };
                let at = at % packet.len();
                packet[at] ^= bits;
                self.deliver(Some((to, packet)));
            }
            3 => self.deliver(Some((script.byte() & 1 == 1, script.bytes().to_vec()))),
            4 => self.pass_time(script.word() as u64),
            _ => self.decide(script),
        }
    }

    fn deliver(&mut self, packet: Option<(bool, Vec<u8>)>) {
        match packet {
            None => {}
            Some((true, packet)) if self.two.is_none() => self.two = self.people.answer(self.now, &packet),
            Some((true, packet)) => self.reach_responder(&packet),
            Some((false, packet)) => self.reach_initiator(&packet),
        }
    }

    fn reach_responder(&mut self, packet: &[u8]) {
        let Some(two) = &mut self.two else { return };
        let Ok(Some(progress)) = two.receive(self.now, &self.people.limits, packet) else { return };
        let Progress::Incoming { channels, .. } = progress else { panic!("{progress:?}") };
        let genuine = self.seen.iter().any(|(to_responder, seen)| *to_responder && seen == packet);
        assert!(genuine && !self.proposed && channels == self::channels());
        self.proposed = true;
    }

    fn reach_initiator(&mut self, packet: &[u8]) {
        let Ok(Some(progress)) = self.one.receive(self.now, &self.people.limits, packet) else { return };
        match progress {
            Progress::Opened(established) => {
                assert_eq!(self.decided, Some(Decision::Accept));
                assert!(self.ours.replace(established).is_none());
            }
            Progress::Refused { code, text } => {
                let Some(Decision::Refuse { code: given, text: words }) = &self.decided else { panic!() };
                assert!(code == *given && words.starts_with(&text));
            }
            Progress::Incoming { .. } => panic!("{progress:?}"),
        }
    }

    fn pass_time(&mut self, hundredths: u64) {
        self.now = self.now + Duration::from_millis(hundredths * 10);
        for opening in [Some(&mut self.one), self.two.as_mut()].into_iter().flatten() {
            let ended = opening.on_timeout(self.now);
            assert!(opening.deadline().is_none_or(|deadline| deadline.at > self.now));
            assert!(ended.is_none() || (opening.deadline().is_none() && !opening.wants_supply()));
        }
    }

    fn decide(&mut self, script: &mut Script<'_>) {
        let decision = match script.byte() {
            0 => Decision::Accept,
            code => Decision::Refuse { code, text: script.text() },
        };
        let Some(two) = self.two.as_mut().filter(|two| self.proposed && two.deadline().is_some()) else { return };
        if self.decided.is_none() {
            self.decided = Some(decision.clone());
            self.theirs = two.decide(self.now, decision.clone());
            assert_eq!(self.theirs.is_some(), decision == Decision::Accept);
        } else {
            assert!(two.decide(self.now, decision).is_none());
        }
    }
}

/// A caller with a key of its own proposes what it likes.
fn caller(people: &People, script: &mut Script<'_>) {
    let mut handshake =
        Handshake::new(&people.alice, Role::Initiator, Protocol::Session, &people.prologue(), &mut Rng::from_u64(4));
    let first = handshake.write(script.bytes()).expect("it is its turn");
    let Some(mut two) = people.answer(START, &[&[1, 1], &first[..]].concat()) else { return };
    let second = two.supply().expect("the answer");
    let Ok(_) = handshake.read(&second[2..]) else { panic!("the answer is refused") };
    let payload: Vec<u8> = script.list(Script::bytes).concat();
    let third = handshake.write(&payload).expect("it is its turn");
    match two.receive(START, &people.limits, &[&[1, 3], &third[..]].concat()) {
        Ok(Some(Progress::Incoming { channels, .. })) => {
            assert!(channels.len() <= people.limits.session_channels);
            let established = two.decide(START, Decision::Accept).expect("it was proposed");
            let keys = handshake.finish().expect("all steps are done");
            assert_eq!(
                (established.id.0, established.peer),
                (keys.hash[..16].try_into().unwrap(), people.alice.address())
            );
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => assert!(error.is_fatal() && two.deadline().is_none()),
    }
}

/// A callee with a key of its own, and perhaps another's name, answers what it likes.
fn callee(people: &People, script: &mut Script<'_>) {
    let mut one = people.opening();
    let itself = script.byte() & 1 == 0;
    let who = if itself { &people.bob } else { &people.alice };
    let mut handshake =
        Handshake::new(who, Role::Responder, Protocol::Session, &people.prologue(), &mut Rng::from_u64(4));
    let first = one.supply().expect("the first step");
    handshake.read(&first[2..]).expect("the first step is right");
    let second = handshake.write(script.bytes()).expect("it is its turn");
    if let Err(error) = one.receive(START, &people.limits, &[&[1, 2], &second[..]].concat()) {
        assert!(error.is_fatal() && !one.wants_supply());
        return;
    }
    assert!(itself, "another's answer is taken");
    let third = one.supply().expect("the third step");
    handshake.read(&third[2..]).expect("the third step is right");
    let Ok(mut keys) = handshake.finish() else { panic!("all steps are done") };
    while !script.is_over() {
        let mut text = script.bytes().to_vec();
        let (counter, tag) = keys.sealer.seal(&[1, 4], &mut text);
        let packet = [&[1, 4], &counter.to_be_bytes()[..], &text, &tag].concat();
        match one.receive(START, &people.limits, &packet) {
            Ok(Some(Progress::Refused { text, .. })) => assert!(text.len() <= 256),
            Ok(Some(Progress::Opened(established))) => assert_eq!(established.peer, people.bob.address()),
            Ok(Some(progress)) => panic!("{progress:?}"),
            Ok(None) => {}
            Err(error) => assert!(error.is_fatal() && one.deadline().is_none()),
        }
    }
}
