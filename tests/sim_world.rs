//! The simulator, as somebody sees it who simulates machines of their own.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "sim_world/peer.rs"]
mod peer;

use std::net::SocketAddr;
use std::time::Duration;

use peer::{Heard, Pair, Peer, accepted, dial, heard, listen, nobody, pair, pattern};
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortError, PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use switchboard::sim::{Failure, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);

fn at(time: Duration) -> Instant {
    Instant::ZERO + time
}

#[test]
fn a_delay_is_honoured_to_the_nanosecond() {
    let delay = Duration::from_nanos(123_456_789);
    let mut world = World::new(1);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::echo()));
    world.delay(a, b, delay);
    listen(&mut world, b, 80);
    let address = SocketAddr::new(world.address(b), 80);
    let port = dial(&mut world, a, address);
    world.run_to_quiescence(SECOND).unwrap();
    assert_eq!(heard(&mut world, a, port), [(at(delay * 2), Heard::Opened)]);
    let start = world.now();
    world.act(a, |peer, _| peer.send(port, b"ping"));
    world.run_to_quiescence(SECOND).unwrap();
    assert_eq!(heard(&mut world, a, port), [(start + delay * 2, Heard::Bytes(4))]);
}

#[test]
fn a_mebibyte_comes_whole_and_in_order_through_a_window_that_closes() {
    let Pair { mut world, a, b, here, there } = pair(2);
    let bytes = pattern(1 << 20);
    world.rate(a, b, 10_000_000);
    world.act(b, |peer, _| peer.request(there, PortRequest::Pause));
    world.act(a, |peer, _| peer.send(here, &bytes));
    world.run_for(SECOND).unwrap();
    assert!(!world.machine(b).received.contains_key(&there));
    assert!(world.machine(a).pending[&here].len() >= bytes.len() - 3 * 64 * 1024);
    while world.machine(b).received.get(&there).map_or(0, Vec::len) < bytes.len() {
        world.act(b, |peer, _| peer.request(there, PortRequest::Resume));
        world.run_for(3 * MILLI).unwrap();
        world.act(b, |peer, _| peer.request(there, PortRequest::Pause));
        world.run_for(7 * MILLI).unwrap();
        assert!(world.now() < at(MINUTE), "{} bytes came", world.machine(b).received[&there].len());
    }
    assert!(world.machine(b).received[&there] == bytes);
}

#[test]
fn a_window_that_is_never_read_does_not_break_the_stream() {
    let Pair { mut world, a, b, here, there } = pair(2);
    let bytes = pattern(200_000);
    world.act(b, |peer, _| peer.request(there, PortRequest::Pause));
    world.act(a, |peer, _| peer.send(here, &bytes));
    world.run_for(60 * MINUTE).unwrap();
    world.act(b, |peer, _| peer.request(there, PortRequest::Resume));
    world.run_to_quiescence(MINUTE).unwrap();
    assert!(world.machine(b).received[&there] == bytes);
    assert_eq!(world.events(a), []);
}

#[test]
fn a_rate_spreads_segments_over_time() {
    let Pair { mut world, a, b, here, there } = pair(2);
    world.rate(a, b, 1500 * 10);
    let start = world.now();
    world.act(a, |peer, _| peer.send(here, &pattern(1460 * 10)));
    world.run_to_quiescence(MINUTE).unwrap();
    let moments: Vec<_> = heard(&mut world, b, there).into_iter().map(|(at, _)| at - start).collect();
    let expected: Vec<_> = (1..=10).map(|n| n * SECOND / 10 + 10 * MILLI).collect();
    assert_eq!(moments, expected);
}

#[test]
fn a_cut_holds_what_is_sent_and_a_heal_loses_nothing() {
    let Pair { mut world, a, b, here, there } = pair(3);
    let bytes = pattern(300_000);
    world.act(a, |peer, _| peer.send(here, &bytes));
    world.run_for(25 * MILLI).unwrap();
    world.cut(a, b);
    let before = world.machine(b).received[&there].len();
    assert!(before > 0 && before < bytes.len(), "{before}");
    world.act(b, |peer, _| peer.send(there, b"back"));
    world.run_for(10 * MINUTE).unwrap();
    assert_eq!(world.machine(b).received[&there].len(), before);
    let healed = world.now();
    world.heal(a, b);
    world.run_to_quiescence(MINUTE).unwrap();
    assert!(world.machine(b).received[&there] == bytes);
    assert_eq!(heard(&mut world, a, here), [(healed + 10 * MILLI, Heard::Bytes(4))]);
}

#[test]
fn a_heal_keeps_the_order_of_what_is_still_under_way() {
    let Pair { mut world, a, b, here, there } = pair(3);
    let bytes = pattern(60_000);
    world.rate(a, b, 100_000);
    world.act(a, |peer, _| peer.send(here, &bytes));
    world.run_for(200 * MILLI).unwrap();
    world.cut(a, b);
    world.run_for(100 * MILLI).unwrap();
    world.heal(a, b);
    world.run_to_quiescence(MINUTE).unwrap();
    assert!(world.machine(b).received[&there] == bytes);
}

#[test]
fn a_stream_whose_data_nobody_acknowledges_breaks_after_a_quarter_of_an_hour() {
    let Pair { mut world, a, b, here, there } = pair(4);
    world.cut(a, b);
    let sent = world.now();
    world.act(a, |peer, _| peer.send(here, b"lost"));
    world.run_for(60 * MINUTE).unwrap();
    assert_eq!(heard(&mut world, a, here), [(sent + 15 * MINUTE, Heard::Failed(PortError::TimedOut))]);
    world.heal(a, b);
    world.run_for(MINUTE).unwrap();
    assert_eq!(world.events(b), [], "who sends nothing notices nothing");
    world.act(b, |peer, _| peer.send(there, b"anybody?"));
    world.run_for(MINUTE).unwrap();
    assert_eq!(heard(&mut world, b, there).pop().unwrap().1, Heard::Failed(PortError::Reset));
}

#[test]
fn a_dial_where_nobody_listens_is_refused_after_a_round_trip() {
    let mut world = World::new(5);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    let address = SocketAddr::new(world.address(b), 80);
    let port = dial(&mut world, a, address);
    world.run_to_quiescence(SECOND).unwrap();
    assert_eq!(heard(&mut world, a, port), [(at(20 * MILLI), Heard::Failed(PortError::Refused))]);
}

#[test]
fn a_dial_to_nobody_is_silent_until_it_times_out() {
    let mut world = World::new(5);
    let a = world.host("a", Peer::default());
    let port = dial(&mut world, a, nobody());
    world.run_for(126 * SECOND).unwrap();
    assert_eq!(world.events(a), []);
    world.run_for(2 * SECOND).unwrap();
    assert_eq!(heard(&mut world, a, port), [(at(127 * SECOND), Heard::Failed(PortError::TimedOut))]);
    assert_eq!(world.ports(a), 0);
}

#[test]
fn a_dial_into_a_cut_opens_at_its_first_repetition_after_the_heal() {
    let mut world = World::new(5);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    listen(&mut world, b, 80);
    world.cut(a, b);
    let address = SocketAddr::new(world.address(b), 80);
    let port = dial(&mut world, a, address);
    world.run_for(5 * SECOND).unwrap();
    world.heal(a, b);
    world.run_for(MINUTE).unwrap();
    assert_eq!(heard(&mut world, a, port), [(at(7 * SECOND + 20 * MILLI), Heard::Opened)]);
}

#[test]
fn a_backlog_takes_4096_and_the_next_dial_waits_for_room() {
    let mut world = World::new(5);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    let listener = listen(&mut world, b, 80);
    world.act(b, |peer, _| peer.request(listener, PortRequest::Pause));
    let address = SocketAddr::new(world.address(b), 80);
    for _ in 0..4097 {
        dial(&mut world, a, address);
    }
    world.run_for(SECOND / 2).unwrap();
    assert_eq!(world.events(a).len(), 4096);
    world.act(b, |peer, _| peer.request(listener, PortRequest::Resume));
    world.run_for(SECOND).unwrap();
    assert_eq!(world.events(a).len(), 1);
}

#[test]
fn names_resolve_to_what_the_world_says() {
    let mut world = World::new(6);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    let (address, v6) = (world.address(b), world.address_v6(b));
    world.name("b.example", &[b]);
    world.name("six.example", &[v6, address]);
    world.name("gone.example", &[b]);
    world.name_fails("gone.example");
    world.resolver_delay(30 * MILLI);
    let names = ["b.example", "six.example", "gone.example", "unknown.example", "198.18.0.2"];
    let ports = world.act(a, |peer, cx| names.map(|name| peer.resolve(cx, name)));
    world.run_to_quiescence(SECOND).unwrap();
    let not_found = || Heard::Failed(PortError::NameNotFound);
    let one = || Heard::Resolved([address].into_iter().collect());
    let two = Heard::Resolved([v6, address].into_iter().collect());
    let expected = [one(), two, not_found(), not_found(), one()];
    let events = world.events(a);
    assert!(events.iter().all(|(moment, _)| *moment == at(30 * MILLI)));
    assert!(events.into_iter().map(|(_, said)| said).eq(ports.into_iter().zip(expected)));
}

#[test]
fn a_half_closed_stream_still_carries_the_other_direction() {
    let Pair { mut world, a, b, here, there } = pair(7);
    world.act(a, |peer, _| {
        peer.send(here, b"question");
        peer.request(here, PortRequest::Finish);
    });
    world.run_to_quiescence(SECOND).unwrap();
    let words: Vec<_> = heard(&mut world, b, there).into_iter().map(|(_, heard)| heard).collect();
    assert_eq!(words, [Heard::Bytes(8), Heard::Eof]);
    world.act(b, |peer, _| {
        peer.send(there, &pattern(100_000));
        peer.request(there, PortRequest::Finish);
    });
    world.run_to_quiescence(SECOND).unwrap();
    assert!(world.machine(a).received[&here] == pattern(100_000));
    assert_eq!(heard(&mut world, a, here).pop().unwrap().1, Heard::Closed);
    assert_eq!(heard(&mut world, b, there).pop().unwrap().1, Heard::Closed);
    assert_eq!((world.ports(a), world.ports(b)), (0, 1));
}

#[test]
fn an_abort_in_mid_stream_is_a_reset_after_what_had_left() {
    let Pair { mut world, a, b, here, there } = pair(8);
    let bytes = pattern(1 << 20);
    world.act(a, |peer, _| peer.send(here, &bytes));
    world.run_for(100 * MILLI).unwrap();
    world.act(a, |peer, _| peer.request(here, PortRequest::Abort));
    world.run_to_quiescence(SECOND).unwrap();
    let received = &world.machine(b).received[&there];
    assert!(received.len() < bytes.len() && bytes.starts_with(received));
    assert_eq!(heard(&mut world, b, there).pop().unwrap().1, Heard::Failed(PortError::Reset));
    assert_eq!(world.events(a), []);
}

#[test]
fn a_rebooted_host_resets_its_old_streams_when_they_are_used() {
    let Pair { mut world, a, b, here, .. } = pair(9);
    world.kill(b);
    world.run_for(MINUTE).unwrap();
    world.reboot(b, Peer::default());
    world.run_for(MINUTE).unwrap();
    assert_eq!(world.events(a), [], "who sends nothing notices nothing");
    let sent = world.now();
    world.act(a, |peer, _| peer.send(here, b"hello?"));
    world.run_for(MINUTE).unwrap();
    assert_eq!(heard(&mut world, a, here), [(sent + 20 * MILLI, Heard::Failed(PortError::Reset))]);
}

#[test]
fn what_was_sent_to_a_host_that_is_down_is_reset_after_its_reboot() {
    let Pair { mut world, a, b, here, .. } = pair(9);
    world.kill(b);
    world.act(a, |peer, _| peer.send(here, b"hello?"));
    world.run_for(MINUTE).unwrap();
    assert_eq!(world.events(a), [], "a host that is down says nothing");
    let booted = world.now();
    world.reboot(b, Peer::default());
    world.run_for(MINUTE).unwrap();
    assert_eq!(heard(&mut world, a, here), [(booted + 20 * MILLI, Heard::Failed(PortError::Reset))]);
}

#[test]
fn a_rebooted_host_can_be_dialled_and_dial_again() {
    let Pair { mut world, a, b, .. } = pair(9);
    world.reboot(b, Peer::default());
    listen(&mut world, b, 80);
    world.reboot(a, Peer::default());
    let address = SocketAddr::new(world.address(b), 80);
    let port = dial(&mut world, a, address);
    world.act(a, |peer, _| peer.send(port, b"anew"));
    world.run_to_quiescence(MINUTE).unwrap();
    let there = accepted(&mut world, b);
    assert_eq!(world.machine(b).received[&there], b"anew");
}

#[test]
fn a_host_reaches_itself_by_any_of_its_addresses() {
    let mut world = World::new(10);
    let a = world.host("a", Peer::default());
    listen(&mut world, a, 80);
    let v6 = SocketAddr::new(world.address_v6(a), 81);
    world.act(a, |peer, cx| peer.open(cx, PortSpec::Listen(v6)));
    let own = SocketAddr::new(world.address(a), 80);
    let ports = [own, SocketAddr::from(([127, 0, 0, 1], 80)), v6].map(|address| dial(&mut world, a, address));
    world.run_to_quiescence(MILLI).unwrap();
    let events = world.events(a);
    for port in ports {
        assert!(events.iter().any(|(_, event)| *event == (port, Heard::Opened)), "{port}: {events:?}");
    }
}

#[test]
fn an_address_can_be_listened_on_once_and_only_by_its_owner() {
    let mut world = World::new(10);
    let (a, b) = (world.host("a", Peer::default()), world.host("b", Peer::default()));
    listen(&mut world, a, 80);
    let [mine, yours] = [a, b].map(|host| SocketAddr::new(world.address(host), 80));
    let ports = [mine, yours].map(|spec| world.act(a, |peer, cx| peer.open(cx, PortSpec::Listen(spec))));
    let events = world.events(a);
    for (port, error) in ports.into_iter().zip([PortError::AddressInUse, PortError::AddressNotAvailable]) {
        assert!(events.iter().any(|(_, event)| *event == (port, Heard::Failed(error))), "{events:?}");
    }
}

#[test]
fn two_ports_of_one_host_meet_by_name() {
    let mut world = World::new(11);
    let a = world.host("a", Peer::default());
    let open = |world: &mut World<Peer>| {
        world.act(a, |peer, cx| {
            let port = peer.open(cx, PortSpec::Host("x".into()));
            peer.send(port, &pattern(200_000));
            peer.request(port, PortRequest::Finish);
            port
        })
    };
    let first = open(&mut world);
    world.run_for(SECOND).unwrap();
    assert_eq!(world.events(a), []);
    let second = open(&mut world);
    world.run_to_quiescence(SECOND).unwrap();
    for port in [first, second] {
        assert!(world.machine(a).received[&port] == pattern(200_000));
    }
    assert_eq!(world.ports(a), 0);
}

/// Breaks a law, or never waits, from a moment on.
struct Offender {
    from: Instant,
    endless: bool,
}

impl Machine for Offender {
    type Command = ();
    type Event = ();

    fn handle(&mut self, _: &mut Cx<'_>, _: Input<'_, ()>) {}

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<()> {
        if self.endless && cx.now >= self.from {
            return Output::Event(());
        }
        Output::Wait(Some(Deadline::new(self.from, "the offence")))
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, _: &mut Buf) -> Fill {
        Fill::Done
    }
}

#[test]
fn a_broken_law_ends_the_run_with_law_host_and_time() {
    let mut world = World::new(12);
    world.host("good", Offender { from: at(60 * MINUTE), endless: false });
    let bad = world.host("bad", Offender { from: at(3 * SECOND), endless: false });
    let failure = world.run_for(MINUTE).unwrap_err();
    let Failure::Broken { seed: 12, host, name, breach } = &failure else { panic!("{failure}") };
    assert_eq!((*host, name.as_str(), breach.law, breach.at), (bad, "bad", 2, at(3 * SECOND)));
    assert_eq!(world.breach(), Some((bad, breach)));
    let said = failure.to_string();
    assert!(said.contains("seed 12: bad (host 1): law 2 broken at 3.000000 s"), "{said}");
    assert_eq!(world.run_until(|_| true, SECOND), Err(failure));
    assert_eq!(world.step(), None);
}

#[test]
fn a_machine_that_never_waits_ends_the_run() {
    let mut world = World::new(13);
    let bad = world.host("bad", Offender { from: at(SECOND), endless: true });
    let failure = world.run_for(MINUTE).unwrap_err();
    assert_eq!(failure, Failure::Endless { seed: 13, host: bad, name: "bad".into(), at: at(SECOND) });
}

#[test]
fn a_run_that_is_stuck_says_what_each_host_waits_for() {
    let mut world = World::new(14);
    world.host("patient", Offender { from: at(60 * MINUTE), endless: false });
    let down = world.host("down", Offender { from: at(60 * MINUTE), endless: false });
    world.kill(down);
    let said = world.run_until(|_| false, SECOND).unwrap_err().to_string();
    assert_eq!(
        said,
        "seed 14: stuck at 1.000000 s after 1s, 0 packets held; \
         patient (host 0) waits for the offence until 3600.000000 s with 0 ports; down (host 1) is down"
    );
    assert_eq!(world.now(), at(SECOND));
}

#[test]
fn machines_of_several_kinds_live_in_one_world() {
    struct Silent;
    impl Machine for Silent {
        type Command = ();
        type Event = (PortId, Heard);

        fn handle(&mut self, _: &mut Cx<'_>, _: Input<'_, ()>) {}

        fn poll(&mut self, _: &mut Cx<'_>) -> Output<Self::Event> {
            Output::Wait(None)
        }

        fn fill(&mut self, _: &mut Cx<'_>, _: PortId, _: &mut Buf) -> Fill {
            Fill::Done
        }
    }
    type Any = Box<dyn Machine<Command = (), Event = (PortId, Heard)>>;
    let mut world: World<Any> = World::new(15);
    let silent = world.host("silent", Box::new(Silent));
    let mut peer = Peer::default();
    let mut port = None;
    let address = SocketAddr::new(world.address(silent), 80);
    let dialler = world.host("dialler", Box::new(Silent));
    world.act(dialler, |machine, cx| {
        port = Some(peer.open(cx, PortSpec::Dial(address)));
        *machine = Box::new(peer);
    });
    world.run_to_quiescence(SECOND).unwrap();
    assert_eq!(heard(&mut world, dialler, port.unwrap()), [(at(20 * MILLI), Heard::Failed(PortError::Refused))]);
}

/// A busy run whose course depends on the seed.
fn hash_of_a_busy_run(seed: u64) -> u64 {
    let mut world = World::new(seed);
    let hub = world.host("hub", Peer::echo());
    listen(&mut world, hub, 80);
    let address = SocketAddr::new(world.address(hub), 80);
    for n in 0..20 {
        let host = world.host("leaf", Peer::default());
        let port = dial(&mut world, host, address);
        world.act(host, |peer, cx| {
            let len = cx.rng.below(200_000) as usize;
            peer.send(port, &pattern(len));
        });
        world.run_for(n * MILLI).unwrap();
        world.cut(hub, host);
        world.run_for(5 * MILLI).unwrap();
        world.heal(hub, host);
    }
    world.run_to_quiescence(MINUTE).unwrap();
    world.transcript_hash()
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let hashes = [1, 2, 1].map(hash_of_a_busy_run);
    assert_eq!(hashes[0], hashes[2]);
    assert_ne!(hashes[0], hashes[1]);
}

const TWIN: &str = "SIM_WORLD_TWIN";

#[test]
fn the_same_seed_gives_the_same_run_in_another_process() {
    let hash = hash_of_a_busy_run(16);
    if std::env::var_os(TWIN).is_some() {
        println!("{TWIN}={hash:016x}");
        return;
    }
    let name = "the_same_seed_gives_the_same_run_in_another_process";
    let program = std::env::current_exe().unwrap();
    let twin =
        std::process::Command::new(program).args([name, "--exact", "--nocapture"]).env(TWIN, "1").output().unwrap();
    let said = String::from_utf8_lossy(&twin.stdout);
    assert!(said.contains(&format!("{TWIN}={hash:016x}")), "{said}");
}
