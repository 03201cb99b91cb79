//! Resets of streams (RFC 6525): asking for them, and answering.
//!
//! *Asking.* One request is out at a time and names up to [`MOST_STREAMS`] streams of ours; further ones wait. It is
//! repeated under the same number until it is answered, at first after [`REPEAT`], then ever more slowly. A peer that
//! answers "in progress" has not got all data yet; it is asked again, and does not count as silent. After
//! [`MOST_ASKS`] the streams count as refused.
//!
//! *Answering.* Requests are counted; one that comes again gets the former answer, one out of count is an error. A reset
//! of the peer's streams waits until the last TSN before it has come, and is answered "in progress" until then; after
//! that it is done at once, and the answer goes unasked. Only one can wait; asked for the same streams under another number,
//! as some peers do, it takes that number. All else is denied: data channels need no
//! reset of ours at the peer's wish, which would lose what was written, none of TSNs, and no more streams.
//!
//! *Bounds.* A request with no stream, which means all, or with more than [`MOST_RESET`], is denied: none comes from a data
//! channel, and a packet has no room for the latter. Answers that wait are at most [`MOST_ANSWERS`]; beyond that
//! a request is dropped, and comes again.

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use crate::machine::Deadline;
use crate::machine::time::Instant;
use crate::wire::sctp::reconfig::result;
use crate::wire::sctp::{Packet, Reconfig, Request, Streams, Tsn};

/// Streams that one request of ours names.
const MOST_STREAMS: usize = 128;
/// Streams that one request of the peer's may name.
const MOST_RESET: usize = 1024;
/// Answers that wait to be written.
const MOST_ANSWERS: usize = 4;
/// From a request to its first repetition, and from an "in progress" to the next asking.
const REPEAT: Duration = Duration::from_millis(500);
/// The longest time between repetitions.
const REPEAT_MOST: Duration = Duration::from_secs(10);
/// How often a request is sent.
const MOST_ASKS: u32 = 32;

/// What has become of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResetEvent {
    /// The peer's stream begins anew.
    Incoming(u16),
    /// Our stream begins anew.
    Done(u16),
    /// The peer refuses to let our stream begin anew.
    Refused(u16),
}

/// Our request that is out.
#[derive(Debug)]
struct Asked {
    request: u32,
    streams: Vec<u16>,
    last: Tsn,
    asks: u32,
    /// None: it is to be written.
    again: Option<Instant>,
    is_in_progress: bool,
}

/// A reset of the peer's that waits for data.
#[derive(Debug)]
struct Deferred {
    request: u32,
    last: Tsn,
    streams: Vec<u16>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    request: u32,
    result: u32,
}

#[derive(Debug)]
pub(super) struct Reset {
    next: u32,
    wanted: VecDeque<u16>,
    asked: Option<Asked>,
    /// The number that the peer's next request will have.
    expected: u32,
    deferred: Option<Deferred>,
    /// The last answer.
    answered: Option<Answer>,
    answers: SmallVec<[Answer; MOST_ANSWERS]>,
    events: VecDeque<ResetEvent>,
}

impl Reset {
    /// Requests of ours begin with the first number, those of the peer with the second: the first TSNs.
    pub(super) fn new(first_request: u32, peer_first: u32) -> Self {
        Self {
            next: first_request,
            wanted: VecDeque::new(),
            asked: None,
            expected: peer_first,
            deferred: None,
            answered: None,
            answers: SmallVec::new(),
            events: VecDeque::new(),
        }
    }

    /// Wants a stream of ours to begin anew. All that was sent on it must have been acknowledged.
    pub(super) fn request(&mut self, stream: u16) {
        if !self.wanted.contains(&stream) {
            self.wanted.push_back(stream);
        }
    }

    /// Takes in the peer's requests and answers. `cumulative`: the TSN up to which all has come from it.
    pub(super) fn on_reconfig(&mut self, now: Instant, reconfig: &Reconfig<'_>, cumulative: Tsn) {
        for request in *reconfig {
            match request {
                Request::Response { request, result, .. } => self.on_response(now, request, result),
                Request::OutgoingReset { request, last, streams, .. } => {
                    self.on_request(request, |this| this.start(request, last, &streams, cumulative));
                }
                Request::IncomingReset { request, .. }
                | Request::TsnReset { request }
                | Request::AddStreams { request, .. } => self.on_request(request, |_| result::DENIED),
            }
        }
        self.on_cumulative(cumulative);
    }

    fn on_response(&mut self, now: Instant, request: u32, result: u32) {
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.request == request && asked.asks > 0) else {
            return;
        };
        match result {
            result::NOTHING_TO_DO | result::PERFORMED => self.settle(ResetEvent::Done),
            result::IN_PROGRESS | result::ALREADY_IN_PROGRESS => {
                asked.is_in_progress = true;
                asked.again = Some(now + REPEAT);
            }
            _ => self.settle(ResetEvent::Refused),
        }
    }

    /// Our request is answered for good.
    fn settle(&mut self, event: fn(u16) -> ResetEvent) {
        if let Some(asked) = self.asked.take() {
            self.events.extend(asked.streams.into_iter().map(event));
        }
    }

    fn on_request(&mut self, request: u32, act: impl FnOnce(&mut Self) -> u32) {
        if self.answers.len() >= MOST_ANSWERS {
            return;
        }
        let former = self.answered.filter(|former| former.request == request);
        let result = match former {
            Some(former) => former.result,
            None if request == self.expected => {
                self.expected = request.wrapping_add(1);
                let result = act(self);
                self.answered = Some(Answer { request, result });
                result
            }
            None => result::BAD_SEQUENCE,
        };
        self.answers.push(Answer { request, result });
    }

    /// Begins a reset of the peer's streams; what it is answered.
    fn start(&mut self, request: u32, last: Tsn, streams: &Streams<'_>, cumulative: Tsn) -> u32 {
        if streams.is_empty() || streams.len() > MOST_RESET {
            return result::DENIED;
        }
        if let Some(deferred) =
            self.deferred.as_mut().filter(|deferred| streams.iter().eq(deferred.streams.iter().copied()))
        {
            (deferred.request, deferred.last) = (request, last);
            return result::IN_PROGRESS;
        }
        if !last.is_after(cumulative) {
            self.events.extend(streams.iter().map(ResetEvent::Incoming));
            return result::PERFORMED;
        }
        if self.deferred.is_some() {
            return result::ALREADY_IN_PROGRESS;
        }
        self.deferred = Some(Deferred { request, last, streams: streams.iter().collect() });
        result::IN_PROGRESS
    }

    /// All up to a TSN has come from the peer: what waited for that is done.
    #[inline]
    pub(super) fn on_cumulative(&mut self, cumulative: Tsn) {
        if self.deferred.as_ref().is_some_and(|deferred| !deferred.last.is_after(cumulative)) {
            self.perform();
        }
    }

    fn perform(&mut self) {
        let Some(deferred) = self.deferred.take() else { return };
        self.events.extend(deferred.streams.into_iter().map(ResetEvent::Incoming));
        let answer = Answer { request: deferred.request, result: result::PERFORMED };
        if self.answered.is_some_and(|former| former.request == deferred.request) {
            self.answered = Some(answer);
        }
        self.answers.retain(|waiting| waiting.request != deferred.request);
        if self.answers.len() < MOST_ANSWERS {
            self.answers.push(answer);
        }
    }

    /// Whether [`poll_event`](Self::poll_event) has something.
    #[inline]
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Takes one event.
    pub(super) fn poll_event(&mut self) -> Option<ResetEvent> {
        self.events.pop_front()
    }

    /// Whether [`fill`](Self::fill) would write something.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        let is_asking = match &self.asked {
            None => !self.wanted.is_empty(),
            Some(asked) => asked.again.is_none(),
        };
        is_asking || !self.answers.is_empty()
    }

    /// Writes answers, and the request that is due, as far as there is room. `next`: the TSN of the next DATA chunk.
    pub(super) fn fill(&mut self, now: Instant, packet: &mut Packet<'_>, next: Tsn) {
        while let Some(Answer { request, result }) = self.answers.first().copied() {
            if !packet.reconfig(&[Request::Response { request, result, next: None }]) {
                return;
            }
            self.answers.remove(0);
        }
        self.ask_next(next);
        self.fill_request(now, packet);
    }

    fn ask_next(&mut self, next: Tsn) {
        if self.asked.is_some() || self.wanted.is_empty() {
            return;
        }
        let streams = self.wanted.drain(..self.wanted.len().min(MOST_STREAMS)).collect();
        let (request, last) = (self.next, next.previous());
        self.next = request.wrapping_add(1);
        self.asked = Some(Asked { request, streams, last, asks: 0, again: None, is_in_progress: false });
    }

    fn fill_request(&mut self, now: Instant, packet: &mut Packet<'_>) {
        let response = self.expected.wrapping_sub(1);
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.again.is_none()) else { return };
        let streams = Streams::of(&asked.streams);
        let request = Request::OutgoingReset { request: asked.request, response, last: asked.last, streams };
        if packet.reconfig(&[request]) {
            let delay = (REPEAT * (1 << asked.asks.min(5))).min(REPEAT_MOST);
            asked.again = Some(now + delay);
            asked.asks += 1;
        }
    }

    /// When a request is repeated.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        let again = self.asked.as_ref()?.again?;
        Some(Deadline::new(again, "a request to reset streams is repeated"))
    }

    /// The deadline is there; whether the peer is to blame, for it has not answered.
    pub(super) fn on_timeout(&mut self, now: Instant) -> bool {
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.again.is_some_and(|again| again <= now)) else {
            return false;
        };
        asked.again = None;
        if asked.asks >= MOST_ASKS {
            self.settle(ResetEvent::Refused);
            return false;
        }
        !std::mem::take(&mut asked.is_in_progress)
    }
}

#[cfg(test)]
mod tests;
