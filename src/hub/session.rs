//! One session: messages between two endpoint instances over any number of paths.
//!
//! A pure structure that knows no link. Its owner, the hub, hands it the packets that arrive on its paths, and pulls
//! packets for them when they can be written. What it keeps belongs to messages, not to paths, so a path may come and
//! go; what was in the air on one goes again on another.
//!
//! *Runs.* What a channel's sender numbers, stores, acknowledges and sends again is a run of messages, encoded once
//! (`outgoing.rs`). A packet holds as many runs as fit, of the highest priority first, in turn among equals, with
//! acknowledgements riding in front (`supply.rs`). It is sealed when it leaves, so a run that goes again is sealed
//! anew; on a path that is private by itself it goes plain.
//!
//! *Receiving.* A run that comes twice is dropped by its number; ordered channels hold what came too early, fragments
//! are put together, and what is whole waits for the application, within what was granted (`incoming.rs`).
//!
//! *Acknowledgements* tell, of each channel, the lowest run missing and ranges beyond, and the grant. They go on the
//! path on which data last arrived, as long as that path is trusted: so a path that is dead in one direction is
//! noticed by its sender. They wait for data to ride on, for at most 20 ms, but not when 32 KiB have
//! come, when something is missing, or when something came twice. Waiting a part of a short round trip only would
//! double the packets of a conversation, and find nothing lost any sooner: the sender allows for 20 ms anyhow.
//!
//! *Paths.* One path carries the messages: a direct one before a relayed one, then the shorter, and the present one
//! unless another is clearly better (`routes.rs`). A path that makes no progress is *suspect*: what is in the air on
//! it goes again on the best other path, and the peer is told, so that it stops to prefer it too. It is asked until it
//! answers, and closed if it stays silent. A session without any path waits for one.
//!
//! *Split paths* have two lanes: what must arrive goes by `bulk`, where nothing is lost and much may wait, and what
//! must be fast by `quick`, in packets of one datagram (`supply.rs`).
//!
//! *The end.* `close` sends what was accepted, then a goodbye; the peer delivers all before it tells
//! (`closing.rs`).
//!
//! A rule broken by a packet that does not authenticate is nobody's: it is counted. A rule broken inside an authentic
//! packet is the peer's, and ends the session.

use smallvec::SmallVec;
use std::collections::VecDeque;

pub mod event;

mod assembly;
mod closing;
mod inbox;
mod incoming;
mod numbers;
mod outgoing;
mod packet;
mod path;
mod receive;
mod routes;
mod rtt;
mod supply;
mod timeouts;
mod timers;
mod window;

use self::closing::Phase;
use self::event::{
    CloseReason, Misbehaved, PathId, PathPolicy, PathReport, SendError, SessionEvent, SessionStatistics,
};
use self::inbox::Inbox;
use self::incoming::Incoming;
use self::outgoing::Outgoing;
use self::path::Path;
use self::timers::{SESSION_TIMERS, SessionTimer};
use super::channel::{Channel, ChannelId};
use crate::link::noise::{Opener, Sealer};
use crate::machine::Deadline;
use crate::machine::limits::Limits;
use crate::machine::payload::Payload;
use crate::machine::time::Instant;
use crate::machine::timers::TimerTable;
use crate::wire::session::SessionKey;

/// What a run costs besides the bytes of its body, in what is held and granted.
const RUN_COST: u64 = 64;
/// What each reliable channel may send before the peer has granted anything.
const INITIAL_GRANT: u64 = 64 * 1024;
/// What a packet may need beyond the body of a single run.
const HEADS: usize = 48;
/// Largest run of a channel that is not reliable: a packet of one datagram.
const SMALL_RUN: usize = 1000;

/// One session.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    /// The parity of path ids that this side gives out.
    parity: u8,
    sealer: Sealer,
    opener: Opener,
    declared: Vec<Channel>,
    config: Config,
    lanes: Vec<Lane>,
    paths: Vec<Path>,
    policy: PathPolicy,
    /// The path that carries the messages.
    current: Option<PathId>,
    /// The path on which data last arrived.
    answer: Option<PathId>,
    has_had_path: bool,
    phase: Phase,
    inbox: Inbox,
    signals: Inbox,
    told: Told,
    acks: Acks,
    /// Grants that are missing and runs given up are to be told again.
    repeat: bool,
    repeats: u32,
    timers: TimerTable<SESSION_TIMERS>,
    ready: SmallVec<[PathId; 4]>,
    /// The same of `quick` lanes.
    ready_quick: SmallVec<[PathId; 2]>,
    events: VecDeque<SessionEvent>,
    statistics: SessionStatistics,
    /// Counts packets taken in and runs sent, to tell now from before.
    turn: u64,
    progress: Instant,
    /// The turn at which buffers were last considered.
    trimmed: u64,
    owes_bye_ack: bool,
    /// The end, once it is known.
    farewell: Option<Box<CloseReason>>,
}

/// One channel.
#[derive(Debug)]
struct Lane {
    outgoing: Outgoing,
    incoming: Incoming,
    priority: u8,
    reliable: bool,
    /// The turn in which it sent last.
    served: u64,
    /// The turn in which it was acknowledged last.
    acknowledged: u64,
}

/// Which edges were told and have not been taken back.
#[derive(Debug, Default)]
struct Told {
    readable: bool,
    signals: bool,
}

/// What is owed to the peer.
#[derive(Debug, Default)]
struct Acks {
    owed: bool,
    /// They need not wait for data to ride on.
    due: bool,
    /// Bytes that have come since the last.
    bytes: usize,
}

/// What of the limits a session needs.
#[derive(Debug, Clone, Copy)]
struct Config {
    packet: usize,
    paths: usize,
    message: usize,
    signal: usize,
    send: usize,
    receive: usize,
    resume: std::time::Duration,
    close: std::time::Duration,
    suspicion: std::time::Duration,
    silence: std::time::Duration,
}

impl Session {
    /// A session whose handshake is done. It has no path yet: [`Self::add_path`] gives it the one of the handshake,
    /// which is usable at once as it is the first.
    pub fn new(
        now: Instant,
        limits: &Limits,
        key: SessionKey,
        initiator: bool,
        keys: (Sealer, Opener),
        channels: Vec<Channel>,
    ) -> Self {
        let config = Config::new(limits);
        let signals = Channel::reliable("").priority(u8::MAX);
        let mut lanes = Vec::with_capacity(channels.len() + 1);
        let all = std::iter::once(&signals).chain(&channels).enumerate();
        lanes.extend(all.map(|(n, channel)| Lane::new(n, channel, config)));
        Self {
            key,
            parity: u8::from(!initiator),
            sealer: keys.0,
            opener: keys.1,
            declared: channels,
            config,
            lanes,
            paths: Vec::new(),
            policy: PathPolicy::default(),
            current: None,
            answer: None,
            has_had_path: false,
            phase: Phase::Open,
            inbox: Inbox::default(),
            signals: Inbox::default(),
            told: Told::default(),
            acks: Acks::default(),
            repeat: false,
            repeats: 0,
            timers: TimerTable::default(),
            ready: SmallVec::new(),
            ready_quick: SmallVec::new(),
            events: VecDeque::new(),
            statistics: SessionStatistics::default(),
            turn: 0,
            progress: now,
            trimmed: 0,
            owes_bye_ack: false,
            farewell: None,
        }
    }

    /// What names it on both sides.
    pub const fn key(&self) -> SessionKey {
        self.key
    }

    /// The declared channels; the first is channel 1.
    pub fn channels(&self) -> &[Channel] {
        &self.declared
    }

    /// Accepts one message for a channel.
    ///
    /// # Errors
    /// [`SendError`]; then nothing was taken.
    pub fn send(&mut self, now: Instant, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        if channel == ChannelId::SIGNALS {
            return Err(SendError::NoChannel);
        }
        self.accept(now, channel, message)
    }

    /// Accepts one signal.
    ///
    /// # Errors
    /// [`SendError`]; then nothing was taken.
    pub fn signal(&mut self, now: Instant, signal: &[u8]) -> Result<(), SendError> {
        self.accept(now, ChannelId::SIGNALS, signal)
    }

    /// The next received message. Taking messages grants their sender as many bytes: at the latest when this answers
    /// `None`, which is to be waited for after [`SessionEvent::Readable`].
    pub fn recv(&mut self) -> Option<(ChannelId, Payload<'_>)> {
        self.retire();
        let Some((channel, message)) = self.inbox.take() else {
            self.told.readable = false;
            return None;
        };
        self.statistics.messages_received += 1;
        self.statistics.bytes_received += message.as_slice().len() as u64;
        Some((ChannelId(channel), message))
    }

    /// The next received signal; the same holds as for [`Self::recv`].
    pub fn recv_signal(&mut self) -> Option<Payload<'_>> {
        self.retire();
        let Some((_, signal)) = self.signals.take() else {
            self.told.signals = false;
            return None;
        };
        self.statistics.messages_received += 1;
        self.statistics.bytes_received += signal.as_slice().len() as u64;
        Some(signal)
    }

    /// A path that has gained something to send since [`Self::supply`] said false.
    pub fn pop_ready(&mut self) -> Option<PathId> {
        self.ready.pop()
    }

    /// A split path whose `quick` lane has gained something to send since [`Self::supply_quick`] said false.
    pub fn pop_ready_quick(&mut self) -> Option<PathId> {
        self.ready_quick.pop()
    }

    /// When [`Self::on_timeout`] is due.
    pub fn deadline(&self) -> Option<Deadline> {
        let paths = self.paths.iter().filter_map(|path| path.timers.earliest::<timers::PathTimer>());
        paths.chain(self.timers.earliest::<SessionTimer>()).min_by_key(|deadline| deadline.at)
    }

    /// What happened, one thing at a time.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front().or_else(|| self.take_leave())
    }

    /// Counts since the start.
    pub const fn statistics(&self) -> SessionStatistics {
        self.statistics
    }

    /// The path in use.
    pub fn path(&self) -> Option<PathReport> {
        Some(self.paths[self.index(self.current?)?].report())
    }

    fn accept(&mut self, now: Instant, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        if !matches!(self.phase, Phase::Open) {
            return Err(SendError::Closing);
        }
        let config = self.config;
        let lane = self.lanes.get_mut(channel.index()).ok_or(SendError::NoChannel)?;
        lane.outgoing.accept(now, message, config.outgoing(channel.0, lane.reliable))?;
        self.statistics.messages_sent += 1;
        self.statistics.bytes_sent += message.len() as u64;
        self.after_accept(now, channel.index());
        Ok(())
    }

    fn after_accept(&mut self, now: Instant, lane: usize) {
        if !self.timers.runs(SessionTimer::Trim) {
            self.timers.set(SessionTimer::Trim, now + timeouts::TRIM_AFTER);
        }
        if self.lanes[lane].outgoing.candidate().is_none() {
            return self.arm_repeat(now);
        }
        if let Some(expiry) = self.lanes[lane].outgoing.expiry()
            && !self.timers.runs(SessionTimer::Lifetime)
        {
            self.timers.set(SessionTimer::Lifetime, expiry);
        }
        let Some(index) = self.current.and_then(|current| self.index(current)) else { return };
        if self.paths[index].info.split && !self.lanes[lane].reliable {
            self.wake_quick(index);
        } else if self.paths[index].idle && self.paths[index].has_window() {
            self.wake(index);
        }
    }

    /// Credits what the application has taken.
    fn retire(&mut self) {
        for credit in [self.inbox.retire(), self.signals.retire()].into_iter().flatten() {
            let bounds = self.config.incoming(credit.channel);
            let incoming = &mut self.lanes[usize::from(credit.channel)].incoming;
            incoming.credit(credit, bounds);
            if incoming.should_tell(bounds) {
                incoming.owes_ack = true;
                self.acks.owed = true;
                self.acks.due = true;
                self.wake_for_acks();
            }
        }
    }

    fn index(&self, id: PathId) -> Option<usize> {
        self.paths.iter().position(|path| path.id == id)
    }

    /// Tells that the `quick` lane of a path has something to send.
    fn wake_quick(&mut self, index: usize) {
        let path = &mut self.paths[index];
        if std::mem::take(&mut path.quick_idle) {
            self.ready_quick.push(path.id);
        }
    }

    /// Tells that a path has something to send.
    fn wake(&mut self, index: usize) {
        let path = &mut self.paths[index];
        if std::mem::take(&mut path.idle) {
            self.ready.push(path.id);
        }
    }
}

impl Lane {
    fn new(index: usize, channel: &Channel, config: Config) -> Self {
        let id = index as u16;
        let reliable = channel.is_reliable();
        Self {
            outgoing: Outgoing::new(id, channel),
            incoming: Incoming::new(id, channel.ordered, reliable, config.incoming(id)),
            priority: channel.priority,
            reliable,
            served: 0,
            acknowledged: 0,
        }
    }

    /// The peer grants so much in all; only of reliable channels, and no more than can be counted. Whether it is more.
    fn grant(&mut self, granted: u64) -> Result<bool, Misbehaved> {
        if !self.reliable || granted > 1 << 62 {
            return Err(Misbehaved::GrantBeyondSense);
        }
        Ok(self.outgoing.grant(granted))
    }
}

impl Config {
    const fn new(limits: &Limits) -> Self {
        Self {
            packet: limits.packet,
            paths: limits.session_paths,
            message: limits.message,
            signal: limits.signal,
            send: limits.session_send,
            receive: limits.session_receive,
            resume: limits.resume_time,
            close: limits.close_time,
            suspicion: limits.suspicion,
            silence: limits.path_silence,
        }
    }

    fn outgoing(&self, channel: u16, reliable: bool) -> outgoing::Bounds {
        let run = self.packet.saturating_sub(HEADS).max(1);
        let message = if channel == 0 { self.signal } else { self.message };
        outgoing::Bounds { run: if reliable { run } else { run.min(SMALL_RUN) }, held: self.send, message }
    }

    /// The window is at least a run, or nothing could arrive.
    fn incoming(&self, channel: u16) -> incoming::Bounds {
        let (message, too_large) = match channel {
            0 => (self.signal, Misbehaved::SignalTooLarge),
            _ => (self.message, Misbehaved::MessageTooLarge),
        };
        let window = self.receive.max(self.packet + RUN_COST as usize);
        incoming::Bounds { message, run: self.packet, window, too_large }
    }
}
