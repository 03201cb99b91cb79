//! A world with a relay, two STUN servers, a TURN server, and two endpoints behind what a test puts before them.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use switchboard::connect::{Builder, Endpoint, Options, TurnService};
use switchboard::hub::channel::ChannelId;
use switchboard::hub::explain::Explanation;
use switchboard::hub::{Event, PathPolicy, Policy, Quotas, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::link::tls;
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::sim::{Gateway, HostId, INTERNET, NetId, World};
use switchboard::stack::peer::EngineKind;
use switchboard::stack::turn_server::{Listener, PeerPolicy, TurnSecret, User};
use switchboard::transport::Reconnect;
use switchboard::transport::serve;
use switchboard::transport::upgrade::PeerState;
use switchboard::wire::ice_server::IceServer;
use switchboard::wire::outlook::CandidatePolicy;

use crate::common::Authority;
use crate::party::config;

pub(crate) const ADA: usize = 0;
pub(crate) const BOB: usize = 1;
pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const CHANNEL: ChannelId = ChannelId::declared(0);
/// Hosts of the Internet get one address after the other.
const RELAY: usize = 1;
const STUN: [usize; 2] = [2, 3];
const TURN: usize = 4;

/// One of the two endpoints.
#[derive(Clone)]
pub(crate) struct Side {
    /// What stands before it, the outermost first.
    pub(crate) gateways: Vec<Gateway>,
    /// Which families it has, IPv4 first.
    pub(crate) families: [bool; 2],
    /// Whether its system tells it its addresses.
    pub(crate) listed: bool,
    pub(crate) servers: Vec<IceServer>,
    pub(crate) policy: CandidatePolicy,
    /// Whether it makes direct paths.
    pub(crate) direct: bool,
    /// What carries them.
    pub(crate) engine: EngineKind,
    /// Peers that it has at most.
    pub(crate) peers: usize,
    pub(crate) limits: Limits,
    /// Whether it accepts sessions at once.
    pub(crate) accepts: bool,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            gateways: Vec::new(),
            families: [true; 2],
            listed: true,
            servers: Vec::new(),
            policy: CandidatePolicy::ALL,
            direct: true,
            engine: EngineKind::default(),
            peers: 8,
            limits: Limits::default(),
            accepts: true,
        }
    }
}

/// Servers of the scene, by their names.
pub(crate) fn stun() -> Vec<IceServer> {
    ["stun:stun-1.test", "stun:stun-2.test"].map(|uri| IceServer::stun(uri).unwrap()).to_vec()
}

pub(crate) fn turn(uri: &str) -> IceServer {
    IceServer::new(uri, "me", "open sesame").unwrap()
}

/// A certificate of the TURN server, and whoever trusts it.
fn authority() -> &'static (tls::ServerConfig, tls::ClientConfig) {
    static AUTHORITY: OnceLock<(tls::ServerConfig, tls::ClientConfig)> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let authority = Authority::new();
        (tls::ServerConfig::new(&authority.identity(&["turn.test"])).unwrap(), authority.trust())
    })
}

pub(crate) fn builder(key: u64, limits: Limits) -> Builder {
    let reconnect = Reconnect::Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(5) };
    let options = Options { reconnect, limits, ..Options::default() };
    Endpoint::builder(SecretKey::generate(&mut Rng::from_u64(key))).options(options)
}

fn addresses(number: usize, port: u16) -> [SocketAddr; 2] {
    [format!("198.18.0.{number}:{port}").parse().unwrap(), format!("[2001:db8::{number}]:{port}").parse().unwrap()]
}

/// What the TURN server lets its users do.
pub(crate) fn turn_service() -> TurnService {
    let mut service = TurnService::new("turn.test", TurnSecret::new("not used"));
    service.config.users = vec![User::new("me", "open sesame")];
    service.config.allocations_per_user = 64;
    service.config.rate_per_user = None;
    service.config.peers = PeerPolicy::AllowList(["198.18.0.0/15", "2001:db8::/32"].map(|r| r.parse().unwrap()).into());
    service.config.relays = addresses(TURN, 0).map(|address| address.ip()).into();
    service
}

pub(crate) struct Scene {
    pub(crate) world: World<Endpoint>,
    pub(crate) relay: HostId,
    pub(crate) turn: HostId,
    pub(crate) hosts: [HostId; 2],
    pub(crate) service: TurnService,
    pub(crate) sessions: [Option<SessionId>; 2],
    accepts: [bool; 2],
    pub(crate) events: [Vec<(Instant, Event)>; 2],
    pub(crate) heard: [usize; 2],
    pub(crate) policy: PathPolicy,
}

impl Scene {
    pub(crate) fn new(seed: u64, sides: [Side; 2]) -> Self {
        Self::with(seed, sides, 0, turn_service())
    }

    /// Where both sides are behind the same `shared` outermost gateways.
    pub(crate) fn with(seed: u64, sides: [Side; 2], shared: usize, service: TurnService) -> Self {
        let mut world = World::new(seed);
        let relay = builder(1, Limits::default()).relays_for(Policy::Open, Quotas::default());
        let relay = relay.listen("tcp:0.0.0.0:443").listen("tcp:[::]:443").build(&mut Rng::from_u64(1)).unwrap();
        let relay = world.host("relay", relay);
        let stun = STUN.map(|number| addresses(number, 3478)).into_iter().flatten();
        let stun = stun.fold(builder(2, Limits::default()), |stun, at| stun.listen(&format!("stun:{at}")));
        let stun = world.host_with(INTERNET, "stun", 1, stun.build(&mut Rng::from_u64(2)).unwrap());
        let turn = builder(3, Limits::default()).build(&mut Rng::from_u64(3)).unwrap();
        let turn = world.host("turn", turn);
        for (name, number) in
            [("relay.test", RELAY), ("stun-1.test", STUN[0]), ("stun-2.test", STUN[1]), ("turn.test", TURN)]
        {
            world.name(name, &addresses(number, 0).map(|address| address.ip()));
        }
        world.act(relay, |endpoint, cx| endpoint.start(cx));
        world.act(stun, |endpoint, cx| endpoint.start(cx));
        serve_turn(&mut world, turn, &service);
        let accepts = sides.each_ref().map(|side| side.accepts);
        let common = behind(&mut world, INTERNET, &sides[ADA].gateways[..shared]);
        let [ada, bob] = &sides;
        let hosts = [
            place(&mut world, common, shared, ("ada", seed ^ 1), ada),
            place(&mut world, common, shared, ("bob", seed ^ 2), bob),
        ];
        Self {
            world,
            relay,
            turn,
            hosts,
            service,
            sessions: [None; 2],
            accepts,
            events: [Vec::new(), Vec::new()],
            heard: [0; 2],
            policy: PathPolicy::PreferDirect,
        }
    }

    /// A session between the two, as soon as both have their relay; it stands if the other side accepts.
    pub(crate) fn open(&mut self) {
        let bob = self.world.act(self.hosts[BOB], |endpoint, _| endpoint.address());
        let up = |scene: &Self, n: usize| scene.has(n, |event| matches!(event, Event::NeighbourUp { .. }));
        let met = self.until(10 * SECOND, |scene| up(scene, ADA) && up(scene, BOB));
        assert!(met.is_some(), "no relay: {:?}", self.events);
        // A dialler hears of its relay half a round trip before the relay hears of it.
        self.run_for(200 * MS);
        let policy = self.policy;
        let channels = vec![switchboard::hub::channel::Channel::reliable("messages")];
        let session = self.act(ADA, |endpoint, cx| endpoint.open_by(cx, bob, channels, policy));
        self.sessions[ADA] = Some(session);
        self.until(5 * SECOND, |scene| scene.sessions[BOB].is_some()).expect("no session");
        if self.accepts[BOB] {
            let opened = |scene: &Self, n| scene.has(n, |event| matches!(event, Event::Opened { .. }));
            self.until(5 * SECOND, |scene| opened(scene, ADA) && opened(scene, BOB)).expect("no session");
        }
    }

    pub(crate) fn has(&self, n: usize, is: impl Fn(&Event) -> bool) -> bool {
        self.events[n].iter().any(|(_, event)| is(event))
    }

    pub(crate) fn is_direct(&self, n: usize) -> bool {
        let session = self.sessions[n].unwrap();
        self.world.machine(self.hosts[n]).path(session).is_some_and(|path| path.direct)
    }

    /// Whether an attempt of that side has failed.
    pub(crate) fn has_failed(&self, n: usize) -> bool {
        self.has(n, |event| matches!(event, Event::Peer { state: PeerState::Failed, .. }))
    }

    pub(crate) fn explain(&mut self, n: usize) -> Explanation {
        let session = self.sessions[n].unwrap();
        self.act(n, |endpoint, cx| endpoint.explain(cx, session)).unwrap()
    }

    pub(crate) fn act<R>(
        &mut self,
        n: usize,
        call: impl FnOnce(&mut Endpoint, &mut switchboard::machine::Cx<'_>) -> R,
    ) -> R {
        let result = self.world.act(self.hosts[n], call);
        self.listen(n);
        result
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    /// The time until the condition holds, if it comes to.
    pub(crate) fn until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> Option<Duration> {
        let start = self.world.now();
        let end = start + limit;
        while !done(self) {
            let Some(happened) = self.world.step_to(end) else {
                self.world.run_for(end - self.world.now()).unwrap();
                return done(self).then_some(limit);
            };
            if let Some(n) = self.hosts.iter().position(|host| *host == happened.host) {
                self.listen(n);
            }
        }
        Some(self.world.now() - start)
    }

    fn listen(&mut self, n: usize) {
        let host = self.hosts[n];
        if !self.world.is_awake(host) || self.world.events(host).is_empty() {
            return;
        }
        while let Some(event) = self.world.act(host, |endpoint, cx| endpoint.next(cx)) {
            self.on_event(n, event);
        }
    }

    fn on_event(&mut self, n: usize, event: Event) {
        match &event {
            Event::Incoming { session, .. } => {
                let session = *session;
                self.sessions[n] = Some(session);
                if self.accepts[n] {
                    self.world.act(self.hosts[n], |endpoint, cx| endpoint.accept(cx, session));
                }
            }
            Event::Message { .. } => return self.heard[n] += 1,
            _ => {}
        }
        self.events[n].push((self.world.now(), event));
    }
}

fn behind(world: &mut World<Endpoint>, net: NetId, gateways: &[Gateway]) -> NetId {
    gateways.iter().fold(net, |net, gateway| world.gateway(net, "gateway", *gateway).inside())
}

/// Puts an endpoint behind its gateways, `shared` of which are there already, and starts it.
fn place(world: &mut World<Endpoint>, common: NetId, shared: usize, (name, seed): (&str, u64), side: &Side) -> HostId {
    let net = behind(world, common, &side.gateways[shared..]);
    let mut builder = builder(100 + u64::from(name == "bob"), side.limits.clone()).relay("tcp:relay.test:443");
    if side.direct {
        let mut config = config(world, side.engine);
        (config.gather.servers, config.gather.policy) = (side.servers.clone(), side.policy);
        (config.gather.trust, config.peers) = (Some(authority().1.clone()), side.peers);
        builder = builder.direct(config);
    }
    let host = world.host_in(net, name, builder.build(&mut Rng::from_u64(seed)).unwrap());
    world.families(host, side.families);
    if !side.listed {
        world.unlisted(host);
    }
    world.act(host, |endpoint, cx| endpoint.start(cx));
    host
}

fn serve_turn(world: &mut World<Endpoint>, host: HostId, service: &TurnService) {
    let tls = Listener::Tls(authority().0.clone());
    let listeners = [(Listener::Udp, 3478), (Listener::Tcp, 3478), (tls, 443)];
    let at = |(listener, port): (Listener, u16)| addresses(TURN, port).map(|address| (listener.clone(), address));
    let server = serve::turn(service, listeners.map(at).into_iter().flatten().collect());
    world.act(host, |endpoint, cx| endpoint.add(cx, Box::new(server), None));
}
