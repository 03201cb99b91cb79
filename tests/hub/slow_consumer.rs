//! One receiver of a relay stops reading: nobody else notices, the relay stays within its bounds, its senders are told
//! to wait, and everything arrives once it reads again.

mod metered;

use std::time::Duration;

use metered::Metered;
use switchboard::connect::{Endpoint, Options};
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::event::SendError;
use switchboard::hub::{Closed, Event, SessionId};
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;
use switchboard::sim::{HostId, World};
use switchboard::wire::identity::EndpointId;

use crate::ledger::Ledger;
use crate::party::Recipe;

const TICK: Duration = Duration::from_millis(1);
/// Between two small messages of a talker.
const EVERY: Duration = Duration::from_millis(10);
const VOLUME: usize = 3 * 1024 * 1024;
const MESSAGE: usize = 2_000;
/// What may wait in the relay for one link.
const FORWARD: usize = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(120);

/// How the receiver stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// It does not, and nobody sends it anything.
    Never,
    /// Its application takes nothing.
    Application,
    /// Its host takes nothing from its socket.
    Host,
    /// Its host sleeps: nothing passes either way, and whoever owes it something may give up.
    Sleep,
}

/// A session that one host has opened to another, by their indices.
struct Line {
    from: usize,
    to: usize,
    here: SessionId,
    stands: bool,
    there: Option<SessionId>,
}

struct Play {
    world: World<Metered>,
    relay: HostId,
    /// Two who send, one who stops reading, one who does not, and one who has to do with the latter only.
    hosts: Vec<HostId>,
    /// Bulk to the one, small messages to the other.
    bulk: Vec<Line>,
    talk: Vec<Line>,
    ledger: Ledger<(usize, bool)>,
    left: [usize; 2],
    blocked: [bool; 2],
    refusals: usize,
    reads: bool,
    /// Of what the senders say to the quick one beside, and of what the bystander says to it.
    latencies: [Vec<Duration>; 2],
    ended: Vec<Closed>,
}

const SENDERS: [usize; 2] = [0, 1];
const SLOW: usize = 2;
const QUICK: usize = 3;
const BYSTANDER: usize = 4;

impl Play {
    fn new() -> Self {
        let mut world = World::new(1);
        let options = options();
        let recipe = Recipe { options: options.clone(), ..Recipe::relay("relay", 1) };
        let relay = world.host("relay", Metered::new(recipe.build(1)));
        world.name("relay.test", &[relay]);
        let names = ["a sender", "another sender", "slow", "quick", "bystander"].into_iter().enumerate();
        let hosts = names.map(|(n, name)| {
            let recipe = Recipe::new(name, 10 + n as u64).over("tcp:relay.test:7000");
            let recipe = Recipe { options: options.clone(), ..recipe };
            world.host(name, Metered::new(recipe.build(1)))
        });
        let hosts: Vec<_> = hosts.collect();
        for host in [relay].iter().chain(&hosts) {
            world.act(*host, |metered, cx| metered.call(|endpoint| endpoint.start(cx)));
        }
        Self {
            world,
            relay,
            hosts,
            bulk: Vec::new(),
            talk: Vec::new(),
            ledger: Ledger::new(&[Channel::reliable("bulk")]),
            left: [VOLUME; 2],
            blocked: [false; 2],
            refusals: 0,
            reads: true,
            latencies: [Vec::new(), Vec::new()],
            ended: Vec::new(),
        }
    }

    fn act<R>(&mut self, host: usize, call: impl FnOnce(&mut Endpoint, &mut switchboard::machine::Cx<'_>) -> R) -> R {
        self.world.act(self.hosts[host], |metered, cx| metered.call(|endpoint| call(endpoint, cx)))
    }

    fn id(&self, host: usize) -> EndpointId {
        self.world.machine(self.hosts[host]).endpoint().address().id
    }

    fn meet(&mut self) {
        self.until("neighbours", |play| play.world.machine(play.relay).endpoint().neighbours().count() == 5);
        let bulk = SENDERS.map(|from| (from, SLOW));
        let talk = SENDERS.into_iter().chain([BYSTANDER]).map(|from| (from, QUICK));
        for (from, to) in bulk.into_iter().chain(talk) {
            let id = self.id(to);
            let here = self.act(from, |endpoint, cx| endpoint.open(cx, id, vec![Channel::reliable("bulk")]));
            let lines = if to == SLOW { &mut self.bulk } else { &mut self.talk };
            lines.push(Line { from, to, here, stands: false, there: None });
        }
        self.until("sessions", |play| {
            play.bulk.iter().chain(&play.talk).all(|line| line.stands && line.there.is_some())
        });
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.world.now() + PATIENCE;
        while !done(self) {
            assert!(self.world.now() < end, "{what} at {}: {:?} left, {:?}", self.world.now(), self.left, self.ended);
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.world.run_for(TICK).unwrap_or_else(|failure| panic!("{failure}"));
        (0..self.hosts.len()).for_each(|host| self.look(host));
    }

    fn look(&mut self, host: usize) {
        self.world.events(self.hosts[host]);
        while host != SLOW || self.reads {
            let Some(event) = self.act(host, |endpoint, cx| endpoint.next(cx)) else { return };
            self.on_event(host, event);
        }
    }

    fn on_event(&mut self, host: usize, event: Event) {
        match event {
            Event::Incoming { session, from, .. } => {
                self.act(host, |endpoint, cx| endpoint.accept(cx, session));
                let from = (0..self.hosts.len()).find(|sender| self.id(*sender) == from.id).unwrap();
                let lines = if host == SLOW { &mut self.bulk } else { &mut self.talk };
                let line = lines.iter_mut().find(|line| line.from == from && line.to == host).unwrap();
                line.there = Some(session);
            }
            Event::Opened { session, .. } if host != SLOW && host != QUICK => {
                let mut lines = self.bulk.iter_mut().chain(&mut self.talk);
                lines.find(|line| line.from == host && line.here == session).unwrap().stands = true;
            }
            Event::Writable { .. } => self.blocked[host] = false,
            Event::Message { session, bytes, .. } if host == SLOW => {
                let line = self.bulk.iter().find(|line| line.there == Some(session)).unwrap();
                self.ledger.arrived((line.from, true), 0, &bytes);
            }
            Event::Message { session, bytes, .. } => {
                let from = self.talk.iter().find(|line| line.there == Some(session)).unwrap().from;
                let sent = Instant::from_nanos(u64::from_be_bytes(bytes[..8].try_into().unwrap()));
                self.latencies[usize::from(from == BYSTANDER)].push(self.world.now().since(sent));
            }
            Event::Closed { reason, .. } => self.ended.push(reason),
            _ => {}
        }
    }

    /// All that the two may send now.
    fn flood(&mut self) {
        for sender in SENDERS {
            while self.left[sender] > 0 && !self.blocked[sender] {
                let (session, message) = (self.bulk[sender].here, self.ledger.next((sender, false), 0, MESSAGE));
                match self.act(sender, |endpoint, cx| endpoint.send(cx, session, ChannelId(1), &message)) {
                    Ok(()) => {
                        self.ledger.sent((sender, false), 0, MESSAGE);
                        self.left[sender] = self.left[sender].saturating_sub(MESSAGE);
                    }
                    Err(SendError::Blocked) => (self.blocked[sender], self.refusals) = (true, self.refusals + 1),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    fn talk(&mut self) {
        let mut message = [0; 64];
        message[..8].copy_from_slice(&self.world.now().as_nanos().to_be_bytes());
        for line in 0..self.talk.len() {
            let (from, session) = (self.talk[line].from, self.talk[line].here);
            self.act(from, |endpoint, cx| endpoint.send(cx, session, ChannelId(1), &message)).unwrap();
        }
    }

    fn set_stopped(&mut self, stop: Stop, stopped: bool) {
        match stop {
            Stop::Never => {}
            Stop::Application => self.reads = !stopped,
            Stop::Sleep if stopped => self.world.cut(self.relay, self.hosts[SLOW]),
            Stop::Sleep => self.world.heal(self.relay, self.hosts[SLOW]),
            Stop::Host => self.world.act(self.hosts[SLOW], |metered, _| metered.set_deaf(stopped)),
        }
    }
}

/// What a play shows.
#[derive(Debug)]
struct Shown {
    latencies: [Vec<Duration>; 2],
    relay_peak: i64,
    dropped: u64,
    refusals: usize,
    /// How much the senders got rid of while nobody read.
    taken: usize,
}

fn options() -> Options {
    let limits =
        Limits { forward: FORWARD, session_send: 512 * 1024, session_receive: 512 * 1024, ..Limits::default() };
    Options { limits, ..Options::default() }
}

/// For that long the receiver reads nothing; then it does, and everything has to arrive.
fn play(stop: Stop, time: Duration) -> Shown {
    let mut play = Play::new();
    play.meet();
    let before = play.world.machine(play.relay).held();
    play.world.act(play.relay, |metered, _| metered.forget_peak());
    play.set_stopped(stop, true);
    let (end, mut next) = (play.world.now() + time, play.world.now());
    while play.world.now() < end {
        if stop != Stop::Never {
            play.flood();
        }
        if play.world.now() >= next {
            next = next + EVERY;
            play.talk();
        }
        play.tick();
    }
    let shown = Shown {
        latencies: std::mem::take(&mut play.latencies),
        relay_peak: play.world.machine(play.relay).peak() - before,
        dropped: play.world.machine(play.relay).endpoint().statistics().dropped_full,
        refusals: play.refusals,
        taken: 2 * VOLUME - play.left.iter().sum::<usize>(),
    };
    play.set_stopped(stop, false);
    if stop != Stop::Never {
        play.until("everything", |play| {
            play.flood();
            play.left == [0, 0] && SENDERS.iter().all(|sender| play.ledger.is_complete((*sender, false)))
        });
    }
    assert_eq!(play.ended, []);
    shown
}

fn check(stop: Stop, time: Duration) {
    let [usual, shown] = [play(Stop::Never, time), play(stop, time)];
    println!(
        "{stop:?} stops for {time:?}: latency of others {:?}, usually {:?}; of what its senders send to others {:?}; \
         relay {} bytes more, {} packets dropped; {} refusals after {} bytes",
        spread(&shown.latencies[1]),
        spread(&usual.latencies[1]),
        spread(&shown.latencies[0]),
        shown.relay_peak,
        shown.dropped,
        shown.refusals,
        shown.taken,
    );
    assert_eq!(shown.latencies[1], usual.latencies[1]);
    // What is sent beside the bulk waits for no more than what the bulk has in the air.
    let [most, usually] = [&shown, &usual].map(|play| spread(&play.latencies[0]));
    assert!(most[0] == usually[0] && most[1] <= usually[1] + Duration::from_millis(40), "{most:?} {usually:?}");
    // Twice for the part of a queue that was sent and is not given back yet, twice for vectors that double.
    assert!(shown.relay_peak <= 4 * FORWARD as i64 + 32 * 1024, "{} bytes", shown.relay_peak);
    assert!(shown.refusals >= 2 && shown.taken < 2 * VOLUME, "the senders were not told to wait");
}

/// The median and the longest.
fn spread(latencies: &[Duration]) -> [Duration; 2] {
    let mut sorted = latencies.to_vec();
    sorted.sort();
    [sorted[sorted.len() / 2], sorted[sorted.len() - 1]]
}

#[test]
fn an_application_that_stops_reading_slows_nobody_but_its_senders() {
    check(Stop::Application, Duration::from_secs(10));
}

#[test]
fn a_host_that_stops_reading_slows_nobody_but_its_senders() {
    for seconds in [3, 20, 55] {
        check(Stop::Host, Duration::from_secs(seconds));
    }
}

#[test]
fn a_host_that_sleeps_slows_nobody_but_its_senders() {
    for seconds in [3, 55] {
        check(Stop::Sleep, Duration::from_secs(seconds));
    }
}
