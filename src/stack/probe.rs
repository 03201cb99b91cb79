//! The NAT probe: what the NATs before a host do, and whether it and another host reach each other directly.
//!
//! One machine, the same in worlds and on real networks:
//!
//! 1. From a socket of its own on each *path* (an address family, mostly) it runs the discovery of RFC 5780.
//! 2. From another socket on each path it asks the STUN server for its address outside. That socket is the one that
//!    is punched from, so that what it has sent before is one request to one server, as with ICE.
//! 3. It meets the other probe at a [`Rendezvous`], where the two exchange names, secrets and addresses by TCP.
//! 4. Both send checks to all addresses of the other that they know, and answer those of the other, for a bounded
//!    time. An answer from where the check was sent to is a [`Direct`] path.
//! 5. A path that was found is kept up for [`PunchConfig::linger`], so that the other finds it too.
//!
//! Steps 1 and 2 to 5 run side by side. The last event is the [`Verdict`]; all ports are closed then.
//!
//! Everything is bounded: [`MOST_PATHS`] paths, the lines of the rendezvous ([`LONGEST_LINE`]), the addresses and
//! checks ([`PunchConfig`]), the repetitions ([`Retransmission`]), and what waits to be sent.
//!
//! [`LONGEST_LINE`]: introduction::LONGEST_LINE

pub mod introduction;
mod meeting;
mod path;
mod punch;
mod rendezvous;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use introduction::{Introduction, MOST_CANDIDATES};
use meeting::Meeting;
use path::{Path, Role};
use punch::Punch;

use crate::link::stun::{Discovered, DiscoveryConfig, Retransmission};
use crate::machine::buf::Buf;
use crate::machine::ids::PortId;
use crate::machine::outbox::Outbox;
use crate::machine::port::{PortChange, PortError, PortRequest};
use crate::machine::{Cx, Deadline, Fill, Input, Machine, Output};

pub use meeting::{MeetingConfig, NotMet};
pub use punch::{Direct, PunchConfig, PunchCounters};
pub use rendezvous::{Rendezvous, RendezvousConfig, RendezvousCounters, RendezvousEvent};

/// The most paths of a probe; more are not looked at.
pub const MOST_PATHS: usize = 4;
/// What waits to be sent on one socket, in bytes: a check of each address, several times over.
const WAITING: usize = 32 * 1024;

/// From which address a probe asks which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathConfig {
    /// What it binds to punch from; address and port may be unspecified. Discovery has another port of that address.
    pub bind: SocketAddr,
    /// Its STUN server, of the same family; none: nothing is discovered, and only own addresses are told.
    pub stun: Option<SocketAddr>,
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Its paths, at most [`MOST_PATHS`].
    pub paths: Vec<PathConfig>,
    /// Addresses of this host that the other may try. Those that its sockets are bound to, or are asked at, are known
    /// without.
    pub hosts: Vec<IpAddr>,
    /// How long discovery waits for answers.
    pub discovery: DiscoveryConfig,
    /// How often the server is asked for the address to punch with.
    pub binding: Retransmission,
    /// Where to meet the other; none: discovery is all.
    pub meeting: Option<MeetingConfig>,
    /// How to check.
    pub punch: PunchConfig,
}

impl ProbeConfig {
    /// Discovery alone on these paths. A server that does not answer is given up after 9.5 s, sooner than RFC 8489
    /// would.
    pub fn new(paths: Vec<PathConfig>) -> Self {
        let answer = Retransmission { sends: 5, patience: 4, ..Retransmission::default() };
        Self {
            paths,
            hosts: Vec::new(),
            discovery: DiscoveryConfig { answer, ..DiscoveryConfig::default() },
            binding: Retransmission::SHORT,
            meeting: None,
            punch: PunchConfig::default(),
        }
    }
}

/// What came of discovery on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathVerdict {
    /// It has no server.
    NotAsked,
    /// It has no socket.
    NoSocket(PortError),
    /// It was asked.
    Asked(Discovered),
}

/// What came of the exchange with the other probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Punched {
    /// There is a direct path.
    Direct(Direct),
    /// There is none.
    NotDirect(NotDirect),
}

/// Why there is no direct path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDirect {
    /// No path has a socket.
    #[error("no path has a socket")]
    NoSocket,
    /// The other was not met.
    #[error(transparent)]
    NotMet(#[from] NotMet),
    /// No check was answered in time from where it was sent to.
    #[error("no check was answered")]
    NoAnswer,
}

/// All that a probe has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the NATs do, path by path.
    pub paths: Vec<PathVerdict>,
    /// Whether the other is reached; `None`: nobody was to be met.
    pub punched: Option<Punched>,
    /// What was seen while punching.
    pub counters: PunchCounters,
}

/// What a [`Probe`] says. The last is `Verdict`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeEvent {
    /// Discovery on a path has ended.
    Discovered {
        /// Which.
        path: usize,
        /// How.
        verdict: PathVerdict,
    },
    /// The address to punch with is known, or is not to be known.
    Gathered {
        /// On which path.
        path: usize,
        /// Our address as the server sees it.
        reflexive: Option<SocketAddr>,
    },
    /// The other was met; checks begin.
    Met {
        /// Its name.
        id: String,
        /// Where it may be reached.
        candidates: Vec<SocketAddr>,
    },
    /// Whether the other is reached; a direct path is told as soon as it is found.
    Punched(Punched),
    /// It is over.
    Verdict(Verdict),
}

/// A NAT probe. It begins at once and takes no commands.
#[derive(Debug)]
pub struct Probe {
    config: ProbeConfig,
    paths: Vec<Path>,
    meeting: Option<Meeting>,
    punch: Option<Punch>,
    stage: Stage,
    punched: Option<Punched>,
    is_over: bool,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<ProbeEvent>,
    outbox: Outbox,
    /// The connection to the rendezvous, once our line can be sent.
    speaks: Option<PortId>,
}

/// How far the exchange with the other has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was begun.
    New,
    /// Our addresses are asked for.
    Gathering,
    /// The other is waited for.
    Meeting,
    /// Checks are sent.
    Punching,
    /// It is known what came of it.
    Ended,
}

impl Probe {
    /// A probe that begins as soon as it runs.
    pub fn new(mut config: ProbeConfig) -> Self {
        config.paths.truncate(MOST_PATHS);
        Self {
            config,
            paths: Vec::new(),
            meeting: None,
            punch: None,
            stage: Stage::New,
            punched: None,
            is_over: false,
            requests: VecDeque::new(),
            events: VecDeque::new(),
            outbox: Outbox::new(WAITING),
            speaks: None,
        }
    }

    /// Whether the verdict was reached.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        self.punch = self.config.meeting.as_ref().map(|_| Punch::new(cx.rng, self.config.punch));
        self.stage = Stage::Gathering;
        for config in &self.config.paths {
            let path = Path::open(cx, *config, self.punch.is_some(), &mut self.requests);
            self.paths.push(path);
        }
        self.settle(cx);
    }

    /// Takes what has become due or known to its end, step by step.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        if self.is_over {
            return;
        }
        for (number, path) in self.paths.iter_mut().enumerate() {
            path.tell(number, &mut self.events);
        }
        if self.stage == Stage::Gathering && self.paths.iter().all(Path::is_gathered) {
            self.meet(cx);
        }
        if self.stage == Stage::Punching {
            self.watch(cx);
        }
        if self.stage == Stage::Ended && self.paths.iter().all(Path::is_discovered) {
            self.finish();
        }
    }

    fn meet(&mut self, cx: &mut Cx<'_>) {
        let (Some(config), Some(punch)) = (&self.config.meeting, &self.punch) else {
            self.stage = Stage::Ended;
            return;
        };
        if self.paths.iter().all(|path| path.punching().is_none()) {
            return self.conclude(Punched::NotDirect(NotDirect::NoSocket));
        }
        if !introduction::is_word(&config.word) {
            return self.conclude(Punched::NotDirect(NotMet::Word.into()));
        }
        let line = punch.introduction(self.candidates()).line(&config.word);
        let (meeting, request) = Meeting::open(cx, config, line);
        self.requests.push_back(request);
        (self.meeting, self.stage) = (Some(meeting), Stage::Meeting);
    }

    /// What the other may try: our own addresses, then those outside.
    fn candidates(&self) -> Vec<SocketAddr> {
        let own = self.paths.iter().flat_map(|path| path.own(&self.config.hosts));
        let outside = self.paths.iter().filter_map(Path::reflexive);
        let mut candidates: Vec<SocketAddr> = Vec::new();
        for candidate in outside.chain(own) {
            if !candidates.contains(&candidate) && candidates.len() < MOST_CANDIDATES {
                candidates.push(candidate);
            }
        }
        candidates
    }

    fn met(&mut self, cx: &mut Cx<'_>, other: Introduction) {
        let Introduction { id, candidates, .. } = other.clone();
        self.events.push_back(ProbeEvent::Met { id, candidates });
        self.leave_rendezvous();
        self.stage = Stage::Punching;
        let sockets = self.paths.iter().enumerate();
        let sockets: Vec<_> = sockets.filter_map(|(number, path)| Some((number, path.punching()?))).collect();
        if let Some(punch) = &mut self.punch {
            punch.begin(cx.now, other, &sockets);
        }
        self.send_checks(cx);
    }

    fn not_met(&mut self, why: NotMet) {
        // A port that failed is dead already.
        match why {
            NotMet::Port(_) => self.meeting = None,
            _ => self.leave_rendezvous(),
        }
        self.conclude(Punched::NotDirect(why.into()));
    }

    fn leave_rendezvous(&mut self) {
        if let Some(meeting) = self.meeting.take() {
            self.speaks = None;
            self.requests.push_back((meeting.port(), PortRequest::Abort));
        }
    }

    /// Tells a path as soon as it is found, and ends the exchange in time.
    fn watch(&mut self, cx: &mut Cx<'_>) {
        let Some(punch) = &self.punch else { return };
        let (direct, is_over) = (punch.direct(), punch.end().is_some_and(|end| end <= cx.now));
        match direct {
            Some(direct) if self.punched.is_none() => self.say(Punched::Direct(direct)),
            None if is_over => self.say(Punched::NotDirect(NotDirect::NoAnswer)),
            _ => {}
        }
        if is_over {
            self.stage = Stage::Ended;
        }
    }

    fn conclude(&mut self, punched: Punched) {
        self.say(punched);
        self.stage = Stage::Ended;
    }

    fn say(&mut self, punched: Punched) {
        self.punched = Some(punched);
        self.events.push_back(ProbeEvent::Punched(punched));
    }

    fn finish(&mut self) {
        self.is_over = true;
        for path in &mut self.paths {
            path.close(&mut self.requests, &mut self.outbox);
        }
        let paths = self.paths.iter().map(Path::verdict).collect();
        let counters = self.punch.as_ref().map(Punch::counters).unwrap_or_default();
        self.events.push_back(ProbeEvent::Verdict(Verdict { paths, punched: self.punched, counters }));
    }

    fn send_checks(&mut self, cx: &mut Cx<'_>) {
        let Self { punch: Some(punch), paths, outbox, .. } = self else { return };
        punch.on_timeout(cx.now, cx.rng, &mut |socket, outgoing| {
            if let Some(path) = paths.get_mut(socket) {
                path.send(Role::Punching, outgoing, outbox);
            }
        });
    }

    fn on_datagram(&mut self, cx: &mut Cx<'_>, port: PortId, source: SocketAddr, to: Option<IpAddr>, data: &[u8]) {
        let Self { config, punch, paths, outbox, .. } = self;
        let Some((number, role)) = find(paths, port) else { return };
        if paths[number].receive(cx, role, source, to, data, outbox) || role == Role::Discovery {
            return;
        }
        let Some(punch) = punch else { return };
        let is_ours = config.paths[number].bind.is_ipv4() == source.is_ipv4();
        punch.receive(cx.now, cx.rng, number, source, data, &mut |socket, outgoing| {
            if let Some(path) = paths.get_mut(socket).filter(|_| is_ours) {
                path.send(Role::Punching, outgoing, outbox);
            }
        });
    }

    fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: &PortChange) {
        if let Some(meeting) = self.meeting.as_ref().filter(|meeting| meeting.port() == port) {
            match meeting.on_port(change) {
                Ok(true) => self.speaks = Some(port),
                Ok(false) => {}
                Err(why) => self.not_met(why),
            }
        } else if let Some((number, role)) = find(&self.paths, port) {
            self.paths[number].on_port(cx, role, change, &self.config, &mut self.outbox);
        }
    }

    fn on_line(&mut self, cx: &mut Cx<'_>, data: &[u8]) {
        match self.meeting.as_mut().map(|meeting| meeting.receive(data)) {
            Some(Ok(Some(other))) => self.met(cx, other),
            Some(Err(why)) => self.not_met(why),
            Some(Ok(None)) | None => {}
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        for path in &mut self.paths {
            path.on_timeout(cx, &mut self.outbox);
        }
        if self.meeting.as_ref().is_some_and(|meeting| meeting.deadline().at <= cx.now) {
            self.not_met(NotMet::TimedOut);
        }
        if self.stage == Stage::Punching {
            self.send_checks(cx);
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.is_over {
            return None;
        }
        let punch = self.punch.as_ref().filter(|_| self.stage == Stage::Punching);
        let others = self.meeting.as_ref().map(Meeting::deadline).into_iter().chain(punch.and_then(Punch::deadline));
        self.paths.iter().filter_map(Path::deadline).chain(others).min_by_key(|deadline| deadline.at)
    }
}

fn find(paths: &[Path], port: PortId) -> Option<(usize, Role)> {
    paths.iter().enumerate().find_map(|(number, path)| Some((number, path.role(port)?)))
}

impl Machine for Probe {
    type Command = ();
    type Event = ProbeEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Timeout => self.on_timeout(cx),
            Input::Datagrams(port, datagrams) => {
                datagrams.for_each(|one| self.on_datagram(cx, port, one.source, one.destination, one.data));
            }
            Input::Receive(_, data) => self.on_line(cx, data),
            Input::Port(port, change) => self.on_port(cx, port, &change),
            Input::Command(()) => {}
        }
        self.settle(cx);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<ProbeEvent> {
        if self.stage == Stage::New {
            self.start(cx);
        }
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        let ready = self.speaks.take().or_else(|| self.outbox.pop_ready());
        ready.map_or_else(|| Output::Wait(self.deadline()), Output::Ready)
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        if let Some(meeting) = self.meeting.as_mut().filter(|meeting| meeting.port() == port) {
            return meeting.fill(buf);
        }
        self.outbox.fill(port, buf)
    }
}
