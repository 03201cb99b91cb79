//! What lies between hosts: their links, gateways, what was said of pairs of neighbours, and what is under way.
//!
//! A packet leaves through its sender's link, crosses the network that the sender is attached to, and comes down the
//! link of its next hop; a gateway translates or filters it and sends it on in the same way. Each step is an event of
//! its own only where others could get in between.
//!
//! Segments of streams are not lost for good: one that a link drops comes a time-out for retransmission later, as its
//! sender would repeat it, and tells so, whereupon the sender slows down. What meets a cut, or a host that is down,
//! is held and goes on when the way is open again, if its sender still lives.

mod gateway;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use gateway::{Side, Station};

use super::kind::Gateway;
use super::link::{Link, Passage, Pipe};
use super::names::Names;
use super::observer::Observer;
use super::packet::{Carried, Key, Packet};
use super::queue::Queue;
use super::sockets::{Sent, Ticket};
use super::timeline::{DropReason, NodeId};
use super::topology::{INTERNET, NetId, NextHop, Topology};
use crate::machine::port::Name;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// From a host to itself.
const LOOPBACK: Duration = Duration::from_micros(1);
/// Between neighbours on the Internet.
const DEFAULT_DELAY: Duration = Duration::from_millis(10);
/// Between neighbours in a network behind a gateway.
const LAN_DELAY: Duration = Duration::from_micros(500);
/// Gateways that a packet passes at most.
const MOST_HOPS: u8 = 16;

#[derive(Debug)]
pub(super) struct Network {
    pub(super) topology: Topology,
    pub(super) names: Names,
    pub(super) observer: Observer,
    nodes: Vec<Node>,
    paths: BTreeMap<(NodeId, NodeId), Path>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    default_delay: Duration,
    queue: Queue<Due>,
    held: BTreeMap<u64, (NodeId, Carried)>,
    numbers: u64,
    rng: Rng,
}

#[derive(Debug)]
struct Node {
    up: bool,
    plugged: bool,
    link: Option<Box<Pipes>>,
    station: Option<Box<Station>>,
}

#[derive(Debug)]
struct Pipes {
    up: Pipe,
    down: Pipe,
}

/// What was said of two neighbours.
#[derive(Debug, Default)]
struct Path {
    delay: Option<Duration>,
    rate: Option<u64>,
    free: Instant,
}

#[derive(Debug)]
enum Due {
    /// It leaves that node.
    Up(NodeId, Carried),
    /// It comes down that node's link.
    Down(NodeId, Carried),
    /// It has come to that node, from its network.
    Here(NodeId, Carried),
    /// It has come to that gateway, from inside.
    Inside(NodeId, Carried),
    Answer(NodeId, Ticket, Name),
    Wake(NodeId, Ticket),
}

/// What comes to a host.
#[derive(Debug)]
pub(super) enum Arrival {
    Packet(Carried),
    Answer(Ticket, Name),
    Wake(Ticket),
}

impl Arrival {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Packet(carried) => carried.packet.name(),
            Self::Answer(..) => "look-up",
            Self::Wake(_) => "pipe",
        }
    }
}

impl Network {
    pub(super) fn new(seed: u64, rng: Rng) -> Self {
        Self {
            topology: Topology::new(),
            names: Names::new(),
            observer: Observer::new(seed),
            nodes: Vec::new(),
            paths: BTreeMap::new(),
            cuts: BTreeSet::new(),
            default_delay: DEFAULT_DELAY,
            queue: Queue::new(),
            held: BTreeMap::new(),
            numbers: 0,
            rng,
        }
    }

    /// Makes room for one more host.
    pub(super) fn add_host(&mut self, net: NetId) -> NodeId {
        self.nodes.push(Node { up: true, plugged: true, link: None, station: None });
        self.topology.join(net)
    }

    /// Makes a gateway whose outside is in that network, and the network behind it.
    pub(super) fn add_gateway(&mut self, outside: NetId, gateway: Gateway) -> (NodeId, NetId) {
        let node = self.add_host(outside);
        let inside = self.topology.open(node);
        let station = Station::new(gateway, inside, self.topology.addresses(node), self.rng.fork());
        self.nodes[node.index()].station = Some(Box::new(station));
        (node, inside)
    }

    pub(super) const fn set_default_delay(&mut self, delay: Duration) {
        self.default_delay = delay;
    }

    pub(super) fn set_delay(&mut self, a: NodeId, b: NodeId, delay: Duration) {
        self.update(a, b, |path| path.delay = Some(delay));
    }

    pub(super) fn set_rate(&mut self, a: NodeId, b: NodeId, rate: u64) {
        self.update(a, b, |path| path.rate = Some(rate.max(1)));
    }

    fn update(&mut self, a: NodeId, b: NodeId, change: impl Fn(&mut Path)) {
        for pair in [(a, b), (b, a)] {
            change(self.paths.entry(pair).or_default());
        }
    }

    pub(super) fn set_link(&mut self, node: NodeId, link: Link) {
        match &mut self.nodes[node.index()].link {
            Some(pipes) => {
                pipes.up.set(link.up);
                pipes.down.set(link.down);
            }
            none => {
                let (up, down) = (Pipe::new(link.up, self.rng.fork()), Pipe::new(link.down, self.rng.fork()));
                *none = Some(Box::new(Pipes { up, down }));
            }
        }
    }

    pub(super) fn set_cut(&mut self, from: NodeId, to: NodeId, is_cut: bool) {
        if is_cut {
            self.cuts.insert((from, to));
        } else {
            self.cuts.remove(&(from, to));
        }
    }

    pub(super) fn set_up(&mut self, host: NodeId, up: bool) {
        self.nodes[host.index()].up = up;
    }

    pub(super) fn is_plugged(&self, node: NodeId) -> bool {
        self.nodes[node.index()].plugged
    }

    pub(super) fn set_plugged(&mut self, node: NodeId, plugged: bool) {
        self.nodes[node.index()].plugged = plugged;
    }

    /// What a gateway knows is gone; with other addresses outside if asked for.
    pub(super) fn restart_gateway(&mut self, gateway: NodeId, elsewhere: bool) {
        if elsewhere {
            self.topology.leave_for(gateway, self.topology.net(gateway));
        }
        let addresses = self.topology.addresses(gateway);
        if let Some(station) = &mut self.nodes[gateway.index()].station {
            station.restart(addresses);
        }
    }

    pub(super) fn mappings(&mut self, now: Instant, gateway: NodeId) -> usize {
        self.nodes[gateway.index()].station.as_mut().map_or(0, |station| station.mappings(now))
    }

    pub(super) fn is_gateway(&self, node: NodeId) -> bool {
        self.nodes[node.index()].station.is_some()
    }

    /// Whether what one host sends cannot come to the other.
    pub(super) fn is_barred(&self, from: NodeId, to: NodeId) -> bool {
        self.barrier(from, to).is_some()
    }

    fn barrier(&self, from: NodeId, to: NodeId) -> Option<DropReason> {
        let node = &self.nodes[to.index()];
        if !node.plugged || self.cuts.contains(&(from, to)) {
            return Some(DropReason::Cut);
        }
        (!node.up).then_some(DropReason::HostDown)
    }

    /// Puts what a host wants on its way.
    pub(super) fn send(&mut self, now: Instant, from: NodeId, sent: Sent) {
        match sent {
            Sent::Packet(packet) => self.send_packet(now, from, packet),
            Sent::Lookup(ticket, name) => {
                let takes = self.names.takes(now, from, &name);
                self.push(now + takes, Due::Answer(from, ticket, name));
            }
            Sent::Wake(ticket) => self.push(now + LOOPBACK, Due::Wake(from, ticket)),
        }
    }

    fn send_packet(&mut self, now: Instant, from: NodeId, packet: Packet) {
        self.numbers += 1;
        let carried = Carried { packet, origin: from, number: self.numbers, hops: 0 };
        self.observer.sent(now, &carried);
        let destination = carried.packet.destination.ip();
        if destination.is_loopback() || self.topology.owns(from, destination) {
            let delay = self.paths.get(&(from, from)).and_then(|path| path.delay).unwrap_or(LOOPBACK);
            return self.push(now + delay, Due::Here(from, carried));
        }
        if !self.topology.owns(from, carried.packet.source.ip()) {
            return self.observer.dropped(now, from, &carried, DropReason::SourceGone);
        }
        self.leave(now, from, carried);
    }

    /// A packet enters the link of `node` towards its network.
    fn leave(&mut self, now: Instant, node: NodeId, carried: Carried) {
        if !self.nodes[node.index()].plugged {
            return self.stop(now, node, carried, DropReason::Cut);
        }
        let Some(pipes) = &mut self.nodes[node.index()].link else { return self.cross(now, node, carried) };
        match pipes.up.pass(now, carried.packet.size()) {
            Ok(Passage { at, again }) => {
                self.again(again, &carried, |network, at, copy| network.cross(at, node, copy));
                self.cross(at, node, carried);
            }
            Err(reason) => self.lose(now, node, carried, reason, Due::Up),
        }
    }

    /// From the link of `node` to that of the next hop.
    fn cross(&mut self, at: Instant, node: NodeId, carried: Carried) {
        let net = self.topology.net(node);
        match self.topology.next_hop(net, carried.packet.destination.ip()) {
            Some(NextHop::Member(next)) => self.cross_to(at, net, node, next, carried),
            Some(NextHop::Up(gateway)) => self.push(at + LAN_DELAY, Due::Inside(gateway, carried)),
            None => self.observer.dropped(at, node, &carried, DropReason::NoRoute),
        }
    }

    fn cross_to(&mut self, at: Instant, net: NetId, node: NodeId, next: NodeId, carried: Carried) {
        if let Some(reason) = self.barrier(carried.origin, next) {
            return self.stop(at, next, carried, reason);
        }
        let at = at + self.takes(at, net, node, next, carried.packet.size());
        match &self.nodes[next.index()].link {
            Some(pipes) if pipes.down.has_queue() => self.push(at, Due::Down(next, carried)),
            Some(_) => self.come_down(at, next, carried),
            None => self.push(at, Due::Here(next, carried)),
        }
    }

    fn takes(&mut self, now: Instant, net: NetId, a: NodeId, b: NodeId, size: usize) -> Duration {
        let usual = if net == INTERNET { self.default_delay } else { LAN_DELAY };
        if self.paths.is_empty() {
            return usual;
        }
        self.paths.get_mut(&(a, b)).map_or(usual, |path| path.takes(now, size, usual))
    }

    fn come_down(&mut self, now: Instant, node: NodeId, carried: Carried) {
        let Some(pipes) = &mut self.nodes[node.index()].link else { return self.push(now, Due::Here(node, carried)) };
        match pipes.down.pass(now, carried.packet.size()) {
            Ok(Passage { at, again }) => {
                self.again(again, &carried, |network, at, copy| network.push(at, Due::Here(node, copy)));
                self.push(at, Due::Here(node, carried));
            }
            Err(reason) => self.lose(now, node, carried, reason, Due::Down),
        }
    }

    /// Streams take no notice of copies.
    fn again(&mut self, at: Option<Instant>, carried: &Carried, go_on: impl FnOnce(&mut Self, Instant, Carried)) {
        if let Some(at) = at
            && carried.packet.sender().is_none()
        {
            go_on(self, at, carried.clone());
        }
    }

    /// A link has lost it: its sender would repeat it, or it is gone.
    fn lose(
        &mut self,
        now: Instant,
        node: NodeId,
        mut carried: Carried,
        reason: DropReason,
        go_on: impl FnOnce(NodeId, Carried) -> Due,
    ) {
        self.observer.dropped(now, node, &carried, reason);
        if let Some(after) = carried.packet.repeat() {
            self.push(now + after, go_on(node, carried));
        }
    }

    /// It meets what may be open again: hold what its sender would repeat.
    fn stop(&mut self, now: Instant, node: NodeId, carried: Carried, reason: DropReason) {
        self.observer.dropped(now, node, &carried, reason);
        if carried.packet.is_repeated() {
            self.numbers += 1;
            self.held.insert(self.numbers, (node, carried));
        }
    }

    /// Sends on what was held and is no longer, unless its sender has forgotten it.
    pub(super) fn release(&mut self, now: Instant, mut lives: impl FnMut(NodeId, Key) -> bool) {
        for (number, (node, carried)) in std::mem::take(&mut self.held) {
            let is_leaving = !self.nodes[carried.origin.index()].plugged;
            if self.is_barred(carried.origin, node) || is_leaving {
                self.held.insert(number, (node, carried));
            } else if carried.packet.sender().is_none_or(|key| lives(carried.origin, key)) {
                self.resume(now, node, carried);
            }
        }
    }

    fn resume(&mut self, now: Instant, node: NodeId, carried: Carried) {
        if node == carried.origin {
            return self.leave(now, node, carried);
        }
        let delay = self.paths.get(&(carried.origin, node)).and_then(|path| path.delay);
        self.push(now + delay.unwrap_or(self.default_delay), Due::Down(node, carried));
    }

    /// When the next thing is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.queue.next_at()
    }

    /// Takes out what is due at `now` and comes to a host; none if what was due has only moved on.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(NodeId, Arrival)> {
        match self.queue.pop(now)? {
            Due::Up(node, carried) => self.leave(now, node, carried),
            Due::Down(node, carried) => self.come_down(now, node, carried),
            Due::Inside(gateway, carried) => self.pass_gateway(now, gateway, Side::Inside, carried),
            Due::Here(node, carried) if self.is_gateway(node) => self.pass_gateway(now, node, Side::Outside, carried),
            Due::Here(node, carried) => match self.barrier(carried.origin, node) {
                Some(reason) => self.stop(now, node, carried, reason),
                None => return Some((node, Arrival::Packet(carried))),
            },
            Due::Answer(node, ticket, name) => return Some((node, Arrival::Answer(ticket, name))),
            Due::Wake(node, ticket) => return Some((node, Arrival::Wake(ticket))),
        }
        None
    }

    /// Takes out what is due at `now` if it comes to that host too.
    pub(super) fn pop_more(&mut self, now: Instant, host: NodeId) -> Option<Arrival> {
        let (at, next) = self.queue.peek()?;
        let (Due::Here(node, _) | Due::Answer(node, ..) | Due::Wake(node, _)) = next else { return None };
        if at > now || *node != host {
            return None;
        }
        self.pop(now).map(|(_, arrival)| arrival)
    }

    /// Packets that wait for a heal.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    fn pass_gateway(&mut self, now: Instant, gateway: NodeId, side: Side, mut carried: Carried) {
        let node = &mut self.nodes[gateway.index()];
        if !node.plugged {
            return self.stop(now, gateway, carried, DropReason::Cut);
        }
        carried.hops += 1;
        if carried.hops > MOST_HOPS {
            return self.observer.dropped(now, gateway, &carried, DropReason::Loop);
        }
        let Some(station) = &mut node.station else { return };
        let outside = carried.packet.destination;
        match station.pass(now, side, &mut carried.packet) {
            Ok(Side::Outside) => {
                self.observer.forwarded(now, gateway, &carried);
                self.leave(now, gateway, carried);
            }
            Ok(Side::Inside) => {
                let net = station.inside();
                self.go_inside(now, gateway, net, outside, carried);
            }
            Err(reason) => self.observer.dropped(now, gateway, &carried, reason),
        }
    }

    fn go_inside(&mut self, now: Instant, gateway: NodeId, net: NetId, outside: SocketAddr, carried: Carried) {
        if self.observer.is_recording() {
            let mut seen = carried.clone();
            seen.packet.destination = outside;
            self.observer.forwarded(now, gateway, &seen);
        }
        match self.topology.next_hop(net, carried.packet.destination.ip()) {
            Some(NextHop::Member(next)) => self.cross_to(now, net, gateway, next, carried),
            _ => self.observer.dropped(now, gateway, &carried, DropReason::NoRoute),
        }
    }

    fn push(&mut self, at: Instant, due: Due) {
        self.queue.push(at, due);
    }
}

impl Path {
    fn takes(&mut self, now: Instant, size: usize, usual: Duration) -> Duration {
        if let Some(rate) = self.rate {
            let nanos = size as u128 * 1_000_000_000 / u128::from(rate);
            self.free = self.free.max(now) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        self.free.max(now) - now + self.delay.unwrap_or(usual)
    }
}
