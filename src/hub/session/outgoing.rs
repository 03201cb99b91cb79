//! The sending side of one channel: messages are encoded into numbered runs, once, and a run is stored, sent,
//! acknowledged and sent again as a whole.
//!
//! *Packing.* The last run of the queue stays open until it is pulled into a packet; until then small messages are
//! appended to it, each behind its length. So the more is waiting, the more messages share a record, and nobody
//! chooses between latency and efficiency. A message larger than a run becomes fragments, a run each.
//!
//! *Memory.* The bodies lie one behind the other in one ring; a run knows its place. A run that was acknowledged out
//! of turn keeps its place until those before it are gone, so the ring is bounded by what is counted: its bytes, plus
//! [`RUN_COST`] for each run.
//!
//! *Giving up.* On a channel that is not reliable a run is given up when it would have to be sent once more than
//! allowed, or is too old, and with it the other fragments of its message. The ring's front is then the oldest run
//! alive, which the receiver is told.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::event::{Misbehaved, PathId, SendError};
use super::{INITIAL_GRANT, RUN_COST};
use crate::hub::channel::{Channel, Reliability};
use crate::machine::time::Instant;
use crate::wire::cursor::varint_len;
use crate::wire::session::{Ack, Form, Run};

/// What is sent lives that long at least, so that it can be sent at all.
const SHORTEST_LIFETIME: Duration = Duration::from_millis(1);
/// Messages may join an open run of a channel with a lifetime while it is younger than this part of the lifetime.
const JOIN_PART: u32 = 16;

/// What bounds a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Largest body of a run, in bytes.
    pub(super) run: usize,
    /// Cost that may wait to be acknowledged.
    pub(super) held: usize,
    /// Largest message, in bytes.
    pub(super) message: usize,
}

/// The sending side of one channel.
#[derive(Debug)]
pub(super) struct Outgoing {
    channel: u16,
    reliability: Reliability,
    ring: VecDeque<u8>,
    /// Where the ring begins, counted from the channel's start.
    start: u64,
    runs: VecDeque<Stored>,
    /// The number of the first stored run.
    base: u64,
    /// The number of the first run never sent.
    fresh: u64,
    /// Runs to be sent again.
    again: BTreeSet<u64>,
    /// Cost of all runs below `fresh`.
    sent: u64,
    granted: u64,
    /// The lowest run that the peer has not got, as far as we know.
    peer_next: u64,
    /// The size of the message that was refused last.
    refused: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Stored {
    /// Where its body begins, counted from the channel's start.
    start: u64,
    len: u32,
    form: Form,
    state: State,
    /// Where it was sent last.
    path: PathId,
    /// How often it was sent.
    times: u16,
    /// The number of the packet, on its path, in which it was sent last.
    packet: u64,
    /// When it was sent last; before that, when it was opened.
    at: Instant,
    /// Until when it may be sent.
    until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Flying,
    Lost,
    Done,
}

/// A run that has left the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Landed {
    pub(super) path: PathId,
    pub(super) packet: u64,
    pub(super) sent: Instant,
    pub(super) bytes: usize,
    /// How often it was sent.
    pub(super) times: u16,
    /// Whether it is of a reliable channel.
    pub(super) reliable: bool,
}

impl Outgoing {
    pub(super) fn new(channel: u16, declared: &Channel) -> Self {
        Self {
            channel,
            reliability: declared.reliability,
            ring: VecDeque::new(),
            start: 0,
            runs: VecDeque::new(),
            base: 0,
            fresh: 0,
            again: BTreeSet::new(),
            sent: 0,
            granted: INITIAL_GRANT,
            peer_next: 0,
            refused: None,
        }
    }

    /// Takes a message in.
    pub(super) fn accept(&mut self, now: Instant, message: &[u8], bounds: Bounds) -> Result<(), SendError> {
        if message.len() > bounds.message {
            return Err(SendError::TooLarge);
        }
        if !self.fits(message.len(), bounds) {
            self.refused = Some(message.len());
            return Err(SendError::Blocked);
        }
        let len = message.len() + varint_len(message.len() as u64);
        if len > bounds.run {
            self.split(now, message, bounds.run);
            return Ok(());
        }
        let until = self.until(now);
        match self.runs.back_mut() {
            Some(open) if open.joins(now, len, bounds.run, self.reliability) => {
                open.len += len as u32;
                open.until = until;
            }
            _ => self.open(now, len, Form::Messages),
        }
        self.append(message);
        Ok(())
    }

    /// Whether a message that was refused would be taken now; asked once.
    pub(super) fn has_become_writable(&mut self, bounds: Bounds) -> bool {
        let Some(len) = self.refused else { return false };
        let most = if 2 * len <= bounds.held { bounds.held / 2 } else { bounds.held };
        let writable = self.runs.is_empty() || self.held() + len <= most;
        if writable {
            self.refused = None;
        }
        writable
    }

    /// The run to be sent next, and the bytes of its body. None: there is none, or the peer must grant more.
    pub(super) fn candidate(&self) -> Option<(u64, usize)> {
        if let Some(number) = self.again.first() {
            return Some((*number, self.stored(*number)?.len as usize));
        }
        let run = self.stored(self.fresh)?;
        let cost = u64::from(run.len) + RUN_COST;
        (!self.is_reliable() || self.sent + cost <= self.granted).then_some((self.fresh, run.len as usize))
    }

    /// Whether there is something to be sent that the peer does not allow.
    pub(super) fn is_blocked(&self) -> bool {
        self.candidate().is_none() && self.stored(self.fresh).is_some()
    }

    /// The head of a run as it goes on the wire.
    pub(super) fn head(&self, number: u64) -> Run {
        let form = self.stored(number).map_or(Form::Messages, |run| run.form);
        let alive = (!self.is_reliable()).then_some(self.base);
        Run { channel: self.channel, number, form, alive }
    }

    /// Appends the body of the [`Self::candidate`], which is in the air from now on. Whether it is for the first time.
    pub(super) fn send(&mut self, now: Instant, path: PathId, packet: u64, out: &mut Vec<u8>) -> bool {
        let Some((number, len)) = self.candidate() else { return false };
        let run = &mut self.runs[(number - self.base) as usize];
        *run = Stored { state: State::Flying, path, packet, at: now, times: run.times.saturating_add(1), ..*run };
        let start = (run.start - self.start) as usize;
        copy(&self.ring, start..start + len, out);
        let first = number == self.fresh;
        if first {
            self.sent += len as u64 + RUN_COST;
            self.fresh += 1;
            self.skip_done();
        } else {
            self.again.remove(&number);
        }
        first
    }

    /// The peer has all runs below `next` and those of `ranges`; `landed` is told of those that were in the air.
    ///
    /// # Errors
    /// It has some that were never sent.
    pub(super) fn acknowledge(&mut self, ack: &Ack<'_>, mut landed: impl FnMut(Landed)) -> Result<(), Misbehaved> {
        let last = ack.ranges().last().map_or(ack.next, |range| range.end);
        if last > self.fresh {
            return Err(Misbehaved::AckOfUnsent);
        }
        for number in self.base..ack.next {
            self.land(number, &mut landed);
        }
        for range in ack.ranges() {
            for number in range.start.max(self.base)..range.end {
                self.land(number, &mut landed);
            }
        }
        self.peer_next = self.peer_next.max(ack.next);
        self.pop_done();
        Ok(())
    }

    /// Raises the grant, if it is more than the last.
    pub(super) fn grant(&mut self, granted: u64) -> bool {
        let more = granted > self.granted;
        self.granted = self.granted.max(granted);
        more
    }

    /// Whether the run is still in the air, in that packet of that path; and since when.
    pub(super) fn flies(&self, number: u64, path: PathId, packet: u64) -> Option<Instant> {
        let run = self.stored(number)?;
        (run.state == State::Flying && run.path == path && run.packet == packet).then_some(run.at)
    }

    /// A run in the air is held to be lost: it goes again, or is given up. Answers how many were given up.
    pub(super) fn lose(&mut self, now: Instant, number: u64, mut landed: impl FnMut(Landed)) -> u64 {
        let reliable = self.is_reliable();
        let Some(run) = self.stored_mut(number).filter(|run| run.state == State::Flying) else { return 0 };
        run.state = State::Lost;
        let run = *run;
        landed(run.landed(reliable));
        let spent = matches!(self.reliability, Reliability::MaxRetransmits(most) if run.times > most);
        if spent || run.until.is_some_and(|until| until <= now) {
            return self.abandon(number, landed);
        }
        self.again.insert(number);
        0
    }

    /// The same for every run that went out on a path before a moment. Answers how many there were, and how many
    /// were given up.
    pub(super) fn lose_path(
        &mut self,
        now: Instant,
        path: PathId,
        before: Instant,
        mut landed: impl FnMut(Landed),
    ) -> (u64, u64) {
        let flies = |run: &Stored| run.state == State::Flying && run.path == path && run.at < before;
        let (mut lost, mut abandoned) = (0, 0);
        for number in self.base..self.base + self.runs.len() as u64 {
            if self.stored(number).is_some_and(flies) {
                lost += 1;
                abandoned += self.lose(now, number, &mut landed);
            }
        }
        (lost, abandoned)
    }

    /// Gives up what is too old among the runs that wait; answers how many.
    pub(super) fn expire(&mut self, now: Instant, mut landed: impl FnMut(Landed)) -> u64 {
        let mut abandoned = 0;
        while let Some((number, _)) = self.oldest_waiting().filter(|(_, until)| *until <= now) {
            abandoned += self.abandon(number, &mut landed);
        }
        abandoned
    }

    /// When a run that waits will be too old.
    pub(super) fn expiry(&self) -> Option<Instant> {
        self.oldest_waiting().map(|(_, until)| until)
    }

    /// The oldest run alive, if the peer has to be told that those before it will not come.
    pub(super) fn owes_forward(&self) -> Option<u64> {
        (!self.is_reliable() && self.peer_next < self.base).then_some(self.base)
    }

    /// Whether nothing is left to be sent or acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.again.clear();
        self.fresh = self.base + self.runs.len() as u64;
        self.base = self.fresh;
        self.start += self.ring.len() as u64;
        self.runs.clear();
        self.ring.clear();
        self.trim();
    }

    /// Gives back the memory that a channel at rest does not need.
    pub(super) fn trim(&mut self) {
        if self.runs.is_empty() {
            self.ring = VecDeque::new();
            self.runs = VecDeque::new();
        }
    }

    fn is_reliable(&self) -> bool {
        self.reliability == Reliability::Reliable
    }

    fn held(&self) -> usize {
        self.ring.len() + self.runs.len() * RUN_COST as usize
    }

    fn fits(&self, len: usize, bounds: Bounds) -> bool {
        self.runs.is_empty() || self.held() + len + RUN_COST as usize <= bounds.held
    }

    fn until(&self, now: Instant) -> Option<Instant> {
        match self.reliability {
            Reliability::MaxLifetime(time) => Some(now + time.max(SHORTEST_LIFETIME)),
            _ => None,
        }
    }

    fn split(&mut self, now: Instant, message: &[u8], run: usize) {
        let last = (message.len() - 1) / run;
        for (n, piece) in message.chunks(run).enumerate() {
            self.open(now, piece.len(), Form::Fragment { begin: n == 0, end: n == last });
        }
        self.ring.extend(message);
    }

    fn open(&mut self, now: Instant, len: usize, form: Form) {
        let start = self.runs.back().map_or(self.start, |last| last.start + u64::from(last.len));
        let len = len as u32;
        let until = self.until(now);
        let (state, path) = (State::Waiting, PathId(0));
        self.runs.push_back(Stored { start, len, form, state, path, times: 0, packet: 0, at: now, until });
    }

    fn append(&mut self, message: &[u8]) {
        let mut rest = message.len();
        while rest >= 0x80 {
            self.ring.push_back(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.ring.push_back(rest as u8);
        self.ring.extend(message);
    }

    fn stored(&self, number: u64) -> Option<&Stored> {
        self.runs.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    fn stored_mut(&mut self, number: u64) -> Option<&mut Stored> {
        self.runs.get_mut(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    fn land(&mut self, number: u64, landed: &mut impl FnMut(Landed)) {
        let reliable = self.is_reliable();
        let Some(run) = self.stored_mut(number) else { return };
        match std::mem::replace(&mut run.state, State::Done) {
            State::Flying => landed(run.landed(reliable)),
            State::Lost => {
                self.again.remove(&number);
            }
            State::Waiting | State::Done => {}
        }
    }

    /// Gives up a run and the other fragments of its message.
    fn abandon(&mut self, number: u64, mut landed: impl FnMut(Landed)) -> u64 {
        let begins = |run: &Stored| !matches!(run.form, Form::Fragment { begin: false, .. });
        let ends = |run: &Stored| !matches!(run.form, Form::Fragment { end: false, .. });
        let (mut first, mut last) = (number, number);
        while first > self.base && self.stored(first).is_some_and(|run| !begins(run)) {
            first -= 1;
        }
        while self.stored(last).is_some_and(|run| !ends(run)) {
            last += 1;
        }
        let alive = |run: &&Stored| run.state != State::Done;
        let count = (first..=last).filter_map(|number| self.stored(number)).filter(alive).count();
        (first..=last).for_each(|number| self.land(number, &mut landed));
        self.skip_done();
        self.pop_done();
        count as u64
    }

    fn oldest_waiting(&self) -> Option<(u64, Instant)> {
        let numbers = [self.again.first().copied(), Some(self.fresh)];
        let waiting = numbers.into_iter().flatten().filter_map(|number| Some((number, self.stored(number)?.until?)));
        waiting.min_by_key(|(_, until)| *until)
    }

    fn skip_done(&mut self) {
        while self.stored(self.fresh).is_some_and(|run| run.state == State::Done) {
            self.fresh += 1;
        }
    }

    fn pop_done(&mut self) {
        while let Some(run) = self.runs.front().filter(|run| run.state == State::Done) {
            let len = run.len as usize;
            self.runs.pop_front();
            self.ring.drain(..len);
            self.start += len as u64;
            self.base += 1;
        }
    }
}

impl Stored {
    /// Whether a message may still join it.
    fn joins(&self, now: Instant, len: usize, most: usize, reliability: Reliability) -> bool {
        let young = match reliability {
            Reliability::MaxLifetime(time) => now.since(self.at) <= time / JOIN_PART,
            _ => true,
        };
        self.state == State::Waiting && self.form == Form::Messages && self.len as usize + len <= most && young
    }

    fn landed(&self, reliable: bool) -> Landed {
        let Self { path, packet, at: sent, len, times, .. } = *self;
        Landed { path, packet, sent, bytes: len as usize, times, reliable }
    }
}

fn copy(ring: &VecDeque<u8>, range: Range<usize>, out: &mut Vec<u8>) {
    let (front, back) = ring.as_slices();
    if range.start < front.len() {
        out.extend_from_slice(&front[range.start..range.end.min(front.len())]);
    }
    if range.end > front.len() {
        out.extend_from_slice(&back[range.start.saturating_sub(front.len())..range.end - front.len()]);
    }
}

#[cfg(test)]
mod tests;
