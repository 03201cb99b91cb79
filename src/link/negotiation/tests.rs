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
