//! What the other side's signals do.

use super::waiting::Item;
use super::{Asked, Ending, EndingKind, MAX_REMOTE, MAX_STEPS, MAX_TEXT, Misbehaved, Negotiation, Own, Step, Turn};
use crate::wire::candidate::Candidate;
use crate::wire::cursor::cut;
use crate::wire::sdp::{Description, Setup};
use crate::wire::signal::{DescriptionKind, Ending as EndingSignal, Signal};

pub(super) fn signal(on: &mut Negotiation, signal: &Signal<'_>) -> Result<(), Misbehaved> {
    let attempt = signal.attempt().ok_or(Misbehaved::AnotherKind)?;
    if attempt != on.attempt {
        return Err(Misbehaved::AnotherAttempt(attempt));
    }
    if on.is_over() {
        on.counters.after_end += 1;
        return Ok(());
    }
    // One signal causes at most this many steps.
    if on.steps.len() + 2 * MAX_REMOTE > MAX_STEPS {
        return Err(Misbehaved::Flood);
    }
    match signal {
        Signal::Description { kind: DescriptionKind::Offer, sdp, .. } => offer(on, sdp)?,
        Signal::Description { kind: DescriptionKind::Answer, sdp, .. } => answer(on, sdp)?,
        Signal::Candidate { text, .. } => candidate(on, text),
        Signal::EndOfCandidates { .. } => end_of_candidates(on),
        Signal::Restart { .. } => restart(on),
        Signal::Reject(ending) => ended(on, EndingKind::Reject, ending),
        Signal::Error(ending) => ended(on, EndingKind::Error, ending),
        Signal::Bye(ending) => ended(on, EndingKind::Bye, ending),
        Signal::Outlook { outlook, .. } => on.steps.push_back(Step::Outlook(*outlook)),
        Signal::SenderKey(_) | Signal::WantKey(_) => return Err(Misbehaved::AnotherKind),
    }
    Ok(())
}

fn offer(on: &mut Negotiation, sdp: &str) -> Result<(), Misbehaved> {
    if on.turn == Turn::Asked {
        return Err(Misbehaved::SecondOffer);
    }
    let remote = Description::parse(sdp, on.config.description)?;
    if on.turn == Turn::Offered && !on.config.polite {
        on.counters.offers_ignored += 1;
        on.waiting.passed_over(&remote.ufrag);
        return Ok(());
    }
    same_certificate(on, &remote)?;
    same_role(on, remote.setup)?;
    if on.turn == Turn::Offered {
        on.local = on.before.take();
        on.steps.push_back(Step::Rollback);
    }
    on.turn = Turn::Asked;
    apply(on, remote, Step::Offer);
    Ok(())
}

fn answer(on: &mut Negotiation, sdp: &str) -> Result<(), Misbehaved> {
    match on.turn {
        Turn::Offered => {}
        Turn::Stable { own: true } => return Err(Misbehaved::SecondAnswer),
        _ => return Err(Misbehaved::AnswerWithoutOffer),
    }
    let remote = Description::parse(sdp, on.config.description)?;
    same_certificate(on, &remote)?;
    if let Some(local) = &on.local {
        suits(local, &remote)?;
    }
    same_role(on, remote.setup)?;
    on.role = Some(opposite(remote.setup));
    apply(on, remote, Step::Answer);
    on.settle(true);
    Ok(())
}

fn same_certificate(on: &Negotiation, remote: &Description) -> Result<(), Misbehaved> {
    let same = on.remote.as_ref().is_none_or(|before| before.fingerprint == remote.fingerprint);
    if same { Ok(()) } else { Err(Misbehaved::FingerprintChanged) }
}

/// RFC 8842, section 5.5: a later description keeps the roles unless it begins a new association.
fn same_role(on: &Negotiation, remote: Setup) -> Result<(), Misbehaved> {
    let same = on.role.is_none_or(|own| remote == Setup::ActPass || remote == opposite(own));
    if same { Ok(()) } else { Err(Misbehaved::RoleChanged) }
}

/// The answer is about the section offered, and its role goes with the offer's (RFC 8842, section 5.3).
fn suits(local: &Own, answer: &Description) -> Result<(), Misbehaved> {
    if local.mid != answer.mid {
        return Err(Misbehaved::AnotherSection);
    }
    let suits = answer.setup != Setup::ActPass && (local.setup == Setup::ActPass || local.setup != answer.setup);
    if suits { Ok(()) } else { Err(Misbehaved::Role) }
}

pub(super) const fn opposite(setup: Setup) -> Setup {
    match setup {
        Setup::ActPass => Setup::ActPass,
        Setup::Active => Setup::Passive,
        Setup::Passive => Setup::Active,
    }
}

/// A description is in force: it is passed on, then what waited for it.
fn apply(on: &mut Negotiation, mut remote: Description, step: fn(Box<Description>) -> Step) {
    on.counters.candidates_beyond += remote.candidates.len().saturating_sub(MAX_REMOTE) as u64;
    remote.candidates.truncate(MAX_REMOTE);
    if on.remote.as_ref().is_none_or(|before| before.ufrag != remote.ufrag) {
        on.waiting.allow(MAX_REMOTE - remote.candidates.len());
    }
    let (own, stale) = on.waiting.in_force(&remote.ufrag);
    on.counters.candidates_stale += stale;
    let remote = Box::new(remote);
    on.remote = Some(remote.clone());
    on.steps.push_back(step(remote));
    own.into_iter().for_each(|item| pass_on(on, item));
}

fn pass_on(on: &mut Negotiation, item: Item) {
    let Item::Candidate(candidate) = item else { return on.steps.push_back(Step::EndOfCandidates) };
    if on.waiting.take() {
        on.steps.push_back(Step::Candidate(candidate));
    } else {
        on.counters.candidates_beyond += 1;
    }
}

fn candidate(on: &mut Negotiation, text: &str) {
    match Candidate::parse(text) {
        Ok(candidate) => {
            let ufrag = candidate.ufrag.clone();
            pass_on_or_wait(on, ufrag.as_deref(), Item::Candidate(candidate));
        }
        Err(error) => {
            on.counters.candidates_malformed += 1;
            on.counters.last_malformed = Some(error);
        }
    }
}

fn end_of_candidates(on: &mut Negotiation) {
    let ufrag = on.waiting.last().map(str::to_owned);
    pass_on_or_wait(on, ufrag.as_deref(), Item::End(ufrag.clone()));
}

/// One without a fragment belongs to the description in force, if there is any.
fn pass_on_or_wait(on: &mut Negotiation, ufrag: Option<&str>, item: Item) {
    let Some(remote) = &on.remote else { return wait(on, item) };
    if ufrag.is_none_or(|ufrag| ufrag == remote.ufrag) { pass_on(on, item) } else { wait(on, item) }
}

fn wait(on: &mut Negotiation, item: Item) {
    let dropped = on.waiting.push(item);
    on.counters.candidates_stale += u64::from(dropped);
}

fn restart(on: &mut Negotiation) {
    match on.turn {
        Turn::Stable { .. } if on.remote.is_none() => {}
        Turn::Stable { .. } if on.steps.contains(&Step::Restart) => {}
        Turn::Stable { .. } => on.steps.push_back(Step::Restart),
        _ => {
            let stable = if on.turn == Turn::Offered { &on.before } else { &on.local };
            on.restart = Some(Asked { ufrag: stable.as_ref().map(|own| own.ufrag.clone()) });
        }
    }
}

fn ended(on: &mut Negotiation, kind: EndingKind, ending: &EndingSignal<'_>) {
    let text = cut(ending.text, MAX_TEXT).to_owned();
    on.steps.push_back(Step::Ended(Ending { kind, code: ending.code, text }));
    on.over();
}
