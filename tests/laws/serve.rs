//! STUN and TURN servers as transports: neighbours that speak no STUN, faults, and a stop at any time.

use std::time::Duration;

use switchboard::connect::{Options, TurnService};
use switchboard::machine::payload::Kind;
use switchboard::machine::rng::Rng;
use switchboard::sim::World;
use switchboard::stack::turn_server::TurnSecret;
use switchboard::transport::TransportEvent;
use switchboard::transport::alone::AloneEvent;

use crate::common::{self, Node};

const KINDS: [&str; 3] = ["stun", "turn", "turns"];

/// Plays worlds and demands that servers came up, failed and stopped.
pub(crate) fn campaign(seeds: u64) {
    let service = TurnService::new("relay", TurnSecret::new("secret"));
    let options = Options { turn: Some(service), ..common::options() };
    let mut counts = [0; 3];
    for seed in 0..seeds {
        for kind in KINDS {
            let _named = crate::Named(kind, seed);
            for (count, more) in counts.iter_mut().zip(play(kind, seed, &options)) {
                *count += more;
            }
        }
    }
    println!("listening, failed, stopped: {counts:?}");
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

fn play(kind: &str, seed: u64, options: &Options) -> [usize; 3] {
    let (mut world, mut rng) = (World::new(seed), Rng::from_u64(seed));
    let address = if rng.chance(0.2) { "192.0.2.1" } else { ["0.0.0.0", "198.18.0.1", "[::]"][rng.below(3) as usize] };
    let server = world.host("server", common::listening(&format!("{kind}:{address}:7000"), options));
    world.act(server, |server, cx| server.start(cx));
    let far = ["tcp", "tls", "ws"].map(|kind| {
        let host = world.host(kind, common::dialling(&common::string(kind, "198.18.0.1"), options));
        world.act(host, |far, cx| far.start(cx));
        host
    });
    for _ in 0..10 {
        world.run_for(Duration::from_millis(rng.below(5000))).unwrap_or_else(|failure| panic!("{failure}"));
        let host = far[rng.below(3) as usize];
        let links: Vec<_> = world.events(host).into_iter().filter_map(|(_, event)| link(&event)).collect();
        for link in links {
            let size = rng.below(3000) as usize;
            world.act(host, |far, cx| _ = far.send(cx, link, Kind::Binary, &vec![0; size]));
        }
        match rng.below(6) {
            0 => world.unplug(host),
            1 => world.plug(host),
            _ => {}
        }
    }
    world.act(server, |server, cx| server.stop(cx));
    world.run_for(Duration::from_secs(60)).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(world.ports(server), 0);
    count(&mut world, server)
}

const fn link(event: &AloneEvent) -> Option<switchboard::machine::ids::LinkId> {
    match event {
        AloneEvent::Transport(TransportEvent::Up(link, _)) => Some(*link),
        _ => None,
    }
}

fn count(world: &mut World<Node>, server: switchboard::sim::HostId) -> [usize; 3] {
    let mut counts = [0; 3];
    for (_, event) in world.events(server) {
        match event {
            AloneEvent::Transport(TransportEvent::Listening(_)) => counts[0] += 1,
            AloneEvent::Transport(TransportEvent::Failed(_)) => counts[1] += 1,
            AloneEvent::Transport(TransportEvent::Stopped) => counts[2] += 1,
            _ => {}
        }
    }
    counts
}
