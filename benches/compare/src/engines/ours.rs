//! Two peers of ours, each an engine of either kind with its negotiation but no socket, with a wire between them.

use std::collections::VecDeque;
use std::time::Duration;

use switchboard::machine::Cx;
use switchboard::machine::ids::Ids;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::{Epoch, Instant};
use switchboard::stack::peer::Crypto;
use switchboard::stack::peer::{BULK, EngineKind, Event, Partner, Peer, PeerConfig, Sent, State};
use switchboard::wire::candidate::{Candidate, CandidateKind};
use switchboard::wire::signal::Signal;

/// How the wire is.
#[derive(Clone, Copy, Default)]
pub struct Wire {
    pub delay: Duration,
    pub loss: f64,
}

/// A pair whose signals are carried at once.
pub struct Pair {
    now: Instant,
    rng: Rng,
    ids: Ids,
    peers: [Peer; 2],
    wire: Wire,
    under_way: VecDeque<Carried>,
    open: [usize; 2],
    sent: [bool; 2],
    messages: [usize; 2],
}

/// Datagrams on their way to a peer, until a moment.
struct Carried {
    at: Instant,
    to: usize,
    sent: Sent,
    data: Vec<u8>,
}

/// An epoch that begins now.
pub fn epoch() -> Epoch {
    Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000))
}

impl Pair {
    /// A pair that has not begun to talk.
    pub fn new(crypto: &Crypto, engine: EngineKind, seed: u64, wire: Wire) -> Self {
        let (now, mut rng, mut ids) = (Instant::from_nanos(1_000_000_000), Rng::from_u64(seed), Ids::new());
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
        let peers = [0, 1].map(|n| {
            let address = ([10, 0, 0, n], 1000).into();
            let candidate = Candidate::new(CandidateKind::Host, address, None);
            let config = PeerConfig { engine, ..PeerConfig::new(Partner::Own, n == 0) };
            Peer::new(&mut cx, crypto, 1, config, [&candidate].into_iter()).expect("a peer is made")
        });
        let under_way = VecDeque::new();
        Self { now, rng, ids, peers, wire, under_way, open: [0; 2], sent: [false; 2], messages: [0; 2] }
    }

    /// The time until both are connected.
    pub fn connect(&mut self) -> Duration {
        self.run_until(|pair| [0, 1].iter().all(|n| pair.is_up(*n)))
    }

    /// The time until the first message has arrived, if each side writes one as soon as it is connected.
    pub fn first_message(&mut self) -> Duration {
        self.run_until(|pair| {
            for n in [0, 1] {
                if !pair.sent[n] && pair.is_up(n) {
                    pair.sent[n] = pair.with(n, |peer, cx| peer.write(cx, BULK, true, b"first"));
                }
            }
            pair.messages.iter().any(|messages| *messages > 0)
        })
    }

    fn is_up(&self, n: usize) -> bool {
        self.peers[n].state() == State::Connected && self.open[n] == 2
    }

    fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> Duration {
        let start = self.now;
        (0..2).for_each(|n| self.take(n));
        while !done(self) {
            let timers = self.peers.iter().filter_map(|peer| Some(peer.deadline()?.at));
            let next = timers.chain(self.under_way.front().map(|carried| carried.at)).min();
            self.now = next.expect("something is to come").max(self.now);
            assert!(self.now - start < Duration::from_secs(60), "no connection");
            while self.under_way.front().is_some_and(|carried| carried.at <= self.now) {
                let Some(carried) = self.under_way.pop_front() else { break };
                self.arrive(carried);
            }
            (0..2).for_each(|n| self.with(n, |peer, cx| peer.on_timeout(cx)));
        }
        self.now - start
    }

    fn arrive(&mut self, Carried { to, sent, mut data, .. }: Carried) {
        for datagram in data.chunks_mut(sent.segment) {
            self.with(to, |peer, cx| peer.receive(cx, sent.to, sent.local, None, datagram));
        }
    }

    fn with<R>(&mut self, n: usize, act: impl FnOnce(&mut Peer, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let result = act(&mut self.peers[n], &mut cx);
        self.take(n);
        result
    }

    /// Takes out what a peer has to tell, to give and to send.
    fn take(&mut self, n: usize) {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let mut signals = Vec::new();
        while let Some(event) = self.peers[n].poll_event(&mut cx) {
            match event {
                Event::Signal(bytes) => signals.push(bytes),
                Event::Open(..) => self.open[n] += 1,
                Event::Over(end) => panic!("a peer is over: {end:?}"),
                _ => {}
            }
        }
        while self.peers[n].poll_message(&mut cx).is_some() {
            self.messages[n] += 1;
        }
        let mut data = Vec::new();
        while let Some(sent) = self.peers[n].poll_transmit(&mut cx, &mut data, 1) {
            let data = std::mem::take(&mut data);
            if !cx.rng.chance(self.wire.loss) {
                self.under_way.push_back(Carried { at: cx.now + self.wire.delay, to: 1 - n, sent, data });
            }
        }
        for bytes in signals {
            let signal = Signal::decode(&bytes, 64 * 1024).expect("it is a signal");
            self.with(1 - n, |peer, cx| peer.signal(cx, &signal));
        }
    }
}
