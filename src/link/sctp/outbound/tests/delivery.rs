//! What arrives, whatever the network does.

use super::super::super::config::{Agreed, Config, Reliability};
use super::super::super::congestion::Congestion;
use super::super::Head;
use super::harness::{FIRST, HEADER, ORDERED, PATH, Path, World, agreed, at, chunks, drain, ms, sack, started};
use crate::machine::time::Instant;
use crate::wire::sctp::Packet;

fn message(number: u32, len: usize) -> Vec<u8> {
    number.to_be_bytes().into_iter().chain((0..len).map(|i| (i as u32 * 31 + number) as u8)).collect()
}

#[test]
fn a_message_goes_in_one_packet_and_is_gone_when_acknowledged() {
    let mut outbound = started(&Config::default());
    assert!(outbound.write(Instant::ZERO, 3, ORDERED, b"hello"));
    assert_eq!((outbound.buffered(3), outbound.streams.queued(), outbound.is_idle()), (5, 5, false));

    let packets = drain(&mut outbound, Instant::ZERO);

    let got = chunks(&packets[0]);
    assert_eq!((packets.len(), got.len()), (1, 1));
    assert_eq!((got[0].tsn, got[0].stream, &got[0].payload[..]), (FIRST, 3, &b"hello"[..]));
    assert!(got[0].is_begin && got[0].is_end && !got[0].is_unordered);
    assert!(!outbound.has_unsent(3) && outbound.has_unacked(3) && !outbound.is_idle());
    sack(&mut outbound, at(50), FIRST, 1 << 20, &[], &[]).unwrap();
    assert!(outbound.is_idle() && !outbound.has_unacked(3) && outbound.deadline().is_none());
    assert_eq!((outbound.rtt(), outbound.room()), (Some(ms(50)), Config::default().send_bound));
}

#[test]
fn large_messages_fill_packets_of_equal_size() {
    let mut outbound = started(&Config { congestion: Congestion::Reno, ..Config::default() });
    for number in 0..4 {
        assert!(outbound.write(Instant::ZERO, 0, ORDERED, &message(number, 16_380)));
    }
    let packets = drain(&mut outbound, Instant::ZERO);
    assert!(packets.len() >= 10);
    assert!(
        packets.iter().all(|packet| packet.len() == 1_160),
        "{:?}",
        packets.iter().map(Vec::len).collect::<Vec<_>>()
    );
}

#[test]
fn small_messages_share_packets() {
    let mut outbound = started(&Config::default());
    for _ in 0..28 {
        assert!(outbound.write(Instant::ZERO, 0, ORDERED, &[7; 64]));
    }
    let packets = drain(&mut outbound, Instant::ZERO);
    assert_eq!(packets.iter().map(|packet| chunks(packet).len()).collect::<Vec<_>>(), [14, 14]);
}

#[test]
fn what_is_written_before_the_start_waits_for_it() {
    let mut outbound = super::super::Outbound::new(&Config::default(), FIRST);
    assert!(outbound.write(Instant::ZERO, 1, ORDERED, b"early") && outbound.write(Instant::ZERO, 9, ORDERED, b"lost"));
    assert!(!outbound.is_due(Instant::ZERO) && outbound.deadline().is_none());
    outbound.start(Instant::ZERO, 1_500, Agreed { outbound_streams: 9, ..agreed() });
    assert!(!outbound.write(Instant::ZERO, 9, ORDERED, b"there is no such stream"));
    assert!(!outbound.write(Instant::ZERO, 8, ORDERED, b""), "SCTP has no empty messages");
    let packets = drain(&mut outbound, Instant::ZERO);
    assert_eq!(chunks(&packets[0]).len(), 1);
}

#[test]
fn a_packet_that_has_little_room_left_is_used_all_the_same() {
    let mut outbound = started(&Config::default());
    outbound.write(Instant::ZERO, 0, ORDERED, &[1; 1_100]);
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, 1_160);
    packet.pad(100);
    outbound.fill(Instant::ZERO, &mut packet);
    assert_eq!(packet.len(), 1_160);
}

/// Messages of all kinds through a bad network; reliable ones exactly once, ordered ones in order, others at most once.
fn run(seed: u64, path: Path, is_interleaved: bool, most_gaps: usize, window: u32) -> World {
    let agreed = Agreed { is_interleaved, ..agreed() };
    let config = Config { send_bound: 64 << 10, ..Config::default() };
    let mut world = World::new(&config, agreed, path, seed);
    world.receiver.most_gaps = most_gaps;
    world.receiver.window = window;
    world.sender.start(Instant::ZERO, window, agreed);
    let kinds = [
        Reliability::Reliable,
        Reliability::MaxRetransmits(0),
        Reliability::MaxRetransmits(2),
        Reliability::MaxLifetime(ms(40)),
    ];
    let mut sent: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 8];
    for number in 0..250 {
        let stream = world.rng.below(8) as u16;
        let head = Head { is_ordered: stream < 4, reliability: kinds[usize::from(stream % 4)], ppid: 53 };
        let len = [1, 60, 1_200, 5_000, 20_000][world.rng.below(5) as usize];
        let message = message(number, len);
        while !world.write(stream, head, &message) {
            assert!(world.step(Instant::from_nanos(u64::MAX)), "stuck at {}: {:?}", world.now, world.sender);
        }
        sent[usize::from(stream)].push(message);
    }
    world.settle();
    check(&world, &sent, is_interleaved);
    world
}

fn check(world: &World, sent: &[Vec<Vec<u8>>], is_interleaved: bool) {
    let got = world.receiver.messages(is_interleaved);
    for (stream, sent) in sent.iter().enumerate() {
        let mut of_stream: Vec<_> = got.iter().filter(|(id, ..)| usize::from(*id) == stream).collect();
        if stream < 4 {
            of_stream.sort_by_key(|(_, _, number, _)| *number);
        }
        let bytes: Vec<&Vec<u8>> = of_stream.iter().map(|(.., bytes)| bytes).collect();
        if stream % 4 == 0 {
            let mut all: Vec<&Vec<u8>> = sent.iter().collect();
            let mut bytes = bytes.clone();
            if stream >= 4 {
                all.sort();
                bytes.sort();
            }
            assert_eq!(all, bytes, "stream {stream}");
        }
        let mut place = 0;
        for one in &bytes {
            let at = sent.iter().position(|message| message == *one).expect("it was sent");
            assert!(stream >= 4 || at >= place, "stream {stream} out of order");
            place = at + 1;
        }
        let mut unique = bytes.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), bytes.len(), "stream {stream} repeats");
    }
}

#[test]
fn reliable_messages_arrive_exactly_once_and_others_at_most_once() {
    let mut abandoned = 0;
    let mut retransmitted = 0;
    for seed in 0..60 {
        let loss = [0.0, 0.01, 0.1, 0.3][seed as usize % 4];
        let jitter = ms([0, 1, 30][seed as usize % 3]);
        let path = Path { loss, jitter, duplication: 0.05 * (seed % 2) as f64, ..PATH };
        let window = [3_000, 20_000, 1 << 20][(seed / 4) as usize % 3];
        let world = run(seed, path, seed % 2 == 1, [3, 20, 250][(seed / 2) as usize % 3], window);
        let counts = world.sender.statistics();
        abandoned += counts.abandoned;
        retransmitted += counts.retransmitted;
        assert_eq!((counts.flight, counts.held, world.sender.room()), (0, 0, 64 << 10), "seed {seed}");
    }
    println!("{retransmitted} chunks sent again, {abandoned} messages given up");
    assert!(abandoned > 100 && retransmitted > 1_000);
}

#[test]
fn without_consent_nothing_is_given_up_half_sent() {
    let agreed = Agreed { has_forward_tsn: false, ..agreed() };
    let mut world = World::new(&Config::default(), agreed, Path { loss: 0.2, ..PATH }, 1);
    for number in 0..100 {
        let head = Head { reliability: Reliability::MaxRetransmits(0), ..ORDERED };
        assert!(world.write(0, head, &message(number, 1_500)));
    }
    world.settle();
    assert_eq!(world.receiver.messages(false).len(), 100);
}
