//! Two sessions and the paths between them, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::Session;
use switchboard::hub::session::event::{Misbehaved, PathId, PathInfo, SessionEvent};
use switchboard::link::noise::{Opener, Sealer};
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::wire::session::SessionKey;

pub(super) const DIRECT: PathInfo = PathInfo { direct: true, lossy: false, private: false, split: false };
pub(super) const PRIVATE: PathInfo = PathInfo { direct: true, lossy: false, private: true, split: false };
pub(super) const SPLIT: PathInfo = PathInfo { direct: true, lossy: false, private: true, split: true };
pub(super) const RELAYED: PathInfo = PathInfo { direct: false, lossy: true, private: false, split: false };

/// What happens to packets on a way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quality {
    pub(super) delay: Duration,
    pub(super) loss: f64,
    pub(super) repeat: f64,
    pub(super) reorder: f64,
}

impl Quality {
    pub(super) fn clean(millis: u64) -> Self {
        Self { delay: Duration::from_millis(millis), loss: 0.0, repeat: 0.0, reorder: 0.0 }
    }
}

/// One path, which exists until either end gives it up.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) id: PathId,
    pub(super) info: PathInfo,
    pub(super) quality: Quality,
    serial: u64,
    /// Packets of that end are lost, or stall where nothing gets lost.
    pub(super) cut: [bool; 2],
    stalled: [Vec<Vec<u8>>; 2],
    /// What split paths have carried by their lanes.
    pub(super) carried: [usize; 2],
    /// Whether what goes by `bulk` stalls.
    pub(super) stall_bulk: bool,
    /// What `quick` takes longer than the path.
    pub(super) quick_delay: Duration,
    last: [Instant; 2],
}

#[derive(Debug, Clone)]
enum Happening {
    Packet { to: usize, serial: u64, bytes: Vec<u8> },
    Gone { at: usize, serial: u64 },
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) dropped: u64,
    pub(super) repeated: u64,
    pub(super) reordered: u64,
    pub(super) closed_paths: u64,
}

pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) rng: Rng,
    pub(super) ends: [Session; 2],
    pub(super) wires: Vec<Wire>,
    pub(super) events: [Vec<(Instant, SessionEvent)>; 2],
    /// Whether that end takes what has arrived.
    pub(super) reads: [bool; 2],
    pub(super) received: [Vec<(Instant, ChannelId, Vec<u8>)>; 2],
    pub(super) signals: [Vec<Vec<u8>>; 2],
    pub(super) counts: Counts,
    queue: BTreeMap<(Instant, u64), Happening>,
    order: u64,
    /// Which wire each end takes for which path.
    bound: [BTreeMap<PathId, u64>; 2],
}

pub(super) fn keys(flip: bool) -> (Sealer, Opener) {
    let (a, b) = ([1; 32], [2; 32]);
    if flip { (Sealer::new(&b), Opener::new(&a)) } else { (Sealer::new(&a), Opener::new(&b)) }
}

pub(super) fn session(now: Instant, limits: &Limits, initiator: bool, channels: &[Channel]) -> Session {
    Session::new(now, limits, SessionKey([9; 16]), initiator, keys(!initiator), channels.to_vec())
}

impl Net {
    /// Sessions without any path.
    pub(super) fn new(seed: u64, limits: &Limits, channels: &[Channel]) -> Self {
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
            bound: Default::default(),
        }
    }

    /// The path of the handshake: both ends know it.
    pub(super) fn first_path(&mut self, info: PathInfo, quality: Quality) -> PathId {
        let id = PathId(0);
        self.wire(id, info, quality);
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.add_path(now, id, info));
        self.bound.iter_mut().for_each(|bound| {
            bound.insert(id, self.order);
        });
        self.settle();
        id
    }

    /// A path that an end opens.
    pub(super) fn open_path(&mut self, end: usize, info: PathInfo, quality: Quality) -> Option<PathId> {
        let id = self.ends[end].free_path()?;
        self.wires.retain(|wire| wire.id != id);
        self.wire(id, info, quality);
        let now = self.now;
        if info.split {
            self.ends.iter_mut().for_each(|end| end.add_path(now, id, info));
            self.bound.iter_mut().for_each(|bound| _ = bound.insert(id, self.order));
        } else {
            self.ends[end].attach(now, id, info);
            self.bound[end].insert(id, self.order);
        }
        self.settle();
        Some(id)
    }

    pub(super) fn wire_of(&mut self, id: PathId) -> &mut Wire {
        self.wires.iter_mut().find(|wire| wire.id == id).unwrap()
    }

    /// Both ends learn that a path is gone.
    pub(super) fn remove(&mut self, id: PathId) {
        self.wires.retain(|wire| wire.id != id);
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.remove_path(now, id));
        self.bound.iter_mut().for_each(|bound| {
            bound.remove(&id);
        });
        self.settle();
    }

    pub(super) fn heal(&mut self, id: PathId) {
        let wire = self.wire_of(id);
        wire.cut = [false; 2];
        let stalled = std::mem::take(&mut wire.stalled);
        for (from, packets) in stalled.into_iter().enumerate() {
            packets.into_iter().for_each(|packet| self.transmit(from, id, false, packet));
        }
    }

    pub(super) fn send(&mut self, from: usize, channel: ChannelId, message: &[u8]) -> bool {
        let sent = self.ends[from].send(self.now, channel, message).is_ok();
        self.settle();
        sent
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(until, |_| false);
    }

    /// Runs until something holds; whether it does.
    pub(super) fn run_until(&mut self, until: Instant, holds: impl Fn(&Self) -> bool) -> bool {
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
        match happening {
            Happening::Gone { at, serial } => {
                let path = self.bound[at].iter().find(|(_, bound)| **bound == serial).map(|(path, _)| *path);
                if let Some(path) = path {
                    self.bound[at].remove(&path);
                    self.ends[at].remove_path(self.now, path);
                }
            }
            Happening::Packet { to, serial, bytes } => self.arrive(to, serial, bytes),
        }
    }

    /// As a hub does: a packet of a route that is none of a session's may attach it, else the route is closed.
    fn arrive(&mut self, to: usize, serial: u64, mut bytes: Vec<u8>) {
        let now = self.now;
        let Some(wire) = self.wires.iter().find(|wire| wire.serial == serial) else { return };
        let (id, info, delay) = (wire.id, wire.info, wire.quality.delay);
        if self.bound[to].get(&id) == Some(&serial) {
            let result = self.ends[to].receive(now, id, &mut bytes);
            assert!(result.is_ok() || result.is_err_and(|rule| !rule.closes_path()), "{result:?}");
        } else if bytes[0] == 4 {
            match self.ends[to].open_attach(now, info, &mut bytes) {
                Ok(path) => {
                    assert_eq!(path, id);
                    self.bound[to].insert(id, serial);
                }
                Err(rule) => assert!(!rule.closes_path() || rule == Misbehaved::TooManyPaths, "{rule}"),
            }
        } else {
            self.push(now + delay, Happening::Gone { at: 1 - to, serial });
        }
    }

    /// Hands on what the sessions have to say.
    pub(super) fn settle(&mut self) {
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
                while let Some(path) = self.ends[end].pop_ready_quick() {
                    busy = true;
                    self.pull_quick(end, path);
                }
            }
        }
    }

    /// Takes all that has arrived at an end.
    pub(super) fn read(&mut self, end: usize) -> bool {
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
        let Some(serial) = self.bound[end].remove(path) else { return };
        if self.rng.chance(0.5) {
            self.push(self.now, Happening::Gone { at: 1 - end, serial });
        }
    }

    fn pull(&mut self, end: usize, path: PathId) {
        let mut bytes = Vec::new();
        while self.ends[end].supply(self.now, path, &mut bytes) {
            assert!(bytes.len() <= Limits::default().packet);
            self.transmit(end, path, false, std::mem::take(&mut bytes));
        }
        assert!(bytes.is_empty());
    }

    fn pull_quick(&mut self, end: usize, path: PathId) {
        let mut bytes = Vec::new();
        while self.ends[end].supply_quick(self.now, path, &mut bytes) {
            assert!(bytes.len() <= 1_100, "{} bytes in one datagram", bytes.len());
            self.transmit(end, path, true, std::mem::take(&mut bytes));
        }
    }

    fn transmit(&mut self, from: usize, path: PathId, quick: bool, bytes: Vec<u8>) {
        self.counts.packets += 1;
        let now = self.now;
        let Some(wire) = self.wires.iter_mut().find(|wire| wire.id == path) else { return };
        let (mut quality, serial) = (wire.quality, wire.serial);
        quality.delay += if quick { wire.quick_delay } else { Duration::ZERO };
        wire.carried[usize::from(quick)] += 1;
        if wire.info.split && !quick && !wire.cut[from] && !wire.stall_bulk {
            // Nothing is lost, but what had to be sent again comes late, and the rest does not wait for it.
            let late = if self.rng.chance(quality.loss + quality.reorder) { quality.delay * 3 } else { Duration::ZERO };
            return self.push(now + quality.delay + late, Happening::Packet { to: 1 - from, serial, bytes });
        }
        if !wire.info.lossy && !quick {
            if wire.cut[from] || wire.stall_bulk {
                return wire.stalled[from].push(bytes);
            }
            wire.last[from] = wire.last[from].max(now + quality.delay);
            let at = wire.last[from];
            return self.push(at, Happening::Packet { to: 1 - from, serial, bytes });
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
            self.push(at + quality.delay / 4, Happening::Packet { to: 1 - from, serial, bytes: bytes.clone() });
        }
        self.push(at, Happening::Packet { to: 1 - from, serial, bytes });
    }

    fn wire(&mut self, id: PathId, info: PathInfo, quality: Quality) {
        self.order += 1;
        let (cut, stalled, last) = ([false; 2], [Vec::new(), Vec::new()], [self.now; 2]);
        let (carried, stall_bulk, quick_delay) = ([0; 2], false, Duration::ZERO);
        let serial = self.order;
        let wire = Wire { serial, id, info, quality, cut, stalled, carried, stall_bulk, quick_delay, last };
        self.wires.push(wire);
    }

    fn push(&mut self, at: Instant, happening: Happening) {
        self.order += 1;
        self.queue.insert((at, self.order), happening);
    }
}
