//! Two sessions and the paths between them, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::Session;
use switchboard::hub::session::event::{PathId, PathInfo, SessionEvent};
use switchboard::link::noise::{Opener, Sealer};
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::wire::session::SessionKey;

pub const DIRECT: PathInfo = PathInfo { direct: true, lossy: false, private: false };
pub const PRIVATE: PathInfo = PathInfo { direct: true, lossy: false, private: true };
pub const RELAYED: PathInfo = PathInfo { direct: false, lossy: true, private: false };

/// What happens to packets on a way.
#[derive(Debug, Clone, Copy)]
pub struct Quality {
    pub delay: Duration,
    pub loss: f64,
    pub repeat: f64,
    pub reorder: f64,
}

impl Quality {
    pub fn clean(millis: u64) -> Self {
        Self { delay: Duration::from_millis(millis), loss: 0.0, repeat: 0.0, reorder: 0.0 }
    }
}

/// One path, which exists until either end gives it up.
#[derive(Debug)]
pub struct Wire {
    pub id: PathId,
    pub info: PathInfo,
    pub quality: Quality,
    /// Packets of that end are lost, or stall where nothing gets lost.
    pub cut: [bool; 2],
    stalled: [Vec<Vec<u8>>; 2],
    last: [Instant; 2],
}

#[derive(Debug, Clone)]
enum Happening {
    Packet { to: usize, path: PathId, bytes: Vec<u8> },
    Gone { at: usize, path: PathId },
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub packets: u64,
    pub dropped: u64,
    pub repeated: u64,
    pub reordered: u64,
    pub closed_paths: u64,
}

pub struct Net {
    pub now: Instant,
    pub rng: Rng,
    pub ends: [Session; 2],
    pub wires: Vec<Wire>,
    pub events: [Vec<(Instant, SessionEvent)>; 2],
    /// Whether that end takes what has arrived.
    pub reads: [bool; 2],
    pub received: [Vec<(Instant, ChannelId, Vec<u8>)>; 2],
    pub signals: [Vec<Vec<u8>>; 2],
    pub counts: Counts,
    queue: BTreeMap<(Instant, u64), Happening>,
    order: u64,
}

pub fn keys(flip: bool) -> (Sealer, Opener) {
    let (a, b) = ([1; 32], [2; 32]);
    if flip { (Sealer::new(&b), Opener::new(&a)) } else { (Sealer::new(&a), Opener::new(&b)) }
}

pub fn session(now: Instant, limits: &Limits, initiator: bool, channels: &[Channel]) -> Session {
    Session::new(now, limits, SessionKey([9; 16]), initiator, keys(!initiator), channels.to_vec())
}

impl Net {
    /// Sessions without any path.
    pub fn new(seed: u64, limits: &Limits, channels: &[Channel]) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        Self {
            now,
            rng: Rng::from_u64(seed),
            ends: [session(now, limits, true, channels), session(now, limits, false, channels)],
            wires: Vec::new(),
            events: [Vec::new(), Vec::new()],
            reads: [true; 2],
            received: [Vec::new(), Vec::new()],
            signals: [Vec::new(), Vec::new()],
            counts: Counts::default(),
            queue: BTreeMap::new(),
            order: 0,
        }
    }

    /// The path of the handshake: both ends know it.
    pub fn first_path(&mut self, info: PathInfo, quality: Quality) -> PathId {
        let id = PathId(0);
        self.wire(id, info, quality);
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.add_path(now, id, info));
        self.settle();
        id
    }

    /// A path that an end opens.
    pub fn open_path(&mut self, end: usize, info: PathInfo, quality: Quality) -> Option<PathId> {
        let id = self.ends[end].free_path()?;
        self.wires.retain(|wire| wire.id != id);
        self.wire(id, info, quality);
        let now = self.now;
        self.ends[end].attach(now, id, info);
        self.settle();
        Some(id)
    }

    pub fn wire_of(&mut self, id: PathId) -> &mut Wire {
        self.wires.iter_mut().find(|wire| wire.id == id).unwrap()
    }

    /// Both ends learn that a path is gone.
    pub fn remove(&mut self, id: PathId) {
        self.wires.retain(|wire| wire.id != id);
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.remove_path(now, id));
        self.settle();
    }

    pub fn heal(&mut self, id: PathId) {
        let wire = self.wire_of(id);
        wire.cut = [false; 2];
        let stalled = std::mem::take(&mut wire.stalled);
        for (from, packets) in stalled.into_iter().enumerate() {
            packets.into_iter().for_each(|packet| self.transmit(from, id, packet));
        }
    }

    pub fn send(&mut self, from: usize, channel: ChannelId, message: &[u8]) -> bool {
        let sent = self.ends[from].send(self.now, channel, message).is_ok();
        self.settle();
        sent
    }

    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(until, |_| false);
    }

    /// Runs until something holds; whether it does.
    pub fn run_until(&mut self, until: Instant, holds: impl Fn(&Self) -> bool) -> bool {
        self.settle();
        let mut steps = 0u64;
        while !holds(self) {
            let packet = self.queue.first_key_value().map(|((at, _), _)| *at);
            let timers = self.ends.iter().filter_map(|end| end.deadline()).map(|deadline| deadline.at);
            let Some(next) = timers.chain(packet).min().filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            self.step();
            steps += 1;
            assert!(steps < 3_000_000, "it spins at {}: {:?}", self.now, self.ends[0].deadline());
        }
        if !holds(self) {
            self.now = self.now.max(until);
        }
        holds(self)
    }

    fn step(&mut self) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let happening = entry.remove();
            self.happen(happening);
            self.settle();
        }
        let now = self.now;
        for end in &mut self.ends {
            if end.deadline().is_some_and(|deadline| deadline.at <= now) {
                end.on_timeout(now);
                assert!(end.deadline().is_none_or(|deadline| deadline.at > now), "{:?}", end.deadline());
            }
        }
        self.settle();
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Gone { at, path } => self.ends[at].remove_path(now, path),
            Happening::Packet { to, path, mut bytes } => {
                let Some(info) = self.wires.iter().find(|wire| wire.id == path).map(|wire| wire.info) else { return };
                let is_attach = bytes[0] == 4;
                match self.ends[to].receive(now, path, &mut bytes) {
                    Err(switchboard::hub::session::event::Misbehaved::NoSuchPath) if is_attach => {
                        let result = self.ends[to].open_attach(now, info, &mut bytes);
                        assert!(result.is_ok_and(|id| id == path) || result.is_err_and(|rule| !rule.closes_path()));
                    }
                    Err(switchboard::hub::session::event::Misbehaved::NoSuchPath) => {
                        let at = now + self.wire_of(path).quality.delay;
                        self.push(at, Happening::Gone { at: 1 - to, path });
                    }
                    Err(rule) => assert!(!rule.closes_path(), "{rule}"),
                    Ok(()) => {}
                }
            }
        }
    }

    /// Hands on what the sessions have to say.
    pub fn settle(&mut self) {
        let mut busy = true;
        while std::mem::take(&mut busy) {
            for end in 0..2 {
                while let Some(event) = self.ends[end].poll_event() {
                    busy = true;
                    self.on_event(end, &event);
                    self.events[end].push((self.now, event));
                }
                if self.reads[end] {
                    busy |= self.read(end);
                }
                while let Some(path) = self.ends[end].pop_ready() {
                    busy = true;
                    self.pull(end, path);
                }
            }
        }
    }

    /// Takes all that has arrived at an end.
    pub fn read(&mut self, end: usize) -> bool {
        let before = self.received[end].len();
        while let Some((channel, message)) = self.ends[end].recv() {
            self.received[end].push((self.now, channel, message.into_vec()));
        }
        while let Some(signal) = self.ends[end].recv_signal() {
            self.signals[end].push(signal.into_vec());
        }
        self.received[end].len() > before
    }

    fn on_event(&mut self, end: usize, event: &SessionEvent) {
        let SessionEvent::PathClosed(path) = event else { return };
        self.counts.closed_paths += 1;
        if self.rng.chance(0.5) {
            self.push(self.now, Happening::Gone { at: 1 - end, path: *path });
        }
    }

    fn pull(&mut self, end: usize, path: PathId) {
        let mut bytes = Vec::new();
        while self.ends[end].supply(self.now, path, &mut bytes) {
            assert!(bytes.len() <= Limits::default().packet);
            self.transmit(end, path, std::mem::take(&mut bytes));
        }
        assert!(bytes.is_empty());
    }

    fn transmit(&mut self, from: usize, path: PathId, bytes: Vec<u8>) {
        self.counts.packets += 1;
        let now = self.now;
        let Some(wire) = self.wires.iter_mut().find(|wire| wire.id == path) else { return };
        let quality = wire.quality;
        if !wire.info.lossy {
            if wire.cut[from] {
                return wire.stalled[from].push(bytes);
            }
            wire.last[from] = wire.last[from].max(now + quality.delay);
            let at = wire.last[from];
            return self.push(at, Happening::Packet { to: 1 - from, path, bytes });
        }
        if wire.cut[from] || self.rng.chance(quality.loss) {
            self.counts.dropped += 1;
            return;
        }
        let mut at = now + quality.delay;
        if self.rng.chance(quality.reorder) {
            self.counts.reordered += 1;
            at = at + quality.delay / 2;
        }
        if self.rng.chance(quality.repeat) {
            self.counts.repeated += 1;
            self.push(at + quality.delay / 4, Happening::Packet { to: 1 - from, path, bytes: bytes.clone() });
        }
        self.push(at, Happening::Packet { to: 1 - from, path, bytes });
    }

    fn wire(&mut self, id: PathId, info: PathInfo, quality: Quality) {
        let wire = Wire { id, info, quality, cut: [false; 2], stalled: [Vec::new(), Vec::new()], last: [self.now; 2] };
        self.wires.push(wire);
    }

    fn push(&mut self, at: Instant, happening: Happening) {
        self.order += 1;
        self.queue.insert((at, self.order), happening);
    }
}
