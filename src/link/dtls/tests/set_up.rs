//! Set-up and take-over, whatever is lost.

use std::time::Duration;

use super::super::{Context, Dtls, Event, Provider, Version};
use super::pair::Pair;
use crate::machine::rng::Rng;
use crate::machine::time::Epoch;

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Dtls13];

#[test]
fn both_ends_connect_and_take_over() {
    for versions in [
        [Version::Dtls12; 2],
        [Version::Dtls13; 2],
        [Version::Auto; 2],
        [Version::Auto, Version::Dtls12],
        [Version::Dtls13, Version::Auto],
    ] {
        let mut pair = Pair::new(versions);
        pair.run(Duration::from_secs(1), |_, _| false);
        assert!(pair.events.iter().all(|events| *events == [Event::Connected]), "{versions:?}: {:?}", pair.events);
        assert!(pair.ends.iter().all(Dtls::has_own_records), "{versions:?}");
        assert!(pair.received.iter().all(|received| received.len() > 10));
        assert!(pair.ends.iter().all(|end| end.statistics().drops.total() == 0), "{:?}", pair.ends);
    }
}

#[test]
fn whichever_datagram_is_lost_both_ends_connect_and_take_over() {
    for version in VERSIONS {
        for (loser, lost) in (0..2).flat_map(|loser| (0..12).map(move |lost| (loser, lost))) {
            let mut pair = Pair::new([version; 2]);
            pair.run(Duration::from_secs(4), |from, number| (from, number) == (loser, lost));
            assert_connected(&pair, format_args!("{version:?}, datagram {lost} of end {loser}"));
        }
    }
}

#[test]
fn whichever_two_datagrams_are_lost_both_ends_connect_and_take_over() {
    for version in VERSIONS {
        for (first, second) in (0..8).flat_map(|first| (0..8).map(move |second| (first, second))) {
            let mut pair = Pair::new([version; 2]);
            pair.run(Duration::from_secs(6), |from, number| number == [first, second][from]);
            assert_connected(&pair, format_args!("{version:?}, datagrams {first} and {second}"));
        }
    }
}

#[test]
fn set_ups_at_one_and_five_percent_of_loss_all_succeed() {
    for (version, loss) in VERSIONS.into_iter().flat_map(|version| [(version, 0.01), (version, 0.05)]) {
        for seed in 0..300 {
            let mut rng = Rng::from_u64(seed);
            let mut pair = Pair::new([version; 2]);
            pair.run(Duration::from_secs(8), |_, _| rng.chance(loss));
            assert_connected(&pair, format_args!("{version:?}, seed {seed}, loss {loss}"));
        }
    }
}

#[test]
fn a_set_up_with_reordered_and_repeated_datagrams_succeeds_without_a_storm() {
    for (version, seed) in VERSIONS.into_iter().flat_map(|version| (0..100).map(move |seed| (version, seed))) {
        let mut rng = Rng::from_u64(seed);
        let mut pair = Pair::new([version; 2]);
        pair.jitter = Some(rng.fork());
        pair.run(Duration::from_secs(4), |_, _| rng.chance(0.05));
        assert_connected(&pair, format_args!("{version:?}, seed {seed}"));
        assert!(pair.sent.iter().all(|sent| *sent < 150), "{:?}", pair.sent);
    }
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_key_that_cannot_be_read_is_refused_before_there_is_a_connection() {
    let provider = Provider::system().unwrap();
    assert!(
        Context::new(provider, vec![1; 100], vec![2; 100], Epoch::new(std::time::Instant::now(), Duration::ZERO))
            .is_err()
    );
}

fn assert_connected(pair: &Pair, what: std::fmt::Arguments<'_>) {
    assert!(pair.events.iter().all(|events| *events == [Event::Connected]), "{what}: {:?}", pair.events);
    assert!(pair.ends.iter().all(Dtls::has_own_records), "{what}: {:?}", pair.ends);
}
