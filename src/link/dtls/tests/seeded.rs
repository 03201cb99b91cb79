//! Worlds: every byte follows from the seeds.

use std::time::Duration;

use super::super::{Dtls, seeded};
use super::dimpl_partner::VERSIONS;
use super::pair::{Pair, context};
use crate::machine::rng::Rng;

#[test]
fn the_same_seeds_give_the_same_bytes_and_others_give_others() {
    let context = context(seeded::provider());
    for version in VERSIONS {
        let wire = |seeds: [u64; 2], loss: u64| {
            let mut rng = Rng::from_u64(loss);
            let mut pair = Pair::between([&context; 2], [version; 2], seeds.map(Some));
            pair.run(Duration::from_secs(5), |_, _| rng.chance(0.1));
            assert!(pair.ends.iter().all(Dtls::has_own_records), "{version:?}: {:?}", pair.events);
            pair.wire
        };
        assert!(wire([1, 2], 0) == wire([1, 2], 0));
        assert!(wire([1, 2], 9) == wire([1, 2], 9));
        assert!(wire([1, 2], 0)[0] != wire([3, 2], 0)[0]);
        assert!(wire([1, 2], 0)[1] != wire([1, 5], 0)[1]);
    }
}
