//! What the server does not grow beyond, and what it drops.

use std::net::{IpAddr, Ipv4Addr};

use switchboard::sim::{HostId, INTERNET};
use switchboard::stack::turn_server::TurnServerConfig;

use crate::caller::Caller;
use crate::scene::{SECOND, SERVER, Scene, config};

/// That many callers of one user, all with time to allocate.
fn crowd(scene: &mut Scene, name: &str, password: &str, count: usize) -> Vec<HostId> {
    let hosts = (0..count).map(|_| scene.caller(name, password)).collect();
    scene.run(3 * SECOND);
    hosts
}

fn served(scene: &Scene, hosts: &[HostId]) -> usize {
    hosts.iter().filter(|host| scene.relayed(**host).is_some()).count()
}

#[test]
fn one_user_gets_no_more_than_its_quota_and_leaves_room_for_others() {
    let mut scene = Scene::new(TurnServerConfig { allocations_per_user: 2, ..config() });
    let alices = crowd(&mut scene, "alice", "open sesame", 4);
    let bobs = crowd(&mut scene, "bob", "swordfish", 1);
    assert_eq!((served(&scene, &alices), served(&scene, &bobs)), (2, 1));
    let refused = alices.iter().find(|host| scene.relayed(**host).is_none()).unwrap();
    assert_eq!(scene.at(*refused).codes, [401, 486]);
    assert_eq!(scene.statistics().over_quota, 2);
    let first = alices[0];
    scene.call(first, Caller::delete);
    scene.run(SECOND);
    let late = crowd(&mut scene, "alice", "open sesame", 1);
    assert_eq!(served(&scene, &late), 1, "what was given back can be had again");
}

#[test]
fn a_full_server_says_508() {
    let mut scene = Scene::new(TurnServerConfig { allocations: 3, ..config() });
    let hosts = [crowd(&mut scene, "alice", "open sesame", 2), crowd(&mut scene, "bob", "swordfish", 2)].concat();
    assert_eq!(served(&scene, &hosts), 3);
    assert_eq!(scene.at(hosts[3]).codes, [401, 508]);
    assert_eq!((scene.server().allocations(), scene.world.ports(scene.server)), (3, 4));
    assert_eq!(scene.statistics().over_capacity, 1);
}

#[test]
fn permissions_are_bounded_and_none_is_given_for_ourselves() {
    let mut scene = Scene::new(TurnServerConfig { permissions: 2, ..config() });
    let alice = scene.alice();
    for peer in [[198, 18, 0, 9], [198, 18, 0, 10], [198, 18, 0, 11], [127, 0, 0, 1], [224, 0, 0, 1]] {
        scene.call(alice, |caller, cx| caller.permit(cx, Ipv4Addr::from(peer).into()));
        scene.run(SECOND);
    }
    assert_eq!(scene.at(alice).codes, [401, 508, 403, 403]);
}

#[test]
fn strangers_are_bounded_and_forgotten_after_a_silence() {
    let mut scene = Scene::new(TurnServerConfig { strangers: 5, ..config() });
    let alice = scene.alice();
    crowd(&mut scene, "mallory", "guess", 20);
    assert_eq!((scene.server().strangers(), scene.server().allocations()), (5, 1));
    assert!(scene.statistics().evicted >= 15);
    assert!(scene.relayed(alice).is_some());
    scene.run(120 * SECOND);
    assert_eq!((scene.server().strangers(), scene.server().allocations()), (0, 1));
}

#[test]
fn noise_is_counted_and_makes_nobody_known() {
    let mut scene = Scene::new(config());
    let caller = scene.caller_in(INTERNET, Caller::new(SERVER, "alice", "open sesame"));
    scene.call(caller, |caller, _| caller.is_mute = true);
    scene.run(100 * SECOND);
    scene.call(caller, |caller, _| caller.is_mute = false);
    for noise in [&b"GET / HTTP/1.1"[..], &[0x40, 0, 0, 4, 1, 2, 3, 4], &[0; 20], &[0xff; 1200]] {
        scene.call(caller, |caller, _| caller.send_raw(noise.to_vec()));
    }
    let (useless, to) = (scene.statistics().useless, scene.server().strangers());
    scene.world.run_for(SECOND).unwrap();
    assert_eq!((scene.statistics().useless - useless, to), (4, 0));
}

#[test]
fn a_binding_request_is_answered_with_the_address_it_came_from() {
    let mut scene = Scene::new(config());
    let caller = scene.alice();
    let before = scene.at(caller).received;
    let binding = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    scene.call(caller, |caller, _| caller.send_raw(binding));
    scene.run(SECOND);
    let after = scene.at(caller).received;
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 20 + 12 + 8));
}

#[test]
fn what_does_not_fit_the_queue_is_dropped_and_counted() {
    let mut scene = Scene::new(TurnServerConfig { queue: 200, ..config() });
    let alice = scene.alice_with_permission();
    let before = scene.statistics().to_peers;
    scene.say(alice, &"x".repeat(201));
    scene.say(alice, "fits");
    scene.run(SECOND);
    assert_eq!(scene.words(alice), ["fits"]);
    assert_eq!((scene.statistics().overflows, scene.statistics().to_peers - before), (1, 1));
}

#[test]
fn peers_behind_an_address_are_of_that_address_only() {
    let mut scene = Scene::new(config());
    let alice = scene.alice();
    scene.call(alice, |caller, cx| caller.permit(cx, IpAddr::from([198, 18, 0, 200])));
    scene.run(SECOND);
    let relayed = scene.relayed(alice).unwrap();
    scene.peer(|peer, _| peer.say(relayed, b"not me"));
    scene.run(SECOND);
    assert_eq!(scene.at(alice).heard, []);
}
