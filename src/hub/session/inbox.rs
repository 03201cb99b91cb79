//! What has arrived in full and was not taken yet, in the order of arrival, over all channels.
//!
//! Bodies of runs are copied one behind the other into chunks of at most [`CHUNK`] bytes, from which messages are
//! lent; a message that was put together from fragments moves in and out without a copy. A chunk is credited to its
//! channel as a whole when it has been taken, so that taking a message is no more than reading its length. Used
//! chunks return, at most [`SPARE`] of them, until the session rests.

use std::collections::VecDeque;

use super::RUN_COST;
use crate::machine::payload::Payload;
use crate::wire::cursor::Cursor;

const CHUNK: usize = 16 * 1024;
const SPARE: usize = 4;

/// The messages that wait for the application.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    chunks: VecDeque<Chunk>,
    /// How far the first chunk was read.
    at: usize,
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Chunk {
    channel: u16,
    /// Runs in it, for their cost.
    runs: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Messages, each after its length, checked.
    Messages(Vec<u8>),
    /// One message; `None` once it was taken.
    Whole(Option<Vec<u8>>, usize),
}

/// What a channel has got back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Credit {
    pub(super) channel: u16,
    pub(super) cost: u64,
}

impl Inbox {
    /// Copies the body of a checked run in.
    pub(super) fn push_run(&mut self, channel: u16, body: &[u8]) {
        if let Some(Chunk { channel: last, runs, content: Content::Messages(bytes) }) = self.chunks.back_mut()
            && *last == channel
            && bytes.len() + body.len() <= CHUNK
        {
            bytes.extend_from_slice(body);
            *runs += 1;
            return;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(body);
        self.chunks.push_back(Chunk { channel, runs: 1, content: Content::Messages(bytes) });
    }

    /// Takes in a message that was put together from `runs` runs.
    pub(super) fn push_whole(&mut self, channel: u16, message: Vec<u8>, runs: u32) {
        let len = message.len();
        self.chunks.push_back(Chunk { channel, runs, content: Content::Whole(Some(message), len) });
    }

    /// Whether every message was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() || (self.chunks.len() == 1 && self.is_front_read())
    }

    fn is_front_read(&self) -> bool {
        match self.chunks.front().map(|chunk| &chunk.content) {
            Some(Content::Messages(bytes)) => self.at >= bytes.len(),
            Some(Content::Whole(message, _)) => message.is_none(),
            None => false,
        }
    }

    /// Lets go of the first chunk if all in it was taken, and answers what its channel gets back.
    pub(super) fn retire(&mut self) -> Option<Credit> {
        if !self.is_front_read() {
            return None;
        }
        let Chunk { channel, runs, content } = self.chunks.pop_front()?;
        self.at = 0;
        let bytes = match content {
            Content::Whole(_, len) => len,
            Content::Messages(bytes) => {
                let len = bytes.len();
                self.recycle(bytes);
                len
            }
        };
        Some(Credit { channel, cost: bytes as u64 + u64::from(runs) * RUN_COST })
    }

    /// The next message and its channel; after [`Self::retire`].
    pub(super) fn take(&mut self) -> Option<(u16, Payload<'_>)> {
        let Chunk { channel, content, .. } = self.chunks.front_mut()?;
        match content {
            Content::Whole(message, _) => Some((*channel, Payload::Owned(message.take()?))),
            Content::Messages(bytes) => {
                let mut cursor = Cursor::new(bytes.get(self.at..)?);
                let message = cursor.prefixed().ok()?;
                self.at = bytes.len() - cursor.len();
                Some((*channel, Payload::Borrowed(message)))
            }
        }
    }

    /// Gives back the memory that a session at rest does not need.
    pub(super) fn trim(&mut self) {
        self.spare = Vec::new();
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(inbox: &mut Inbox) -> (Vec<(u16, Vec<u8>)>, Vec<Credit>) {
        let (mut messages, mut credits) = (Vec::new(), Vec::new());
        loop {
            credits.extend(inbox.retire());
            let Some((channel, message)) = inbox.take() else { return (messages, credits) };
            messages.push((channel, message.into_vec()));
        }
    }

    #[test]
    fn messages_leave_in_the_order_in_which_they_came_and_are_credited() {
        let mut inbox = Inbox::default();
        inbox.push_run(1, b"\x01a\x00");
        inbox.push_run(1, b"\x02bc");
        inbox.push_whole(1, b"whole".to_vec(), 3);
        inbox.push_run(2, b"\x01d");
        let expected: [(u16, &[u8]); 5] = [(1, b"a"), (1, b""), (1, b"bc"), (1, b"whole"), (2, b"d")];
        let (messages, credits) = drain(&mut inbox);
        assert!(messages.iter().map(|(channel, message)| (*channel, &message[..])).eq(expected));
        let credit = |channel, cost| Credit { channel, cost };
        assert_eq!(credits, [credit(1, 6 + 2 * RUN_COST), credit(1, 5 + 3 * RUN_COST), credit(2, 2 + RUN_COST)]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn chunks_are_used_again_until_the_inbox_is_trimmed() {
        let mut inbox = Inbox::default();
        let run = [b"\x3f".to_vec(), vec![0; 63]].concat();
        inbox.push_run(1, &run);
        drain(&mut inbox);
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                inbox.push_run(1, &run);
                while inbox.retire().is_some() || inbox.take().is_some() {}
            }
        });
        assert_eq!(counted.count_total, 0);
        inbox.trim();
        assert_eq!(inbox.spare.capacity() + inbox.chunks.capacity(), 0);
    }
}
