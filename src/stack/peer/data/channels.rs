//! The places of channels among an engine's, and their streams.
//!
//! A place is given to a channel when it is asked for, here or by the other side, and is free again when the channel is
//! closed. What is asked for before the association begins waits.

use std::collections::VecDeque;

use crate::link::sctp::{ChannelConfig, Reliability};
use crate::stack::peer::engine::ChannelSpec;

#[derive(Debug, Default)]
pub(super) struct Channels {
    places: Vec<Place>,
    /// Streams with their places, by stream.
    streams: Vec<(u16, usize)>,
    /// Which of them was looked for last.
    last: usize,
    /// Not yet asked for.
    openings: VecDeque<Opening>,
    /// Agreed on, and not yet told of.
    negotiated: VecDeque<(usize, String)>,
    is_connected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    /// Asked for, and without a stream yet.
    Taken,
    Stream(u16),
}

#[derive(Debug)]
pub(super) struct Opening {
    pub(super) place: usize,
    pub(super) config: ChannelConfig,
}

impl Channels {
    /// A place for a channel of ours, which waits to be opened.
    pub(super) fn add(&mut self, spec: ChannelSpec) -> usize {
        let place = self.take_place(Place::Taken);
        if spec.negotiated.is_some() {
            self.negotiated.push_back((place, spec.label.clone()));
        }
        self.openings.push_back(Opening { place, config: config_of(spec) });
        place
    }

    pub(super) fn next_opening(&mut self) -> Option<Opening> {
        self.openings.pop_front()
    }

    /// The next negotiated channel to be told of.
    pub(super) fn next_negotiated(&mut self) -> Option<(usize, String)> {
        self.negotiated.pop_front()
    }

    pub(super) const fn connect(&mut self) {
        self.is_connected = true;
    }

    pub(super) const fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// The stream of a place.
    #[inline]
    pub(super) fn stream(&self, place: usize) -> Option<u16> {
        if let Some(Place::Stream(stream)) = self.places.get(place) { Some(*stream) } else { None }
    }

    /// The place of a stream.
    #[inline]
    pub(super) fn place(&mut self, stream: u16) -> Option<usize> {
        match self.streams.get(self.last) {
            Some((last, place)) if *last == stream => Some(*place),
            _ => self.find_place(stream),
        }
    }

    fn find_place(&mut self, stream: u16) -> Option<usize> {
        self.last = self.find(stream).ok()?;
        Some(self.streams[self.last].1)
    }

    /// The same; a stream of the other side's gets one.
    pub(super) fn place_of(&mut self, stream: u16) -> usize {
        self.place(stream).unwrap_or_else(|| {
            let place = self.take_place(Place::Taken);
            self.assign(place, stream);
            place
        })
    }

    pub(super) fn assign(&mut self, place: usize, stream: u16) {
        self.places[place] = Place::Stream(stream);
        if let Err(at) = self.find(stream) {
            self.streams.insert(at, (stream, place));
        }
    }

    /// A channel that could not be opened.
    pub(super) fn remove(&mut self, place: usize) {
        self.places[place] = Place::Free;
        self.negotiated.retain(|(waiting, _)| *waiting != place);
    }

    /// A channel that is closed; its place.
    pub(super) fn forget(&mut self, stream: u16) -> Option<usize> {
        let (_, place) = self.streams.remove(self.find(stream).ok()?);
        self.remove(place);
        Some(place)
    }

    /// Places that are taken.
    pub(super) fn len(&self) -> usize {
        self.places.iter().filter(|place| **place != Place::Free).count()
    }

    fn take_place(&mut self, with: Place) -> usize {
        let free = self.places.iter().position(|place| *place == Place::Free);
        let place = free.unwrap_or(self.places.len());
        if free.is_none() {
            self.places.push(with);
        }
        self.places[place] = with;
        place
    }

    fn find(&self, stream: u16) -> Result<usize, usize> {
        self.streams.binary_search_by_key(&stream, |(stream, _)| *stream)
    }
}

fn config_of(spec: ChannelSpec) -> ChannelConfig {
    ChannelConfig {
        label: spec.label,
        is_ordered: spec.ordered,
        reliability: spec.max_retransmits.map_or(Reliability::Reliable, Reliability::MaxRetransmits),
        negotiated: spec.negotiated,
        ..ChannelConfig::default()
    }
}
