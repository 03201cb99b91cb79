//! Streams over links that lose, hosts that are slow, and peers that misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::port::{PortError, PortRequest};
use switchboard::machine::time::Instant;
use switchboard::sim::{Conditions, Delay, INTERNET, Link, Loss, OldStreams, Streams, World};

use crate::peer::{Heard, Pair, Peer, dial, heard, listen, pair, pattern};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn received(world: &World<Peer>, host: switchboard::sim::HostId) -> usize {
    world.machine(host).received.values().map(Vec::len).sum()
}

#[test]
fn what_a_link_loses_comes_whole_and_in_order_and_late() {
    for seed in 0..20 {
        let Pair { mut world, a, b, here, there } = pair(seed);
        world.link(a, Link::symmetric(Conditions { loss: Loss::Independent(0.05), ..Conditions::default() }));
        let (bytes, start) = (pattern(300_000), world.now());
        world.act(a, |peer, _| peer.send(here, &bytes));
        world.run_until(|world| received(world, b) == bytes.len(), 10 * MINUTE).unwrap();
        assert!(world.machine(b).received[&there] == bytes, "seed {seed}");
        assert!(world.now() - start > 200 * MILLI, "seed {seed}: nothing was late");
    }
}

#[test]
fn a_lost_segment_comes_a_time_out_later_and_holds_up_what_follows() {
    let Pair { mut world, a, b, here, .. } = pair(2);
    world.act(a, |peer, _| peer.send(here, b"to know the round trip"));
    world.run_for(SECOND).unwrap();
    let before = received(&world, b);
    world.link(a, Link { up: Conditions { loss: Loss::Independent(1.0), ..Conditions::default() }, ..Link::default() });
    world.act(a, |peer, _| peer.send(here, b"lost"));
    world.link(a, Link::default());
    let start = world.now();
    world.act(a, |peer, _| peer.send(here, b"and what follows"));
    world.run_until(|world| received(world, b) > before, SECOND).unwrap();
    assert_eq!(received(&world, b) - before, b"lostand what follows".len());
    let wait = world.now() - start;
    assert!((200 * MILLI..300 * MILLI).contains(&wait), "{wait:?}");
}

#[test]
fn loss_slows_a_stream_down_and_it_recovers() {
    let time = |loss| {
        let Pair { mut world, a, b, here, .. } = pair(7);
        let conditions = Conditions { delay: Delay::Constant(20 * MILLI), loss, ..Conditions::default() };
        world.link(a, Link::symmetric(conditions));
        let start = world.now();
        world.act(a, |peer, _| peer.send(here, &pattern(1 << 20)));
        world.run_until(|world| received(world, b) == 1 << 20, 10 * MINUTE).unwrap();
        world.now() - start
    };
    let (clean, lossy, bad) = (time(Loss::Never), time(Loss::Independent(0.01)), time(Loss::Independent(0.05)));
    println!("{clean:?} without loss, {lossy:?} at 1 %, {bad:?} at 5 %");
    assert!(clean * 2 < lossy && lossy < bad && bad < clean * 100);
}

#[test]
fn a_lost_syn_is_repeated_after_a_second() {
    let mut world = World::new(4);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    listen(&mut world, b, 80);
    world.unplug(b);
    let address = SocketAddr::new(world.address(b), 80);
    let port = dial(&mut world, a, address);
    world.run_for(500 * MILLI).unwrap();
    world.plug(b);
    world.run_for(SECOND).unwrap();
    assert_eq!(heard(&mut world, a, port), [(Instant::ZERO + 1020 * MILLI, Heard::Opened)]);
}

#[test]
fn a_host_may_take_its_time_to_answer_a_dial() {
    let mut world = World::new(4);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    world.streams(b, Streams { handshake: 300 * MILLI, ..Streams::default() });
    listen(&mut world, b, 80);
    let address = SocketAddr::new(world.address(b), 80);
    let port = dial(&mut world, a, address);
    world.run_for(SECOND).unwrap();
    assert_eq!(heard(&mut world, a, port), [(Instant::ZERO + 320 * MILLI, Heard::Opened)]);
}

#[test]
fn segments_may_be_of_one_byte_each() {
    let mut world = World::new(4);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    world.streams(a, Streams { segment: 1, ..Streams::default() });
    let reorder = Conditions { reorder: 0.3, ..Conditions::default() };
    world.link(a, Link::symmetric(reorder));
    listen(&mut world, b, 80);
    let address = SocketAddr::new(world.address(b), 80);
    let port = dial(&mut world, a, address);
    world.run_for(SECOND).unwrap();
    world.act(a, |peer, _| peer.send(port, b"hello"));
    world.run_for(SECOND).unwrap();
    let counts: Vec<_> =
        world.events(b).into_iter().filter(|(_, (_, heard))| matches!(heard, Heard::Bytes(_))).collect();
    assert!(!counts.is_empty());
    assert_eq!(world.machine(b).received.values().next().unwrap(), b"hello");
}

#[test]
fn a_slow_reader_slows_the_sender_down() {
    let mut world = World::new(4);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    world.streams(b, Streams { drain: Some(100_000), ..Streams::default() });
    listen(&mut world, b, 80);
    let address = SocketAddr::new(world.address(b), 80);
    let port = dial(&mut world, a, address);
    world.run_for(SECOND).unwrap();
    let start = world.now();
    world.act(a, |peer, _| peer.send(port, &pattern(300_000)));
    world.run_until(|world| received(world, b) == 300_000, MINUTE).unwrap();
    let took = world.now() - start;
    assert!((2_900 * MILLI..3_200 * MILLI).contains(&took), "{took:?}");
}

#[test]
fn a_stream_may_be_reset_in_the_middle_of_what_is_sent() {
    let Pair { mut world, a, b, here, there } = pair(2);
    world.reset_after(a, b, 700);
    world.act(a, |peer, _| peer.send(here, &pattern(1000)));
    world.run_for(SECOND).unwrap();
    assert!(heard(&mut world, a, here).iter().any(|(_, heard)| *heard == Heard::Failed(PortError::Reset)));
    let events = heard(&mut world, b, there);
    assert!(events.iter().any(|(_, heard)| *heard == Heard::Failed(PortError::Reset)), "{events:?}");
    assert!(received(&world, b) <= 700);
}

#[test]
fn a_silent_port_is_not_refused() {
    let mut world = World::new(4);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    listen(&mut world, b, 80);
    world.silence(b, 80, true);
    let address = SocketAddr::new(world.address(b), 80);
    let port = dial(&mut world, a, address);
    world.run_for(10 * SECOND).unwrap();
    assert_eq!(heard(&mut world, a, port), []);
    world.silence(b, 80, false);
    world.run_for(10 * SECOND).unwrap();
    assert_eq!(heard(&mut world, a, port), [(Instant::ZERO + 15_020 * MILLI, Heard::Opened)]);
}

#[test]
fn streams_break_or_linger_when_their_host_moves() {
    for (streams, expected) in [(OldStreams::Break, Some(PortError::Unreachable)), (OldStreams::Linger, None)] {
        let Pair { mut world, a, here, .. } = pair(2);
        world.act(a, |peer, _| peer.send(here, b"x"));
        world.roam(a, INTERNET, streams);
        world.run_for(MINUTE).unwrap();
        let failed = heard(&mut world, a, here).into_iter().find_map(|(_, heard)| match heard {
            Heard::Failed(error) => Some(error),
            _ => None,
        });
        assert_eq!(failed, expected, "{streams:?}");
    }
}

#[test]
fn a_name_may_time_out_and_an_answer_is_believed_as_long_as_it_lives() {
    let mut world = World::new(4);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    world.name("b.example", &[b]);
    world.name_lives("b.example", MINUTE);
    world.name_is_silent("silent.example");
    let ask = |world: &mut World<Peer>, name: &str| {
        let (port, start) = (world.act(a, |peer, cx| peer.resolve(cx, name)), world.now());
        world.run_for(15 * SECOND).unwrap();
        let (at, answer) = heard(world, a, port).remove(0);
        (at - start, answer)
    };
    assert_eq!(ask(&mut world, "silent.example"), (10 * SECOND, Heard::Failed(PortError::TimedOut)));
    let address = world.address(b);
    let known = Heard::Resolved([address].into_iter().collect());
    assert_eq!(ask(&mut world, "b.example"), (5 * MILLI, known.clone()));
    world.name_fails("b.example");
    assert_eq!(ask(&mut world, "b.example").1, known);
    world.run_for(MINUTE).unwrap();
    assert_eq!(ask(&mut world, "b.example").1, Heard::Failed(PortError::NameNotFound));
}

#[test]
fn a_stream_whose_end_is_paused_still_breaks_when_its_host_moves() {
    let Pair { mut world, a, here, .. } = pair(2);
    world.act(a, |peer, _| peer.request(here, PortRequest::Pause));
    world.roam(a, INTERNET, OldStreams::Break);
    world.act(a, |peer, _| peer.request(here, PortRequest::Resume));
    world.run_for(SECOND).unwrap();
    assert!(heard(&mut world, a, here).iter().any(|(_, heard)| *heard == Heard::Failed(PortError::Unreachable)));
}
