//! What the oracle is compared with: two hosts that do as ICE does, packet by packet, through NATs and firewalls.
//!
//! Each tells the other its own address and the one that the STUN server saw, then sends checks to all addresses of
//! the other that it knows, again and again; checks are answered to where they came from, and where that is new it
//! becomes known. An answer counts if it comes from where the check was sent to.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Turn, Verdict};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::sim::filter::Protocol;
use crate::sim::firewall::Firewall;
use crate::sim::kind::Gateway;
use crate::sim::nat::Nat;

const STUN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)), 3478);
const TURN: IpAddr = IpAddr::V4(Ipv4Addr::new(1, 1, 1, 2));
/// More than any address takes to become known.
const ROUNDS: usize = 8;

/// What one host has: its gateways, the outermost first, and its servers.
#[derive(Debug, Clone, Default)]
pub(super) struct Setup {
    pub(super) gateways: Vec<Gateway>,
    pub(super) stun: bool,
    pub(super) turn: Turn,
}

/// What two hosts reach of each other, found by trying.
pub(super) fn tried(setups: [&Setup; 2], shared: usize) -> Verdict {
    let mut bench = Bench::new(setups, shared);
    bench.ask_servers();
    for _ in 0..ROUNDS {
        bench.check(0);
        bench.check(1);
        bench.now = bench.now + Duration::from_millis(50);
    }
    if bench.hosts.iter().all(|host| host.is_answered) {
        Verdict::Direct
    } else if bench.is_relayed(0) || bench.is_relayed(1) {
        Verdict::Relayed
    } else {
        Verdict::Impossible
    }
}

struct Bench {
    now: Instant,
    gateways: Vec<Live>,
    hosts: [Host; 2],
}

struct Live {
    external: IpAddr,
    nat: Option<Nat>,
    firewall: Firewall,
}

struct Host {
    address: SocketAddr,
    /// Its gateways, the outermost first.
    path: Vec<usize>,
    stun: bool,
    turn: Turn,
    /// What it tells the other.
    tells: Vec<SocketAddr>,
    /// What it knows of the other.
    knows: BTreeSet<SocketAddr>,
    is_answered: bool,
}

/// Where a packet gets to, and from where it seems to come there.
#[derive(Debug, PartialEq)]
enum End {
    Server(SocketAddr),
    Host(SocketAddr),
}

impl Bench {
    fn new(setups: [&Setup; 2], shared: usize) -> Self {
        let mut gateways: Vec<Live> = Vec::new();
        let mut add = |gateway: &Gateway| {
            let external = Ipv4Addr::new(20, 0, 0, gateways.len() as u8 + 1).into();
            let nat = gateway.nat.map(|config| Nat::new(config, external, Rng::from_u64(gateways.len() as u64)));
            gateways.push(Live { external, nat, firewall: Firewall::new(gateway.firewall) });
            gateways.len() - 1
        };
        let first: Vec<_> = setups[0].gateways.iter().map(&mut add).collect();
        let own = setups[1].gateways.iter().skip(shared).map(&mut add);
        let second: Vec<_> = first.iter().copied().take(shared).chain(own).collect();
        let host = |index: u8, path| Host {
            address: SocketAddr::new(Ipv4Addr::new(10, 0, 0, index + 1).into(), 5000),
            path,
            stun: setups[usize::from(index)].stun,
            turn: setups[usize::from(index)].turn,
            tells: Vec::new(),
            knows: BTreeSet::new(),
            is_answered: false,
        };
        let hosts = [host(0, first), host(1, second)];
        Self { now: Instant::ZERO, gateways, hosts }
    }

    fn ask_servers(&mut self) {
        for side in [0, 1] {
            let (own, stun, turn) = (self.hosts[side].address, self.hosts[side].stun, self.hosts[side].turn);
            let by_stun = stun.then(|| self.asks(side, Protocol::Udp, STUN)).flatten();
            let by_turn = turn.udp.then(|| self.asks(side, Protocol::Udp, SocketAddr::new(TURN, 3478))).flatten();
            self.hosts[side].tells = [Some(own), by_stun, by_turn].into_iter().flatten().collect();
            self.hosts[1 - side].knows = self.hosts[side].tells.iter().copied().collect();
        }
    }

    /// One check to each address that the side knows.
    fn check(&mut self, side: usize) {
        let other = 1 - side;
        for to in self.hosts[side].knows.clone() {
            let Some(End::Host(from)) = self.send(side, Protocol::Udp, to) else { continue };
            self.hosts[other].knows.insert(from);
            let answer = self.send(other, Protocol::Udp, from);
            self.hosts[side].is_answered |= answer == Some(End::Host(to));
        }
    }

    /// Whether the side can allocate an address that the other gets through to.
    fn is_relayed(&mut self, side: usize) -> bool {
        let other = 1 - side;
        self.allocates(side) && (self.allocates(other) || self.is_permitted(other))
    }

    fn allocates(&mut self, side: usize) -> bool {
        let Turn { udp, tcp, tls } = self.hosts[side].turn;
        let ways = [(udp, Protocol::Udp, 3478), (tcp, Protocol::Tcp, 3478), (tls, Protocol::Tcp, 443)];
        ways.into_iter().any(|(is_offered, protocol, port)| {
            is_offered && self.asks(side, protocol, SocketAddr::new(TURN, port)).is_some()
        })
    }

    /// Whether the server relays what the side sends: it must have told the other its address.
    fn is_permitted(&mut self, side: usize) -> bool {
        let from = self.asks(side, Protocol::Udp, SocketAddr::new(TURN, 50_000));
        from.is_some_and(|from| self.hosts[side].tells.iter().any(|told| told.ip() == from.ip()))
    }

    /// From where a server sees that side, if its answer comes back.
    fn asks(&mut self, side: usize, protocol: Protocol, server: SocketAddr) -> Option<SocketAddr> {
        let Some(End::Server(seen)) = self.send(side, protocol, server) else { return None };
        self.down(side, 0, protocol, server, seen).map(|_| seen)
    }

    /// Sends a packet up until somebody there has its destination.
    fn send(&mut self, side: usize, protocol: Protocol, to: SocketAddr) -> Option<End> {
        let (mut from, other) = (self.hosts[side].address, 1 - side);
        let path = self.hosts[side].path.clone();
        for depth in (0..=path.len()).rev() {
            let is_near = self.hosts[other].path.get(..depth) == Some(&path[..depth]);
            if is_near && self.owns(other, depth, to.ip()) {
                return self.down(other, depth, protocol, from, to);
            }
            if depth > 0 {
                from = self.out(path[depth - 1], protocol, from, to)?;
            }
        }
        [STUN.ip(), TURN].contains(&to.ip()).then_some(End::Server(from))
    }

    fn out(&mut self, gateway: usize, protocol: Protocol, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let Live { nat, firewall, .. } = &mut self.gateways[gateway];
        firewall.outbound(self.now, protocol, from, to).ok()?;
        nat.as_mut().map_or(Some(from), |nat| nat.outbound(self.now, protocol, from, to).ok())
    }

    /// Whether a packet for that address, at that depth, goes towards that side.
    fn owns(&self, side: usize, depth: usize, address: IpAddr) -> bool {
        let Host { path, address: own, .. } = &self.hosts[side];
        let outer = path[depth..].iter().map(|gateway| &self.gateways[*gateway]).find(|gateway| gateway.nat.is_some());
        outer.map_or_else(|| own.ip(), |gateway| gateway.external) == address
    }

    fn down(&mut self, side: usize, depth: usize, protocol: Protocol, from: SocketAddr, to: SocketAddr) -> Option<End> {
        let mut to = to;
        for gateway in self.hosts[side].path[depth..].iter().copied() {
            let Live { nat, firewall, .. } = &mut self.gateways[gateway];
            if let Some(nat) = nat {
                to = nat.inbound(self.now, protocol, from, to).ok()?;
            }
            firewall.inbound(self.now, protocol, from, to).ok()?;
        }
        (self.hosts[side].address == to).then_some(End::Host(from))
    }
}
