//! Virtual sockets on the conformance suite's bench.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::HostId;
use super::network::{Arrival, Network, addresses};
use super::sockets::VirtualSockets;
use crate::machine::conformance::{self, Happening};
use crate::machine::ids::PortId;
use crate::machine::port::Addrs;
use crate::machine::time::Instant;

const NAME: &str = "host.test";
const NO_NAME: &str = "nowhere.test";

/// One virtual host without a pump, alone in its network.
#[derive(Debug)]
pub struct Harness {
    now: Instant,
    host: HostId,
    network: Network,
    sockets: VirtualSockets,
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    /// A host at the origin of time.
    pub fn new() -> Self {
        let mut network = Network::new();
        let host = network.add_host();
        network.set_name(NAME, Addrs::from_slice(&addresses(host)));
        Self { now: Instant::ZERO, host, network, sockets: VirtualSockets::new(addresses(host), 1, 0) }
    }

    /// Virtual time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    fn post(&mut self) {
        for sent in self.sockets.take_outbox() {
            self.network.send(self.now, self.host, sent);
        }
    }

    /// Goes on to the next thing that is due; false if that is after `end`.
    fn step(&mut self, end: Instant) -> bool {
        self.post();
        let due = self.network.next_at().into_iter().chain(self.sockets.deadline()).min();
        let Some(at) = due.filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        self.sockets.advance(self.now);
        match self.network.pop(self.now) {
            Some((_, Arrival::Packet(_, packet))) => self.sockets.deliver(packet),
            Some((_, Arrival::Answer(ticket, name))) => self.sockets.answer(ticket, self.network.look_up(&name)),
            Some((_, Arrival::Wake(ticket))) => self.sockets.wake(ticket),
            None => {}
        }
        true
    }
}

impl conformance::Harness for Harness {
    type Sockets = VirtualSockets;

    fn sockets(&mut self) -> &mut VirtualSockets {
        &mut self.sockets
    }

    fn wait(&mut self, max: Duration) -> Vec<(PortId, Happening)> {
        let end = self.now + max;
        loop {
            let happenings = self.sockets.take_happenings();
            if !happenings.is_empty() {
                return happenings;
            }
            if !self.step(end) {
                self.now = end;
                self.sockets.advance(end);
                return self.sockets.take_happenings();
            }
        }
    }

    fn host(&self) -> IpAddr {
        let [address, _] = addresses(self.host);
        address
    }

    fn silent(&mut self) -> SocketAddr {
        SocketAddr::from(([10, 255, 255, 254], 9))
    }

    fn names(&self) -> (String, String) {
        (NAME.into(), NO_NAME.into())
    }
}
