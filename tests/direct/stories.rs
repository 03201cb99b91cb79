//! What happens to people: restarts, sleep, journeys, servers that fail.

use std::time::Duration;

use switchboard::hub::explain::NotDirect;
use switchboard::hub::{Event, PathPolicy, ServersFor, SessionId};
use switchboard::sim::timeline::{Body, What};
use switchboard::sim::{Conditions, Dependence, Link, Loss, NatKind, OldStreams, Recording, Sleep};
use switchboard::stack::turn_server::{PeerPolicy, TurnSecret, User};
use switchboard::transport::serve::TurnService;
use switchboard::wire::candidate::CandidateKind;
use switchboard::wire::ice_server::IceServer;
use switchboard::wire::servers::GrantedServer;

use crate::common::campaign;
use crate::stage::{self, MS, Plan, SECOND, Scene, TURN};

const MINUTE: Duration = Duration::from_secs(60);
const HOME: NatKind =
    NatKind::Nat { mapping: Dependence::EndpointIndependent, filtering: Dependence::AddressAndPortDependent };
const SYMMETRIC: NatKind =
    NatKind::Nat { mapping: Dependence::AddressAndPortDependent, filtering: Dependence::AddressAndPortDependent };

/// Numbers each way at that pace.
fn talk(scene: &mut Scene, time: Duration, pace: Duration, next: &mut [u32; 2]) {
    let end = scene.now() + time;
    while scene.now() < end {
        for (n, next) in next.iter_mut().enumerate() {
            if scene.actors[n].session.is_some() && scene.send(n, 0, &next.to_be_bytes()).is_ok() {
                *next += 1;
            }
        }
        let until = (scene.now() + pace).min(end);
        while scene.step(until) {}
    }
}

/// Everything has arrived, once and in order.
#[track_caller]
fn check(scene: &Scene, sent: [u32; 2]) {
    for n in 0..2 {
        let heard: Vec<_> = scene.actors[n].heard.iter().map(|(.., bytes)| bytes.clone()).collect();
        let expected: Vec<_> = (0..sent[1 - n]).map(|n| n.to_be_bytes().to_vec()).collect();
        assert!(heard == expected, "{} of {}; {}", heard.len(), expected.len(), scene.account());
    }
}

/// How many direct paths a side has now.
fn direct_paths(scene: &Scene, n: usize, session: SessionId) -> usize {
    let paths = scene.world.machine(scene.actors[n].host).path_statistics(session);
    paths.iter().filter(|path| path.counts.direct).count()
}

fn kinds(scene: &Scene, n: usize, session: SessionId) -> Option<[CandidateKind; 2]> {
    let paths = scene.world.machine(scene.actors[n].host).path_statistics(session);
    let pair = paths.iter().find_map(|path| path.peer.as_ref()?.pair)?;
    Some([pair.local.kind, pair.remote.kind])
}

fn stun(config: &mut switchboard::transport::webrtc::WebrtcConfig) {
    config.gather.servers = vec![IceServer::new(&format!("stun:{TURN}"), "", "").unwrap()];
}

fn service() -> TurnService {
    let mut service = TurnService::new("relay", TurnSecret::new("secret"));
    service.config.peers = PeerPolicy::Any;
    service.config.users = vec![User::new("me", "open sesame")];
    service.uris = vec![format!("turn:{TURN}")];
    service
}

#[test]
fn no_candidate_leaves_before_the_application_has_accepted() {
    let mut scene = Scene::new(Plan { accepts: false, ..Plan::new(1) });
    scene.world.record(Recording { payloads: false, ..Recording::default() });
    scene.ask();
    scene.until("a request", 10 * SECOND, |scene| scene.actors[1].incoming.is_some());
    scene.run_for(5 * SECOND);
    let datagrams = |scene: &Scene| {
        let sent = |what: &What| matches!(what, What::Sent(frame) if matches!(frame.body, Body::Udp { .. }));
        scene.world.timeline().records.iter().filter(|record| sent(&record.what)).count()
    };
    assert_eq!(datagrams(&scene), 0, "not a datagram was sent");
    let session = scene.actors[1].incoming.unwrap();
    scene.act(1, |endpoint, cx| endpoint.accept(cx, session));
    scene.until("a direct path", 5 * SECOND, |scene| scene.is_direct());
    assert!(datagrams(&scene) > 0);
}

#[test]
fn two_sides_that_begin_an_attempt_at_once_end_with_one_path() {
    for seed in 0..10 {
        let (mut scene, sessions) = Scene::met(Plan::new(seed));
        let [ada, bob] = scene.actors.each_ref().map(|actor| actor.host);
        let mut next = [0; 2];
        talk(&mut scene, SECOND, 5 * MS, &mut next);
        scene.world.cut(ada, bob);
        talk(&mut scene, (1_200 + 20 * seed as u32) * MS, 5 * MS, &mut next);
        scene.world.heal(ada, bob);
        talk(&mut scene, 5 * SECOND, 5 * MS, &mut next);
        scene.run_for(2 * SECOND);
        check(&scene, next);
        assert!(scene.is_direct(), "seed {seed}: {}", scene.account());
        let paths = [direct_paths(&scene, 0, sessions[0]), direct_paths(&scene, 1, sessions[1])];
        assert_eq!(paths, [1; 2], "seed {seed}: {}", scene.account());
    }
}

#[test]
fn two_sides_of_whichever_engines_go_to_and_fro_under_loss() {
    for seed in [3, 7, 17, 20] {
        let mut scene = Scene::new(Plan::new(seed));
        let [ada, bob] = scene.actors.each_ref().map(|actor| actor.host);
        let conditions = Conditions { loss: Loss::Independent(0.05), ..Conditions::default() };
        scene.world.link(ada, Link::symmetric(conditions));
        scene.open();
        let mut next = [0; 2];
        for _ in 0..3 {
            scene.until("a direct path", 30 * SECOND, |scene| scene.is_direct());
            talk(&mut scene, 2 * SECOND, 5 * MS, &mut next);
            scene.world.cut(ada, bob);
            talk(&mut scene, 1_500 * MS, 5 * MS, &mut next);
            scene.world.heal(ada, bob);
        }
        scene.until("a direct path at last", 30 * SECOND, |scene| scene.is_direct());
        scene.run_for(5 * SECOND);
        check(&scene, next);
        println!("{:?}: {} words, {:?} changes", scene.plan.engines, next[0], scene.changes(0));
    }
}

#[test]
fn a_side_that_starts_anew_while_a_path_is_made_gets_one_with_its_next_session() {
    for (seed, (who, after)) in
        [(0, 5), (1, 5), (0, 30), (1, 30), (0, 60), (1, 60), (0, 90), (1, 90), (0, 120), (1, 120)]
            .into_iter()
            .enumerate()
    {
        let mut scene = Scene::new(Plan::new(seed as u64));
        scene.open();
        scene.run_for(after * MS);
        scene.reboot(who);
        renew(&mut scene, &[who]);
    }
}

/// Who was started anew, or has lost its session, has it again, directly.
fn renew(scene: &mut Scene, who: &[usize]) {
    scene.until("relays", 20 * SECOND, |scene| {
        let relay = scene.world.machine(scene.relay);
        let there = |n: &usize| relay.neighbours().any(|(_, address)| address == scene.address(*n));
        [0, 1].iter().all(there)
    });
    if who.contains(&1) && scene.actors[0].session.is_some() {
        let session = scene.actors[0].session.unwrap();
        scene.act(0, |endpoint, cx| endpoint.close(cx, session, 0, ""));
    }
    let (to, channels) = (scene.address(1), scene.plan.channels.clone());
    scene.act(0, |endpoint, cx| endpoint.open(cx, to, channels));
    scene.until("a new direct path", 20 * SECOND, |scene| scene.is_direct());
    scene.send(0, 0, b"hello").unwrap();
    scene.until("a word", SECOND, |scene| scene.actors[1].heard.iter().any(|(.., word)| word == b"hello"));
}

#[test]
fn two_sides_that_start_anew_meet_again() {
    for seed in 0..5 {
        let (mut scene, _) = Scene::met(Plan::new(seed));
        scene.reboot(0);
        scene.run_for(seed as u32 * 40 * MS);
        scene.reboot(1);
        renew(&mut scene, &[0, 1]);
    }
}

#[test]
fn two_sides_behind_symmetric_nats_use_a_turn_server_and_outlive_its_reboot() {
    let configure = |config: &mut switchboard::transport::webrtc::WebrtcConfig| {
        config.gather.servers = vec![IceServer::new(&format!("turn:{TURN}"), "me", "open sesame").unwrap()];
    };
    let plan = Plan { nats: [Some(SYMMETRIC); 2], ipv4: true, turn: Some(service()), configure, ..Plan::new(3) };
    let (mut scene, sessions) = Scene::met(plan);
    assert!(kinds(&scene, 0, sessions[0]).unwrap().contains(&CandidateKind::Relayed));
    let mut next = [0; 2];
    talk(&mut scene, 5 * SECOND, 20 * MS, &mut next);
    scene.world.reboot(scene.turn.unwrap(), stage::turn(&scene.plan, 1));
    let turn = scene.turn.unwrap();
    scene.world.act(turn, |endpoint, cx| endpoint.start(cx));
    let before = scene.now();
    talk(&mut scene, 60 * SECOND, 20 * MS, &mut next);
    assert!(scene.is_direct(), "{}", scene.account());
    assert!(scene.changes(0).1 > 0, "{}", scene.account());
    let again = scene.actors[0].events.iter().rev().find_map(|(at, event)| match event {
        Event::Path { path, .. } if path.direct => Some(*at - before),
        _ => None,
    });
    println!("by TURN again {:?} after its reboot, longest silence {:?}", again.unwrap(), longest(&scene, before));
    scene.run_for(2 * SECOND);
    check(&scene, next);
}

#[test]
fn wrong_credentials_leave_a_session_relayed_and_right_ones_in_mid_session_do_not() {
    let configure = |config: &mut switchboard::transport::webrtc::WebrtcConfig| {
        stun(config);
        config.gather.servers.push(IceServer::new(&format!("turn:{TURN}"), "me", "wrong").unwrap());
    };
    let plan = Plan { nats: [Some(SYMMETRIC); 2], ipv4: true, turn: Some(service()), configure, ..Plan::new(4) };
    let mut scene = Scene::new(plan);
    let sessions = scene.open();
    scene.until("its reason", MINUTE, |scene| {
        let why = scene.act(0, |endpoint, cx| endpoint.explain(cx, sessions[0])).unwrap();
        matches!(why.not_direct, Some(NotDirect::TurnWrongCredentials(_)))
    });
    assert!(!scene.is_direct());
    let right = [IceServer::new(&format!("turn:{TURN}"), "me", "open sesame").unwrap()];
    scene.act(0, |endpoint, cx| endpoint.set_ice_servers(cx, &right));
    let took = scene.until("a direct path", 30 * SECOND, |scene| scene.is_direct());
    println!("direct {took:?} after the right credentials of one side");
}

#[test]
fn credentials_that_expire_in_mid_session_are_renewed_by_the_relay() {
    let mut service = service();
    service.lifetime = 2 * MINUTE;
    let granting = service.clone();
    let servers = ServersFor::new(move |id, unix| granting.grant(id, unix));
    let plan =
        Plan { nats: [Some(SYMMETRIC); 2], ipv4: true, turn: Some(service), servers: Some(servers), ..Plan::new(5) };
    let (mut scene, sessions) = Scene::met(plan);
    let mut next = [0; 2];
    for _ in 0..30 {
        talk(&mut scene, MINUTE, 500 * MS, &mut next);
        assert!(scene.is_direct(), "{}", scene.account());
    }
    assert!(kinds(&scene, 0, sessions[0]).unwrap().contains(&CandidateKind::Relayed));
    assert_eq!((scene.changes(0).1, scene.changes(1).1), (0, 0), "{}", scene.account());
    scene.run_for(SECOND);
    check(&scene, next);
}

#[test]
fn credentials_that_nobody_renews_leave_a_session_relayed_at_worst() {
    let mut service = service();
    service.lifetime = 2 * MINUTE;
    let first = service.clone();
    // The same for ever: they were good when the world was young.
    let servers = ServersFor::new(move |id, _| -> Vec<GrantedServer> { first.grant(id, switchboard_unix()) });
    let plan =
        Plan { nats: [Some(SYMMETRIC); 2], ipv4: true, turn: Some(service), servers: Some(servers), ..Plan::new(6) };
    let mut scene = Scene::new(plan);
    scene.open();
    let mut next = [0; 2];
    talk(&mut scene, 30 * MINUTE, 500 * MS, &mut next);
    scene.run_for(2 * SECOND);
    check(&scene, next);
}

/// When worlds begin, since the Unix epoch.
fn switchboard_unix() -> Duration {
    Duration::from_secs(1_767_225_600)
}

#[test]
fn a_laptop_that_goes_to_and_fro_between_two_networks_for_an_hour_loses_nothing() {
    let hour = if campaign::is_full() { 180 } else { 30 };
    let plan = Plan { nats: [Some(HOME), None], turn: Some(service()), configure: stun, ..Plan::new(7) };
    let (mut scene, sessions) = Scene::met(plan);
    let ada = scene.actors[0].host;
    let nets = [scene.world.behind("cafe", HOME), scene.actors[0].home];
    let (mut next, mut times) = ([0; 2], Vec::new());
    for n in 0..hour {
        let from = scene.now();
        scene.world.roam(ada, nets[n % 2], if n % 3 == 0 { OldStreams::Linger } else { OldStreams::Break });
        scene.listen(0);
        talk(&mut scene, 20 * SECOND, 50 * MS, &mut next);
        assert!(scene.is_direct(), "after {n} journeys: {}", scene.account());
        times.push(longest(&scene, from));
    }
    scene.run_for(5 * SECOND);
    check(&scene, next);
    times.sort();
    let [ada, bob] = [0, 1].map(|n| (scene.changes(n), scene.peers(n)));
    println!(
        "{hour} journeys: longest silence {:?} in the median, {:?} at most; changes and peers of ada {ada:?}, of bob {bob:?}",
        times[times.len() / 2],
        times.last().unwrap()
    );
    assert!(scene.actors.iter().all(|actor| actor.session.is_some()));
    assert_eq!(direct_paths(&scene, 0, sessions[0]), 1);
}

/// The longest time between two messages that arrived since then.
fn longest(scene: &Scene, since: Duration) -> Duration {
    let gaps = scene.actors.iter().flat_map(|actor| {
        let times: Vec<_> = actor.heard.iter().map(|(at, ..)| *at).collect();
        let gaps = times.windows(2).filter(|pair| pair[1] >= since).map(|pair| pair[1] - pair[0]);
        gaps.collect::<Vec<_>>()
    });
    gaps.max().unwrap_or_default()
}

#[test]
fn another_network_gives_other_candidates_within_a_second() {
    let plan = Plan { nats: [Some(HOME), None], turn: Some(service()), configure: stun, ..Plan::new(8) };
    let (mut scene, sessions) = Scene::met(plan);
    let ada = scene.actors[0].host;
    let cafe = scene.world.behind("cafe", HOME);
    scene.world.record(Recording { payloads: false, ..Recording::default() });
    scene.world.roam(ada, cafe, OldStreams::Break);
    let from = scene.now();
    let addresses = [scene.world.address(ada), scene.world.address_v6(ada)];
    scene.run_for(SECOND);
    let asks = scene.world.timeline().records.iter().find_map(|record| match &record.what {
        What::Sent(frame) if addresses.contains(&frame.source.ip()) && matches!(frame.body, Body::Udp { .. }) => {
            Some(record.at - switchboard::machine::time::Instant::ZERO - from)
        }
        _ => None,
    });
    println!("the first datagram from the new address after {asks:?}");
    assert!(asks.is_some_and(|after| after < SECOND));
    let took = scene.until("a direct path from there", 20 * SECOND, |scene| {
        let paths = scene.world.machine(ada).path_statistics(sessions[0]);
        let here = |path: &&switchboard::hub::PathStatistics| {
            let pair = path.peer.as_ref().and_then(|peer| peer.pair);
            path.counts.direct
                && path.counts.in_use
                && !path.counts.suspect
                && pair.is_some_and(|pair| addresses.contains(&pair.local.address.ip()))
        };
        paths.iter().any(|path| here(&path))
    });
    println!("direct from there after {took:?}");
}

#[test]
fn after_a_sleep_of_ten_minutes_a_session_that_may_rest_goes_on() {
    for clock in [Sleep::Counts, Sleep::StandsStill] {
        let mut plan = Plan { nats: [Some(HOME), None], ..Plan::new(9) };
        plan.limits.resume_time = 15 * MINUTE;
        let (mut scene, _) = Scene::met(plan);
        let ada = scene.actors[0].host;
        let mut next = [0; 2];
        talk(&mut scene, SECOND, 20 * MS, &mut next);
        scene.world.sleep(ada);
        scene.run_for(10 * MINUTE);
        scene.world.wake_up(ada, clock);
        scene.listen(0);
        let woke = scene.now();
        talk(&mut scene, 30 * SECOND, 20 * MS, &mut next);
        assert!(scene.is_direct(), "{clock:?}: {}", scene.account());
        let direct = scene.actors[0].events.iter().find_map(|(at, event)| {
            matches!(event, Event::Path { path, .. } if path.direct && *at >= woke).then(|| *at - woke)
        });
        println!("{clock:?}: direct {direct:?} after the sleep");
        scene.run_for(2 * SECOND);
        check(&scene, next);
    }
}

#[test]
fn a_replacement_that_fails_leaves_the_session_relayed_and_is_tried_with_growing_pauses() {
    let (mut scene, sessions) = Scene::met(Plan::new(10));
    let [ada, bob] = scene.actors.each_ref().map(|actor| actor.host);
    let mut next = [0; 2];
    talk(&mut scene, SECOND, 20 * MS, &mut next);
    scene.world.cut(ada, bob);
    let from = scene.now();
    talk(&mut scene, 5 * MINUTE, 50 * MS, &mut next);
    assert!(scene.actors.iter().all(|actor| actor.path.is_some_and(|path| !path.direct)), "{}", scene.account());
    let began: Vec<_> = scene.actors[0]
        .events
        .iter()
        .filter_map(|(at, event)| match event {
            Event::Peer { state: switchboard::transport::upgrade::PeerState::Gathering, .. } if *at > from => {
                Some(*at - from)
            }
            _ => None,
        })
        .collect();
    let why = scene.act(0, |endpoint, cx| endpoint.explain(cx, sessions[0])).unwrap();
    println!("attempts began {began:?} after the cut; {why}");
    assert!((3..=10).contains(&began.len()), "{began:?}");
    let pauses: Vec<_> = began.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.last() > pauses.first(), "{pauses:?}");
    scene.world.heal(ada, bob);
    let took = scene.until("a direct path", 2 * MINUTE, |scene| scene.is_direct());
    println!("direct {took:?} after the heal");
    scene.run_for(SECOND);
    check(&scene, next);
}

#[test]
fn a_wish_for_a_relayed_path_is_heeded_at_once_and_taken_back() {
    let (mut scene, sessions) = Scene::met(Plan::new(11));
    let mut next = [0; 2];
    for _ in 0..3 {
        scene.act(1, |endpoint, cx| endpoint.set_path_policy(cx, sessions[1], PathPolicy::RelayOnly));
        talk(&mut scene, SECOND, 10 * MS, &mut next);
        assert!(scene.actors.iter().all(|actor| actor.path.is_some_and(|path| !path.direct)), "{}", scene.account());
        scene.act(1, |endpoint, cx| endpoint.set_path_policy(cx, sessions[1], PathPolicy::PreferDirect));
        talk(&mut scene, SECOND, 10 * MS, &mut next);
        assert!(scene.is_direct(), "{}", scene.account());
    }
    scene.run_for(SECOND);
    check(&scene, next);
}
