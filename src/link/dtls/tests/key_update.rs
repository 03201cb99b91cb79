//! Updates of keys, and that no nonce is used twice.

use std::time::Duration;

use super::super::record::{HANDSHAKE, Message};
use super::super::records::Records;
use super::super::{Broken, Dtls, Event, Provider, State, Version};
use super::dimpl_partner::{VERSIONS, exchange, mixed};
use super::nonces::watched;
use super::pair::{CONTEXTS, Pair, context};
use crate::machine::rng::Rng;

#[test]
fn keys_are_updated_on_both_sides_while_data_flows_and_datagrams_are_lost() {
    for seed in 0..40 {
        let mut rng = Rng::from_u64(seed);
        let mut pair = Pair::established(Version::Dtls13);
        pair.ends.iter_mut().for_each(|end| records13(end).update_after(20));
        pair.run(Duration::from_secs(30), |_, _| rng.chance(0.1));
        for (end, received) in pair.ends.iter().zip(&pair.received) {
            let statistics = end.statistics();
            assert!(statistics.own_updates > 10 && statistics.peer_updates > 10, "{statistics:?}");
            assert!(statistics.drops.total() < 5 && received.len() > 500, "{statistics:?}");
        }
        assert!(pair.events.iter().all(|events| *events == [Event::Connected]));
    }
}

#[test]
fn keys_are_updated_by_and_with_dimpl() {
    for ours in 0..2 {
        let config = dimpl::Config::builder().use_server_cookie(false).aead_encryption_limit(60).build().unwrap();
        let theirs = context(Provider::of(config));
        let mut pair = mixed(Version::Dtls13, ours, &CONTEXTS[0], &theirs);
        records13(&mut pair.ends[ours]).update_after(50);
        exchange(&mut pair, &mut Rng::from_u64(1), 400);
        let statistics = pair.ends[ours].statistics();
        assert!(statistics.own_updates > 4 && statistics.peer_updates > 4, "{statistics:?}");
        assert_eq!(statistics.drops.total(), 0);
    }
}

#[test]
fn a_connection_whose_keys_were_updated_before_stays_with_dimpl() {
    let config = dimpl::Config::builder().use_server_cookie(false).aead_encryption_limit(5).build().unwrap();
    let theirs = context(Provider::of(config));
    let mut pair = Pair::between([&CONTEXTS[0], &theirs], [Version::Dtls13; 2], [None; 2]);
    // Only the server speaks, so that the client has sealed nothing and cannot take over before the update.
    for _ in 0..40 {
        pair.settle();
        if let Some(mut datagram) = pair.say(1, b"data") {
            pair.give(0, &mut datagram);
        }
        pair.ends[1].on_timeout(pair.now);
    }
    exchange(&mut pair, &mut Rng::from_u64(2), 100);
    assert!(pair.ends[0].is_connected() && !pair.ends[0].has_own_records());
}

#[test]
fn no_nonce_is_used_twice_over_take_over_resending_and_updates() {
    let (mut takeovers, mut updates) = ([0; 2], 0);
    for (version, seed) in VERSIONS.into_iter().flat_map(|version| (0..60).map(move |seed| (version, seed))) {
        let used = watched(|| {
            let mut rng = Rng::from_u64(seed);
            let mut pair = Pair::new([version; 2]);
            pair.run(Duration::from_secs(4), |_, _| rng.chance(0.2));
            for end in &mut pair.ends {
                if let (Version::Dtls13, State::Records(_)) = (version, &end.state) {
                    records13(end).update_after(30);
                }
            }
            pair.run(Duration::from_secs(10), |_, _| rng.chance(0.2));
            for end in &pair.ends {
                takeovers[usize::from(version == Version::Dtls13)] += u32::from(end.has_own_records());
                updates += end.statistics().own_updates;
            }
        });
        assert!(used > 100, "{used}");
    }
    assert!(takeovers.iter().all(|ends| *ends > 100), "{takeovers:?} of 120 ends took over");
    assert!(updates > 200, "{updates} updates");
}

#[test]
fn an_update_is_sent_until_it_is_acknowledged_and_then_given_up() {
    let mut pair = Pair::established(Version::Dtls13);
    pair.settle();
    records13(&mut pair.ends[0]).update_after(0);
    pair.events[0].clear();
    pair.say(0, b"data").unwrap();
    let sent = pair.sent[0];
    pair.run(Duration::from_secs(70), |from, _| from == 0);
    assert_eq!(pair.events[0], [Event::Failed(Broken::UpdateUnanswered)]);
    assert!(pair.sent[0] > sent + 8);
}

#[test]
fn a_key_seals_no_more_data_than_it_may_until_its_update_is_acknowledged() {
    let mut pair = Pair::established(Version::Dtls13);
    pair.settle();
    let last = (1 << 24) + (1 << 22) + (1 << 21);
    records13(&mut pair.ends[0]).skip_to(last);
    records13(&mut pair.ends[1]).expect(last);
    let sealed = std::iter::from_fn(|| pair.say(0, b"data")).count() as u64;
    assert!(last + sealed > 23_700_000 && last + sealed < 23_726_566 - 1_000, "{sealed}");
    records13(&mut pair.ends[1]).expect(last + sealed);
    pair.settle();
    assert!(pair.say(0, b"data").is_some());
    assert_eq!(pair.ends[0].statistics().own_updates, 1);
}

#[test]
fn a_storm_of_updates_ends_the_connection() {
    let mut pair = Pair::established(Version::Dtls13);
    pair.settle();
    for number in 0..8 {
        update(&mut pair, number, &[0]);
        assert_eq!(pair.ends[0].statistics().peer_updates, u64::from(number) + 1);
    }
    update(&mut pair, 8, &[0]);
    assert_eq!(pair.events[0].last(), Some(&Event::Failed(Broken::UpdateStorm)));
    pair.settle();
    assert_eq!(pair.events[1].last(), Some(&Event::Failed(Broken::Alert(80))));
}

#[test]
fn a_malformed_update_ends_the_connection() {
    for body in [&[2][..], &[], &[0, 0]] {
        let mut pair = Pair::established(Version::Dtls13);
        update(&mut pair, 0, body);
        assert_eq!(pair.events[0].last(), Some(&Event::Failed(Broken::IllegalUpdate)));
        pair.settle();
        assert_eq!(pair.events[1].last(), Some(&Event::Failed(Broken::Alert(47))));
    }
}

/// The server updates its keys without waiting for an acknowledgement.
fn update(pair: &mut Pair, number: u16, body: &[u8]) {
    let message = Message { kind: Message::KEY_UPDATE, len: body.len() as u32, number, offset: 0 };
    let mut datagram = sealed(&mut pair.ends[1], HANDSHAKE, &[&message.emit()[..], body].concat());
    records13(&mut pair.ends[1]).turn();
    pair.give(0, &mut datagram);
}

/// A record of any kind.
pub(super) fn sealed(end: &mut Dtls, kind: u8, text: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    let start = end.begin(&mut datagram);
    datagram.extend_from_slice(text);
    let State::Records(records) = &mut end.state else { panic!("it has no own records") };
    assert!(records.seal(kind, &mut datagram, start));
    datagram
}

pub(super) fn records13(end: &mut Dtls) -> &mut super::super::records13::Records13 {
    match &mut end.state {
        State::Records(records) => match records {
            Records::V13(records) => records,
            Records::V12(_) => panic!("it speaks DTLS 1.2"),
        },
        _ => panic!("it has no own records"),
    }
}
