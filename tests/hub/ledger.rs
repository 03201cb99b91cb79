//! What was sent and what arrived, message by message.
//!
//! Each message says which stream it belongs to (what one end sent in one session), its channel and its number; its
//! other bytes follow from those, so that the judge can tell whether it is the one that was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use switchboard::hub::channel::Channel;

/// Bytes before the filler.
const HEAD: usize = 9;

/// What one end sent in one session, and what of it has arrived; a set for each channel.
struct Stream<P> {
    sent: Vec<Vec<usize>>,
    arrived: Vec<BTreeSet<usize>>,
    to: Option<P>,
}

/// `P` names one end of one session.
pub(crate) struct Ledger<P> {
    channels: Vec<Channel>,
    streams: Vec<Stream<P>>,
    by_sender: BTreeMap<P, usize>,
    by_receiver: BTreeMap<P, usize>,
}

impl<P: Copy + Ord + Debug> Ledger<P> {
    pub(crate) fn new(channels: &[Channel]) -> Self {
        let (by_sender, by_receiver) = (BTreeMap::new(), BTreeMap::new());
        Self { channels: channels.to_vec(), streams: Vec::new(), by_sender, by_receiver }
    }

    /// The next message that this place would send on a channel.
    pub(crate) fn next(&mut self, place: P, channel: usize, size: usize) -> Vec<u8> {
        let stream = self.stream_of(place);
        message(stream, channel, self.streams[stream].sent[channel].len(), size)
    }

    /// It was accepted.
    pub(crate) fn sent(&mut self, place: P, channel: usize, size: usize) {
        let stream = self.stream_of(place);
        self.streams[stream].sent[channel].push(size.max(HEAD));
    }

    fn stream_of(&mut self, place: P) -> usize {
        let (streams, channels) = (&mut self.streams, self.channels.len());
        *self.by_sender.entry(place).or_insert_with(|| {
            let (sent, arrived) = (vec![Vec::new(); channels], vec![BTreeSet::new(); channels]);
            streams.push(Stream { sent, arrived, to: None });
            streams.len() - 1
        })
    }

    /// A message has arrived: it must be one that was sent, to this session, not here yet, and in its turn.
    pub(crate) fn arrived(&mut self, place: P, channel: usize, bytes: &[u8]) {
        let (index, number) = parse(bytes, channel);
        let known = *self.by_receiver.entry(place).or_insert(index);
        assert_eq!(known, index, "{place:?} got messages of two streams");
        assert_ne!(self.by_sender.get(&place), Some(&index), "{place:?} got its own message");
        let stream = &mut self.streams[index];
        assert_eq!(*stream.to.get_or_insert(place), place, "a stream went to two sessions");
        let size = stream.sent[channel].get(number).copied();
        let size = size.unwrap_or_else(|| panic!("message {number} of channel {channel} was never sent"));
        assert!(bytes == message(index, channel, number, size), "message {number} of channel {channel} was changed");
        let (here, kind) = (&mut stream.arrived[channel], &self.channels[channel]);
        let newest = here.last().copied();
        assert!(here.insert(number), "message {number} of channel {channel} came twice");
        if kind.ordered {
            assert!(newest < Some(number), "channel {channel}: message {number} came after {newest:?}");
        }
        if kind.ordered && kind.is_reliable() {
            assert_eq!(here.len(), number + 1, "channel {channel}: something is missing before message {number}");
        }
    }

    /// Whether everything that this place has sent on reliable channels is there.
    pub(crate) fn is_complete(&self, place: P) -> bool {
        let Some(&index) = self.by_sender.get(&place) else { return true };
        self.reliable().all(|channel| self.missing(index, channel) == 0)
    }

    fn reliable(&self) -> impl Iterator<Item = usize> {
        (0..self.channels.len()).filter(|channel| self.channels[*channel].is_reliable())
    }

    fn missing(&self, stream: usize, channel: usize) -> usize {
        self.streams[stream].sent[channel].len() - self.streams[stream].arrived[channel].len()
    }

    /// Whether the other side has sent anything in this session: then it stood there too.
    pub(crate) fn has_heard(&self, place: P) -> bool {
        self.by_receiver.contains_key(&place)
    }

    /// Messages that arrived, and those that were lost where that is allowed, of what these places have sent.
    pub(crate) fn counts(&self, senders: &[P]) -> (u64, u64) {
        let lossy = |channel: &usize| !self.channels[*channel].is_reliable();
        let (mut arrived, mut lost) = (0, 0);
        for &stream in senders.iter().filter_map(|place| self.by_sender.get(place)) {
            arrived += self.streams[stream].arrived.iter().map(BTreeSet::len).sum::<usize>();
            lost += (0..self.channels.len()).filter(lossy).map(|channel| self.missing(stream, channel)).sum::<usize>();
        }
        (arrived as u64, lost as u64)
    }

    /// What is missing on reliable channels, in words.
    pub(crate) fn account(&self, place: P) -> String {
        let Some(&index) = self.by_sender.get(&place) else { return format!("{place:?} has sent nothing") };
        let stream = &self.streams[index];
        let each = (0..self.channels.len())
            .map(|channel| format!("{channel}: {}/{}", stream.arrived[channel].len(), stream.sent[channel].len()));
        format!("of what {place:?} sent arrived on channel {}", each.collect::<Vec<_>>().join(", "))
    }
}

fn message(stream: usize, channel: usize, number: usize, size: usize) -> Vec<u8> {
    let mut bytes = (stream as u32).to_be_bytes().to_vec();
    bytes.push(channel as u8);
    bytes.extend_from_slice(&(number as u32).to_be_bytes());
    let first = (number * 13 + stream) as u8;
    bytes.extend((HEAD..size).map(|n| first.wrapping_add((n as u8).wrapping_mul(7))));
    bytes
}

fn parse(bytes: &[u8], channel: usize) -> (usize, usize) {
    assert!(bytes.len() >= HEAD, "a message of {} bytes was never sent", bytes.len());
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(usize::from(bytes[4]), channel, "a message came on another channel");
    (number(0), number(5))
}
