//! A relay and two endpoints in a world.

use std::time::Duration;

use switchboard::connect::{Builder, Endpoint, Options};
use switchboard::hub::channel::ChannelId;
use switchboard::hub::{Event, Policy, Quotas, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::{Epoch, Instant};
use switchboard::sim::{HostId, NatKind, World};
use switchboard::stack::peer::EngineKind;
use switchboard::transport::Reconnect;
use switchboard::transport::webrtc::WebrtcConfig;

pub(crate) const CHANNEL: ChannelId = ChannelId::declared(0);

pub(crate) struct Party {
    pub(crate) world: World<Endpoint>,
    pub(crate) hosts: [HostId; 2],
    pub(crate) sessions: [Option<SessionId>; 2],
    pub(crate) direct: [bool; 2],
    pub(crate) heard: [Vec<Vec<u8>>; 2],
    pub(crate) events: Vec<(usize, Event)>,
}

pub(crate) fn epoch() -> Epoch {
    Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000))
}

/// Which engine either side has in the run of that number: `str0m` carries a tenth of them, and a tenth are mixed.
pub(crate) const fn engines(run: u64) -> [EngineKind; 2] {
    match run % 20 {
        3 | 13 => [EngineKind::Str0m; 2],
        7 => [EngineKind::Data, EngineKind::Str0m],
        17 => [EngineKind::Str0m, EngineKind::Data],
        _ => [EngineKind::Data; 2],
    }
}

/// Both sides' engine config: a world's, and that engine.
pub(crate) fn config(world: &World<Endpoint>, engine: EngineKind) -> WebrtcConfig {
    WebrtcConfig { engine, ..WebrtcConfig::new(world.crypto(epoch())) }
}

fn builder(seed: u64) -> Builder {
    let reconnect = Reconnect::Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(5) };
    let options = Options { reconnect, ..Options::default() };
    Endpoint::builder(SecretKey::generate(&mut Rng::from_u64(seed))).options(options)
}

impl Party {
    /// Each endpoint behind a NAT of its own, or on the Internet.
    pub(crate) fn new(seed: u64, nats: &[Option<NatKind>; 2]) -> Self {
        let mut world = World::new(seed);
        let relay = builder(1).listen("tcp:0.0.0.0:7000").relays_for(Policy::Open, Quotas::default());
        let relay = world.host("relay", relay.build(&mut Rng::from_u64(1)).unwrap());
        let mut hosts = Vec::new();
        for (n, name) in ["ada", "bob"].into_iter().enumerate() {
            let endpoint = builder(n as u64 + 2).relay("tcp:198.18.0.1:7000").direct(config(&world, engines(seed)[n]));
            let endpoint = endpoint.build(&mut Rng::from_u64(seed ^ (n as u64 + 2))).unwrap();
            hosts.push(match nats[n] {
                None => world.host(name, endpoint),
                Some(kind) => {
                    let net = world.behind(&format!("nat of {name}"), kind);
                    world.host_in(net, name, endpoint)
                }
            });
        }
        for host in hosts.iter().chain([&relay]) {
            world.act(*host, |endpoint, cx| endpoint.start(cx));
        }
        let hosts = [hosts[0], hosts[1]];
        Self {
            world,
            hosts,
            sessions: [None; 2],
            direct: [false; 2],
            heard: [Vec::new(), Vec::new()],
            events: Vec::new(),
        }
    }

    /// A session between the two.
    pub(crate) fn open(&mut self) -> (SessionId, SessionId) {
        let bob = self.world.act(self.hosts[1], |endpoint, _| endpoint.address());
        self.until(Duration::from_secs(5), |party| {
            party.events.iter().filter(|(_, event)| matches!(event, Event::NeighbourUp { .. })).count() == 2
        })
        .unwrap_or_else(|| panic!("{:?}", self.events));
        // A dialler hears of its relay half a round trip before the relay hears of it.
        self.until(Duration::from_millis(200), |_| false);
        self.world.act(self.hosts[0], |endpoint, cx| endpoint.open_session(cx, bob));
        self.until(Duration::from_secs(5), |party| party.sessions.iter().all(Option::is_some))
            .unwrap_or_else(|| panic!("{:?}", self.events));
        (self.sessions[0].unwrap(), self.sessions[1].unwrap())
    }

    #[allow(dead_code, reason = "not every test that has this file speaks")]
    pub(crate) fn say(&mut self, n: usize, session: SessionId, message: &[u8]) {
        self.world.act(self.hosts[n], |endpoint, cx| endpoint.send(cx, session, CHANNEL, message)).unwrap();
    }

    pub(crate) fn is_direct(&self, n: usize) -> bool {
        self.direct[n]
    }

    pub(crate) fn now(&self) -> Duration {
        self.world.now() - Instant::ZERO
    }

    /// The time that it took.
    pub(crate) fn until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Option<Duration> {
        let start = self.now();
        loop {
            self.listen();
            if done(self) {
                return Some(self.now() - start);
            }
            if self.now() >= start + limit {
                return None;
            }
            self.world.run_for(Duration::from_millis(1)).unwrap();
        }
    }

    fn listen(&mut self) {
        for n in 0..2 {
            let host = self.hosts[n];
            while let Some(event) = self.world.act(host, |endpoint, cx| endpoint.next(cx)) {
                self.on_event(n, event);
            }
        }
    }

    fn on_event(&mut self, n: usize, event: Event) {
        match &event {
            Event::Incoming { session, .. } => {
                let session = *session;
                self.world.act(self.hosts[n], |endpoint, cx| endpoint.accept(cx, session));
            }
            Event::Opened { session, .. } => self.sessions[n] = Some(*session),
            Event::Path { path, .. } => self.direct[n] = path.direct,
            Event::Message { bytes, .. } => return self.heard[n].push(bytes.clone()),
            _ => {}
        }
        self.events.push((n, event));
    }
}
