//! STUN and TURN servers that relays hand out.

use std::time::Duration;

use switchboard::connect::Endpoint;
use switchboard::hub::{Event, ServersFor};
use switchboard::link::noise::Claims;
use switchboard::sim::World;
use switchboard::wire::frame::Frame;
use switchboard::wire::identity::EndpointId;
use switchboard::wire::servers::{GrantedServer, encode};

use crate::hostile::rogue::Conduct;
use crate::hostile::scene::Scene;
use crate::party::{Party, Recipe, run};

const MINUTE: Duration = Duration::from_secs(60);

fn server(name: &str, lifetime: u32) -> GrantedServer {
    let credential = "open sesame".to_owned().into();
    GrantedServer { uri: "turn:198.18.0.1:3478".to_owned(), username: name.to_owned(), credential, lifetime }
}

/// A relay that hands out credentials of that lifetime.
fn generous(lifetime: u32) -> Recipe {
    let grant = move |id: &EndpointId, unix: Duration| vec![server(&format!("{}:{id}", unix.as_secs()), lifetime)];
    Recipe { servers_for: Some(ServersFor::new(grant)), ..Recipe::relay("relay", 1) }
}

fn asking(name: &'static str, key: u64) -> Recipe {
    Recipe { wants_servers: true, ..Recipe::new(name, key).over("tcp:relay.test:7000") }
}

fn given(party: &Party, world: &World<Endpoint>) -> Vec<GrantedServer> {
    world.machine(party.host).servers().flat_map(|(_, given)| given.servers.clone()).collect()
}

fn renewals(party: &Party) -> usize {
    party.filter(|event| matches!(event, Event::Servers { .. }).then_some(())).len()
}

fn scene(relay: Recipe, asks: Recipe) -> (World<Endpoint>, Party, Party) {
    let mut world = World::new(1);
    let mut relay = Party::start(&mut world, relay);
    world.name("relay.test", &[relay.host]);
    let mut asks = Party::start(&mut world, asks);
    run(&mut world, &mut [&mut relay, &mut asks], |parties| parties[0].neighbours() == 1);
    (world, relay, asks)
}

fn pass(world: &mut World<Endpoint>, parties: &mut [&mut Party], time: Duration) {
    world.run_for(time).unwrap();
    for party in parties {
        party.look(world);
    }
}

#[test]
fn an_endpoint_that_asks_gets_servers_of_its_own_and_new_ones_in_time() {
    let (mut world, mut relay, mut asks) = scene(generous(600), asking("asks", 2));
    pass(&mut world, &mut [&mut relay, &mut asks], MINUTE);
    let first = given(&asks, &world);
    assert!(first[0].username.ends_with(&asks.address(&world).id.to_string()), "{first:?}");
    assert_eq!((first.len(), renewals(&asks)), (1, 1));
    pass(&mut world, &mut [&mut relay, &mut asks], 7 * MINUTE);
    assert_eq!(renewals(&asks), 2, "three quarters of ten minutes are over");
    assert_ne!(given(&asks, &world), first);
    pass(&mut world, &mut [&mut relay, &mut asks], 60 * MINUTE);
    assert_eq!(renewals(&asks), 10);
}

#[test]
fn who_has_no_use_for_servers_does_not_ask() {
    let (mut world, mut relay, mut quiet) = scene(generous(600), Recipe { wants_servers: false, ..asking("quiet", 2) });
    pass(&mut world, &mut [&mut relay, &mut quiet], 20 * MINUTE);
    assert_eq!((given(&quiet, &world), renewals(&quiet)), (vec![], 0));
}

#[test]
fn a_relay_without_servers_says_so_and_is_not_asked_again() {
    let (mut world, mut relay, mut asks) = scene(Recipe::relay("relay", 1), asking("asks", 2));
    pass(&mut world, &mut [&mut relay, &mut asks], 60 * MINUTE);
    assert_eq!((given(&asks, &world), renewals(&asks)), (vec![], 1));
}

#[test]
fn servers_are_kept_while_the_relay_is_away_and_renewed_when_it_is_back() {
    let (mut world, mut relay, mut asks) = scene(generous(600), asking("asks", 2));
    pass(&mut world, &mut [&mut relay, &mut asks], MINUTE);
    let first = given(&asks, &world);
    relay.restart(&mut world);
    assert_eq!(given(&asks, &world), first);
    pass(&mut world, &mut [&mut relay, &mut asks], 2 * MINUTE);
    assert_ne!(given(&asks, &world), first);
    assert_eq!(given(&asks, &world).len(), 1);
}

#[test]
fn lifetimes_of_seconds_make_nobody_ask_more_than_once_a_minute() {
    let (mut world, mut relay, mut asks) = scene(generous(1), asking("asks", 2));
    pass(&mut world, &mut [&mut relay, &mut asks], 10 * MINUTE);
    assert!((9..=10).contains(&renewals(&asks)), "{}", renewals(&asks));
    assert_eq!(world.machine(relay.host).statistics().dropped_frames, 0);
}

#[test]
fn a_neighbour_that_asks_all_the_time_is_answered_once_a_minute() {
    let mut scene = Scene::new(1);
    let relay = scene.honest(generous(600));
    let rogue = scene.rogue("rogue", 9, Conduct::Proves);
    let link = scene.proved(rogue, relay, "relay.test");
    for _ in 0..50 {
        scene.say(rogue, link, &Frame::WantServers);
    }
    scene.pass(MINUTE * 2);
    scene.say(rogue, link, &Frame::WantServers);
    scene.pass(MINUTE / 6);
    let heard = scene.with(rogue, |rogue, _| rogue.heard(link));
    assert_eq!(heard.iter().filter(|frame| matches!(Frame::decode(frame), Ok(Frame::Servers(_)))).count(), 2);
    assert_eq!((scene.statistics(relay).dropped_frames, scene.neighbours(relay)), (49, 1));
}

#[test]
fn servers_that_nobody_asked_for_are_dropped_and_so_is_what_is_no_list() {
    let mut scene = Scene::new(1);
    let claims = Claims { relays: true, ..Claims::default() };
    let rogue = crate::hostile::rogue::Rogue::new(9, claims, Conduct::Proves);
    let rogue = scene.rogue_that("relay", rogue);
    scene.listen(rogue);
    let asks = scene.honest(asking("asks", 2));
    let address = scene.address(asks);
    scene.until(|scene| scene.with(rogue, |rogue, _| rogue.link_to(address).is_some()));
    let link = scene.with(rogue, |rogue, _| rogue.link_to(address).unwrap());
    let list = encode(&[server("x", 600)]);
    let broken = [&list[..], &[0]].concat();
    scene.say(rogue, link, &Frame::Servers(&broken));
    scene.pass(MINUTE / 6);
    assert_eq!(scene.endpoint(asks).servers().count(), 0);
    for _ in 0..5 {
        scene.say(rogue, link, &Frame::Servers(&list));
    }
    scene.pass(MINUTE / 6);
    let given: Vec<_> = scene.endpoint(asks).servers().map(|(_, given)| given.servers.clone()).collect();
    assert_eq!(given, [[server("x", 600)]]);
    assert_eq!(scene.statistics(asks).dropped_frames, 5, "one is no list, and four were not asked for");
}
