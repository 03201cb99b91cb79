//! The laws of the contract, for every machine and every transport of the library.
//!
//! `SWITCHBOARD_CAMPAIGN=full` plays fifty times as many seeds.

#![allow(clippy::disallowed_methods, reason = "any epoch will do")]

#[path = "laws/campaign.rs"]
mod campaign;
mod common;
#[cfg(feature = "webrtc")]
#[path = "laws/direct.rs"]
mod direct;
#[path = "laws/hubs.rs"]
mod hubs;
#[cfg(all(feature = "webrtc", feature = "turn"))]
#[path = "laws/implementations.rs"]
mod implementations;
#[cfg(feature = "stun")]
#[path = "laws/probes.rs"]
mod probes;
#[path = "laws/rig.rs"]
mod rig;
#[cfg(all(feature = "stun", feature = "turn"))]
#[path = "laws/serve.rs"]
mod serve;
#[path = "laws/subject.rs"]
mod subject;
#[path = "laws/transcripts.rs"]
mod transcripts;
#[cfg(feature = "turn")]
#[path = "laws/turn.rs"]
mod turn;
#[path = "laws/twins.rs"]
mod twins;
#[path = "laws/wire.rs"]
mod wire;

use common::{KINDS, Node};
use subject::Boxed;
use switchboard::connect::Endpoint;
use switchboard::hub::Hub;
use switchboard::machine::check::Checked;

/// How many seeds each campaign plays.
fn seeds(few: u64) -> u64 {
    if common::campaign::is_full() { few * 50 } else { few }
}

/// Says which run a failure belongs to.
struct Named<'a>(&'a str, u64);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was {}, seed {}", self.0, self.1);
        }
    }
}

#[test]
fn tcp_keeps_the_laws_in_random_worlds() {
    campaign::campaign::<Node>("tcp", seeds(100));
}

#[cfg(feature = "stun")]
#[test]
fn probes_keep_the_laws_in_random_worlds() {
    probes::campaign(seeds(100));
}

#[test]
fn tls_keeps_the_laws_in_random_worlds() {
    campaign::campaign::<Node>("tls", seeds(100));
}

#[test]
fn ws_keeps_the_laws_in_random_worlds() {
    campaign::campaign::<Node>("ws", seeds(100));
}

#[test]
fn wss_keeps_the_laws_in_random_worlds() {
    campaign::campaign::<Node>("wss", seeds(100));
}

#[test]
fn a_boxed_machine_keeps_the_laws_in_random_worlds() {
    campaign::campaign::<Boxed>("tcp", seeds(100));
}

#[test]
fn a_checked_machine_keeps_the_laws_in_random_worlds() {
    campaign::campaign::<Checked<Node>>("ws", seeds(100));
}

#[test]
fn worlds_that_once_broke_a_law_keep_it() {
    for (kind, seed) in [("tls", 387), ("tcp", 908), ("wss", 1343)] {
        campaign::play::<Node>(kind, seed, &common::options(), &mut campaign::Histogram::new());
    }
}

#[cfg(all(feature = "stun", feature = "turn"))]
#[test]
fn serving_keeps_the_laws_whatever_comes() {
    serve::campaign(seeds(20));
}

#[cfg(feature = "webrtc")]
#[test]
fn direct_paths_keep_the_laws_whatever_happens() {
    direct::campaign(seeds(40));
}

#[test]
fn every_kind_keeps_the_laws_whatever_its_owner_does() {
    for kind in KINDS {
        transcripts::transcripts(kind, seeds(100));
    }
}

#[test]
fn offline_keeps_the_laws_whatever_its_owner_does() {
    transcripts::offline(seeds(100));
}

#[test]
fn the_same_seed_and_inputs_give_the_same_transcript() {
    for kind in KINDS {
        twins::same_seed_same_transcript(kind, seeds(10));
    }
}

#[test]
fn the_same_seed_and_calls_give_the_same_world() {
    for kind in KINDS {
        twins::same_seed_same_world(kind, seeds(10));
    }
}

#[test]
fn any_cutting_carries_the_same_messages() {
    for kind in KINDS {
        twins::any_cutting_carries_the_same(kind);
    }
}

#[test]
fn any_cutting_of_the_same_bytes_is_the_same() {
    for kind in ["tcp", "ws"] {
        twins::any_cutting_of_the_same_bytes_is_the_same(kind, seeds(100));
    }
}

#[test]
fn hubs_keep_the_laws_in_random_worlds() {
    hubs::campaign::<Hub>("tcp", seeds(40));
}

#[test]
fn endpoints_keep_the_laws_in_random_worlds() {
    hubs::campaign::<Endpoint>("ws", seeds(40));
}

#[test]
fn the_same_seed_and_calls_give_the_same_world_of_endpoints() {
    hubs::same_seed_same_world("tcp", seeds(4));
}

#[test]
fn the_same_seed_and_calls_give_hubs_the_same_transcript() {
    hubs::same_seed_same_transcript("tcp", seeds(4));
}

#[test]
fn any_cutting_below_hubs_carries_the_same_messages() {
    for kind in ["tcp", "ws"] {
        hubs::any_cutting_carries_the_same(kind, seeds(4));
    }
}

#[cfg(feature = "turn")]
#[test]
fn turn_servers_keep_the_laws_whatever_comes() {
    turn::campaign(seeds(200));
}
