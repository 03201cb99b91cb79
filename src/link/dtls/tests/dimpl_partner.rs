//! Own records on one side, dimpl's on the other.

use std::time::Duration;

use dimpl::crypto::aws_lc_rs::default_provider;
use dimpl::crypto::{Cipher, CryptoProvider, Dtls12CipherSuite, HashAlgorithm, SupportedDtls12CipherSuite};

use super::super::{Context, Dtls, Event, Provider, Version, tap};
use super::pair::{Pair, context};
use crate::machine::rng::Rng;

pub(super) const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Dtls13];

/// The system's primitives with one suite of each version: the n-th of ours.
pub(super) fn primitives(n: usize) -> CryptoProvider {
    let real = default_provider();
    let (cipher_suites, dtls13_cipher_suites) = (&real.cipher_suites[n..=n], &real.dtls13_cipher_suites[n..=n]);
    CryptoProvider { cipher_suites, dtls13_cipher_suites, ..real }
}

/// All there is to choose: a version, a suite, and who is the client.
fn all(mut test: impl FnMut(Version, usize, usize)) {
    for (version, suite) in VERSIONS.into_iter().flat_map(|version| (0..3).map(move |suite| (version, suite))) {
        (0..2).for_each(|ours| test(version, suite, ours));
    }
}

/// An end of ours at place `ours`, and one that stays with dimpl, both connected.
pub(super) fn mixed(version: Version, ours: usize, own: &Context, theirs: &Context) -> Pair {
    let contexts = if ours == 0 { [own, theirs] } else { [theirs, own] };
    let mut pair = Pair::between(contexts, [version; 2], [None; 2]);
    pair.run(Duration::from_secs(1), |_, _| false);
    assert!(pair.ends[ours].has_own_records() && !pair.ends[1 - ours].has_own_records());
    pair
}

/// Sends random messages both ways, some of them in another order, and compares.
pub(super) fn exchange(pair: &mut Pair, rng: &mut Rng, messages: usize) {
    for _ in 0..messages {
        let from = rng.below(2) as usize;
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for _ in 0..=rng.below(4) {
            let mut text = vec![0; 1 + rng.below(1_400) as usize];
            rng.fill(&mut text);
            texts.push(text);
        }
        let mut datagrams: Vec<_> =
            texts.iter().map(|text| pair.say(from, text).unwrap_or_else(|| panic!("{:?}", pair.events))).collect();
        if rng.chance(0.5) {
            datagrams.reverse();
            texts.reverse();
        }
        pair.received[1 - from].clear();
        datagrams.iter_mut().for_each(|datagram| pair.give(1 - from, datagram));
        assert_eq!(pair.received[1 - from], texts);
        pair.settle();
    }
}

#[test]
fn dimpl_reads_what_own_records_seal_and_the_other_way_round() {
    let mut rng = Rng::from_u64(1);
    all(|version, suite, ours| {
        let own = context(Provider::new(&primitives(suite)).unwrap());
        let theirs = context(Provider::untapped(&primitives(suite)).unwrap());
        let mut pair = mixed(version, ours, &own, &theirs);
        exchange(&mut pair, &mut rng, 300);
        assert!(pair.ends.iter().all(|end| end.statistics().drops.total() == 0), "{:?}", pair.ends);
    });
}

#[test]
fn own_records_read_what_own_records_seal() {
    let mut rng = Rng::from_u64(2);
    for (version, suite) in VERSIONS.into_iter().flat_map(|version| (0..3).map(move |suite| (version, suite))) {
        let context = context(Provider::new(&primitives(suite)).unwrap());
        let mut pair = Pair::between([&context; 2], [version; 2], [None; 2]);
        pair.run(Duration::from_secs(1), |_, _| false);
        assert!(pair.ends.iter().all(Dtls::has_own_records));
        exchange(&mut pair, &mut rng, 300);
    }
}

#[test]
fn a_goodbye_is_understood_by_either_side() {
    all(|version, suite, ours| {
        for closing in 0..2 {
            let own = context(Provider::new(&primitives(suite)).unwrap());
            let theirs = context(Provider::untapped(&primitives(suite)).unwrap());
            let mut pair = mixed(version, ours, &own, &theirs);
            pair.settle();
            pair.events.iter_mut().for_each(Vec::clear);
            pair.ends[closing].close(pair.now);
            pair.settle();
            assert_eq!(pair.events[1 - closing], [Event::Closed], "{version:?}, {closing} closes, ours is {ours}");
            assert!(pair.say(closing, b"more").is_none() && pair.say(1 - closing, b"more").is_none());
        }
    });
}

#[test]
fn what_is_not_tapped_stays_on_dimpls_records() {
    let context = context(Provider::untapped(&default_provider()).unwrap());
    for version in VERSIONS {
        let mut pair = Pair::between([&context; 2], [version; 2], [None; 2]);
        pair.run(Duration::from_secs(1), |_, _| false);
        assert!(pair.ends.iter().all(|end| end.is_connected() && !end.has_own_records()));
        exchange(&mut pair, &mut Rng::from_u64(3), 50);
    }
}

#[test]
fn a_provider_with_a_suite_that_we_do_not_know_is_not_tapped() {
    static SUITES: [&dyn SupportedDtls12CipherSuite; 1] = [&Foreign];
    assert!(tap::tapped(&default_provider()).is_some());
    assert!(tap::tapped(&CryptoProvider { cipher_suites: &SUITES, ..default_provider() }).is_none());
}

/// TLS_ECDHE_ECDSA_WITH_AES_128_CCM.
#[derive(Debug)]
struct Foreign;

impl SupportedDtls12CipherSuite for Foreign {
    fn suite(&self) -> Dtls12CipherSuite {
        Dtls12CipherSuite::from_u16(0xc0ac)
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn key_lengths(&self) -> (usize, usize, usize) {
        (0, 16, 4)
    }

    fn explicit_nonce_len(&self) -> usize {
        8
    }

    fn tag_len(&self) -> usize {
        16
    }

    fn create_cipher(&self, _: &[u8]) -> Result<Box<dyn Cipher>, dimpl::CryptoError> {
        unreachable!("it is never chosen")
    }
}
