//! Messages that wait to be taken.
//!
//! The engine gives them out as they come and can't be stopped: what may wait is bounded here.

use std::collections::VecDeque;

use crate::stack::peer::engine::Message;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    ready: VecDeque<Waiting>,
    /// Of each channel that has been held: whether it still is, and what waits.
    channels: Vec<(bool, VecDeque<Waiting>)>,
    lent: Option<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    channel: usize,
    is_binary: bool,
    bytes: Vec<u8>,
}

impl Inbox {
    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, channel: usize, is_binary: bool, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.ready.push_back(Waiting { channel, is_binary, bytes });
    }

    /// Lends the next one of a channel that is not held.
    pub(super) fn take(&mut self) -> Option<Message<'_>> {
        self.lent = None;
        self.park();
        let Some(next) = self.ready.pop_front() else {
            self.ready = VecDeque::new();
            return None;
        };
        self.bytes -= next.bytes.len();
        let Waiting { channel, is_binary, bytes } = self.lent.insert(next);
        Some(Message { channel: *channel, is_binary: *is_binary, bytes })
    }

    /// Whether one can be taken.
    pub(super) fn has_ready(&mut self) -> bool {
        self.park();
        !self.ready.is_empty()
    }

    /// What waited of a channel comes before what has come since: nothing of it has been taken in between.
    pub(super) fn hold(&mut self, channel: usize, is_held: bool) {
        if self.channels.len() <= channel {
            if !is_held {
                return;
            }
            self.channels.resize_with(channel + 1, Default::default);
        }
        let (was_held, waiting) = &mut self.channels[channel];
        *was_held = is_held;
        if !is_held {
            for message in std::mem::take(waiting).into_iter().rev() {
                self.ready.push_front(message);
            }
        }
    }

    /// Sets aside what can't be taken, up to what can.
    fn park(&mut self) {
        while let Some(next) = self.ready.front()
            && let Some((true, waiting)) = self.channels.get_mut(next.channel)
        {
            waiting.extend(self.ready.pop_front());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(inbox: &mut Inbox) -> Vec<(usize, u8)> {
        std::iter::from_fn(|| inbox.take().map(|message| (message.channel, message.bytes[0]))).collect()
    }

    #[test]
    fn a_held_channel_waits_in_order_and_others_pass() {
        let mut inbox = Inbox::default();
        for (channel, byte) in [(0, 1), (1, 2), (0, 3)] {
            inbox.push(channel, true, vec![byte]);
        }
        inbox.hold(0, true);
        assert_eq!(taken(&mut inbox), [(1, 2)]);
        inbox.push(0, true, vec![4]);
        assert!(!inbox.has_ready());
        assert_eq!(inbox.bytes(), 3);
        inbox.hold(0, false);
        assert_eq!(taken(&mut inbox), [(0, 1), (0, 3), (0, 4)]);
        assert_eq!(inbox.bytes(), 0);
    }
}
