//! A relay, members, and what is on its way between them.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::link::noise::{Identity, SecretKey};
use crate::machine::ids::{Ids, LinkId};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::room::RoomMessage;

pub(super) type Who = usize;

const DELAY: Duration = Duration::from_millis(20);
const MAX_SIGNAL: usize = 64 * 1024;

/// What is on its way.
#[derive(Clone)]
enum Packet {
    ToRelay(LinkId, Vec<u8>),
    ToMember(LinkId, Vec<u8>),
    /// From, to.
    Signal(Who, Who, Vec<u8>),
    /// The session between these two has broken, and the first notices.
    Broken(Who, Who),
}

pub(super) struct Node {
    pub(super) identity: Identity,
    pub(super) membership: Membership,
    link: Option<LinkId>,
    events: Vec<RoomEvent>,
    heard: Vec<(String, String, u64)>,
    keys: usize,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    host: Host,
    ids: Ids,
    links: BTreeMap<LinkId, Who>,
    on_the_way: BTreeMap<(Instant, u64), Packet>,
    number: u64,
    rng: Rng,
    secret: Option<String>,
    pub(super) signal_delay: Duration,
    pub(super) lose_signals: bool,
    pub(super) sessions_break: bool,
    /// How probably a room message is lost, or comes twice.
    pub(super) loss: f64,
    /// Bytes of room messages, both ways.
    pub(super) relayed: usize,
    /// Room messages lost and repeated, signals lost.
    pub(super) faults: [usize; 3],
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let host = Host::new(&Limits::default(), 16);
        Self {
            now: Instant::ZERO,
            nodes: Vec::new(),
            host,
            ids: Ids::new(),
            links: BTreeMap::new(),
            on_the_way: BTreeMap::new(),
            number: 0,
            rng: Rng::from_u64(seed),
            secret: None,
            signal_delay: 2 * DELAY,
            lose_signals: false,
            sessions_break: false,
            loss: 0.0,
            relayed: 0,
            faults: [0; 3],
        }
    }

    pub(super) fn with_secret(seed: u64, secret: &str) -> Self {
        Self { secret: Some(secret.to_owned()), ..Self::new(seed) }
    }

    pub(super) fn enter(&mut self, name: &str) -> Who {
        let secret = self.secret.clone();
        self.enter_with(name, secret.as_deref(), &Limits::default())
    }

    pub(super) fn enter_with(&mut self, name: &str, secret: Option<&str>, limits: &Limits) -> Who {
        let identity = Identity::new(SecretKey::generate(&mut self.rng), &mut self.rng);
        let room = RoomSecret::new("lobby", secret);
        let membership = Membership::new(self.now, limits, identity.address(), room, name, self.rng.fork()).unwrap();
        let (events, heard) = (Vec::new(), Vec::new());
        self.nodes.push(Node { identity, membership, link: None, events, heard, keys: 0 });
        self.connect(self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    pub(super) fn address(&self, who: Who) -> Address {
        self.nodes[who].identity.address()
    }

    pub(super) fn names(&self, who: Who) -> Vec<String> {
        let mut names: Vec<_> = self.nodes[who].membership.members().map(|member| member.name).collect();
        names.sort();
        names
    }

    pub(super) fn heard(&self, who: Who) -> Vec<String> {
        self.nodes[who].heard.iter().map(|(name, text, _)| format!("{name}: {text}")).collect()
    }

    /// Name, text and number of missed broadcasts.
    pub(super) fn heard_in_full(&self, who: Who) -> &[(String, String, u64)] {
        &self.nodes[who].heard
    }

    /// All events but broadcasts since the last call.
    pub(super) fn take_events(&mut self, who: Who) -> Vec<RoomEvent> {
        std::mem::take(&mut self.nodes[who].events)
    }

    /// How many sender keys were sent to that member.
    pub(super) fn keys_to(&self, who: Who) -> usize {
        self.nodes[who].keys
    }

    pub(super) fn dropped(&self, who: Who, reason: Dropped) -> u64 {
        self.nodes[who].membership.dropped(reason)
    }

    pub(super) fn deadline(&self, who: Who) -> Option<crate::machine::Deadline> {
        self.nodes[who].membership.deadline()
    }

    pub(super) fn say(&mut self, who: Who, text: &str) -> Result<(), BroadcastError> {
        let (node, mut actions) = (&mut self.nodes[who], Vec::new());
        let result =
            node.membership.broadcast(self.now, &node.identity, text.as_bytes(), &mut |action| actions.push(action));
        self.act(who, actions);
        result
    }

    pub(super) fn leave(&mut self, who: Who) {
        let mut actions = Vec::new();
        self.nodes[who].membership.leave(&mut |action| actions.push(action));
        self.act(who, actions);
    }

    /// A fresh chain at the next broadcast, as after somebody has left.
    pub(super) fn renew(&mut self, who: Who) {
        self.nodes[who].membership.renew_next();
    }

    /// The relay tells all others that a member has left, but goes on sending to it.
    pub(super) fn dismiss_quietly(&mut self, who: Who) {
        let address = self.address(who);
        for other in (0..self.nodes.len()).filter(|other| *other != who) {
            let reason = LeaveReason::Left;
            let version = self.nodes[other].membership.version() + 1;
            let room = self.nodes[other].membership.hash();
            self.tell(other, &ToMember::Left { room, version, address, reason });
        }
    }

    /// Hands a message to a member as if it came from the relay.
    pub(super) fn tell(&mut self, who: Who, message: &ToMember<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        let now = self.now;
        self.nodes[who].membership.on_message(now, message, &mut |action| actions.push(action));
        self.act(who, actions.clone());
        actions
    }

    /// Hands a signal to a member as if it came over a session with `from`.
    pub(super) fn signal(&mut self, from: Address, to: Who, signal: &Signal<'_>) {
        let mut actions = Vec::new();
        self.nodes[to].membership.on_signal(self.now, from, signal, &mut |action| actions.push(action));
        self.act(to, actions);
    }

    pub(super) fn connect(&mut self, who: Who) {
        let link = self.ids.link();
        self.links.insert(link, who);
        self.nodes[who].link = Some(link);
        let mut actions = Vec::new();
        self.nodes[who].membership.relay_up(self.now, &mut |action| actions.push(action));
        self.act(who, actions);
    }

    /// The link of a member fails; both ends notice at once, and what is on its way is lost.
    pub(super) fn cut(&mut self, who: Who) {
        let Some(link) = self.nodes[who].link.take() else { return };
        self.links.remove(&link);
        self.nodes[who].membership.relay_down();
        self.host.link_down(self.now, link);
    }

    pub(super) fn restart_relay(&mut self) {
        (0..self.nodes.len()).for_each(|who| self.cut(who));
        self.host = Host::new(&Limits::default(), 16);
    }

    pub(super) fn is_connected(&self, who: Who) -> bool {
        self.nodes[who].link.is_some()
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.now = at;
            self.step();
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        let packets = self.on_the_way.keys().next().map(|(at, _)| *at);
        let members = self.nodes.iter().filter_map(|node| node.membership.deadline());
        let deadlines = members.chain(self.host.deadline()).map(|deadline| deadline.at);
        deadlines.chain(packets).min()
    }

    fn step(&mut self) {
        while let Some((&(at, number), _)) = self.on_the_way.first_key_value() {
            if at > self.now {
                break;
            }
            let packet = self.on_the_way.remove(&(at, number)).unwrap();
            self.deliver(packet);
        }
        let mut sent = Vec::new();
        self.host.on_timeout(self.now, &mut |link, bytes: &[u8]| sent.push((link, bytes.to_vec())));
        self.pass_on(sent);
        assert!(self.host.deadline().is_none_or(|deadline| deadline.at > self.now));
        for who in 0..self.nodes.len() {
            let mut actions = Vec::new();
            self.nodes[who].membership.on_timeout(self.now, &mut |action| actions.push(action));
            assert!(self.deadline(who).is_none_or(|deadline| deadline.at > self.now));
            self.act(who, actions);
        }
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::ToRelay(link, bytes) => {
                let Some(&who) = self.links.get(&link) else { return };
                let Ok(RoomMessage::ToHost(message)) = RoomMessage::decode(&bytes) else { panic!("{bytes:?}") };
                let (from, mut sent) = (self.address(who), Vec::new());
                let out = &mut |link, bytes: &[u8]| sent.push((link, bytes.to_vec()));
                self.host.on_message(self.now, from, link, &message, out);
                self.pass_on(sent);
            }
            Packet::ToMember(link, bytes) => {
                let Some(&who) = self.links.get(&link) else { return };
                let Ok(RoomMessage::ToMember(message)) = RoomMessage::decode(&bytes) else { panic!("{bytes:?}") };
                self.tell(who, &message);
            }
            Packet::Signal(from, to, bytes) => {
                let signal = Signal::decode(&bytes, MAX_SIGNAL).unwrap();
                self.signal(self.address(from), to, &signal);
            }
            Packet::Broken(from, to) => {
                let to = self.address(to);
                self.nodes[from].membership.key_lost(to);
            }
        }
    }

    fn pass_on(&mut self, sent: Vec<(LinkId, Vec<u8>)>) {
        for (link, bytes) in sent {
            self.relay(Packet::ToMember(link, bytes.clone()), bytes.len());
        }
    }

    fn act(&mut self, who: Who, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::ToRelay(bytes) => {
                    let Some(link) = self.nodes[who].link else { continue };
                    self.relay(Packet::ToRelay(link, bytes.clone()), bytes.len());
                }
                Action::ToMember { to, signal } => self.send_signal(who, to, &signal),
                Action::Event(RoomEvent::Broadcast { from, bytes, missed }) => {
                    self.nodes[who].heard.push((from.name, String::from_utf8(bytes).unwrap(), missed));
                }
                Action::Event(event) => self.nodes[who].events.push(event),
            }
        }
    }

    fn send_signal(&mut self, from: Who, to: Address, signal: &Signal<'_>) {
        let Some(to) = self.nodes.iter().position(|node| node.identity.address() == to) else { return };
        self.nodes[to].keys += usize::from(matches!(signal, Signal::SenderKey(_)));
        if self.sessions_break {
            self.faults[2] += 1;
            self.put(self.signal_delay, Packet::Broken(from, to));
        } else if !self.lose_signals {
            self.put(self.signal_delay, Packet::Signal(from, to, signal.encode().to_vec()));
        }
    }

    /// Puts a room message on its way: in order, but perhaps not at all, or twice.
    fn relay(&mut self, packet: Packet, len: usize) {
        self.relayed += len;
        if self.rng.chance(self.loss) {
            self.faults[0] += 1;
            return;
        }
        if self.rng.chance(self.loss) {
            self.faults[1] += 1;
            self.put(DELAY, packet.clone());
        }
        self.put(DELAY, packet);
    }

    fn put(&mut self, delay: Duration, packet: Packet) {
        self.number += 1;
        self.on_the_way.insert((self.now + delay, self.number), packet);
    }

    pub(super) fn lose_what_is_on_the_way(&mut self) {
        assert!(!self.on_the_way.is_empty());
        self.on_the_way.clear();
    }

    pub(super) fn random(&mut self, below: u64) -> usize {
        self.rng.below(below) as usize
    }

    /// The texts of what `who` would send to the relay, without sending them.
    pub(super) fn broadcast_of(&mut self, who: Who, text: &str) -> Vec<u8> {
        let (node, mut sent) = (&mut self.nodes[who], VecDeque::new());
        let out = &mut |action| {
            if let Action::ToRelay(bytes) = action {
                sent.push_back(bytes);
            }
        };
        node.membership.broadcast(self.now, &node.identity, text.as_bytes(), out).unwrap();
        sent.pop_front().unwrap()
    }
}
