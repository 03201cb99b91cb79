//! The world itself: hosts, and the loop that goes from one thing that is due to the next.

mod faults;
mod network;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::failure::{Failure, Stuck, Waiting};
use super::host::Host;
use super::network::{Arrival, Network};
use super::sockets::VirtualSockets;
use super::timeline::{Node, NodeId, Recording, Timeline, What};
use super::topology::{INTERNET, NetId};
use crate::machine::check::Breach;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::machine::{Cx, Machine};

pub use faults::{OldStreams, Sleep};
pub use network::GatewayId;

/// A host of a [`World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(NodeId);

impl HostId {
    const fn index(self) -> usize {
        self.0.index()
    }
}

impl From<HostId> for NodeId {
    fn from(host: HostId) -> Self {
        host.0
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.0.0)
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

/// An event as text for the evidence, and whether it tells of a change of path; none where it is not worth a mark.
type Describe<E> = Box<dyn Fn(&E) -> Option<(String, bool)>>;

/// Any number of hosts in virtual time.
///
/// A [`HostId`] belongs to the world that made it; methods panic on one that this world does not have.
pub struct World<M: Machine> {
    seed: u64,
    rng: Rng,
    now: Instant,
    boots: u32,
    /// By node; a gateway has none.
    hosts: Vec<Option<Host<M>>>,
    names: Vec<String>,
    network: Network,
    wakes: BTreeSet<(Instant, NodeId)>,
    failure: Option<Failure>,
    describe: Option<Describe<M::Event>>,
    outbox: Vec<super::sockets::Sent>,
}

impl<M: Machine> World<M> {
    /// A world without hosts at the origin of time.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::from_u64(seed);
        let network = Network::new(seed, rng.fork());
        Self {
            seed,
            rng,
            now: Instant::ZERO,
            boots: 0,
            hosts: Vec::new(),
            names: Vec::new(),
            network,
            wakes: BTreeSet::new(),
            failure: None,
            describe: None,
            outbox: Vec::new(),
        }
    }

    /// What WebRTC peers of this world are made with: all that they draw follows from their hosts' seeds. It protects
    /// nothing, and is made here only. `epoch` is any, for all worlds: nothing depends on it.
    #[cfg(feature = "webrtc")]
    pub fn crypto(&self, epoch: crate::machine::time::Epoch) -> crate::stack::peer::Crypto {
        crate::stack::peer::Crypto::seeded(epoch)
    }

    /// Adds a host to the Internet and starts its machine. The first has the addresses 198.18.0.1 and `2001:db8::1`.
    pub fn host(&mut self, name: &str, machine: M) -> HostId {
        self.host_in(INTERNET, name, machine)
    }

    /// Adds a host to a network and starts its machine.
    pub fn host_in(&mut self, net: NetId, name: &str, machine: M) -> HostId {
        self.host_with(net, name, 0, machine)
    }

    /// Adds a host that has further addresses beside its first ones, the next of its network, and starts its machine.
    pub fn host_with(&mut self, net: NetId, name: &str, further: usize, machine: M) -> HostId {
        let node = self.network.add_host(net);
        let (mut sockets, seed) = self.boot(node, 0);
        (0..further).for_each(|_| sockets.add_addresses(self.network.topology.join_again(node)));
        self.hosts.push(Some(Host::new(machine, sockets, seed)));
        self.names.push(name.to_owned());
        let id = HostId(node);
        self.settle(id);
        id
    }

    /// The host's IPv4 address, as it knows it itself.
    pub fn address(&self, host: HostId) -> IpAddr {
        self.network.topology.addresses(host.0)[0]
    }

    /// The host's IPv6 address.
    pub fn address_v6(&self, host: HostId) -> IpAddr {
        self.network.topology.addresses(host.0)[1]
    }

    /// Gives a host further addresses in its network: one of each family. They last until it reboots or moves.
    pub fn add_addresses(&mut self, host: HostId) -> [IpAddr; 2] {
        let addresses = self.network.topology.join_again(host.0);
        self.change_addresses(host, |sockets| sockets.add_addresses(addresses));
        addresses
    }

    /// From now on the host has, beside its loopback's, only addresses of these families, IPv4 first: no other is listed,
    /// bound or sent from.
    pub fn families(&mut self, host: HostId, families: [bool; 2]) {
        self.change_addresses(host, |sockets| sockets.set_families(families));
    }

    /// From now on the host's system tells its machine no addresses but the loopback's. All of them work.
    pub fn unlisted(&mut self, host: HostId) {
        self.change_addresses(host, VirtualSockets::set_unlisted);
    }

    /// Virtual time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// What the world was made from.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Calls that host's machine, then lets it do what follows at this moment. Panics if the host is down or asleep.
    pub fn act<R>(&mut self, host: HostId, call: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R {
        let name = &self.names[host.index()];
        let state = self.hosts[host.index()].as_mut().expect("a host id names a host");
        assert!(state.up && state.asleep.is_none(), "{name} ({host}) is down or asleep");
        let now = state.clock.local(self.now);
        let result = state.pump.act(now, |machine, cx| call(machine.call(), cx));
        self.settle(host);
        result
    }

    /// Whether a host is up and does not sleep.
    pub fn is_awake(&self, host: HostId) -> bool {
        self.state(host).is_awake()
    }

    /// That host's machine, to be read.
    pub fn machine(&self, host: HostId) -> &M {
        self.state(host).pump.machine().get()
    }

    /// How many ports a host has, look-ups included.
    pub fn ports(&self, host: HostId) -> usize {
        self.state(host).pump.ports()
    }

    /// Takes out what that host's machine has said, with the moments.
    pub fn events(&mut self, host: HostId) -> Vec<(Instant, M::Event)> {
        std::mem::take(&mut self.state_mut(host).events)
    }

    /// The next thing in virtual time. None: nothing is left to happen, or the run has failed.
    pub fn step(&mut self) -> Option<Happened> {
        self.step_until(Instant::from_nanos(u64::MAX))
    }

    /// The next thing in virtual time until `end`. None: nothing is left until then, or the run has failed.
    pub fn step_to(&mut self, end: Instant) -> Option<Happened> {
        self.step_until(end)
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

    /// A hash over what came to hosts, what was dropped and what machines said: times, nodes, kinds, sizes and each byte
    /// that packets carried. Equal for runs of the same seed and calls, in any process; contents that no seed governs
    /// are to be [left out](Self::leave_contents_out).
    pub const fn transcript_hash(&self) -> u64 {
        self.network.observer.hash()
    }

    /// From now on [`Self::transcript_hash`] leaves out what packets carry: for worlds in which somebody draws from the
    /// system, as TLS does, and SCTP's set-up in `str0m`. Times and sizes must follow from the seed all the same.
    pub const fn leave_contents_out(&mut self) {
        self.network.observer.leave_contents_out();
    }

    /// The same for packets from and to one port: a TURN server's, whose nonces are the system's.
    pub fn leave_contents_out_of(&mut self, port: u16) {
        self.network.observer.leave_contents_out_of(port);
    }

    /// How many packets were dropped, by reason; those that a stream's sender repeated count too.
    pub fn drops(&self) -> impl Iterator<Item = (super::timeline::DropReason, u64)> {
        self.network.observer.drops()
    }

    /// From now on keeps what happens, for [`Self::timeline`].
    pub fn record(&mut self, recording: Recording) {
        self.network.observer.record(recording);
    }

    /// From now on records events as the text that `describe` makes of them, with whether they tell of a change of
    /// path; `None` records nothing.
    pub fn describe(&mut self, describe: impl Fn(&M::Event) -> Option<(String, bool)> + 'static) {
        self.describe = Some(Box::new(describe));
    }

    /// Puts a word of its owner into the evidence of a host, as an event or as a change of path.
    pub fn note(&mut self, host: HostId, text: &str, is_path: bool) {
        self.network.observer.keep(self.now, host.0, || What::Event { text: text.to_owned(), is_path });
    }

    /// What was recorded so far.
    pub fn timeline(&self) -> Timeline {
        let node = |node: NodeId| Node {
            name: self.names[node.index()].clone(),
            is_gateway: self.hosts[node.index()].is_none(),
            addresses: self.network.topology.addresses(node).to_vec(),
        };
        let (records, lost) = self.network.observer.records();
        let nodes = self.network.topology.nodes().map(node).collect();
        Timeline { seed: self.seed, nodes, records: records.to_vec(), lost }
    }

    fn state(&self, host: HostId) -> &Host<M> {
        self.hosts[host.index()].as_ref().expect("a host id names a host")
    }

    fn state_mut(&mut self, host: HostId) -> &mut Host<M> {
        self.hosts[host.index()].as_mut().expect("a host id names a host")
    }

    fn boot(&mut self, host: NodeId, next_port: u16) -> (VirtualSockets, [u8; 32]) {
        self.boots += 1;
        let mut sockets = VirtualSockets::new(self.network.topology.addresses(host), self.boots, next_port);
        sockets.advance(self.now);
        sockets.set_plugged(self.network.is_plugged(host));
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
        let (node, first) = self.network.pop(self.now)?;
        let host = HostId(node);
        let what = first.name();
        self.hand_over(host, first);
        while let Some(next) = self.network.pop_more(self.now, node) {
            self.hand_over(host, next);
        }
        self.settle(host);
        Some(Happened { at: self.now, host, what })
    }

    fn hand_over(&mut self, host: HostId, arrival: Arrival) {
        let Some(state) = self.hosts[host.index()].as_mut().filter(|state| state.is_awake()) else { return };
        let sockets = state.pump.sockets();
        sockets.advance(state.clock.local(self.now));
        let (now, observer) = (self.now, &mut self.network.observer);
        match arrival {
            Arrival::Packet(carried) => {
                if let Some(reason) = sockets.refusal(&carried.packet) {
                    return observer.dropped(now, host.0, &carried, reason);
                }
                observer.delivered(now, host.0, &carried);
                sockets.deliver(carried.packet);
            }
            Arrival::Answer(ticket, name) => {
                observer.note(now, host.0, "look-up", 0);
                sockets.answer(ticket, self.network.names.look_up(now, host.0, &name));
            }
            Arrival::Wake(ticket) => {
                observer.note(now, host.0, "pipe", 0);
                sockets.wake(ticket);
            }
        }
    }

    fn wake(&mut self) -> Option<Happened> {
        let (_, node) = self.wakes.pop_first()?;
        let host = HostId(node);
        let state = self.hosts[host.index()].as_mut()?;
        state.armed = None;
        let local = state.clock.local(self.now);
        let due = state.waits.filter(|deadline| deadline.at <= local);
        let what = due.map_or("timer of a stream", |deadline| deadline.why);
        self.network.observer.note(self.now, node, "wake", 0);
        self.settle(host);
        Some(Happened { at: self.now, host, what })
    }

    fn settle(&mut self, id: HostId) {
        if self.failure.is_some() {
            return;
        }
        let Some(host) = self.hosts[id.index()].as_mut().filter(|host| host.is_awake()) else { return };
        let new = host.settle(self.now);
        self.tell(id, new);
        self.judge(id);
        self.post(id);
        self.arm(id);
    }

    /// The last `new` events of a host go into the evidence.
    fn tell(&mut self, id: HostId, new: usize) {
        for _ in 0..new {
            self.network.observer.note(self.now, id.0, "event", 0);
        }
        let Some(describe) = self.describe.as_ref().filter(|_| new > 0 && self.network.observer.is_recording()) else {
            return;
        };
        let Some(host) = &self.hosts[id.index()] else { return };
        for (at, event) in &host.events[host.events.len() - new..] {
            if let Some((text, is_path)) = describe(event) {
                self.network.observer.keep(*at, id.0, || What::Event { text, is_path });
            }
        }
    }

    fn judge(&mut self, host: HostId) {
        let seed = self.seed;
        let guard = self.state(host).pump.machine();
        let failure = if let Some(breach) = guard.breach().cloned() {
            Failure::Broken { seed, host, name: self.names[host.index()].clone(), breach }
        } else if guard.is_endless() {
            Failure::Endless { seed, host, name: self.names[host.index()].clone(), at: self.now }
        } else {
            return;
        };
        self.failure = Some(failure);
    }

    fn post(&mut self, id: HostId) {
        let Some(host) = &mut self.hosts[id.index()] else { return };
        let mut outbox = std::mem::take(&mut self.outbox);
        host.pump.sockets().take_outbox(&mut outbox);
        for sent in outbox.drain(..) {
            self.network.send(self.now, id.0, sent);
        }
        self.outbox = outbox;
    }

    fn arm(&mut self, id: HostId) {
        let Some(host) = &mut self.hosts[id.index()] else { return };
        let deadline = host.deadline();
        let old = std::mem::replace(&mut host.armed, deadline);
        if old == deadline {
            return;
        }
        if let Some(at) = old {
            self.wakes.remove(&(at, id.0));
        }
        if let Some(at) = deadline {
            self.wakes.insert((at, id.0));
        }
    }

    fn verdict(&self) -> Result<(), Failure> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    pub(super) fn stuck(&self, limit: Duration) -> Failure {
        let waiting = |(index, host): (usize, &Option<Host<M>>)| {
            let host = host.as_ref()?;
            Some(Waiting {
                host: HostId(NodeId(index as u32)),
                name: self.names[index].clone(),
                up: host.up,
                ports: host.pump.ports(),
                deadline: host.waits,
            })
        };
        let hosts = self.hosts.iter().enumerate().filter_map(waiting).collect();
        Failure::Stuck(Stuck { seed: self.seed, at: self.now, limit, held: self.network.held(), hosts })
    }
}
