//! Virtual sockets on the conformance suite's bench.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::network::{Arrival, Network};
use super::sockets::{Sent, VirtualSockets};
use super::timeline::NodeId;
use super::topology::INTERNET;
use crate::machine::conformance::{self, Happening};
use crate::machine::ids::PortId;
use crate::machine::port::Addrs;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

const NAME: &str = "host.test";
const NO_NAME: &str = "nowhere.test";

/// One virtual host without a pump, alone in its network.
#[derive(Debug)]
pub struct Harness {
    now: Instant,
    host: NodeId,
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
        let mut network = Network::new(0, Rng::from_u64(0));
        let host = network.add_host(INTERNET);
        let addresses = network.topology.addresses(host);
        network.names.set(NAME, Addrs::from_slice(&addresses));
        Self { now: Instant::ZERO, host, network, sockets: VirtualSockets::new(addresses, 1, 0) }
    }

    /// Virtual time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    fn post(&mut self) {
        let mut outbox: Vec<Sent> = Vec::new();
        self.sockets.take_outbox(&mut outbox);
        for sent in outbox {
            self.network.send(self.now, self.host, sent);
        }
    }

    fn happenings(&mut self) -> Vec<(PortId, Happening)> {
        std::iter::from_fn(|| self.sockets.next_happening()).collect()
    }

    /// Goes on to the next thing that is due; false if that is after `end`.
    fn step(&mut self, end: Instant) -> bool {
        self.post();
        let due = self.network.next_at().into_iter().chain(self.sockets.deadline()).min();
        let Some(at) = due.filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        self.sockets.advance(self.now);
        match self.network.pop(self.now) {
            Some((_, Arrival::Packet(carried))) if self.sockets.refusal(&carried.packet).is_some() => {}
            Some((_, Arrival::Packet(carried))) => self.sockets.deliver(carried.packet),
            Some((host, Arrival::Answer(ticket, name))) => {
                let answer = self.network.names.look_up(self.now, host, &name);
                self.sockets.answer(ticket, answer);
            }
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
        let mut happenings = self.happenings();
        while happenings.is_empty() && self.step(end) {
            happenings = self.happenings();
        }
        if happenings.is_empty() {
            self.now = end;
        }
        while self.step(self.now) {}
        happenings.append(&mut self.happenings());
        happenings
    }

    fn host(&self) -> IpAddr {
        self.network.topology.addresses(self.host)[0]
    }

    fn host_v6(&self) -> Option<IpAddr> {
        Some(self.network.topology.addresses(self.host)[1])
    }

    fn silent(&mut self) -> SocketAddr {
        SocketAddr::from(([198, 19, 255, 254], 9))
    }

    fn names(&self) -> (String, String) {
        (NAME.into(), NO_NAME.into())
    }
}

#[cfg(test)]
mod tests {
    use super::conformance::Harness as _;
    use super::*;
    use crate::machine::ids::Ids;
    use crate::machine::port::PortSpec;
    use crate::machine::pump::{Readiness, Sockets as _};
    use crate::sim::packet::{Key, Packet, Segment, Side};

    const WHILE: Duration = Duration::from_millis(1);

    fn pair(harness: &mut Harness, ids: &mut Ids) -> (PortId, PortId) {
        let (listener, here, there) = (ids.port(), ids.port(), ids.port());
        let address = SocketAddr::new(harness.host(), 80);
        harness.sockets().open(listener, PortSpec::Listen(address)).unwrap();
        harness.sockets().open(here, PortSpec::Dial(address)).unwrap();
        for _ in 0..3 {
            harness.wait(WHILE);
        }
        harness.sockets().accept(listener, there).unwrap();
        harness.wait(WHILE);
        (here, there)
    }

    fn readable(port: PortId) -> (PortId, Happening) {
        (port, Happening::Ready(Readiness { readable: true, ..Readiness::default() }))
    }

    #[test]
    fn readability_is_told_once_until_everything_was_received() {
        let (mut harness, mut ids) = (Harness::new(), Ids::new());
        let (here, there) = pair(&mut harness, &mut ids);
        harness.sockets().try_send(here, b"one").unwrap();
        assert_eq!(harness.wait(WHILE), [readable(there)]);
        harness.sockets().try_send(here, b"two").unwrap();
        assert_eq!(harness.wait(WHILE), []);
        assert_eq!(harness.sockets().try_recv(there, &mut [0; 6]).unwrap(), 6);
        harness.sockets().try_send(here, b"three").unwrap();
        assert_eq!(harness.wait(WHILE), [readable(there)]);
    }

    #[test]
    fn writability_is_told_once_after_a_refusal() {
        let (mut harness, mut ids) = (Harness::new(), Ids::new());
        let (here, there) = pair(&mut harness, &mut ids);
        assert_eq!(harness.sockets().try_send(here, &[7; 100_000]).unwrap(), 65_536);
        assert!(harness.sockets().try_send(here, &[7]).is_err());
        assert_eq!(harness.wait(WHILE), [readable(there)]);
        harness.sockets().try_recv(there, &mut [0; 1000]).unwrap();
        let writable = Readiness { writable: true, ..Readiness::default() };
        assert_eq!(harness.wait(WHILE), [(here, Happening::Ready(writable))]);
        assert_eq!(harness.sockets().try_send(here, &[7; 100_000]).unwrap(), 1000);
    }

    #[test]
    fn half_an_accepted_connection_is_dropped_after_a_minute() {
        let (mut harness, mut ids) = (Harness::new(), Ids::new());
        let listener = ids.port();
        let (address, silent) = (SocketAddr::new(harness.host(), 80), harness.silent());
        harness.sockets().open(listener, PortSpec::Listen(address)).unwrap();
        harness.wait(WHILE);
        let key = Key { connection: 1, side: Side::Acceptor };
        harness.sockets.deliver(Packet::segment(silent, address, key, Segment::Syn));
        assert_eq!(harness.wait(Duration::from_secs(62)), []);
        assert!(harness.sockets.has(key));
        assert_eq!(harness.wait(Duration::from_secs(2)), []);
        assert!(!harness.sockets.has(key));
    }
}
