//! A plan, carried out in a world.

use std::collections::VecDeque;
use std::time::Duration;

use switchboard::connect::{Endpoint, Options};
use switchboard::hub::channel::ChannelId;
use switchboard::hub::session::event::{CloseReason, PathId, SendError};
use switchboard::hub::{Closed, Event, PathPolicy, Quotas, SessionId};
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;
use switchboard::sim::{HostId, World};
use switchboard::transport::Reconnect;
use switchboard::wire::identity::Address;

use super::Histogram;
use super::plan::{End, KINDS, Line, Plan, Step};
use crate::ledger::Ledger;
use crate::party::Recipe;

/// How often applications look at their endpoints.
const TICK: Duration = Duration::from_millis(4);
/// From the last fault until everything is there.
const BOUND: Duration = Duration::from_secs(180);
/// Between two tries to open a session.
const PAUSE: Duration = Duration::from_millis(500);
const GOODBYE: (u8, &str) = (7, "that is all");

/// A session as one process of one end knows it.
type Place = (End, u64, SessionId);

/// One endpoint and its application.
struct Node {
    host: HostId,
    recipe: Recipe,
    life: u64,
    /// The session that is open, and the one that is asked for.
    session: Option<SessionId>,
    asked: Option<SessionId>,
    next_try: Instant,
    path: Option<PathId>,
    outbox: [VecDeque<usize>; KINDS],
    blocked: [bool; KINDS],
    stalled_until: Instant,
    news: bool,
    /// With which process of the other end it has the session.
    peer: Option<Address>,
    /// Why sessions ended.
    ended: Vec<(SessionId, Closed)>,
}

pub(super) struct Play<'a> {
    plan: &'a Plan,
    world: World<Endpoint>,
    relays: Vec<(HostId, Recipe, u64, bool)>,
    nodes: Vec<Node>,
    ledger: Ledger<Place>,
    histogram: &'a mut Histogram,
    closing: bool,
}

impl<'a> Play<'a> {
    pub(super) fn new(plan: &'a Plan, histogram: &'a mut Histogram) -> Self {
        let mut world = World::new(plan.seed);
        world.default_delay(plan.delay);
        let relays: Vec<_> = (0..2).map(|n| relay(&mut world, plan, n)).collect();
        let nodes: Vec<_> = End::BOTH.into_iter().map(|end| Node::new(&mut world, plan, end)).collect();
        world.name("relay0.test", &[relays[0].0]);
        world.name("relay1.test", &[relays[1].0]);
        world.name("b.test", &[nodes[1].host]);
        let ledger = Ledger::new(&plan.channels);
        let mut play = Self { plan, world, relays, nodes, ledger, histogram, closing: false };
        play.set_rates();
        let hosts: Vec<_> =
            play.relays.iter().map(|relay| relay.0).chain([play.host(End::A), play.host(End::B)]).collect();
        for host in hosts {
            play.world.act(host, |endpoint, cx| endpoint.start(cx));
        }
        play
    }

    fn set_rates(&mut self) {
        let Some(rate) = self.plan.rate else { return };
        for relay in 0..self.relays.len() {
            self.world.rate(self.relays[relay].0, self.host(End::B), rate);
        }
    }

    fn host(&self, end: End) -> HostId {
        self.nodes[end.index()].host
    }

    fn count(&mut self, what: &'static str, times: u64) {
        *self.histogram.entry(what).or_default() += times;
    }

    pub(super) fn run(mut self) {
        self.count("worlds with two transports to one relay", u64::from(self.plan.twice.contains(&true)));
        self.count("worlds with two relays", u64::from(self.plan.second_relay));
        self.count("worlds with a direct link", u64::from(self.plan.direct));
        self.pass(Duration::from_millis(500));
        for step in &self.plan.steps {
            self.step(*step);
        }
        self.heal();
        self.converge();
        self.part();
        self.sum_up();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(time) => self.pass(time),
            Step::Send { from, channel, count, size } => {
                self.nodes[from.index()].outbox[channel].extend(std::iter::repeat_n(size, count));
            }
            Step::Cut(line) => self.cut(line, true),
            Step::Heal(line) => self.cut(line, false),
            Step::Outage(end, time) => self.outage(end, time),
            Step::Dismiss(end, nth) => self.dismiss(end, nth),
            Step::Stall(end, time) => self.stall(end, time),
            Step::Wish(end, policy) => self.wish(end, policy),
            Step::KillRelay(n) => self.kill_relay(n),
            Step::RebootRelay(n) => self.reboot_relay(n),
            Step::Restart(end) => self.restart(end),
        }
    }

    fn hosts_of(&self, line: Line) -> (HostId, HostId) {
        match line {
            Line::ToRelay(end, relay) => (self.host(end), self.relays[relay].0),
            Line::Direct => (self.host(End::A), self.host(End::B)),
        }
    }

    fn cut(&mut self, line: Line, cut: bool) {
        let (a, b) = self.hosts_of(line);
        if cut {
            self.count("cuts", 1);
            self.world.cut(a, b);
        } else {
            self.count("heals", 1);
            self.world.heal(a, b);
        }
    }

    fn outage(&mut self, end: End, time: Duration) {
        self.count("outages", 1);
        let lines = || Line::ALL.into_iter().filter(move |line| line.touches(end));
        lines().for_each(|line| self.cut(line, true));
        self.pass(time);
        lines().for_each(|line| self.cut(line, false));
    }

    fn dismiss(&mut self, end: End, nth: usize) {
        let host = self.host(end);
        let links: Vec<_> = self.world.machine(host).neighbours().map(|(link, _)| link).collect();
        if links.is_empty() {
            return;
        }
        self.count("links dismissed", 1);
        self.world.act(host, |endpoint, cx| endpoint.dismiss(cx, links[nth % links.len()]));
    }

    fn stall(&mut self, end: End, time: Duration) {
        self.count("stalls", 1);
        self.nodes[end.index()].stalled_until = self.world.now() + time;
    }

    fn wish(&mut self, end: End, policy: PathPolicy) {
        let node = &self.nodes[end.index()];
        if let Some(session) = node.session {
            self.world.act(node.host, |endpoint, cx| endpoint.set_path_policy(cx, session, policy));
            self.count("wishes for paths", 1);
        }
    }

    fn kill_relay(&mut self, n: usize) {
        if self.relays[n].3 {
            self.note_relay(n);
            self.count("relays killed", 1);
            self.world.kill(self.relays[n].0);
            self.relays[n].3 = false;
        }
    }

    fn reboot_relay(&mut self, n: usize) {
        if self.relays[n].3 {
            self.note_relay(n);
        }
        self.count("relays rebooted", 1);
        let (host, recipe, life, up) = &mut self.relays[n];
        *life += 1;
        *up = true;
        self.world.reboot(*host, recipe.build(*life));
        self.world.act(*host, |endpoint, cx| endpoint.start(cx));
    }

    /// What a relay has dropped, before it forgets.
    fn note_relay(&mut self, n: usize) {
        let statistics = self.world.machine(self.relays[n].0).statistics();
        self.count("drops over quota", statistics.dropped_quota);
        self.count("drops by a full queue", statistics.dropped_full);
    }

    fn restart(&mut self, end: End) {
        self.count("restarts", 1);
        let node = &mut self.nodes[end.index()];
        node.life += 1;
        (node.session, node.asked, node.path, node.news) = (None, None, None, false);
        (node.blocked, node.stalled_until) = ([false; KINDS], Instant::ZERO);
        self.world.reboot(node.host, node.recipe.build(node.life));
        self.world.act(node.host, |endpoint, cx| endpoint.start(cx));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.world.now() < end {
            self.world.run_for(TICK).unwrap_or_else(|failure| panic!("{failure}"));
            End::BOTH.into_iter().for_each(|end| self.live(end));
        }
    }

    /// What an application does: it takes what there is, wants a session if it has none, and sends.
    fn live(&mut self, end: End) {
        let now = self.world.now();
        let node = &mut self.nodes[end.index()];
        let host = node.host;
        node.news |= !self.world.events(host).is_empty();
        if now < node.stalled_until {
            return;
        }
        if std::mem::take(&mut node.news) {
            while let Some(event) = self.world.act(host, |endpoint, cx| endpoint.next(cx)) {
                self.on_event(end, event);
            }
        }
        if end == End::A && !self.closing {
            self.want_session();
        }
        self.send(end);
    }

    fn want_session(&mut self) {
        let [a, b] = [End::A, End::B].map(|end| self.host(end));
        let node = &mut self.nodes[End::A.index()];
        let now = self.world.now();
        if node.session.is_some() || node.asked.is_some() || now < node.next_try {
            return;
        }
        node.next_try = now + PAUSE;
        let (to, channels) = (self.world.machine(b).address().id, self.plan.channels.clone());
        node.asked = Some(self.world.act(a, |endpoint, cx| endpoint.open(cx, to, channels)));
    }

    fn send(&mut self, end: End) {
        let Some(place) = self.place(end) else { return };
        for channel in 0..KINDS {
            while let Some(&size) = self.nodes[end.index()].outbox[channel].front() {
                if self.nodes[end.index()].blocked[channel] || !self.send_one(place, channel, size) {
                    break;
                }
            }
        }
    }

    fn send_one(&mut self, place: Place, channel: usize, size: usize) -> bool {
        let message = self.ledger.next(place, channel, size);
        let node = &mut self.nodes[place.0.index()];
        let id = ChannelId::declared(channel);
        match self.world.act(node.host, |endpoint, cx| endpoint.send(cx, place.2, id, &message)) {
            Ok(()) => {
                node.outbox[channel].pop_front();
                self.ledger.sent(place, channel, message.len());
                true
            }
            Err(SendError::Blocked) => {
                node.blocked[channel] = true;
                self.count("blocked sends", 1);
                false
            }
            // It has ended, and the event has not been looked at.
            Err(SendError::NotOpen) => false,
            Err(other) => panic!("{place:?}: {other}"),
        }
    }

    fn place(&self, end: End) -> Option<Place> {
        let node = &self.nodes[end.index()];
        Some((end, node.life, node.session?))
    }

    fn on_event(&mut self, end: End, event: Event) {
        let life = self.nodes[end.index()].life;
        match event {
            Event::Incoming { session, .. } => {
                self.world.act(self.host(end), |endpoint, cx| endpoint.accept(cx, session));
            }
            Event::Opened { session, peer } => self.opened(end, session, peer),
            Event::Path { session, path, .. } => {
                let node = &mut self.nodes[end.index()];
                if node.session == Some(session) && node.path.replace(path.path).is_some_and(|old| old != path.path) {
                    self.count("path changes", 1);
                }
            }
            Event::Disconnected { .. } => self.count("disconnects", 1),
            Event::Reconnected { .. } => self.count("resumes", 1),
            Event::Writable { session, channel } => {
                let node = &mut self.nodes[end.index()];
                if node.session == Some(session) {
                    node.blocked[channel.index() - 1] = false;
                }
            }
            Event::Message { session, channel, bytes } => {
                self.ledger.arrived((end, life, session), channel.index() - 1, &bytes);
            }
            Event::Closed { session, reason, .. } => self.closed(end, session, reason),
            _ => {}
        }
    }

    fn opened(&mut self, end: End, session: SessionId, peer: Address) {
        let node = &mut self.nodes[end.index()];
        (node.session, node.asked, node.path, node.peer) = (Some(session), None, None, Some(peer));
        node.blocked = [false; KINDS];
        // So that the other side hears something in each session.
        node.outbox[0].push_back(20);
        self.count("sessions opened", 1);
    }

    /// A session that stood on both sides ends only by the application's word, or if one side was started anew.
    fn closed(&mut self, end: End, session: SessionId, reason: Closed) {
        let life = self.nodes[end.index()].life;
        let other = self.world.machine(self.host(end.other())).address();
        let stood = self.ledger.has_heard((end, life, session));
        let node = &mut self.nodes[end.index()];
        if node.asked == Some(session) {
            node.asked = None;
        }
        node.ended.push((session, reason.clone()));
        *self.histogram.entry(name(&reason)).or_default() += 1;
        if node.session == Some(session) {
            node.session = None;
            let restarted = node.peer != Some(other);
            assert!(self.closing || restarted || !stood, "{end:?}: {session} ended: {reason} ({reason:?})");
        }
    }

    /// Ends all faults.
    fn heal(&mut self) {
        Line::ALL.into_iter().for_each(|line| self.cut(line, false));
        for n in 0..self.relays.len() {
            if !self.relays[n].3 {
                self.reboot_relay(n);
            }
        }
        for end in End::BOTH {
            self.nodes[end.index()].stalled_until = Instant::ZERO;
            self.wish(end, PathPolicy::PreferDirect);
        }
    }

    fn converge(&mut self) {
        let end = self.world.now() + BOUND;
        while !self.is_settled() {
            assert!(self.world.now() < end, "{}", self.account());
            self.pass(Duration::from_millis(100));
        }
    }

    fn is_settled(&self) -> bool {
        End::BOTH.into_iter().all(|end| {
            let node = &self.nodes[end.index()];
            let Some(place) = self.place(end) else { return false };
            let one = self.world.machine(node.host).statistics().sessions == 1;
            one && node.outbox.iter().all(VecDeque::is_empty)
                && self.ledger.has_heard(place)
                && self.ledger.is_complete(place)
        })
    }

    fn account(&self) -> String {
        let each = End::BOTH.into_iter().map(|end| {
            let node = &self.nodes[end.index()];
            let sent = self.place(end).map_or_else(|| "has no session".into(), |place| self.ledger.account(place));
            let left: Vec<_> = node.outbox.iter().map(VecDeque::len).collect();
            let path = node.session.and_then(|session| self.world.machine(node.host).path(session));
            let statistics = self.world.machine(node.host).statistics();
            format!(
                "{end:?} at {}: {sent}; waiting {left:?}, blocked {:?}, path {path:?}, ended {:?}, {statistics:?}",
                self.world.now(),
                node.blocked,
                node.ended,
            )
        });
        each.collect::<Vec<_>>().join("\n")
    }

    /// A says goodbye, and both hear of it.
    fn part(&mut self) {
        let places: Vec<_> = End::BOTH.into_iter().filter_map(|end| self.place(end)).collect();
        let (arrived, lost) = self.ledger.counts(&places);
        self.count("messages delivered", arrived);
        self.count("messages lost on channels that may lose", lost);
        self.closing = true;
        let (host, session) = (self.host(End::A), places[0].2);
        self.world.act(host, |endpoint, cx| endpoint.close(cx, session, GOODBYE.0, GOODBYE.1));
        let end = self.world.now() + BOUND;
        while self.nodes.iter().any(|node| node.session.is_some()) {
            assert!(self.world.now() < end, "a goodbye is not heard: {}", self.account());
            self.pass(Duration::from_millis(20));
        }
        let reason = |end: End| self.nodes[end.index()].ended.last().map(|(_, reason)| reason.clone());
        assert_eq!(reason(End::A), Some(Closed::Ended(CloseReason::Local)));
        let peer = CloseReason::Peer { code: GOODBYE.0, text: GOODBYE.1.into() };
        assert_eq!(reason(End::B), Some(Closed::Ended(peer)));
    }

    fn sum_up(&mut self) {
        (0..self.relays.len()).for_each(|n| self.note_relay(n));
    }
}

const fn name(reason: &Closed) -> &'static str {
    match reason {
        Closed::Ended(CloseReason::Forgotten) => "sessions forgotten by the peer",
        Closed::Ended(CloseReason::ResumeTimeout) => "sessions without a path for too long",
        Closed::Ended(CloseReason::Local) => "sessions closed",
        Closed::Ended(CloseReason::Peer { .. }) => "sessions closed by the peer",
        Closed::Ended(_) => "sessions ended otherwise",
        _ => "sessions that never began",
    }
}

impl Node {
    fn new(world: &mut World<Endpoint>, plan: &Plan, end: End) -> Self {
        let name = ["a", "b"][end.index()];
        let mut recipe = Recipe::new(name, 10 + end.index() as u64).over("tcp:relay0.test:7000");
        if plan.twice[end.index()] {
            recipe = recipe.over("ws://relay0.test:7001/");
        }
        if plan.second_relay {
            recipe = recipe.over("tcp:relay1.test:7000");
        }
        match end {
            End::A if plan.direct => recipe = recipe.over("tcp:b.test:7100"),
            End::B => recipe.listens = vec!["tcp:0.0.0.0:7100".into()],
            End::A => {}
        }
        recipe.options = options(plan);
        Self {
            host: world.host(name, recipe.build(1)),
            recipe,
            life: 1,
            session: None,
            asked: None,
            next_try: Instant::ZERO,
            path: None,
            outbox: Default::default(),
            blocked: [false; KINDS],
            stalled_until: Instant::ZERO,
            news: false,
            peer: None,
            ended: Vec::new(),
        }
    }
}

fn options(plan: &Plan) -> Options {
    let limits = Limits {
        forward: plan.forward,
        session_send: 96 * 1024,
        session_receive: 96 * 1024,
        ping_after: Some(Duration::from_secs(3)),
        pong_time: Duration::from_secs(2),
        ..Limits::default()
    };
    let reconnect = Reconnect::Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(2) };
    Options { limits, reconnect, ..Options::default() }
}

fn relay(world: &mut World<Endpoint>, plan: &Plan, n: usize) -> (HostId, Recipe, u64, bool) {
    let name = ["relay 0", "relay 1"][n];
    let quotas = Quotas { bytes_per_second: plan.quota.unwrap_or(u64::MAX), ..Quotas::default() };
    let listens = vec!["tcp:0.0.0.0:7000".into(), "ws://0.0.0.0:7001/".into()];
    let recipe = Recipe { quotas, listens, options: options(plan), ..Recipe::relay(name, 1 + n as u64) };
    (world.host(name, recipe.build(1)), recipe, 1, true)
}
