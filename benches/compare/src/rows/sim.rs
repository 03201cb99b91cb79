//! `sim-udp`, `sim-idle`, `sim-1000-hubs`: what the simulator costs, on one core.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use switchboard::connect::Endpoint;
use switchboard::hub::channel::ChannelId;
use switchboard::hub::{Event, Policy, Quotas, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::machine::buf::Buf;
use switchboard::machine::datagram::Transmit;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::sim::{Dependence, Gateway, HostId, INTERNET, NatConfig, NetId, World};

use super::hub_idle::cpu;
use crate::plan::{Better, Comparison, Plan, median, median_pair};

/// Datagrams between two hosts at any moment.
const FLIGHT: usize = 32;
const SIZE: usize = 100;
const PORT: u16 = 5000;
const HUBS: u64 = 1000;
const RELAYS: usize = 3;

pub fn run(plan: &Plan) {
    if plan.wants_some("sim-udp/") {
        udp(plan);
    }
    if plan.wants_some("sim-idle/") {
        idle(plan);
    }
    if plan.wants_some("sim-1000-hubs/") {
        hubs(plan);
    }
}

/// Sends back what comes.
#[derive(Default)]
struct Echo {
    port: Option<PortId>,
    request: Option<PortRequest>,
    outbox: VecDeque<SocketAddr>,
    is_ready: bool,
    heard: u64,
}

impl Echo {
    fn start(&mut self, cx: &mut Cx<'_>) {
        self.port = Some(cx.ids.port());
        self.request = Some(PortRequest::Open(PortSpec::Bind((Ipv4Addr::UNSPECIFIED, PORT).into())));
    }

    fn say(&mut self, to: SocketAddr) {
        self.is_ready |= self.outbox.is_empty();
        self.outbox.push_back(to);
    }
}

impl Machine for Echo {
    type Command = ();
    type Event = ();

    fn handle(&mut self, _: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Datagrams(_, datagrams) => {
                for datagram in datagrams {
                    self.heard += 1;
                    self.say(datagram.source);
                }
            }
            Input::Port(_, PortChange::Opened { .. }) => self.is_ready = !self.outbox.is_empty(),
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<()> {
        let Some(port) = self.port else { return Output::Wait(None) };
        match self.request.take() {
            Some(request) => Output::Port(port, request),
            None if std::mem::take(&mut self.is_ready) => Output::Ready(port),
            None => Output::Wait(None),
        }
    }

    /// All that goes to one address in one batch.
    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf) -> Fill {
        let Some(to) = self.outbox.front().copied() else { return Fill::Done };
        while self.outbox.front() == Some(&to) && buf.len() < 64 * SIZE {
            self.outbox.pop_front();
            buf.extend(&[7; SIZE]);
        }
        Fill::Datagrams(Transmit::to(to, SIZE))
    }
}

/// Two hosts that throw datagrams at each other, among others that do nothing.
struct Rally {
    world: World<Echo>,
    hosts: [HostId; 2],
}

impl Rally {
    fn new(nats: bool, idle: usize) -> Self {
        let mut world = World::new(1);
        let nets = ["left", "right"].map(|name| if nats { home(&mut world, name) } else { INTERNET });
        let hosts = nets.map(|net| add(&mut world, net, "player"));
        let stun = add(&mut world, INTERNET, "stun");
        (0..idle).for_each(|n| _ = add(&mut world, INTERNET, &format!("idle {n}")));
        let server = SocketAddr::new(world.address(stun), PORT);
        // Each NAT has a mapping from then on, on the same port.
        hosts.iter().for_each(|host| world.act(*host, |echo, _| echo.say(server)));
        world.run_for(Duration::from_millis(15)).expect("no law is broken");
        world.kill(stun);
        let there = if nats { "198.18.0.2".parse().expect("an address") } else { world.address(hosts[1]) };
        for _ in 0..FLIGHT {
            world.act(hosts[0], |echo, _| echo.say(SocketAddr::new(there, PORT)));
        }
        Self { world, hosts }
    }

    /// CPU nanoseconds for each of that many packets.
    fn play(&mut self, packets: u64) -> f64 {
        let heard = |rally: &Self| rally.hosts.iter().map(|host| rally.world.machine(*host).heard).sum::<u64>();
        let (start, before) = (heard(self), cpu());
        while heard(self) < start + packets {
            self.world.run_for(Duration::from_millis(200)).expect("no law is broken");
        }
        (cpu() - before) * 1e9 / (heard(self) - start) as f64
    }
}

fn home(world: &mut World<Echo>, name: &str) -> NetId {
    let nat = NatConfig::new(Dependence::EndpointIndependent, Dependence::EndpointIndependent);
    world.gateway(INTERNET, name, Gateway { nat: Some(nat), ..Gateway::default() }).inside()
}

fn add(world: &mut World<Echo>, net: NetId, name: &str) -> HostId {
    let host = world.host_in(net, name, Echo::default());
    world.act(host, Echo::start);
    host
}

fn udp(plan: &Plan) {
    eprintln!("sim-udp: this machine's own loopback echoes {:.0} datagrams a second", loopback());
    let packets = if plan.quick { 20_000 } else { 300_000 };
    for (variant, nats, goal) in [("plain", false, 1_000.0), ("two-nats", true, 1e9 / 300_000.0)] {
        let name = format!("sim-udp/{variant}");
        if plan.wants(&name) {
            let mut rally = Rally::new(nats, 0);
            rally.play(packets);
            let slices: Vec<_> = (0..plan.slices).map(|_| rally.play(packets)).collect();
            plan.report(&Comparison::with_goal(name, median(&slices), goal, "ns"));
        }
    }
}

/// Datagrams a second between two sockets of this process, one at a time.
fn loopback() -> f64 {
    let [a, b] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("there is a port"));
    a.connect(b.local_addr().expect("it is bound")).expect("it can be connected");
    b.connect(a.local_addr().expect("it is bound")).expect("it can be connected");
    let (rounds, start, mut buf) = (20_000, Instant::now(), [0; SIZE]);
    for _ in 0..rounds {
        for (from, to) in [(&a, &b), (&b, &a)] {
            from.send(&[7; SIZE]).expect("it is sent");
            to.recv(&mut buf).expect("it comes");
        }
    }
    f64::from(2 * rounds) / start.elapsed().as_secs_f64()
}

fn idle(plan: &Plan) {
    let numbers = if plan.quick { [1000, 10] } else { [10_000, 10] };
    let packets = if plan.quick { 20_000 } else { 200_000 };
    let mut rallies = numbers.map(|number| (Rally::new(false, number), Vec::new()));
    for _ in 0..=plan.slices {
        for (rally, slices) in &mut rallies {
            slices.push(rally.play(packets));
        }
    }
    let [(_, many), (_, few)] = &rallies;
    let (ours, baseline) = median_pair(&many[1..], &few[1..]);
    let name = format!("sim-idle/{}-vs-10", numbers[0]);
    plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "ns", goal: Some(1.1) });
}

/// Hubs that have a session each with some other, through three relays.
fn hubs(plan: &Plan) {
    let number = if plan.quick { 50 } else { HUBS };
    let before = (resident(), cpu());
    let mut crowd = Crowd::new(number);
    crowd.pass(Duration::from_secs(60));
    let took = cpu() - before.1;
    let bytes = (resident() - before.0) / number as f64;
    assert!(crowd.opened >= number, "{} of {number} sessions stand", crowd.opened);
    assert!(crowd.arrived >= number, "{} of {number} messages arrived", crowd.arrived);
    plan.report(&Comparison::with_goal(format!("sim-1000-hubs/cpu-of-{number}"), took, 60.0, "s"));
    plan.report(&Comparison::with_goal(format!("sim-1000-hubs/memory-of-{number}"), bytes, 65_536.0, "bytes a hub"));
}

struct Crowd {
    world: World<Endpoint>,
    opened: u64,
    arrived: u64,
}

impl Crowd {
    fn new(number: u64) -> Self {
        let mut world = World::new(7);
        for n in 0..RELAYS as u64 {
            let relay = Endpoint::builder(key(1 << 32 | n)).listen("tcp:0.0.0.0:7433");
            let relay =
                relay.relays_for(Policy::Open, Quotas::default()).build(&mut Rng::from_u64(n)).expect("it is one");
            let host = world.host("relay", relay);
            world.act(host, |endpoint, cx| endpoint.start(cx));
        }
        let hosts: Vec<_> = (0..number).map(|n| hub(&mut world, n)).collect();
        world.run_for(Duration::from_secs(2)).expect("no law is broken");
        let mut rng = Rng::from_u64(3);
        for host in &hosts {
            let other = hosts[rng.below(number) as usize];
            let other = if other == *host { hosts[0] } else { other };
            let to = world.machine(other).address();
            world.act(*host, |endpoint, cx| endpoint.open_session(cx, to));
        }
        Self { world, opened: 0, arrived: 0 }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while let Some(happened) = self.world.step_to(end) {
            self.look(happened.host);
        }
    }

    fn look(&mut self, host: HostId) {
        if self.world.events(host).is_empty() {
            return;
        }
        while let Some(event) = self.world.act(host, |endpoint, cx| endpoint.next(cx)) {
            match event {
                Event::Incoming { session, .. } => self.world.act(host, |endpoint, cx| endpoint.accept(cx, session)),
                Event::Opened { session, .. } => self.on_opened(host, session),
                Event::Message { .. } => self.arrived += 1,
                _ => {}
            }
        }
    }

    fn on_opened(&mut self, host: HostId, session: SessionId) {
        self.opened += 1;
        self.world.act(host, |endpoint, cx| {
            endpoint.send(cx, session, ChannelId::declared(0), b"hello").expect("there is room");
        });
    }
}

fn hub(world: &mut World<Endpoint>, n: u64) -> HostId {
    let relay = format!("tcp:198.18.0.{}:7433", n as usize % RELAYS + 1);
    let spare = format!("tcp:198.18.0.{}:7433", (n as usize + 1) % RELAYS + 1);
    let builder = Endpoint::builder(key(n)).relay(&relay).relay(&spare);
    let host = world.host("hub", builder.build(&mut Rng::from_u64(n)).expect("it is one"));
    world.act(host, |endpoint, cx| endpoint.start(cx));
    host
}

fn key(n: u64) -> SecretKey {
    SecretKey::generate(&mut Rng::from_u64(n))
}

/// Resident memory of this process, in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("its size is a number");
    kib * 1024.0
}
