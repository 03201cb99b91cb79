//! A whole network in virtual time, from one seed.
//!
//! A [`World`] runs any number of hosts, each the same [`Pump`](crate::machine::pump::Pump) that drivers ship,
//! over [`VirtualSockets`]. Nothing waits: time jumps to the next thing that is due, so an hour of silence costs
//! nothing and every run with the same seed and the same calls is the same run. Each machine is
//! [`Checked`](crate::machine::check::Checked); the first broken law ends the run as an error value.
//!
//! *Hosts* pass packets and share nothing. After each turn of a pump the world takes what the host has sent, puts
//! it on one queue ordered by time and then by order of sending, and hands it over when it is due. What is due at
//! one moment at one host in a row is handed over at once, before that host turns.
//!
//! *Streams* behave as TCP's do where an application can tell: a round trip until they are open, segments of at
//! most 1,460 bytes, a window of 64 KiB that only reading opens, half-close, resets, refused and silent dials,
//! backlogs, and the timers of Linux. They differ in one thing: a stream goes on as soon as a cut is healed,
//! without the wait of a retransmission timer; a dial does wait for its next SYN.
//!
//! *Machines of several kinds* live in one world as `Box<dyn Machine<Command = C, Event = E>>`, which is a machine
//! itself; a world of one kind needs no box and lets [`World::act`] call its own methods.

mod datagrams;
mod failure;
#[cfg_attr(not(test), expect(dead_code, reason = "gateways are not in worlds yet"))]
mod filter;
#[cfg_attr(not(test), expect(dead_code, reason = "gateways are not in worlds yet"))]
mod firewall;
mod guard;
mod harness;
mod host;
mod kind;
#[cfg_attr(not(test), expect(dead_code, reason = "gateways are not in worlds yet"))]
mod nat;
mod network;
pub mod oracle;
mod packet;
mod sockets;
mod stream;
pub mod timeline;
mod transcript;
mod woken;

pub use failure::{Failure, Stuck, Waiting};
pub use filter::{Dependence, Refresh};
pub use firewall::{FirewallConfig, Inward, Outward};
pub use harness::Harness;
pub use kind::{Gateway, NatKind, UnknownKind};
pub use nat::{NatConfig, PortChoice};
pub use sockets::VirtualSockets;
pub use timeline::{DropReason, NodeId, Recording, Timeline};

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use host::Host;
use network::{Arrival, Network, addresses};
use transcript::Transcript;

use crate::machine::check::Breach;
use crate::machine::port::Addrs;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::machine::{Cx, Machine};

/// A host of a [`World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(u32);

impl HostId {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.0)
    }
}

/// What a name stands for: a host's addresses, or any address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The IPv4 address of that host.
    Host(HostId),
    /// That address, whoever has it.
    Address(IpAddr),
}

impl From<HostId> for Target {
    fn from(host: HostId) -> Self {
        Self::Host(host)
    }
}

impl From<IpAddr> for Target {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

/// What [`World::step`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at: Instant,
    /// Where.
    pub host: HostId,
    /// The first of what came to the host, or the reason of its deadline.
    pub what: &'static str,
}

/// Any number of hosts in virtual time.
///
/// A [`HostId`] belongs to the world that made it; methods panic on one that this world does not have.
pub struct World<M: Machine> {
    seed: u64,
    rng: Rng,
    now: Instant,
    boots: u32,
    hosts: Vec<Host<M>>,
    network: Network,
    wakes: BTreeSet<(Instant, HostId)>,
    transcript: Transcript,
    failure: Option<Failure>,
}

impl<M: Machine> World<M> {
    /// A world without hosts at the origin of time.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: Rng::from_u64(seed),
            now: Instant::ZERO,
            boots: 0,
            hosts: Vec::new(),
            network: Network::new(),
            wakes: BTreeSet::new(),
            transcript: Transcript::new(seed),
            failure: None,
        }
    }

    /// Adds a host and starts its machine. The first has the addresses 10.0.0.1 and `fd00::1`.
    pub fn host(&mut self, name: &str, machine: M) -> HostId {
        let id = self.network.add_host();
        let (sockets, seed) = self.boot(id, 0);
        self.hosts.push(Host::new(name, machine, sockets, seed));
        self.settle(id);
        id
    }

    /// The host's IPv4 address.
    pub const fn address(&self, host: HostId) -> IpAddr {
        addresses(host)[0]
    }

    /// The host's IPv6 address.
    pub const fn address_v6(&self, host: HostId) -> IpAddr {
        addresses(host)[1]
    }

    /// Lets a name stand for hosts or addresses, in the order of preference. Other names are not found; an
    /// address written as a name stands for itself.
    pub fn name<T: Into<Target> + Copy>(&mut self, name: &str, targets: &[T]) {
        let address = |target: &T| match (*target).into() {
            Target::Host(host) => self.address(host),
            Target::Address(address) => address,
        };
        let addresses: Addrs = targets.iter().map(address).collect();
        self.network.set_name(name, addresses);
    }

    /// From now on the name is not found.
    pub fn name_fails(&mut self, name: &str) {
        self.network.forget_name(name);
    }

    /// How long a look-up takes; 5 ms by default.
    pub const fn resolver_delay(&mut self, delay: Duration) {
        self.network.set_resolver_delay(delay);
    }

    /// How long a packet takes between two hosts, one way, both ways. It may differ from the default of 1 µs also
    /// from a host to itself.
    pub fn delay(&mut self, a: HostId, b: HostId, delay: Duration) {
        self.network.set_delay(a, b, delay);
    }

    /// How long a packet takes between hosts for which nothing else was said; 10 ms by default.
    pub const fn default_delay(&mut self, delay: Duration) {
        self.network.set_default_delay(delay);
    }

    /// How many bytes a second, headers included, cross between two hosts, in each direction.
    pub fn rate(&mut self, a: HostId, b: HostId, bytes_per_second: u64) {
        self.network.set_rate(a, b, bytes_per_second);
    }

    /// Lets nothing cross between two hosts. Streams wait, and break after 15 minutes if they owe something; dials
    /// are silent, and fail after 127 s.
    pub fn cut(&mut self, a: HostId, b: HostId) {
        self.network.set_cut(a, b, true);
    }

    /// Ends a cut; what streams have sent goes on at once.
    pub fn heal(&mut self, a: HostId, b: HostId) {
        self.network.set_cut(a, b, false);
        self.release();
        self.probe(a, b);
        self.probe(b, a);
    }

    /// Takes a host down: it neither says nor hears anything. Its machine can still be read.
    pub fn kill(&mut self, host: HostId) {
        self.hosts[host.index()].up = false;
        self.network.set_up(host, false);
        self.arm(host);
    }

    /// Starts a host with a new machine, taking it down first if it is up. Whoever has a stream to it learns so by a
    /// reset when it sends next, or sends again what was not acknowledged.
    pub fn reboot(&mut self, host: HostId, machine: M) {
        let next_port = self.hosts[host.index()].pump.sockets().next_port();
        let (sockets, seed) = self.boot(host, next_port);
        self.hosts[host.index()].reboot(machine, sockets, seed);
        self.network.set_up(host, true);
        self.settle(host);
        self.release();
        for index in 0..self.hosts.len() {
            self.probe(HostId(index as u32), host);
        }
    }

    /// Virtual time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// What the world was made from.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Calls that host's machine, then lets it do what follows at this moment. Panics if the host is down.
    pub fn act<R>(&mut self, host: HostId, call: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R {
        let state = &mut self.hosts[host.index()];
        assert!(state.up, "{} ({host}) is down", state.name);
        let result = state.pump.act(self.now, |machine, cx| call(machine.call(), cx));
        self.settle(host);
        result
    }

    /// That host's machine, to be read.
    pub fn machine(&self, host: HostId) -> &M {
        self.hosts[host.index()].pump.machine().get()
    }

    /// How many ports a host has, look-ups included.
    pub fn ports(&self, host: HostId) -> usize {
        self.hosts[host.index()].pump.ports()
    }

    /// Takes out what that host's machine has said, with the moments.
    pub fn events(&mut self, host: HostId) -> Vec<(Instant, M::Event)> {
        std::mem::take(&mut self.hosts[host.index()].events)
    }

    /// The next thing in virtual time. None: nothing is left to happen, or the run has failed.
    pub fn step(&mut self) -> Option<Happened> {
        self.step_until(Instant::from_nanos(u64::MAX))
    }

    /// Runs until the condition holds, which is asked after each step.
    ///
    /// # Errors
    /// [`Failure::Stuck`] if it does not hold within `limit` of virtual time; else why the run failed.
    pub fn run_until(&mut self, mut condition: impl FnMut(&mut Self) -> bool, limit: Duration) -> Result<(), Failure> {
        let end = self.now + limit;
        loop {
            self.verdict()?;
            if condition(self) {
                return self.verdict();
            }
            if self.step_until(end).is_none() && self.failure.is_none() {
                self.now = self.now.max(end);
                return if condition(self) { self.verdict() } else { Err(self.stuck(limit)) };
            }
        }
    }

    /// Runs for that long.
    ///
    /// # Errors
    /// Why the run failed.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Failure> {
        let end = self.now + time;
        while self.step_until(end).is_some() {}
        self.verdict()?;
        self.now = self.now.max(end);
        Ok(())
    }

    /// Runs until nothing is under way: no packet, no look-up. Deadlines of machines and what a cut holds do not
    /// count, so a world whose machines keep links alive gets there too.
    ///
    /// # Errors
    /// [`Failure::Stuck`] if something is still under way after `limit`; else why the run failed.
    pub fn run_to_quiescence(&mut self, limit: Duration) -> Result<(), Failure> {
        self.run_until(|world| world.is_quiet(), limit)
    }

    /// Whether nothing is under way: no packet, no look-up.
    pub fn is_quiet(&self) -> bool {
        self.network.next_at().is_none()
    }

    /// The first broken law, with the host; the breach says when.
    pub const fn breach(&self) -> Option<(HostId, &Breach)> {
        match &self.failure {
            Some(Failure::Broken { host, breach, .. }) => Some((*host, breach)),
            _ => None,
        }
    }

    /// A hash over what came to hosts and what they said: times, hosts, kinds and sizes, not contents. Equal for
    /// runs of the same seed and calls, in any process.
    pub const fn transcript_hash(&self) -> u64 {
        self.transcript.hash()
    }

    fn boot(&mut self, host: HostId, next_port: u16) -> (VirtualSockets, [u8; 32]) {
        self.boots += 1;
        let mut sockets = VirtualSockets::new(addresses(host), self.boots, next_port);
        sockets.advance(self.now);
        (sockets, self.rng.array())
    }

    fn step_until(&mut self, end: Instant) -> Option<Happened> {
        while self.failure.is_none() {
            let arrival = self.network.next_at();
            let wake = self.wakes.first().map(|(at, _)| *at);
            let at = arrival.into_iter().chain(wake).min().filter(|at| *at <= end)?;
            self.now = self.now.max(at);
            let happened = if arrival == Some(at) { self.receive() } else { self.wake() };
            if happened.is_some() {
                return happened;
            }
        }
        None
    }

    fn receive(&mut self) -> Option<Happened> {
        let (host, first) = self.network.pop(self.now)?;
        let what = first.name();
        self.hand_over(host, first);
        while let Some(next) = self.network.pop_more(self.now, host) {
            self.hand_over(host, next);
        }
        self.settle(host);
        Some(Happened { at: self.now, host, what })
    }

    fn hand_over(&mut self, host: HostId, arrival: Arrival) {
        self.transcript.note(self.now, host, arrival.name(), arrival.size());
        let state = &mut self.hosts[host.index()];
        if !state.up {
            return;
        }
        let sockets = state.pump.sockets();
        sockets.advance(self.now);
        match arrival {
            Arrival::Packet(_, packet) => sockets.deliver(packet),
            Arrival::Answer(ticket, name) => sockets.answer(ticket, self.network.look_up(&name)),
            Arrival::Wake(ticket) => sockets.wake(ticket),
        }
    }

    fn wake(&mut self) -> Option<Happened> {
        let (_, host) = self.wakes.pop_first()?;
        let state = &mut self.hosts[host.index()];
        state.armed = None;
        let due = state.waits.filter(|deadline| deadline.at <= self.now);
        let what = due.map_or("timer of a stream", |deadline| deadline.why);
        self.transcript.note(self.now, host, "wake", 0);
        self.settle(host);
        Some(Happened { at: self.now, host, what })
    }

    fn settle(&mut self, id: HostId) {
        let host = &mut self.hosts[id.index()];
        if !host.up || self.failure.is_some() {
            return;
        }
        let events = host.settle(self.now);
        for _ in 0..events {
            self.transcript.note(self.now, id, "event", 0);
        }
        self.judge(id);
        self.post(id);
        self.arm(id);
    }

    fn judge(&mut self, host: HostId) {
        let (seed, state) = (self.seed, &self.hosts[host.index()]);
        let guard = state.pump.machine();
        if let Some(breach) = guard.breach().cloned() {
            self.failure = Some(Failure::Broken { seed, host, name: state.name.clone(), breach });
        } else if guard.is_endless() {
            self.failure = Some(Failure::Endless { seed, host, name: state.name.clone(), at: self.now });
        }
    }

    fn post(&mut self, host: HostId) {
        for sent in self.hosts[host.index()].pump.sockets().take_outbox() {
            self.network.send(self.now, host, sent);
        }
    }

    fn arm(&mut self, id: HostId) {
        let host = &mut self.hosts[id.index()];
        let deadline = host.deadline();
        let old = std::mem::replace(&mut host.armed, deadline);
        if old == deadline {
            return;
        }
        if let Some(at) = old {
            self.wakes.remove(&(at, id));
        }
        if let Some(at) = deadline {
            self.wakes.insert((at, id));
        }
    }

    fn release(&mut self) {
        let hosts = &mut self.hosts;
        self.network.release(self.now, |host, key| hosts[host.index()].has(key));
    }

    fn probe(&mut self, from: HostId, to: HostId) {
        if !self.hosts[from.index()].up || self.network.is_barred(from, to) {
            return;
        }
        self.hosts[from.index()].pump.sockets().probe(addresses(to));
        self.post(from);
    }

    fn verdict(&self) -> Result<(), Failure> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn stuck(&self, limit: Duration) -> Failure {
        let waiting = |(index, host): (usize, &Host<M>)| Waiting {
            host: HostId(index as u32),
            name: host.name.clone(),
            up: host.up,
            ports: host.pump.ports(),
            deadline: host.waits,
        };
        let hosts = self.hosts.iter().enumerate().map(waiting).collect();
        Failure::Stuck(Stuck { seed: self.seed, at: self.now, limit, held: self.network.held(), hosts })
    }
}
