use super::*;
use crate::wire::outlook::CandidatePolicy;

const NOW: Instant = Instant::from_nanos(1);
const LATER: Instant = Instant::from_nanos(2);

/// Two hosts with addresses of both families whose last attempt found no way.
fn failed() -> Facts {
    let outlook =
        Outlook { ipv4: true, ipv6: true, host: true, udp: UdpReach::Answers, gathered: true, ..Outlook::default() };
    Facts {
        upgrade: true,
        policy: PathPolicy::PreferDirect,
        live: true,
        path: true,
        initiator: true,
        attempt: None,
        lost: None,
        capped: None,
        last: Some(PeerEnd::Failed),
        ours: outlook,
        theirs: Some(outlook),
    }
}

fn with(change: impl FnOnce(&mut Facts, &mut Outlook)) -> Facts {
    let mut facts = failed();
    let mut theirs = facts.theirs.unwrap();
    change(&mut facts, &mut theirs);
    facts.theirs = Some(theirs);
    facts
}

fn rejected(refusal: u8) -> Facts {
    with(|facts, _| facts.last = Some(PeerEnd::Rejected { code: refusal, text: "no".into() }))
}

/// One row for each reason.
#[allow(clippy::too_many_lines, reason = "it is a table")]
fn table() -> Vec<(Facts, NotDirect, &'static str)> {
    use NotDirect as N;
    let relay_only = CandidatePolicy { host: false, srflx: false, relay: true };
    let attempt = Some((NOW, 3 << 8 | 128, PeerState::Checking));
    let ended = |end: PeerEnd| with(|facts, _| facts.last = Some(end));
    vec![
        (with(|facts, _| facts.upgrade = false), N::NoUpgradeHere, "this endpoint makes no direct paths"),
        (rejected(Refusal::NoUpgrade.code()), N::NoUpgradeThere, "the other endpoint makes no direct paths"),
        (
            with(|facts, _| facts.policy = PathPolicy::RelayOnly),
            N::Policy(Side::Here),
            "this side wants this session to be relayed",
        ),
        (rejected(Refusal::Policy.code()), N::Policy(Side::There), "the other side wants this session to be relayed"),
        (with(|facts, _| facts.live = false), N::NotAccepted, "the session is not accepted yet"),
        (with(|facts, _| facts.path = false), N::NoPath, "no path is left over which one could be agreed on"),
        (
            with(|facts, _| (facts.initiator, facts.last) = (false, None)),
            N::NotTried(Side::There),
            "not tried yet: the other side is to begin",
        ),
        (
            with(|facts, _| facts.attempt = attempt),
            N::Trying { since: NOW, attempt: 3 << 8 | 128, state: PeerState::Checking },
            "attempt 3 is under way (checking)",
        ),
        (
            with(|facts, _| (facts.attempt, facts.lost) = (attempt, Some(LATER))),
            N::PathLost { since: LATER },
            "the direct path fell silent and is being replaced",
        ),
        (
            with(|facts, _| facts.capped = Some(LATER)),
            N::TooManyAttempts { until: LATER },
            "there were too many attempts within a minute",
        ),
        (
            rejected(Refusal::TooMany.code()),
            N::TooManyPeers(Side::There),
            "the other side has as many direct paths as allowed",
        ),
        (ended(PeerEnd::TooMany), N::TooManyPeers(Side::Here), "this side has as many direct paths as allowed"),
        (
            ended(PeerEnd::Bye { code: 7, text: "enough".into() }),
            N::ClosedThere { code: 7, text: "enough".into() },
            "the other side has closed the direct path: enough (7)",
        ),
        (rejected(77), N::RefusedThere { code: 77, text: "no".into() }, "the other side refuses direct paths: no (77)"),
        (ended(PeerEnd::Unanswered), N::Unanswered, "the other side did not answer the offer"),
        (ended(PeerEnd::Unsignalled), N::Unsignalled, "the path in use is too slow to agree on another"),
        (
            with(|_, theirs| (theirs.ipv4, theirs.ipv6) = (false, false)),
            N::NoAddress(Side::There),
            "the other side has no usable address",
        ),
        (
            with(|facts, theirs| (facts.ours.ipv6, theirs.ipv4) = (false, false)),
            N::FamiliesDiffer,
            "one side has IPv4 only and the other one IPv6 only",
        ),
        (
            with(|facts, _| facts.ours.policy = relay_only),
            N::RelayOnlyWithoutTurn(Side::Here),
            "this side gives out addresses at TURN servers only, and no TURN server is configured",
        ),
        (
            with(|facts, theirs| {
                facts.ours.turn = TurnState::WrongCredentials;
                (facts.ours.mapping, theirs.mapping) = (Mapping::Dependent, Mapping::Dependent);
            }),
            N::TurnWrongCredentials(Side::Here),
            "the TURN server of this side does not take its credentials",
        ),
        (
            with(|_, theirs| theirs.turn = TurnState::Refused(486)),
            N::TurnRefused { side: Side::There, code: 486 },
            "the TURN server of the other side refuses it (code 486)",
        ),
        (
            with(|_, theirs| theirs.turn = TurnState::Unreachable),
            N::TurnUnreachable(Side::There),
            "the TURN server of the other side does not answer",
        ),
        (
            with(|facts, theirs| {
                (facts.ours.udp, theirs.udp) = (UdpReach::Silent, UdpReach::Silent);
                facts.ours.turn = TurnState::Unreachable;
            }),
            N::UdpBlocked(Sides::Both),
            "UDP of both sides gets nowhere and no TURN server over TCP or TLS works",
        ),
        (
            with(|facts, theirs| (facts.ours.udp, theirs.udp) = (UdpReach::Unknown, UdpReach::Unknown)),
            N::NoServers(Sides::Both),
            "both sides have no STUN or TURN server that tells by which address others get through",
        ),
        (
            with(|_, theirs| theirs.udp = UdpReach::Unknown),
            N::NoServers(Sides::There),
            "the other side has no STUN or TURN server that tells by which address others get through",
        ),
        (
            with(|facts, theirs| (facts.ours.mapping, theirs.mapping) = (Mapping::Dependent, Mapping::Dependent)),
            N::BothNatsDependent,
            "both NATs choose a new port per destination and no TURN server is configured",
        ),
        (
            with(|facts, theirs| {
                (facts.ours.mapping, theirs.mapping) = (Mapping::EndpointIndependent, Mapping::Dependent);
            }),
            N::DependentAndFiltered { dependent: Side::There },
            "the NAT of the other side chooses a new port per destination, the other NAT lets in only what it knows, \
             and no TURN server is configured",
        ),
        (
            failed(),
            N::ChecksUnanswered,
            "nothing gets through between the addresses of both sides: a firewall drops it",
        ),
        (
            ended(PeerEnd::HandshakeFailed("a fingerprint differs".into())),
            N::HandshakeFailed("a fingerprint differs".into()),
            "the handshake failed: a fingerprint differs",
        ),
        (
            ended(PeerEnd::Misbehaved("no candidate".into())),
            N::PeerMisbehaved("no candidate".into()),
            "the other side broke a rule: no candidate",
        ),
    ]
}

#[test]
fn each_reason_follows_from_its_facts_and_says_so_in_words() {
    for (facts, reason, words) in table() {
        assert_eq!(why(&facts), reason, "{facts:?}");
        assert_eq!(reason.to_string(), words);
    }
}

#[test]
fn a_turn_server_that_works_leaves_no_reason_but_what_the_checks_say() {
    let facts = with(|facts, theirs| {
        (facts.ours.mapping, theirs.mapping) = (Mapping::Dependent, Mapping::Dependent);
        (facts.ours.ipv6, theirs.ipv4) = (false, false);
        (theirs.turn, theirs.relayed) = (TurnState::Works, true);
    });
    assert_eq!(why(&facts), NotDirect::ChecksUnanswered);
}

#[test]
fn a_turn_server_of_one_side_does_not_help_the_other_if_that_gets_nowhere() {
    let with = |turn| {
        with(|facts, theirs| {
            (facts.ours.udp, facts.ours.turn) = (UdpReach::Silent, turn);
            (theirs.turn, theirs.relayed) = (TurnState::Works, true);
        })
    };
    assert_eq!(why(&with(TurnState::NotConfigured)), NotDirect::UdpBlocked(Sides::Here));
    assert_eq!(why(&with(TurnState::Refused(486))), NotDirect::TurnRefused { side: Side::Here, code: 486 });
}

#[test]
fn what_the_other_side_has_not_told_is_not_held_against_it() {
    let facts = Facts { theirs: None, ..failed() };
    assert_eq!(why(&facts), NotDirect::ChecksUnanswered);
}

#[test]
fn an_explanation_reads_as_a_line() {
    let path = PathReport { path: crate::hub::session::event::PathId(0), direct: false, rtt: None };
    let not_direct = Some(NotDirect::BothNatsDependent);
    let again_in = Some(Duration::from_millis(3_200));
    let explanation = Explanation { path: Some(path), pair: None, not_direct, again_in };
    assert_eq!(
        explanation.to_string(),
        "relayed: both NATs choose a new port per destination and no TURN server is configured; tried again in 4 s"
    );
}
