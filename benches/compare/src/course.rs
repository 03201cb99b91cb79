//! Associations over one bottleneck in virtual time: what bulk and small messages get of it.
//!
//! The bottleneck is a queue of bytes that drops at its tail, with a delay behind it; the way back has the delay only.
//! Loss is random and hits both ways. Below SCTP each packet has the bytes of DTLS, UDP and IP. Acknowledgements are late
//! by up to 0.1 ms at random, and flows start up to 0.2 s later than they say, so that they do not lock in phase.

use std::collections::VecDeque;
use std::time::Duration;

use switchboard::link::sctp::{Association, ChannelConfig, Config, Congestion, Event, Statistics};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;

/// Bytes below SCTP: DTLS, UDP, IP.
const BELOW: usize = 65;
/// Bytes of a bulk message.
const BULK: usize = 16 * 1024;
/// Room that bulk leaves for small messages.
const SPARE: usize = 16 * 1024;
/// Bytes of a small message.
const SMALL: usize = 64;
/// How often the queue is looked at for its mean.
const LOOK: Duration = Duration::from_millis(5);

/// What the path is like.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Bytes per second; infinite: nothing queues.
    pub rate: f64,
    /// One way.
    pub delay: Duration,
    /// Bytes.
    pub queue: f64,
    /// The share of packets that are lost, each way.
    pub loss: f64,
}

impl Link {
    /// So many Mbit/s, milliseconds of round trip and bytes of queue.
    pub fn new(megabits: f64, round_trip: u64, queue: f64) -> Self {
        Self { rate: megabits * 125e3, delay: Duration::from_micros(500 * round_trip), queue, loss: 0.0 }
    }

    /// The same with loss, in percent.
    pub fn lossy(self, percent: f64) -> Self {
        Self { loss: percent / 100.0, ..self }
    }

    /// Bytes that fill the path without a queue.
    pub fn product(&self) -> f64 {
        self.rate * 2.0 * self.delay.as_secs_f64()
    }
}

/// What one association does.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Its congestion control.
    pub congestion: Congestion,
    /// When it starts.
    pub start: Duration,
    /// Whether it has always more to send.
    pub is_bulk: bool,
    /// How often it sends a small message besides.
    pub every: Option<Duration>,
    /// Bytes that may be written and not acknowledged, and received and not taken.
    pub bound: usize,
}

impl Flow {
    /// Nothing but bulk.
    pub const fn bulk(congestion: Congestion) -> Self {
        Self { congestion, start: Duration::ZERO, is_bulk: true, every: None, bound: 4 << 20 }
    }

    /// Small messages only.
    pub const fn small(every: Duration) -> Self {
        Self {
            congestion: Congestion::Ebb,
            start: Duration::ZERO,
            is_bulk: false,
            every: Some(every),
            bound: 256 << 10,
        }
    }

    /// The same, later.
    pub const fn from_second(self, second: u64) -> Self {
        Self { start: Duration::from_secs(second), ..self }
    }
}

/// One side of an association, and what is on its way to it.
struct End {
    association: Association,
    inbox: VecDeque<(Instant, Vec<u8>)>,
    deadline: Option<Instant>,
}

impl End {
    fn new(association: Association) -> Self {
        Self { association, inbox: VecDeque::new(), deadline: None }
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.inbox.front().map(|(at, _)| *at);
        [arrival, self.deadline].into_iter().flatten().min()
    }
}

/// Both sides of one flow.
struct Pair {
    flow: Flow,
    start: Instant,
    is_started: bool,
    ends: [End; 2],
    bulk: u16,
    small: u16,
    say: Option<Instant>,
    received: usize,
    late: Vec<Duration>,
}

impl Pair {
    fn new(flow: Flow, rng: &mut Rng) -> Self {
        let config = Config {
            congestion: flow.congestion,
            send_bound: flow.bound,
            receive_window: flow.bound as u32,
            zero_checksum: true,
            ..Config::default()
        };
        let start = Instant::ZERO + flow.start + Duration::from_micros(rng.below(200_000));
        let mut end = || End::new(Association::new(config.clone(), rng));
        let ends = [end(), end()];
        Self { flow, start, is_started: false, ends, bulk: 0, small: 0, say: None, received: 0, late: Vec::new() }
    }

    fn next(&self) -> Option<Instant> {
        if !self.is_started {
            return Some(self.start);
        }
        [self.ends[0].next(), self.ends[1].next(), self.say].into_iter().flatten().min()
    }

    fn begin(&mut self, now: Instant) {
        self.is_started = true;
        let [ann, bob] = &mut self.ends;
        let (of_ann, of_bob) = (ann.association.init_chunk(), bob.association.init_chunk());
        ann.association.start_with(now, &of_bob, true).expect("an INIT chunk is read");
        bob.association.start_with(now, &of_ann, false).expect("an INIT chunk is read");
        let mut open = |label: &str| {
            let config = ChannelConfig { label: label.to_owned(), ..ChannelConfig::default() };
            ann.association.open(now, config).expect("a channel opens")
        };
        (self.bulk, self.small) = (open("bulk"), open("small"));
        self.say = self.flow.every.map(|_| now);
    }

    /// Does what is due on both sides.
    fn advance(&mut self, now: Instant, path: &mut Path) {
        if !self.is_started {
            self.begin(now);
        }
        for end in &mut self.ends {
            while let Some((_, packet)) = end.inbox.pop_front_if(|(at, _)| *at <= now) {
                end.association.receive(now, &packet);
                path.spare.push(packet);
            }
            if end.deadline.is_some_and(|at| at <= now) {
                end.association.on_timeout(now);
            }
            while let Some(event) = end.association.poll_event() {
                assert!(!matches!(event, Event::Over(_)), "an association has ended: {event:?}");
            }
        }
        self.say(now);
        self.hear(now);
        self.send(now, path);
    }

    fn say(&mut self, now: Instant) {
        let association = &mut self.ends[0].association;
        if let (Some(at), Some(every)) = (self.say, self.flow.every)
            && at <= now
        {
            let mut message = [0; SMALL];
            message[..8].copy_from_slice(&now.as_nanos().to_be_bytes());
            assert!(association.write(now, self.small, true, &message), "there is room for a small message");
            self.say = Some(at + every);
        }
        while self.flow.is_bulk && association.room() >= BULK + SPARE {
            assert!(association.write(now, self.bulk, true, &[7; BULK]), "there is room for a message");
        }
    }

    fn hear(&mut self, now: Instant) {
        while let Some(message) = self.ends[1].association.recv(now) {
            self.received += message.bytes.len();
            if message.bytes.len() == SMALL {
                let sent = u64::from_be_bytes(message.bytes[..8].try_into().expect("eight bytes"));
                self.late.push(now - Instant::from_nanos(sent));
            }
        }
    }

    fn send(&mut self, now: Instant, path: &mut Path) {
        let [ann, bob] = &mut self.ends;
        while let Some(packet) = path.fill(now, &mut ann.association) {
            if let Some(at) = path.pass(now, packet.len()) {
                bob.inbox.push_back((at, packet));
            }
        }
        while let Some(packet) = path.fill(now, &mut bob.association) {
            if let Some(at) = path.pass_back(now) {
                let at = ann.inbox.back().map_or(at, |(last, _)| at.max(*last));
                ann.inbox.push_back((at, packet));
            }
        }
        [ann, bob].into_iter().for_each(|end| end.deadline = end.association.deadline().map(|deadline| deadline.at));
    }
}

/// The path, and buffers for its packets.
struct Path {
    link: Link,
    /// When the line has sent all that it has taken.
    free: Instant,
    rng: Rng,
    spare: Vec<Vec<u8>>,
}

impl Path {
    fn fill(&mut self, now: Instant, association: &mut Association) -> Option<Vec<u8>> {
        let mut packet = self.spare.pop().unwrap_or_default();
        packet.clear();
        if association.fill(now, &mut packet) {
            return Some(packet);
        }
        self.spare.push(packet);
        None
    }

    fn queued(&self, now: Instant) -> f64 {
        if self.link.rate.is_finite() { (self.free - now).as_secs_f64() * self.link.rate } else { 0.0 }
    }

    fn pass(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let bytes = (len + BELOW) as f64;
        if self.queued(now) + bytes > self.link.queue {
            return None;
        }
        self.free = self.free.max(now) + Duration::from_secs_f64(bytes / self.link.rate);
        (!self.rng.chance(self.link.loss)).then(|| self.free + self.link.delay)
    }

    fn pass_back(&mut self, now: Instant) -> Option<Instant> {
        let at = now + self.link.delay + Duration::from_nanos(self.rng.below(100_000));
        (!self.rng.chance(self.link.loss)).then_some(at)
    }
}

/// Flows, their bottleneck, and time.
pub struct Course {
    now: Instant,
    path: Path,
    pairs: Vec<Pair>,
    looked: Instant,
    looks: u64,
    queue: f64,
}

impl Course {
    /// At time zero.
    pub fn new(link: Link, flows: &[Flow], seed: u64) -> Self {
        let mut rng = Rng::from_u64(seed);
        let pairs = flows.iter().map(|flow| Pair::new(*flow, &mut rng)).collect();
        let path = Path { link, free: Instant::ZERO, rng, spare: Vec::new() };
        Self { now: Instant::ZERO, path, pairs, looked: Instant::ZERO, looks: 0, queue: 0.0 }
    }

    /// Runs so many seconds more: Mbit/s of messages that each flow has brought over meanwhile.
    pub fn run(&mut self, seconds: u64) -> Vec<f64> {
        let until = self.now + Duration::from_secs(seconds);
        let before: Vec<usize> = self.pairs.iter().map(|pair| pair.received).collect();
        while let Some((at, pair)) = self.next().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.look();
            self.pairs[pair].advance(self.now, &mut self.path);
        }
        self.now = until;
        let rate = |(pair, before): (&Pair, usize)| (pair.received - before) as f64 * 8e-6 / seconds as f64;
        self.pairs.iter().zip(before).map(rate).collect()
    }

    fn next(&self) -> Option<(Instant, usize)> {
        self.pairs.iter().enumerate().filter_map(|(index, pair)| Some((pair.next()?, index))).min()
    }

    fn look(&mut self) {
        while self.looked <= self.now {
            self.queue += self.path.queued(self.looked);
            self.looks += 1;
            self.looked = self.looked + LOOK;
        }
    }

    /// The mean queue, in bytes.
    pub fn mean_queue(&self) -> f64 {
        self.queue / self.looks.max(1) as f64
    }

    /// How late the small messages of a flow were, sorted.
    pub fn lateness(&mut self, flow: usize) -> Vec<Duration> {
        let mut late = std::mem::take(&mut self.pairs[flow].late);
        late.sort();
        late
    }

    /// What the sender of a flow counts.
    pub fn statistics(&self, flow: usize) -> Statistics {
        self.pairs[flow].ends[0].association.statistics()
    }
}

/// Jain's index: 1 if all are equal.
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (squares * shares.len() as f64)
}
