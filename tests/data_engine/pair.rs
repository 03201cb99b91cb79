//! Two partners and the wire between them.

use std::collections::VecDeque;
use std::time::Duration;

use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;

use crate::partner::{Happened, Partner};

/// When it begins.
pub(crate) const START: Instant = Instant::from_nanos(1_000_000_000);

/// How a datagram fares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) delay: Duration,
    /// The share of datagrams that are lost, either way.
    pub(crate) loss: f64,
}

/// Two sides, which see each other's datagrams only.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) sides: [Box<dyn Partner>; 2],
    wire: Wire,
    rng: Rng,
    on_the_way: VecDeque<(Instant, usize, Vec<u8>)>,
    pub(crate) datagrams: [u64; 2],
    pub(crate) lost: u64,
}

impl Pair {
    pub(crate) fn new(sides: [Box<dyn Partner>; 2], wire: Wire, seed: u64) -> Self {
        let rng = Rng::from_u64(seed);
        Self { now: START, sides, wire, rng, on_the_way: VecDeque::new(), datagrams: [0; 2], lost: 0 }
    }

    /// Puts on the wire what either side has to send, and answers what has happened since the last time.
    pub(crate) fn drain(&mut self) -> Vec<(usize, Happened)> {
        let mut all = Vec::new();
        for side in [0, 1] {
            while let Some(happened) = self.sides[side].poll(self.now) {
                all.push((side, happened));
            }
            while let Some(datagram) = self.sides[side].poll_datagram(self.now) {
                self.send(side, datagram);
            }
        }
        all
    }

    fn send(&mut self, from: usize, datagram: Vec<u8>) {
        assert!(datagram.len() <= 1480, "a datagram of {} bytes", datagram.len());
        self.datagrams[from] += 1;
        if self.rng.chance(self.wire.loss) {
            self.lost += 1;
        } else {
            self.on_the_way.push_back((self.now + self.wire.delay, 1 - from, datagram));
        }
    }

    /// Goes on to when something happens, at most to `end`. False: that is reached.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        let timers = self.sides.iter().filter_map(|side| side.deadline());
        let arrival = self.on_the_way.front().map(|(at, ..)| *at);
        let next = timers.chain(arrival).min().unwrap_or(end).max(self.now);
        if next > end || (next == end && arrival.is_none_or(|at| at > end)) {
            self.now = end;
            return false;
        }
        self.now = next;
        while self.on_the_way.front().is_some_and(|(at, ..)| *at <= next) {
            let Some((_, to, mut datagram)) = self.on_the_way.pop_front() else { break };
            self.sides[to].receive(next, &mut datagram);
        }
        for side in &mut self.sides {
            side.on_timeout(next);
        }
        true
    }
}
