//! Endpoints that talk while a [`Scenario`] does its worst, and a judge that knows what must arrive.
//!
//! The hosts of the role `relay` are open relays, on each of their ports. All others are endpoints: each dials every
//! relay, keeps a session with the next endpoint in the order of the scenario, and both ends send numbered messages on
//! a reliable channel until everything is mended. The judge holds them to the promise of a session: what was accepted
//! arrives once and in order as long as the session lives; and once all is mended, every endpoint comes to have its
//! session again and everything that was accepted in it arrives in the scenario's time. Endpoints may make direct paths
//! ([`Rehearsal::direct`]); what is promised is the same.
//!
//! ```
//! use switchboard::connect::rehearsal::Rehearsal;
//! use switchboard::sim::scenario::Shape;
//!
//! let scenario = Shape { endpoints: 2..=2, ..Shape::default() }.from_seed(3);
//! let outcome = Rehearsal::new(&scenario).run(&mut |_| {})?;
//! assert_eq!(outcome.sent, outcome.arrived + outcome.forgotten);
//! # Ok::<(), switchboard::connect::rehearsal::Flaw>(())
//! ```

mod cast;
mod judge;

use std::collections::BTreeMap;
use std::time::Duration;

use cast::Troupe;
pub use judge::Broken;
use judge::Judge;

use super::Endpoint;
use crate::hub::channel::ChannelId;
use crate::hub::{Event, SessionId};
use crate::machine::time::Instant;
use crate::sim::scenario::{Failed, HostSpec, LinkSpec, Play};
use crate::sim::{Clock, DropReason, HostId, Profile, Recording, Scenario, Timeline};
#[cfg(feature = "webrtc")]
use crate::stack::peer::EngineKind;
#[cfg(feature = "webrtc")]
use crate::transport::webrtc::WebrtcConfig;
use crate::wire::identity::EndpointId;

/// How often applications look at the clock.
const TICK: Duration = Duration::from_millis(20);
/// Between two messages of one end.
const PACE: Duration = Duration::from_millis(100);
/// Between two tries to open a session.
const PAUSE: Duration = Duration::from_millis(500);
const CHANNEL: ChannelId = ChannelId::declared(0);

/// A scenario with endpoints in it.
pub struct Rehearsal {
    play: Play<Endpoint, Troupe>,
    actors: Vec<Actor>,
    by_host: BTreeMap<HostId, usize>,
    judge: Judge,
    path_changes: u64,
    went_direct: u64,
    closed: u64,
}

/// The application of one endpoint.
struct Actor {
    host: HostId,
    name: String,
    /// Whom it keeps a session with.
    partner: Option<EndpointId>,
    /// The session that it asked for.
    asked: Option<SessionId>,
    /// All that stand, with those that others asked for.
    open: Vec<SessionId>,
    next_try: Instant,
    next_word: Instant,
    boot: u32,
}

/// What a rehearsal that went well has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Messages that were accepted.
    pub sent: u64,
    /// Messages that arrived.
    pub arrived: u64,
    /// Messages that were accepted in a session that ended, and did not arrive.
    pub forgotten: u64,
    /// How often a session took another path.
    pub path_changes: u64,
    /// How often that was a direct one.
    pub went_direct: u64,
    /// Ends of sessions that had stood.
    pub closed: u64,
    /// The longest time between two arrivals in one direction of a session.
    pub longest_stall: Duration,
    /// From the heal until all was well.
    pub converged_after: Duration,
    /// How long the run was, in its own time.
    pub time: Duration,
    /// Packets that were dropped, by reason.
    pub drops: Vec<(DropReason, u64)>,
    /// Equal for equal runs.
    pub transcript_hash: u64,
}

/// Why a rehearsal failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Flaw {
    /// The run itself failed, or did not converge.
    #[error("{failed}{account}")]
    Run {
        /// Why, and what was played.
        failed: Failed,
        /// What was still missing, in words.
        account: String,
    },
    /// A promise was broken.
    #[error("{broken}\n--- the scenario; save it, and `switchboard sim replay FILE` plays it again\n{scenario}---")]
    Promise {
        /// Which.
        broken: Broken,
        /// What was played.
        scenario: Box<Scenario>,
    },
}

/// Two endpoints that meet through a relay, both on links of that profile, for 30 s; then they have 2 minutes.
pub fn on_profile(profile: Profile, seed: u64) -> Scenario {
    let host = |name: &str, role: &str, ports: &[u16]| HostSpec {
        name: name.to_owned(),
        role: role.to_owned(),
        inside: None,
        ports: ports.to_vec(),
        clock: Clock::default(),
    };
    let link = |name: &str| (name.to_owned(), LinkSpec::Profile(profile));
    Scenario {
        seed,
        gateways: Vec::new(),
        hosts: vec![host("relay", "relay", &[7433]), host("ada", "endpoint", &[]), host("bob", "endpoint", &[])],
        links: vec![link("ada"), link("bob")],
        faults: Vec::new(),
        heal: Duration::from_secs(30),
        converge: Duration::from_secs(120),
    }
}

impl Rehearsal {
    /// Endpoints in that scenario, not begun.
    pub fn new(scenario: &Scenario) -> Self {
        Self::played_by(scenario, Troupe::new(scenario))
    }

    /// Endpoints that make direct paths. The relays serve STUN, and TURN, to all (with the feature `turn`). Runs are
    /// equal if the config's [`Crypto`](crate::stack::peer::Crypto) is a world's: byte by byte but for what goes through
    /// TURN, or with `str0m` in times and sizes.
    #[cfg(feature = "webrtc")]
    pub fn direct(scenario: &Scenario, config: &WebrtcConfig) -> Self {
        let mut rehearsal = Self::played_by(scenario, Troupe::with_direct(scenario, config));
        let world = &mut rehearsal.play.world;
        world.leave_contents_out_of(cast::STUN);
        if config.engine != EngineKind::Data {
            world.leave_contents_out();
        }
        rehearsal
    }

    fn played_by(scenario: &Scenario, troupe: Troupe) -> Self {
        let ids = troupe.endpoints();
        let play = scenario.play(troupe);
        let actor = |(n, (name, _)): (usize, &(String, EndpointId))| Actor {
            host: play.host(name),
            name: name.clone(),
            partner: (ids.len() > 1).then(|| ids[(n + 1) % ids.len()].1).filter(|_| n + 1 < ids.len() || ids.len() > 2),
            asked: None,
            open: Vec::new(),
            next_try: Instant::ZERO,
            next_word: Instant::ZERO,
            boot: 0,
        };
        let actors: Vec<_> = ids.iter().enumerate().map(actor).collect();
        let by_host = actors.iter().enumerate().map(|(n, actor)| (actor.host, n)).collect();
        Self { play, actors, by_host, judge: Judge::default(), path_changes: 0, went_direct: 0, closed: 0 }
    }

    /// From now on keeps what happens, for [`Self::timeline`].
    pub fn record(&mut self, recording: Recording) {
        self.play.world.record(recording);
    }

    /// What was recorded so far.
    pub fn timeline(&self) -> Timeline {
        self.play.world.timeline()
    }

    /// Plays all of it. `progress` hears of the time in the world, now and then.
    ///
    /// # Errors
    /// What broke.
    pub fn run(&mut self, progress: &mut dyn FnMut(Duration)) -> Result<Outcome, Flaw> {
        let heal = self.play.scenario().heal;
        self.run_to(heal, progress)?;
        self.play.heal().map_err(|failed| self.flaw(failed))?;
        let converged_after = self.converge(progress)?;
        Ok(self.outcome(converged_after))
    }

    /// What was played so far, in numbers.
    pub fn so_far(&self) -> Outcome {
        self.outcome(Duration::ZERO)
    }

    /// Plays on until `at`, counted from the start, as long as the first phase lasts.
    ///
    /// # Errors
    /// What broke.
    pub fn run_to(&mut self, at: Duration, progress: &mut dyn FnMut(Duration)) -> Result<(), Flaw> {
        while self.now() < at {
            let until = (self.now() + TICK).min(at);
            self.pass(until)?;
            self.speak();
            progress(self.now());
        }
        Ok(())
    }

    fn converge(&mut self, progress: &mut dyn FnMut(Duration)) -> Result<Duration, Flaw> {
        let (start, limit) = (self.now(), self.play.scenario().converge);
        while !self.is_well() {
            if self.now() >= start + limit {
                let failed = self.play.converge_not(limit);
                return Err(self.flaw(failed));
            }
            self.pass((self.now() + TICK).min(start + limit))?;
            self.reopen();
            progress(self.now());
        }
        Ok(self.now() - start)
    }

    fn now(&self) -> Duration {
        self.play.world.now() - Instant::ZERO
    }

    /// Everything until `at`, each endpoint heard as soon as it has something to say.
    fn pass(&mut self, at: Duration) -> Result<(), Flaw> {
        loop {
            match self.play.step_to(at) {
                Ok(Some(host)) => self.listen(host)?,
                Ok(None) => return Ok(()),
                Err(failed) => return Err(self.flaw(failed)),
            }
        }
    }

    fn listen(&mut self, host: HostId) -> Result<(), Flaw> {
        let Some(&index) = self.by_host.get(&host) else { return Ok(()) };
        let actor = &mut self.actors[index];
        let boot = self.play.boots(&actor.name);
        if std::mem::replace(&mut actor.boot, boot) != boot {
            self.judge.process_ended(index);
            (actor.asked, actor.next_try) = (None, self.play.world.now());
            actor.open.clear();
        }
        let events = self.play.world.events(host);
        if events.is_empty() || !self.play.world.is_awake(host) {
            return Ok(());
        }
        while let Some(event) = self.play.world.act(host, |endpoint, cx| endpoint.next(cx)) {
            self.on_event(index, event)?;
        }
        Ok(())
    }

    fn on_event(&mut self, index: usize, event: Event) -> Result<(), Flaw> {
        let (now, actor) = (self.play.world.now(), &mut self.actors[index]);
        match event {
            Event::Incoming { session, .. } => {
                self.play.world.act(actor.host, |endpoint, cx| endpoint.accept(cx, session));
            }
            Event::Opened { session, .. } => {
                self.play.world.note(actor.host, "session stands", false);
                actor.open.push(session);
                self.judge.opened((index, session));
            }
            Event::Closed { session, reason, .. } => {
                self.play.world.note(actor.host, &format!("session ended: {reason}"), false);
                self.closed += u64::from(actor.open.contains(&session));
                actor.open.retain(|open| *open != session);
                if actor.asked == Some(session) {
                    (actor.asked, actor.next_try) = (None, now + PAUSE);
                }
                self.judge.ended((index, session));
            }
            Event::Message { session, bytes, .. } => {
                let verdict = self.judge.arrived(now, (index, session), &bytes);
                return verdict.map_err(|broken| self.promise(broken));
            }
            Event::Path { path, .. } => {
                self.path_changes += 1;
                self.went_direct += u64::from(path.direct);
                self.play.world.note(actor.host, &format!("path: {path}"), true);
            }
            Event::Disconnected { .. } => self.play.world.note(actor.host, "no path", true),
            Event::Reconnected { .. } => self.play.world.note(actor.host, "a path again", true),
            _ => {}
        }
        Ok(())
    }

    /// Each end of each session says the next word, if it is time.
    fn speak(&mut self) {
        self.reopen();
        let now = self.play.world.now();
        for index in 0..self.actors.len() {
            let actor = &mut self.actors[index];
            if now < actor.next_word || !self.play.world.is_awake(actor.host) {
                continue;
            }
            actor.next_word = now + PACE;
            for session in actor.open.clone() {
                self.say(index, session);
            }
        }
    }

    fn say(&mut self, index: usize, session: SessionId) {
        let place = (index, session);
        let message = self.judge.next(place);
        let host = self.actors[index].host;
        // Else it is blocked, or its `Closed` is under way.
        if self.play.world.act(host, |endpoint, cx| endpoint.send(cx, session, CHANNEL, &message)).is_ok() {
            self.judge.sent(place);
        }
    }

    /// Who has no session asks for one.
    fn reopen(&mut self) {
        let now = self.play.world.now();
        for actor in &mut self.actors {
            let Some(partner) = actor.partner else { continue };
            if actor.asked.is_some() || now < actor.next_try || !self.play.world.is_awake(actor.host) {
                continue;
            }
            actor.asked = Some(self.play.world.act(actor.host, |endpoint, cx| endpoint.open_session(cx, partner)));
        }
    }

    fn is_well(&self) -> bool {
        let stands =
            |actor: &Actor| actor.partner.is_none() || actor.asked.is_some_and(|asked| actor.open.contains(&asked));
        self.actors.iter().all(stands) && self.judge.is_complete()
    }

    fn flaw(&self, failed: Failed) -> Flaw {
        let waiting = self.actors.iter().filter(|actor| actor.partner.is_some() && actor.open.is_empty());
        let waiting: Vec<_> = waiting.map(|actor| format!("\n{} has no session", actor.name)).collect();
        Flaw::Run { failed, account: format!("{}{}", waiting.concat(), self.judge.account()) }
    }

    fn promise(&self, broken: Broken) -> Flaw {
        Flaw::Promise { broken, scenario: Box::new(self.play.scenario().clone()) }
    }

    fn outcome(&self, converged_after: Duration) -> Outcome {
        let (sent, arrived, forgotten) = self.judge.counts();
        Outcome {
            sent,
            arrived,
            forgotten,
            path_changes: self.path_changes,
            went_direct: self.went_direct,
            closed: self.closed,
            longest_stall: self.judge.longest_stall(),
            converged_after,
            time: self.now(),
            drops: self.play.world.drops().collect(),
            transcript_hash: self.play.world.transcript_hash(),
        }
    }
}
