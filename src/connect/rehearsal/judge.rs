//! What was accepted, and what of it has arrived, counted without a look at how.
//!
//! Each message carries the number of its stream (what one end has sent in one session) and its own number in it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::hub::SessionId;
use crate::machine::time::Instant;

/// Bytes of one message.
const SIZE: usize = 64;

/// One end of one session: the endpoint's place, and how it calls the session.
pub(super) type Place = (usize, SessionId);

/// A promise of sessions that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A message came that nobody has sent, or that was changed.
    #[error("a message came that was never sent")]
    NeverSent,
    /// Messages came twice, or after later ones.
    #[error("stream {stream}: message {number} came again, or after message {expected}")]
    Repeated {
        /// Which stream.
        stream: u64,
        /// Which message.
        number: u64,
        /// The message that was to come.
        expected: u64,
    },
    /// Messages are missing before one that came.
    #[error("stream {stream}: message {number} came before message {expected}")]
    Lost {
        /// Which stream.
        stream: u64,
        /// Which message.
        number: u64,
        /// The message that was to come.
        expected: u64,
    },
}

#[derive(Debug, Default)]
pub(super) struct Judge {
    streams: Vec<Stream>,
    by_sender: BTreeMap<Place, usize>,
    /// Which stream each end receives.
    by_receiver: BTreeMap<Place, usize>,
    stall: Duration,
}

#[derive(Debug, Default)]
struct Stream {
    sent: u64,
    arrived: u64,
    last: Option<Instant>,
    has_ended: bool,
}

impl Judge {
    pub(super) fn opened(&mut self, place: Place) {
        self.streams.push(Stream::default());
        self.by_sender.insert(place, self.streams.len() - 1);
    }

    /// The next message of that end.
    pub(super) fn next(&self, place: Place) -> Vec<u8> {
        let stream = self.by_sender[&place];
        message(stream as u64, self.streams[stream].sent)
    }

    /// It was accepted.
    pub(super) fn sent(&mut self, place: Place) {
        self.streams[self.by_sender[&place]].sent += 1;
    }

    pub(super) fn arrived(&mut self, now: Instant, place: Place, bytes: &[u8]) -> Result<(), Broken> {
        let (stream, number) = parse(bytes).ok_or(Broken::NeverSent)?;
        let index = *self.by_receiver.entry(place).or_insert(stream as usize);
        if index as u64 != stream || bytes != message(stream, number) {
            return Err(Broken::NeverSent);
        }
        let state = self.streams.get_mut(index).ok_or(Broken::NeverSent)?;
        let expected = state.arrived;
        match number {
            number if number < expected => return Err(Broken::Repeated { stream, number, expected }),
            number if number > expected => return Err(Broken::Lost { stream, number, expected }),
            number if number >= state.sent => return Err(Broken::NeverSent),
            _ => {}
        }
        state.arrived += 1;
        let last = state.last.replace(now);
        self.stall = self.stall.max(last.map_or(Duration::ZERO, |last| now - last));
        Ok(())
    }

    /// A session has ended: what did not arrive there will not.
    pub(super) fn ended(&mut self, place: Place) {
        let streams = [self.by_sender.get(&place), self.by_receiver.get(&place)];
        for stream in streams.into_iter().flatten() {
            self.streams[*stream].has_ended = true;
        }
    }

    /// A process has ended, and its sessions with it.
    pub(super) fn process_ended(&mut self, endpoint: usize) {
        let of = |place: &&Place| place.0 == endpoint;
        let places: Vec<_> = self.by_sender.keys().chain(self.by_receiver.keys()).filter(of).copied().collect();
        places.into_iter().for_each(|place| self.ended(place));
        // A new process calls its sessions by the same names.
        self.by_sender.retain(|place, _| place.0 != endpoint);
        self.by_receiver.retain(|place, _| place.0 != endpoint);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }

    pub(super) fn account(&self) -> String {
        self.missing().map(|(n, missing)| format!("\nstream {n}: {missing} messages are missing")).collect()
    }

    /// Accepted, arrived, and accepted in sessions that ended without arriving.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let sum = |pick: fn(&Stream) -> u64| self.streams.iter().map(pick).sum();
        (sum(|stream| stream.sent), sum(|stream| stream.arrived), sum(|stream| stream.sent - stream.arrived))
    }

    pub(super) const fn longest_stall(&self) -> Duration {
        self.stall
    }

    fn missing(&self) -> impl Iterator<Item = (usize, u64)> {
        let missing = |stream: &Stream| if stream.has_ended { 0 } else { stream.sent - stream.arrived };
        self.streams.iter().map(missing).enumerate().filter(|(_, missing)| *missing > 0)
    }
}

fn message(stream: u64, number: u64) -> Vec<u8> {
    let mut bytes = [stream.to_be_bytes(), number.to_be_bytes()].concat();
    bytes.extend((bytes.len()..SIZE).map(|n| (stream as u8).wrapping_mul(31) ^ (number as u8) ^ n as u8));
    bytes
}

fn parse(bytes: &[u8]) -> Option<(u64, u64)> {
    let (stream, rest) = bytes.split_first_chunk()?;
    let (number, _) = rest.split_first_chunk()?;
    Some((u64::from_be_bytes(*stream), u64::from_be_bytes(*number)))
}
