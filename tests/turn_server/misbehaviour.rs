//! Each kind of misbehaviour, as a client sees it.

use std::collections::BTreeSet;

use switchboard::machine::Cx;
use switchboard::stack::turn_server::Misbehaviour;

use crate::caller::Caller;
use crate::scene::{MINUTE, SECOND, Scene, config};

/// The client asks for half an hour each time.
const REFRESHED: std::time::Duration = MINUTE.saturating_mul(31);

/// A caller that asks while the server misbehaves.
fn caller(misbehaviour: Misbehaviour) -> (Scene, switchboard::sim::HostId) {
    let mut scene = Scene::new(config());
    scene.misbehave(misbehaviour);
    let alice = scene.caller("alice", "open sesame");
    scene.run(2 * SECOND);
    (scene, alice)
}

fn distinct(nonces: &[String]) -> usize {
    nonces.iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn an_unauthorized_loop_answers_each_request_by_401_and_another_nonce() {
    let (scene, alice) = caller(Misbehaviour::AlwaysUnauthorized);
    let Caller { codes, nonces, .. } = scene.at(alice);
    assert!(codes.len() >= 2 && codes.iter().all(|code| *code == 401), "{codes:?}");
    assert_eq!(distinct(nonces), nonces.len());
    assert_eq!((scene.relayed(alice), scene.server().allocations()), (None, 0));
}

#[test]
fn a_stale_nonce_loop_answers_each_request_with_credentials_by_438_and_another_nonce() {
    let (scene, alice) = caller(Misbehaviour::AlwaysStaleNonce);
    let Caller { codes, nonces, .. } = scene.at(alice);
    assert!(codes.len() > 3 && codes[0] == 401 && codes[1..].iter().all(|code| *code == 438), "{codes:?}");
    assert_eq!(distinct(nonces), nonces.len());
    assert_eq!((scene.relayed(alice), scene.server().allocations()), (None, 0));
}

#[test]
fn a_quota_that_is_reached_is_said_by_486() {
    let (scene, alice) = caller(Misbehaviour::QuotaReached);
    assert_eq!(scene.at(alice).codes, [401, 486]);
    assert_eq!((scene.relayed(alice), scene.world.ports(scene.server)), (None, 1));
    assert!(format!("{:?}", scene.at(alice).events).contains("AllocationCreateFailed"), "the client trusts the answer");
    assert_eq!(scene.statistics().over_quota, 1);
}

#[test]
fn a_family_that_is_not_served_is_said_by_440() {
    let (scene, alice) = caller(Misbehaviour::WrongFamily);
    assert_eq!(scene.at(alice).codes, [401, 440]);
    assert_eq!((scene.relayed(alice), scene.world.ports(scene.server)), (None, 1));
}

#[test]
fn a_silent_server_says_nothing_until_it_behaves_again() {
    let (mut scene, alice) = caller(Misbehaviour::Silent);
    assert_eq!(scene.at(alice).received, (0, 0));
    assert!(scene.statistics().silenced > 1);
    scene.serve(|server, _| server.misbehave(None));
    scene.run(10 * SECOND);
    assert!(scene.relayed(alice).is_some());
}

#[test]
fn a_server_that_falls_silent_relays_no_more_either_way() {
    let mut scene = Scene::new(config());
    let alice = scene.alice_with_permission();
    let relayed = scene.relayed(alice).unwrap();
    scene.misbehave(Misbehaviour::Silent);
    scene.say(alice, "anybody there?");
    scene.peer(|peer, _| peer.say(relayed, b"hello?"));
    scene.run(SECOND);
    assert!(scene.at(alice).heard.is_empty());
    assert!(scene.peer(|peer, _| peer.heard.is_empty()));
}

#[test]
fn a_nonce_is_stale_once_in_the_middle_of_a_refresh_and_the_allocation_lives_on() {
    let mut scene = Scene::new(config());
    let alice = scene.alice();
    let relayed = scene.relayed(alice);
    scene.misbehave(Misbehaviour::StaleNonceOnRefresh);
    scene.run(REFRESHED);
    assert_eq!(scene.at(alice).codes, [401, 438]);
    assert_eq!(scene.server().misbehaviour(), None);
    scene.run(REFRESHED / 2);
    assert_eq!((scene.at(alice).codes.len(), scene.relayed(alice)), (2, relayed));
    assert_eq!(scene.server().allocations(), 1);
}

#[test]
fn misbehaviour_that_begins_and_ends_leaves_allocations_as_they_were() {
    for misbehaviour in Misbehaviour::ALL {
        let mut scene = Scene::new(config());
        let alice = scene.alice_with_permission();
        scene.misbehave(misbehaviour);
        scene.run(SECOND);
        scene.serve(|server, _: &mut Cx<'_>| server.misbehave(None));
        scene.say(alice, "as ever");
        scene.run(SECOND);
        assert_eq!(scene.words(alice), ["as ever"], "{misbehaviour:?}");
    }
}
