//! Scenarios: written down, read, made from seeds, played, and made smaller.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "sim_network/talker.rs"]
#[allow(dead_code)]
mod talker;

use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::Cx;
use switchboard::sim::scenario::{Cast, Fault, HostSpec, Mistake, Shape};
use switchboard::sim::{Failure, Scenario};
use talker::{Talker, any};

const SECOND: Duration = Duration::from_secs(1);

const TEXT: &str = "\
switchboard scenario 1
seed 7
gateway home nat eim-apdf
gateway flat nat apdm-apdf in home
host relay role relay port 7433
host alice role endpoint in flat drift -100 ahead 1h
host bob role endpoint
link home weak-4g
link alice up normal 20ms 2ms loss 0.01 rate 125000 down delay 5us mtu 1280 black-hole
at 1500ms cut alice relay
at 2s sleep bob
at 3s wake bob stands-still
at 4s roam bob home linger
at 5s link bob both uniform 1ms 2ms gilbert 0.01 0.2 0 1 duplicate 0.5 reorder 0.1 10ms
at 6s reboot home
heal 20s
converge 1min
";

/// Echoes, or says something to the first relay each second.
struct Words {
    relay: SocketAddr,
}

/// Gateways come before hosts, and relays are the first hosts.
fn words(scenario: &Scenario) -> Words {
    let before = scenario.gateways.len() as u8;
    Words { relay: ([198, 18, 0, before + 1], 7433).into() }
}

impl Cast<Talker> for Words {
    fn machine(&mut self, host: &HostSpec, _: u32) -> Talker {
        if host.role == "relay" { Talker::echo(any(7433)) } else { Talker::on(any(5000)) }
    }

    fn start(&mut self, host: &HostSpec, machine: &mut Talker, cx: &mut Cx<'_>) {
        machine.start(cx);
        if host.role != "relay" {
            machine.beat(cx.now, SECOND, self.relay);
        }
    }
}

fn shape() -> Shape {
    Shape { heal: 10 * SECOND, ..Shape::default() }
}

fn hash(scenario: &Scenario) -> u64 {
    let mut play = scenario.play(words(scenario));
    play.heal().unwrap();
    play.run_to(scenario.heal + scenario.converge).unwrap();
    play.world.transcript_hash()
}

#[test]
fn a_text_comes_back_as_it_was() {
    let scenario: Scenario = TEXT.parse().unwrap();
    assert_eq!(scenario.to_string(), TEXT);
    assert_eq!(scenario.faults.len(), 6);
}

#[test]
fn every_seed_gives_a_scenario_whose_text_gives_it_again() {
    for seed in 0..300 {
        let scenario = shape().from_seed(seed);
        assert_eq!(scenario.to_string().parse().as_ref(), Ok(&scenario), "seed {seed}\n{scenario}");
    }
}

#[test]
fn any_bytes_give_a_scenario_that_can_be_played() {
    for bytes in [&[][..], &[0; 7], &[255; 300], &(0..=255).collect::<Vec<u8>>()] {
        let scenario = shape().from_bytes(bytes);
        assert_eq!(scenario.to_string().parse().as_ref(), Ok(&scenario));
        hash(&scenario);
    }
}

#[test]
fn a_scenario_that_is_saved_and_loaded_is_the_same_run() {
    for seed in 0..20 {
        let scenario = shape().from_seed(seed);
        let again: Scenario = scenario.to_string().parse().unwrap();
        assert_eq!(hash(&scenario), hash(&again), "seed {seed}\n{scenario}");
    }
    assert_ne!(hash(&shape().from_seed(1)), hash(&shape().from_seed(2)));
}

#[test]
fn after_the_heal_every_endpoint_hears_the_relay_again() {
    for seed in 0..60 {
        let scenario = shape().from_seed(seed);
        let mut play = scenario.play(words(&scenario));
        play.heal().unwrap();
        let endpoints: Vec<_> = play.role("endpoint").into_iter().map(|(host, id)| (host.clone(), id)).collect();
        let blocked = |host: &HostSpec| {
            let gateway = scenario.gateways.iter().find(|gateway| Some(&gateway.name) == host.inside.as_ref());
            gateway.is_some_and(|gateway| ["udp-blocked", "tcp-443"].contains(&gateway.kind.to_string().as_str()))
        };
        let now = play.world.now();
        play.converge(|world| {
            endpoints
                .iter()
                .all(|(host, id)| blocked(host) || world.machine(*id).heard.iter().any(|heard| heard.at > now))
        })
        .unwrap_or_else(|failed| panic!("{failed}"));
        assert!(
            endpoints.iter().filter(|(host, _)| blocked(host)).all(|(_, id)| play.world.machine(*id).heard.is_empty())
        );
    }
}

#[test]
fn a_failure_shows_the_scenario_and_how_to_play_it_again() {
    let scenario = shape().from_seed(5);
    let mut play = scenario.play(words(&scenario));
    let failed = play.converge(|_| false).unwrap_err();
    assert!(matches!(failed.failure, Failure::Stuck(_)));
    let text = failed.to_string();
    assert!(text.contains(&scenario.to_string()) && text.contains("sim replay"), "{text}");
}

#[test]
fn a_failing_scenario_shrinks_to_what_makes_it_fail() {
    let scenario = (0..).map(|seed| shape().from_seed(seed)).find(|scenario| {
        scenario.faults.len() > 6 && scenario.faults.iter().any(|timed| matches!(timed.fault, Fault::Sleep(_)))
    });
    let scenario = scenario.unwrap();
    let fails = |scenario: &Scenario| scenario.faults.iter().any(|timed| matches!(timed.fault, Fault::Sleep(_)));
    let small = scenario.shrink(1000, fails);
    assert_eq!(
        (small.faults.len(), small.hosts.len(), small.gateways.len(), small.links.len()),
        (1, 1, 0, 0),
        "{small}"
    );
    assert!(small.heal < scenario.heal);
    assert_eq!(small.to_string().parse().as_ref(), Ok(&small));
}

#[test]
fn what_is_wrong_with_a_file_is_told_by_line_and_field() {
    let head = "switchboard scenario 1\nseed 1\nhost a\ngateway g nat none\n";
    let with = |line: &str| format!("{head}{line}\nheal 1s\nconverge 1s\n");
    let malformed = |value: &str, expected| Mistake::Malformed { value: value.to_owned(), expected };
    let name = |name: &str| name.to_owned();
    let cases = [
        ("switchboard".to_owned(), 1, "the line", Mistake::NoScenario),
        ("switchboard scenario 2\n".to_owned(), 1, "version", Mistake::TooNew(2)),
        (with("gateway x nat none in x"), 5, "in", Mistake::InsideItself(name("x"))),
        (with("gateway x nat none in y"), 5, "in", Mistake::Unknown(name("y"))),
        (with("host b in a"), 5, "in", Mistake::NoNetwork(name("a"))),
        (with("host b port 80 port 80"), 5, "port", Mistake::PortInUse(80)),
        (with("host g"), 5, "host", Mistake::NameInUse(name("g"))),
        (with("gateway h"), 5, "nat", Mistake::Missing),
        (with("gateway h nat cone"), 5, "nat", malformed("cone", "a NAT kind, such as eim-apdf")),
        (with("link a 5g"), 5, "link", malformed("5g", "a profile, such as weak-4g, nor `both`, `up` or `down`")),
        (with("link a both loss 2"), 5, "loss", malformed("2", "a probability, such as 0.01 or 1%")),
        (with("link a both speed 2"), 5, "speed", Mistake::NoSuchField),
        (with("at 1 kill a"), 5, "at", malformed("1", "a time, such as 20ms, 3s, 5min or 1h")),
        (with("at 2s kill a"), 5, "at", Mistake::AfterHeal),
        (with("at 1s kill g"), 5, "kill", Mistake::NotAHost(name("g"))),
        (with("at 1s rebind a"), 5, "rebind", Mistake::NotAGateway(name("a"))),
        (with("at 1s explode a"), 5, "explode", Mistake::NoSuchField),
        (with("at 1s kill a b"), 5, "kill", Mistake::TooMuch(name("b"))),
        (with("seed 2"), 5, "seed", Mistake::Again),
        (with("router r"), 5, "router", Mistake::NoSuchStatement),
        ("switchboard scenario 1\nseed 1\nheal 1s\nconverge 1s\n".to_owned(), 4, "host", Mistake::NoHost),
        ("switchboard scenario 1\nseed 1\nhost a\n".to_owned(), 3, "heal", Mistake::Missing),
    ];
    for (text, line, field, mistake) in cases {
        let error = text.parse::<Scenario>().unwrap_err();
        assert_eq!((error.line, error.field.as_str(), &error.mistake), (line, field, &mistake), "{text}");
        assert!(error.to_string().starts_with(&format!("line {line}, {field}: ")), "{error}");
    }
}
