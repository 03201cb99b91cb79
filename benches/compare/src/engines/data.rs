//! Two data engines, which hand each other datagrams: one by one, as `str0m` and `rtc` do here, or in batches, as
//! sockets do.

use std::time::Duration;

use switchboard::link::sctp;
use switchboard::machine::Cx;
use switchboard::machine::ids::Ids;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::stack::peer::Crypto;
use switchboard::stack::peer::data::Data;
use switchboard::stack::peer::engine::{BULK, ChannelSpec, EngineConfig, Event, Partner, Remote};
use switchboard::wire::candidate::{Candidate, CandidateKind};

/// The delay of the wire.
const DELAY: Duration = Duration::from_micros(25);
/// The place of the ordered channel, behind those that are agreed on.
const ORDERED: usize = 2;
/// The most that is taken out at a time, if datagrams go in batches.
const BATCH: usize = 64 * 1024;

/// How datagrams are handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    OneByOne,
    Batches,
}

/// A connected pair.
pub struct Pair {
    now: Instant,
    rng: Rng,
    ids: Ids,
    ends: [End; 2],
    manner: Manner,
    /// Datagrams, both ways.
    pub carried: u64,
    /// Bytes of the longest of them.
    pub longest: usize,
}

struct End {
    engine: Box<Data>,
    /// What waits to be carried, and the length of each hand-over and of the datagrams in it.
    outbox: Vec<u8>,
    batches: Vec<(usize, usize)>,
    open: usize,
    messages: usize,
}

impl Pair {
    /// A pair with a reliable, ordered channel besides the agreed ones, all datagrams of one size from the start.
    pub fn new(crypto: &Crypto, manner: Manner, has_checksum: bool) -> Self {
        let config = EngineConfig::new(Partner::Own, true);
        let usual = Data::association_config(&config);
        let association = sctp::Config { zero_checksum: !has_checksum, most_packet: usual.packet, ..usual };
        Self::with(crypto, manner, association)
    }

    /// As sessions have it.
    pub fn usual(crypto: &Crypto, manner: Manner) -> Self {
        Self::with(crypto, manner, Data::association_config(&EngineConfig::new(Partner::Own, true)))
    }

    fn with(crypto: &Crypto, manner: Manner, association: sctp::Config) -> Self {
        let (now, mut rng, mut ids) = (Instant::from_nanos(1_000_000_000), Rng::from_u64(1), Ids::new());
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
        let mut ends = [true, false].map(|is_controlling| {
            let config = EngineConfig::new(Partner::Own, is_controlling);
            End::new(Data::with(&mut cx, crypto, config, association.clone()))
        });
        let remotes = [1, 0].map(|n: usize| Remote::from(ends[n].engine.local()));
        for (n, end) in ends.iter_mut().enumerate() {
            end.engine.add_local(&mut cx, &host(n));
            end.engine.start(&mut cx, &remotes[n], n == 0).expect("the other's INIT can be read");
            end.engine.add_remote(&mut cx, &host(1 - n));
            let ordered = ChannelSpec { ordered: true, negotiated: Some(2), ..ChannelSpec::agreed()[BULK].clone() };
            assert_eq!(end.engine.open_channel(&mut cx, ordered), Some(ORDERED));
        }
        let mut pair = Self { now, rng, ids, ends, manner, carried: 0, longest: 0 };
        pair.connect();
        pair
    }

    fn connect(&mut self) {
        (0..2).for_each(|n| self.collect(n));
        while !self.ends.iter().all(|end| end.open > ORDERED) {
            if !self.exchange(|_| ()) {
                self.wait();
            }
        }
    }

    /// Sends so many messages on the ordered channel, as soon as there is room, until all have arrived.
    pub fn burst(&mut self, message: &[u8], count: usize) {
        self.burst_on(ORDERED, message, count);
    }

    /// The same on the channel that sessions use.
    pub fn burst_bulk(&mut self, message: &[u8], count: usize) {
        self.burst_on(BULK, message, count);
    }

    fn burst_on(&mut self, channel: usize, message: &[u8], count: usize) {
        let wanted = self.ends[1].messages + count;
        let mut unsent = count;
        while self.ends[1].messages < wanted {
            self.top_up(channel, message, &mut unsent);
            if !self.exchange(|pair| pair.top_up(channel, message, &mut unsent)) {
                self.wait();
            }
        }
    }

    fn top_up(&mut self, channel: usize, message: &[u8], unsent: &mut usize) {
        let cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let engine = &mut self.ends[0].engine;
        while *unsent > 0 && engine.room() >= message.len() && engine.write(&cx, channel, true, message) {
            *unsent -= 1;
        }
        self.collect(0);
    }

    /// Carries what is under way, and lets something happen after each hand-over to the first; false: nothing was.
    fn exchange(&mut self, mut then: impl FnMut(&mut Self)) -> bool {
        self.now = self.now + DELAY;
        let is_moved = self.carry(0, &mut |_| ());
        let is_answered = self.carry(1, &mut then);
        self.tick();
        is_moved || is_answered
    }

    fn carry(&mut self, from: usize, then: &mut impl FnMut(&mut Self)) -> bool {
        let end = &mut self.ends[from];
        let (mut outbox, batches) = (std::mem::take(&mut end.outbox), std::mem::take(&mut end.batches));
        let mut rest = &mut outbox[..];
        for &(len, segment) in &batches {
            let (batch, after) = rest.split_at_mut(len);
            rest = after;
            self.hand_over(1 - from, batch, segment);
            self.collect(1 - from);
            then(self);
        }
        let is_moved = !batches.is_empty();
        self.ends[from].take_back(outbox, batches);
        is_moved
    }

    fn hand_over(&mut self, to: usize, batch: &mut [u8], segment: usize) {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        self.longest = self.longest.max(segment);
        for datagram in batch.chunks_mut(segment) {
            self.carried += 1;
            self.ends[to].engine.receive(&mut cx, address(to), address(1 - to), None, datagram);
        }
    }

    /// Takes out what an engine has to tell, to give and to send.
    fn collect(&mut self, n: usize) {
        let cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let End { engine, outbox, batches, open, messages } = &mut self.ends[n];
        while let Some(event) = engine.poll_event() {
            *open += usize::from(matches!(event, Event::Open(..)));
        }
        while engine.poll_message(&cx).is_some() {
            *messages += 1;
        }
        let most = if self.manner == Manner::Batches { BATCH } else { 1 };
        loop {
            let start = outbox.len();
            let Some(sent) = engine.poll_transmit(&cx, outbox, most) else { return };
            batches.push((outbox.len() - start, sent.segment));
        }
    }

    /// Lets time pass until something is due.
    fn wait(&mut self) {
        let next = self.ends.iter().filter_map(|end| Some(end.engine.deadline()?.at)).min();
        self.now = next.expect("something is to come").max(self.now);
        self.tick();
    }

    /// Lets much time pass without messages.
    pub fn rest(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            if !self.exchange(|_| ()) {
                self.wait();
            }
        }
    }

    /// The engines alone.
    pub fn engines(self) -> [Box<Data>; 2] {
        self.ends.map(|end| end.engine)
    }

    fn tick(&mut self) {
        for n in [0, 1] {
            if self.ends[n].engine.deadline().is_some_and(|deadline| deadline.at <= self.now) {
                let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
                self.ends[n].engine.on_timeout(&mut cx);
            }
            self.collect(n);
        }
    }
}

impl End {
    fn new(engine: Data) -> Self {
        Self { engine: Box::new(engine), outbox: Vec::new(), batches: Vec::new(), open: 0, messages: 0 }
    }

    /// Uses the memory of what was carried again, unless something waits already.
    fn take_back(&mut self, mut outbox: Vec<u8>, mut batches: Vec<(usize, usize)>) {
        if self.batches.is_empty() {
            outbox.clear();
            batches.clear();
            (self.outbox, self.batches) = (outbox, batches);
        }
    }
}

fn host(n: usize) -> Candidate {
    Candidate::new(CandidateKind::Host, address(n), None)
}

fn address(n: usize) -> std::net::SocketAddr {
    ([10, 0, 0, n as u8], 1000).into()
}
