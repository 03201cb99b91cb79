//! What an association holds, and that it allocates only as long as sizes settle.

use std::time::Duration;

use crate::link::sctp::{Association, ChannelConfig, Config};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// Sends messages from one to the other until `count` have come; the buffers are the caller's.
fn transfer(
    pair: &mut [Association; 2],
    now: &mut Instant,
    stream: u16,
    message: &[u8],
    count: usize,
    out: &mut Vec<u8>,
) {
    let (mut sent, mut came) = (0, 0);
    while came < count {
        while sent < count && pair[0].write(*now, stream, true, message) {
            sent += 1;
        }
        for from in 0..2 {
            out.clear();
            while pair[from].fill(*now, out) {
                pair[1 - from].receive(*now, out);
                out.clear();
            }
        }
        while pair[1].recv(*now).is_some() {
            came += 1;
        }
        *now = *now + Duration::from_millis(1);
        pair.iter_mut().for_each(|association| association.on_timeout(*now));
    }
}

fn pair() -> ([Association; 2], Instant, u16) {
    let (now, mut rng) = (Instant::from_nanos(1), Rng::from_u64(1));
    let mut pair = [true, false].map(|_| Association::new(Config::default(), &mut rng));
    let chunks = [0, 1].map(|end: usize| pair[end].init_chunk());
    for end in 0..2 {
        pair[end].start_with(now, &chunks[1 - end], end == 0).unwrap();
    }
    let stream = pair[0].open(now, ChannelConfig::default()).unwrap();
    (pair, now, stream)
}

#[test]
fn a_transfer_that_is_going_allocates_next_to_nothing() {
    for len in [64, 1_000, 16 << 10] {
        let (mut pair, mut now, stream) = pair();
        let (message, mut out) = (vec![1; len], Vec::with_capacity(2_000));
        transfer(&mut pair, &mut now, stream, &message, 20_000, &mut out);
        let work = || transfer(&mut pair, &mut now, stream, &message, 5_000, &mut out);
        let allocations = allocation_counter::measure(work).count_total;
        assert!(allocations <= 20, "{allocations} allocations for 5,000 messages of {len} bytes");
    }
}

#[test]
fn a_pair_at_rest_after_a_transfer_holds_little() {
    let info = allocation_counter::measure(|| {
        let (mut pair, mut now, stream) = pair();
        transfer(&mut pair, &mut now, stream, &[1; 16 << 10], 200, &mut Vec::new());
        for _ in 0..5 {
            now = now + Duration::from_secs(1);
            pair.iter_mut().for_each(|association| association.on_timeout(now));
        }
        std::mem::forget(pair);
    });
    assert!(info.bytes_current < 2 * 4_096, "{} bytes are held by two", info.bytes_current);
}
