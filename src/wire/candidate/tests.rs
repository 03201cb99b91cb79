//! Candidates as browsers and libraries send them, and as none may.

use super::*;

#[test]
fn what_browsers_and_libraries_send_is_understood() {
    let chromium = "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 192.0.2.10 rport 46154 \
                    generation 0 ufrag aBcD network-id 1 network-cost 10";
    let candidate = Candidate::parse(chromium).unwrap();
    assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
    assert_eq!(candidate.address, "203.0.113.7:46154".parse().unwrap());
    assert_eq!(candidate.related, Some("192.0.2.10:46154".parse().unwrap()));
    assert_eq!(candidate.ufrag.as_deref(), Some("aBcD"));
    assert_eq!((candidate.priority, candidate.foundation.as_str()), (1_677_729_535, "842163049"));

    let firefox = Candidate::parse("a=candidate:0 1 UDP 2122252543 2001:db8::5 51372 typ host").unwrap();
    assert_eq!((firefox.kind, firefox.related), (CandidateKind::Host, None));
    let tcp = Candidate::parse("candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active").unwrap();
    assert_eq!(tcp.protocol, Protocol::Tcp);
    let aiortc = "a3f0 1 udp 16777215 198.51.100.9 49160 typ relay raddr 0.0.0.0 rport 0";
    let candidate = Candidate::parse(aiortc).unwrap();
    assert_eq!((candidate.kind, candidate.related), (CandidateKind::Relayed, None));
}

#[test]
fn a_candidate_that_is_written_is_read_as_the_same() {
    use CandidateKind::{Host, PeerReflexive, Relayed, ServerReflexive};
    for address in ["192.0.2.7:1000", "[2001:db8::7]:1000"] {
        for kind in [Host, ServerReflexive, PeerReflexive, Relayed] {
            for related in
                [None, Some("10.0.0.1:2000".parse().unwrap())].into_iter().filter(|r| kind != Host || r.is_none())
            {
                let mut candidate = Candidate::new(kind, address.parse().unwrap(), related);
                assert_eq!(Candidate::parse(&candidate.to_string()), Ok(candidate.clone()));
                candidate.ufrag = Some("abcd".to_owned());
                assert_eq!(Candidate::parse(&candidate.to_string()), Ok(candidate));
            }
        }
    }
}

#[test]
fn each_broken_rule_has_its_own_error() {
    let error = |text: &str| Candidate::parse(text).unwrap_err();
    assert_eq!(error(&"x".repeat(1025)), CandidateError::TooLong(1025));
    assert_eq!(error(""), CandidateError::Truncated);
    assert_eq!(error("candidate:1 1 udp 1 192.0.2.1 9"), CandidateError::Truncated);
    assert_eq!(error(&format!("{} 1 udp 1 192.0.2.1 9 typ host", "a".repeat(33))), CandidateError::Foundation);
    assert_eq!(error("ä 1 udp 1 192.0.2.1 9 typ host"), CandidateError::Foundation);
    assert_eq!(error("1 2 udp 1 192.0.2.1 9 typ host"), CandidateError::Component(2));
    assert_eq!(error("1 0 udp 1 192.0.2.1 9 typ host"), CandidateError::ComponentNumber);
    assert_eq!(error("1 +1 udp 1 192.0.2.1 9 typ host"), CandidateError::ComponentNumber);
    assert_eq!(error("1 1 sctp 1 192.0.2.1 9 typ host"), CandidateError::Transport);
    assert_eq!(error("1 1 udp 0 192.0.2.1 9 typ host"), CandidateError::Priority);
    assert_eq!(error("1 1 udp 2147483648 192.0.2.1 9 typ host"), CandidateError::Priority);
    assert_eq!(error("1 1 udp 1 b8c6b2b0-0e5f-4a3c.local 9 typ host"), CandidateError::Name);
    assert_eq!(error("1 1 udp 1 192.0.2.256 9 typ host"), CandidateError::Address);
    assert_eq!(error("1 1 udp 1 fe80::1%eth0 9 typ host"), CandidateError::Address);
    assert_eq!(error("1 1 udp 1 0.0.0.0 9 typ host"), CandidateError::Unusable);
    assert_eq!(error("1 1 udp 1 224.0.0.1 9 typ host"), CandidateError::Unusable);
    assert_eq!(error("1 1 udp 1 192.0.2.1 0 typ host"), CandidateError::Port);
    assert_eq!(error("1 1 udp 1 192.0.2.1 65536 typ host"), CandidateError::Port);
    assert_eq!(error("1 1 udp 1 192.0.2.1 9 typ tunnel"), CandidateError::Kind);
    assert_eq!(error("1 1 udp 1 192.0.2.1 9 type host"), CandidateError::Kind);
    assert_eq!(error("1 1 udp 1 192.0.2.1 9 typ host ufrag a!"), CandidateError::Ufrag);
}

#[test]
fn host_comes_before_reflexive_before_relayed_and_ipv6_before_ipv4() {
    let priority = |kind, address: &str| Candidate::new(kind, address.parse().unwrap(), None).priority;
    let sorted = [
        priority(CandidateKind::Host, "[2001:db8::1]:1"),
        priority(CandidateKind::Host, "192.0.2.1:1"),
        priority(CandidateKind::PeerReflexive, "192.0.2.1:1"),
        priority(CandidateKind::ServerReflexive, "192.0.2.1:1"),
        priority(CandidateKind::Relayed, "192.0.2.1:1"),
    ];
    assert!(sorted.is_sorted_by(|a, b| a > b), "{sorted:?}");
    assert_eq!(sorted[1], 2_130_706_175);
}

#[test]
fn candidates_of_one_base_share_their_foundation() {
    let base: SocketAddr = "10.0.0.1:5".parse().unwrap();
    let seen = |address: &str| Candidate::new(CandidateKind::ServerReflexive, address.parse().unwrap(), Some(base));
    assert_eq!(seen("192.0.2.1:1").foundation, seen("192.0.2.1:2").foundation);
    assert_ne!(seen("192.0.2.1:1").foundation, Candidate::new(CandidateKind::Host, base, None).foundation);
}
