//! Gateways in a world. What a NAT decides has tests of its own; here it is who reaches whom.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard::sim::{
    DropReason, Gateway, HostId, INTERNET, Inward, NatConfig, NatKind, PortChoice, Profile, Refresh, World,
};

use crate::talker::{Talker, add, any, any_v6, place, say, talker, words};

const SECOND: Duration = Duration::from_secs(1);

fn reasons(world: &World<Talker>) -> Vec<DropReason> {
    world.drops().map(|(reason, _)| reason).collect()
}

/// Where a host's packets seem to come from, for the one who hears them last.
fn seen(world: &mut World<Talker>, from: HostId, by: HostId) -> SocketAddr {
    let to = place(world, by);
    say(world, from, to, b"who am I");
    world.run_for(SECOND).unwrap();
    world.machine(by).heard.last().unwrap().source
}

fn nat(change: impl FnOnce(&mut NatConfig)) -> Gateway {
    let mut config = NatConfig::default();
    change(&mut config);
    Gateway { nat: Some(config), ..Gateway::default() }
}

#[test]
fn a_host_behind_a_nat_is_seen_at_the_gateways_address_and_answered_through_it() {
    let mut world = World::new(1);
    let home = world.gateway(INTERNET, "home", nat(|_| {}));
    let host = talker(&mut world, home.inside(), "host");
    let server = add(&mut world, INTERNET, "server", Talker::echo(any(5000)));
    let outside = seen(&mut world, host, server);
    assert_eq!(outside.to_string(), "198.18.0.1:5000");
    assert_eq!(words(&world, host), ["who am I"]);
    assert_eq!(world.mappings(home), 1);
}

#[test]
fn nobody_comes_in_unasked() {
    let mut world = World::new(1);
    let home = world.gateway(INTERNET, "home", nat(|_| {}));
    let host = talker(&mut world, home.inside(), "host");
    let (server, stranger) = (talker(&mut world, INTERNET, "server"), talker(&mut world, INTERNET, "stranger"));
    let inside = place(&world, host);
    say(&mut world, stranger, inside, b"to a private address");
    say(&mut world, stranger, "198.18.0.1:5000".parse().unwrap(), b"to no mapping");
    world.run_for(SECOND).unwrap();
    let outside = seen(&mut world, host, server);
    say(&mut world, stranger, outside, b"to somebody else's mapping");
    world.run_for(SECOND).unwrap();
    assert_eq!(words(&world, host), [""; 0]);
    assert_eq!(reasons(&world), [DropReason::NoRoute, DropReason::NoMapping, DropReason::Filtered]);
}

#[test]
fn hosts_behind_one_gateway_reach_each_other_directly() {
    let mut world = World::new(1);
    let home = world.gateway(INTERNET, "home", nat(|_| {}));
    let (a, b) = (talker(&mut world, home.inside(), "a"), talker(&mut world, home.inside(), "b"));
    let to = place(&world, b);
    say(&mut world, a, to, b"neighbour");
    world.run_for(Duration::from_millis(1)).unwrap();
    assert_eq!(words(&world, b), ["neighbour"]);
}

#[test]
fn a_gateway_hairpins_only_if_it_is_told_to() {
    for hairpin in [false, true] {
        let mut world = World::new(1);
        let gateway = nat(|nat| {
            nat.hairpin = hairpin;
            nat.filtering = switchboard::sim::Dependence::EndpointIndependent;
        });
        let home = world.gateway(INTERNET, "home", gateway);
        let (a, b) = (talker(&mut world, home.inside(), "a"), talker(&mut world, home.inside(), "b"));
        let server = talker(&mut world, INTERNET, "server");
        let outside = seen(&mut world, b, server);
        say(&mut world, a, outside, b"by the outside");
        world.run_for(SECOND).unwrap();
        assert_eq!(words(&world, b).len(), usize::from(hairpin));
        let source = world.machine(b).heard.first().map(|heard| heard.source.ip().to_string());
        assert_eq!(source, hairpin.then(|| "198.18.0.1".to_owned()), "the sender is seen from outside");
    }
}

#[test]
fn a_nested_nat_translates_twice() {
    let mut world = World::new(1);
    let inside = world.behind("flat", NatKind::NestedSymmetric);
    let host = talker(&mut world, inside, "host");
    let (a, b) = (add(&mut world, INTERNET, "a", Talker::echo(any(5000))), talker(&mut world, INTERNET, "b"));
    let (first, second) = (seen(&mut world, host, a), seen(&mut world, host, b));
    assert_eq!((first.ip(), second.ip()), (world_address(1), world_address(1)));
    assert_ne!(first.port(), second.port(), "a symmetric NAT has a port for each destination");
    assert_eq!(words(&world, host), ["who am I"]);
}

fn world_address(number: u8) -> std::net::IpAddr {
    [198, 18, 0, number].into()
}

#[test]
fn a_mapping_expires_unless_it_is_used_and_a_beat_keeps_it() {
    for (beat, comes) in [(Duration::from_secs(25), true), (Duration::from_secs(35), false)] {
        let mut world = World::new(1);
        let gateway = nat(|nat| {
            nat.udp_expiry = Duration::from_secs(30);
            nat.ports = PortChoice::Random;
        });
        let home = world.gateway(INTERNET, "home", gateway);
        let host = talker(&mut world, home.inside(), "host");
        let server = talker(&mut world, INTERNET, "server");
        let to = place(&world, server);
        let outside = seen(&mut world, host, server);
        world.act(host, |talker, cx| talker.beat(cx.now, beat, to));
        world.run_for(Duration::from_secs(200)).unwrap();
        say(&mut world, server, outside, b"still there?");
        world.run_for(SECOND).unwrap();
        assert_eq!(words(&world, host).len(), usize::from(comes), "a beat each {beat:?}");
    }
}

#[test]
fn what_comes_in_keeps_a_mapping_only_where_it_may() {
    for (refresh, comes) in [(Refresh::Outbound, false), (Refresh::Both, true)] {
        let mut world = World::new(1);
        let home = world.gateway(INTERNET, "home", nat(|nat| nat.refresh = refresh));
        let host = talker(&mut world, home.inside(), "host");
        let server = talker(&mut world, INTERNET, "server");
        let outside = seen(&mut world, host, server);
        world.act(server, |talker, cx| talker.beat(cx.now, Duration::from_secs(60), outside));
        world.run_for(Duration::from_secs(610)).unwrap();
        assert_eq!(words(&world, host).len() == 10, comes, "{refresh:?}: {} came", words(&world, host).len());
    }
}

#[test]
fn a_gateway_that_reboots_forgets_and_one_that_is_rebound_has_another_address() {
    let mut world = World::new(1);
    let home = world.gateway(INTERNET, "home", nat(|nat| nat.ports = PortChoice::Sequential));
    let host = talker(&mut world, home.inside(), "host");
    let server = talker(&mut world, INTERNET, "server");
    let outside = seen(&mut world, host, server);
    world.reboot_gateway(home);
    say(&mut world, server, outside, b"gone");
    world.run_for(SECOND).unwrap();
    assert_eq!((words(&world, host).len(), world.mappings(home)), (0, 0));
    assert_eq!(seen(&mut world, host, server).ip(), outside.ip());
    world.rebind_gateway(home);
    assert_ne!(seen(&mut world, host, server).ip(), outside.ip());
}

#[test]
fn ipv6_is_not_translated_and_only_answers_come_in() {
    let mut world = World::new(1);
    let home = world.gateway(INTERNET, "home", Gateway::default());
    let host = add(&mut world, home.inside(), "host", Talker::on(any_v6(5000)));
    let server = add(&mut world, INTERNET, "server", Talker::echo(any_v6(5000)));
    let [own, to] = [host, server].map(|of| SocketAddr::new(world.address_v6(of), 5000));
    say(&mut world, server, own, b"unasked");
    world.run_for(SECOND).unwrap();
    assert_eq!(reasons(&world), [DropReason::Unsolicited]);
    say(&mut world, host, to, b"asked");
    world.run_for(SECOND).unwrap();
    assert_eq!(world.machine(server).heard[0].source, own);
    assert_eq!(words(&world, host), ["asked"]);
}

#[test]
fn a_router_without_filter_lets_ipv6_in() {
    let mut world = World::new(1);
    let home = world.gateway(INTERNET, "home", Gateway { inward_v6: Inward::All, ..Gateway::default() });
    let host = add(&mut world, home.inside(), "host", Talker::on(any_v6(5000)));
    let server = add(&mut world, INTERNET, "server", Talker::on(any_v6(5000)));
    let own = SocketAddr::new(world.address_v6(host), 5000);
    say(&mut world, server, own, b"welcome");
    world.run_for(SECOND).unwrap();
    assert_eq!(words(&world, host), ["welcome"]);
}

#[test]
fn where_udp_is_blocked_none_leaves() {
    for kind in [NatKind::UdpBlocked, NatKind::TcpOnly443] {
        let mut world = World::new(1);
        let inside = world.behind("office", kind);
        let host = talker(&mut world, inside, "host");
        let server = talker(&mut world, INTERNET, "server");
        let to = place(&world, server);
        say(&mut world, host, to, b"let me out");
        world.run_for(SECOND).unwrap();
        assert_eq!(reasons(&world), [DropReason::Blocked]);
    }
}

#[test]
fn a_slow_link_of_a_gateway_holds_up_all_behind_it() {
    let mut world = World::new(1);
    let home = world.gateway(INTERNET, "home", nat(|_| {}));
    world.link(home, Profile::Satellite.link());
    let host = talker(&mut world, home.inside(), "host");
    let server = add(&mut world, INTERNET, "server", Talker::echo(any(5000)));
    let to = place(&world, server);
    for _ in 0..10 {
        say(&mut world, host, to, b"far away");
    }
    world.run_for(2 * SECOND).unwrap();
    let first = world.machine(host).heard[0].at.as_nanos() / 1_000_000;
    assert!((400..900).contains(&first), "the first answer came after {first} ms");
}
