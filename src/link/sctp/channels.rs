//! The table of channels: which streams they are, and where each stands between opening and closed.
//!
//! A channel is one stream each way, with the same id. The table is sorted by id and remembers where it last looked, so
//! that a burst of messages of one channel costs a comparison each, and it is no larger than the channels it has.

use super::config::Reliability;

/// What a channel shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Its name; at most [`Config::max_label`](super::Config::max_label) bytes.
    pub label: String,
    /// Its protocol; as long at most.
    pub protocol: String,
    /// Whether messages come in order.
    pub is_ordered: bool,
    /// When a message is given up.
    pub reliability: Reliability,
    /// Its weight: 128, 256 (normal), 512 or 1,024 (RFC 8831, section 6.4).
    pub priority: u16,
    /// Its id, if both sides have agreed on the channel elsewhere: then neither asks the other.
    pub negotiated: Option<u16>,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            label: String::new(),
            protocol: String::new(),
            is_ordered: true,
            reliability: Reliability::Reliable,
            priority: 256,
            negotiated: None,
        }
    }
}

/// Where a channel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The OPEN message has found no room yet.
    Asking,
    /// It is on its way; until the ACK all goes in order (RFC 8832, section 6).
    Opening,
    /// Messages pass.
    Open,
    /// Both ways are being shut.
    Closing(Outgoing, Incoming),
    /// Closed towards a peer that knows no resets: the id is never used again.
    Retired,
}

/// Our way, while a channel closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// What was written has not all been acknowledged.
    Draining,
    /// The peer has been asked to take a reset.
    Resetting,
    /// It has.
    Reset,
}

/// The peer's way, while a channel closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incoming {
    /// We have closed the channel, and the peer has not answered.
    Flowing,
    /// The peer has reset it; messages that came before may not have been taken.
    Reset,
    /// They have.
    Empty,
}

/// One channel.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) stream: u16,
    pub(super) is_ordered: bool,
    pub(super) reliability: Reliability,
    pub(super) priority: u16,
    pub(super) phase: Phase,
    /// Whether messages that still come are dropped, since this side closed it.
    pub(super) is_deaf: bool,
    /// Whether the peer's OPEN has not been confirmed for want of room.
    pub(super) owes_ack: bool,
    /// Label and protocol, until the peer has confirmed.
    pub(super) names: Option<Box<(String, String)>>,
}

impl Channel {
    pub(super) const fn is_writable(&self) -> bool {
        matches!(self.phase, Phase::Opening | Phase::Open) && !self.owes_ack
    }

    /// Whether messages must go in order although the channel needs none.
    pub(super) const fn goes_in_order(&self) -> bool {
        self.is_ordered || !matches!(self.phase, Phase::Open)
    }

    /// Whether something is to be done for it as soon as data moves.
    const fn is_pending(&self) -> bool {
        matches!(self.phase, Phase::Asking | Phase::Closing(Outgoing::Draining, _)) || self.owes_ack
    }
}

/// All channels.
#[derive(Debug, Default)]
pub(super) struct Channels {
    list: Vec<Channel>,
    last: usize,
    pending: Vec<u16>,
    /// What `pending` was before, emptied.
    spare: Vec<u16>,
}

impl Channels {
    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    /// The channel of that stream, unless it is retired.
    #[inline]
    pub(super) fn get(&mut self, stream: u16) -> Option<&mut Channel> {
        if self.list.get(self.last).is_none_or(|channel| channel.stream != stream) {
            self.last = self.place(stream).ok()?;
        }
        self.list.get_mut(self.last).filter(|channel| channel.phase != Phase::Retired)
    }

    /// Whether that stream has a channel, retired ones included.
    pub(super) fn has(&self, stream: u16) -> bool {
        self.place(stream).is_ok()
    }

    pub(super) fn insert(&mut self, channel: Channel) {
        let stream = channel.stream;
        match self.place(stream) {
            Ok(at) => self.list[at] = channel,
            Err(at) => self.list.insert(at, channel),
        }
        self.note(stream);
    }

    pub(super) fn remove(&mut self, stream: u16) {
        if let Ok(at) = self.place(stream) {
            self.list.remove(at);
        }
    }

    /// The lowest free id of one parity below `limit`.
    pub(super) fn free(&self, is_odd: bool, limit: u16) -> Option<u16> {
        (u16::from(is_odd)..limit).step_by(2).find(|id| !self.has(*id))
    }

    /// Remembers a channel for [`pending`](Self::take_pending), if something is to be done for it.
    pub(super) fn note(&mut self, stream: u16) {
        let is_pending = self.get(stream).is_some_and(|channel| channel.is_pending());
        if is_pending && !self.pending.contains(&stream) {
            self.pending.push(stream);
        }
    }

    pub(super) const fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The channels for which something is to be done; those for which something is left come back by
    /// [`note`](Self::note). To be [given back](Self::give_back): what waits for long is looked at often.
    pub(super) fn take_pending(&mut self) -> Vec<u16> {
        std::mem::replace(&mut self.pending, std::mem::take(&mut self.spare))
    }

    pub(super) fn give_back(&mut self, mut taken: Vec<u16>) {
        if self.has_pending() {
            taken.clear();
            self.spare = taken;
        }
    }

    /// All ids, in order.
    pub(super) fn streams(&self) -> impl Iterator<Item = u16> + '_ {
        self.list.iter().map(|channel| channel.stream)
    }

    fn place(&self, stream: u16) -> Result<usize, usize> {
        self.list.binary_search_by_key(&stream, |channel| channel.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(stream: u16) -> Channel {
        Channel {
            stream,
            is_ordered: true,
            reliability: Reliability::Reliable,
            priority: 256,
            phase: Phase::Open,
            is_deaf: false,
            owes_ack: false,
            names: None,
        }
    }

    #[test]
    fn ids_are_given_by_parity_lowest_first_and_again_after_removal() {
        let mut channels = Channels::default();
        for expected in [1, 3, 5] {
            assert_eq!(channels.free(true, 6), Some(expected));
            channels.insert(channel(expected));
        }
        assert_eq!(channels.free(true, 6), None);
        channels.remove(3);
        assert_eq!(channels.free(true, 6), Some(3));
        assert_eq!(channels.free(false, 1), Some(0));
    }

    #[test]
    fn the_place_last_looked_at_does_not_outlive_a_removal() {
        let mut channels = Channels::default();
        channels.insert(channel(2));
        channels.insert(channel(4));
        assert_eq!(channels.get(4).map(|channel| channel.stream), Some(4));
        channels.remove(2);
        assert_eq!(channels.get(4).map(|channel| channel.stream), Some(4));
        assert!(channels.get(2).is_none());
    }

    #[test]
    fn what_waits_for_long_is_looked_at_without_an_allocation() {
        let mut channels = Channels::default();
        for stream in [1, 3, 5] {
            channels.insert(Channel { phase: Phase::Asking, ..channel(stream) });
        }
        let mut look = || {
            let taken = channels.take_pending();
            assert_eq!(taken, [1, 3, 5]);
            taken.iter().for_each(|stream| channels.note(*stream));
            channels.give_back(taken);
        };
        (0..2).for_each(|_| look());
        let counted = allocation_counter::measure(|| (0..100).for_each(|_| look()));
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn a_retired_id_is_taken_and_has_no_channel() {
        let mut channels = Channels::default();
        channels.insert(Channel { phase: Phase::Retired, ..channel(0) });
        assert!(channels.get(0).is_none());
        assert_eq!(channels.free(false, 10), Some(2));
    }
}
