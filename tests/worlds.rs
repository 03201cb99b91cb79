//! Endpoints and relays in worlds, held to what sessions promise.
//!
//! Each test is a kind of world and plays it with several seeds; `SWITCHBOARD_CAMPAIGN=full` plays many more. What
//! fails shows its scenario, to be saved and played again.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "common/campaign.rs"]
mod campaign;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchboard::connect::Endpoint;
use switchboard::connect::rehearsal::{Outcome, Rehearsal};
use switchboard::hub::{Event, Policy, Quotas, RoomEvent};
use switchboard::link::noise::SecretKey;
use switchboard::machine::rng::Rng;
use switchboard::sim::scenario::{Fault, GatewaySpec, HostSpec, LinkSpec, Shape, Timed};
use switchboard::sim::timeline::What;
use switchboard::sim::{Clock, HostId, NatKind, OldStreams, Profile, Recording, Scenario, Sleep, World};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn seeds(few: u64, many: u64) -> std::ops::Range<u64> {
    0..if campaign::is_full() { many } else { few }
}

fn host(name: &str, role: &str, inside: Option<&str>) -> HostSpec {
    let ports = if role == "relay" { vec![7433, 443] } else { Vec::new() };
    let inside = inside.map(str::to_owned);
    HostSpec { name: name.to_owned(), role: role.to_owned(), inside, ports, clock: Clock::default() }
}

/// A relay, a laptop behind a NAT and a phone behind another, all on good links.
fn plain(seed: u64) -> Scenario {
    let mut rng = Rng::from_u64(seed);
    let mut gateway = |name: &str| {
        let kind = NatKind::ALL[rng.below(NatKind::ALL.len() as u64) as usize];
        let kind = if kind == NatKind::None { NatKind::ALL[1] } else { kind };
        GatewaySpec { name: name.to_owned(), inside: None, kind }
    };
    Scenario {
        seed,
        gateways: vec![gateway("home"), gateway("cellular")],
        hosts: vec![
            host("relay", "relay", None),
            host("laptop", "endpoint", Some("home")),
            host("phone", "endpoint", Some("cellular")),
        ],
        links: vec![("phone".to_owned(), LinkSpec::Profile(Profile::GoodWifi))],
        faults: Vec::new(),
        heal: 20 * SECOND,
        converge: 60 * SECOND,
    }
}

/// Plays a kind of world with each seed, and prints what there was.
fn play(name: &str, seeds: std::ops::Range<u64>, scenario: impl Fn(u64) -> Scenario) -> Vec<Outcome> {
    let outcomes: Vec<_> = seeds
        .map(|seed| {
            let outcome = Rehearsal::new(&scenario(seed)).run(&mut |_| {});
            outcome.unwrap_or_else(|flaw| panic!("{name}, seed {seed}: {flaw}"))
        })
        .collect();
    print_histogram(name, &outcomes);
    outcomes
}

fn print_histogram(name: &str, outcomes: &[Outcome]) {
    let mut sums = BTreeMap::new();
    for outcome in outcomes {
        for (what, count) in [
            ("messages", outcome.arrived),
            ("forgotten", outcome.forgotten),
            ("path changes", outcome.path_changes),
            ("sessions ended", outcome.closed),
            ("ms to converge", outcome.converged_after.as_millis() as u64),
        ] {
            *sums.entry(what).or_insert(0) += count;
        }
        for (reason, count) in &outcome.drops {
            *sums.entry(reason.code()).or_insert(0) += count;
        }
    }
    println!("{name}: {} worlds: {sums:?}", outcomes.len());
}

fn at(at: Duration, fault: Fault) -> Timed {
    Timed { at, fault }
}

fn name(name: &str) -> String {
    name.to_owned()
}

#[test]
fn a_quiet_world_loses_nothing_and_keeps_its_sessions() {
    for outcome in play("quiet", seeds(30, 1000), plain) {
        assert!(outcome.arrived > 300 && outcome.forgotten == 0 && outcome.closed == 0, "{outcome:?}");
    }
}

#[test]
fn a_relay_reboots_and_sessions_live_on() {
    let scenario = |seed: u64| {
        let when = Duration::from_millis(3000 + seed * 137 % 9000);
        Scenario { faults: vec![at(when, Fault::Reboot(name("relay")))], ..plain(seed) }
    };
    for outcome in play("relay reboots", seeds(30, 1000), scenario) {
        assert_eq!((outcome.forgotten, outcome.closed), (0, 0), "{outcome:?}");
    }
}

#[test]
fn a_partition_heals_and_nothing_is_lost() {
    let scenario = |seed: u64| {
        let (from, took) =
            (Duration::from_millis(2000 + seed * 97 % 5000), Duration::from_millis(seed * 1777 % 30_000));
        let who = if seed.is_multiple_of(2) { "phone" } else { "laptop" };
        let fault = match seed % 3 {
            0 => Fault::CutOneWay(name("relay"), name(who)),
            1 => Fault::CutOneWay(name(who), name("relay")),
            _ => Fault::Cut(name(who), name("relay")),
        };
        let faults = vec![at(from, fault), at(from + took, Fault::Heal(name(who), name("relay")))];
        Scenario { faults, heal: 40 * SECOND, ..plain(seed) }
    };
    for outcome in play("partition", seeds(30, 1000), scenario) {
        assert_eq!((outcome.forgotten, outcome.closed), (0, 0), "{outcome:?}");
    }
}

#[test]
fn a_laptop_sleeps_for_five_minutes_and_talks_again() {
    let scenario = |seed: u64| {
        let clock = if seed.is_multiple_of(2) { Sleep::Counts } else { Sleep::StandsStill };
        let faults =
            vec![at(5 * SECOND, Fault::Sleep(name("laptop"))), at(305 * SECOND, Fault::Wake(name("laptop"), clock))];
        Scenario { faults, heal: 306 * SECOND, ..plain(seed) }
    };
    for outcome in play("sleep", seeds(30, 1000), scenario) {
        assert!(outcome.closed > 0, "a session without a path for five minutes ends: {outcome:?}");
    }
}

#[test]
fn a_phone_that_changes_its_network_every_20_s_keeps_its_session() {
    let scenario = |seed: u64| {
        let net = |n: u64| Some(name(if n.is_multiple_of(2) { "home" } else { "cellular" }));
        let streams = if seed.is_multiple_of(2) { OldStreams::Break } else { OldStreams::Linger };
        let roam = |n: u64| at(Duration::from_secs(20 * n), Fault::Roam(name("phone"), net(n), streams));
        let profiles = [Profile::GoodWifi, Profile::Weak4g];
        let link = |n: u64| {
            let profile = LinkSpec::Profile(profiles[n as usize % 2]);
            at(Duration::from_secs(20 * n), Fault::Link(name("phone"), profile))
        };
        let faults = (1..=9).flat_map(|n| [roam(n), link(n)]).collect();
        Scenario { faults, heal: 200 * SECOND, ..plain(seed) }
    };
    for (seed, outcome) in play("roaming", seeds(30, 1000), scenario).into_iter().enumerate() {
        assert_eq!((outcome.forgotten, outcome.closed), (0, 0), "seed {seed}: {outcome:?}");
    }
}

#[test]
fn clocks_that_are_an_hour_apart_and_drift_do_not_matter() {
    let scenario = |seed: u64| {
        let mut scenario = plain(seed);
        scenario.hosts[1].clock = Clock { drift: 200, ahead: HOUR, behind: Duration::ZERO };
        scenario.hosts[2].clock = Clock { drift: -200, ahead: Duration::ZERO, behind: HOUR };
        scenario
    };
    for outcome in play("clock skew", seeds(30, 1000), scenario) {
        assert_eq!((outcome.forgotten, outcome.closed), (0, 0), "{outcome:?}");
    }
}

#[test]
fn every_profile_but_absurd_carries_a_conversation() {
    for profile in Profile::ALL.into_iter().filter(|profile| *profile != Profile::Absurd) {
        let scenario = |seed: u64| {
            let links = vec![(name("phone"), LinkSpec::Profile(profile))];
            Scenario { links, heal: 60 * SECOND, converge: 120 * SECOND, ..plain(seed) }
        };
        for outcome in play(&profile.to_string(), seeds(30, 1000), scenario) {
            // Bursts of 20 losses and more leave some streams without a word for longer than a session waits.
            let may_end = [Profile::VeryBadCellular, Profile::BarelyUsable].contains(&profile) && outcome.closed > 0;
            assert!(outcome.arrived > 0 && (outcome.forgotten == 0 || may_end), "{profile}: {outcome:?}");
        }
    }
}

#[test]
fn whatever_happens_promises_are_kept_and_all_is_well_in_the_end() {
    let outcomes = play("any faults", seeds(30, 1000), |seed| Shape::default().from_seed(seed));
    assert!(outcomes.iter().map(|outcome| outcome.path_changes).sum::<u64>() > 30);
    assert!(outcomes.iter().map(|outcome| outcome.closed).sum::<u64>() > 0);
}

#[test]
fn a_rehearsal_is_the_same_run_each_time() {
    let shape = Shape::default();
    for seed in 0..5 {
        let [once, again] = [(); 2].map(|()| Rehearsal::new(&shape.from_seed(seed)).run(&mut |_| {}).unwrap());
        assert_eq!(once, again, "seed {seed}");
    }
}

/// What one endpoint of a room has seen.
#[derive(Default)]
struct Guest {
    members: BTreeSet<String>,
    heard: BTreeSet<String>,
}

fn enter(world: &mut World<Endpoint>, name: &str, place: u64) -> HostId {
    let seed = world.seed() << 16 | place;
    let builder = Endpoint::builder(SecretKey::generate(&mut Rng::from_u64(seed))).relay("tcp:198.18.0.1:7433");
    let host = world.host(name, builder.build(&mut Rng::from_u64(seed + 1)).unwrap());
    world.link(host, Profile::CongestedWifi.link());
    world.act(host, |endpoint, cx| {
        endpoint.start(cx);
        endpoint.join(cx, "room", name, None).unwrap();
    });
    host
}

fn look(world: &mut World<Endpoint>, host: HostId, guest: &mut Guest) {
    if world.events(host).is_empty() {
        return;
    }
    while let Some(event) = world.act(host, |endpoint, cx| endpoint.next(cx)) {
        match event {
            Event::Incoming { session, .. } => world.act(host, |endpoint, cx| endpoint.accept(cx, session)),
            Event::Room { event: RoomEvent::Joined(members), .. } => {
                guest.members.extend(members.into_iter().map(|member| member.name));
            }
            Event::Room { event: RoomEvent::MemberJoined(member), .. } => _ = guest.members.insert(member.name),
            Event::Room { event: RoomEvent::Broadcast { bytes, .. }, .. } => {
                guest.heard.insert(String::from_utf8(bytes).unwrap());
            }
            _ => {}
        }
    }
}

#[test]
fn two_hundred_endpoints_on_congested_wifi_find_each_other_in_a_room() {
    const GUESTS: usize = 200;
    for seed in seeds(3, 20) {
        let mut world = World::new(seed);
        let relay = Endpoint::builder(SecretKey::generate(&mut Rng::from_u64(seed)));
        let relay = relay.listen("tcp:0.0.0.0:7433").relays_for(Policy::Open, Quotas::default());
        let relay = world.host("relay", relay.build(&mut Rng::from_u64(seed)).unwrap());
        world.act(relay, |endpoint, cx| endpoint.start(cx));
        let hosts: Vec<_> = (0..GUESTS).map(|n| enter(&mut world, &format!("guest-{n}"), n as u64 + 1)).collect();
        let places: BTreeMap<_, _> = hosts.iter().enumerate().map(|(place, host)| (*host, place)).collect();
        let mut guests: Vec<_> = hosts.iter().map(|_| Guest::default()).collect();
        let end = world.now() + 120 * SECOND;
        while guests.iter().any(|guest| guest.members.len() < GUESTS - 1) {
            let happened = world.step_to(end);
            let missing = guests.iter().map(|guest| GUESTS - 1 - guest.members.len()).sum::<usize>();
            let happened = happened.unwrap_or_else(|| panic!("seed {seed}: {missing} members were not seen"));
            if let Some(place) = places.get(&happened.host) {
                look(&mut world, happened.host, &mut guests[*place]);
            }
        }
        println!("room, seed {seed}: complete at {}, {:?}", world.now(), world.drops().collect::<Vec<_>>());
    }
}

#[test]
fn a_run_that_is_recorded_is_the_same_run_and_has_its_path_changes() {
    let scenario = Scenario { faults: vec![at(5 * SECOND, Fault::Reboot(name("relay")))], ..plain(1) };
    let plain = Rehearsal::new(&scenario).run(&mut |_| {}).unwrap();
    let mut recorded = Rehearsal::new(&scenario);
    recorded.record(Recording::default());
    assert_eq!(recorded.run(&mut |_| {}).unwrap(), plain);
    let timeline = recorded.timeline();
    let paths =
        timeline.records.iter().filter(|record| matches!(record.what, What::Event { is_path: true, .. })).count();
    assert!(paths as u64 >= plain.path_changes);
    let names: Vec<_> = timeline.nodes.iter().map(|node| node.name.as_str()).collect();
    assert!(names.ends_with(&["relay", "laptop", "phone"]), "{names:?}");
}
