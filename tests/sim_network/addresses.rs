//! What a machine hears of its host's own addresses, and when.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::sim::{HostId, INTERNET, OldStreams, Sleep, World};

use crate::peer::{Heard, Peer};

const SECOND: Duration = Duration::from_secs(1);
/// From a change until it is told.
const LAG: Duration = Duration::from_millis(500);
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

fn open(world: &mut World<Peer>, host: HostId) -> PortId {
    world.act(host, |peer, cx| peer.open(cx, PortSpec::Addresses))
}

/// A host that has asked for its addresses, and has been answered.
fn asker() -> (World<Peer>, HostId, PortId) {
    let mut world = World::new(1);
    let host = world.host("laptop", Peer::default());
    let port = open(&mut world, host);
    let first = [world.address(host), world.address_v6(host)];
    assert_eq!(lists(&mut world, host), [(Instant::ZERO, sorted(&[first, LOOPBACK].concat()))]);
    (world, host, port)
}

fn sorted(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted
}

fn lists(world: &mut World<Peer>, host: HostId) -> Vec<(Instant, Vec<IpAddr>)> {
    let list = |(at, (_, heard))| match heard {
        Heard::Addresses(addresses) => Some((at, sorted(&addresses))),
        _ => None,
    };
    world.events(host).into_iter().filter_map(list).collect()
}

fn own(world: &World<Peer>, host: HostId) -> Vec<IpAddr> {
    sorted(&[[world.address(host), world.address_v6(host)], LOOPBACK].concat())
}

#[test]
fn who_roams_hears_of_the_new_addresses_half_a_second_later() {
    let (mut world, host, _) = asker();
    world.run_for(7 * SECOND).unwrap();
    let moved = world.now();
    world.roam(host, INTERNET, OldStreams::Linger);
    world.run_for(SECOND).unwrap();
    let own = own(&world, host);
    assert_eq!(lists(&mut world, host), [(moved + LAG, own)]);
}

#[test]
fn who_is_unplugged_has_only_the_loopback_until_plugged_in_again() {
    let (mut world, host, _) = asker();
    world.unplug(host);
    world.run_for(SECOND).unwrap();
    world.plug(host);
    world.run_for(SECOND).unwrap();
    let own = own(&world, host);
    let expected = [(Instant::ZERO + LAG, LOOPBACK.to_vec()), (Instant::ZERO + SECOND + LAG, own)];
    assert_eq!(lists(&mut world, host), expected);
}

#[test]
fn a_link_that_was_away_for_less_than_the_lag_is_not_missed() {
    let (mut world, host, _) = asker();
    world.unplug(host);
    world.run_for(LAG / 2).unwrap();
    world.plug(host);
    world.run_for(SECOND).unwrap();
    assert_eq!(lists(&mut world, host), []);
}

#[test]
fn further_addresses_are_told_and_are_gone_after_a_reboot() {
    let (mut world, host, _) = asker();
    let further = world.add_addresses(host);
    world.run_for(SECOND).unwrap();
    let all = sorted(&[own(&world, host), further.to_vec()].concat());
    assert_eq!(lists(&mut world, host), [(Instant::ZERO + LAG, all)]);
    world.reboot(host, Peer::default());
    open(&mut world, host);
    let own = own(&world, host);
    assert_eq!(lists(&mut world, host), [(world.now(), own)]);
}

#[test]
fn who_boots_unplugged_is_told_so() {
    let (mut world, host, _) = asker();
    world.unplug(host);
    world.reboot(host, Peer::default());
    open(&mut world, host);
    assert_eq!(lists(&mut world, host), [(Instant::ZERO, LOOPBACK.to_vec())]);
}

#[test]
fn who_was_carried_elsewhere_asleep_hears_of_it_after_waking() {
    for clock in [Sleep::Counts, Sleep::StandsStill] {
        let (mut world, host, _) = asker();
        world.sleep(host);
        world.run_for(3600 * SECOND).unwrap();
        world.roam(host, INTERNET, OldStreams::Linger);
        world.run_for(3600 * SECOND).unwrap();
        assert_eq!(lists(&mut world, host), [], "{clock:?}");
        let woken = world.now();
        world.wake_up(host, clock);
        world.run_for(SECOND).unwrap();
        let [(at, list)] = &lists(&mut world, host)[..] else { panic!("{clock:?}: it is told once") };
        assert_eq!(*list, own(&world, host), "{clock:?}");
        assert!((woken..=woken + LAG).contains(at), "{clock:?}: {at} after {woken}");
    }
}

#[test]
fn every_port_hears_of_a_change_but_one_that_was_ended() {
    let (mut world, host, aborted) = asker();
    let (finished, open) = (open(&mut world, host), open(&mut world, host));
    world.events(host);
    world.act(host, |peer, _| {
        peer.request(aborted, PortRequest::Abort);
        peer.request(finished, PortRequest::Finish);
    });
    assert_eq!(world.events(host), [(Instant::ZERO, (finished, Heard::Closed))]);
    assert_eq!(world.ports(host), 1);
    world.roam(host, INTERNET, OldStreams::Linger);
    world.run_for(SECOND).unwrap();
    let heard = world.events(host);
    assert!(matches!(&heard[..], [(_, (port, Heard::Addresses(_)))] if *port == open), "{heard:?}");
}

#[test]
fn a_list_may_be_finished_before_it_is_told() {
    let mut world = World::new(1);
    let host = world.host("laptop", Peer::default());
    let port = world.act(host, |peer, cx| {
        let port = peer.open(cx, PortSpec::Addresses);
        peer.request(port, PortRequest::Finish);
        port
    });
    let heard: Vec<_> = world.events(host).into_iter().map(|(_, (_, heard))| heard).collect();
    assert!(matches!(heard[..], [Heard::Opened, Heard::Addresses(_), Heard::Closed]), "{port}: {heard:?}");
    assert_eq!(world.ports(host), 0);
}

#[test]
fn who_does_not_ask_is_not_woken() {
    let mut world = World::new(1);
    let host = world.host("laptop", Peer::default());
    world.roam(host, INTERNET, OldStreams::Linger);
    assert_eq!(world.step(), None);
    let port = open(&mut world, host);
    world.act(host, |peer, _| peer.request(port, PortRequest::Abort));
    world.unplug(host);
    assert_eq!(world.step(), None);
}
