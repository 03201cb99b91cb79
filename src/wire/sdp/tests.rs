//! Descriptions as browsers and libraries write them, as this library does, and as none may.

use super::*;
use crate::wire::candidate::CandidateKind;

const LIMIT: usize = MAX_DESCRIPTION;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/", $name, ".sdp"))
    };
}

const CHROMIUM: &str = fixture!("chromium_offer");
const MEDIA: &str = fixture!("chromium_media_offer");
const MAX_BUNDLE: &str = fixture!("max_bundle_offer");
const OLDER: &str = fixture!("older_offer");

/// Those that say all in one section, with their fragment, their role and how many candidates they have.
const PLAIN: &[(&str, &str, Setup, usize)] = &[
    (CHROMIUM, "4ZcD", Setup::ActPass, 1),
    (fixture!("firefox_offer"), "8a5d3f21", Setup::ActPass, 3),
    (fixture!("pion_answer"), "QjTmPYpLpyYTwPXs", Setup::Active, 1),
    (fixture!("libdatachannel_offer"), "KYZJ", Setup::ActPass, 2),
    (fixture!("aiortc_answer"), "wZ8a", Setup::Active, 1),
    (fixture!("str0m_offer"), "Cqz6fQzZUiAs1U7i", Setup::ActPass, 1),
    (OLDER, "4ZcD", Setup::ActPass, 0),
];

fn parse(sdp: &str) -> Result<Description, SdpError> {
    Description::parse(sdp, LIMIT)
}

fn own() -> Description {
    Description::offer("aBcD".to_owned(), Password::new("p".repeat(24)).unwrap(), [7; 32])
}

#[test]
fn what_browsers_and_libraries_write_is_understood() {
    for (sdp, ufrag, setup, candidates) in PLAIN {
        let description = parse(sdp).unwrap_or_else(|error| panic!("{error} in {sdp}"));
        assert_eq!((description.ufrag.as_str(), description.setup), (*ufrag, *setup));
        assert_eq!(description.candidates.len(), *candidates, "{sdp}");
        assert!(description.bundle && description.other_sections.is_empty());
        let first = if *ufrag == "Cqz6fQzZUiAs1U7i" { 0x78 } else { 11 };
        assert_eq!(description.fingerprint[0], first);
    }
}

#[test]
fn lines_may_end_without_a_carriage_return() {
    for (sdp, ..) in PLAIN {
        assert_eq!(parse(&sdp.replace('\r', "")), parse(sdp));
    }
}

#[test]
fn names_and_second_components_are_left_out_and_counted() {
    let chromium = parse(CHROMIUM).unwrap();
    assert_eq!(chromium.skipped, 2);
    assert_eq!(chromium.candidates[0].kind, CandidateKind::ServerReflexive);
    assert_eq!(chromium.max_message, Some(262_144));
    assert!(!chromium.end_of_candidates);
    let pion = parse(fixture!("pion_answer")).unwrap();
    assert_eq!((pion.skipped, pion.end_of_candidates), (1, true));
}

#[test]
fn the_older_form_has_its_port_in_place_of_a_format() {
    let older = parse(OLDER).unwrap();
    assert_eq!((older.sctp_port, older.max_message, older.mid.as_str()), (5001, None, "data"));
}

#[test]
fn of_several_sections_the_one_of_data_channels_counts() {
    let offer = parse(MEDIA).unwrap();
    assert_eq!((offer.mid.as_str(), offer.position, offer.other_sections.len()), ("1", 1, 2));
    assert_eq!(offer.candidates.len(), 1);
    assert_eq!(offer.candidates[0].address.port(), 50_002);
}

#[test]
fn a_section_that_exists_only_in_a_group_takes_its_leaders_transport() {
    let offer = parse(MAX_BUNDLE).unwrap();
    assert_eq!((offer.ufrag.as_str(), offer.mid.as_str(), offer.setup), ("vwJU", "data", Setup::ActPass));
    assert_eq!(offer.candidates[0].address.port(), 50_001);
    let repeated = MAX_BUNDLE.replace("a=mid:data", "a=ice-ufrag:vwJU\r\na=mid:data");
    assert_eq!(parse(&repeated), Ok(offer));
    let of_its_own = MAX_BUNDLE.replace("a=mid:data", "a=ice-ufrag:other\r\na=mid:data");
    assert_eq!(parse(&of_its_own).unwrap().candidates, []);
    assert_eq!(parse(&MAX_BUNDLE.replace("a=bundle-only\r\n", "")), Err(SdpError::Rejected));
}

#[test]
fn an_answer_rejects_the_other_sections_in_their_places() {
    let offer = parse(MEDIA).unwrap();
    let answer = own().answering(&offer);
    assert_eq!(answer.setup, Setup::Active);
    let sdp = answer.to_sdp(1, 0);
    let lines: Vec<_> = sdp.lines().filter(|line| line.starts_with("m=") || line.starts_with("a=mid")).collect();
    let expected = [
        "m=audio 0 UDP/TLS/RTP/SAVPF 111",
        "a=mid:0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:1",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "a=mid:2",
    ];
    assert_eq!(lines, expected);
    assert!(sdp.contains("a=group:BUNDLE 1\r\n"));
}

#[test]
fn an_answer_to_an_offer_without_names_and_group_has_none() {
    let bare = CHROMIUM.replace("a=group:BUNDLE 0\r\n", "").replace("a=mid:0\r\n", "");
    let offer = parse(&bare).unwrap();
    let sdp = own().answering(&offer).to_sdp(1, 0);
    assert!(!sdp.contains("a=group") && !sdp.contains("a=mid"));
    assert!(!parse(&CHROMIUM.replace("a=group:BUNDLE 0\r\n", "")).unwrap().bundle);
}

#[test]
fn a_description_that_is_written_is_read_as_the_same() {
    let mut full = own();
    full.candidates = parse(fixture!("firefox_offer")).unwrap().candidates;
    full.ice_lite = true;
    full.end_of_candidates = true;
    full.max_message = Some(0);
    full.sctp_init = Some(vec![1, 0, 0, 20, 255]);
    for description in [own(), full.clone(), full.answering(&parse(MEDIA).unwrap())] {
        assert_eq!(parse(&description.to_sdp(7, 3)), Ok(description));
    }
}

#[test]
fn what_is_written_is_told_in_the_order_that_browsers_take() {
    let sdp = own().to_sdp(7, 3);
    let fingerprint = ["07"; 32].join(":");
    let expected = format!(
        "v=0\r\no=- 7 3 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:aBcD\r\n\
         a=ice-pwd:pppppppppppppppppppppppp\r\na=ice-options:trickle\r\na=fingerprint:sha-256 {fingerprint}\r\n\
         a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n"
    );
    assert_eq!(sdp, expected);
}

#[test]
fn each_broken_rule_has_its_own_error() {
    let with = |from: &str, to: &str| {
        assert!(CHROMIUM.contains(from), "{from}");
        parse(&CHROMIUM.replace(from, to)).unwrap_err()
    };
    let fingerprint = CHROMIUM.lines().find(|line| line.starts_with("a=fingerprint")).unwrap();
    assert_eq!(Description::parse(CHROMIUM, 100), Err(SdpError::TooLarge(CHROMIUM.len())));
    assert_eq!(parse(""), Err(SdpError::Version));
    assert_eq!(with("v=0", "v=1"), SdpError::Version);
    assert_eq!(with("s=-", "session"), SdpError::Line(3));
    assert_eq!(with("s=-", "S=-"), SdpError::Line(3));
    assert_eq!(with(" 46154 UDP", " port UDP"), SdpError::Section);
    assert_eq!(with(" webrtc-datachannel", ""), SdpError::Section);
    assert_eq!(with(" webrtc-datachannel", " wb"), SdpError::NoData);
    assert_eq!(with("m=application", "m=audio"), SdpError::NoData);
    assert_eq!(with(" 46154 UDP/DTLS", " 0 UDP/DTLS"), SdpError::Rejected);
    assert_eq!(with("a=mid:0", "a=mid:0 1"), SdpError::Mid);
    assert_eq!(with("a=ice-ufrag", "a=x"), SdpError::NoUfrag);
    assert_eq!(with("a=ice-ufrag:4ZcD", "a=ice-ufrag:4Zc"), SdpError::Ufrag);
    assert_eq!(with("a=ice-ufrag:4ZcD", &format!("a=ice-ufrag:{}", "a".repeat(257))), SdpError::Ufrag);
    assert_eq!(with("a=ice-pwd", "a=x"), SdpError::NoPassword);
    assert_eq!(with("0NuRHlB1", "0"), SdpError::Password);
    assert_eq!(with("0NuRHlB1", "0NuRHlB!"), SdpError::Password);
    assert_eq!(with("sha-256", "sha-512"), SdpError::NoFingerprint);
    assert_eq!(with(fingerprint, "a=fingerprint:sha-256 00:11"), SdpError::Fingerprint);
    assert_eq!(with("sha-256 0B", "sha-256 +B"), SdpError::Fingerprint);
    let two = format!("{fingerprint}\r\n{}", fingerprint.replace("0B", "0C"));
    assert_eq!(with(fingerprint, &two), SdpError::TwoFingerprints);
    assert_eq!(with("a=setup", "a=x"), SdpError::NoSetup);
    assert_eq!(with("actpass", "holdconn"), SdpError::Setup);
    assert_eq!(with("sctp-port:5000", "sctp-port:0"), SdpError::SctpPort);
    assert_eq!(with("size:262144", "size:much"), SdpError::MaxMessage);
    assert_eq!(with("a=sctp-port", "a=sctp-init:*\r\na=sctp-port"), SdpError::SctpInit);
}

#[test]
fn the_same_fingerprint_twice_is_one() {
    let line = CHROMIUM.lines().find(|line| line.starts_with("a=fingerprint")).unwrap();
    let twice = CHROMIUM.replace(line, &format!("{line}\r\n{line}"));
    assert_eq!(parse(&twice), parse(CHROMIUM));
}

#[test]
fn sections_and_candidates_are_bounded() {
    let section = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n";
    let sections = |n: usize| parse(&CHROMIUM.replace("m=application", &format!("{}m=application", section.repeat(n))));
    assert_eq!(sections(MAX_SECTIONS - 1).unwrap().other_sections.len(), MAX_SECTIONS - 1);
    assert_eq!(sections(MAX_SECTIONS), Err(SdpError::TooManySections));
    let candidate = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=mid:0";
    let many = parse(&CHROMIUM.replace("a=mid:0", &vec![candidate; 100].join("\r\n"))).unwrap();
    assert_eq!((many.candidates.len(), many.skipped), (MAX_CANDIDATES, 100 + 3 - MAX_CANDIDATES));
}

#[test]
fn a_password_is_not_shown() {
    assert!(!format!("{:?}", own()).contains("ppp"));
}
