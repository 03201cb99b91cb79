//! A relay and two endpoints whose application writes down all that it hears, step by step of the world.

use std::time::Duration;

use switchboard::connect::{Builder, Endpoint, Options};
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::event::{PathReport, SendError};
use switchboard::hub::{Event, Policy, Quotas, ServersFor, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::machine::Cx;
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::sim::{HostId, INTERNET, NatKind, NetId, World};
use switchboard::stack::peer::EngineKind;
use switchboard::transport::Reconnect;
use switchboard::transport::serve::TurnService;
use switchboard::transport::upgrade::PeerState;
use switchboard::transport::webrtc::WebrtcConfig;
use switchboard::wire::identity::Address;

use crate::party::{config, engines};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// The port of the relay.
pub(crate) const RELAY: u16 = 7000;
/// The address of the TURN server, where there is one.
pub(crate) const TURN: &str = "198.18.0.2:3478";

/// What a scene is made of.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// What each endpoint is behind.
    pub(crate) nats: [Option<NatKind>; 2],
    pub(crate) channels: Vec<Channel>,
    pub(crate) limits: Limits,
    /// Whether the endpoints have no IPv6, which no NAT hinders.
    pub(crate) ipv4: bool,
    /// Whether each endpoint makes direct paths.
    pub(crate) direct: [bool; 2],
    /// What carries them.
    pub(crate) engines: [EngineKind; 2],
    /// What the relay hands out.
    pub(crate) servers: Option<ServersFor>,
    /// A TURN server on a host of its own, at [`TURN`].
    pub(crate) turn: Option<TurnService>,
    /// Whether the second endpoint takes sessions at once.
    pub(crate) accepts: bool,
    pub(crate) configure: fn(&mut WebrtcConfig),
}

impl Plan {
    /// Both on the Internet, with direct paths by the engines of that seed, and one reliable channel.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            nats: [None; 2],
            channels: vec![Channel::reliable("messages")],
            limits: Limits::default(),
            ipv4: false,
            direct: [true; 2],
            engines: engines(seed),
            servers: None,
            turn: None,
            accepts: true,
            configure: |_| {},
        }
    }
}

/// One endpoint and its application.
pub(crate) struct Actor {
    pub(crate) host: HostId,
    /// The network that it is in at first.
    pub(crate) home: NetId,
    pub(crate) session: Option<SessionId>,
    /// The session that nobody has answered yet.
    pub(crate) incoming: Option<SessionId>,
    pub(crate) path: Option<PathReport>,
    /// All but messages.
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) heard: Vec<(Duration, ChannelId, Vec<u8>)>,
    boots: u64,
}

pub(crate) struct Scene {
    pub(crate) plan: Plan,
    pub(crate) world: World<Endpoint>,
    pub(crate) relay: HostId,
    pub(crate) turn: Option<HostId>,
    pub(crate) actors: [Actor; 2],
}

impl Scene {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut world = World::new(plan.seed);
        let relay = world.host("relay", relay(&plan, 0));
        let turn = plan.turn.as_ref().map(|_| world.host("turn", turn(&plan, 0)));
        let mut actor = |n: usize, name: &str| {
            let home = match plan.nats[n] {
                None => INTERNET,
                Some(kind) => world.behind(&format!("nat of {name}"), kind),
            };
            let endpoint = endpoint(&plan, &world, n, 0);
            let host = world.host_in(home, name, endpoint);
            if plan.ipv4 {
                world.families(host, [true, false]);
            }
            let (events, heard) = (Vec::new(), Vec::new());
            Actor { host, home, session: None, incoming: None, path: None, events, heard, boots: 0 }
        };
        let actors = [actor(0, "ada"), actor(1, "bob")];
        let mut scene = Self { plan, world, relay, turn, actors };
        for host in [scene.relay].into_iter().chain(turn).chain(scene.actors.each_ref().map(|actor| actor.host)) {
            scene.world.act(host, |endpoint, cx| endpoint.start(cx));
        }
        scene
    }

    /// The first asks for a session, once both know the relay; it is known to both afterwards.
    pub(crate) fn open(&mut self) -> [SessionId; 2] {
        self.ask();
        self.until("a session", 10 * SECOND, |scene| scene.actors.iter().all(|actor| actor.session.is_some()));
        self.actors.each_ref().map(|actor| actor.session.unwrap())
    }

    pub(crate) fn ask(&mut self) {
        self.until("neighbours", 10 * SECOND, |scene| scene.world.machine(scene.relay).neighbours().count() == 2);
        let (to, channels) = (self.address(1), self.plan.channels.clone());
        self.act(0, |endpoint, cx| endpoint.open(cx, to, channels));
    }

    /// A session that both sides have over a direct path.
    pub(crate) fn met(plan: Plan) -> (Self, [SessionId; 2]) {
        let mut scene = Self::new(plan);
        let sessions = scene.open();
        scene.until("a direct path", 30 * SECOND, |scene| scene.is_direct());
        (scene, sessions)
    }

    pub(crate) fn address(&self, n: usize) -> Address {
        self.world.machine(self.actors[n].host).address()
    }

    pub(crate) fn act<R>(&mut self, n: usize, call: impl FnOnce(&mut Endpoint, &mut Cx<'_>) -> R) -> R {
        let result = self.world.act(self.actors[n].host, call);
        self.listen(n);
        result
    }

    pub(crate) fn send(&mut self, n: usize, channel: usize, message: &[u8]) -> Result<(), SendError> {
        let session = self.actors[n].session.expect("a session");
        self.act(n, |endpoint, cx| endpoint.send(cx, session, ChannelId::declared(channel), message))
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.actors.iter().all(|actor| actor.path.is_some_and(|path| path.direct))
    }

    /// How often a side went from a relayed path to a direct one, and back.
    pub(crate) fn changes(&self, n: usize) -> (usize, usize) {
        let paths = self.actors[n].events.iter().filter_map(|(_, event)| match event {
            Event::Path { path, .. } => Some(path.direct),
            _ => None,
        });
        let paths: Vec<_> = paths.collect();
        let turns = |to: bool| paths.windows(2).filter(|pair| pair[0] != to && pair[1] == to).count();
        (turns(true), turns(false))
    }

    /// Direct paths that a side had so far.
    pub(crate) fn peers(&self, n: usize) -> usize {
        let up = |(_, event): &&(Duration, Event)| matches!(event, Event::Peer { state: PeerState::Connected, .. });
        self.actors[n].events.iter().filter(up).count()
    }

    /// A side's process ends, and another begins, with the same key.
    pub(crate) fn reboot(&mut self, n: usize) {
        self.actors[n].boots += 1;
        let endpoint = endpoint(&self.plan, &self.world, n, self.actors[n].boots);
        let actor = &mut self.actors[n];
        (actor.session, actor.incoming, actor.path) = (None, None, None);
        self.world.reboot(actor.host, endpoint);
        self.act(n, |endpoint, cx| endpoint.start(cx));
    }

    pub(crate) fn now(&self) -> Duration {
        self.world.now() - Instant::ZERO
    }

    /// One thing that happens until `end`, if any does.
    pub(crate) fn step(&mut self, end: Duration) -> bool {
        let Some(happened) = self.world.step_to(Instant::ZERO + end) else {
            let left = end.saturating_sub(self.now());
            self.world.run_for(left).unwrap();
            return false;
        };
        if let Some(n) = self.actors.iter().position(|actor| actor.host == happened.host) {
            self.listen(n);
        }
        true
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.step(end) {}
    }

    /// How long it took.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Duration {
        let start = self.now();
        loop {
            if done(self) {
                return self.now() - start;
            }
            assert!(self.now() < start + limit, "seed {}: no {what}: {}", self.plan.seed, self.account());
            self.step(start + limit);
        }
    }

    /// The last of what the two were told.
    pub(crate) fn account(&self) -> String {
        let last = |actor: &Actor| {
            let from = actor.events.len().saturating_sub(30);
            let lines = actor.events[from..].iter().map(|(at, event)| format!("\n    {at:?} {event:?}"));
            lines.collect::<Vec<_>>().concat()
        };
        format!("at {:?}\n  ada:{}\n  bob:{}", self.now(), last(&self.actors[0]), last(&self.actors[1]))
    }

    pub(crate) fn listen(&mut self, n: usize) {
        if !self.world.is_awake(self.actors[n].host) {
            return;
        }
        while let Some(event) = self.world.act(self.actors[n].host, |endpoint, cx| endpoint.next(cx)) {
            self.on_event(n, event);
        }
    }

    fn on_event(&mut self, n: usize, event: Event) {
        let (now, accepts) = (self.now(), self.plan.accepts);
        let actor = &mut self.actors[n];
        match &event {
            Event::Incoming { session, .. } => {
                let session = *session;
                actor.incoming = Some(session);
                if accepts {
                    self.world.act(actor.host, |endpoint, cx| endpoint.accept(cx, session));
                }
            }
            Event::Opened { session, .. } => actor.session = Some(*session),
            Event::Path { session, path, .. } if actor.session == Some(*session) => actor.path = Some(*path),
            Event::Closed { session, .. } if actor.session == Some(*session) => {
                (actor.session, actor.path) = (None, None);
            }
            Event::Disconnected { .. } => actor.path = None,
            Event::Message { channel, bytes, .. } => return actor.heard.push((now, *channel, bytes.clone())),
            _ => {}
        }
        actor.events.push((now, event));
    }
}

fn builder(plan: &Plan, key: u64) -> Builder {
    let reconnect = Reconnect::Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(5) };
    let options = Options { reconnect, limits: plan.limits.clone(), ..Options::default() };
    Endpoint::builder(SecretKey::generate(&mut Rng::from_u64(key))).options(options)
}

pub(crate) fn relay(plan: &Plan, boot: u64) -> Endpoint {
    let builder = builder(plan, 1).listen(&format!("tcp:0.0.0.0:{RELAY}")).relays_for(Policy::Open, Quotas::default());
    let builder = match &plan.servers {
        Some(servers) => builder.servers_for(servers.clone()),
        None => builder,
    };
    builder.build(&mut Rng::from_u64(plan.seed ^ 1 ^ boot << 40)).unwrap()
}

pub(crate) fn turn(plan: &Plan, boot: u64) -> Endpoint {
    let options = Options { turn: plan.turn.clone(), ..Options::default() };
    let builder = Endpoint::builder(SecretKey::generate(&mut Rng::from_u64(9))).options(options);
    builder.listen("turn:0.0.0.0:3478").build(&mut Rng::from_u64(plan.seed ^ 9 ^ boot << 40)).unwrap()
}

fn endpoint(plan: &Plan, world: &World<Endpoint>, n: usize, boot: u64) -> Endpoint {
    let mut config = config(world, plan.engines[n]);
    (plan.configure)(&mut config);
    let builder = builder(plan, n as u64 + 2).relay(&format!("tcp:198.18.0.1:{RELAY}"));
    let builder = if plan.direct[n] { builder.direct(config) } else { builder };
    builder.build(&mut Rng::from_u64(plan.seed ^ (n as u64 + 2) << 32 ^ boot << 40)).unwrap()
}
