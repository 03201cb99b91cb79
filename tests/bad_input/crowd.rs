//! Too many at once, and a port that is taken.

use std::time::Duration;

use switchboard::connect::Options;
use switchboard::machine::limits::Limits;
use switchboard::machine::port::PortError;
use switchboard::transport::{DownReason, TransportEvent};

use crate::common::{KINDS, listening, options, string};
use crate::raw::{End, Wrap};
use crate::scene::{REQUEST, Scene};

/// One connection that has said nothing yet, without and with TLS: protocol, timers and places in tables, which grow
/// by doubling.
const SILENT: usize = 2 * 1024;
const SILENT_TLS: usize = 4 * 1024;
/// What tables keep of it when it is gone: its places, for the next.
const PLACES: usize = 1536;
const CROWD: usize = 10_000;

#[test]
fn ten_thousand_half_open_connections_take_no_more_than_the_limit_and_end_in_time() {
    for kind in ["tls", "ws", "wss"] {
        let mut scene = Scene::new(kind);
        let limits = scene.options.limits.clone();
        for _ in 0..CROWD {
            scene.dial(&Wrap::Bare);
        }
        let too_many = CROWD - limits.handshakes;
        scene.until(|scene| count(scene, &DownReason::TooMany) == too_many);
        assert_eq!(scene.world.ports(scene.server.host), 2 + limits.handshakes, "{kind}");
        let reset = Some(End::Failed(PortError::Reset));
        scene.pass(Duration::from_secs(1));
        assert_eq!(scene.connections().filter(|(_, connection)| connection.end == reset).count(), too_many, "{kind}");
        scene.until(|scene| count(scene, &DownReason::HandshakeTimeout) == limits.handshakes);
        assert_eq!(scene.server.refusals().len(), CROWD);
        scene.pass(limits.handshake_time);
        scene.assert_healthy();
        let each = if scene.is_tls() { SILENT_TLS } else { SILENT };
        scene.assert_memory(limits.handshakes * each, limits.handshakes * PLACES);
        a_newcomer_is_let_in(&mut scene);
    }
}

fn count(scene: &Scene, reason: &DownReason) -> usize {
    scene.server.refusals().into_iter().filter(|refusal| *refusal == reason).count()
}

fn a_newcomer_is_let_in(scene: &mut Scene) {
    let port = scene.dial_open();
    if scene.is_websocket() {
        scene.send(port, REQUEST.as_bytes());
    }
    scene.until(|scene| scene.server.links().len() == 2);
}

#[test]
fn a_second_crowd_costs_no_more_than_the_first() {
    let mut scene = Scene::new("wss");
    let mut held = Vec::new();
    for round in 1..=3 {
        for _ in 0..2000 {
            scene.dial(&Wrap::Bare);
        }
        scene.until(|scene| scene.server.refusals().len() == 2000 * round);
        scene.pass(Duration::from_secs(1));
        held.push(scene.held());
    }
    println!("held after each: {held:?}");
    assert!(held.iter().all(|bytes| *bytes <= held[0] + 1024), "{held:?}");
    scene.assert_healthy();
}

#[test]
fn more_links_than_allowed_are_refused_and_those_that_are_up_go_on() {
    for kind in KINDS {
        let limits = Limits { links: 2, ..Limits::default() };
        let mut scene = Scene::with(kind, Options { limits, ..options() });
        let port = scene.dial_linked();
        scene.dial(&Wrap::Bare);
        assert_eq!(scene.refusal().0, DownReason::TooMany, "{kind}");
        assert!(scene.server.downs().is_empty(), "{kind}");
        scene.cut_off(port);
        scene.down();
        scene.over(0);
    }
}

#[test]
fn a_listener_whose_port_is_taken_says_so_and_the_one_that_has_it_goes_on() {
    for kind in KINDS {
        let mut scene = Scene::new(kind);
        scene.add(scene.server.host, listening(&string(kind, "198.18.0.1"), &scene.options));
        let failed = TransportEvent::Failed(DownReason::Port(PortError::AddressInUse));
        scene.until(|scene| scene.server.events.contains(&failed));
        let port = scene.dial_linked();
        scene.cut_off(port);
        scene.down();
        scene.over(0);
    }
}
