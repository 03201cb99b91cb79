//! Signals, room messages, and a relay's rooms under any schedule.

use std::time::Duration;

use switchboard::hub::rooms::{Host, RoomSecret};
use switchboard::machine::ids::{Ids, LinkId};
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;
use switchboard::wire::identity::{Address, EndpointId, Instance};
use switchboard::wire::room::{Envelope, Join, RoomMessage, ToHost, ToMember, is_name};
use switchboard::wire::signal::{Signal, SignalError};

use crate::memory;
use crate::script::Script;

const MAX_SIGNAL: usize = 1024;
/// Links at a time; every other one leads to the same process as its neighbour.
const LINKS: usize = 6;
/// What a relay with few small rooms may hold.
const MOST_MEMORY: usize = 256 * 1024;

/// Any bytes as a signal: what is one is encoded as it was, but for what an outlook has of later versions.
pub fn signal(data: &[u8]) {
    match Signal::decode(data, MAX_SIGNAL) {
        Ok(signal @ Signal::Outlook { .. }) => assert_eq!(Signal::decode(&signal.encode(), MAX_SIGNAL), Ok(signal)),
        Ok(signal) => assert_eq!(*signal.encode(), data),
        Err(error) => assert_eq!(data.len() > MAX_SIGNAL, error == SignalError::TooLarge(data.len())),
    }
}

/// Any bytes as a room message: what is one is encoded as it was.
pub fn room_message(data: &[u8]) {
    let (message, peak) = memory::peak(|| RoomMessage::decode(data));
    assert!(peak <= 4 * data.len() + 1024, "{peak} bytes of memory for a message of {}", data.len());
    match message {
        Ok(RoomMessage::ToHost(message)) => {
            assert_eq!(message.encode(), data);
            assert!(!matches!(message, ToHost::Join(join) if !is_name(join.name)));
        }
        Ok(RoomMessage::ToMember(message)) => assert_eq!(message.encode(), data),
        Err(_) => {}
    }
}

/// A relay's rooms within their bounds, whatever is sent to it in whatever order, and none left once all are gone.
pub fn room_host(data: &[u8]) {
    let ((), peak) = memory::peak(|| Relay::new().run(&mut Script::new(data)));
    assert!(peak < MOST_MEMORY + 8 * data.len(), "{peak} bytes of memory for a script of {}", data.len());
}

struct Relay {
    host: Host,
    limits: Limits,
    now: Instant,
    ids: Ids,
    links: [Option<LinkId>; LINKS],
    secrets: Vec<RoomSecret>,
}

const fn address(place: usize) -> Address {
    let process = place / 2;
    Address { id: EndpointId([process as u8 / 2; 32]), instance: Instance(process as u32 + 1) }
}

impl Relay {
    fn new() -> Self {
        let limits = Limits { rooms: 3, room_members: 2, room_joins: 8, room_broadcast: 500, ..Limits::default() };
        let secrets = ["a", "b", "c", "d"].map(|name| [None, Some("x")].map(|secret| RoomSecret::new(name, secret)));
        Self {
            host: Host::new(&limits, 3),
            limits,
            now: Instant::from_nanos(1),
            ids: Ids::new(),
            links: [None; LINKS],
            secrets: secrets.into_iter().flatten().collect(),
        }
    }

    fn run(&mut self, script: &mut Script<'_>) {
        while !script.is_over() {
            self.act(script);
            let statistics = self.host.statistics();
            assert!(statistics.rooms <= self.limits.rooms as u64 && statistics.members <= 6, "{statistics:?}");
        }
        (0..LINKS).for_each(|place| self.cut(place));
        self.wait(self.limits.room_expiry);
        let statistics = self.host.statistics();
        assert_eq!((statistics.rooms, statistics.members, self.host.deadline()), (0, 0, None));
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let (action, place) = (script.byte(), usize::from(script.byte()) % LINKS);
        match action % 8 {
            0 | 1 => self.join(place, script),
            2 => self.hand(place, &ToHost::Leave(self.secrets[usize::from(script.byte()) % 8].hash())),
            3 => self.broadcast(place, script),
            4 => {
                if let Ok(message) = ToHost::decode(script.bytes()) {
                    self.hand(place, &message);
                }
            }
            5 => self.cut(place),
            6 => self.wait(Duration::from_millis(10 * script.word() as u64)),
            _ => self.host.remove(address(place).id, &mut check(&self.links)),
        }
    }

    fn join(&mut self, place: usize, script: &mut Script<'_>) {
        let room = self.secrets[usize::from(script.byte()) % 8].clone();
        let (known, name) = (u64::from(script.byte()), script.text());
        if is_name(&name) {
            let (verifier, proof) = (room.verifier(), room.admission(&address(place)));
            self.hand(place, &ToHost::Join(Join { room: room.hash(), verifier, proof, known, name: &name }));
        }
    }

    fn broadcast(&mut self, place: usize, script: &mut Script<'_>) {
        let room = self.secrets[usize::from(script.byte()) % 8].hash();
        let sealed = vec![7; script.word() % 600];
        let envelope = Envelope { generation: 1, sequence: 2, signature: [3; 64], sealed: &sealed };
        self.hand(place, &ToHost::Broadcast { room, envelope });
    }

    fn hand(&mut self, place: usize, message: &ToHost<'_>) {
        let link = *self.links[place].get_or_insert_with(|| self.ids.link());
        self.host.on_message(self.now, address(place), link, message, &mut check(&self.links));
    }

    fn cut(&mut self, place: usize) {
        let Some(link) = self.links[place].take() else { return };
        self.host.link_down(self.now, link);
        self.ids.release_link(link);
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.host.deadline().filter(|deadline| deadline.at <= end) {
            assert!(deadline.at > self.now, "{deadline:?} at {}", self.now);
            self.now = deadline.at;
            self.host.on_timeout(self.now, &mut check(&self.links));
        }
        self.now = end;
    }
}

/// What is sent goes to a link that is up, makes sense, and is no broadcast to who has sent it.
fn check(links: &[Option<LinkId>; LINKS]) -> impl FnMut(LinkId, &[u8]) {
    move |link, bytes| {
        let place = links.iter().position(|other| *other == Some(link)).expect("the link is up");
        let message = ToMember::decode(bytes).expect("a message to a member");
        if let ToMember::Broadcast { from, envelope, .. } = message {
            assert!(from != address(place) && envelope.sealed.len() <= 516);
        }
    }
}
