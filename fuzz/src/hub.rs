//! The whole hub among neighbours that hold keys, keep their own seals and counters, and say what a script says: so
//! what they say is authentic, and reaches whatever stands behind the proof and behind the seals of sessions.

mod neighbour;

use std::collections::BTreeSet;
use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId, Reliability};
use switchboard::hub::{Config, Event, Hub, PathPolicy, Policy, Quotas, RoomId, SessionId};
use switchboard::link::noise::{Identity, SecretKey};
use switchboard::machine::buf::Buf;
use switchboard::machine::check::{Checked, OnBreach};
use switchboard::machine::ids::{Ids, LinkId, PortId};
use switchboard::machine::limits::Limits;
use switchboard::machine::port::{PortChange, PortRequest};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use switchboard::wire::frame::Frame;
use switchboard::wire::identity::{Address, EndpointId, Instance};

use self::neighbour::Neighbour;
use crate::cable::{self, Cable, PLACES, verb};
use crate::memory;
use crate::script::Script;
use crate::world::UNIX;

/// Polls after one input or call: the most that an honest hub here can have to say.
const MOST_POLLS: usize = 2000;
/// What a hub with such limits and four neighbours may hold.
const MOST_MEMORY: usize = 4 * 1024 * 1024;

/// Any message as a frame: what is one is encoded as it was.
pub fn frame(data: &[u8]) {
    let (frame, peak) = memory::peak(|| Frame::decode(data));
    assert!(peak <= 1024, "{peak} bytes of memory for a frame that lends what it has");
    assert_eq!(
        Frame::data_route(data),
        match frame {
            Ok(Frame::Data { route, .. }) => Some(route),
            _ => None,
        }
    );
    let Ok(frame) = frame else { return };
    let again = frame.encode();
    assert_eq!(Frame::decode(&again), Ok(frame));
    // One flag is read from a whole byte.
    assert!(again == data || matches!(frame, Frame::Hello { .. }));
}

/// All laws that [`Checked`] asserts, events that make sense, and nothing left once all are gone.
pub fn hub(data: &[u8]) {
    let ((), peak) = memory::peak(|| {
        let mut script = Script::new(data);
        Driver::new(script.byte()).run(&mut script);
    });
    assert!(peak < MOST_MEMORY + 16 * data.len(), "{peak} bytes of memory for a script of {}", data.len());
}

fn limits() -> Limits {
    Limits {
        message: 3000,
        inbox: 4000,
        events: 32,
        sessions: 12,
        openings: 4,
        routes: 16,
        forward: 6000,
        watches: 3,
        packet: 1300,
        session_channels: 4,
        session_paths: 3,
        session_send: 8000,
        session_receive: 8000,
        ..Limits::default()
    }
}

struct Driver {
    hub: Checked<Hub>,
    me: Address,
    now: Instant,
    rng: Rng,
    ids: Ids,
    port: Option<PortId>,
    ready: bool,
    /// Whether nobody takes what the hub has to send.
    deaf: bool,
    deadline: Option<Deadline>,
    neighbours: Vec<Neighbour>,
    up: BTreeSet<LinkId>,
    /// Sessions that the application knows, and those that stand.
    known: BTreeSet<SessionId>,
    open: BTreeSet<SessionId>,
    incoming: Vec<SessionId>,
    rooms: Vec<RoomId>,
    stopped: bool,
}

macro_rules! cx {
    ($driver:ident) => {
        &mut Cx { now: $driver.now, unix: UNIX, rng: &mut $driver.rng, ids: &mut $driver.ids }
    };
}

impl Driver {
    fn new(how: u8) -> Self {
        let mut rng = Rng::from_u64(1);
        let identity = Identity::new(SecretKey::generate(&mut rng), &mut rng);
        let me = identity.address();
        let quotas =
            Quotas { links: 3, sessions: 8, rooms: 2, bytes_per_second: if how & 2 == 0 { u64::MAX } else { 5_000 } };
        let policy = if how & 1 == 0 { Policy::Open } else { Policy::Closed };
        let config = Config { limits: limits(), policy, quotas, ..Config::default() };
        let mut driver = Self {
            hub: Checked::new(Hub::new(identity, config), OnBreach::Panic),
            me,
            now: Instant::from_nanos(1),
            rng: Rng::from_u64(u64::from(how)),
            ids: Ids::new(),
            port: None,
            ready: false,
            deaf: false,
            deadline: None,
            neighbours: (0..PLACES as u64).map(|n| Neighbour::new(n, me)).collect(),
            up: BTreeSet::new(),
            known: BTreeSet::new(),
            open: BTreeSet::new(),
            incoming: Vec::new(),
            rooms: Vec::new(),
            stopped: false,
        };
        let priority = (how & 4 == 0).then_some(1);
        driver.hub.call().add(cx!(driver), Box::new(Cable::default()), priority);
        driver.drain();
        let port = driver.port.expect("a cable has a port");
        driver.input(Input::Port(port, PortChange::Opened { local: None, peer: None }));
        driver
    }

    fn run(mut self, script: &mut Script<'_>) {
        script.play(300, |script| {
            self.act(script);
            self.turn();
        });
        self.end();
    }

    /// Whatever happened before: a stop ends all, and no session outlives its paths for ever.
    fn end(mut self) {
        self.deaf = false;
        self.take(usize::MAX);
        self.hub.call().stop(cx!(self));
        self.drain();
        for _ in 0..100 {
            self.turn();
            self.wait(Duration::from_secs(5));
            self.take(usize::MAX);
        }
        assert!(self.stopped, "a stop never ends");
        assert!(self.up.is_empty() && self.port.is_none(), "links outlive their transport");
        let statistics = self.hub.get().statistics();
        assert_eq!((statistics.links, statistics.routes, statistics.sessions), (0, 0, 0), "{statistics:?}");
        assert!(self.known.is_empty(), "{:?} never end", self.known);
        assert_eq!(self.deadline, None);
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        let (place, flag) = (usize::from(action >> 4) % PLACES, action >> 6);
        match action & 15 {
            0 => self.come(place, flag, &[]),
            1 => self.go(place),
            2 => self.say_raw(place, if flag & 1 == 0 { verb::BINARY } else { verb::TEXT }, script.bytes()),
            3 => self.say(place, script.bytes()),
            4 | 5 => self.say_frame(place, script),
            6 => self.say_data(place, script),
            7 => self.open_session(place),
            8 => self.say_sealed(place, script, None),
            9 => self.wait(Duration::from_millis(10 * script.word() as u64)),
            10 | 11 => self.call(script),
            12 => self.take(usize::from(script.byte())),
            13 => self.deaf = flag & 1 == 0,
            14 if flag == 0 => self.come(place, flag, script.bytes()),
            14 => self.say_sealed(place, script, Some(flag)),
            _ => self.input(Input::Timeout),
        }
    }

    fn come(&mut self, place: usize, flag: u8, early: &[u8]) {
        if self.neighbours[place].is_here() {
            return;
        }
        let dials = flag & 1 != 0;
        let first = self.neighbours[place].come(!dials, flag & 2 != 0);
        self.event(&[&[if dials { verb::DIAL } else { verb::ACCEPT }, place as u8], early].concat());
        if let Some(first) = first {
            self.say_raw(place, verb::BINARY, &first);
        }
    }

    fn go(&mut self, place: usize) {
        self.neighbours[place].go();
        self.event(&[verb::DOWN, place as u8]);
    }

    fn say_raw(&mut self, place: usize, verb: u8, message: &[u8]) {
        self.event(&[&[verb, place as u8], message].concat());
    }

    /// Says that as an honest neighbour would.
    fn say(&mut self, place: usize, frame: &[u8]) {
        if let Some(message) = self.neighbours[place].seal(frame) {
            self.say_raw(place, verb::BINARY, &message);
        }
    }

    fn say_frame(&mut self, place: usize, script: &mut Script<'_>) {
        let kind = script.byte();
        let number = u64::from(script.byte());
        let route = if kind & 128 == 0 { self.neighbours[place].route(script.byte()) } else { number as u32 };
        let reason = script.byte() % 12;
        let bytes = script.bytes();
        let (to, from) = (self.address(reason), self.address(bytes.first().copied().unwrap_or(place as u8 + 1)));
        let numbered = |kind: u8| [&[kind], &route.to_be_bytes()[..], &[reason]].concat();
        let frame = match kind % 11 {
            0 | 1 => {
                self.neighbours[place].allot(number as u32);
                Frame::Open { route: number as u32, to, from, hops: kind >> 5 }.encode()
            }
            2 => {
                self.neighbours[place].allot(number as u32);
                Frame::Opened { route, yours: number as u32, from }.encode()
            }
            3 => numbered(3),
            4 => numbered(4),
            5 => Frame::Ping(number).encode(),
            6 => Frame::Pong(number).encode(),
            7 => [&[7, reason], bytes].concat(),
            8 => Frame::Watch(to.id).encode(),
            9 => if reason & 1 == 0 { Frame::Unwatch(to.id) } else { Frame::Presence(from) }.encode(),
            _ => Frame::Room(bytes).encode(),
        };
        self.say(place, &frame);
    }

    fn say_data(&mut self, place: usize, script: &mut Script<'_>) {
        let route = self.neighbours[place].route(script.byte());
        self.say(place, &Frame::Data { route, packet: script.bytes() }.encode());
    }

    /// The handshake of a session with the hub, right as it should be; again, if one is under way.
    fn open_session(&mut self, place: usize) {
        if let Some(frame) = self.neighbours[place].open_session(self.now, &mut self.rng) {
            self.say(place, &frame);
        }
    }

    /// Records that are the peer's beyond doubt, in a packet that is sealed, or that attaches a path.
    fn say_sealed(&mut self, place: usize, script: &mut Script<'_>, attach: Option<u8>) {
        let records = script.bytes();
        if let Some(frame) = self.neighbours[place].sealed(records, attach, script.byte()) {
            self.say(place, &frame);
        }
    }

    fn address(&self, n: u8) -> Address {
        match usize::from(n) % (PLACES + 4) {
            place @ 0..PLACES => self.neighbours[place].address(),
            PLACES => self.me,
            5 => Address { instance: Instance(n.into()), ..self.me },
            6 => Address { instance: Instance::NEWEST, ..self.neighbours[1].address() },
            _ => Address { id: EndpointId([n; 32]), instance: Instance(n.into()) },
        }
    }

    fn call(&mut self, script: &mut Script<'_>) {
        let (verb, n) = (script.byte(), script.byte());
        let nth = |known: &BTreeSet<SessionId>| known.iter().nth(usize::from(n) % known.len().max(1)).copied();
        let (address, session) = (self.address(n), nth(&self.known));
        let link = self.up.iter().nth(usize::from(n) % self.up.len().max(1)).copied();
        let room = self.rooms.get(usize::from(n) % self.rooms.len().max(1)).copied();
        let incoming = self.incoming.pop();
        let (bytes, hub, cx) = (script.bytes(), self.hub.call(), cx!(self));
        match (verb % 13, session, link, room, incoming) {
            (0, ..) => _ = self.known.insert(hub.open(cx, address, channels(n))),
            (1, .., Some(session)) => hub.accept(cx, session),
            (2, .., Some(session)) => hub.refuse(cx, session, n, "no"),
            (3 | 4, Some(session), ..) => {
                let channel = ChannelId(u16::from(n >> 5));
                // It may not stand yet, or be full.
                _ = hub.send(cx, session, channel, &bytes.repeat(1 + usize::from(n & 15)));
            }
            (5, Some(session), ..) => hub.close(cx, session, n, "bye"),
            (6, ..) => {
                if n & 128 == 0 {
                    hub.watch(cx, address.id)
                } else {
                    hub.unwatch(cx, address.id)
                }
            }
            (7, _, Some(link), ..) => hub.ping(cx, link),
            (8, _, Some(link), ..) => hub.dismiss(cx, link),
            (9, Some(session), ..) => {
                let policies = [PathPolicy::PreferDirect, PathPolicy::RelayOnly, PathPolicy::DirectOnly];
                hub.set_path_policy(cx, session, policies[usize::from(n) % 3]);
            }
            (10, ..) => self.rooms.extend(hub.join(
                cx,
                ["lobby", "hall"][usize::from(n & 1)],
                "me",
                (n & 2 != 0).then_some("word"),
            )),
            (11, _, _, Some(room), _) => _ = hub.broadcast(cx, room, bytes),
            (12, _, _, Some(room), _) => hub.leave(cx, room),
            _ => {}
        }
        self.incoming.extend(incoming.filter(|_| ![1, 2].contains(&(verb % 13))));
        self.drain();
    }

    fn event(&mut self, event: &[u8]) {
        let Some(port) = self.port else { return };
        self.input(Input::Receive(port, &mut event.to_vec()));
    }

    fn input(&mut self, input: Input<'_, std::convert::Infallible>) {
        self.hub.handle(cx!(self), input);
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..MOST_POLLS {
            match self.hub.poll(cx!(self)) {
                Output::Port(port, PortRequest::Open(_)) => self.port = Some(port),
                Output::Port(_, request) => {
                    assert_eq!(request, PortRequest::Abort);
                    self.port = None;
                }
                Output::Event(_) => {}
                Output::Ready(_) => self.ready = true,
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
        panic!("{MOST_POLLS} polls and no `Wait`");
    }

    /// The neighbours hear all that is for them, and answer what the protocol answers.
    fn turn(&mut self) {
        for _ in 0..200 {
            let Some(port) = self.port.filter(|_| self.ready && !self.deaf) else { return };
            let mut buf = Buf::new(2000);
            self.ready = self.hub.fill(cx!(self), port, &mut buf) == Fill::More;
            self.drain();
            for (place, message) in cable::messages(buf.as_slice()) {
                for answer in self.neighbours[place].hear(self.now, &message, &mut self.rng) {
                    self.say_raw(place, verb::BINARY, &answer);
                }
            }
        }
        panic!("the hub always has something to send");
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..5_000 {
            let Some(due) = self.deadline.filter(|deadline| deadline.at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(due.at);
            self.input(Input::Timeout);
            self.turn();
        }
        panic!("the deadline {:?} comes again and again", self.deadline);
    }

    fn take(&mut self, most: usize) {
        for _ in 0..most.min(10_000) {
            let event = self.hub.call().next(cx!(self));
            self.drain();
            let Some(event) = event else { return };
            self.check(&event);
        }
        assert!(most < 10_000, "there is always something to take");
    }

    /// Each thing begins before it ends, and ends once.
    fn check(&mut self, event: &Event) {
        match event {
            Event::NeighbourUp { link, .. } => assert!(self.up.insert(*link), "{link} is up twice"),
            Event::NeighbourDown { link, .. } => assert!(self.up.remove(link), "{link} is down and was not up"),
            Event::Incoming { session, from, channels } => {
                assert!(self.known.insert(*session), "{session} comes twice");
                assert!(channels.len() <= 4 && self.neighbours.iter().any(|known| known.address() == *from));
                self.incoming.push(*session);
            }
            Event::Opened { session, .. } => {
                assert!(self.known.contains(session) && self.open.insert(*session), "{session} opens twice");
            }
            Event::Message { session, bytes, .. } => {
                assert!(self.open.contains(session) && bytes.len() <= 3000);
            }
            Event::Closed { session, .. } => {
                assert!(self.known.remove(session), "{session} ends and was never there");
                self.open.remove(session);
                self.incoming.retain(|known| known != session);
            }
            Event::Path { session, .. } | Event::Disconnected { session } | Event::Reconnected { session } => {
                assert!(self.open.contains(session), "{session} has no paths yet");
            }
            Event::Stopped => self.stopped = true,
            _ => {}
        }
    }
}

fn channels(n: u8) -> Vec<Channel> {
    let one = |label: &str| Channel::reliable(label);
    vec![
        one("a"),
        one("b").unordered().priority(n),
        one("c").with(Reliability::MaxRetransmits(u16::from(n & 3))),
        one("d").unordered().with(Reliability::MaxLifetime(Duration::from_millis(n.into()))),
    ]
}
