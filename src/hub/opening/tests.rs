//! Honest handshakes over bad routes, and dishonest ones.

use super::verdict::{ACCEPTED, REFUSED};
use super::*;
use crate::hub::channel::ChannelsError;
use crate::link::noise::{HandshakeError, SecretKey};
use crate::wire::cursor::{Malformed, put_prefixed};

#[test]
fn a_session_that_is_accepted_is_the_same_on_both_sides() {
    let mut world = World::new();
    let (mut one, mut two) = world.proposed();
    let theirs = two.decide(NOW, Decision::Accept).unwrap();
    let Some(Progress::Opened(ours)) = world.pass(&mut two, &mut one) else { panic!("not opened") };
    assert_eq!((ours.id, &ours.channels, ours.purpose), (theirs.id, &theirs.channels, theirs.purpose));
    assert_eq!((ours.peer, theirs.peer), (world.bob.address(), world.alice.address()));
    assert_eq!((ours.channels, ours.purpose), (channels(), Purpose::Room));
    let [(mut a, mut b), (mut c, mut d)] = [ours.keys, theirs.keys];
    for (sealer, opener) in [(&mut a, &mut d), (&mut c, &mut b)] {
        let mut text = b"hello".to_vec();
        let (counter, tag) = sealer.seal(b"", &mut text);
        text.extend_from_slice(&tag);
        assert_eq!(opener.open(counter, b"", &mut text), Ok(5));
    }
}

#[test]
fn a_refusal_arrives_with_its_words_cut_to_the_limit() {
    for (text, arrives) in [("busy", "busy".to_owned()), (&"ä".repeat(200), "ä".repeat(128))] {
        let mut world = World::new();
        let (mut one, mut two) = world.proposed();
        assert!(two.decide(NOW, Decision::Refuse { code: 7, text: text.to_owned() }).is_none());
        let Some(Progress::Refused { code: 7, text }) = world.pass(&mut two, &mut one) else { panic!("not refused") };
        assert_eq!(text, arrives);
        assert_eq!(one.deadline(), None);
        assert!(two.decide(NOW, Decision::Accept).is_none(), "the first decision counts");
    }
}

#[test]
fn steps_that_get_lost_are_sent_again_at_growing_intervals() {
    let world = World::new();
    let mut one = world.open();
    let (mut sent, mut now) = (Vec::new(), NOW);
    let ended = loop {
        while one.supply().is_some() {
            sent.push((now - NOW).as_millis());
        }
        now = one.deadline().unwrap().at;
        if let Some(ended) = one.on_timeout(now) {
            break ended;
        }
    };
    assert_eq!(sent, [0, 500, 1500, 3500, 5500, 7500, 9500]);
    assert_eq!((ended, now - NOW), (Ended::TimedOut, Limits::default().handshake_time));
    assert_eq!((one.deadline(), one.supply()), (None, None));
}

#[test]
fn whatever_the_route_loses_repeats_and_reorders_both_sides_agree() {
    let mut lost = 0;
    for seed in 0..300 {
        let mut world = World::new();
        let mut rng = Rng::from_u64(seed);
        let refuse = rng.chance(0.3);
        let (one, two, dropped) = over_a_bad_route(&mut world, &mut rng, refuse);
        lost += dropped;
        match (one, two) {
            (Some(Progress::Opened(one)), Some(two)) => assert_eq!(one.id, two.id, "seed {seed}"),
            (Some(Progress::Refused { code: 3, .. }), None) => assert!(refuse, "seed {seed}"),
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    println!("{lost} packets lost in 300 handshakes");
    assert!(lost > 100);
}

#[test]
fn an_application_that_takes_its_time_is_waited_for() {
    let mut world = World::new();
    let (mut one, mut two) = world.proposed();
    let mut now = NOW;
    while now - NOW < Duration::from_secs(40) {
        now = one.deadline().unwrap().at;
        assert_eq!(one.on_timeout(now), None, "after {:?}", now - NOW);
        while let Some(packet) = one.supply() {
            two.receive(now, &world.limits, &packet).unwrap();
        }
        while let Some(packet) = two.supply() {
            one.receive(now, &world.limits, &packet).unwrap();
        }
    }
    assert!(two.decide(now, Decision::Accept).is_some());
    assert!(matches!(world.pass(&mut two, &mut one), Some(Progress::Opened(_))));
}

#[test]
fn an_application_that_never_decides_is_given_up_by_both() {
    let mut world = World::new();
    let (mut one, mut two) = world.proposed();
    one.on_timeout(NOW + PATIENCE);
    world.pass(&mut one, &mut two);
    world.pass(&mut two, &mut one);
    let until = NOW + Limits::default().decision_time + PATIENCE;
    assert_eq!(two.on_timeout(until), Some(Ended::TimedOut));
    assert_eq!(one.on_timeout(until), Some(Ended::TimedOut));
    assert!(two.decide(until, Decision::Accept).is_none());
}

#[test]
fn a_peer_cannot_put_us_off_for_ever() {
    let mut world = World::new();
    let (mut one, mut two) = world.proposed();
    let Stage::Deciding { keys, .. } = &mut two.stage else { panic!() };
    let mut now = NOW;
    for _ in 0..3 {
        let pending = verdict::seal(&mut keys.sealer, Verdict::Pending);
        assert!(one.receive(now, &world.limits, &pending).unwrap().is_none());
        now = now + Duration::from_secs(5);
    }
    assert_eq!(one.expires.unwrap().at, NOW + Limits::default().decision_time);
}

#[test]
fn a_lost_verdict_is_repeated_for_a_while_and_then_forgotten() {
    let mut world = World::new();
    let (mut one, mut two) = world.proposed();
    two.decide(NOW, Decision::Accept).unwrap();
    let lost = two.supply().unwrap();
    one.on_timeout(NOW + PATIENCE);
    world.pass(&mut one, &mut two);
    assert_eq!(two.supply(), Some(lost));
    let done = two.deadline().unwrap().at;
    assert_eq!((two.on_timeout(done), done - NOW), (Some(Ended::Done), Limits::default().handshake_time));
    assert_eq!(two.deadline(), None);
}

#[test]
fn packets_of_other_kinds_or_steps_are_told_and_change_nothing() {
    let mut world = World::new();
    let (mut one, mut two) = (world.open(), None);
    let first = one.supply().unwrap();
    let large = vec![HANDSHAKE; world.limits.packet + 1];
    for (packet, expected) in [
        (&[][..], OpeningError::NotAStep),
        (&[HANDSHAKE], OpeningError::NotAStep),
        (&[HANDSHAKE, 0], OpeningError::NotAStep),
        (&[HANDSHAKE, 5], OpeningError::NotAStep),
        (&[2, 4, 0], OpeningError::NotAStep),
        (&[HANDSHAKE, 4, 0], OpeningError::WrongStep(4)),
        (&first, OpeningError::WrongStep(1)),
        (&large, OpeningError::TooLarge),
    ] {
        assert_eq!(one.receive(NOW, &world.limits, packet).unwrap_err(), expected);
        assert!(!expected.is_fatal());
    }
    let second = two.insert(world.answer(&first).unwrap()).supply().unwrap();
    assert!(one.receive(NOW, &world.limits, &second).unwrap().is_none());
    assert!(one.supply().is_some());
}

#[test]
fn a_repeated_step_with_other_bytes_is_not_answered() {
    let mut world = World::new();
    let (mut one, mut two) = world.proposed();
    one.on_timeout(NOW + PATIENCE);
    let mut third = one.supply().unwrap();
    third[40] ^= 1;
    assert_eq!(two.receive(NOW, &world.limits, &third).unwrap_err(), OpeningError::Changed);
    assert!(!two.wants_supply() && two.decide(NOW, Decision::Accept).is_some());
}

#[test]
fn a_step_changed_anywhere_ends_the_handshake_and_a_changed_verdict_is_passed_over() {
    for step in 1..=4 {
        let len = World::new().through(step, |_| ()).unwrap().len();
        for at in 2..len {
            let error = World::new().through(step, |packet| packet[at] ^= 0x10).unwrap_err();
            let expected = match step {
                4 if at < 10 => matches!(error, OpeningError::Verdict(OpenError::Forged | OpenError::TooNew)),
                4 => error == OpeningError::Verdict(OpenError::Forged),
                _ => error == OpeningError::Handshake(HandshakeError::Forged),
            };
            assert!(expected && error.is_fatal() == (step != 4), "byte {at} of step {step}: {error:?}");
        }
    }
}

#[test]
fn a_step_cut_anywhere_is_refused() {
    for step in 1..=4 {
        let len = World::new().through(step, |_| ()).unwrap().len();
        for at in 0..len {
            let error = World::new().through(step, |packet| packet.truncate(at)).unwrap_err();
            let expected = matches!(
                error,
                OpeningError::NotAStep
                    | OpeningError::Handshake(HandshakeError::Short | HandshakeError::Forged)
                    | OpeningError::Verdict(OpenError::Short | OpenError::Forged)
            );
            assert!(expected, "step {step}, {at} bytes: {error:?}");
        }
    }
}

#[test]
fn a_session_for_another_instance_fails() {
    let mut world = World::new();
    let twin = Identity::new(world.bob.secret().clone(), &mut world.rng);
    let mut one = world.open();
    world.bob = twin;
    let mut two = world.answer(&one.supply().unwrap()).unwrap();
    let error = one.receive(NOW, &world.limits, &two.supply().unwrap()).unwrap_err();
    assert_eq!(error, OpeningError::Handshake(HandshakeError::Forged));
}

#[test]
fn a_relay_that_answers_for_another_endpoint_is_known() {
    let mut world = World::new();
    let mallory = Identity::new(SecretKey::generate(&mut world.rng), &mut world.rng);
    let mut prologue = Vec::new();
    world.alice.address().put(&mut prologue);
    world.bob.address().put(&mut prologue);
    let mut one = world.open();
    let mut relay = Handshake::new(&mallory, Role::Responder, Protocol::Session, &prologue, &mut world.rng);
    relay.read(&one.supply().unwrap()[2..]).unwrap();
    let second = packet(2, &relay.write(&[VERSION]).unwrap());
    let error = one.receive(NOW, &world.limits, &second).unwrap_err();
    assert_eq!(error, OpeningError::WrongPeer(mallory.address()));
    assert!(!one.wants_supply() && one.deadline().is_none());
}

#[test]
fn a_caller_that_is_not_who_the_route_says_is_known() {
    let mut world = World::new();
    let mallory = Identity::new(SecretKey::generate(&mut world.rng), &mut world.rng);
    let error = world.third_step_of(&mallory, &[VERSION, 0, 0]);
    assert_eq!(error, OpeningError::WrongPeer(mallory.address()));
}

#[test]
fn a_handshake_of_neighbours_is_none_of_a_session() {
    let mut world = World::new();
    let mut one = Handshake::new(&world.alice, Role::Initiator, Protocol::Link, b"", &mut world.rng);
    let mut two = world.answer(&packet(1, &one.write(b"").unwrap())).unwrap();
    assert_eq!(one.read(&two.supply().unwrap()[2..]).unwrap_err(), HandshakeError::Forged);
}

#[test]
fn recorded_steps_open_nothing() {
    let recorded: Vec<_> = (1..=3).map(|step| World::new().through(step, |_| ()).unwrap()).collect();
    let mut world = World::seeded(9);
    let mut two = world.answer(&recorded[0]).unwrap();
    two.supply();
    let error = two.receive(NOW, &world.limits, &recorded[2]).unwrap_err();
    assert_eq!(error, OpeningError::Handshake(HandshakeError::Forged));
}

#[test]
fn nobody_opens_a_session_with_itself() {
    let World { limits, mut rng, alice, .. } = World::new();
    let me = alice.address();
    let first = Opening::open(NOW, &limits, &alice, me, channels(), Purpose::Room, &mut rng).supply().unwrap();
    let answered = Opening::answer(NOW, &limits, &alice, me, &first, &mut rng);
    assert_eq!(answered.unwrap_err(), OpeningError::Myself);
}

#[test]
fn each_broken_rule_of_a_proposal_has_its_own_error() {
    for (payload, expected) in [
        (&[2, 0, 0][..], OpeningError::Version(2)),
        (&[], OpeningError::Malformed(Malformed::Truncated)),
        (&[VERSION, 9, 0], OpeningError::Purpose(9)),
        (&[VERSION, 0, 0, 0], OpeningError::Trailing),
        (&[VERSION, 0, 1, 0, 0, 0], OpeningError::Channels(ChannelsError::Label)),
        (&[VERSION, 0, 0xff, 0x7f], OpeningError::Channels(ChannelsError::TooMany)),
    ] {
        let mut world = World::new();
        let alice = World::new().alice;
        assert_eq!(world.third_step_of(&alice, payload), expected);
    }
}

#[test]
fn each_broken_rule_of_a_verdict_has_its_own_error() {
    let mut long = vec![REFUSED, 0];
    put_prefixed(&mut long, &[b'x'; MAX_TEXT + 1]);
    for (plain, expected) in [
        (&[][..], OpeningError::Malformed(Malformed::Truncated)),
        (&[3], OpeningError::UnknownVerdict(3)),
        (&[ACCEPTED, 0], OpeningError::Trailing),
        (&[REFUSED, 0, 1, 0xff], OpeningError::Malformed(Malformed::Utf8)),
        (&long, OpeningError::Text),
    ] {
        let mut world = World::new();
        let (mut one, mut two) = world.proposed();
        let Stage::Deciding { keys, .. } = &mut two.stage else { panic!() };
        let mut sealed = plain.to_vec();
        let (counter, tag) = keys.sealer.seal(&[HANDSHAKE, 4], &mut sealed);
        let verdict = packet(4, &[&counter.to_be_bytes(), &sealed[..], &tag].concat());
        assert_eq!(one.receive(NOW, &world.limits, &verdict).unwrap_err(), expected);
    }
}

#[test]
fn only_the_peer_of_a_session_can_disown_it_and_only_when_asked() {
    let mut world = World::new();
    let (session, other) = (SessionKey([1; 16]), SessionKey([2; 16]));
    let [asked, before] = [&b"asked"[..], b"before"].map(|packet| <[u8; 32]>::from(Sha256::digest(packet)));
    let packet = unknown(&world.bob, &session, b"asked");
    let disowns =
        |who: &Identity, session, packet: &[u8]| is_unknown(who.address(), session, [&before, &asked], packet);
    assert!(disowns(&world.bob, &session, &packet));
    assert!(!disowns(&world.bob, &other, &packet));
    assert!(!disowns(&world.alice, &session, &packet));
    assert!(!is_unknown(world.bob.address(), &session, [&before], &packet));
    assert!(!is_unknown(world.bob.address(), &session, [], &packet));
    let twin = Identity::new(world.bob.secret().clone(), &mut world.rng);
    assert!(!disowns(&world.bob, &session, &unknown(&twin, &session, b"asked")));
    for at in 0..packet.len() {
        let mut changed = packet.clone();
        changed[at] ^= 1;
        assert!(!disowns(&world.bob, &session, &changed));
        assert!(!disowns(&world.bob, &session, &packet[..at]));
    }
}

const NOW: Instant = Instant::from_nanos(1_000_000_000);

struct World {
    limits: Limits,
    rng: Rng,
    alice: Identity,
    bob: Identity,
}

impl World {
    fn new() -> Self {
        Self::seeded(1)
    }

    fn seeded(seed: u64) -> Self {
        let mut keys = Rng::from_u64(1000);
        let [alice, bob] = [(); 2].map(|()| Identity::new(SecretKey::generate(&mut keys), &mut keys));
        Self { limits: Limits::default(), rng: Rng::from_u64(seed), alice, bob }
    }

    fn open(&self) -> Opening {
        let (peer, mut rng) = (self.bob.address(), self.rng.clone());
        Opening::open(NOW, &self.limits, &self.alice, peer, channels(), Purpose::Room, &mut rng)
    }

    fn answer(&mut self, first: &[u8]) -> Result<Opening, OpeningError> {
        Opening::answer(NOW, &self.limits, &self.bob, self.alice.address(), first, &mut self.rng)
    }

    fn pass(&self, from: &mut Opening, to: &mut Opening) -> Option<Progress> {
        to.receive(NOW, &self.limits, &from.supply().unwrap()).unwrap()
    }

    /// Both sides where the responder's application is to decide.
    fn proposed(&mut self) -> (Opening, Opening) {
        let mut one = self.open();
        let mut two = self.answer(&one.supply().unwrap()).unwrap();
        assert!(self.pass(&mut two, &mut one).is_none());
        let incoming = self.pass(&mut one, &mut two);
        assert!(
            matches!(incoming, Some(Progress::Incoming { purpose: Purpose::Room, channels }) if channels == self::channels())
        );
        (one, two)
    }

    /// A whole handshake in which something happens to one step; answers that step, as it was received.
    fn through(&mut self, damaged: u8, mut damage: impl FnMut(&mut Vec<u8>)) -> Result<Vec<u8>, OpeningError> {
        let mut seen = Vec::new();
        let mut way = |step: u8, from: &mut Opening| {
            let mut packet = from.supply().unwrap();
            if step == damaged {
                damage(&mut packet);
                seen = packet.clone();
            }
            packet
        };
        let mut one = self.open();
        let mut two = self.answer(&way(1, &mut one))?;
        one.receive(NOW, &self.limits, &way(2, &mut two))?;
        two.receive(NOW, &self.limits, &way(3, &mut one))?;
        two.decide(NOW, Decision::Accept);
        let opened = one.receive(NOW, &self.limits, &way(4, &mut two))?;
        assert!(matches!(opened, Some(Progress::Opened(_))));
        Ok(seen)
    }

    /// What a responder says of a third step with this payload by `caller`, who claims to be Alice.
    fn third_step_of(&mut self, caller: &Identity, payload: &[u8]) -> OpeningError {
        let mut prologue = Vec::new();
        self.alice.address().put(&mut prologue);
        self.bob.address().put(&mut prologue);
        let mut one = Handshake::new(caller, Role::Initiator, Protocol::Session, &prologue, &mut self.rng);
        let mut two = self.answer(&packet(1, &one.write(b"").unwrap())).unwrap();
        one.read(&two.supply().unwrap()[2..]).unwrap();
        let third = packet(3, &one.write(payload).unwrap());
        two.receive(NOW, &self.limits, &third).unwrap_err()
    }
}

fn channels() -> Vec<Channel> {
    vec![Channel::reliable("chat"), Channel::reliable("files").unordered().priority(2)]
}

/// Runs a handshake over a route with a delay of up to 600 ms each way that drops a tenth of all packets and
/// repeats a quarter; the responder decides after a second. Answers what both came to, and how many were dropped.
fn over_a_bad_route(world: &mut World, rng: &mut Rng, refuse: bool) -> (Option<Progress>, Option<Established>, usize) {
    let (mut one, mut two) = (world.open(), None::<Opening>);
    let (mut ours, mut theirs, mut decide_at, mut dropped) = (None, None, None, 0);
    let mut wire: Vec<(Instant, bool, Vec<u8>)> = Vec::new();
    let mut now = NOW;
    while ours.is_none() {
        for (up, packet) in [(true, one.supply()), (false, two.as_mut().and_then(Opening::supply))] {
            let Some(packet) = packet else { continue };
            let copies = if rng.chance(0.25) { 2 } else { 1 };
            for _ in 0..copies {
                if rng.chance(0.1) {
                    dropped += 1;
                } else {
                    wire.push((now + Duration::from_millis(rng.below(600)), up, packet.clone()));
                }
            }
        }
        wire.sort();
        let arrival = wire.first().map(|(at, ..)| *at);
        let timers = [one.deadline(), two.as_ref().and_then(Opening::deadline)].into_iter().flatten();
        now = timers.map(|timer| timer.at).chain(arrival).chain(decide_at).min().unwrap();
        assert_eq!(one.on_timeout(now), None, "the initiator gave up");
        if let Some(two) = &mut two {
            assert_eq!(two.on_timeout(now), None, "the responder gave up");
            if decide_at.take_if(|at| *at <= now).is_some() {
                let no = Decision::Refuse { code: 3, text: "no".to_owned() };
                theirs = two.decide(now, if refuse { no } else { Decision::Accept });
            }
        }
        if arrival != Some(now) {
            continue;
        }
        let (_, up, packet) = wire.remove(0);
        match &mut two {
            None if packet[1] == 1 => two = Some(world.answer(&packet).unwrap()),
            Some(two) if up => {
                let incoming = two.receive(now, &world.limits, &packet).unwrap();
                decide_at = decide_at.or_else(|| incoming.map(|_| now + Duration::from_secs(1)));
            }
            _ => ours = one.receive(now, &world.limits, &packet).unwrap(),
        }
    }
    (ours, theirs, dropped)
}
