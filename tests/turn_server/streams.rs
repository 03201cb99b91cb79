//! Clients over TCP and TLS: what they and their peers notice, and what a server does not grow beyond.

use std::net::SocketAddr;

use switchboard::sim::{HostId, INTERNET};
use switchboard::stack::turn_server::{Listener, TurnServerConfig};
use turn_client_proto::api::TurnConfig;
use turn_client_proto::types::TurnCredentials;

use crate::caller::Caller;
use crate::dialler::Dialler;
use crate::scene::{ALICE, MINUTE, SECOND, SERVER, Scene, config};

fn tcp_scene(config: TurnServerConfig) -> Scene {
    let mut scene = Scene::new(config);
    scene.serve(|server, cx| server.listen_by(cx, Listener::Tcp, SERVER));
    scene.run(SECOND);
    scene
}

fn alice() -> TurnConfig {
    TurnConfig::new(TurnCredentials::new(ALICE.0, ALICE.1))
}

fn dialler(scene: &mut Scene) -> HostId {
    let host = scene.dialler(INTERNET, Dialler::with(SERVER, alice()));
    scene.run(SECOND);
    assert!(scene.dialled(host).relayed().is_some(), "{:?}", scene.dialled(host));
    host
}

fn words(scene: &Scene, host: HostId) -> Vec<&str> {
    scene.dialled(host).heard.iter().map(|(_, words)| words.as_str()).collect()
}

fn talk_both_ways(scene: &mut Scene, host: HostId) {
    let peer = scene.peer_address();
    scene.dial(host, |dialler, cx| dialler.permit(cx, peer.ip()));
    scene.run(SECOND);
    scene.dial(host, |dialler, cx| dialler.say(cx, peer, "by indication"));
    scene.run(SECOND);
    scene.dial(host, |dialler, cx| dialler.bind_channel(cx, peer));
    scene.run(SECOND);
    for words in ["1", "22", "333", "4444", "55555"] {
        scene.dial(host, |dialler, cx| dialler.say(cx, peer, words));
    }
    scene.run(SECOND);
    assert_eq!(words(scene, host), ["by indication", "1", "22", "333", "4444", "55555"]);
}

#[test]
fn a_client_over_tcp_talks_by_indications_and_channels_of_any_length() {
    let mut scene = tcp_scene(config());
    let host = dialler(&mut scene);
    talk_both_ways(&mut scene, host);
    assert_eq!((scene.server().connections(), scene.server().allocations()), (1, 1));
    scene.run(20 * MINUTE);
    assert_eq!(scene.server().allocations(), 1, "a client that refreshes keeps its allocation");
}

#[cfg(feature = "tls")]
#[test]
fn a_client_over_tls_talks_by_indications_and_channels_of_any_length() {
    use switchboard::link::tls::{ServerConfig, Tls};
    let authority = crate::common::Authority::new();
    let server = ServerConfig::new(&authority.identity(&["relay.example"])).unwrap();
    let at = SocketAddr::new(SERVER.ip(), 5349);
    let mut scene = Scene::new(config());
    scene.serve(|it, cx| it.listen_by(cx, Listener::Tls(server), at));
    scene.run(SECOND);
    let unix = std::time::Duration::from_secs(1_700_000_000);
    let tls = Tls::client(&authority.trust(), "relay.example", unix).unwrap();
    let host = scene.dialler(INTERNET, Dialler::with(at, alice()).by_tls(tls));
    scene.run(2 * SECOND);
    assert!(scene.dialled(host).relayed().is_some(), "{:?} {:?}", scene.dialled(host), scene.statistics());
    talk_both_ways(&mut scene, host);
    let broken = scene.dialler(INTERNET, Dialler::mute(at));
    scene.run(SECOND);
    scene.dial(broken, |dialler, _| dialler.send_raw(b"GET / HTTP/1.1\r\n\r\n"));
    scene.run(SECOND);
    assert!(scene.dialled(broken).has_ended && scene.server().connections() == 1);
}

#[test]
fn clients_over_udp_and_tcp_reach_each_other_by_their_relayed_addresses() {
    let mut scene = tcp_scene(config());
    let (near, far) = (scene.alice(), dialler(&mut scene));
    let (at_near, at_far) = (scene.relayed(near).unwrap(), scene.dialled(far).relayed().unwrap());
    scene.call(near, |caller, cx| caller.permit(cx, at_far.ip()));
    scene.dial(far, |dialler, cx| dialler.permit(cx, at_near.ip()));
    scene.run(SECOND);
    scene.dial(far, |dialler, cx| dialler.bind_channel(cx, at_near));
    scene.run(SECOND);
    scene.call(near, |caller, cx| caller.say(cx, at_far, "hello"));
    scene.dial(far, |dialler, cx| dialler.say(cx, at_near, "and to you"));
    scene.run(SECOND);
    assert_eq!(scene.at(near).heard, [(at_far, "and to you".to_owned())]);
    assert_eq!(scene.dialled(far).heard, [(at_near, "hello".to_owned())]);
}

#[test]
fn a_binding_request_is_answered_over_tcp() {
    let mut scene = tcp_scene(config());
    let host = scene.dialler(INTERNET, Dialler::mute(SERVER));
    let binding = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    for byte in binding.iter().copied().chain(binding.clone()) {
        scene.dial(host, |dialler, _| dialler.send_raw(&[byte]));
        scene.run(SECOND / 10);
    }
    scene.run(SECOND);
    assert_eq!(scene.dialled(host).received.len(), 2 * (20 + 12 + 8));
}

#[test]
fn a_connection_that_breaks_takes_its_allocation_along() {
    let mut scene = tcp_scene(config());
    let host = dialler(&mut scene);
    scene.dial(host, |dialler, _| dialler.abort());
    scene.run(SECOND);
    assert_eq!((scene.server().connections(), scene.server().allocations()), (0, 0));
    // The listeners for UDP and TCP are left.
    assert_eq!(scene.world.ports(scene.server), 2);
}

#[test]
fn what_is_no_stun_ends_a_connection_and_so_does_silence() {
    let mut scene = tcp_scene(config());
    let [foreign, silent, partial] = [0; 3].map(|_| scene.dialler(INTERNET, Dialler::mute(SERVER)));
    scene.run(SECOND);
    scene.dial(foreign, |dialler, _| dialler.send_raw(&[0xff; 30]));
    scene.dial(partial, |dialler, _| dialler.send_raw(&[0, 1, 0xff, 0xfc]));
    scene.run(SECOND);
    assert_eq!([foreign, silent, partial].map(|host| scene.dialled(host).has_ended), [true, false, false]);
    for _ in 0..27 {
        scene.dial(partial, |dialler, _| dialler.send_raw(&[0]));
        scene.run(SECOND);
    }
    assert_eq!(scene.server().connections(), 2);
    scene.run(3 * SECOND);
    assert_eq!((scene.server().connections(), scene.dialled(partial).has_ended), (0, true), "it never ended a message");
}

#[test]
fn connections_are_bounded_for_each_source_and_in_all() {
    let mut scene = tcp_scene(TurnServerConfig { connections: 5, connections_per_source: 2, ..config() });
    let home = scene.world.behind("home", switchboard::sim::NatKind::ALL[9]);
    for _ in 0..4 {
        scene.dialler(home, Dialler::mute(SERVER));
    }
    scene.run(SECOND);
    assert_eq!(scene.server().connections(), 2, "they come from one address");
    let others: Vec<_> = (0..10).map(|_| scene.dialler(INTERNET, Dialler::mute(SERVER))).collect();
    scene.run(SECOND);
    assert_eq!(scene.server().connections(), 5);
    let ended = others.iter().filter(|host| scene.dialled(**host).has_ended).count();
    assert_eq!((ended, scene.statistics().refused_connections), (7, 9));
    assert!(scene.caller_in(INTERNET, Caller::new(SERVER, ALICE.0, ALICE.1)) != scene.server);
    scene.run(40 * SECOND);
    assert_eq!((scene.server().connections(), scene.server().allocations()), (0, 1), "others come by UDP");
}

#[test]
fn a_reader_that_is_slow_loses_datagrams_and_holds_up_nobody() {
    let mut scene = tcp_scene(TurnServerConfig { queue: 20_000, ..config() });
    let (slow, quick, peer) = (dialler(&mut scene), scene.alice(), scene.peer_address());
    scene.dial(slow, |dialler, cx| dialler.permit(cx, peer.ip()));
    scene.call(quick, |caller, cx| caller.permit(cx, peer.ip()));
    scene.run(SECOND);
    let (to_slow, to_quick) = (scene.dialled(slow).relayed().unwrap(), scene.relayed(quick).unwrap());
    scene.dial(slow, |dialler, _| dialler.pause(true));
    for _ in 0..3000 {
        scene.peer(|peer, _| peer.say(to_slow, &[b'x'; 1000]));
        scene.run(SECOND / 100);
    }
    assert!(scene.statistics().overflows > 100, "{:?}", scene.statistics());
    scene.peer(|peer, _| peer.say(to_quick, b"still here"));
    scene.run(SECOND);
    assert_eq!(scene.words(quick), ["still here"]);
    scene.dial(slow, |dialler, _| dialler.pause(false));
    scene.run(2 * SECOND);
    scene.peer(|peer, _| peer.say(to_slow, b"and you"));
    scene.run(SECOND);
    let heard = words(&scene, slow);
    assert_eq!(heard.last(), Some(&"and you"));
    assert!(heard[..heard.len() - 1].iter().all(|words| words.len() == 1000), "each is whole");
}
