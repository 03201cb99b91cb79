//! Why a session has no direct path, as a value and in words: [`Hub::explain`].
//!
//! What is to be known lies in three places: what this side knows of its ways out, what the other side has told of its
//! own, and how the last attempt ended. [`why`] makes of it one reason, the one whose removal would help most: first
//! what forbids a direct path, then what is under way, then what the other side has said, then the network. There, what
//! is wrong with TURN comes before what NATs do, as TURN would help against those.

mod words;

use std::time::Duration;

use super::session::event::{PathPolicy, PathReport};
use super::{Hub, SessionId};
use crate::machine::Cx;
use crate::machine::time::Instant;
use crate::transport::upgrade::{CandidatePair, PeerEnd, PeerReport, PeerState, Refusal};
use crate::wire::outlook::{Mapping, Outlook, TurnState, UdpReach};

/// What carries a session, and why nothing better does; "relayed 34 ms: …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The path in use; none while there is no path.
    pub path: Option<PathReport>,
    /// The addresses that a direct path uses, where they are known.
    pub pair: Option<CandidatePair>,
    /// Why the path in use is not direct; none if it is.
    pub not_direct: Option<NotDirect>,
    /// When a direct path is tried again by itself.
    pub again_in: Option<Duration>,
}

/// A side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// This one.
    Here,
    /// The other one.
    There,
}

/// One side, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sides {
    /// This one.
    Here,
    /// The other one.
    There,
    /// Both.
    Both,
}

/// Why the path in use is not direct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDirect {
    /// This endpoint makes no direct paths.
    NoUpgradeHere,
    /// The other endpoint makes none.
    NoUpgradeThere,
    /// The session shall be relayed: a side wants it so.
    Policy(Side),
    /// The session does not stand yet: until the application at the other end has accepted it, no address leaves.
    NotAccepted,
    /// No path is left that signals could take.
    NoPath,
    /// Nothing was tried yet: that side is to begin.
    NotTried(Side),
    /// A direct path is being made.
    Trying {
        /// Since when.
        since: Instant,
        /// Which attempt.
        attempt: u32,
        /// How far it is.
        state: PeerState,
    },
    /// There was one, and it fell silent; another is being made, or waits to be.
    PathLost {
        /// When.
        since: Instant,
    },
    /// There were too many attempts lately.
    TooManyAttempts {
        /// Until when there are no more.
        until: Instant,
    },
    /// A side has as many peers, or attempts, as allowed.
    TooManyPeers(Side),
    /// The other side has closed it.
    ClosedThere {
        /// The other side's number for why.
        code: u8,
        /// The other side's words for why.
        text: String,
    },
    /// The other side does not take our offers, for a reason of its own.
    RefusedThere {
        /// The other side's number for why.
        code: u8,
        /// The other side's words for why.
        text: String,
    },
    /// The other side did not answer.
    Unanswered,
    /// What was to be told to the other side could not be sent.
    Unsignalled,
    /// A side has no usable address.
    NoAddress(Side),
    /// One side has IPv4 only, the other one IPv6 only.
    FamiliesDiffer,
    /// A side gives out nothing but addresses at TURN servers, and has none.
    RelayOnlyWithoutTurn(Side),
    /// A TURN server does not take that side's credentials.
    TurnWrongCredentials(Side),
    /// A TURN server refuses that side.
    TurnRefused {
        /// Which side.
        side: Side,
        /// The server's code (RFC 8656, section 18).
        code: u16,
    },
    /// That side's TURN servers do not answer.
    TurnUnreachable(Side),
    /// UDP gets nowhere, and there is no TURN server over TCP or TLS that works.
    UdpBlocked(Sides),
    /// A side has neither a STUN nor a TURN server: it does not know by which address others could reach it.
    NoServers(Sides),
    /// Both NATs choose a new port per destination, and there is no TURN server.
    BothNatsDependent,
    /// One NAT chooses a new port per destination, the other one lets in only what it knows, and there is no TURN server.
    DependentAndFiltered {
        /// Where the NAT of the new ports is.
        dependent: Side,
    },
    /// Both sides have told their addresses, and nothing got through between them.
    ChecksUnanswered,
    /// The addresses reach each other, but the handshake did not come to its end.
    HandshakeFailed(String),
    /// The other side broke a rule.
    PeerMisbehaved(String),
}

/// What [`why`] looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// There is an upgrade here.
    pub upgrade: bool,
    /// Which paths the session may use.
    pub policy: PathPolicy,
    /// It stands.
    pub live: bool,
    /// It has a path.
    pub path: bool,
    /// It is for this side to begin.
    pub initiator: bool,
    /// The attempt under way: since when, which, and how far it is.
    pub attempt: Option<(Instant, u32, PeerState)>,
    /// When a direct path was lost that was not replaced yet.
    pub lost: Option<Instant>,
    /// Until when there are too many attempts.
    pub capped: Option<Instant>,
    /// How the last attempt ended.
    pub last: Option<PeerEnd>,
    /// What this side knows of its ways out.
    pub ours: Outlook,
    /// What the other side knows of its own.
    pub theirs: Option<Outlook>,
}

/// The reason.
pub fn why(facts: &Facts) -> NotDirect {
    forbidden(facts).or_else(|| under_way(facts)).or_else(|| said(facts)).unwrap_or_else(|| network(facts))
}

/// What keeps anybody from trying.
fn forbidden(facts: &Facts) -> Option<NotDirect> {
    match facts {
        Facts { upgrade: false, .. } => Some(NotDirect::NoUpgradeHere),
        Facts { policy: PathPolicy::RelayOnly, .. } => Some(NotDirect::Policy(Side::Here)),
        Facts { live: false, .. } => Some(NotDirect::NotAccepted),
        _ => None,
    }
}

/// What is going on, or about to.
fn under_way(facts: &Facts) -> Option<NotDirect> {
    match *facts {
        Facts { lost: Some(since), .. } if facts.attempt.is_some() || is_loss(facts.last.as_ref()) => {
            Some(NotDirect::PathLost { since })
        }
        Facts { attempt: Some((since, attempt, state)), .. } => Some(NotDirect::Trying { since, attempt, state }),
        Facts { capped: Some(until), .. } => Some(NotDirect::TooManyAttempts { until }),
        Facts { path: false, .. } => Some(NotDirect::NoPath),
        Facts { last: None, initiator, .. } => {
            Some(NotDirect::NotTried(if initiator { Side::Here } else { Side::There }))
        }
        _ => None,
    }
}

const fn is_loss(end: Option<&PeerEnd>) -> bool {
    matches!(end, Some(PeerEnd::Silent | PeerEnd::Broken(_)))
}

/// What the last attempt has ended by, if that says all.
fn said(facts: &Facts) -> Option<NotDirect> {
    Some(match facts.last.as_ref()? {
        PeerEnd::Rejected { code, text } => refused(*code, text),
        PeerEnd::Bye { code, text } => NotDirect::ClosedThere { code: *code, text: text.clone() },
        PeerEnd::Closed => NotDirect::NotTried(if facts.initiator { Side::Here } else { Side::There }),
        PeerEnd::Unanswered => NotDirect::Unanswered,
        PeerEnd::Unsignalled => NotDirect::Unsignalled,
        PeerEnd::TooMany => NotDirect::TooManyPeers(Side::Here),
        PeerEnd::HandshakeFailed(text) => NotDirect::HandshakeFailed(text.clone()),
        PeerEnd::Misbehaved(text) => NotDirect::PeerMisbehaved(text.clone()),
        PeerEnd::Failed
        | PeerEnd::FailedThere { .. }
        | PeerEnd::Broken(_)
        | PeerEnd::Silent
        | PeerEnd::GatherFailed => return None,
    })
}

fn refused(code: u8, text: &str) -> NotDirect {
    match Refusal::from_code(code) {
        Some(Refusal::NoUpgrade) => NotDirect::NoUpgradeThere,
        Some(Refusal::Policy) => NotDirect::Policy(Side::There),
        Some(Refusal::TooMany) => NotDirect::TooManyPeers(Side::There),
        Some(Refusal::Glare) => NotDirect::NotTried(Side::There),
        _ => NotDirect::RefusedThere { code, text: text.to_owned() },
    }
}

/// What the ways out of both sides have against it.
fn network(facts: &Facts) -> NotDirect {
    let unknown = Outlook { ipv4: true, ipv6: true, udp: UdpReach::Answers, ..Outlook::default() };
    let (ours, theirs) = (facts.ours, facts.theirs.unwrap_or(unknown));
    let sides = [(Side::Here, ours), (Side::There, theirs)];
    let relayed = sides.iter().any(|(_, outlook)| outlook.relayed);
    addresses(sides)
        .or_else(|| sides.iter().find_map(|(side, outlook)| relay_only(*side, outlook)))
        .or_else(|| (!relayed && families_differ(&ours, &theirs)).then_some(NotDirect::FamiliesDiffer))
        .or_else(|| turn_and_udp(sides))
        .or_else(|| if relayed { None } else { servers(sides).or_else(|| nats(sides)) })
        .unwrap_or(NotDirect::ChecksUnanswered)
}

fn addresses(sides: [(Side, Outlook); 2]) -> Option<NotDirect> {
    let none = |(_, outlook): &&(Side, Outlook)| !outlook.ipv4 && !outlook.ipv6 && !outlook.relayed;
    sides.iter().find(none).map(|(side, _)| NotDirect::NoAddress(*side))
}

fn relay_only(side: Side, outlook: &Outlook) -> Option<NotDirect> {
    let policy = outlook.policy;
    if policy.host || policy.srflx || outlook.relayed {
        return None;
    }
    Some(
        turn_refusal(side, outlook)
            .or_else(|| turn_silence(side, outlook))
            .unwrap_or(NotDirect::RelayOnlyWithoutTurn(side)),
    )
}

const fn families_differ(ours: &Outlook, theirs: &Outlook) -> bool {
    !(ours.ipv4 && theirs.ipv4 || ours.ipv6 && theirs.ipv6)
}

/// A side that has a relayed address lacks nothing of this; the other one may not get through to it.
fn turn_and_udp(sides: [(Side, Outlook); 2]) -> Option<NotDirect> {
    let each = |reason: fn(Side, &Outlook) -> Option<NotDirect>| {
        let mut without = sides.iter().filter(|(_, outlook)| !outlook.relayed);
        without.find_map(|(side, outlook)| reason(*side, outlook))
    };
    each(turn_refusal).or_else(|| udp_blocked(sides)).or_else(|| each(turn_silence))
}

const fn turn_refusal(side: Side, outlook: &Outlook) -> Option<NotDirect> {
    match outlook.turn {
        TurnState::WrongCredentials => Some(NotDirect::TurnWrongCredentials(side)),
        TurnState::Refused(code) => Some(NotDirect::TurnRefused { side, code }),
        _ => None,
    }
}

fn turn_silence(side: Side, outlook: &Outlook) -> Option<NotDirect> {
    (outlook.turn == TurnState::Unreachable).then_some(NotDirect::TurnUnreachable(side))
}

fn udp_blocked(sides: [(Side, Outlook); 2]) -> Option<NotDirect> {
    which(sides, |outlook| outlook.udp == UdpReach::Silent && !outlook.relayed).map(NotDirect::UdpBlocked)
}

fn servers(sides: [(Side, Outlook); 2]) -> Option<NotDirect> {
    let none = |outlook: &Outlook| outlook.udp == UdpReach::Unknown && outlook.turn == TurnState::NotConfigured;
    which(sides, none).map(NotDirect::NoServers)
}

fn which(sides: [(Side, Outlook); 2], holds: impl Fn(&Outlook) -> bool) -> Option<Sides> {
    match sides.map(|(_, outlook)| holds(&outlook)) {
        [true, true] => Some(Sides::Both),
        [true, false] => Some(Sides::Here),
        [false, true] => Some(Sides::There),
        [false, false] => None,
    }
}

fn nats(sides: [(Side, Outlook); 2]) -> Option<NotDirect> {
    match sides.map(|(_, outlook)| outlook.mapping) {
        [Mapping::Dependent, Mapping::Dependent] => Some(NotDirect::BothNatsDependent),
        [Mapping::Dependent, Mapping::EndpointIndependent] => {
            Some(NotDirect::DependentAndFiltered { dependent: Side::Here })
        }
        [Mapping::EndpointIndependent, Mapping::Dependent] => {
            Some(NotDirect::DependentAndFiltered { dependent: Side::There })
        }
        _ => None,
    }
}

impl Hub {
    /// What carries a session, and why nothing better does. None: there is no such session.
    pub fn explain(&self, cx: &Cx<'_>, session: SessionId) -> Option<Explanation> {
        let facts = self.facts(cx.now, session)?;
        let path = self.path(session);
        let is_direct = path.is_some_and(|path| path.direct);
        let pair = self.peer_report(session).and_then(|report| report.pair);
        let direct = self.core.sessions.get(session)?.direct.as_ref();
        let again = direct.filter(|direct| direct.attempt().is_none()).and_then(|direct| direct.retry);
        Some(Explanation {
            path,
            pair: pair.filter(|_| is_direct),
            not_direct: (!is_direct).then(|| why(&facts)),
            again_in: again.filter(|_| !is_direct).map(|at| at.since(cx.now)),
        })
    }

    /// What [`why`] looks at, for one session.
    fn facts(&self, now: Instant, session: SessionId) -> Option<Facts> {
        let entry = self.core.sessions.get(session)?;
        let direct = entry.direct.as_ref();
        let attempt = direct.and_then(|direct| direct.attempt());
        Some(Facts {
            upgrade: self.core.upgrades.is_here(),
            policy: entry.policy,
            live: entry.live().is_some(),
            path: self.path(session).is_some(),
            initiator: entry.initiator,
            attempt: attempt.map(|attempt| (attempt.since, attempt.number, attempt.state)),
            lost: direct.and_then(|direct| direct.lost),
            capped: direct.and_then(|direct| direct.capped(now, &self.core.limits)),
            last: direct.and_then(|direct| direct.last.clone()),
            ours: self.core.upgrades.outlook,
            theirs: direct.and_then(|direct| direct.theirs),
        })
    }

    /// What is known of the peer of a session's attempt.
    pub(super) fn peer_report(&self, session: SessionId) -> Option<PeerReport> {
        let number = self.core.sessions.get(session)?.direct.as_ref()?.attempt()?.number;
        self.upgrade()?.report(self.core.upgrades.peer(session, number)?)
    }
}

#[cfg(test)]
mod tests;
