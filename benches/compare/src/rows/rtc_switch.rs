//! `rtc-switch`: how long messages wait at most when a session gets a direct path, and when it loses it. In a world:
//! 5 ms between the two, 30 ms through the relay.

use std::time::Duration;

use switchboard::connect::{Builder, Endpoint};
use switchboard::hub::channel::ChannelId;
use switchboard::hub::{Event, Policy, Quotas, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::sim::{HostId, World};
use switchboard::transport::webrtc::WebrtcConfig;
use switchboard_compare::engines::ours::epoch;

use crate::plan::{Comparison, Plan};

const DIRECT: Duration = Duration::from_millis(5);
const RELAYED: Duration = Duration::from_millis(30);
/// Between two messages of either side.
const PACE: Duration = Duration::from_millis(4);
const SUSPICION: Duration = Duration::from_millis(250);

pub fn run(plan: &Plan) {
    if !plan.wants_some("rtc-switch/") {
        return;
    }
    let seeds = if plan.quick { 2 } else { 20 };
    let waits: Vec<_> = (0..seeds).map(measure).collect();
    let most = |n: usize| waits.iter().map(|waits| waits[n].as_secs_f64() * 1e3).fold(0.0, f64::max);
    let goals = [RELAYED, SUSPICION.max(6 * DIRECT) + RELAYED + Duration::from_millis(10)];
    for (n, variant) in ["going-up", "after-a-cut"].into_iter().enumerate() {
        let goal = goals[n].as_secs_f64() * 1e3;
        plan.report(&Comparison::with_goal(format!("rtc-switch/{variant}"), most(n), goal, "ms"));
    }
}

/// The longest time that a message was under way around each of the two changes.
fn measure(seed: u64) -> [Duration; 2] {
    let mut scene = Scene::new(seed);
    scene.talk(Duration::from_secs(3));
    assert_eq!(scene.direct, [true; 2], "seed {seed}: no direct path");
    let up = std::mem::take(&mut scene.longest);
    scene.talk(Duration::from_millis(500 + 7 * seed));
    scene.longest = Duration::ZERO;
    scene.world.cut(scene.hosts[0], scene.hosts[1]);
    scene.talk(Duration::from_secs(2));
    let cut = scene.longest;
    scene.talk(Duration::from_secs(1));
    // What is under way at the end has not arrived yet.
    assert!(scene.arrived + 50 > scene.sent, "seed {seed}: {} of {} messages arrived", scene.arrived, scene.sent);
    [up, cut]
}

struct Scene {
    world: World<Endpoint>,
    hosts: [HostId; 2],
    sessions: [Option<SessionId>; 2],
    direct: [bool; 2],
    longest: Duration,
    sent: usize,
    arrived: usize,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let relay = builder(1).listen("tcp:0.0.0.0:7000").relays_for(Policy::Open, Quotas::default());
        let relay = add(&mut world, "relay", relay);
        let config = WebrtcConfig::new(world.crypto(epoch()));
        let hosts = ["ada", "bob"].map(|name| {
            let builder = builder(name.len() as u64 + u64::from(name.as_bytes()[0]));
            add(&mut world, name, builder.relay("tcp:198.18.0.1:7000").direct(config.clone()))
        });
        world.delay(hosts[0], hosts[1], DIRECT);
        hosts.iter().for_each(|host| world.delay(*host, relay, RELAYED / 2));
        world.run_for(Duration::from_secs(2)).expect("no law is broken");
        let bob = world.machine(hosts[1]).address();
        world.act(hosts[0], |endpoint, cx| endpoint.open_session(cx, bob));
        let (sessions, direct) = ([None; 2], [false; 2]);
        let mut scene = Self { world, hosts, sessions, direct, longest: Duration::ZERO, sent: 0, arrived: 0 };
        scene.pass(Duration::from_millis(200));
        assert!(!scene.sessions.contains(&None), "seed {seed}: no session");
        scene
    }

    /// Both sides send at their pace.
    fn talk(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.world.now() < end {
            let message = self.world.now().as_nanos().to_be_bytes();
            for (host, session) in self.hosts.into_iter().zip(self.sessions) {
                let session = session.expect("it stands");
                self.world.act(host, |endpoint, cx| {
                    endpoint.send(cx, session, ChannelId::declared(0), &message).expect("it is taken");
                });
                self.sent += 1;
            }
            self.pass(PACE);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while let Some(happened) = self.world.step_to(end) {
            self.look(happened.host);
        }
        self.world.run_for(end - self.world.now()).expect("no law is broken");
    }

    fn look(&mut self, host: HostId) {
        let Some(n) = self.hosts.iter().position(|known| *known == host) else { return };
        while let Some(event) = self.world.act(host, |endpoint, cx| endpoint.next(cx)) {
            match event {
                Event::Incoming { session, .. } => self.world.act(host, |endpoint, cx| endpoint.accept(cx, session)),
                Event::Opened { session, .. } => self.sessions[n] = Some(session),
                Event::Path { path, .. } => self.direct[n] = path.direct,
                Event::Message { bytes, .. } => self.on_message(&bytes),
                _ => {}
            }
        }
    }

    fn on_message(&mut self, bytes: &[u8]) {
        let sent = bytes.try_into().map(u64::from_be_bytes).expect("it is a moment");
        self.longest = self.longest.max(self.world.now() - Instant::from_nanos(sent));
        self.arrived += 1;
    }
}

fn builder(key: u64) -> Builder {
    Endpoint::builder(SecretKey::generate(&mut Rng::from_u64(key)))
}

fn add(world: &mut World<Endpoint>, name: &str, builder: Builder) -> HostId {
    let host = world.host(
        name,
        builder
            .build(&mut Rng::from_u64(1000 * world.seed() + name.len() as u64 + u64::from(name.as_bytes()[0])))
            .expect("it is one"),
    );
    world.act(host, |endpoint, cx| endpoint.start(cx));
    host
}
