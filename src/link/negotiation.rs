//! Negotiation: how two peers agree on descriptions and candidates, over whatever carries their signals (RFC 8829; RFC
//! 8838 for candidates that trickle). One machine per attempt; it owns no peer, and says what is to be done with one.
//!
//! The carrier keeps the order of signals and loses none. After each call the owner takes [`Step`]s until there are
//! none; `Send` steps go to the carrier in that order.
//!
//! *Offers and answers.* Either side may offer while nothing is pending, at first and again later (a restart). What is
//! out of turn on this side is [`OutOfTurn`]; on the other it is [`Misbehaved`], one variant per rule, and the attempt
//! should end. A later description may bring new ICE credentials, but neither another certificate nor other DTLS roles:
//! those would be another peer, hence another attempt.
//!
//! *Glare.* Where both offer at once, the impolite side passes over the other's offer, and the polite one takes its own
//! back ([`Step::Rollback`]) and answers, as in W3C's *perfect negotiation*. Both sides must know beforehand who is
//! polite: with a session, whoever opened it is impolite; with another carrier, fixed by configuration, or by
//! [`polite`] where both know the fingerprints.
//!
//! *Candidates* of this side are held back until the description that they belong to has been sent, and are then marked
//! with its user name fragment. Candidates of the other side that come before their description wait, at most
//! [`NegotiationConfig::waiting`], of more the oldest goes; they are passed on once a description has their fragment,
//! and dropped by one that has not. At most [`MAX_REMOTE`] are passed on per description, those inside it included.
//! The end of candidates waits likewise.
//!
//! *Restart* asks the other side for new credentials. Whoever is asked while an exchange is pending compares when it is
//! over: if the exchange has brought new credentials, or was the first, nothing is left to do; else it is asked then.
//! Both may ask at once; then both offer, which is glare.
//!
//! *The end* is said once: reject, error or bye. What comes after it is passed over.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use crate::wire::candidate::{Candidate, CandidateError};
use crate::wire::cursor::cut;
use crate::wire::outlook::Outlook;
use crate::wire::sdp::{Description, MAX_DESCRIPTION, SdpError, Setup};
use crate::wire::signal::{DescriptionKind, Ending as EndingSignal, Signal};

mod receive;
mod waiting;

use waiting::Waiting;

/// The most candidates of the other side that are passed on per description.
pub const MAX_REMOTE: usize = 32;

/// The most bytes that are kept of a text of the other side.
pub const MAX_TEXT: usize = 256;

/// The most steps that wait for the owner, who takes all after each call.
const MAX_STEPS: usize = 256;

/// How an attempt is negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiationConfig {
    /// Gives way where both sides offer at once; the other side must not.
    pub polite: bool,
    /// How many candidates wait for their description; 32 by default.
    pub waiting: usize,
    /// The largest description that is taken, in bytes; 16 KiB by default.
    pub description: usize,
}

impl NegotiationConfig {
    /// The usual bounds.
    pub const fn new(polite: bool) -> Self {
        Self { polite, waiting: 32, description: MAX_DESCRIPTION }
    }
}

/// Who is polite where nothing else tells the two apart: the side with the lesser fingerprint.
pub fn polite(local: &[u8; 32], remote: &[u8; 32]) -> bool {
    local < remote
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An encoded [`Signal`] goes to the other side.
    Send(Zeroizing<Vec<u8>>),
    /// The other side offers: apply it, then call [`Negotiation::answer`] or [`Negotiation::reject`].
    Offer(Box<Description>),
    /// The other side answers the offer: apply it.
    Answer(Box<Description>),
    /// The offer has lost the glare: it is as if it had never been made. `Offer` follows. What the answer does not
    /// bring about is offered anew.
    Rollback,
    /// An address of the other side.
    Candidate(Candidate),
    /// The other side has no further addresses.
    EndOfCandidates,
    /// What the other side knows of its ways out.
    Outlook(Outlook),
    /// The other side asks for new credentials: offer them.
    Restart,
    /// The other side has ended the attempt.
    Ended(Ending),
}

/// How the other side has ended an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// By which signal.
    pub kind: EndingKind,
    /// For programs.
    pub code: u8,
    /// For people; at most [`MAX_TEXT`] bytes.
    pub text: String,
}

/// By which signal an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndingKind {
    /// An offer is not taken.
    Reject,
    /// A peer has failed.
    Error,
    /// A peer is closed.
    Bye,
}

/// A description that this side may not send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum OutOfTurn {
    /// An own offer is not answered yet.
    #[error("an own offer is not answered yet")]
    Offered,
    /// The other side's offer is not answered yet.
    #[error("the other side's offer is not answered yet")]
    OfferPending,
    /// There is no offer to be answered.
    #[error("there is no offer to be answered")]
    NothingToAnswer,
    /// The attempt has ended.
    #[error("the attempt has ended")]
    Over,
}

/// Which rule the other side has broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Misbehaved {
    /// The signal belongs to another attempt; this one goes on.
    #[error("a signal of attempt {0}")]
    AnotherAttempt(u32),
    /// The signal is not about peers; the attempt goes on.
    #[error("a signal that is not about peers")]
    AnotherKind,
    /// An answer to no offer.
    #[error("an answer without an offer")]
    AnswerWithoutOffer,
    /// A second answer to one offer.
    #[error("a second answer")]
    SecondAnswer,
    /// A second offer before the first is answered.
    #[error("a second offer before the first is answered")]
    SecondOffer,
    /// A description that cannot be used.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// The answer is about another section than the offer.
    #[error("an answer about another section")]
    AnotherSection,
    /// A later description brings another certificate.
    #[error("another fingerprint than before")]
    FingerprintChanged,
    /// A later description turns the DTLS roles round.
    #[error("other DTLS roles than before")]
    RoleChanged,
    /// The answer leaves the DTLS roles open, or takes the one that the offer has.
    #[error("an answer whose DTLS role does not suit the offer's")]
    Role,
    /// More signals than the owner has taken steps.
    #[error("more signals than are taken in")]
    Flood,
}

/// What was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NegotiationCounters {
    /// Offers that lost the glare.
    pub offers_ignored: u64,
    /// Candidates that no socket could use.
    pub candidates_malformed: u64,
    /// Candidates of no description, or of none any more.
    pub candidates_stale: u64,
    /// Candidates beyond [`MAX_REMOTE`] of one description.
    pub candidates_beyond: u64,
    /// Signals after the end.
    pub after_end: u64,
    /// The rule that the last malformed candidate broke.
    pub last_malformed: Option<CandidateError>,
}

/// One attempt's exchange of descriptions and candidates.
#[derive(Debug)]
pub struct Negotiation {
    attempt: u32,
    config: NegotiationConfig,
    turn: Turn,
    /// The own description in force, or on its way there.
    local: Option<Own>,
    /// The own one that was in force before a pending offer.
    before: Option<Own>,
    remote: Option<Box<Description>>,
    /// The DTLS role of this side, once agreed.
    role: Option<Setup>,
    /// How many descriptions were sent: each has a number of its own.
    version: u64,
    held: Vec<Held>,
    waiting: Waiting,
    restart: Option<Asked>,
    steps: VecDeque<Step>,
    counters: NegotiationCounters,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing is pending; whether the last exchange began here.
    Stable { own: bool },
    /// An own offer is not answered yet.
    Offered,
    /// The other side's offer is not answered yet.
    Asked,
    /// The attempt has ended.
    Over,
}

/// What is remembered of an own description.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    ufrag: String,
    setup: Setup,
    mid: String,
}

/// What waits until the own description has been sent.
#[derive(Debug)]
enum Held {
    Candidate(Candidate),
    End,
}

/// A restart that was asked for while something was pending: the own fragment that it shall replace.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    ufrag: Option<String>,
}

impl Negotiation {
    /// Begins an attempt; nothing is pending.
    pub fn new(attempt: u32, config: NegotiationConfig) -> Self {
        Self {
            attempt,
            config,
            turn: Turn::Stable { own: false },
            local: None,
            before: None,
            remote: None,
            role: None,
            version: 0,
            held: Vec::new(),
            waiting: Waiting::new(config.waiting),
            restart: None,
            steps: VecDeque::new(),
            counters: NegotiationCounters::default(),
        }
    }

    /// Offers a description: the first, or one that replaces what is in force.
    ///
    /// # Errors
    /// Something is pending, or the attempt has ended.
    pub fn offer(&mut self, local: &Description) -> Result<(), OutOfTurn> {
        match self.turn {
            Turn::Stable { .. } => {}
            Turn::Offered => return Err(OutOfTurn::Offered),
            Turn::Asked => return Err(OutOfTurn::OfferPending),
            Turn::Over => return Err(OutOfTurn::Over),
        }
        self.before = self.local.take();
        self.turn = Turn::Offered;
        self.describe(DescriptionKind::Offer, local);
        Ok(())
    }

    /// Answers the other side's offer. Where the DTLS roles are agreed on already, they stay, whatever `local` says.
    ///
    /// # Errors
    /// There is none, or the attempt has ended.
    pub fn answer(&mut self, local: &Description) -> Result<(), OutOfTurn> {
        match self.turn {
            Turn::Asked => {}
            Turn::Over => return Err(OutOfTurn::Over),
            Turn::Stable { .. } | Turn::Offered => return Err(OutOfTurn::NothingToAnswer),
        }
        let setup = self.role.unwrap_or(local.setup);
        self.describe(DescriptionKind::Answer, &Description { setup, ..local.clone() });
        self.role = Some(setup);
        self.settle(false);
        Ok(())
    }

    /// Tells an address of this side, once its description has been sent.
    pub fn candidate(&mut self, local: &Candidate) {
        self.hold(Held::Candidate(local.clone()));
    }

    /// Tells that no further addresses follow those of the description in force or in preparation.
    pub fn end_of_candidates(&mut self) {
        self.hold(Held::End);
    }

    /// Tells what this side knows of its ways out.
    pub fn outlook(&mut self, outlook: Outlook) {
        if !self.is_over() {
            self.send(&Signal::Outlook { attempt: self.attempt, outlook });
        }
    }

    /// Asks the other side to offer new credentials.
    pub fn restart(&mut self) {
        if !self.is_over() {
            self.send(&Signal::Restart { attempt: self.attempt });
        }
    }

    /// Ends the attempt: the offer is not taken.
    pub fn reject(&mut self, code: u8, text: &str) {
        self.end(EndingKind::Reject, code, text);
    }

    /// Ends the attempt: the peer has failed.
    pub fn error(&mut self, code: u8, text: &str) {
        self.end(EndingKind::Error, code, text);
    }

    /// Ends the attempt: the peer is closed.
    pub fn bye(&mut self, code: u8, text: &str) {
        self.end(EndingKind::Bye, code, text);
    }

    /// Takes in a signal of the other side.
    ///
    /// # Errors
    /// The rule that it breaks. But for [`Misbehaved::AnotherAttempt`] and [`Misbehaved::AnotherKind`], the attempt
    /// can't go on and should end by [`error`](Self::error); nothing of the signal has been taken in.
    pub fn receive(&mut self, signal: &Signal<'_>) -> Result<(), Misbehaved> {
        receive::signal(self, signal)
    }

    /// The next step; all are to be taken before the next call.
    pub fn poll(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Whether an exchange has been completed, and none is pending.
    pub const fn is_stable(&self) -> bool {
        matches!(self.turn, Turn::Stable { .. }) && self.remote.is_some()
    }

    /// Whether the attempt has ended.
    pub const fn is_over(&self) -> bool {
        matches!(self.turn, Turn::Over)
    }

    /// The other side's last description.
    pub fn remote(&self) -> Option<&Description> {
        self.remote.as_deref()
    }

    /// The DTLS role of this side, once an exchange has been completed.
    pub const fn role(&self) -> Option<Setup> {
        self.role
    }

    /// Which attempt it is.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What was passed over.
    pub const fn counters(&self) -> NegotiationCounters {
        self.counters
    }

    fn describe(&mut self, kind: DescriptionKind, local: &Description) {
        let sdp = Zeroizing::new(local.to_sdp(u64::from(self.attempt), self.version));
        self.version += 1;
        let Description { ufrag, setup, mid, .. } = local;
        self.local = Some(Own { ufrag: ufrag.clone(), setup: *setup, mid: mid.clone() });
        self.send(&Signal::Description { attempt: self.attempt, kind, sdp: &sdp });
        std::mem::take(&mut self.held).into_iter().for_each(|held| self.tell(held));
    }

    fn hold(&mut self, held: Held) {
        match self.turn {
            Turn::Over => {}
            Turn::Asked => self.held.push(held),
            _ if self.local.is_none() => self.held.push(held),
            _ => self.tell(held),
        }
    }

    fn tell(&mut self, held: Held) {
        let attempt = self.attempt;
        let Held::Candidate(mut candidate) = held else { return self.send(&Signal::EndOfCandidates { attempt }) };
        if candidate.ufrag.is_none() {
            candidate.ufrag = self.local.as_ref().map(|local| local.ufrag.clone());
        }
        self.send(&Signal::Candidate { attempt, text: &candidate.to_string() });
    }

    fn end(&mut self, kind: EndingKind, code: u8, text: &str) {
        if self.is_over() {
            return;
        }
        let ending = EndingSignal { attempt: self.attempt, code, text: cut(text, MAX_TEXT) };
        self.send(&match kind {
            EndingKind::Reject => Signal::Reject(ending),
            EndingKind::Error => Signal::Error(ending),
            EndingKind::Bye => Signal::Bye(ending),
        });
        self.over();
    }

    fn over(&mut self) {
        self.turn = Turn::Over;
        self.held.clear();
        self.waiting.clear();
    }

    fn send(&mut self, signal: &Signal<'_>) {
        self.steps.push_back(Step::Send(signal.encode()));
    }

    /// An exchange is complete. A restart that was asked for meanwhile is due if it brought no new credentials.
    fn settle(&mut self, own: bool) {
        self.turn = Turn::Stable { own };
        self.before = None;
        let Some(Asked { ufrag: Some(old) }) = self.restart.take() else { return };
        if self.local.as_ref().is_some_and(|local| local.ufrag == old) {
            self.steps.push_back(Step::Restart);
        }
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
