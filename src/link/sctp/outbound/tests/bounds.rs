//! Memory and work, whatever a peer does.

use allocation_counter::measure;

use super::super::super::config::{Config, Reliability};
use super::super::super::congestion::Congestion;
use super::super::{Head, Outbound};
use super::harness::{FIRST, HEADER, ORDERED, PATH, Path, World, agreed, at, drain, ms, sack, started};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::sctp::{Checksum, Chunk, Packet, Tsn, parse};

/// What a sender may hold at most beside twice its bound: records of messages, chunks and packets.
const RECORDS: u64 = 12 << 20;

/// Writes as much as there is room for, sends all that may leave, and acknowledges it.
fn exchange(outbound: &mut Outbound, now: Instant, message: &[u8], out: &mut Vec<u8>) {
    let mut stream = 0;
    while outbound.write(now, stream, ORDERED, message) {
        stream = (stream + 1) % 10;
    }
    loop {
        out.clear();
        let mut packet = Packet::begin(out, &HEADER, 1_160);
        outbound.fill(now, &mut packet);
        if !packet.has_chunks() {
            break;
        }
    }
    out.clear();
    let mut packet = Packet::begin(out, &HEADER, 1_160);
    packet.sack(outbound.next_tsn().previous(), 1 << 20, std::iter::empty(), std::iter::empty());
    packet.finish(false);
    let (_, mut chunks) = parse(out, Checksum::MayBeZero).unwrap();
    let Some(Ok(Chunk::Sack(sack))) = chunks.next() else { panic!("not a SACK") };
    outbound.on_sack(now, &sack).unwrap();
}

#[test]
fn nothing_is_allocated_once_sizes_have_settled() {
    for len in [1, 64, 1_000, 16_384, 100_000] {
        let mut outbound = started(&Config { congestion: Congestion::Cubic, ..Config::default() });
        let message = vec![7; len];
        let mut out = Vec::with_capacity(4_096);
        for round in 0..200 {
            exchange(&mut outbound, at(round), &message, &mut out);
        }
        let info = measure(|| {
            for round in 200..400 {
                exchange(&mut outbound, at(round), &message, &mut out);
            }
        });
        assert_eq!(info.count_total, 0, "messages of {len} bytes");
    }
}

#[test]
fn an_idle_sender_holds_next_to_nothing() {
    let mut kept = None;
    let info = measure(|| {
        let mut outbound = started(&Config::default());
        let mut out = Vec::new();
        for round in 0..100 {
            exchange(&mut outbound, at(round), &[7; 5_000], &mut out);
        }
        while !outbound.is_idle() {
            let now = outbound.deadline().map_or(at(100), |deadline| deadline.at);
            outbound.on_timeout(now);
            drain(&mut outbound, now);
            let last = outbound.next_tsn().previous();
            sack(&mut outbound, now, last, 1 << 20, &[], &[]).unwrap();
        }
        outbound.trim();
        drop(out);
        kept = Some(outbound);
    });
    assert!(info.bytes_current < 3_000, "{} bytes", info.bytes_current);
    let mut outbound = kept.unwrap();
    assert!(outbound.write(at(10_000), 0, ORDERED, &[1; 5_000]));
    assert!(!drain(&mut outbound, at(10_000)).is_empty());
}

#[test]
fn a_trickle_of_small_messages_lives_in_a_few_kilobytes() {
    let mut outbound = started(&Config::default());
    let info = measure(|| {
        for round in 0..1_000 {
            assert!(outbound.write(at(20 * round), 0, ORDERED, &[7; 300]));
            drain(&mut outbound, at(20 * round));
            sack(&mut outbound, at(20 * round + 10), FIRST.add(round as u32), 1 << 20, &[], &[]).unwrap();
        }
    });
    assert!(info.bytes_max < 12_000, "{} bytes", info.bytes_max);
}

#[test]
fn room_is_kept_to_and_told_when_half_of_it_is_free() {
    let mut outbound = started(&Config { send_bound: 10_000, congestion: Congestion::Reno, ..Config::default() });
    assert_eq!(outbound.room(), 10_000);
    for _ in 0..10 {
        assert!(outbound.write(at(0), 0, ORDERED, &[0; 1_000]));
    }
    assert!(!outbound.write(at(0), 0, ORDERED, &[0]) && outbound.room() == 0);
    outbound.want_room();
    assert!(!outbound.take_writable());
    drain(&mut outbound, at(0));
    sack(&mut outbound, at(50), FIRST.add(2), 1 << 20, &[], &[]).unwrap();
    assert!(!outbound.take_writable());
    let last = outbound.next_tsn().previous();
    sack(&mut outbound, at(50), last, 1 << 20, &[], &[]).unwrap();
    assert!(outbound.take_writable() && !outbound.take_writable());
}

#[test]
fn a_message_larger_than_the_bound_is_taken_when_nothing_else_is_held() {
    let mut outbound = started(&Config { send_bound: 1_000, ..Config::default() });
    assert!(outbound.write(at(0), 0, ORDERED, &[0; 5_000]));
    assert!(!outbound.write(at(0), 0, ORDERED, &[0; 1]));
}

#[test]
fn tiny_messages_are_bounded_by_number() {
    let mut outbound = started(&Config::default());
    let info = measure(|| while outbound.write(at(0), 0, ORDERED, &[0]) {});
    assert_eq!(outbound.streams.queued(), Config::default().send_bound / 32);
    assert!(info.bytes_current < 2 << 20, "{} bytes", info.bytes_current);
}

#[test]
fn a_peer_that_never_acknowledges_makes_it_hold_no_more() {
    let config = Config { congestion: Congestion::Cubic, ..Config::default() };
    let mut world = World::new(&config, agreed(), PATH, 1);
    world.is_cut = true;
    let info = measure(|| {
        for _ in 0..200 {
            while world.write(0, ORDERED, &[0; 60]) {}
            world.step(Instant::from_nanos(u64::MAX));
        }
    });
    assert!(info.bytes_max < RECORDS + 2 * config.send_bound as u64, "{} bytes", info.bytes_max);
    assert!(world.expired >= 100);
}

/// SACKs of all kinds, true and false, with limits, lifetimes and streams at random.
fn storm(seed: u64) -> Outbound {
    let mut rng = Rng::from_u64(seed);
    let mut outbound = started(&Config { send_bound: 64 << 10, ..Config::default() });
    let mut now = at(0);
    for _ in 0..2_000 {
        now = now + std::time::Duration::from_micros(rng.below(20_000));
        let reliability = match rng.below(3) {
            0 => Reliability::Reliable,
            1 => Reliability::MaxRetransmits(rng.below(2) as u16),
            _ => Reliability::MaxLifetime(ms(rng.below(100))),
        };
        let head = Head { ppid: 53, is_ordered: rng.chance(0.5), reliability };
        outbound.write(now, rng.below(20) as u16, head, &vec![0; 1 + rng.below(3_000) as usize]);
        while outbound.deadline().is_some_and(|deadline| deadline.at <= now) {
            outbound.on_timeout(now);
            drain(&mut outbound, now);
        }
        let ahead = outbound.next_tsn().since(FIRST);
        let cumulative = FIRST.add(rng.below(u64::from(ahead) + 1) as u32).previous();
        let cumulative = if rng.chance(0.7) { FIRST.add(ahead.saturating_sub(30)).previous() } else { cumulative };
        let gaps: Vec<(u16, u16)> = (0..rng.below(6)).map(|_| block(&mut rng)).collect();
        let duplicates: Vec<Tsn> = (0..rng.below(3)).map(|_| FIRST.add(rng.below(100) as u32)).collect();
        let window = [0, 1, 500, 100_000, u32::MAX][rng.below(5) as usize];
        let _ = sack(&mut outbound, now, cumulative, window, &gaps, &duplicates);
        if rng.chance(0.01) {
            outbound.discard(rng.below(20) as u16);
            outbound.set_packet(600 + 4 * rng.below(200) as usize);
            outbound.on_path(now, None);
        }
    }
    outbound
}

fn block(rng: &mut Rng) -> (u16, u16) {
    let first = 1 + rng.below(30) as u16;
    (first, first + rng.below(4) as u16)
}

#[test]
fn a_storm_of_acknowledgements_breaks_nothing() {
    let mut reneged = 0;
    for seed in 0..40 {
        let info = measure(|| {
            let outbound = storm(seed);
            let counts = outbound.statistics();
            reneged += counts.reneged;
            assert!(counts.held <= 64 << 10);
        });
        assert!(info.bytes_max < RECORDS, "{} bytes", info.bytes_max);
    }
    assert!(reneged > 1_000, "{reneged}");
}

#[test]
fn a_peer_that_takes_back_what_it_acknowledged_makes_no_list_grow() {
    let mut outbound = started(&Config { congestion: Congestion::Reno, ..Config::default() });
    for _ in 0..2_000 {
        outbound.write(at(0), 0, ORDERED, &[0; 4]);
    }
    let sent = drain(&mut outbound, at(0)).len() as u16;
    assert!(sent > 5);
    let gaps: Vec<(u16, u16)> = (1..=100).map(|i| (2 * i, 2 * i)).collect();
    let info = measure(|| {
        for _ in 0..5_000 {
            sack(&mut outbound, at(10), FIRST.previous(), 1 << 20, &gaps, &[]).unwrap();
            sack(&mut outbound, at(10), FIRST.previous(), 1 << 20, &[], &[]).unwrap();
        }
    });
    assert!(info.bytes_current < 100_000, "{} bytes", info.bytes_current);
    let mut world = World::new(&Config::default(), agreed(), Path { loss: 0.1, ..PATH }, 1);
    world.write(0, ORDERED, b"x");
    world.settle();
}
