//! Flows over one bottleneck in virtual time: what the tests of controllers run on.
//!
//! The bottleneck is a queue in bytes that drops at its tail; behind it is a delay. Loss is random
//! and hits both directions. Acknowledgements are delayed by up to 0.1 ms at random, so that flows don't lock in phase;
//! they can be held back and released in bursts. All flows have the same receiver and the same detection of losses, by
//! packet numbers as QUIC has it, and repeat what was lost in new packets.

mod bottleneck;
mod sender;

use std::time::Duration;

use super::{Congestion, CongestionCounters};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use bottleneck::Bottleneck;
pub(super) use bottleneck::Link;
use sender::Sender;

/// Bytes of a packet's chunks: what counts to the window.
pub(super) const CHUNKS: usize = 1_148;
/// Bytes of application data in a packet.
const PAYLOAD: f64 = 1_132.0;
/// Bytes of a packet on the wire, with SCTP, DTLS, UDP and IP.
const WIRE: f64 = 1_225.0;
/// How often the queue is looked at for its mean.
const LOOK: Duration = Duration::from_millis(5);

/// What an application has to send.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// Always more.
    Bulk,
    /// Bytes per second.
    Rate(f64),
    /// Always more for so long, then nothing for so long, in turn.
    Turns(Duration, Duration),
}

/// One flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) choice: Congestion,
    pub(super) start: Duration,
    pub(super) stop: Duration,
    pub(super) load: Load,
    /// Added to the link's delay, each way.
    pub(super) extra_delay: Duration,
}

impl Flow {
    /// One that sends without end.
    pub(super) const fn bulk(choice: Congestion) -> Self {
        let (start, stop) = (Duration::ZERO, Duration::MAX);
        Self { choice, start, stop, load: Load::Bulk, extra_delay: Duration::ZERO }
    }

    /// The same, later.
    pub(super) const fn starting_at(self, second: u64) -> Self {
        Self { start: Duration::from_secs(second), ..self }
    }

    /// The same, with another load.
    pub(super) const fn with(self, load: Load) -> Self {
        Self { load, ..self }
    }
}

/// Bottleneck, flows and time.
#[derive(Debug)]
pub(super) struct Course {
    now: Instant,
    bottleneck: Bottleneck,
    senders: Vec<Sender>,
    rng: Rng,
    looked: Instant,
    looks: u64,
    queue: f64,
}

impl Course {
    /// Flows at time zero; each starts up to 0.2 s later than it says.
    pub(super) fn new(link: Link, flows: &[Flow], seed: u64) -> Self {
        let mut rng = Rng::from_u64(seed);
        let mut sender = |flow: &Flow| {
            let jitter = Duration::from_micros(rng.below(200_000));
            Sender::new(Flow { start: flow.start + jitter, ..*flow })
        };
        let senders = flows.iter().map(&mut sender).collect();
        let (now, bottleneck) = (Instant::ZERO, Bottleneck::new(link));
        Self { now, bottleneck, senders, rng, looked: now, looks: 0, queue: 0.0 }
    }

    /// Changes the link for what is sent from now on.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Link)) {
        change(&mut self.bottleneck.link);
    }

    /// Runs so many seconds more, and gives Mbit/s of application data that each flow has brought over meanwhile.
    pub(super) fn run(&mut self, seconds: f64) -> Vec<f64> {
        let until = self.now + Duration::from_secs_f64(seconds);
        let before: Vec<_> = self.senders.iter().map(Sender::received).collect();
        while let Some((at, flow)) = self.next().filter(|(at, _)| *at <= until) {
            self.look(at);
            self.now = at;
            self.senders[flow].advance(at, &mut self.bottleneck, &mut self.rng);
        }
        self.now = until;
        let rate = |(sender, before): (&Sender, u64)| (sender.received() - before) as f64 * PAYLOAD * 8e-6 / seconds;
        self.senders.iter().zip(before).map(rate).collect()
    }

    /// What is next: when, and in which flow.
    fn next(&self) -> Option<(Instant, usize)> {
        self.senders.iter().enumerate().filter_map(|(flow, sender)| Some((sender.next()?, flow))).min()
    }

    fn look(&mut self, until: Instant) {
        while self.looked <= until {
            self.queue += self.bottleneck.queued(self.looked);
            self.looks += 1;
            self.looked = self.looked + LOOK;
        }
    }

    /// The mean queue in bytes since this was last asked.
    pub(super) fn mean_queue(&mut self) -> f64 {
        std::mem::take(&mut self.queue) / std::mem::take(&mut self.looks).max(1) as f64
    }

    pub(super) fn counters(&self, flow: usize) -> CongestionCounters {
        self.senders[flow].counters()
    }

    /// Packets declared lost.
    pub(super) fn lost(&self, flow: usize) -> u64 {
        self.senders[flow].lost()
    }
}

/// Jain's index: 1 if all are equal.
pub(super) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (squares * shares.len() as f64)
}
