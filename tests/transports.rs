//! Transports through the public API, in virtual time.

mod common;

use std::time::Duration;

use common::{KINDS, Node, Peer, dialling, linked, listening, options, run, string, tight};
use switchboard::connect::Options;
use switchboard::machine::payload::Kind;
use switchboard::machine::port::PortError;
use switchboard::machine::rng::Rng;
use switchboard::sim::{INTERNET, OldStreams, World};
use switchboard::stack::dial::DialError;
use switchboard::transport::alone::{AloneEvent, SendError};
use switchboard::transport::{DownReason, Reconnect, TransportEvent};

/// Numbered messages of mixed sizes and kinds, the same for the same seed.
fn messages(seed: u64, count: usize) -> Vec<(Kind, Vec<u8>)> {
    let mut rng = Rng::from_u64(seed);
    let sizes = [0, 1, 8, 125, 126, 1000, 1460, 16_383, 16_384, 65_535, 65_536, 100_000];
    let message = |n: usize| {
        let size = sizes[rng.below(sizes.len() as u64) as usize];
        let letter = b'a' + (n % 26) as u8;
        let kind = if rng.chance(0.5) { Kind::Text } else { Kind::Binary };
        (kind, [n.to_string().as_bytes(), &vec![letter; size]].concat())
    };
    (0..count).map(message).collect()
}

/// Sends all messages as the lanes take them, and runs until the other side has them.
#[track_caller]
fn carry(world: &mut World<Node>, from: &Peer, to: &mut Peer, messages: &[(Kind, Vec<u8>)]) {
    let link = *from.links().last().unwrap();
    let (mut next, before) = (0, to.received.len());
    let mut pump = |world: &mut World<Node>| {
        while let Some((kind, bytes)) = messages.get(next) {
            match from.send(world, link, *kind, bytes) {
                Ok(()) => next += 1,
                Err(SendError::Blocked) => break,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let done = |to: &Peer| to.received.len() - before == messages.len();
    let result = world.run_until(
        |world| {
            pump(world);
            to.look(world);
            done(to)
        },
        common::PATIENCE,
    );
    result.unwrap_or_else(|failure| panic!("{failure}"));
    for (n, ((kind, bytes), (_, got_kind, got))) in messages.iter().zip(&to.received[before..]).enumerate() {
        assert!(kind == got_kind && bytes == got, "message {n}: {} bytes sent, {} came", bytes.len(), got.len());
    }
}

#[test]
fn messages_arrive_once_and_in_order_both_ways_on_every_kind() {
    for kind in KINDS {
        let (mut world, mut server, mut client) = linked(1, kind, &options());
        carry(&mut world, &client, &mut server, &messages(1, 100));
        carry(&mut world, &server, &mut client, &messages(2, 100));
    }
}

#[test]
fn windows_and_limits_smaller_than_a_message_lose_nothing() {
    for kind in KINDS {
        let (mut world, mut server, mut client) = linked(2, kind, &Options { limits: tight(), ..options() });
        carry(&mut world, &client, &mut server, &messages(3, 200));
        carry(&mut world, &server, &mut client, &messages(4, 200));
    }
}

#[test]
fn a_transport_that_is_stopped_as_it_starts_says_so_and_keeps_no_port() {
    for kind in KINDS {
        let mut world = World::new(1);
        let by_address = string(kind, "198.18.0.1");
        let nodes = [
            ("dials an address", dialling(&by_address, &options())),
            ("dials a name", dialling(&string(kind, "server.test"), &options())),
            ("listens", listening(&string(kind, "0.0.0.0"), &options())),
        ];
        for (name, node) in nodes {
            let host = world.host(name, node);
            world.act(host, |node, cx| {
                node.start(cx);
                node.stop(cx);
            });
            let said: Vec<_> = world.events(host).into_iter().map(|(_, event)| event).collect();
            assert_eq!(said, [AloneEvent::Transport(TransportEvent::Stopped)], "{kind} {name}");
            assert_eq!(world.ports(host), 0, "{kind} {name}");
        }
    }
}

#[test]
fn a_cut_holds_messages_back_and_heals_without_loss() {
    for kind in KINDS {
        let (mut world, mut server, mut client) = linked(3, kind, &options());
        let link = client.links()[0];
        world.cut(server.host, client.host);
        for n in 0..10u8 {
            client.send(&mut world, link, Kind::Binary, &[n]).unwrap();
        }
        world.run_for(Duration::from_secs(5)).unwrap();
        server.look(&mut world);
        assert!(server.received.is_empty());
        world.heal(server.host, client.host);
        run(&mut world, &mut [&mut server, &mut client], |peers| peers[0].received.len() == 10);
        assert!(server.received.iter().enumerate().all(|(n, (_, _, bytes))| *bytes == [n as u8]));
    }
}

#[test]
fn closing_a_link_sends_what_was_queued_and_both_sides_learn_how_it_ended() {
    for kind in KINDS {
        let (mut world, mut server, mut client) = linked(4, kind, &options());
        let link = client.links()[0];
        client.send(&mut world, link, Kind::Text, &[b'x'; 100_000]).unwrap();
        world.act(client.host, |node, cx| node.close(cx, link));
        run(&mut world, &mut [&mut server, &mut client], |peers| peers.iter().all(|peer| !peer.downs().is_empty()));
        assert_eq!(client.downs(), [&DownReason::Requested], "{kind}");
        assert!(matches!(server.downs()[0], DownReason::Closed(_)), "{kind}: {:?}", server.downs());
        assert_eq!(server.received.len(), 1);
        world.run_to_quiescence(common::PATIENCE).unwrap();
        assert_eq!((world.ports(client.host), world.ports(server.host)), (0, 1), "{kind}");
    }
}

#[test]
fn who_has_dialled_is_told_of_the_end_when_its_last_words_have_left() {
    for kind in KINDS {
        let (mut world, mut server, mut client) = linked(4, kind, &options());
        let link = server.links()[0];
        world.act(server.host, |node, cx| node.close(cx, link));
        let failed = |peer: &&mut Peer| peer.events.iter().any(|event| matches!(event, TransportEvent::Failed(_)));
        run(&mut world, &mut [&mut server, &mut client], |peers| peers.iter().any(failed));
        assert_eq!(world.ports(client.host), 0, "{kind}");
    }
}

#[test]
fn stopping_ends_every_link_and_leaves_no_port() {
    for kind in KINDS {
        let (mut world, mut server, mut client) = linked(5, kind, &options());
        world.act(server.host, |node, cx| node.stop(cx));
        run(&mut world, &mut [&mut server, &mut client], |peers| {
            peers[0].events.contains(&TransportEvent::Stopped) && !peers[1].downs().is_empty()
        });
        world.run_to_quiescence(common::PATIENCE).unwrap();
        assert_eq!(world.ports(server.host), 0, "{kind}");
        world.act(client.host, |node, cx| node.stop(cx));
        run(&mut world, &mut [&mut client], |peers| peers[0].events.contains(&TransportEvent::Stopped));
        assert_eq!(world.ports(client.host), 0, "{kind}");
    }
}

#[test]
fn a_peer_that_vanishes_in_mid_message_is_a_truncation_not_a_close() {
    for kind in KINDS {
        let (mut world, mut server, client) = linked(6, kind, &options());
        world.rate(server.host, client.host, 20_000);
        let link = client.links()[0];
        client.send(&mut world, link, Kind::Binary, &[7; 100_000]).unwrap();
        world.run_for(Duration::from_secs(1)).unwrap();
        let reborn = dialling("offline", &options());
        world.reboot(client.host, reborn);
        server.send(&mut world, server.links()[0], Kind::Binary, b"are you there?").unwrap();
        run(&mut world, &mut [&mut server], |peers| !peers[0].downs().is_empty());
        assert_eq!(server.downs(), [&DownReason::Port(PortError::Reset)], "{kind}");
        assert!(server.received.is_empty());
    }
}

#[test]
fn a_listener_whose_port_is_taken_says_so() {
    let mut world = World::new(7);
    let options = options();
    let mut first = Peer::start(&mut world, "first", listening("tcp:0.0.0.0:7000", &options));
    run(&mut world, &mut [&mut first], |peers| !peers[0].events.is_empty());
    let again = listening("tcp:198.18.0.1:7000", &options);
    world.act(first.host, |node, cx| {
        *node = again;
        node.start(cx);
    });
    run(&mut world, &mut [&mut first], |peers| {
        peers[0].events.contains(&TransportEvent::Failed(DownReason::Port(PortError::AddressInUse)))
    });
}

#[test]
fn a_dial_names_what_it_met() {
    let options = options();
    let mut world = World::new(8);
    let server = Peer::start(&mut world, "server", listening("tcp:0.0.0.0:7000", &options));
    world.name("server.test", &[server.host]);
    for (string, reason) in [
        ("tcp:server.test:7001", DownReason::Dial(DialError::Connect(PortError::Refused))),
        ("tcp:nowhere.test:7000", DownReason::Dial(DialError::Resolve(PortError::NameNotFound))),
    ] {
        let mut client = Peer::start(&mut world, string, dialling(string, &options));
        run(&mut world, &mut [&mut client], |peers| peers[0].events.len() == 2);
        assert_eq!(client.events, [TransportEvent::Refused(None, reason.clone()), TransportEvent::Failed(reason)]);
    }
}

#[test]
fn a_silent_address_is_given_up_after_the_time_for_handshakes() {
    let options = options();
    let mut world = World::new(9);
    let server = Peer::start(&mut world, "server", listening("tcp:0.0.0.0:7000", &options));
    let mut client = Peer::start(&mut world, "client", dialling("tcp:198.18.0.1:7000", &options));
    world.cut(server.host, client.host);
    run(&mut world, &mut [&mut client], |peers| !peers[0].refusals().is_empty());
    assert_eq!(client.refusals(), [&DownReason::HandshakeTimeout]);
    assert_eq!(world.now().as_nanos(), 10_000_000_000);
    assert_eq!(world.ports(client.host), 0);
}

#[test]
fn of_several_addresses_the_first_that_answers_wins() {
    let options = options();
    let mut world = World::new(10);
    let server = Peer::start(&mut world, "server", listening("tcp:0.0.0.0:7000", &options));
    let silent = Peer::start(&mut world, "silent", listening("tcp:0.0.0.0:7000", &options));
    world.kill(silent.host);
    world.name("both.test", &[silent.host, server.host]);
    let mut client = Peer::start(&mut world, "client", dialling("tcp:both.test:7000", &options));
    run(&mut world, &mut [&mut client], |peers| !peers[0].links().is_empty());
    // A look-up of 5 ms, 250 ms of patience with the first address, a round trip of 20 ms.
    assert_eq!(world.now().as_nanos(), 275_000_000);
    assert_eq!(world.ports(client.host), 2, "the link, and the list of this host's addresses");
}

#[test]
fn a_dialler_comes_back_as_its_policy_says() {
    let second = Duration::from_secs(1);
    for (policy, pauses) in [
        (Reconnect::AtOnce, vec![Duration::ZERO]),
        (Reconnect::After(second), vec![second]),
        (Reconnect::Never, vec![]),
    ] {
        let (mut world, mut server, mut client) = linked(11, "tcp", &Options { reconnect: policy, ..options() });
        let link = server.links()[0];
        world.act(server.host, |node, cx| node.close(cx, link));
        let again = usize::from(!pauses.is_empty());
        run(&mut world, &mut [&mut server, &mut client], |peers| {
            !peers[1].downs().is_empty() && peers[1].links().len() == 1 + again
        });
        let retries = client.events.iter().filter_map(|event| match event {
            TransportEvent::Retrying(pause) => Some(*pause),
            _ => None,
        });
        assert_eq!(retries.collect::<Vec<_>>(), pauses, "{policy:?}");
        assert_eq!(matches!(client.events.last(), Some(TransportEvent::Failed(_))), pauses.is_empty());
    }
}

#[test]
fn back_off_grows_while_nobody_answers_and_ends_with_a_link() {
    let policy = Reconnect::Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(8) };
    let options = Options { reconnect: policy, ..options() };
    let mut world = World::new(12);
    let server = world.host("server", dialling("offline", &options));
    let mut client = Peer::start(&mut world, "client", dialling("tcp:198.18.0.1:7000", &options));
    run(&mut world, &mut [&mut client], |peers| peers[0].refusals().len() == 6);
    let pauses = client.events.iter().filter_map(|event| match event {
        TransportEvent::Retrying(pause) => Some(pause.as_secs_f64()),
        _ => None,
    });
    let pauses: Vec<_> = pauses.collect();
    for (pause, whole) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 8.0]) {
        assert!(*pause <= whole && *pause >= whole / 2.0, "{pauses:?}");
    }
    world.reboot(server, listening("tcp:0.0.0.0:7000", &options));
    world.act(server, |node, cx| node.start(cx));
    run(&mut world, &mut [&mut client], |peers| peers[0].links().len() == 1);
}

#[test]
fn a_silent_peer_is_noticed_by_ping_and_a_living_one_is_kept() {
    for kind in ["ws", "wss"] {
        let (mut world, mut server, mut client) = linked(13, kind, &options());
        world.run_for(Duration::from_secs(600)).unwrap();
        server.look(&mut world);
        client.look(&mut world);
        assert!(client.downs().is_empty() && server.downs().is_empty(), "{kind}");
        world.cut(server.host, client.host);
        run(&mut world, &mut [&mut server, &mut client], |peers| peers.iter().all(|peer| !peer.downs().is_empty()));
        assert_eq!(client.downs(), [&DownReason::Silent]);
        assert_eq!(server.downs(), [&DownReason::Silent]);
    }
}

#[test]
fn offline_connects_at_once_and_discards() {
    let mut world = World::new(15);
    let mut node = Peer::start(&mut world, "node", dialling("offline", &options()));
    run(&mut world, &mut [&mut node], |peers| !peers[0].links().is_empty());
    let link = node.links()[0];
    for _ in 0..10_000 {
        node.send(&mut world, link, Kind::Binary, &[0; 1000]).unwrap();
    }
    assert_eq!(world.machine(node.host).queued(link), 0);
}

#[test]
fn a_close_that_a_cut_keeps_from_completing_does_not_look_complete() {
    for kind in KINDS {
        let (mut world, mut server, mut client) = linked(17, kind, &options());
        let link = client.links()[0];
        world.cut(server.host, client.host);
        client.send(&mut world, link, Kind::Binary, b"the last words").unwrap();
        world.act(client.host, |node, cx| node.close(cx, link));
        run(&mut world, &mut [&mut server, &mut client], |peers| !peers[1].downs().is_empty());
        assert_eq!(client.downs(), [&DownReason::CloseTimeout], "{kind}");
    }
}

const LAG: Duration = Duration::from_millis(500);

fn retries(peer: &Peer) -> Vec<Duration> {
    let retry = |event: &TransportEvent| if let TransportEvent::Retrying(pause) = event { Some(*pause) } else { None };
    peer.events.iter().filter_map(retry).collect()
}

#[test]
fn a_link_whose_address_has_gone_ends_as_soon_as_that_is_known_and_is_dialled_anew() {
    let second = Duration::from_secs(1);
    for (policy, pause) in [
        (Reconnect::Backoff { first: second, cap: 8 * second }, Some(Duration::ZERO)),
        (Reconnect::AtOnce, Some(Duration::ZERO)),
        (Reconnect::After(second), Some(second)),
        (Reconnect::Never, None),
    ] {
        let (mut world, mut server, mut client) = linked(13, "tcp", &Options { reconnect: policy, ..options() });
        let moved = world.now();
        world.roam(client.host, INTERNET, OldStreams::Linger);
        run(&mut world, &mut [&mut server, &mut client], |peers| !peers[1].downs().is_empty());
        assert_eq!(client.downs()[0], &DownReason::Port(PortError::AddressNotAvailable), "{policy:?}");
        assert_eq!(world.now() - moved, LAG, "{policy:?}");
        let links = 1 + usize::from(pause.is_some());
        run(&mut world, &mut [&mut server, &mut client], |peers| peers[1].links().len() == links);
        assert_eq!(retries(&client), Vec::from_iter(pause), "{policy:?}");
        assert_eq!(world.ports(client.host), 2 * (links - 1), "{policy:?}");
    }
}

#[test]
fn a_dial_that_was_under_way_when_the_address_went_begins_anew_from_the_next() {
    let options = options();
    let mut world = World::new(14);
    let server = Peer::start(&mut world, "server", listening("tcp:0.0.0.0:7000", &options));
    let mut client = Peer::start(&mut world, "client", dialling("tcp:198.18.0.1:7000", &options));
    world.cut(server.host, client.host);
    world.run_for(Duration::from_secs(2)).unwrap();
    world.roam(client.host, INTERNET, OldStreams::Linger);
    world.heal(server.host, client.host);
    let moved = world.now();
    run(&mut world, &mut [&mut client], |peers| !peers[0].links().is_empty());
    assert_eq!(world.now() - moved, LAG + Duration::from_millis(20));
    assert_eq!(client.refusals(), [] as [&DownReason; 0], "the dial that was overtaken is not a failure");
}

#[test]
fn a_new_address_ends_the_pause_between_two_dials() {
    let policy = Reconnect::Backoff { first: Duration::from_secs(60), cap: Duration::from_secs(60) };
    let options = Options { reconnect: policy, ..options() };
    let mut world = World::new(15);
    let server = world.host("server", dialling("offline", &options));
    let mut client = Peer::start(&mut world, "client", dialling("tcp:198.18.0.1:7000", &options));
    run(&mut world, &mut [&mut client], |peers| peers[0].refusals().len() == 1);
    world.reboot(server, listening("tcp:0.0.0.0:7000", &options));
    world.act(server, |node, cx| node.start(cx));
    let added = world.now();
    world.add_addresses(client.host);
    run(&mut world, &mut [&mut client], |peers| peers[0].links().len() == 1);
    assert_eq!(world.now() - added, LAG + Duration::from_millis(20));
}

#[test]
fn who_stops_asks_for_no_more_addresses() {
    let (mut world, mut server, mut client) = linked(16, "tcp", &options());
    assert_eq!((world.ports(server.host), world.ports(client.host)), (2, 2), "a listener does not ask");
    world.act(client.host, |node, cx| node.stop(cx));
    run(&mut world, &mut [&mut server, &mut client], |peers| {
        matches!(peers[1].events.last(), Some(TransportEvent::Stopped))
    });
    assert_eq!(world.ports(client.host), 0);
}
