//! Whom a server serves for how long, whom it reaches for them, and how much it relays.

use std::net::IpAddr;
use std::time::Duration;

use switchboard::sim::{HostId, INTERNET};
use switchboard::stack::turn_server::{PeerPolicy, TurnSecret, TurnServerConfig, User};
use turn_client_proto::api::TurnConfig;
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::types::TurnCredentials;

use crate::caller::Caller;
use crate::scene::{MINUTE, SECOND, SERVER, Scene, config};

const SECRET: &[u8] = b"shared between two";

fn shared() -> TurnServerConfig {
    TurnServerConfig { secret: Some(TurnSecret::new(SECRET)), ..config() }
}

/// A caller with time-limited credentials, which must show its name.
fn caller_as(scene: &mut Scene, User { name, password }: User) -> HostId {
    let mut settings = TurnConfig::new(TurnCredentials::new(&name, &password));
    settings.set_anonymous_username(Feature::Disabled);
    let host = scene.caller_in(INTERNET, Caller::with(SERVER, settings));
    scene.run(SECOND);
    host
}

/// Credentials of that name that last so long from now.
fn granted(scene: &mut Scene, name: &str, lifetime: Duration) -> User {
    let unix = scene.serve(|_, cx| cx.unix);
    TurnSecret::new(SECRET).grant(name, unix + lifetime)
}

#[test]
fn time_limited_credentials_allocate_until_they_expire_and_keep_what_they_have() {
    let mut scene = Scene::new(shared());
    let user = granted(&mut scene, "carol", 10 * MINUTE);
    let carol = caller_as(&mut scene, user.clone());
    assert!(scene.relayed(carol).is_some());
    scene.run(60 * MINUTE);
    assert_eq!(scene.server().allocations(), 1, "it was refreshed");
    let late = caller_as(&mut scene, user);
    assert_eq!(scene.relayed(late), None);
    assert_eq!(scene.at(late).codes[..2], [401, 401]);
    assert!(scene.statistics().expired > 0);
}

#[test]
fn credentials_that_were_changed_get_nothing() {
    let mut scene = Scene::new(shared());
    let user = granted(&mut scene, "carol", MINUTE);
    let longer = User { name: granted(&mut scene, "carol", 60 * MINUTE).name, ..user.clone() };
    let other = User { name: user.name.replace("carol", "mallory"), ..user };
    let odd = User::new("x:carol", "");
    for user in [longer, other, odd] {
        let caller = caller_as(&mut scene, user);
        assert_eq!(scene.relayed(caller), None);
    }
}

#[test]
fn a_quota_counts_by_name_whatever_the_expiry() {
    let mut scene = Scene::new(TurnServerConfig { allocations_per_user: 2, ..shared() });
    let mut served = Vec::new();
    for (name, minutes) in [("carol", 1), ("carol", 2), ("carol", 3), ("dave", 1)] {
        let user = granted(&mut scene, name, minutes * MINUTE);
        let caller = caller_as(&mut scene, user);
        served.push(scene.relayed(caller).is_some());
    }
    assert_eq!(served, [true, true, false, true]);
}

#[test]
fn a_rate_counts_both_ways_over_all_allocations_of_a_user() {
    let mut scene = Scene::new(TurnServerConfig { rate_per_user: Some(10_000), ..config() });
    let (one, two, peer) = (scene.alice_with_permission(), scene.alice_with_permission(), scene.peer_address());
    let before = scene.statistics();
    let words = "x".repeat(100);
    for _ in 0..1000 {
        for host in [one, two] {
            scene.say(host, &words);
        }
        scene.run(SECOND / 100);
    }
    let after = scene.statistics();
    let bytes = after.bytes_to_peers + after.bytes_to_clients - before.bytes_to_peers - before.bytes_to_clients;
    assert!((105_000..=112_000).contains(&bytes), "{bytes} in ten seconds, with a burst of one");
    assert!(after.over_rate > 900, "{after:?}");
    let bob = scene.caller("bob", "swordfish");
    scene.run(SECOND);
    scene.call(bob, |caller, cx| caller.permit(cx, peer.ip()));
    scene.run(SECOND);
    scene.say(bob, "mine is my own");
    scene.run(SECOND);
    assert_eq!(scene.words(bob), ["mine is my own"]);
}

/// What a server answers to a wish for permission.
fn verdicts(scene: &mut Scene, peers: &[&str]) -> Vec<bool> {
    let alice = scene.alice();
    let mut verdicts = Vec::new();
    for peer in peers {
        let (before, peer) = (scene.at(alice).codes.len(), peer.parse::<IpAddr>().unwrap());
        scene.call(alice, |caller, cx| caller.permit(cx, peer));
        scene.run(SECOND);
        let refused = scene.at(alice).codes[before..] == [403];
        assert!(refused || scene.at(alice).codes.len() == before, "{:?}", scene.at(alice).codes);
        verdicts.push(!refused);
    }
    verdicts
}

#[test]
fn peers_in_private_networks_are_forbidden_and_those_in_public_ones_are_not() {
    let mut scene = Scene::new(TurnServerConfig { forbidden: vec!["198.18.9.9".parse().unwrap()], ..config() });
    let peers = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.0.1", "127.0.0.1", "0.0.0.0"];
    assert_eq!(verdicts(&mut scene, &peers), [false; 7]);
    let peers = ["224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.9.9", "198.18.0.77", "1.1.1.1"];
    assert_eq!(verdicts(&mut scene, &peers), [false, false, false, false, true, true]);
    assert_eq!(scene.statistics().forbidden, 11);
}

#[test]
fn a_list_of_ranges_opens_a_private_network() {
    let list = PeerPolicy::AllowList(vec!["10.0.0.0/8".parse().unwrap()]);
    let mut scene = Scene::new(TurnServerConfig { peers: list, ..config() });
    assert_eq!(verdicts(&mut scene, &["10.0.0.1", "1.1.1.1", "127.0.0.1"]), [true, false, false]);
    let mut scene = Scene::new(TurnServerConfig { peers: PeerPolicy::Any, loopback: true, ..config() });
    assert_eq!(verdicts(&mut scene, &["10.0.0.1", "1.1.1.1", "127.0.0.1"]), [true, true, true]);
}

#[test]
fn services_of_the_servers_own_host_are_out_of_reach() {
    let mut scene = Scene::new(config());
    let alice = scene.alice();
    scene.call(alice, |caller, cx| caller.permit(cx, SERVER.ip()));
    scene.run(SECOND);
    scene.call(alice, |caller, cx| caller.say(cx, SERVER, "to its own port"));
    scene.run(SECOND);
    assert_eq!((scene.statistics().to_peers, scene.statistics().forbidden), (0, 1));
    scene.call(alice, |caller, cx| caller.bind_channel(cx, SERVER));
    scene.run(SECOND);
    assert_eq!(scene.at(alice).codes, [401, 403]);
}

#[test]
fn an_announced_address_stands_for_the_servers_own() {
    let announced: IpAddr = "203.0.113.9".parse().unwrap();
    let mut scene = Scene::new(TurnServerConfig { announce: vec![announced], ..config() });
    let (alice, bob) = (scene.alice(), scene.caller("bob", "swordfish"));
    scene.run(SECOND);
    let (to_alice, to_bob) = (scene.relayed(alice).unwrap(), scene.relayed(bob).unwrap());
    assert_eq!([to_alice.ip(), to_bob.ip()], [announced; 2]);
    for host in [alice, bob] {
        scene.call(host, |caller, cx| caller.permit(cx, announced));
    }
    scene.run(SECOND);
    scene.call(alice, |caller, cx| caller.say(cx, to_bob, "within the server"));
    scene.run(SECOND);
    assert_eq!(scene.at(bob).heard, [(to_alice, "within the server".to_owned())]);
}

#[test]
fn a_server_on_every_address_answers_from_the_one_that_was_asked() {
    let mut scene = Scene::new(config());
    scene.serve(|server, cx| server.listen(cx, "0.0.0.0:3478".parse().unwrap()));
    scene.run(SECOND);
    let alice = scene.alice_with_permission();
    assert_eq!(scene.relayed(alice).unwrap().ip(), SERVER.ip());
    scene.say(alice, "hello");
    scene.run(SECOND);
    assert_eq!(scene.words(alice), ["hello"]);
}
