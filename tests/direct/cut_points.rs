//! A direct path may end at any moment: nothing is lost, repeated or put out of order by it.
//!
//! 512 KiB go both ways on two reliable channels, and messages on one channel of each other kind, over a link that
//! loses one packet of a hundred, while the session goes from the relay to its direct path. A first run counts what
//! happens in the world; then each run takes one of these moments, and cuts the two hosts off from each other there,
//! one way or both. The relay stays within reach. Some cuts heal before anybody can notice, some while the path is
//! suspect, some while a replacement is under way, some never. CI takes some points, `SWITCHBOARD_CAMPAIGN=full` more.
//!
//! The link's queue takes longer to pass what the reliable channels fill it with than a message of the channels with a
//! lifetime may live: most of theirs are lost, cut or not.

use std::collections::BTreeMap;
use std::time::Duration;

use switchboard::hub::channel::{Channel, Reliability};
use switchboard::hub::session::event::{CloseReason, SendError};
use switchboard::hub::{Closed, Event};
use switchboard::machine::limits::Limits;
use switchboard::sim::{Conditions, Link, Loss};
use switchboard::stack::peer::EngineKind;

use crate::common::campaign;
use crate::ledger::Ledger;
use crate::party::engines;
use crate::stage::{MS, Plan, SECOND, Scene};

/// What each side sends on reliable channels, in bytes.
const VOLUME: usize = 512 * 1024;
/// What each side sends on each other channel, in messages.
const WORDS: usize = 60;
const TICK: Duration = Duration::from_millis(10);
const BOUND: Duration = Duration::from_secs(60);
const SIZES: [usize; 5] = [64, 1_000, 20_000, 300, 4_000];
const SMALL: [usize; 5] = [900, 64, 700, 2_500, 300];

/// Which way nothing passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Both,
    There,
    Back,
}

/// Where the direct path dies, and what becomes of it.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// After so many things have happened.
    at: usize,
    way: Way,
    /// When it lives again.
    heals: Option<Duration>,
}

impl Cut {
    fn new(n: usize, at: usize) -> Self {
        let way = [Way::Both, Way::There, Way::Back][n % 3];
        let heals = [Some(15 * MS), Some(400 * MS), Some(1_500 * MS), None][n / 3 % 4];
        Self { at, way, heals }
    }
}

/// What the runs have seen.
#[derive(Debug, Default)]
struct Histogram {
    kinds: BTreeMap<(Way, Option<Duration>), usize>,
    engines: BTreeMap<String, usize>,
    went_down: BTreeMap<usize, usize>,
    peers: BTreeMap<usize, usize>,
    disconnected: usize,
    arrived: u64,
    lost: u64,
}

fn channels() -> Vec<Channel> {
    let ordered = Channel::reliable("ordered");
    let once = ordered.clone().with(Reliability::MaxRetransmits(1));
    let soon = ordered.clone().with(Reliability::MaxLifetime(300 * MS));
    let unordered = Channel { label: "unordered".into(), ..ordered.clone().unordered() };
    let once_unordered = Channel { label: "once unordered".into(), ..once.clone().unordered() };
    let soon_unordered = Channel { label: "soon unordered".into(), ..soon.clone().unordered() };
    let once = Channel { label: "once".into(), ..once };
    let soon = Channel { label: "soon".into(), ..soon };
    vec![ordered, unordered, once, once_unordered, soon, soon_unordered]
}

struct Run {
    scene: Scene,
    ledger: Ledger<usize>,
    left: [usize; 2],
    words: [usize; 2],
    taken: [usize; 2],
    turn: usize,
    blocked: [bool; 2],
    next_tick: Duration,
    /// Whether a side had no path at all for a while.
    was_alone: bool,
}

impl Run {
    fn new(seed: u64, engines: [EngineKind; 2]) -> Self {
        let channels = channels();
        let limits = Limits { session_send: 128 * 1024, session_receive: 128 * 1024, ..Limits::default() };
        let mut scene = Scene::new(Plan { channels: channels.clone(), limits, engines, ..Plan::new(seed) });
        let conditions = Conditions { loss: Loss::Independent(0.01), rate: Some(300_000), ..Conditions::default() };
        let ada = scene.actors[0].host;
        scene.world.link(ada, Link::symmetric(conditions));
        scene.open();
        let next_tick = scene.now();
        let ledger = Ledger::new(&channels);
        Self {
            scene,
            ledger,
            left: [VOLUME; 2],
            words: [WORDS; 2],
            taken: [0; 2],
            turn: 0,
            blocked: [false; 2],
            next_tick,
            was_alone: false,
        }
    }

    /// Until all is there. Answers how many things have happened.
    fn run(&mut self, cut: Option<Cut>) -> usize {
        let (start, mut steps, mut heal) = (self.scene.now(), 0, None);
        while !self.is_complete() {
            let now = self.scene.now();
            assert!(now < start + BOUND, "{}; {}; {}", self.account(0), self.account(1), self.scene.account());
            if let Some(cut) = cut.filter(|cut| cut.at == steps) {
                self.cut(cut.way);
                heal = cut.heals.map(|after| now + after);
            }
            if heal.is_some_and(|at| at <= now) {
                heal = None;
                self.heal();
            }
            self.send();
            let end = if self.sends() { self.next_tick } else { now + SECOND };
            steps += usize::from(self.scene.step(heal.map_or(end, |at| at.min(end))));
            self.take();
        }
        let is_gone = |(_, event): &(Duration, Event)| matches!(event, Event::Disconnected { .. });
        self.was_alone = self.scene.actors.iter().any(|actor| actor.events.iter().any(is_gone));
        self.goodbye();
        steps
    }

    fn cut(&mut self, way: Way) {
        let [ada, bob] = self.hosts();
        match way {
            Way::Both => self.scene.world.cut(ada, bob),
            Way::There => self.scene.world.cut_one_way(ada, bob),
            Way::Back => self.scene.world.cut_one_way(bob, ada),
        }
    }

    fn heal(&mut self) {
        let [ada, bob] = self.hosts();
        self.scene.world.heal(ada, bob);
    }

    fn hosts(&self) -> [switchboard::sim::HostId; 2] {
        self.scene.actors.each_ref().map(|actor| actor.host)
    }

    fn sends(&self) -> bool {
        (0..2).any(|n| self.words[n] > 0 || self.left[n] > 0 && !self.blocked[n])
    }

    fn is_complete(&self) -> bool {
        self.left == [0; 2] && self.words == [0; 2] && (0..2).all(|n| self.ledger.is_complete(n))
    }

    fn account(&self, n: usize) -> String {
        self.ledger.account(n)
    }

    fn send(&mut self) {
        let ticks = self.scene.now() >= self.next_tick;
        if ticks {
            self.next_tick = self.scene.now() + TICK;
        }
        for n in 0..2 {
            while self.left[n] > 0 && !self.blocked[n] {
                self.turn += 1;
                let size = SIZES[self.turn % SIZES.len()];
                self.say(n, self.turn % 2, size);
            }
            if ticks && self.words[n] > 0 {
                self.words[n] -= 1;
                let size = SMALL[self.words[n] % SMALL.len()];
                (2..6).for_each(|channel| self.say(n, channel, size));
            }
        }
    }

    fn say(&mut self, n: usize, channel: usize, size: usize) {
        let message = self.ledger.next(n, channel, size);
        match self.scene.send(n, channel, &message) {
            Ok(()) => {
                self.ledger.sent(n, channel, size);
                if channel < 2 {
                    self.left[n] = self.left[n].saturating_sub(size);
                }
            }
            Err(SendError::Blocked) if channel < 2 => self.blocked[n] = true,
            Err(SendError::Blocked) => {}
            Err(error) => panic!("{error}: {}", self.scene.account()),
        }
    }

    fn take(&mut self) {
        for n in 0..2 {
            for (_, channel, bytes) in std::mem::take(&mut self.scene.actors[n].heard) {
                self.ledger.arrived(n, channel.index() - 1, &bytes);
            }
            let events = &self.scene.actors[n].events;
            for (_, event) in &events[self.taken[n]..] {
                match event {
                    Event::Writable { .. } => self.blocked[n] = false,
                    Event::Closed { reason, .. } => panic!("closed: {reason}; {}", self.scene.account()),
                    _ => {}
                }
            }
            self.taken[n] = events.len();
        }
    }

    fn goodbye(&mut self) {
        let session = self.scene.actors[0].session.unwrap();
        self.scene.act(0, |endpoint, cx| endpoint.close(cx, session, 3, "done"));
        self.scene.until("goodbye", BOUND, |scene| scene.actors.iter().all(|actor| actor.session.is_none()));
        let reasons = self.scene.actors.each_ref().map(|actor| {
            let closed = actor.events.iter().find_map(|(_, event)| match event {
                Event::Closed { reason, .. } => Some(reason.clone()),
                _ => None,
            });
            closed.unwrap()
        });
        let peer = CloseReason::Peer { code: 3, text: "done".into() };
        assert_eq!(reasons, [Closed::Ended(CloseReason::Local), Closed::Ended(peer)]);
    }

    fn tell(&self, cut: Cut, histogram: &mut Histogram) {
        *histogram.kinds.entry((cut.way, cut.heals)).or_default() += 1;
        *histogram.engines.entry(format!("{:?}", self.scene.plan.engines)).or_default() += 1;
        let (_, down) = self.scene.changes(0);
        *histogram.went_down.entry(down).or_default() += 1;
        *histogram.peers.entry(self.scene.peers(0)).or_default() += 1;
        histogram.disconnected += usize::from(self.was_alone);
        let (arrived, lost) = self.ledger.counts(&[0, 1]);
        (histogram.arrived, histogram.lost) = (histogram.arrived + arrived, histogram.lost + lost);
    }
}

struct Named(u64, [EngineKind; 2], Option<Cut>);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was seed {}, {:?}, {:?}", self.0, self.1, self.2);
        }
    }
}

fn run(seed: u64, engines: [EngineKind; 2], cut: Option<Cut>) -> (Run, usize) {
    let _named = Named(seed, engines, cut);
    let mut run = Run::new(seed, engines);
    let steps = run.run(cut);
    (run, steps)
}

#[test]
fn a_direct_path_may_end_at_any_moment() {
    let (seeds, points) = if campaign::is_full() { (20, 80) } else { (6, 50) };
    let mut histogram = Histogram::default();
    for seed in 0..seeds {
        let [steps, with_str0m, mixed] = [0, 3, 7].map(|number| {
            let (whole, steps) = run(seed, engines(number), None);
            println!("seed {seed}, {:?}, not cut: {}", engines(number), whole.account(0));
            steps
        });
        for n in 0..points {
            // Points of one seed lie between those of the others.
            let engines = engines(n as u64);
            let steps = match engines {
                [EngineKind::Data, EngineKind::Data] => steps,
                [EngineKind::Str0m, EngineKind::Str0m] => with_str0m,
                _ => mixed,
            };
            let at = (n * seeds as usize + seed as usize) * steps / (points * seeds as usize);
            let cut = Cut::new(n + seed as usize, at);
            run(seed, engines, Some(cut)).0.tell(cut, &mut histogram);
        }
        println!("seed {seed}: {points} of {steps} moments");
    }
    println!("{histogram:#?}");
    let left: usize = histogram.went_down.range(1..).map(|(_, runs)| runs).sum();
    assert!(left * 4 > seeds as usize * points, "few of the cuts were noticed: {histogram:?}");
    assert!(histogram.arrived > histogram.lost, "{histogram:?}");
}
