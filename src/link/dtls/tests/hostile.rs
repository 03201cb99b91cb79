//! What anybody can send, and what a peer can: one test for each rule.

use std::time::Duration;

use super::super::record::{ACK, ALERT, APPLICATION, HANDSHAKE, HEAD_13, Message, alert};
use super::super::records::{MOST_FORGED, Records};
use super::super::{Broken, Drops, Dtls, Event, State, Version};
use super::dimpl_partner::VERSIONS;
use super::key_update::{records13, sealed};
use super::nonces;
use super::pair::Pair;
use crate::machine::rng::Rng;

/// What the server counts after `hostile` of what the client seals; the connection goes on.
fn drops(version: Version, hostile: impl Fn(&mut Pair) -> Vec<Vec<u8>>) -> Drops {
    let mut pair = Pair::established(version);
    pair.settle();
    pair.received[1].clear();
    for mut datagram in hostile(&mut pair) {
        pair.give(1, &mut datagram);
    }
    let mut honest = pair.say(0, b"honest").unwrap();
    pair.received[1].clear();
    pair.give(1, &mut honest);
    assert_eq!(pair.received[1], [b"honest"], "{version:?}: {:?}", pair.events);
    pair.ends[1].statistics().drops
}

fn data(pair: &mut Pair) -> Vec<u8> {
    pair.say(0, b"some data, and not too little").unwrap()
}

#[test]
fn a_wrong_tag_is_a_forgery() {
    for version in VERSIONS {
        let drops = drops(version, |pair| {
            let mut datagram = data(pair);
            *datagram.last_mut().unwrap() ^= 1;
            vec![datagram]
        });
        assert_eq!(drops, Drops { forged: 1, ..Drops::default() });
    }
}

#[test]
fn too_many_forgeries_end_the_connection() {
    for version in VERSIONS {
        let mut pair = Pair::established(version);
        pair.ends[1].statistics.drops.forged = MOST_FORGED - 1;
        let mut forged = data(&mut pair);
        *forged.last_mut().unwrap() ^= 1;
        pair.give(1, &mut forged);
        assert_eq!(pair.events[1].last(), Some(&Event::Failed(Broken::TooManyForgeries)));
    }
}

#[test]
fn a_changed_head_is_a_forgery() {
    let drops = drops(Version::Dtls12, |pair| {
        let mut datagram = data(pair);
        datagram[0] = ALERT;
        vec![datagram]
    });
    assert_eq!(drops, Drops { forged: 1, ..Drops::default() });
}

#[test]
fn a_record_counts_once() {
    for version in VERSIONS {
        let drops = drops(version, |pair| vec![data(pair); 3]);
        assert_eq!(drops, Drops { replayed: 2, ..Drops::default() });
    }
}

#[test]
fn a_record_opened_before_the_take_over_does_not_count_again() {
    for version in VERSIONS {
        let mut pair = Pair::established(version);
        pair.settle();
        let early: Vec<_> = pair.wire.clone();
        let before = pair.received.clone();
        for (to, mut datagram) in early.into_iter().flat_map(|datagram| [(0, datagram.clone()), (1, datagram)]) {
            pair.give(to, &mut datagram);
        }
        assert_eq!(pair.received, before, "{version:?}");
        assert!(pair.events.iter().all(|events| *events == [Event::Connected]));
    }
}

#[test]
fn a_record_that_is_too_old_does_not_count() {
    for version in VERSIONS {
        let drops = drops(version, |pair| {
            let mut datagrams: Vec<_> = (0..=128).map(|_| data(pair)).collect();
            datagrams.reverse();
            datagrams
        });
        assert_eq!(drops, Drops { replayed: 1, ..Drops::default() });
    }
}

#[test]
fn a_record_of_an_epoch_that_is_not_in_use_does_not_count() {
    let drops_12 = drops(Version::Dtls12, |pair| {
        let mut datagram = data(pair);
        datagram[4] = 2;
        vec![datagram]
    });
    assert_eq!(drops_12, Drops { epoch: 1, ..Drops::default() });
    let drops_13 = drops(Version::Dtls13, |pair| {
        let mut datagram = data(pair);
        datagram[0] &= 0b1111_1100;
        vec![datagram]
    });
    assert_eq!(drops_13, Drops { epoch: 1, ..Drops::default() });
}

/// The shortest records of epoch 2 that are looked at: made up, and all different.
fn stray(number: u32) -> Vec<u8> {
    let mut datagram = vec![0b0010_1010; 20];
    datagram[1..5].copy_from_slice(&number.to_be_bytes());
    datagram
}

#[test]
fn stray_records_of_the_handshake_cost_a_server_no_keys_and_after_four_minutes_have_none() {
    let mut pair = Pair::established(Version::Dtls13);
    pair.settle();
    let (server, now) = (&mut pair.ends[1], pair.now);
    let mut flood: Vec<_> = (0..1_000).map(stray).collect();
    let keys = nonces::keys();
    let counted = allocation_counter::measure(|| {
        flood.iter_mut().for_each(|datagram| server.receive(now, datagram, |_| {}));
    });
    assert_eq!((nonces::keys() - keys, counted.count_total), (0, 0));
    assert_eq!(server.statistics().drops, Drops { forged: 1_000, ..Drops::default() });
    let over = server.deadline().unwrap().at;
    assert!(over > now + Duration::from_secs(235) && over <= now + Duration::from_secs(240));
    let counted = allocation_counter::measure(|| server.on_timeout(over));
    assert!(counted.bytes_current < 0 && server.deadline().is_none());
    server.receive(over, &mut stray(0), |_| {});
    assert_eq!(server.statistics().drops.epoch, 1);
}

#[test]
fn a_handshake_that_comes_again_after_the_take_over_is_not_answered() {
    let mut pair = Pair::established(Version::Dtls13);
    pair.settle();
    let early: Vec<_> = pair.wire.iter().filter(|datagram| datagram[0] & 0b1110_0011 == 0b0010_0010).cloned().collect();
    early.into_iter().for_each(|mut datagram| pair.give(1, &mut datagram));
    assert!(!pair.ends[1].fill(pair.now, &mut Vec::new()));
    assert!(pair.ends[1].statistics().drops.replayed > 0, "{:?}", pair.ends[1]);
}

#[test]
fn a_datagram_that_ends_in_a_head_or_before_a_record_does_is_malformed() {
    for version in VERSIONS {
        let mut pair = Pair::established(version);
        let whole = data(&mut pair);
        for len in 1..whole.len() {
            pair.give(1, &mut whole[..len].to_vec());
        }
        assert_eq!(pair.ends[1].statistics().drops.malformed, whole.len() as u64 - 1, "{version:?}");
    }
}

#[test]
fn a_record_that_is_shorter_than_its_protection_is_malformed() {
    let drops_12 = drops(Version::Dtls12, |_| {
        (0..24)
            .map(|len| [&[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 9, 0, 0, len][..], &vec![0; len.into()]].concat())
            .collect()
    });
    assert_eq!(drops_12, Drops { malformed: 24, ..Drops::default() });
    let drops_13 = drops(Version::Dtls13, |_| {
        (0..17).map(|len| [&[0b0010_1111, 0, 0, 0, len][..], &vec![0; len.into()]].concat()).collect()
    });
    assert_eq!(drops_13, Drops { malformed: 17, ..Drops::default() });
}

#[test]
fn what_has_no_protection_has_no_effect() {
    for version in VERSIONS {
        let drops = drops(version, |_| {
            [(ALERT, vec![2, 40]), (ALERT, alert(0).to_vec()), (HANDSHAKE, vec![0; 12]), (APPLICATION, vec![1])]
                .into_iter()
                .map(|(kind, text)| {
                    [&[kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, text.len() as u8][..], &text].concat()
                })
                .collect()
        });
        assert_eq!(drops, Drops { unprotected: 4, ..Drops::default() });
    }
}

#[test]
fn data_before_the_handshake_is_complete_is_not_delivered() {
    for version in VERSIONS {
        let mut pair = Pair::new([version; 2]);
        let forged = [&[APPLICATION, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4][..], b"data"].concat();
        let sealed = [&[APPLICATION, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 40][..], &[7; 40]].concat();
        for (to, datagram) in (0..2).flat_map(|to| [(to, &forged), (to, &sealed)]) {
            pair.give(to, &mut datagram.clone());
        }
        pair.settle();
        assert!(pair.received.iter().all(Vec::is_empty), "{version:?}");
        assert!(pair.ends.iter().all(Dtls::is_connected), "{version:?}: {:?}", pair.events);
    }
}

#[test]
fn several_records_in_a_datagram_all_count_and_a_bad_one_harms_no_other() {
    for version in VERSIONS {
        let mut pair = Pair::established(version);
        let mut records: Vec<_> =
            [&b"a"[..], b"bb", b"ccc"].into_iter().map(|text| pair.say(0, text).unwrap()).collect();
        *records[1].last_mut().unwrap() ^= 1;
        pair.received[1].clear();
        pair.give(1, &mut records.concat());
        assert_eq!(pair.received[1], [&b"a"[..], b"ccc"]);
        assert_eq!(pair.ends[1].statistics().drops.forged, 1);
    }
}

#[test]
fn a_record_without_a_length_or_with_a_short_number_counts() {
    let mut pair = Pair::established(Version::Dtls13);
    pair.received[1].clear();
    for (is_short, has_length) in [(false, false), (true, false), (true, true)] {
        let mut datagram = records13(&mut pair.ends[0]).unusual(is_short, has_length, b"unusual");
        pair.give(1, &mut datagram);
    }
    assert_eq!(pair.received[1], [b"unusual"; 3]);
    assert_eq!(pair.ends[1].statistics().drops.total(), 0);
}

#[test]
fn a_fatal_alert_ends_the_connection() {
    for version in VERSIONS {
        let mut pair = Pair::established(version);
        let mut datagram = sealed(&mut pair.ends[0], ALERT, &alert(40));
        pair.give(1, &mut datagram);
        assert_eq!(pair.events[1].last(), Some(&Event::Failed(Broken::Alert(40))));
        let mut late = data(&mut pair);
        pair.give(1, &mut late);
        assert_eq!(pair.ends[1].statistics().drops.late, 1);
    }
}

#[test]
fn a_warning_does_not_end_the_connection() {
    let drops_12 = drops(Version::Dtls12, |pair| vec![sealed(&mut pair.ends[0], ALERT, &[1, 100])]);
    let drops_13 = drops(Version::Dtls13, |pair| vec![sealed(&mut pair.ends[0], ALERT, &[1, 90])]);
    assert_eq!(drops_12.total() + drops_13.total(), 0);
}

#[test]
fn goodbye_is_answered() {
    for version in VERSIONS {
        let mut pair = Pair::established(version);
        pair.ends[0].close(pair.now);
        pair.settle();
        assert_eq!(pair.events[1].last(), Some(&Event::Closed));
        assert_eq!(pair.events[0], [Event::Connected]);
        assert!(pair.ends[0].statistics().drops.late > 0);
    }
}

#[test]
fn content_without_a_place_is_dropped_by_12_and_ends_13() {
    for kind in [0, 20, 24, 99] {
        let drops = drops(Version::Dtls12, |pair| vec![sealed(&mut pair.ends[0], kind, b"what")]);
        assert_eq!(drops, Drops { unexpected: 1, ..Drops::default() });
        let mut pair = Pair::established(Version::Dtls13);
        let mut datagram = sealed(&mut pair.ends[0], kind, if kind == 0 { b"" } else { b"what" });
        pair.give(1, &mut datagram);
        assert_eq!(pair.events[1].last(), Some(&Event::Failed(Broken::UnexpectedContent)), "{kind}");
        pair.settle();
        assert_eq!(pair.events[0].last(), Some(&Event::Failed(Broken::Alert(10))));
    }
}

#[test]
fn a_renegotiation_is_dropped() {
    let drops = drops(Version::Dtls12, |pair| vec![sealed(&mut pair.ends[0], HANDSHAKE, &[0; 12])]);
    assert_eq!(drops, Drops { unexpected: 1, ..Drops::default() });
}

#[test]
fn a_ticket_is_acknowledged_by_a_client_and_ends_a_server() {
    let ticket = Message { kind: Message::NEW_SESSION_TICKET, len: 4, number: 9, offset: 0 };
    let text = [&ticket.emit()[..], b"tick"].concat();
    let mut pair = Pair::established(Version::Dtls13);
    let mut datagram = sealed(&mut pair.ends[1], HANDSHAKE, &text);
    pair.give(0, &mut datagram);
    let mut acknowledgement = Vec::new();
    assert!(pair.ends[0].fill(pair.now, &mut acknowledgement));
    assert_eq!(acknowledgement.len(), HEAD_13 + 2 + 16 + 1 + 16);
    let mut datagram = sealed(&mut pair.ends[0], HANDSHAKE, &text);
    pair.give(1, &mut datagram);
    assert_eq!(pair.events[1].last(), Some(&Event::Failed(Broken::UnexpectedMessage)));
}

#[test]
fn acknowledgements_of_nothing_or_in_pieces_have_no_effect() {
    let drops = drops(Version::Dtls13, |pair| {
        let texts = [&b""[..], &[0], &[0, 16], &[0, 16, 0, 0, 0], &[0xff; 50], &[0; 34]];
        texts.into_iter().map(|text| sealed(&mut pair.ends[0], ACK, text)).collect()
    });
    assert_eq!(drops.total(), 0);
}

#[test]
fn an_acknowledgement_of_another_record_does_not_turn_the_key() {
    let mut pair = Pair::established(Version::Dtls13);
    pair.settle();
    records13(&mut pair.ends[1]).update_after(0);
    pair.say(1, b"data").unwrap();
    pair.ends[1].fill(pair.now, &mut Vec::new());
    let text = [&[0, 16][..], &3u64.to_be_bytes(), &0u64.to_be_bytes()].concat();
    let mut datagram = sealed(&mut pair.ends[0], ACK, &text);
    pair.give(1, &mut datagram);
    assert_eq!(pair.ends[1].statistics().own_updates, 0);
}

#[test]
fn the_last_number_of_12_is_the_end() {
    let mut pair = Pair::established(Version::Dtls12);
    let State::Records(records) = &mut pair.ends[0].state else { panic!("it has no own records") };
    let Records::V12(records) = records else { panic!("it speaks DTLS 1.3") };
    records.skip_to((1 << 48) - 1);
    let mut last = pair.say(0, b"last").unwrap();
    assert!(pair.say(0, b"one more").is_none());
    assert_eq!(pair.ends[0].poll_event(), Some(Event::Failed(Broken::NumbersExhausted)));
    pair.received[1].clear();
    pair.give(1, &mut last);
    assert_eq!(pair.received[1], [b"last"]);
}

#[test]
fn a_text_that_is_too_long_is_not_sealed() {
    for version in VERSIONS {
        let mut pair = Pair::established(version);
        assert!(pair.say(0, &[1; 16_384]).is_some());
        assert!(pair.say(0, &[1; 16_385]).is_none());
        assert!(pair.ends[0].is_connected());
    }
}

#[test]
fn a_peer_with_another_certificate_gets_and_gives_nothing() {
    for version in VERSIONS {
        for cheated in 0..2 {
            let mut pair = Pair::cheated(version, cheated);
            pair.settle();
            assert_eq!(pair.events[cheated], [Event::Failed(Broken::Fingerprint)]);
            assert!(pair.say(cheated, b"data").is_none());
            assert!(pair.received[cheated].is_empty());
        }
    }
}

#[test]
fn mutated_datagrams_never_panic_and_never_deliver_what_was_not_sent() {
    for version in VERSIONS {
        let (mut rng, mut pair) = (Rng::from_u64(1), Pair::established(version));
        for _ in 0..5_000 {
            let mut datagram = [data(&mut pair), data(&mut pair)].concat();
            (0..=rng.below(3)).for_each(|_| mutate(&mut datagram, &mut rng));
            pair.received[1].clear();
            pair.give(1, &mut datagram);
            assert!(pair.received[1].iter().all(|text| text == b"some data, and not too little"));
            assert!(pair.ends[1].is_connected());
        }
    }
}

#[test]
fn mutated_handshakes_never_panic() {
    for (version, seed) in VERSIONS.into_iter().flat_map(|version| (0..150).map(move |seed| (version, seed))) {
        let mut rng = Rng::from_u64(seed);
        let mut pair = Pair::new([version; 2]);
        pair.mutate = Some(Box::new(move |datagram| {
            if rng.chance(0.3) {
                mutate(datagram, &mut rng);
            }
        }));
        pair.run(Duration::from_secs(4), |_, _| false);
    }
}

fn mutate(datagram: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(datagram.len() as u64) as usize;
    match rng.below(3) {
        0 => datagram[at] ^= 1 << rng.below(8),
        1 => datagram.truncate(at.max(1)),
        _ => datagram.insert(at, rng.u32() as u8),
    }
}
