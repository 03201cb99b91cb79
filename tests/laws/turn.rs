//! TURN servers, whatever comes: clients of the field, noise, mangled messages, ports that fail, and every misbehaviour.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::check::{Checked, OnBreach};
use switchboard::machine::datagram::Datagram;
use switchboard::machine::ids::{Ids, PortId};
use switchboard::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use switchboard::stack::turn_server::{Misbehaviour, TurnServer, TurnServerConfig, User};
use turn_client_proto::api::{TurnClientApi, TurnConfig, TurnPollRet};
use turn_client_proto::prelude::DelayedTransmitBuild;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::types::{Instant as TurnInstant, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

const STEPS: usize = 400;
const STRANGERS: usize = 6;
const ALLOCATIONS: usize = 3;

/// Plays servers and prints what they did, so that none did nothing.
pub(crate) fn campaign(seeds: u64) {
    let mut sums = [0; 5];
    for seed in 0..seeds {
        let _named = crate::Named("turn", seed);
        let statistics = Rig::new(seed).play();
        let counts = [statistics.to_peers, statistics.to_clients, statistics.useless, statistics.over_capacity];
        for (sum, count) in sums.iter_mut().zip(counts.into_iter().chain([statistics.evicted])) {
            *sum += count;
        }
    }
    println!("to peers, to clients, useless, over capacity, evicted: {sums:?}");
    assert!(sums.iter().all(|sum| *sum > 0), "{sums:?}");
}

struct Rig {
    server: Checked<TurnServer>,
    now: Instant,
    rng: Rng,
    own: Rng,
    ids: Ids,
    deadline: Option<Deadline>,
    ports: Vec<(PortId, SocketAddr)>,
    opening: Vec<(PortId, SocketAddr)>,
    next_port: u16,
    clients: Vec<TurnClientUdp>,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let mut config = TurnServerConfig::new("example.org", [User::new("alice", "open sesame")]);
        (config.allocations, config.strangers, config.queue) = (ALLOCATIONS, STRANGERS, 4096);
        let mut rig = Self {
            server: Checked::new(TurnServer::new(config), OnBreach::Panic),
            now: Instant::ZERO,
            rng: Rng::from_u64(seed),
            own: Rng::from_u64(!seed),
            ids: Ids::new(),
            deadline: None,
            ports: Vec::new(),
            opening: Vec::new(),
            next_port: 40_000,
            clients: (0..8).map(client).collect(),
        };
        rig.act(|server, cx| server.listen(cx, listen()));
        rig
    }

    fn play(mut self) -> switchboard::stack::turn_server::TurnServerStatistics {
        for _ in 0..STEPS {
            self.step();
            let server = self.server.get();
            assert!(server.allocations() <= ALLOCATIONS + 1 && server.strangers() <= STRANGERS + 1);
            assert!(self.ports.len() <= ALLOCATIONS + 1);
        }
        self.act(|server, _| server.close());
        assert_eq!((self.ports.len(), self.deadline), (0, None));
        self.server.get().statistics()
    }

    fn step(&mut self) {
        match self.rng.below(16) {
            0 => self.pass(),
            1 => self.input(Input::Timeout),
            2 => self.noise(),
            3 if self.rng.chance(0.2) => self.fail(),
            4 => self.misbehave(),
            5..8 => self.use_client(),
            8 => self.peer_speaks(),
            _ => {
                for _ in 0..3 {
                    self.a_client_speaks();
                }
            }
        }
    }

    fn pass(&mut self) {
        self.now = self.now + Duration::from_secs(self.rng.below(100));
        if self.deadline.is_some_and(|deadline| deadline.at <= self.now) {
            self.input(Input::Timeout);
        }
    }

    fn noise(&mut self) {
        let mut bytes = vec![0; self.rng.below(100) as usize];
        self.rng.fill(&mut bytes);
        let (place, source) = (self.rng.below(self.ports.len() as u64 + 1) as usize, peer(self.rng.below(50) as u8));
        if let Some(&(port, _)) = self.ports.get(place) {
            self.datagram(port, source, bytes);
        }
    }

    fn fail(&mut self) {
        if self.ports.len() > 1 {
            let (port, _) = self.ports.remove(1);
            self.input(Input::Port(port, PortChange::Failed(PortError::Reset)));
        }
    }

    fn misbehave(&mut self) {
        let kind = Misbehaviour::ALL.get(self.rng.below(40) as usize).copied();
        self.act(|server, _| server.misbehave(kind));
    }

    fn use_client(&mut self) {
        let (which, choice, now) = (self.rng.below(8) as usize, self.rng.below(6), turn(self.now));
        let (to, udp) = (peer(self.rng.below(4) as u8), TransportType::Udp);
        if self.rng.chance(0.02) {
            self.clients[which] = client(which);
        }
        let client = &mut self.clients[which];
        match choice {
            0 => _ = client.delete(now),
            1 | 2 => _ = client.create_permission(udp, to.ip(), now),
            3 => _ = client.bind_channel(udp, to, now),
            _ => {
                if let Ok(Some(sent)) = client.send_to(udp, to, vec![7; 50], now) {
                    self.send(which, sent.data.build());
                }
            }
        }
    }

    fn peer_speaks(&mut self) {
        let (place, source) = (self.rng.below(self.ports.len() as u64) as usize, peer(self.rng.below(4) as u8));
        if place > 0 {
            let (port, _) = self.ports[place];
            self.datagram(port, source, vec![9; 60]);
        }
    }

    fn a_client_speaks(&mut self) {
        let (which, now) = (self.rng.below(8) as usize, turn(self.now));
        for _ in 0..8 {
            while let Some(transmit) = self.clients[which].poll_transmit(now) {
                self.send(which, transmit.data.as_ref().to_vec());
            }
            while self.clients[which].poll_event().is_some() {}
            match self.clients[which].poll(now) {
                TurnPollRet::WaitUntil(at) if at <= now => {}
                _ => return,
            }
        }
    }

    fn send(&mut self, which: usize, mut bytes: Vec<u8>) {
        if self.rng.chance(0.03) {
            let place = self.rng.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1 << self.rng.below(8);
        }
        if self.rng.chance(0.03) {
            bytes.truncate(self.rng.below(bytes.len() as u64) as usize);
        }
        if let Some(&(listener, _)) = self.ports.first() {
            self.datagram(listener, address(which), bytes);
        }
    }

    fn datagram(&mut self, port: PortId, source: SocketAddr, mut data: Vec<u8>) {
        let datagram = Datagram { source, destination: None, ecn: None, data: &mut data };
        self.input(Input::Datagrams(port, datagram.into()));
    }

    fn input(&mut self, input: Input<'_, std::convert::Infallible>) {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.own, ids: &mut self.ids };
        self.server.handle(&mut cx, input);
        self.drain();
    }

    fn act(&mut self, call: impl FnOnce(&mut TurnServer, &mut Cx<'_>)) {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.own, ids: &mut self.ids };
        call(self.server.call(), &mut cx);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.own, ids: &mut self.ids };
            match self.server.poll(&mut cx) {
                Output::Port(port, PortRequest::Open(PortSpec::Bind(at))) => self.opening.push((port, at)),
                Output::Port(port, _) => {
                    self.ports.retain(|(open, _)| *open != port);
                    self.opening.retain(|(opening, _)| *opening != port);
                }
                Output::Event(_) => {}
                Output::Ready(port) => self.send_all(port),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    break;
                }
            }
        }
        self.open_next();
    }

    fn open_next(&mut self) {
        let Some((port, mut at)) = self.opening.pop() else { return };
        if at.port() != 0 || !self.rng.chance(0.1) {
            self.next_port += u16::from(at.port() == 0);
            at.set_port(if at.port() == 0 { self.next_port } else { at.port() });
            self.ports.push((port, at));
            self.input(Input::Port(port, PortChange::Opened { local: Some(at), peer: None }));
        } else {
            self.input(Input::Port(port, PortChange::Failed(PortError::Exhausted)));
        }
    }

    fn send_all(&mut self, port: PortId) {
        loop {
            let mut buf = Buf::new(1024);
            let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.own, ids: &mut self.ids };
            let Fill::Datagrams(transmit) = self.server.fill(&mut cx, port, &mut buf) else { return };
            let which = (0..8).find(|which| address(*which) == transmit.destination);
            if let Some(client) = which.and_then(|which| self.clients.get_mut(which)) {
                let transmit = Transmit::new(buf.as_slice(), TransportType::Udp, listen(), transmit.destination);
                client.recv(transmit, turn(self.now));
            }
        }
    }
}

fn client(which: usize) -> TurnClientUdp {
    let config = TurnConfig::new(TurnCredentials::new("alice", "open sesame"));
    TurnClientUdp::allocate(address(which), listen(), config)
}

fn listen() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 3478))
}

fn address(which: usize) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, which as u8], 4000))
}

fn peer(number: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, number], 5000))
}

fn turn(at: Instant) -> TurnInstant {
    TurnInstant::from_nanos(at.as_nanos() as i64)
}
