//! Endpoints with direct paths, in worlds where links are cut, hosts roam, sleep and restart.

use std::time::Duration;

use switchboard::machine::rng::Rng;
use switchboard::sim::{Dependence, INTERNET, NatKind, OldStreams, Sleep};

#[path = "../direct/party.rs"]
mod party;

use party::Party;

const FREE: Dependence = Dependence::EndpointIndependent;
const STRICT: Dependence = Dependence::AddressAndPortDependent;
const NATS: [Option<NatKind>; 4] = [
    None,
    Some(NatKind::Nat { mapping: FREE, filtering: FREE }),
    Some(NatKind::Nat { mapping: FREE, filtering: STRICT }),
    Some(NatKind::Nat { mapping: STRICT, filtering: STRICT }),
];

/// Plays worlds and demands that sessions became direct in some, and that some were relayed in the end.
pub(crate) fn campaign(seeds: u64) {
    let mut counts = [0; 2];
    for seed in 0..seeds {
        let _named = crate::Named("direct", seed);
        let (was_direct, is_direct) = play(seed);
        counts[0] += usize::from(was_direct);
        counts[1] += usize::from(!is_direct);
    }
    println!("direct at some time, relayed at the end: {counts:?}");
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

/// Whether it was direct at some time, and at the end.
fn play(seed: u64) -> (bool, bool) {
    let mut rng = Rng::from_u64(seed);
    let nats = [0, 1].map(|_| NATS[rng.below(4) as usize]);
    let mut party = Party::new(seed, &nats);
    let sessions: [_; 2] = party.open().into();
    let mut was_direct = false;
    for n in 0..20 {
        party.until(Duration::from_millis(rng.below(1500)), |_| false);
        was_direct |= party.is_direct(0);
        let side = rng.below(2) as usize;
        // Else the session has ended.
        _ = party.world.act(party.hosts[side], |endpoint, cx| {
            endpoint.send(cx, sessions[side], party::CHANNEL, &vec![7; 1 + 4000 * n])
        });
        fault(&mut party, &mut rng, side);
    }
    let is_direct = party.is_direct(0);
    for host in party.hosts {
        party.world.act(host, |endpoint, cx| endpoint.stop(cx));
    }
    party.world.run_for(Duration::from_secs(60)).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(party.hosts.map(|host| party.world.ports(host)), [0, 0]);
    (was_direct, is_direct)
}

fn fault(party: &mut Party, rng: &mut Rng, side: usize) {
    let [ada, bob] = party.hosts;
    let (world, host) = (&mut party.world, party.hosts[side]);
    match rng.below(12) {
        0 => world.cut(ada, bob),
        1 => world.cut_one_way(host, party.hosts[1 - side]),
        2 | 3 => world.heal(ada, bob),
        4 => world.roam(host, INTERNET, OldStreams::Break),
        5 => world.unplug(host),
        6 | 7 => world.plug(host),
        8 => world.sleep(host),
        9 | 10 if !world.is_awake(host) => world.wake_up(host, Sleep::Counts),
        _ => {}
    }
    for host in party.hosts {
        if !party.world.is_awake(host) {
            party.world.run_for(Duration::from_secs(2)).unwrap_or_else(|failure| panic!("{failure}"));
            party.world.wake_up(host, Sleep::Counts);
        }
    }
}
