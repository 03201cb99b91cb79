//! Datagrams of two live peers, altered by somebody who has no keys: nothing ends, and all arrives.
//!
//! A campaign alters fifty times as many.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::world::World;
use crate::link::sctp;
use crate::machine::campaign;
use crate::machine::rng::Rng;
use crate::stack::peer::data::{Data, UNSENT};
use crate::stack::peer::engine::{BULK, EngineConfig, Event, IceState, Partner};

/// Messages each way in one world.
const MESSAGES: u32 = 100;
/// What a world keeps besides the associations: agents, records, datagrams under way and messages that came.
const WORLD: usize = 1 << 20;

/// Datagrams that are altered.
fn datagrams() -> u64 {
    if campaign::is_full() { 1_000_000 } else { 20_000 }
}

fn config(partner: Partner) -> sctp::Config {
    sctp::Config {
        receive_window: 64 << 10,
        send_bound: UNSENT,
        max_message: 64 << 10,
        most_packet: 1_160,
        ..Data::association_config(&EngineConfig::new(partner, true))
    }
}

fn message(seed: u64, number: u32) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.resize(4 + Rng::from_u64(seed ^ u64::from(number) << 32).below(5_000) as usize, number as u8);
    message
}

/// Bits, bytes, ends and beginnings of a datagram altered, and others of its kind mixed in.
fn mutate(data: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let at = rng.below(data.len() as u64) as usize;
    match rng.below(7) {
        0 => data[at] ^= 1 << rng.below(8),
        1 => data[at] ^= 1 + rng.below(255) as u8,
        2 => data[at.min(12)] ^= 1 + rng.below(255) as u8,
        3 => data.truncate(at),
        4 => drop(data.drain(..at)),
        5 => data.splice(at.., other.iter().copied()).for_each(drop),
        _ => data.extend_from_slice(other),
    }
}

/// One world in which three of ten datagrams are altered, half of them besides the true ones; how many were.
fn live(seed: u64, partner: Partner) -> u64 {
    let channels = super::loss::kinds().into_iter().take(usize::from(partner == Partner::Foreign)).collect::<Vec<_>>();
    let mut world = World::connected(seed, partner, &config(partner), &channels);
    let (mut rng, count, mut other) = (Rng::from_u64(seed), Rc::new(Cell::new(0)), Vec::new());
    let counter = count.clone();
    world.meddle = Some(Box::new(move |data| {
        let (mut altered, is_besides) = (data.clone(), rng.chance(0.5));
        let before = std::mem::replace(&mut other, data.clone());
        if rng.chance(0.7) {
            return vec![data];
        }
        counter.set(counter.get() + 1);
        mutate(&mut altered, &before, &mut rng);
        if is_besides { vec![altered, data] } else { vec![altered] }
    }));
    for number in 0..MESSAGES {
        for n in [0, 1] {
            let message = message(seed, number);
            let has_room = |world: &World| world.ends[n].peer.room() >= message.len();
            assert!(world.run_until(Duration::from_secs(60), has_room), "seed {seed}: nothing moves");
            assert!(world.write(n, BULK, &message));
        }
    }
    let is_heard = |world: &World| world.ends.iter().all(|end| end.heard.len() >= MESSAGES as usize);
    assert!(world.run_until(Duration::from_secs(120), is_heard), "seed {seed}: not all arrives");
    world.run(Duration::from_secs(1));
    check(&mut world, seed);
    count.get()
}

fn check(world: &mut World, seed: u64) {
    for end in &mut world.ends {
        assert_eq!(end.over(), None, "seed {seed}");
        assert!(!end.events.contains(&Event::Ice(IceState::Disconnected)), "seed {seed}");
        end.heard.sort();
        assert_eq!(end.heard.len(), MESSAGES as usize, "seed {seed}");
        for ((channel, bytes), number) in end.heard.iter().zip(0..) {
            assert!(*channel == BULK && *bytes == message(seed, number), "seed {seed}: another message than was sent");
        }
    }
}

#[test]
fn nothing_that_a_stranger_alters_ends_a_peer_or_is_delivered() {
    let (mut count, mut seed, mut peak) = (0, 0_u64, 0);
    // What all worlds share is made here.
    live(0, Partner::Own);
    while count < datagrams() {
        let partner = if seed.is_multiple_of(2) { Partner::Own } else { Partner::Foreign };
        let config = config(partner);
        let most =
            2 * (config.receive_window as usize + 2 * config.max_message + (64 << 10) + config.send_bound) + WORLD;
        let held = allocation_counter::measure(|| count += live(seed, partner)).bytes_max;
        assert!(held as usize <= most, "seed {seed}: {held} bytes are held, {most} at most may be");
        (seed, peak) = (seed + 1, peak.max(held));
    }
    println!("{count} datagrams in {seed} worlds; at most {peak} bytes were held");
}
