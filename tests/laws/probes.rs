//! Probes, STUN servers and places to meet, in worlds where links lose, gateways reboot and hosts go down.

use std::time::Duration;

use switchboard::machine::rng::Rng;
use switchboard::sim::{Conditions, Delay, HostId, Link, Loss, NatKind, OldStreams, Sleep};

use scene::{Node, Scene};

#[path = "../probe/scene.rs"]
#[allow(dead_code, reason = "the tests of the probe use the rest")]
mod scene;

/// Plays worlds of two probes and prints how they ended, so that not all ended alike.
pub(crate) fn campaign(seeds: u64) {
    let (mut over, mut direct) = (0, 0);
    for seed in 0..seeds {
        let _named = crate::Named("probes", seed);
        let ends = play(seed);
        over += ends.iter().filter(|end| end.is_some()).count();
        direct += ends.iter().filter(|end| **end == Some(true)).count();
    }
    println!("{over} of {} probes came to a verdict, {direct} to a direct one", 2 * seeds);
    assert!(direct > 0 && direct < over, "{direct} of {over} are direct");
}

/// Whether each probe ended, and whether it had a direct path then.
fn play(seed: u64) -> [Option<bool>; 2] {
    let mut rng = Rng::from_u64(seed);
    let mut scene = Scene::by(seed, true, rng.chance(0.8));
    let probes = ["a", "b"].map(|name| {
        let kind = NatKind::ALL[rng.below(NatKind::ALL.len() as u64) as usize];
        let net = scene.world.behind(&format!("gateway of {name}"), kind);
        let config = scene.config();
        let probe = scene.probe(net, name, config);
        scene.world.link(probe, link(&mut rng));
        probe
    });
    for _ in 0..30 {
        let time = Duration::from_millis(rng.below(2000));
        scene.world.run_for(time).unwrap_or_else(|failure| panic!("{failure}"));
        let host = [probes[0], probes[1], scene.server, scene.meeting][rng.below(4) as usize];
        harm(&mut scene, &mut rng, host);
    }
    scene.world.run_for(Duration::from_secs(120)).unwrap_or_else(|failure| panic!("{failure}"));
    probes.map(|probe| ended(&mut scene, probe))
}

fn link(rng: &mut Rng) -> Link {
    Link::symmetric(Conditions {
        delay: Delay::Uniform(Duration::ZERO, Duration::from_millis(rng.below(100) + 1)),
        loss: Loss::Independent(rng.below(20) as f64 / 100.0),
        duplicate: 0.05,
        reorder: 0.05,
        ..Conditions::default()
    })
}

/// Mostly nothing: who is harmed at every turn comes to nothing.
fn harm(scene: &mut Scene, rng: &mut Rng, host: HostId) {
    let world = &mut scene.world;
    match rng.below(24) {
        0 => world.unplug(host),
        1..6 => world.plug(host),
        6 => world.sleep(host),
        7..12 => world.wake_up(host, Sleep::Counts),
        12 if host != scene.server && host != scene.meeting => world.roam(host, scene::HERE, OldStreams::Break),
        _ => {}
    }
}

fn ended(scene: &mut Scene, probe: HostId) -> Option<bool> {
    let is_over = scene.is_over(probe);
    let said = scene.world.events(probe);
    let direct = said.iter().any(|(_, event)| match event {
        scene::Event::Probe(switchboard::stack::probe::ProbeEvent::Verdict(verdict)) => scene::is_direct(verdict),
        _ => false,
    });
    assert!(!is_over || matches!(scene.world.machine(probe), Node::Probe(_)));
    is_over.then_some(direct)
}
