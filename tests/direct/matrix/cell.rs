//! One cell: two endpoints in a world, and what becomes of their session.

use std::fmt;
use std::time::Duration;

use switchboard::hub::explain::NotDirect;
use switchboard::sim::oracle::{self, Turn, Verdict};
use switchboard::sim::{Gateway, NatKind};
use switchboard::stack::peer::EngineKind;
use switchboard::wire::ice_server::IceServer;

use crate::scene::{ADA, BOB, CHANNEL, MS, SECOND, Scene, Side, stun, turn, turn_service};

/// Messages that each side sends, and their bytes.
const MESSAGES: usize = 30;
const SIZE: usize = 1000;
/// An attempt has failed after 25 s without a pair.
const PATIENCE: Duration = Duration::from_secs(40);

/// What servers both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Servers {
    None,
    Stun,
    /// With STUN.
    TurnUdp,
    TurnTcp,
    TurnTls,
}

impl Servers {
    fn ice_servers(self) -> Vec<IceServer> {
        match self {
            Self::None => Vec::new(),
            Self::Stun => stun(),
            Self::TurnUdp => [stun(), vec![turn("turn:turn.test")]].concat(),
            Self::TurnTcp => vec![turn("turn:turn.test?transport=tcp")],
            Self::TurnTls => vec![turn("turns:turn.test:443")],
        }
    }

    fn oracle(self) -> (bool, Turn) {
        let none = Turn::default();
        match self {
            Self::None => (false, none),
            Self::Stun => (true, none),
            Self::TurnUdp => (true, Turn { udp: true, ..none }),
            Self::TurnTcp => (false, Turn { tcp: true, ..none }),
            Self::TurnTls => (false, Turn { tls: true, ..none }),
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Stun => "stun",
            Self::TurnUdp => "turn-udp",
            Self::TurnTcp => "turn-tcp",
            Self::TurnTls => "turn-tls",
        })
    }
}

/// The families that both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
    Both,
}

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Both];

    const fn families(self) -> [bool; 2] {
        [!matches!(self, Self::V6), !matches!(self, Self::V4)]
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
            Self::Both => "both",
        })
    }
}

/// What has become of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A direct path, after that time.
    Direct(Duration),
    /// One through TURN.
    Turn(Duration),
    /// None, for that reason.
    Relayed(NotDirect),
    /// The two sides use different pairs.
    Split(String),
}

impl Outcome {
    pub(super) const fn letter(&self) -> char {
        match self {
            Self::Direct(_) => 'D',
            Self::Turn(_) => 'T',
            Self::Relayed(_) => 'R',
            Self::Split(_) => 'S',
        }
    }

    const fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Direct(_) => Some(Verdict::Direct),
            Self::Turn(_) => Some(Verdict::Relayed),
            Self::Relayed(_) => Some(Verdict::Impossible),
            Self::Split(_) => None,
        }
    }
}

/// A cell, played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) outcome: Outcome,
    /// Bytes through the hub's relay and through TURN: all, and those of the messages.
    pub(super) relay: [u64; 2],
    pub(super) turn: [u64; 2],
}

impl Cell {
    /// Both sides have the same servers and families, and share nothing.
    pub(super) fn play(servers: Servers, family: Family, kinds: [NatKind; 2], engines: [EngineKind; 2]) -> Self {
        let side = |n: usize| Side {
            gateways: kinds[n].gateways(),
            engine: engines[n],
            families: family.families(),
            servers: servers.ice_servers(),
            ..Side::default()
        };
        Self::of(7, [ADA, BOB].map(side), 0)
    }

    /// What becomes of a session between two that share so many outermost gateways.
    pub(super) fn of(seed: u64, sides: [Side; 2], shared: usize) -> Self {
        let mut scene = Scene::with(seed, sides, shared, turn_service());
        scene.open();
        let time = scene.until(PATIENCE, |scene| {
            let direct = scene.is_direct(ADA) && scene.is_direct(BOB);
            direct || scene.has_failed(ADA) && scene.has_failed(BOB)
        });
        let time = time.unwrap_or_else(|| panic!("seed {seed}: {:?}", scene.events));
        // A better pair may be found yet.
        scene.run_for(if scene.is_direct(ADA) { 2 * SECOND } else { 100 * MS });
        let before = bytes(&scene);
        talk(&mut scene);
        let after = bytes(&scene);
        let outcome = outcome(&mut scene, time);
        Self { outcome, relay: [after[0], after[0] - before[0]], turn: [after[1], after[1] - before[1]] }
    }

    /// Whether that is what the oracle says, and what carried the messages is what is said to.
    pub(super) fn is_as(&self, verdict: Verdict) -> bool {
        let all = (2 * MESSAGES * SIZE) as u64;
        let carries = |bytes: u64, is: bool| if is { bytes >= all } else { bytes < all / 3 };
        Some(verdict) == self.outcome.verdict()
            && carries(self.relay[1], verdict == Verdict::Impossible)
            && carries(self.turn[1], verdict == Verdict::Relayed)
    }

    /// What is not as it must be.
    pub(super) fn flaw(&self, servers: Servers, family: Family, kinds: [NatKind; 2]) -> Option<String> {
        let [a, b] = kinds;
        let says = Verdict::of(&oracle(servers, family, a), &oracle(servers, family, b), 0);
        (!self.is_as(says)).then(|| format!("{servers}, {family}, {a} and {b}: {self:?}, and the oracle says {says}"))
    }
}

fn oracle(servers: Servers, family: Family, kind: NatKind) -> oracle::Host {
    host(&kind.gateways(), family.families(), servers.oracle())
}

/// A host in the oracle's words.
pub(super) fn host(gateways: &[Gateway], [v4, v6]: [bool; 2], (stun, turn): (bool, Turn)) -> oracle::Host {
    let chain = |as_oracle: fn(Gateway) -> oracle::Gateway| gateways.iter().copied().map(as_oracle).collect();
    oracle::Host { v4: v4.then(|| chain(Gateway::v4)), v6: v6.then(|| chain(Gateway::v6)), stun, turn }
}

fn outcome(scene: &mut Scene, time: Duration) -> Outcome {
    let [ada, bob] = [ADA, BOB].map(|n| scene.explain(n));
    match (ada.pair, bob.pair) {
        (Some(ours), Some(theirs)) => match (ours.is_relayed(), theirs.is_relayed()) {
            (true, true) => Outcome::Turn(time),
            (false, false) => Outcome::Direct(time),
            _ => Outcome::Split(format!("{ada} but {bob}")),
        },
        (None, None) => Outcome::Relayed(ada.not_direct.expect("a reason")),
        _ => Outcome::Split(format!("{ada} but {bob}")),
    }
}

/// What the hub's relay and the TURN server have passed on.
fn bytes(scene: &Scene) -> [u64; 2] {
    let relay = scene.world.machine(scene.relay).statistics().forwarded_bytes;
    let turn = scene.service.meter.figures().statistics;
    [relay, turn.bytes_to_peers + turn.bytes_to_clients]
}

fn talk(scene: &mut Scene) {
    for _ in 0..MESSAGES {
        for n in [ADA, BOB] {
            let session = scene.sessions[n].unwrap();
            scene.act(n, |endpoint, cx| endpoint.send(cx, session, CHANNEL, &[n as u8; SIZE])).unwrap();
        }
        scene.run_for(10 * MS);
    }
    scene.until(10 * SECOND, |scene| scene.heard == [MESSAGES; 2]).expect("messages are missing");
}
