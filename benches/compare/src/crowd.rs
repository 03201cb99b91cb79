//! A world in which one endpoint has a session with each of many others, all of them direct, and what that endpoint
//! costs: all that it does happens within a meter.

use std::time::Duration;

use switchboard::connect::{Builder, Endpoint, Options};
use switchboard::hub::channel::ChannelId;
use switchboard::hub::{Event, News, Policy, Quotas, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::rng::Rng;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::sim::{HostId, World};
use switchboard::stack::peer::Crypto;
use switchboard::transport::Reconnect;
use switchboard::transport::webrtc::WebrtcConfig;

/// Others that open their sessions at once.
const BATCH: usize = 50;
const RELAY: &str = "tcp:198.18.0.1:7000";

/// Does something, and notes what that cost.
pub type Meter = fn(&mut dyn FnMut());

/// An endpoint, perhaps with a meter around it.
pub struct Metered {
    endpoint: Endpoint,
    meter: Option<Meter>,
}

impl Metered {
    fn with<R>(&mut self, act: impl FnOnce(&mut Endpoint) -> R) -> R {
        let Some(meter) = self.meter else { return act(&mut self.endpoint) };
        let (mut act, mut result) = (Some(act), None);
        meter(&mut || result = act.take().map(|act| act(&mut self.endpoint)));
        result.expect("a meter lets things happen")
    }
}

impl Machine for Metered {
    type Command = <Endpoint as Machine>::Command;
    type Event = News;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Self::Command>) {
        self.with(|endpoint| endpoint.handle(cx, input));
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<News> {
        self.with(|endpoint| endpoint.poll(cx))
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.with(|endpoint| endpoint.fill(cx, port, buf))
    }
}

/// The world.
pub struct Crowd {
    world: World<Metered>,
    hub: HostId,
    config: WebrtcConfig,
    others: usize,
    direct: usize,
    arrived: usize,
}

impl Crowd {
    /// The endpoint with the meter, and a relay.
    pub fn new(crypto: &Crypto, meter: Meter) -> Self {
        let mut world = World::new(1);
        let quotas = Quotas { links: usize::MAX, sessions: usize::MAX, ..Quotas::default() };
        let relay = builder(1).listen("tcp:0.0.0.0:7000").relays_for(Policy::Open, quotas);
        add(&mut world, ("relay", 1), relay, None);
        let config = WebrtcConfig::new(crypto.clone());
        let hub = add(&mut world, ("hub", 2), builder(2).relay(RELAY).direct(config.clone()), Some(meter));
        world.run_for(Duration::from_secs(2)).expect("no law is broken");
        Self { world, hub, config, others: 0, direct: 0, arrived: 0 }
    }

    /// So many further endpoints get direct sessions, and send a message on each.
    pub fn grow(&mut self, number: usize) {
        for _ in 0..number.div_ceil(BATCH) {
            let hosts: Vec<_> = (0..BATCH).map(|n| self.add((self.others + n) as u64)).collect();
            self.others += BATCH;
            self.pass(Duration::from_secs(1));
            let hub = self.world.act(self.hub, |metered, _| metered.endpoint.address());
            for host in hosts {
                self.world.act(host, |metered, cx| metered.endpoint.open_session(cx, hub));
            }
            self.pass(Duration::from_secs(2));
        }
        self.pass(Duration::from_secs(20));
        assert_eq!((self.direct, self.arrived), (self.others, self.others), "not all are direct, or heard");
    }

    fn add(&mut self, n: u64) -> HostId {
        let builder = builder(n + 3).relay(RELAY).direct(self.config.clone());
        add(&mut self.world, ("other", n + 3), builder, None)
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while let Some(happened) = self.world.step_to(end) {
            self.look(happened.host);
        }
        self.world.run_for(end - self.world.now()).expect("no law is broken");
    }

    fn look(&mut self, host: HostId) {
        if self.world.events(host).is_empty() {
            return;
        }
        while let Some(event) = self.world.act(host, |metered, cx| metered.with(|endpoint| endpoint.next(cx))) {
            match event {
                Event::Incoming { session, .. } => {
                    self.world.act(host, |metered, cx| metered.with(|endpoint| endpoint.accept(cx, session)));
                }
                Event::Path { path, session, .. } if path.direct && host != self.hub => self.greet(host, session),
                Event::Message { .. } => self.arrived += 1,
                Event::Disconnected { .. } | Event::Closed { .. } => panic!("a session has ended"),
                _ => {}
            }
        }
    }

    fn greet(&mut self, host: HostId, session: SessionId) {
        self.direct += 1;
        let greeting = ChannelId::declared(0);
        self.world
            .act(host, |metered, cx| metered.endpoint.send(cx, session, greeting, &[7; 64]).expect("it is taken"));
    }
}

fn builder(key: u64) -> Builder {
    let reconnect = Reconnect::Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(5) };
    let options = Options { reconnect, ..Options::default() };
    Endpoint::builder(SecretKey::generate(&mut Rng::from_u64(key))).options(options)
}

fn add(world: &mut World<Metered>, (name, seed): (&str, u64), builder: Builder, meter: Option<Meter>) -> HostId {
    let endpoint = builder.build(&mut Rng::from_u64(seed)).expect("it is one");
    let host = world.host(name, Metered { endpoint, meter });
    world.act(host, |metered, cx| metered.with(|endpoint| endpoint.start(cx)));
    host
}
