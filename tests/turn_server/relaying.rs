//! Allocations, permissions, channels, refreshes, expiry.

use std::net::SocketAddr;

use switchboard::sim::NatKind;
use switchboard::stack::turn_server::TurnServerEvent;
use turn_client_proto::api::TurnConfig;
use turn_client_proto::stun::types::message::IntegrityAlgorithm;
use turn_client_proto::types::{AddressFamily, TurnCredentials};

use crate::caller::Caller;
use crate::scene::{ALICE, MINUTE, SECOND, SERVER, Scene, config};
use crate::talker::Talker;

fn alice() -> TurnConfig {
    TurnConfig::new(TurnCredentials::new(ALICE.0, ALICE.1))
}

#[test]
fn a_client_behind_any_nat_that_lets_udp_out_relays_to_a_peer_both_ways() {
    for kind in NatKind::ALL {
        let blocked = matches!(kind, NatKind::UdpBlocked | NatKind::TcpOnly443);
        let mut scene = Scene::new(config());
        let alice = scene.caller_behind(kind, Caller::with(SERVER, alice()));
        scene.run(SECOND);
        assert_eq!(scene.relayed(alice).is_none(), blocked, "{kind}");
        if blocked {
            continue;
        }
        let peer = scene.peer_address();
        scene.call(alice, |caller, cx| caller.permit(cx, peer.ip()));
        scene.run(SECOND);
        scene.say(alice, "through the relay");
        scene.run(SECOND);
        assert_eq!(scene.words(alice), ["through the relay"], "{kind}");
        let relayed = scene.relayed(alice).unwrap();
        assert_eq!(scene.peer(|peer, _| peer.heard[0].source), relayed, "{kind}");
    }
}

#[test]
fn the_server_tells_who_got_which_address_and_when_it_is_gone() {
    let mut scene = Scene::new(config());
    let alice = scene.alice();
    let relayed = scene.relayed(alice).unwrap();
    let client = SocketAddr::new(scene.world.address(alice), 4000);
    let (user, listening) = ("alice".to_owned(), TurnServerEvent::Listening(SERVER));
    assert_eq!(scene.events(), [listening, TurnServerEvent::Allocated { client, relayed, user }]);
    assert_eq!((relayed.ip(), scene.world.ports(scene.server)), (SERVER.ip(), 2));
    scene.call(alice, Caller::delete);
    scene.run(SECOND);
    assert_eq!(scene.events(), [TurnServerEvent::Released { client, relayed }]);
    assert_eq!((scene.server().allocations(), scene.world.ports(scene.server)), (0, 1));
}

#[test]
fn users_of_both_algorithms_and_with_hidden_or_open_names_are_served() {
    for (algorithm, anonymous) in [
        (IntegrityAlgorithm::Sha1, turn_client_proto::stun::auth::Feature::Disabled),
        (IntegrityAlgorithm::Sha256, turn_client_proto::stun::auth::Feature::Required),
    ] {
        let mut settings = alice();
        settings.set_supported_integrity(algorithm);
        settings.set_anonymous_username(anonymous);
        let mut scene = Scene::new(config());
        let alice = scene.caller_in(switchboard::sim::INTERNET, Caller::with(SERVER, settings));
        scene.run(SECOND);
        assert!(scene.relayed(alice).is_some(), "{algorithm:?}: {:?}", scene.at(alice));
        assert!(matches!(&scene.events()[1], TurnServerEvent::Allocated { user, .. } if user == "alice"));
    }
}

#[test]
fn wrong_passwords_and_strangers_get_nothing() {
    for (name, password) in [("alice", "swordfish"), ("mallory", "open sesame")] {
        let mut scene = Scene::new(config());
        let caller = scene.caller(name, password);
        scene.run(MINUTE);
        assert_eq!(scene.relayed(caller), None);
        assert_eq!(scene.at(caller).codes[..2], [401, 401]);
        assert_eq!((scene.server().allocations(), scene.world.ports(scene.server)), (0, 1));
    }
}

#[test]
fn each_family_of_addresses_is_relayed_if_the_server_has_it() {
    let mut settings = alice();
    settings.add_address_family(AddressFamily::IPV6);
    let mut scene = Scene::new(config());
    let v6 = scene.world.address_v6(scene.server);
    for (relays, families) in [(vec![SERVER.ip(), v6], 2), (vec![SERVER.ip()], 1)] {
        let mut config = config();
        config.relays = relays;
        scene.reboot(config);
        scene.caller_in(switchboard::sim::INTERNET, Caller::with(SERVER, settings.clone()));
        scene.run(SECOND);
        let is_allocated = |event: &TurnServerEvent| matches!(event, TurnServerEvent::Allocated { .. });
        assert_eq!(scene.events().iter().filter(|event| is_allocated(event)).count(), families);
        assert_eq!(scene.server().allocations(), 1);
    }
}

#[test]
fn a_peer_without_a_permission_is_not_heard() {
    let mut scene = Scene::new(config());
    let alice = scene.alice();
    let relayed = scene.relayed(alice).unwrap();
    scene.peer(|peer, _| peer.say(relayed, b"let me in"));
    scene.run(SECOND);
    assert_eq!(scene.words(alice), [""; 0]);
    assert_eq!(scene.statistics().unwanted, 1);
}

#[test]
fn a_channel_carries_both_ways_with_less_around_it() {
    let mut scene = Scene::new(config());
    let alice = scene.alice_with_permission();
    let peer = scene.peer_address();
    scene.say(alice, "0123456789");
    scene.run(SECOND);
    let (_, before) = scene.at(alice).received;
    scene.call(alice, |caller, cx| caller.bind_channel(cx, peer));
    scene.run(SECOND);
    let (_, bound) = scene.at(alice).received;
    scene.say(alice, "0123456789");
    scene.run(SECOND);
    let (_, after) = scene.at(alice).received;
    assert_eq!(scene.words(alice), ["0123456789", "0123456789"]);
    assert!(bound > before);
    assert_eq!(after - bound, 4 + 10, "a channel's header has 4 bytes");
    assert_eq!((scene.statistics().to_peers, scene.statistics().to_clients), (2, 2));
}

#[test]
fn a_client_that_refreshes_keeps_its_allocation_and_its_permission_for_hours() {
    let mut scene = Scene::new(config());
    let alice = scene.alice_with_permission();
    let relayed = scene.relayed(alice);
    scene.run(150 * MINUTE);
    scene.say(alice, "still here");
    scene.run(SECOND);
    assert_eq!(scene.words(alice), ["still here"]);
    assert_eq!(scene.relayed(alice), relayed);
    assert!(scene.at(alice).codes.contains(&438), "a nonce lives for an hour");
}

#[test]
fn a_client_that_falls_silent_loses_its_permission_first_and_its_allocation_then() {
    let mut scene = Scene::new(config());
    let alice = scene.alice_with_permission();
    let relayed = scene.relayed(alice).unwrap();
    scene.events();
    scene.call(alice, |caller, _| caller.is_mute = true);
    scene.run(4 * MINUTE);
    scene.peer(|peer, _| peer.say(relayed, b"four minutes"));
    scene.run(2 * MINUTE);
    scene.peer(|peer, _| peer.say(relayed, b"six minutes"));
    scene.run(23 * MINUTE);
    assert_eq!(scene.words(alice), ["four minutes"]);
    assert_eq!((scene.server().allocations(), scene.events().len()), (1, 0));
    scene.run(2 * MINUTE);
    assert_eq!((scene.server().allocations(), scene.world.ports(scene.server)), (0, 1), "half an hour was granted");
    assert!(matches!(scene.events()[..], [TurnServerEvent::Released { .. }]));
}

#[test]
fn a_reboot_forgets_all_allocations() {
    let mut scene = Scene::new(config());
    let alice = scene.alice_with_permission();
    scene.say(alice, "before");
    scene.run(SECOND);
    scene.reboot(config());
    scene.say(alice, "after");
    scene.run(SECOND);
    assert_eq!(scene.words(alice), ["before"]);
    assert_eq!(scene.server().allocations(), 0);
    scene.run(5 * MINUTE);
    assert_eq!(scene.at(alice).codes[..3], [401, 438, 437]);
}

#[test]
fn a_server_that_nobody_uses_has_no_deadline() {
    let mut scene = Scene::new(config());
    let alice = scene.alice();
    scene.call(alice, Caller::delete);
    scene.run(2 * MINUTE);
    assert_eq!((scene.server().allocations(), scene.server().strangers()), (0, 0));
    scene.call(alice, |caller, _| caller.is_mute = true);
    while scene.world.step_to(scene.world.now() + 600 * MINUTE).is_some() {}
    assert!(scene.world.step().is_none_or(|happened| happened.host == alice));
}

#[test]
fn a_listener_that_fails_is_told() {
    let mut scene = Scene::new(config());
    scene.events();
    scene.serve(|server, cx| server.listen(cx, "192.0.2.1:3478".parse().unwrap()));
    scene.run(SECOND);
    let error = switchboard::machine::port::PortError::AddressNotAvailable;
    assert_eq!(scene.events(), [TurnServerEvent::Failed(error)]);
    assert_eq!(scene.world.ports(scene.server), 0);
}

#[test]
fn runs_of_one_seed_are_one_run_though_nonces_differ() {
    let run = |seed| {
        let mut scene = Scene::seeded(seed, config());
        scene.world.leave_contents_out_of(SERVER.port());
        let peer = scene.peer_address();
        let alice = scene.caller_behind(NatKind::ALL[9], Caller::with(SERVER, alice()));
        scene.run(SECOND);
        scene.call(alice, |caller, cx| caller.permit(cx, peer.ip()));
        scene.run(SECOND);
        scene.call(alice, |caller, cx| caller.bind_channel(cx, peer));
        scene.peer(|peer, cx| Talker::beat(peer, cx.now, MINUTE, SERVER));
        for _ in 0..20 {
            scene.say(alice, "tick");
            scene.run(5 * MINUTE);
        }
        (scene.world.transcript_hash(), scene.at(alice).nonces.clone(), scene.words(alice).len())
    };
    let ((hash, nonces, words), (again, others, _)) = (run(7), run(7));
    assert_eq!(words, 20);
    assert_ne!(nonces, others);
    assert_eq!(hash, again);
    assert_ne!(hash, run(8).0);
}
