//! Two sessions and what lies between them: lines through a relay that drops, repeats and delays packets.

use std::collections::BTreeMap;
use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::Session;
use switchboard::hub::session::event::{CloseReason, Misbehaved, PathId, PathInfo, SendError, SessionEvent};
use switchboard::link::noise::{Opener, Sealer};
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::wire::session::SessionKey;

use super::{VOLUME, sizes};
use crate::ledger::Ledger;

const DELAY: Duration = Duration::from_millis(10);
/// What a packet that is overtaken is late by, at most.
const LATE: u64 = 15;
/// How fast an application sends on a channel that may lose: what is older than it may be is of no use to anybody.
const PACE: usize = 1_000;
const TICK: Duration = Duration::from_millis(1);
const BOUND: Duration = Duration::from_secs(60);
const RELAYED: PathInfo = PathInfo { direct: false, lossy: true, private: false, split: false };

/// Where a path dies, and what there is instead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    packet: usize,
    /// Whether there is another path from the start.
    spare: bool,
    /// Who opens the next path.
    by: usize,
}

impl Cut {
    pub(super) const fn new(packet: usize) -> Self {
        Self { packet, spare: packet.is_multiple_of(2), by: packet / 2 % 2 }
    }
}

/// A route through the relay: the name of the path on each side, once that side has it.
struct Line {
    ends: [Option<PathId>; 2],
    open: bool,
}

/// What happens later.
enum Later {
    Packet {
        line: usize,
        to: usize,
        packet: Vec<u8>,
    },
    /// A side hears that its line is gone.
    Gone {
        line: usize,
        at: usize,
    },
    /// A side opens a line.
    Open {
        by: usize,
    },
}

pub(super) struct Wire {
    now: Instant,
    dice: Rng,
    cut: Option<Cut>,
    channel: Channel,
    sessions: [Session; 2],
    lines: Vec<Line>,
    later: BTreeMap<(Instant, u64), Later>,
    sequence: u64,
    packets: usize,
    ledger: Ledger<usize>,
    left: [usize; 2],
    turn: [usize; 2],
    blocked: [bool; 2],
    next_tick: Instant,
    ended: [Option<CloseReason>; 2],
}

impl Wire {
    pub(super) fn new(channel: &Channel, seed: u64, cut: Option<Cut>) -> Self {
        let now = Instant::ZERO + Duration::from_secs(1);
        let mut wire = Self {
            now,
            dice: Rng::from_u64(seed),
            cut,
            channel: channel.clone(),
            sessions: [session(now, channel, true), session(now, channel, false)],
            lines: Vec::new(),
            later: BTreeMap::new(),
            sequence: 0,
            packets: 0,
            ledger: Ledger::new(std::slice::from_ref(channel)),
            left: [VOLUME; 2],
            turn: [0; 2],
            blocked: [false; 2],
            next_tick: now,
            ended: [None, None],
        };
        let first = PathId(0);
        wire.lines.push(Line { ends: [Some(first); 2], open: true });
        wire.sessions.iter_mut().for_each(|session| session.add_path(now, first, RELAYED));
        if cut.is_none_or(|cut| cut.spare) {
            wire.later(DELAY, Later::Open { by: 0 });
        }
        wire
    }

    /// Until everything is there that must be, and then until both have heard the goodbye.
    pub(super) fn run(&mut self) {
        let end = self.now + BOUND;
        let mut closed = false;
        while self.ended.iter().any(Option::is_none) {
            assert!(self.now < end, "{}; {:?}", self.account(), self.sessions.each_ref().map(Session::statistics));
            if !closed && self.left == [0, 0] && (0..2).all(|side| self.ledger.is_complete(side)) {
                closed = true;
                self.sessions[0].close(self.now, 3, "done");
                self.settle();
            }
            self.step();
        }
        let peer = CloseReason::Peer { code: 3, text: "done".into() };
        assert_eq!(self.ended, [Some(CloseReason::Local), Some(peer)]);
    }

    /// Packets so far.
    pub(super) const fn packets(&self) -> usize {
        self.packets
    }

    /// Which part of the messages has arrived.
    pub(super) fn share(&self) -> f64 {
        let (arrived, lost) = self.ledger.counts(&[0, 1]);
        arrived as f64 / (arrived + lost) as f64
    }

    fn account(&self) -> String {
        (0..2).map(|side| self.ledger.account(side)).collect::<Vec<_>>().join("; ")
    }

    fn later(&mut self, after: Duration, what: Later) {
        self.sequence += 1;
        self.later.insert((self.now + after, self.sequence), what);
    }

    fn step(&mut self) {
        let deadlines = self.sessions.iter().filter_map(|session| Some(session.deadline()?.at));
        let tick = self.sends().then_some(self.next_tick);
        let next = self.later.keys().next().map(|(at, _)| *at).into_iter().chain(deadlines).chain(tick).min();
        let next = next.unwrap_or_else(|| panic!("nobody waits for anything: {}", self.account()));
        self.now = self.now.max(next);
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let what = entry.remove();
            self.happen(what);
        }
        for session in &mut self.sessions {
            if session.deadline().is_some_and(|deadline| deadline.at <= self.now) {
                session.on_timeout(self.now);
            }
        }
        if self.next_tick <= self.now {
            self.next_tick = self.now + TICK;
            (0..2).for_each(|side| self.send(side));
        }
        self.settle();
    }

    fn sends(&self) -> bool {
        (0..2).any(|side| self.left[side] > 0 && !self.blocked[side])
    }

    fn happen(&mut self, what: Later) {
        match what {
            Later::Packet { line, to, packet } => self.arrive(line, to, packet),
            Later::Gone { line, at } => {
                if let Some(path) = self.lines[line].ends[at].take() {
                    self.sessions[at].remove_path(self.now, path);
                }
            }
            Later::Open { by } => self.open(by),
        }
    }

    /// Who is gone opens nothing: then it is the other who asks.
    fn open(&mut self, by: usize) {
        let by = if self.ended[by].is_some() { 1 - by } else { by };
        let Some(path) = self.sessions[by].free_path() else { return };
        let mut ends = [None; 2];
        ends[by] = Some(path);
        self.lines.push(Line { ends, open: true });
        self.sessions[by].attach(self.now, path, RELAYED);
    }

    fn arrive(&mut self, line: usize, to: usize, mut packet: Vec<u8>) {
        if !self.lines[line].open {
            return;
        }
        if self.ended[to].is_some() {
            // What a hub answers to a packet of a session that it does not have.
            return self.sessions[1 - to].abort(CloseReason::Forgotten);
        }
        let session = &mut self.sessions[to];
        let result = match self.lines[line].ends[to] {
            Some(path) => session.receive(self.now, path, &mut packet),
            None => session.open_attach(self.now, RELAYED, &mut packet).map(|path| {
                // Its opener has heard first that the last path of that number is gone.
                let before = self.lines.iter_mut().filter(|line| line.ends[to] == Some(path));
                before.for_each(|line| line.ends[to] = None);
                self.lines[line].ends[to] = Some(path);
            }),
        };
        match result {
            // What is repeated or late; and what has overtaken the first packet of its path.
            Ok(()) | Err(Misbehaved::Replayed | Misbehaved::Attachment) => {}
            Err(error) => panic!("side {to}: {error}"),
        }
    }

    fn send(&mut self, side: usize) {
        let mut room = if self.channel.is_reliable() { usize::MAX } else { PACE };
        while self.left[side] > 0 && room > 0 && !self.blocked[side] && self.ended[side].is_none() {
            let sizes = sizes(&self.channel);
            let size = sizes[self.turn[side] % sizes.len()];
            let message = self.ledger.next(side, 0, size);
            match self.sessions[side].send(self.now, ChannelId(1), &message) {
                Ok(()) => {
                    self.ledger.sent(side, 0, size);
                    self.turn[side] += 1;
                    (self.left[side], room) = (self.left[side].saturating_sub(size), room.saturating_sub(size));
                }
                Err(SendError::Blocked) => self.blocked[side] = true,
                Err(error) => panic!("side {side}: {error}"),
            }
        }
    }

    /// Lets both sides say what they have to say, until they are silent.
    fn settle(&mut self) {
        while (0..2).any(|side| self.say(side)) {}
    }

    fn say(&mut self, side: usize) -> bool {
        let mut some = false;
        while let Some(path) = self.sessions[side].pop_ready() {
            some = true;
            self.supply(side, path);
        }
        while let Some(event) = self.sessions[side].poll_event() {
            some = true;
            self.on_event(side, event);
        }
        while let Some((channel, message)) = self.sessions[side].recv() {
            some = true;
            self.ledger.arrived(side, channel.index() - 1, message.as_slice());
        }
        some
    }

    fn on_event(&mut self, side: usize, event: SessionEvent) {
        match event {
            SessionEvent::Writable(_) => self.blocked[side] = false,
            SessionEvent::Closed(reason) => self.ended[side] = Some(reason),
            SessionEvent::PathClosed(path) => {
                let line = self.lines.iter().position(|line| line.open && line.ends[side] == Some(path));
                if let Some(line) = line {
                    self.end_line(line, Duration::ZERO);
                }
            }
            _ => {}
        }
    }

    fn supply(&mut self, side: usize, path: PathId) {
        loop {
            let mut packet = Vec::new();
            if !self.sessions[side].supply(self.now, path, &mut packet) {
                return;
            }
            assert!(packet.len() <= Limits::default().packet, "a packet of {} bytes", packet.len());
            let number = self.packets;
            self.packets += 1;
            let Some(line) = self.line_of(side, path) else { continue };
            match self.cut {
                Some(cut) if cut.packet == number => self.end_line(line, Duration::from_millis(number as u64 % 30)),
                _ => self.carry(line, 1 - side, packet),
            }
        }
    }

    fn line_of(&self, side: usize, path: PathId) -> Option<usize> {
        self.lines.iter().rposition(|line| line.open && line.ends[side] == Some(path))
    }

    /// The sides hear of it one after the other, and somebody opens another line.
    fn end_line(&mut self, line: usize, between: Duration) {
        self.lines[line].open = false;
        let by = self.cut.map_or(0, |cut| cut.by);
        self.later(Duration::ZERO, Later::Gone { line, at: by });
        self.later(between, Later::Gone { line, at: 1 - by });
        self.later(between + Duration::from_millis(50), Later::Open { by });
    }

    fn carry(&mut self, line: usize, to: usize, packet: Vec<u8>) {
        let fate = self.dice.below(100);
        if fate == 0 {
            return;
        }
        if fate == 1 {
            let late = Duration::from_millis(self.dice.below(LATE));
            self.later(DELAY + late, Later::Packet { line, to, packet: packet.clone() });
        }
        let late = if fate < 10 { self.dice.below(LATE) } else { 0 };
        self.later(DELAY + Duration::from_millis(late), Later::Packet { line, to, packet });
    }
}

fn session(now: Instant, channel: &Channel, initiator: bool) -> Session {
    let (ours, theirs) = if initiator { ([1; 32], [2; 32]) } else { ([2; 32], [1; 32]) };
    let limits = Limits { session_send: 128 * 1024, session_receive: 128 * 1024, ..Limits::default() };
    let keys = (Sealer::new(&ours), Opener::new(&theirs));
    Session::new(now, &limits, SessionKey([9; 16]), initiator, keys, vec![channel.clone()])
}
