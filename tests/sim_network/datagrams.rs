//! Datagrams between hosts, and what links do to them.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::datagram::{Ecn, Transmit};
use switchboard::machine::port::PortError;
use switchboard::sim::{Conditions, Delay, DropReason, INTERNET, Link, Loss, Profile, World};

use crate::talker::{Talker, add, any, any_v6, place, say, talker, words};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn drops(world: &World<Talker>) -> Vec<(DropReason, u64)> {
    world.drops().collect()
}

#[test]
fn a_datagram_comes_whole_after_the_delay_with_its_source_and_its_mark() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    world.delay(a, b, 7 * MILLI);
    let transmit = Transmit { ecn: Some(Ecn::Ect0), ..Transmit::to(place(&world, b), 5) };
    world.act(a, |talker, _| talker.transmit(transmit, b"hello"));
    world.run_to_quiescence(SECOND).unwrap();
    let [heard] = &world.machine(b).heard[..] else { panic!("{:?}", world.machine(b).heard) };
    assert_eq!((heard.source, heard.ecn, &heard.bytes[..]), (place(&world, a), Some(Ecn::Ect0), &b"hello"[..]));
    assert_eq!(heard.at.as_nanos(), 7_000_000);
}

#[test]
fn a_batch_arrives_as_its_datagrams_and_an_empty_datagram_arrives() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    let to = place(&world, b);
    world.act(a, |talker, _| talker.transmit(Transmit::to(to, 2), b"aabbc"));
    say(&mut world, a, to, b"");
    world.run_to_quiescence(SECOND).unwrap();
    assert_eq!(words(&world, b), ["aa", "bb", "c", ""]);
}

#[test]
fn ipv6_has_addresses_and_a_way_of_its_own() {
    let mut world = World::new(1);
    let a = add(&mut world, INTERNET, "a", Talker::on(any_v6(5000)));
    let b = add(&mut world, INTERNET, "b", Talker::echo(any_v6(5000)));
    let to = SocketAddr::new(world.address_v6(b), 5000);
    say(&mut world, a, to, b"six");
    let v4 = place(&world, b);
    say(&mut world, a, v4, b"a socket has one family");
    world.run_to_quiescence(SECOND).unwrap();
    assert_eq!(words(&world, a), ["six"]);
}

#[test]
fn a_port_is_bound_once_and_only_on_an_address_of_its_own() {
    let mut world = World::new(1);
    let a = talker(&mut world, INTERNET, "a");
    let own = place(&world, a);
    let b = add(&mut world, INTERNET, "b", Talker::on(own));
    assert_eq!(world.machine(b).failed, Some(PortError::AddressNotAvailable));
    assert_eq!(world.machine(a).failed, None);
    world.act(a, |talker, cx| talker.start(cx));
    assert_eq!(world.machine(a).failed, Some(PortError::AddressInUse));
}

#[test]
fn a_host_may_have_several_addresses_and_answers_from_the_one_that_was_asked() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    let [second, _] = world.add_addresses(b);
    let to = SocketAddr::new(second, 5000);
    say(&mut world, a, to, b"to the second");
    let back = place(&world, a);
    let from_second = Transmit { source: Some(second), ..Transmit::to(back, 4) };
    world.act(b, |talker, _| talker.transmit(from_second, b"from"));
    world.run_to_quiescence(SECOND).unwrap();
    assert_eq!(words(&world, b), ["to the second"]);
    assert_eq!(world.machine(a).heard[0].source, to);
    let stranger = Transmit { source: Some(place(&world, a).ip()), ..Transmit::to(back, 4) };
    world.act(b, |talker, _| talker.transmit(stranger, b"fake"));
    world.run_to_quiescence(SECOND).unwrap();
    assert_eq!(words(&world, a), ["from"]);
}

#[test]
fn every_dropped_packet_has_a_reason() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    let to = place(&world, b);
    say(&mut world, a, SocketAddr::new(to.ip(), 9), b"nobody listens");
    say(&mut world, a, "192.0.2.1:9".parse().unwrap(), b"nobody is there");
    world.run_to_quiescence(SECOND).unwrap();
    world.cut(a, b);
    say(&mut world, a, to, b"cut");
    world.heal(a, b);
    world.kill(b);
    say(&mut world, a, to, b"down");
    world.run_to_quiescence(SECOND).unwrap();
    let expected = [DropReason::Cut, DropReason::NoRoute, DropReason::HostDown, DropReason::NoSocket];
    assert_eq!(drops(&world), expected.map(|reason| (reason, 1)));
}

#[test]
fn a_socket_that_nobody_reads_holds_what_linux_would_and_no_more() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    world.default_delay(Duration::ZERO);
    let to = place(&world, b);
    world.act(a, |talker, _| talker.transmit(Transmit::to(to, 1000), &[7; 400_000]));
    world.run_to_quiescence(SECOND).unwrap();
    let came = world.machine(b).heard.len();
    assert!((160..180).contains(&came), "{came} came at once");
    assert_eq!(drops(&world), [(DropReason::SocketFull, 400 - came as u64)]);
}

#[test]
fn each_direction_of_a_link_loses_by_itself() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), add(&mut world, INTERNET, "b", Talker::echo(any(5000))));
    let lossy = Conditions { loss: Loss::Independent(0.5), ..Conditions::default() };
    world.link(b, Link { up: Conditions::default(), down: lossy });
    let to = place(&world, b);
    for _ in 0..1000 {
        say(&mut world, a, to, b"x");
    }
    world.run_to_quiescence(SECOND).unwrap();
    let (went, came) = (world.machine(b).heard.len(), world.machine(a).heard.len());
    assert_eq!(went, came);
    assert!((430..570).contains(&came), "{came} came");
}

#[test]
fn a_black_hole_swallows_what_is_too_large_and_nothing_else() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    world.link(a, Link::symmetric(Conditions { mtu: 1280, black_hole: true, ..Conditions::default() }));
    let to = place(&world, b);
    for size in [1252, 1253, 100] {
        say(&mut world, a, to, &vec![1; size]);
    }
    world.run_to_quiescence(SECOND).unwrap();
    assert_eq!(world.machine(b).heard.iter().map(|heard| heard.bytes.len()).collect::<Vec<_>>(), [1252, 100]);
    assert_eq!(drops(&world), [(DropReason::BlackHole, 1)]);
}

#[test]
fn a_queue_in_front_of_a_slow_link_holds_up_and_then_drops() {
    let mut world = World::new(1);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    world.default_delay(Duration::ZERO);
    let slow = Conditions { rate: Some(100_000), queue: 10_000, ..Conditions::default() };
    world.link(b, Link { up: Conditions::default(), down: slow });
    let to = place(&world, b);
    world.act(a, |talker, _| talker.transmit(Transmit::to(to, 972), &[7; 972 * 20]));
    world.run_to_quiescence(SECOND).unwrap();
    let times: Vec<_> = world.machine(b).heard.iter().map(|heard| heard.at.as_nanos() / 1_000_000).collect();
    assert_eq!(times, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    assert_eq!(drops(&world), [(DropReason::QueueFull, 10)]);
}

#[test]
fn every_profile_has_the_loss_and_the_round_trip_of_its_figures() {
    let figures =
        [(16, 0.001), (40, 0.01), (90, 0.02), (200, 0.03), (300, 0.05), (450, 0.08), (600, 0.015), (450, 0.12)];
    for (profile, (round_trip, loss)) in Profile::ALL.into_iter().zip(figures) {
        let (mut sent, mut went, mut came) = (0.0, 0.0, 0.0);
        for seed in 0..10 {
            let mut world = World::new(seed);
            let (a, b) = (talker(&mut world, INTERNET, "a"), add(&mut world, INTERNET, "b", Talker::echo(any(5000))));
            world.default_delay(Duration::ZERO);
            world.link(a, profile.link());
            let to = place(&world, b);
            for _ in 0..3000 {
                say(&mut world, a, to, b"x");
                world.run_for(20 * MILLI).unwrap();
            }
            world.run_to_quiescence(10 * SECOND).unwrap();
            sent += 3000.0;
            went += world.machine(b).heard.len() as f64;
            came += world.machine(a).heard.len() as f64;
            let first = world.machine(a).heard[0].at.as_nanos() / 1_000_000;
            assert!(first < round_trip * 2 + 1000, "{profile}, seed {seed}: {first} ms");
        }
        let lost = [1.0 - went / sent, 1.0 - came / went];
        println!("{profile}: {lost:?} of {loss} lost");
        assert!(lost.iter().all(|lost| (loss / 2.0..loss * 2.0).contains(lost)), "{profile}: {lost:?}");
    }
}

#[test]
fn delays_vary_as_they_were_told_to() {
    let mut world = World::new(5);
    let (a, b) = (talker(&mut world, INTERNET, "a"), talker(&mut world, INTERNET, "b"));
    world.default_delay(Duration::ZERO);
    let delay = Delay::Uniform(10 * MILLI, 30 * MILLI);
    world.link(a, Link::symmetric(Conditions { delay, ..Conditions::default() }));
    let to = place(&world, b);
    let mut waits = Vec::new();
    for _ in 0..200 {
        let start = world.now();
        say(&mut world, a, to, b"x");
        world.run_for(50 * MILLI).unwrap();
        waits.push(world.machine(b).heard.last().unwrap().at - start);
    }
    assert!(waits.iter().all(|wait| (10 * MILLI..=30 * MILLI).contains(wait)));
    let spread = *waits.iter().max().unwrap() - *waits.iter().min().unwrap();
    assert!(spread > 15 * MILLI, "{spread:?}");
}
