//! What direct paths are agreed on by: candidates, descriptions, pasted lines, and the negotiation above them.

use std::collections::VecDeque;

use switchboard::link::negotiation::{MAX_REMOTE, MAX_TEXT, Misbehaved, Negotiation, NegotiationConfig, Step};
use switchboard::wire::candidate::{Candidate, CandidateKind};
use switchboard::wire::outlook::Outlook;
use switchboard::wire::paste::Paste;
use switchboard::wire::sdp::{Description, MAX_CANDIDATES, MAX_SECTIONS, Password, Setup};
use switchboard::wire::signal::{DescriptionKind, Signal};

use crate::memory;
use crate::script::Script;

const LIMIT: usize = 4096;
/// What a description may make its reader hold: an attribute has four bytes at least, and takes two slices.
const HELD_PER_BYTE: usize = 24;
const HELD: usize = 16 * 1024;
/// What both sides of a negotiation may hold together, with what they have sent.
const MOST_MEMORY: usize = 1024 * 1024;

/// Any text as a candidate: what was read says the same once it is written again.
pub fn candidate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(candidate) = Candidate::parse(text) else { return };
    assert!(candidate.address.port() > 0 && !candidate.address.ip().is_unspecified() && candidate.priority > 0);
    let mut written = candidate.to_string();
    assert_eq!(written.lines().count(), 1);
    // What lies behind a host is nothing, and isn't written.
    let related = candidate.related.filter(|_| candidate.kind != CandidateKind::Host);
    let expected = Candidate { related, ..candidate };
    assert_eq!(Candidate::parse(&written), Ok(expected.clone()));
    written.insert_str(0, "a=");
    assert_eq!(Candidate::parse(&written), Ok(expected));
}

/// Any text as a description: what was read says the same once it is written again, as itself and in an answer.
pub fn sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (description, held) = memory::peak(|| Description::parse(text, LIMIT));
    assert!(held <= HELD_PER_BYTE * data.len() + HELD, "{held} bytes for {}", data.len());
    let Ok(description) = description else { return };
    assert!(description.candidates.len() <= MAX_CANDIDATES && description.other_sections.len() < MAX_SECTIONS);
    comes_back(Description { skipped: 0, ..description.clone() });
    let password = Password::new("a".repeat(22)).expect("it is one");
    let answer = Description::offer("abcd".to_owned(), password, [1; 32]).answering(&description);
    assert_eq!(answer.other_sections, description.other_sections);
    comes_back(answer);
}

fn comes_back(mut description: Description) {
    for candidate in &mut description.candidates {
        candidate.related = candidate.related.filter(|_| candidate.kind != CandidateKind::Host);
    }
    let sdp = description.to_sdp(1, 2);
    assert_eq!(Description::parse(&sdp, usize::MAX), Ok(description));
}

/// Any text as a pasted line: what was read says the same once it is written again.
pub fn paste(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    let Ok(description) = Paste::decode(line) else { return };
    assert_eq!(Paste::decode(Paste::encode(&description).expose()), Ok(description.clone()));
    comes_back(description);
}

/// Two sides that do what a script says, over a carrier that changes, makes up and loses what it likes.
pub fn negotiation(data: &[u8]) {
    let ((), held) = memory::peak(|| run(&mut Script::new(data)));
    assert!(held <= MOST_MEMORY, "{held} bytes for a script of {}", data.len());
}

const ATTEMPT: u32 = 9;

fn run(script: &mut Script<'_>) {
    let mut sides = [Side::new(false), Side::new(true)];
    script.play(1000, |script| {
        let action = script.byte();
        let [a, b] = &mut sides;
        let (own, other) = if action & 0x80 == 0 { (a, b) } else { (b, a) };
        act(action & 0x7f, script, own, other);
        own.settle();
        other.settle();
    });
}

fn act(action: u8, script: &mut Script<'_>, own: &mut Side, other: &mut Side) {
    match action % 12 {
        0 => own.offer(script.byte()),
        1 => own.answer(script.byte()),
        2 => own.negotiation.candidate(&own_candidate(script.byte())),
        3 => own.negotiation.end_of_candidates(),
        4 => own.negotiation.outlook(Outlook::default()),
        5 => own.negotiation.restart(),
        6 => own.end(script.byte(), &script.text()),
        7 => other.take(&own.oldest()),
        8 => other.take(&changed(own.oldest(), script)),
        9 => other.take(script.bytes()),
        10 => other.take(&forged(script)),
        _ => drop(own.oldest()),
    }
}

fn own_candidate(n: u8) -> Candidate {
    Candidate::new(CandidateKind::Host, ([192, 0, 2, 1], 1 + u16::from(n)).into(), None)
}

fn changed(mut bytes: Vec<u8>, script: &mut Script<'_>) -> Vec<u8> {
    let (at, value) = (script.word(), script.byte());
    if let Some(byte) = bytes.get_mut(at) {
        *byte = value;
    }
    bytes
}

/// A signal of the right attempt whose parts are chosen.
fn forged(script: &mut Script<'_>) -> Vec<u8> {
    let (choice, n) = (script.byte(), script.byte());
    let ufrag = format!("uf{:02}", n % 8);
    let signal = match choice % 4 {
        0 => {
            let mut description = described(n, 1 + choice / 16 % 4);
            description.setup = [Setup::ActPass, Setup::Active, Setup::Passive][usize::from(n) % 3];
            let kind = if choice & 8 == 0 { DescriptionKind::Offer } else { DescriptionKind::Answer };
            let sdp = description.to_sdp(1, 1);
            return Signal::Description { attempt: ATTEMPT, kind, sdp: &sdp }.encode().to_vec();
        }
        1 => {
            let ufrag = (choice & 8 == 0).then_some(ufrag);
            let text = Candidate { ufrag, ..own_candidate(choice) }.to_string();
            return Signal::Candidate { attempt: ATTEMPT, text: &text }.encode().to_vec();
        }
        2 => Signal::EndOfCandidates { attempt: ATTEMPT },
        _ => Signal::Restart { attempt: ATTEMPT },
    };
    signal.encode().to_vec()
}

fn described(n: u8, fingerprint: u8) -> Description {
    let password = Password::new("a".repeat(22)).expect("it is one");
    let mut description = Description::offer(format!("uf{:02}", n % 8), password, [fingerprint; 32]);
    description.candidates = (0..n / 8).map(own_candidate).collect();
    description
}

struct Side {
    negotiation: Negotiation,
    polite: bool,
    sent: VecDeque<Vec<u8>>,
    /// An own offer is out.
    offered: bool,
    /// The other side's offer that is not answered yet.
    asked: Option<Box<Description>>,
    remote: Option<Box<Description>>,
    /// How many candidates of these credentials were passed on.
    candidates: usize,
    rolled_back: bool,
    over: bool,
}

impl Side {
    fn new(polite: bool) -> Self {
        Self {
            negotiation: Negotiation::new(ATTEMPT, NegotiationConfig::new(polite)),
            polite,
            sent: VecDeque::new(),
            offered: false,
            asked: None,
            remote: None,
            candidates: 0,
            rolled_back: false,
            over: false,
        }
    }

    fn offer(&mut self, n: u8) {
        let may = !self.offered && self.asked.is_none() && !self.over;
        assert_eq!(self.negotiation.offer(&described(n, 1 + u8::from(self.polite))).is_ok(), may);
        self.offered |= may;
    }

    fn answer(&mut self, n: u8) {
        let own = described(n, 1 + u8::from(self.polite));
        let asked = if self.over { None } else { self.asked.take() };
        let answer = asked.as_ref().map_or_else(|| own.clone(), |offer| own.clone().answering(offer));
        assert_eq!(self.negotiation.answer(&answer).is_ok(), asked.is_some());
    }

    fn end(&mut self, code: u8, text: &str) {
        match code % 3 {
            0 => self.negotiation.reject(code, text),
            1 => self.negotiation.error(code, text),
            _ => self.negotiation.bye(code, text),
        }
        self.over = true;
    }

    fn oldest(&mut self) -> Vec<u8> {
        self.sent.pop_front().unwrap_or_default()
    }

    fn take(&mut self, bytes: &[u8]) {
        let Ok(signal) = Signal::decode(bytes, 64 * 1024) else { return };
        match self.negotiation.receive(&signal) {
            Ok(()) | Err(Misbehaved::AnotherAttempt(_) | Misbehaved::AnotherKind) => {}
            Err(error) => self.end(1, &error.to_string()),
        }
    }

    fn settle(&mut self) {
        while let Some(step) = self.negotiation.poll() {
            self.step(step);
        }
        assert!(!self.rolled_back, "a rollback without an offer");
        assert_eq!(self.negotiation.is_over(), self.over);
        assert_eq!(self.negotiation.remote(), self.remote.as_deref());
        let pending = self.offered || self.asked.is_some() || self.over || self.remote.is_none();
        assert_eq!(self.negotiation.is_stable(), !pending);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(bytes) => {
                let signal = Signal::decode(&bytes, 64 * 1024).expect("what is sent is a signal");
                assert_eq!(signal.attempt(), Some(ATTEMPT));
                self.sent.push_back(bytes.to_vec());
                // A carrier that nobody drives forward.
                self.sent.truncate(64);
            }
            Step::Rollback => {
                assert!(self.polite && self.offered);
                (self.offered, self.rolled_back) = (false, true);
            }
            Step::Offer(offer) => {
                assert!(!self.offered && self.asked.is_none());
                self.rolled_back = false;
                self.apply(&offer);
                self.asked = Some(offer);
            }
            Step::Answer(answer) => {
                assert!(self.offered && answer.setup != Setup::ActPass);
                self.offered = false;
                self.apply(&answer);
            }
            Step::Candidate(candidate) => {
                let remote = self.remote.as_ref().expect("a description comes before its candidates");
                assert!(candidate.ufrag.is_none_or(|ufrag| ufrag == remote.ufrag));
                self.candidates += 1;
                assert!(self.candidates <= MAX_REMOTE);
            }
            Step::EndOfCandidates => assert!(self.remote.is_some()),
            Step::Restart | Step::Outlook(_) => {}
            Step::Ended(ending) => {
                assert!(!self.over && ending.text.len() <= MAX_TEXT);
                self.over = true;
            }
        }
    }

    fn apply(&mut self, remote: &Description) {
        assert!(remote.candidates.len() <= MAX_REMOTE);
        if let Some(before) = &self.remote {
            assert_eq!(before.fingerprint, remote.fingerprint);
        }
        if self.remote.as_ref().is_none_or(|before| before.ufrag != remote.ufrag) {
            self.candidates = remote.candidates.len();
        }
        self.remote = Some(Box::new(remote.clone()));
    }
}
