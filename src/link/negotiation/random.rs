//! Two negotiations with random wishes over a carrier that delays each direction as it likes: both end stable, on the
//! same pair of descriptions, with the candidates that belong to them.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::*;
use crate::machine::rng::Rng;
use crate::wire::candidate::CandidateKind;
use crate::wire::sdp::Password;

const ATTEMPT: u32 = 7;

/// A peer that does what its negotiation says, and wishes for restarts.
struct Peer {
    negotiation: Negotiation,
    outbox: VecDeque<Zeroizing<Vec<u8>>>,
    fingerprint: u8,
    made: u32,
    /// The fragments in force: own and the other's.
    pair: (String, String),
    offered: Option<String>,
    asked: Option<Description>,
    /// An own description with new credentials is to be offered.
    wants: bool,
    /// The candidates of the description in force that were passed on, and whether they have ended.
    remote: (Vec<u16>, bool),
    rollbacks: u32,
}

impl Peer {
    fn new(fingerprint: u8) -> Self {
        Self {
            negotiation: Negotiation::new(ATTEMPT, NegotiationConfig::new(fingerprint == 1)),
            outbox: VecDeque::new(),
            fingerprint,
            made: 0,
            pair: (String::new(), String::new()),
            offered: None,
            asked: None,
            wants: false,
            remote: (Vec::new(), false),
            rollbacks: 0,
        }
    }

    fn fresh(&mut self) -> Description {
        self.made += 1;
        let ufrag = format!("{}x{:04}", self.fingerprint, self.made);
        Description::offer(ufrag, Password::new("p".repeat(22)).unwrap(), [self.fingerprint; 32])
    }

    /// Offers where it wants to and may.
    fn offer(&mut self) {
        if !self.wants {
            return;
        }
        let description = self.fresh();
        if self.negotiation.offer(&description).is_ok() {
            self.wants = false;
            self.offered = Some(description.ufrag);
            self.gather();
        }
    }

    fn answer(&mut self) {
        let Some(offer) = self.asked.take() else { return };
        let answer = self.fresh().answering(&offer);
        self.negotiation.answer(&answer).unwrap();
        self.pair = (answer.ufrag, offer.ufrag);
        // The answer has new credentials too, which is all that a restart is for.
        self.wants = false;
        self.gather();
    }

    fn gather(&mut self) {
        let made = u16::try_from(self.made).unwrap();
        for n in [10 * made, 10 * made + 1] {
            self.negotiation.candidate(&Candidate::new(CandidateKind::Host, ([192, 0, 2, 1], n).into(), None));
        }
        self.negotiation.end_of_candidates();
    }

    fn settle(&mut self) {
        while let Some(step) = self.negotiation.poll() {
            match step {
                Step::Send(bytes) => self.outbox.push_back(bytes),
                Step::Offer(offer) => {
                    self.remote = (Vec::new(), false);
                    self.asked = Some(*offer);
                }
                Step::Answer(answer) => {
                    self.remote = (Vec::new(), false);
                    self.pair = (self.offered.take().unwrap(), answer.ufrag);
                }
                Step::Rollback => {
                    self.rollbacks += 1;
                    assert!(self.offered.take().is_some());
                }
                Step::Candidate(candidate) => self.remote.0.push(candidate.address.port()),
                Step::EndOfCandidates => self.remote.1 = true,
                Step::Restart => self.wants = true,
                Step::Outlook(_) => {}
                Step::Ended(ending) => panic!("{ending:?}"),
            }
        }
    }
}

/// Passes on the oldest signal of `from`.
fn carry(from: &mut Peer, to: &mut Peer) {
    let Some(bytes) = from.outbox.pop_front() else { return };
    let signal = Signal::decode(&bytes, MAX_DESCRIPTION).unwrap();
    to.negotiation.receive(&signal).unwrap_or_else(|error| panic!("{error}: {signal:?}"));
    to.settle();
}

fn act(rng: &mut Rng, own: &mut Peer, other: &mut Peer) {
    match rng.below(12) {
        0 => own.wants = true,
        1 => own.negotiation.restart(),
        2 => own.negotiation.outlook(Outlook::default()),
        3..=5 => own.offer(),
        6 | 7 => own.answer(),
        _ => carry(own, other),
    }
    own.settle();
}

/// What a run has brought about: rollbacks, descriptions made.
fn run(seed: u64) -> (u32, u32) {
    let mut rng = Rng::from_u64(seed);
    let (mut a, mut b) = (Peer::new(1), Peer::new(2));
    a.wants = true;
    for _ in 0..rng.below(200) {
        if rng.chance(0.5) { act(&mut rng, &mut a, &mut b) } else { act(&mut rng, &mut b, &mut a) }
    }
    for _ in 0..1000 {
        calm(&mut a, &mut b);
        calm(&mut b, &mut a);
    }
    agreed(seed, &a, &b);
    (a.rollbacks, a.made + b.made)
}

/// Does what is left to be done.
fn calm(own: &mut Peer, other: &mut Peer) {
    own.offer();
    own.answer();
    own.settle();
    carry(own, other);
}

fn agreed(seed: u64, a: &Peer, b: &Peer) {
    assert!(a.negotiation.is_stable() && b.negotiation.is_stable(), "seed {seed}");
    assert_eq!((&a.pair.0, &a.pair.1), (&b.pair.1, &b.pair.0), "seed {seed}");
    for (own, other) in [(a, b), (b, a)] {
        assert_eq!(own.negotiation.remote().unwrap().ufrag, own.pair.1, "seed {seed}");
        let made = other.pair.0[2..].parse::<u16>().unwrap();
        assert_eq!(own.remote, (vec![10 * made, 10 * made + 1], true), "seed {seed}");
        assert!(own.outbox.is_empty() && !own.wants, "seed {seed}");
        assert_eq!(own.negotiation.role(), other.negotiation.role().map(receive::opposite), "seed {seed}");
    }
}

#[test]
fn whatever_both_wish_for_they_end_with_the_same_pair_of_descriptions() {
    let runs: Vec<_> = (0..2000).map(run).collect();
    let with_glare = runs.iter().filter(|(rollbacks, _)| *rollbacks > 0).count();
    let most = runs.iter().map(|(_, made)| made).max().unwrap();
    println!("{with_glare} of {} runs had a glare; at most {most} descriptions were made", runs.len());
    assert!(with_glare > 100 && *most > 10);
}
