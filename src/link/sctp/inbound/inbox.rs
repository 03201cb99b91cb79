//! Messages that wait to be taken, in the order in which they became whole, but for streams that are held.
//!
//! When a message of a held stream is the next it steps aside, into a queue of its stream, so that those behind it pass.
//! A stream that is let go again gives that queue out before anything else. All of them count to the window.

use std::collections::VecDeque;

use super::queue::{OVERHEAD, Queue};
use super::{Next, Received};

#[derive(Debug, Default)]
pub(super) struct Inbox {
    main: Queue,
    charge: usize,
    /// Held streams, sorted, with what has stepped aside.
    held: Vec<(u16, Queue)>,
    /// What had stepped aside of streams that are not held any more.
    released: VecDeque<Queue>,
}

impl Inbox {
    /// What all messages count, in bytes.
    #[inline]
    pub(super) const fn charge(&self) -> usize {
        self.charge
    }

    /// What that message counts.
    #[inline]
    pub(super) const fn charge_of(next: &Next) -> usize {
        next.len + OVERHEAD
    }

    #[inline]
    pub(super) fn push(&mut self, stream: u16, ppid: u32, bytes: &[u8]) {
        self.charge += bytes.len() + OVERHEAD;
        self.main.push(stream, ppid, bytes);
    }

    /// Takes in a message with its buffer, and leaves another, empty one in its place.
    pub(super) fn push_made(&mut self, stream: u16, ppid: u32, buffer: &mut Vec<u8>) {
        self.charge += buffer.len() + OVERHEAD;
        self.main.push_made(stream, ppid, buffer);
    }

    pub(super) fn mark(&mut self, stream: u16) {
        self.charge += OVERHEAD;
        self.main.mark(stream);
    }

    #[inline]
    pub(super) fn peek(&mut self) -> Option<Next> {
        self.source().peek()
    }

    /// Takes the first message, which [`peek`](Self::peek) has just answered.
    #[inline]
    pub(super) fn take_peeked(&mut self, next: &Next) -> Option<Received<'_>> {
        self.charge -= Self::charge_of(next);
        self.released.front_mut().unwrap_or(&mut self.main).take()
    }

    pub(super) fn hold(&mut self, stream: u16, is_held: bool) {
        match (self.place(stream), is_held) {
            (Err(at), true) => self.held.insert(at, (stream, Queue::default())),
            (Ok(at), false) => {
                let (_, queue) = self.held.remove(at);
                if !queue.is_empty() {
                    self.released.push_front(queue);
                }
            }
            _ => {}
        }
    }

    pub(super) fn trim(&mut self) {
        self.main.trim();
        self.held.iter_mut().map(|(_, queue)| queue).chain(&mut self.released).for_each(Queue::trim);
        self.held.shrink_to_fit();
        self.released.shrink_to_fit();
    }

    /// The queue whose first message is the next.
    #[inline]
    fn source(&mut self) -> &mut Queue {
        if !self.held.is_empty() || !self.released.is_empty() {
            self.settle();
        }
        self.released.front_mut().unwrap_or(&mut self.main)
    }

    #[cold]
    fn settle(&mut self) {
        while self.released.front().is_some_and(Queue::is_empty) {
            self.released.pop_front();
        }
        loop {
            let source = self.released.front_mut().unwrap_or(&mut self.main);
            let Some(next) = source.peek() else { break };
            let Ok(at) = self.held.binary_search_by_key(&next.stream, |(stream, _)| *stream) else { break };
            source.pass_on(&mut self.held[at].1);
            if self.released.front().is_some_and(Queue::is_empty) {
                self.released.pop_front();
            }
        }
    }

    fn place(&self, stream: u16) -> Result<usize, usize> {
        self.held.binary_search_by_key(&stream, |(stream, _)| *stream)
    }
}
