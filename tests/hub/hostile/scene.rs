//! Worlds in which some are honest and some are not.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use switchboard::connect::{Endpoint, Options};
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::event::LinkEnd;
use switchboard::hub::{Closed, Event, News, SessionId, Statistics};
use switchboard::link::noise::Claims;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::limits::Limits;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::sim::{HostId, World};
use switchboard::wire::frame::Frame;
use switchboard::wire::identity::Address;

use super::rogue::{Conduct, Rogue};
use crate::common;
use crate::party::{PATIENCE, Recipe};
use crate::raw::{Raw, Wrap};

/// The channel of most sessions here.
pub(crate) const CHAT: ChannelId = ChannelId(1);

const BEAT: Duration = Duration::from_millis(5);

/// Who lives in such a world.
pub(crate) enum Someone {
    Honest(Box<Endpoint>),
    Rogue(Box<Rogue>),
    Raw(Raw),
}

impl Machine for Someone {
    type Command = Infallible;
    type Event = News;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Infallible>) {
        match self {
            Self::Honest(endpoint) => endpoint.handle(cx, input),
            Self::Rogue(rogue) => rogue.handle(cx, input),
            Self::Raw(raw) => match input {
                Input::Receive(port, data) => raw.handle(cx, port, data),
                Input::Port(port, change) => raw.on_port(cx, port, &change),
                Input::Datagrams(..) | Input::Timeout | Input::Command(_) => {}
            },
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<News> {
        match self {
            Self::Honest(endpoint) => endpoint.poll(cx),
            Self::Rogue(rogue) => match rogue.poll(cx) {
                Output::Event(never) => match never {},
                Output::Port(port, request) => Output::Port(port, request),
                Output::Ready(port) => Output::Ready(port),
                Output::Wait(deadline) => Output::Wait(deadline),
            },
            Self::Raw(raw) => match raw.next_request() {
                Some((port, request)) => Output::Port(port, request),
                None => raw.next_ready().map_or(Output::Wait(None), Output::Ready),
            },
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        match self {
            Self::Honest(endpoint) => endpoint.fill(cx, port, buf),
            Self::Rogue(rogue) => rogue.fill(cx, port, buf),
            Self::Raw(raw) => raw.fill(port, buf),
        }
    }
}

/// An endpoint, and what it has told.
pub(crate) struct Honest {
    pub(crate) host: HostId,
    pub(crate) events: Vec<Event>,
    pub(crate) accepts: bool,
    /// Whether its application takes what it has to tell.
    pub(crate) looks: bool,
}

pub(crate) struct Scene {
    pub(crate) world: World<Someone>,
    pub(crate) parties: Vec<Honest>,
    sent: u32,
}

/// An endpoint of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who(pub(crate) usize);

/// `kind`'s connection string for port 7000 of a host.
pub(crate) fn string(kind: &str, host: &str) -> String {
    common::string(kind, host)
}

/// A rogue's queues hold whatever it wants to say.
pub(crate) fn loud() -> Options {
    let limits = Limits { lane: usize::MAX, inbox: usize::MAX, ping_after: None, ..Limits::default() };
    Options { limits, ..common::options() }
}

impl Scene {
    pub(crate) fn new(seed: u64) -> Self {
        Self { world: World::new(seed), parties: Vec::new(), sent: 0 }
    }

    /// An endpoint whose host has its name, with `.test` behind it.
    pub(crate) fn honest(&mut self, recipe: Recipe) -> Who {
        let host = self.world.host(recipe.name, Someone::Honest(Box::new(recipe.build(1))));
        self.world.name(&format!("{}.test", recipe.name), &[host]);
        self.parties.push(Honest { host, events: Vec::new(), accepts: true, looks: true });
        let who = Who(self.parties.len() - 1);
        self.act(who, |endpoint, cx| endpoint.start(cx));
        who
    }

    /// An open relay and two endpoints with a session; the relay is the first.
    pub(crate) fn board(&mut self) -> (Who, Who, Who) {
        self.board_with(Recipe::relay("relay", 1))
    }

    pub(crate) fn board_with(&mut self, relay: Recipe) -> (Who, Who, Who) {
        let relay = self.honest(relay);
        let [a, b] =
            [("a", 2), ("b", 3)].map(|(name, key)| self.honest(Recipe::new(name, key).over("tcp:relay.test:7000")));
        self.until(|scene| scene.neighbours(relay) == 2);
        self.talk(a, b);
        (relay, a, b)
    }

    pub(crate) fn rogue(&mut self, name: &'static str, key: u64, conduct: Conduct) -> HostId {
        self.rogue_that(name, Rogue::new(key, Claims::default(), conduct))
    }

    pub(crate) fn rogue_that(&mut self, name: &'static str, rogue: Rogue) -> HostId {
        let host = self.world.host(name, Someone::Rogue(Box::new(rogue)));
        self.world.name(&format!("{name}.test"), &[host]);
        host
    }

    pub(crate) fn with<R>(&mut self, rogue: HostId, call: impl FnOnce(&mut Rogue, &mut Cx<'_>) -> R) -> R {
        self.world.act(rogue, |someone, cx| match someone {
            Someone::Rogue(rogue) => call(rogue, cx),
            _ => panic!("that one is no rogue"),
        })
    }

    pub(crate) fn act<R>(&mut self, who: Who, call: impl FnOnce(&mut Endpoint, &mut Cx<'_>) -> R) -> R {
        self.world.act(self.parties[who.0].host, |someone, cx| match someone {
            Someone::Honest(endpoint) => call(endpoint, cx),
            _ => panic!("that one is not honest"),
        })
    }

    pub(crate) fn endpoint(&self, who: Who) -> &Endpoint {
        match self.world.machine(self.parties[who.0].host) {
            Someone::Honest(endpoint) => endpoint,
            _ => panic!("that one is not honest"),
        }
    }

    pub(crate) fn address(&self, who: Who) -> Address {
        self.endpoint(who).address()
    }

    pub(crate) fn statistics(&self, who: Who) -> Statistics {
        self.endpoint(who).statistics()
    }

    pub(crate) fn neighbours(&self, who: Who) -> usize {
        self.endpoint(who).neighbours().count()
    }

    /// The rogue dials port 7000 of a host.
    pub(crate) fn dial(&mut self, rogue: HostId, host: &str) {
        self.dial_by(rogue, &string("tcp", host), &loud());
    }

    pub(crate) fn dial_by(&mut self, rogue: HostId, string: &str, options: &Options) {
        let node = common::dialling(string, options);
        self.with(rogue, |rogue, cx| rogue.add(cx, node));
    }

    pub(crate) fn listen(&mut self, rogue: HostId) {
        let node = common::listening("tcp:0.0.0.0:7000", &loud());
        self.with(rogue, |rogue, cx| rogue.add(cx, node));
    }

    /// The rogue's link to a relay that it has dialled and that knows it by its own key.
    pub(crate) fn proved(&mut self, rogue: HostId, who: Who, host: &str) -> LinkId {
        self.dial(rogue, host);
        let peer = self.address(who);
        self.until(|scene| scene.with(rogue, |rogue, _| rogue.link_to(peer)).is_some());
        self.pass(BEAT * 20);
        self.with(rogue, |rogue, _| rogue.link_to(peer)).unwrap()
    }

    pub(crate) fn say(&mut self, rogue: HostId, link: LinkId, frame: &Frame<'_>) {
        self.with(rogue, |rogue, cx| rogue.say(cx, link, frame));
    }

    /// Says that, and answers what comes back within half a second.
    pub(crate) fn asked(&mut self, rogue: HostId, link: LinkId, frame: &Frame<'_>) -> Vec<Vec<u8>> {
        self.with(rogue, |rogue, _| rogue.heard(link));
        self.say(rogue, link, frame);
        self.pass(Duration::from_millis(500));
        self.with(rogue, |rogue, _| rogue.heard(link))
    }

    /// Why the rogue's link, or its try for one, has ended in the eyes of an honest neighbour.
    #[track_caller]
    pub(crate) fn end(&mut self, who: Who) -> LinkEnd {
        let is_end = |event: &Event| match event {
            Event::Refused { reason } | Event::NeighbourDown { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.until(|scene| scene.parties[who.0].events.iter().any(|event| is_end(event).is_some()));
        self.parties[who.0].events.iter().find_map(is_end).unwrap()
    }

    pub(crate) fn open(&mut self, who: Who, to: impl Into<Address>) -> SessionId {
        self.act(who, |endpoint, cx| endpoint.open(cx, to, vec![Channel::reliable("chat")]))
    }

    /// A session between two, known to both: the ids on either side.
    #[track_caller]
    pub(crate) fn meet(&mut self, from: Who, to: Who) -> (SessionId, SessionId) {
        let before = self.opened(to).len();
        let address = self.address(to);
        let session = self.open(from, address);
        self.until(|scene| scene.opened(from).contains(&session) && scene.opened(to).len() > before);
        (session, self.opened(to)[before])
    }

    /// Two who have done nothing wrong can open a session and talk.
    #[track_caller]
    pub(crate) fn talk(&mut self, from: Who, to: Who) {
        let (near, far) = self.meet(from, to);
        self.carries(from, near, to);
        self.carries(to, far, from);
        self.act(from, |endpoint, cx| endpoint.close(cx, near, 0, ""));
        self.until(|scene| scene.closed(from, near).is_some());
    }

    /// A message of that session arrives.
    #[track_caller]
    pub(crate) fn carries(&mut self, from: Who, session: SessionId, to: Who) {
        let message = self.send(from, session);
        self.until(|scene| scene.messages(to).contains(&message));
    }

    pub(crate) fn send(&mut self, from: Who, session: SessionId) -> Vec<u8> {
        self.sent += 1;
        let message = format!("message {}", self.sent).into_bytes();
        self.act(from, |endpoint, cx| endpoint.send(cx, session, CHAT, &message)).unwrap();
        message
    }

    pub(crate) fn messages(&self, who: Who) -> Vec<Vec<u8>> {
        self.filter(who, |event| if let Event::Message { bytes, .. } = event { Some(bytes.clone()) } else { None })
    }

    pub(crate) fn opened(&self, who: Who) -> Vec<SessionId> {
        self.filter(who, |event| if let Event::Opened { session, .. } = event { Some(*session) } else { None })
    }

    pub(crate) fn closed(&self, who: Who, of: SessionId) -> Option<Closed> {
        let reasons = self.filter(who, |event| match event {
            Event::Closed { session, reason, .. } if *session == of => Some(reason.clone()),
            _ => None,
        });
        reasons.into_iter().next()
    }

    /// How a session ends, or fails to begin.
    #[track_caller]
    pub(crate) fn ends(&mut self, who: Who, session: SessionId) -> Closed {
        self.until(|scene| scene.closed(who, session).is_some());
        self.closed(who, session).unwrap()
    }

    pub(crate) fn filter<T>(&self, who: Who, pick: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        self.parties[who.0].events.iter().filter_map(pick).collect()
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.world.now() < end {
            self.world.run_for(BEAT.min(end.since(self.world.now()))).unwrap();
            self.look();
        }
    }

    #[track_caller]
    pub(crate) fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.world.now() + PATIENCE;
        self.look();
        while !done(self) {
            if self.world.now() >= end {
                let told: Vec<_> = self.parties.iter().map(|party| format!("{:#?}", party.events)).collect();
                panic!("seed {}: it never came to that\n{}", self.world.seed(), told.join("\n"));
            }
            self.pass(BEAT);
        }
    }

    fn look(&mut self) {
        for n in 0..self.parties.len() {
            let who = Who(n);
            self.world.events(self.parties[n].host);
            while self.parties[n].looks {
                let Some(event) = self.act(who, |endpoint, cx| endpoint.next(cx)) else { break };
                if let (Event::Incoming { session, .. }, true) = (&event, self.parties[n].accepts) {
                    let session = *session;
                    self.act(who, |endpoint, cx| endpoint.accept(cx, session));
                }
                self.parties[n].events.push(event);
            }
        }
    }

    pub(crate) fn forget(&mut self) {
        self.parties.iter_mut().for_each(|party| party.events.clear());
    }

    /// Somebody who dials port 7000 of a host and says that, in one breath.
    pub(crate) fn raw(&mut self, name: &str, bytes: &[u8], to: Who) {
        let to = SocketAddr::new(self.world.address(self.parties[to.0].host), 7000);
        let host = self.world.host(name, Someone::Raw(Raw::new(Wrap::Bare)));
        self.world.act(host, |someone, cx| {
            let Someone::Raw(raw) = someone else { return };
            let port = raw.dial(cx, to, &Wrap::Bare);
            raw.send(port, bytes);
        });
    }
}
