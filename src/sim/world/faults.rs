//! Calls that do harm, and those that mend it.

use super::{GatewayId, HostId, World};
use crate::machine::Machine;
use crate::sim::clock::Clock;
use crate::sim::sockets::VirtualSockets;
use crate::sim::timeline::{NodeId, What};
use crate::sim::topology::NetId;

/// What becomes of a host's monotonic clock while it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// It goes on, so that timers are overdue afterwards (Windows, `CLOCK_BOOTTIME`).
    Counts,
    /// It stands still (Linux' and macOS' monotonic clocks). The wall clock goes on.
    StandsStill,
}

/// What becomes of the streams of a host that gets other addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldStreams {
    /// They break at once, as phones let them.
    Break,
    /// They are silent until something gives up, as on most other systems.
    Linger,
}

impl<M: Machine> World<M> {
    /// Lets nothing cross between two hosts. Streams wait, and break after 15 minutes if they owe something; dials
    /// are silent, and fail after 127 s.
    pub fn cut(&mut self, a: HostId, b: HostId) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Lets nothing cross from one host to another; the other direction is as it was.
    pub fn cut_one_way(&mut self, from: HostId, to: HostId) {
        self.network.set_cut(from.0, to.0, true);
        self.tell_fault_towards(from, to, "cut");
    }

    /// Ends cuts in both directions; what streams have sent goes on at once.
    pub fn heal(&mut self, a: HostId, b: HostId) {
        self.network.set_cut(a.0, b.0, false);
        self.network.set_cut(b.0, a.0, false);
        self.tell_fault_towards(a, b, "healed");
        self.tell_fault_towards(b, a, "healed");
        self.release();
        self.probe(a, b);
        self.probe(b, a);
    }

    /// Takes a host's or gateway's link away. A host has no address then but its loopback's, and is told so.
    pub fn unplug(&mut self, node: impl Into<NodeId>) {
        let node = node.into();
        self.tell_fault(node, || "unplugged".to_owned());
        self.set_plugged(node, false);
    }

    /// Gives the link back; what streams have sent goes on at once.
    pub fn plug(&mut self, node: impl Into<NodeId>) {
        let node = node.into();
        self.tell_fault(node, || "plugged in".to_owned());
        self.set_plugged(node, true);
        self.release();
        self.probe_all();
    }

    /// Takes a host down: it neither says nor hears anything. Its machine can still be read.
    pub fn kill(&mut self, host: HostId) {
        self.state_mut(host).up = false;
        self.network.set_up(host.0, false);
        self.tell_fault(host.0, || "down".to_owned());
        self.arm(host);
    }

    /// Starts a host with a new machine, taking it down first if it is up. Whoever has a stream to it learns so by a
    /// reset when it sends next, or sends again what was not acknowledged.
    pub fn reboot(&mut self, host: HostId, machine: M) {
        let next_port = self.state_mut(host).pump.sockets().next_port();
        let (sockets, seed) = self.boot(host.0, next_port);
        self.state_mut(host).reboot(machine, sockets, seed);
        self.network.names.clear(host.0);
        self.network.set_up(host.0, true);
        self.tell_fault(host.0, || "rebooted".to_owned());
        self.settle(host);
        self.release();
        self.probe_all();
    }

    /// Puts a host to sleep: its machine does nothing, and nothing comes to it.
    pub fn sleep(&mut self, host: HostId) {
        self.state_mut(host).asleep = Some(self.now);
        self.network.set_up(host.0, false);
        self.tell_fault(host.0, || "falls asleep".to_owned());
        self.arm(host);
    }

    /// Wakes it up. Nothing happens to one that is awake.
    pub fn wake_up(&mut self, host: HostId, clock: Sleep) {
        let now = self.now;
        let state = self.state_mut(host);
        let Some(since) = state.asleep.take() else { return };
        if clock == Sleep::StandsStill {
            state.stand_still(since, now);
        }
        let up = state.up;
        self.network.set_up(host.0, up);
        self.tell_fault(host.0, || "wakes up".to_owned());
        self.settle(host);
        self.release();
        self.probe_all();
    }

    /// Sets a host's clocks. Its monotonic time goes on from where it is.
    pub fn clock(&mut self, host: HostId, clock: Clock) {
        let now = self.now;
        self.state_mut(host).set_clock(now, clock);
        self.arm(host);
    }

    /// Lets a gateway forget all that it knows of flows.
    pub fn reboot_gateway(&mut self, gateway: GatewayId) {
        self.network.restart_gateway(gateway.node, false);
        self.tell_fault(gateway.node, || "rebooted".to_owned());
    }

    /// Lets a gateway forget all that it knows, and gives it other addresses outside.
    pub fn rebind_gateway(&mut self, gateway: GatewayId) {
        self.network.restart_gateway(gateway.node, true);
        self.tell_fault(gateway.node, || "has other addresses".to_owned());
    }

    /// Attaches a host to another network, or anew to its own: it gets other addresses. What lies between it and its
    /// network stays as it was.
    pub fn roam(&mut self, host: HostId, net: NetId, streams: OldStreams) {
        self.network.topology.leave_for(host.0, net);
        let addresses = self.network.topology.addresses(host.0);
        self.tell_fault(host.0, || format!("goes to {}", addresses[0]));
        self.change_addresses(host, |sockets| sockets.move_to(addresses, streams == OldStreams::Break));
    }

    /// Lets dials to that port of a host go unanswered, whether or not somebody listens, or ends that.
    pub fn silence(&mut self, host: HostId, port: u16, silent: bool) {
        self.state_mut(host).pump.sockets().set_silent(port, silent);
    }

    /// Resets the stream from one host to another that sends next, in the middle of what it sends: after that many
    /// bytes.
    pub fn reset_after(&mut self, from: HostId, to: HostId, bytes: usize) {
        let peer = [self.address(to), self.address_v6(to)];
        for peer in peer {
            self.state_mut(from).pump.sockets().reset_after(peer, bytes);
        }
    }

    fn set_plugged(&mut self, node: NodeId, plugged: bool) {
        self.network.set_plugged(node, plugged);
        if self.hosts[node.index()].is_some() {
            self.change_addresses(HostId(node), |sockets| sockets.set_plugged(plugged));
        }
    }

    /// What asks a host for its addresses hears of it later. The clock of one that sleeps is not moved: whether it has
    /// stood still is known when it wakes.
    pub(super) fn change_addresses(&mut self, host: HostId, change: impl FnOnce(&mut VirtualSockets)) {
        let now = self.now;
        let state = self.state_mut(host);
        let local = state.clock.local(now);
        let awake = state.is_awake();
        let sockets = state.pump.sockets();
        if awake {
            sockets.advance(local);
        }
        change(sockets);
        self.settle(host);
    }

    pub(super) fn release(&mut self) {
        let hosts = &mut self.hosts;
        self.network.release(self.now, |node, key| hosts[node.index()].as_mut().is_some_and(|host| host.has(key)));
    }

    fn probe_all(&mut self) {
        let hosts: Vec<_> = self.network.topology.nodes().filter(|node| self.hosts[node.index()].is_some()).collect();
        for host in hosts {
            self.probe_towards(HostId(host), None);
        }
    }

    fn probe(&mut self, from: HostId, to: HostId) {
        if !self.network.is_barred(from.0, to.0) {
            self.probe_towards(from, Some(to));
        }
    }

    /// Lets streams that may have missed something ask for it.
    fn probe_towards(&mut self, from: HostId, to: Option<HostId>) {
        let peer = to.map(|to| self.network.topology.addresses(to.0));
        let Some(host) = self.hosts[from.index()].as_mut().filter(|host| host.is_awake()) else { return };
        host.pump.sockets().probe(peer);
        self.post(from);
    }

    fn tell_fault_towards(&mut self, host: HostId, other: HostId, what: &str) {
        let name = self.names[other.index()].clone();
        self.tell_fault(host.0, || format!("{what} towards {name}"));
    }

    fn tell_fault(&mut self, node: NodeId, text: impl FnOnce() -> String) {
        self.network.observer.note(self.now, node, "fault", 0);
        self.network.observer.keep(self.now, node, || What::Fault(text()));
    }
}
