//! Transcripts: who says what, and what the two sides are to do.

use super::*;
use crate::wire::candidate::CandidateKind;
use crate::wire::sdp::Password;

const ATTEMPT: u32 = 0x105;
const LIMIT: usize = 64 * 1024;

/// A side with its steps so far.
struct Side {
    negotiation: Negotiation,
    sent: VecDeque<Zeroizing<Vec<u8>>>,
    steps: Vec<Step>,
}

impl Side {
    fn new(polite: bool) -> Self {
        let negotiation = Negotiation::new(ATTEMPT, NegotiationConfig::new(polite));
        Self { negotiation, sent: VecDeque::new(), steps: Vec::new() }
    }

    fn drain(&mut self) {
        while let Some(step) = self.negotiation.poll() {
            match step {
                Step::Send(bytes) => self.sent.push_back(bytes),
                step => self.steps.push(step),
            }
        }
    }

    /// Passes on all that it has sent; what the other answers to each.
    fn pass_to(&mut self, other: &mut Self) -> Result<(), Misbehaved> {
        self.drain();
        while let Some(bytes) = self.sent.pop_front() {
            other.take(&Signal::decode(&bytes, LIMIT).unwrap())?;
        }
        Ok(())
    }

    fn take(&mut self, signal: &Signal<'_>) -> Result<(), Misbehaved> {
        let result = self.negotiation.receive(signal);
        self.drain();
        result
    }

    fn steps(&mut self) -> Vec<Step> {
        self.drain();
        std::mem::take(&mut self.steps)
    }
}

fn pair() -> (Side, Side) {
    (Side::new(false), Side::new(true))
}

fn description(ufrag: &str, fingerprint: u8) -> Description {
    let password = Password::new("a".repeat(24)).unwrap();
    Description::offer(ufrag.to_owned(), password, [fingerprint; 32])
}

fn answering(ufrag: &str, fingerprint: u8, offer: &Description) -> Description {
    description(ufrag, fingerprint).answering(offer)
}

fn candidate(n: u16) -> Candidate {
    Candidate::new(CandidateKind::Host, ([192, 0, 2, 1], n).into(), None)
}

fn of(ufrag: &str, n: u16) -> Candidate {
    Candidate { ufrag: Some(ufrag.to_owned()), ..candidate(n) }
}

fn offered(steps: &[Step]) -> Description {
    let found = steps.iter().find_map(|step| if let Step::Offer(offer) = step { Some(offer) } else { None });
    (**found.unwrap_or_else(|| panic!("no offer in {steps:?}"))).clone()
}

/// One whole exchange.
fn exchange(from: &mut Side, to: &mut Side, ufrag: &str, answer: &str, fingerprints: [u8; 2]) {
    from.negotiation.offer(&description(ufrag, fingerprints[0])).unwrap();
    from.pass_to(to).unwrap();
    let offer = offered(&to.steps());
    to.negotiation.answer(&answering(answer, fingerprints[1], &offer)).unwrap();
    to.pass_to(from).unwrap();
}

#[test]
fn an_offer_is_answered_and_both_sides_know_each_other() {
    let (mut a, mut b) = pair();
    exchange(&mut a, &mut b, "aaaa", "bbbb", [1, 2]);
    assert!(a.negotiation.is_stable() && b.negotiation.is_stable());
    assert!(matches!(&a.steps()[..], [Step::Answer(answer)] if answer.ufrag == "bbbb"));
    assert_eq!(b.negotiation.remote().unwrap().ufrag, "aaaa");
    assert_eq!((a.negotiation.role(), b.negotiation.role()), (Some(Setup::Passive), Some(Setup::Active)));
}

#[test]
fn candidates_wait_for_the_description_that_they_belong_to() {
    let (mut a, mut b) = pair();
    a.negotiation.candidate(&candidate(1));
    a.drain();
    assert!(a.sent.is_empty());
    a.negotiation.offer(&description("aaaa", 1)).unwrap();
    a.negotiation.candidate(&candidate(2));
    a.negotiation.end_of_candidates();
    b.negotiation.candidate(&candidate(3));
    a.pass_to(&mut b).unwrap();
    let steps = b.steps();
    let offer = offered(&steps);
    assert_eq!(steps[1..], [Step::Candidate(of("aaaa", 1)), Step::Candidate(of("aaaa", 2)), Step::EndOfCandidates]);
    b.drain();
    assert!(b.sent.is_empty());
    b.negotiation.answer(&answering("bbbb", 2, &offer)).unwrap();
    b.pass_to(&mut a).unwrap();
    assert!(matches!(&a.steps()[..], [Step::Answer(_), Step::Candidate(got)] if *got == of("bbbb", 3)));
}

#[test]
fn in_a_glare_the_polite_side_gives_way() {
    let (mut a, mut b) = pair();
    a.negotiation.offer(&description("aaaa", 1)).unwrap();
    b.negotiation.offer(&description("bbbb", 2)).unwrap();
    b.negotiation.candidate(&candidate(5));
    b.negotiation.end_of_candidates();
    b.pass_to(&mut a).unwrap();
    assert_eq!(a.steps(), []);
    assert_eq!(a.negotiation.counters().offers_ignored, 1);
    a.pass_to(&mut b).unwrap();
    let steps = b.steps();
    assert_eq!(steps[0], Step::Rollback);
    let offer = offered(&steps);
    assert_eq!(b.negotiation.offer(&description("cccc", 2)), Err(OutOfTurn::OfferPending));
    b.negotiation.answer(&answering("bbbb", 2, &offer)).unwrap();
    b.pass_to(&mut a).unwrap();
    let steps = a.steps();
    assert!(matches!(&steps[0], Step::Answer(answer) if answer.ufrag == "bbbb"));
    assert_eq!(steps[1..], [Step::Candidate(of("bbbb", 5)), Step::EndOfCandidates]);
    assert!(a.negotiation.is_stable() && b.negotiation.is_stable());
}

#[test]
fn candidates_of_an_offer_that_lost_the_glare_are_dropped_if_the_answer_is_another() {
    let (mut a, mut b) = pair();
    a.negotiation.offer(&description("aaaa", 1)).unwrap();
    b.negotiation.offer(&description("bbbb", 2)).unwrap();
    b.negotiation.candidate(&candidate(5));
    b.negotiation.end_of_candidates();
    b.pass_to(&mut a).unwrap();
    a.pass_to(&mut b).unwrap();
    let offer = offered(&b.steps());
    b.negotiation.answer(&answering("cccc", 2, &offer)).unwrap();
    b.pass_to(&mut a).unwrap();
    assert!(matches!(&a.steps()[..], [Step::Answer(_)]));
    assert_eq!(a.negotiation.counters().candidates_stale, 1);
}

#[test]
fn the_roles_of_dtls_stay_whoever_offers_next() {
    let (mut a, mut b) = pair();
    exchange(&mut a, &mut b, "aaaa", "bbbb", [1, 2]);
    exchange(&mut b, &mut a, "cccc", "dddd", [2, 1]);
    assert_eq!((a.negotiation.role(), b.negotiation.role()), (Some(Setup::Passive), Some(Setup::Active)));
    assert!(matches!(&b.steps()[..], [Step::Answer(answer)] if answer.setup == Setup::Passive));
}

#[test]
fn a_restart_is_asked_for_once_and_answered_by_an_offer() {
    let (mut a, mut b) = pair();
    exchange(&mut a, &mut b, "aaaa", "bbbb", [1, 2]);
    a.steps();
    b.negotiation.restart();
    b.negotiation.restart();
    b.drain();
    for bytes in std::mem::take(&mut b.sent) {
        a.negotiation.receive(&Signal::decode(&bytes, LIMIT).unwrap()).unwrap();
    }
    assert_eq!(a.steps(), [Step::Restart]);
    exchange(&mut a, &mut b, "cccc", "dddd", [1, 2]);
    assert_eq!(b.negotiation.remote().unwrap().ufrag, "cccc");
}

#[test]
fn a_restart_that_comes_while_an_exchange_is_pending_waits_for_what_it_brings() {
    for (renewed, expected) in [("cccc", None), ("aaaa", Some(Step::Restart))] {
        let (mut a, mut b) = pair();
        exchange(&mut a, &mut b, "aaaa", "bbbb", [1, 2]);
        a.steps();
        b.negotiation.restart();
        b.drain();
        let restart = b.sent.pop_front().unwrap();
        exchange_with(&mut a, &mut b, renewed, &restart);
        let steps = a.steps();
        assert!(matches!(steps[0], Step::Answer(_)));
        assert_eq!(steps.get(1), expected.as_ref());
    }
}

/// An exchange of `from`, to which a signal comes in the middle.
fn exchange_with(from: &mut Side, to: &mut Side, ufrag: &str, signal: &[u8]) {
    from.negotiation.offer(&description(ufrag, 1)).unwrap();
    from.take(&Signal::decode(signal, LIMIT).unwrap()).unwrap();
    from.pass_to(to).unwrap();
    let offer = offered(&to.steps());
    to.negotiation.answer(&answering("dddd", 2, &offer)).unwrap();
    to.pass_to(from).unwrap();
}

#[test]
fn a_restart_during_the_first_exchange_asks_for_nothing_more() {
    let (mut a, mut b) = pair();
    a.negotiation.offer(&description("aaaa", 1)).unwrap();
    b.negotiation.restart();
    b.pass_to(&mut a).unwrap();
    a.pass_to(&mut b).unwrap();
    let offer = offered(&b.steps());
    b.negotiation.answer(&answering("bbbb", 2, &offer)).unwrap();
    b.pass_to(&mut a).unwrap();
    assert!(matches!(&a.steps()[..], [Step::Answer(_)]));
}

#[test]
fn an_attempt_ends_once_and_takes_nothing_after_that() {
    let (mut a, mut b) = pair();
    exchange(&mut a, &mut b, "aaaa", "bbbb", [1, 2]);
    a.negotiation.bye(3, &"ü".repeat(200));
    a.negotiation.error(4, "again");
    a.negotiation.candidate(&candidate(1));
    assert_eq!(a.negotiation.offer(&description("cccc", 1)), Err(OutOfTurn::Over));
    a.pass_to(&mut b).unwrap();
    let ending = Ending { kind: EndingKind::Bye, code: 3, text: "ü".repeat(128) };
    assert_eq!(b.steps(), [Step::Ended(ending)]);
    assert!(a.negotiation.is_over() && b.negotiation.is_over());
    b.negotiation.bye(0, "");
    b.drain();
    assert!(b.sent.is_empty());
    assert_eq!(b.take(&Signal::Restart { attempt: ATTEMPT }), Ok(()));
    assert_eq!((b.steps(), b.negotiation.counters().after_end), (Vec::new(), 1));
}

#[test]
fn what_is_known_of_the_ways_out_is_passed_on_at_any_time() {
    let (mut a, mut b) = pair();
    let outlook = Outlook { ipv6: true, ..Outlook::default() };
    a.negotiation.outlook(outlook);
    a.pass_to(&mut b).unwrap();
    assert_eq!(b.steps(), [Step::Outlook(outlook)]);
}

#[test]
fn an_own_description_out_of_turn_is_refused() {
    let (mut a, mut b) = pair();
    assert_eq!(a.negotiation.answer(&description("aaaa", 1)), Err(OutOfTurn::NothingToAnswer));
    a.negotiation.offer(&description("aaaa", 1)).unwrap();
    assert_eq!(a.negotiation.offer(&description("cccc", 1)), Err(OutOfTurn::Offered));
    a.pass_to(&mut b).unwrap();
    assert_eq!(b.negotiation.offer(&description("bbbb", 2)), Err(OutOfTurn::OfferPending));
}

/// A description of the other side, as a signal's text.
fn text(description: &Description) -> String {
    description.to_sdp(1, 1)
}

const fn told(kind: DescriptionKind, sdp: &str) -> Signal<'_> {
    Signal::Description { attempt: ATTEMPT, kind, sdp }
}

#[test]
fn each_broken_rule_has_its_own_error() {
    use DescriptionKind::{Answer, Offer};
    let offer = text(&description("bbbb", 2));
    let answer = text(&answering("bbbb", 2, &description("aaaa", 1)));
    let fresh = || Side::new(true);
    let after_offer = || {
        let mut side = fresh();
        side.negotiation.offer(&description("aaaa", 1)).unwrap();
        side
    };
    let stable = || {
        let mut side = after_offer();
        side.take(&told(Answer, &answer)).unwrap();
        side
    };
    let answered = |change: &dyn Fn(&mut Description)| {
        let mut other = answering("bbbb", 2, &description("aaaa", 1));
        change(&mut other);
        after_offer().take(&told(Answer, &text(&other)))
    };

    assert_eq!(fresh().take(&Signal::Restart { attempt: 1 }), Err(Misbehaved::AnotherAttempt(1)));
    let want = crate::wire::signal::WantKey { room: [0; 16], proof: [0; 32] };
    assert_eq!(fresh().take(&Signal::WantKey(want)), Err(Misbehaved::AnotherKind));
    assert_eq!(fresh().take(&told(Answer, &answer)), Err(Misbehaved::AnswerWithoutOffer));
    assert_eq!(stable().take(&told(Answer, &answer)), Err(Misbehaved::SecondAnswer));
    assert_eq!(fresh().take(&told(Offer, "v=1")), Err(Misbehaved::Sdp(SdpError::Version)));
    let mut side = fresh();
    side.take(&told(Offer, &offer)).unwrap();
    assert_eq!(side.take(&told(Offer, &offer)), Err(Misbehaved::SecondOffer));
    assert_eq!(side.take(&told(Answer, &answer)), Err(Misbehaved::AnswerWithoutOffer));
    assert_eq!(answered(&|other| other.mid = "x".to_owned()), Err(Misbehaved::AnotherSection));
    assert_eq!(answered(&|other| other.setup = Setup::ActPass), Err(Misbehaved::Role));
    let changed = stable().take(&told(Offer, &text(&description("cccc", 3))));
    assert_eq!(changed, Err(Misbehaved::FingerprintChanged));
    let turned = Description { setup: Setup::Passive, ..description("cccc", 2) };
    assert_eq!(stable().take(&told(Offer, &text(&turned))), Err(Misbehaved::RoleChanged));
    let mut side = stable();
    side.negotiation.offer(&description("cccc", 1)).unwrap();
    let turned = Description { setup: Setup::Passive, ..answering("dddd", 2, &description("cccc", 1)) };
    assert_eq!(side.take(&told(Answer, &text(&turned))), Err(Misbehaved::RoleChanged));
}

#[test]
fn steps_that_nobody_takes_do_not_pile_up() {
    let mut negotiation = Negotiation::new(ATTEMPT, NegotiationConfig::new(true));
    let signal = Signal::Outlook { attempt: ATTEMPT, outlook: Outlook::default() };
    let taken = (0..1000).take_while(|_| negotiation.receive(&signal).is_ok()).count();
    assert!((100..MAX_STEPS).contains(&taken), "{taken}");
    assert_eq!(negotiation.receive(&signal), Err(Misbehaved::Flood));
}

#[test]
fn candidates_are_bounded_before_and_after_their_description() {
    let mut side = Side::new(true);
    let tell = |side: &mut Side, candidate: Candidate| {
        side.take(&Signal::Candidate { attempt: ATTEMPT, text: &candidate.to_string() }).unwrap();
    };
    (1..=40).for_each(|n| tell(&mut side, of("bbbb", n)));
    side.take(&Signal::Candidate { attempt: ATTEMPT, text: "1 1 udp 1 name.local 9 typ host" }).unwrap();
    let mut offer = description("bbbb", 2);
    offer.candidates = (100..110).map(candidate).collect();
    side.take(&told(DescriptionKind::Offer, &text(&offer))).unwrap();
    let steps = side.steps();
    assert_eq!(steps.len(), 1 + MAX_REMOTE - 10);
    assert_eq!(steps[1], Step::Candidate(of("bbbb", 9)));
    (200..210).for_each(|n| tell(&mut side, of("bbbb", n)));
    assert_eq!(side.steps(), []);
    let counters = side.negotiation.counters();
    assert_eq!((counters.candidates_stale, counters.candidates_beyond, counters.candidates_malformed), (8, 20, 1));
    assert_eq!(counters.last_malformed, Some(CandidateError::Name));
}

#[test]
fn a_candidate_of_another_description_than_the_one_in_force_is_not_passed_on() {
    let (mut a, mut b) = pair();
    exchange(&mut a, &mut b, "aaaa", "bbbb", [1, 2]);
    let later = of("cccc", 7).to_string();
    b.take(&Signal::Candidate { attempt: ATTEMPT, text: &later }).unwrap();
    let of_none = candidate(8).to_string();
    b.take(&Signal::Candidate { attempt: ATTEMPT, text: &of_none }).unwrap();
    assert_eq!(b.steps(), [Step::Candidate(candidate(8))]);
    exchange(&mut a, &mut b, "dddd", "eeee", [1, 2]);
    assert_eq!(b.steps(), []);
    assert_eq!(b.negotiation.counters().candidates_stale, 1);
}

#[test]
fn of_two_fingerprints_exactly_one_is_polite() {
    assert!(polite(&[1; 32], &[2; 32]) && !polite(&[2; 32], &[1; 32]));
}
