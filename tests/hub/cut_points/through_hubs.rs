//! The same between two endpoints and a relay.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchboard::connect::{Endpoint, Options, Registry};
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::event::{CloseReason, SendError};
use switchboard::hub::{Closed, Event, Policy, Quotas, SessionId};
use switchboard::link::noise::SecretKey;
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::sim::{HostId, World};
use switchboard::transport::Reconnect;

use super::shaky::{Shaky, Trouble};
use super::{VOLUME, kinds, sizes};
use crate::common::campaign;
use crate::ledger::Ledger;

const TICK: Duration = Duration::from_millis(2);
const PACE: usize = 2_000;
const BOUND: Duration = Duration::from_secs(60);

struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was {}", self.0);
        }
    }
}

struct Side {
    host: HostId,
    session: Option<SessionId>,
    left: usize,
    turn: usize,
    blocked: bool,
    ended: Option<Closed>,
}

struct Run {
    world: World<Endpoint>,
    relay: HostId,
    trouble: Arc<Mutex<Trouble>>,
    channel: Channel,
    sides: [Side; 2],
    ledger: Ledger<usize>,
}

impl Run {
    fn new(channel: &Channel, seed: u64, cut: Option<usize>) -> Self {
        let mut world = World::new(seed);
        world.default_delay(Duration::from_millis(5));
        let trouble = Arc::new(Mutex::new(Trouble::new(seed, cut)));
        let relay = world.host("relay", endpoint(1, Some(&trouble)));
        world.name("relay.test", &[relay]);
        let side = |world: &mut World<Endpoint>, name, key| Side {
            host: world.host(name, endpoint(key, None)),
            session: None,
            left: VOLUME,
            turn: 0,
            blocked: false,
            ended: None,
        };
        let sides = [side(&mut world, "a", 2), side(&mut world, "b", 3)];
        let ledger = Ledger::new(std::slice::from_ref(channel));
        let mut run = Self { world, relay, trouble, channel: channel.clone(), sides, ledger };
        for host in [run.relay, run.sides[0].host, run.sides[1].host] {
            run.world.act(host, |endpoint, cx| endpoint.start(cx));
        }
        run
    }

    fn run(&mut self) {
        self.until("neighbours", |run| run.world.machine(run.relay).neighbours().count() == 2);
        let (to, channel) = (self.world.machine(self.sides[1].host).address(), self.channel.clone());
        let host = self.sides[0].host;
        self.world.act(host, |endpoint, cx| endpoint.open(cx, to, vec![channel]));
        self.until("a session", |run| run.sides.iter().all(|side| side.session.is_some()));
        self.trouble.lock().unwrap().counts = true;
        self.until("all messages", |run| {
            (0..2).for_each(|side| run.send(side));
            run.cut();
            run.sides.iter().all(|side| side.left == 0) && (0..2).all(|side| run.ledger.is_complete(side))
        });
        let session = self.sides[0].session.unwrap();
        self.world.act(host, |endpoint, cx| endpoint.close(cx, session, 3, "done"));
        self.until("a goodbye", |run| {
            run.cut();
            run.sides.iter().all(|side| side.ended.is_some())
        });
        assert_eq!(self.sides[0].ended, Some(Closed::Ended(CloseReason::Local)));
        let peer = CloseReason::Peer { code: 3, text: "done".into() };
        assert_eq!(self.sides[1].ended, Some(Closed::Ended(peer)));
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.world.now() + BOUND;
        while !done(self) {
            let account = || (0..2).map(|side| self.ledger.account(side)).collect::<Vec<_>>().join("; ");
            assert!(self.world.now() < end, "{what} at {}: {}", self.world.now(), account());
            self.world.run_for(TICK).unwrap_or_else(|failure| panic!("{failure}"));
            (0..2).for_each(|side| self.look(side));
        }
    }

    /// The path is dead: the relay sends one of the two away, who dials again.
    fn cut(&mut self) {
        let mut trouble = self.trouble.lock().unwrap();
        if !std::mem::take(&mut trouble.dead) {
            return;
        }
        let whom = self.world.machine(self.sides[trouble.packets % 2].host).address();
        drop(trouble);
        let relay = self.world.machine(self.relay);
        let link = relay.neighbours().find(|(_, address)| *address == whom).map(|(link, _)| link);
        let link = link.unwrap();
        self.world.act(self.relay, |relay, cx| relay.dismiss(cx, link));
    }

    fn look(&mut self, side: usize) {
        let host = self.sides[side].host;
        if self.world.events(host).is_empty() {
            return;
        }
        while let Some(event) = self.world.act(host, |endpoint, cx| endpoint.next(cx)) {
            match event {
                Event::Incoming { session, .. } => self.world.act(host, |endpoint, cx| endpoint.accept(cx, session)),
                Event::Opened { session, .. } => self.sides[side].session = Some(session),
                Event::Writable { .. } => self.sides[side].blocked = false,
                Event::Message { bytes, .. } => self.ledger.arrived(side, 0, &bytes),
                Event::Closed { reason, .. } => self.sides[side].ended = Some(reason),
                _ => {}
            }
        }
    }

    fn send(&mut self, side: usize) {
        let mut room = if self.channel.is_reliable() { usize::MAX } else { PACE };
        while self.sides[side].left > 0 && room > 0 && !self.sides[side].blocked {
            let sizes = sizes(&self.channel);
            let state = &mut self.sides[side];
            let size = sizes[state.turn % sizes.len()];
            let (message, session) = (self.ledger.next(side, 0, size), state.session.unwrap());
            match self.world.act(state.host, |endpoint, cx| endpoint.send(cx, session, ChannelId(1), &message)) {
                Ok(()) => {
                    self.ledger.sent(side, 0, size);
                    state.turn += 1;
                    (state.left, room) = (state.left.saturating_sub(size), room.saturating_sub(size));
                }
                Err(SendError::Blocked) => state.blocked = true,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Its relay is known as `relay.test`; with trouble it is that relay.
fn endpoint(key: u64, trouble: Option<&Arc<Mutex<Trouble>>>) -> Endpoint {
    let mut rng = Rng::from_u64(key);
    let mut registry = Registry::new();
    let (builtin, of) = (Registry::new(), trouble.cloned());
    registry.register("shaky", move |string, role, options| {
        let tcp = format!("tcp:{}", string.parameters());
        let inner = match role {
            switchboard::connect::Role::Dial => builtin.dial(&tcp, options)?,
            switchboard::connect::Role::Listen => builtin.listen(&tcp, options)?,
        };
        Ok(Box::new(Shaky { inner, trouble: of.clone() }))
    });
    let limits = Limits { session_send: 128 * 1024, session_receive: 128 * 1024, ..Limits::default() };
    let reconnect = Reconnect::After(Duration::from_millis(50));
    let builder = Endpoint::builder(SecretKey::generate(&mut rng)).registry(registry).options(Options {
        limits,
        reconnect,
        ..Options::default()
    });
    let builder = match trouble {
        Some(_) => builder.listen("shaky:0.0.0.0:7000").relays_for(Policy::Open, Quotas::default()),
        None => builder.relay("shaky:relay.test:7000"),
    };
    builder.build(&mut rng).unwrap()
}

/// Answers how many packets there were.
fn run(channel: &Channel, seed: u64, cut: Option<usize>) -> usize {
    let _named = Named(format!("{channel:?}, seed {seed}, cut at {cut:?}"));
    let mut run = Run::new(channel, seed, cut);
    run.run();
    run.trouble.lock().unwrap().packets
}

#[test]
fn a_path_may_end_at_any_packet_through_hubs() {
    let stride = if campaign::is_full() { 1 } else { 20 };
    let mut points = 0;
    for (seed, channel) in kinds().iter().enumerate() {
        let seed = 100 + seed as u64;
        let packets = run(channel, seed, None);
        let at = (0..packets).step_by(if channel.is_reliable() { stride.min(4) } else { stride });
        println!("{:?} {}: {} of {packets} points", channel.reliability, channel.label, at.len());
        points += at.len();
        for packet in at {
            run(channel, seed, Some(packet));
        }
    }
    println!("{points} points through hubs");
    assert!(points >= 150, "{points} points");
}
