//! Our own engine as one side: ICE, DTLS and SCTP.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::Cx;
use switchboard::machine::ids::Ids;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::{Epoch, Instant};
use switchboard::stack::peer::data::UNSENT;
use switchboard::stack::peer::engine::{Engine, EngineConfig, Event, Local, Remote};
use switchboard::stack::peer::{ChannelSpec, Crypto};
use switchboard::wire::candidate::{Candidate, CandidateKind};

use crate::partner::{Happened, Limit, Partner, Spec};

/// Bytes of a batch of datagrams.
const BATCH: usize = 20_000;

pub(crate) struct Peer {
    engine: Engine,
    rng: Rng,
    ids: Ids,
    addresses: [SocketAddr; 2],
    packets: VecDeque<Vec<u8>>,
}

impl Peer {
    /// A peer at the first of the addresses, towards one at the second.
    pub(crate) fn new(now: Instant, epoch: Epoch, addresses: [SocketAddr; 2], config: EngineConfig, seed: u64) -> Self {
        let (mut rng, mut ids) = (Rng::from_u64(seed), Ids::new());
        let crypto = Crypto::new(epoch, &mut rng).expect("a certificate");
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
        let engine = Engine::new(&mut cx, &crypto, config).expect("an engine");
        Self { engine, rng, ids, addresses, packets: VecDeque::new() }
    }

    pub(crate) fn local(&self) -> &Local {
        self.engine.local()
    }

    pub(crate) fn start(&mut self, now: Instant, remote: &Remote, is_active: bool) {
        let [ours, theirs] = self.addresses.map(|at| Candidate::new(CandidateKind::Host, at, None));
        self.with(now, |engine, cx| {
            assert!(engine.add_local(cx, &ours));
            engine.start(cx, remote, is_active).expect("it starts");
            assert!(engine.add_remote(cx, &theirs));
            engine.check(cx);
        });
    }

    fn with<R>(&mut self, now: Instant, act: impl FnOnce(&mut Engine, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        act(&mut self.engine, &mut cx)
    }
}

impl Partner for Peer {
    /// It has been told at its start.
    fn connect(&mut self, _: Instant) {}

    fn receive(&mut self, now: Instant, datagram: &mut [u8]) {
        let [local, source] = self.addresses;
        self.with(now, |engine, cx| engine.receive(cx, local, source, None, datagram));
    }

    fn poll_datagram(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.packets.is_empty() {
            let mut out = Vec::new();
            let sent = self.with(now, |engine, cx| engine.poll_transmit(cx, &mut out, BATCH))?;
            assert_eq!([sent.local, sent.to], self.addresses);
            self.packets.extend(out.chunks(sent.segment).map(<[u8]>::to_vec));
        }
        self.packets.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.engine.deadline().map(|deadline| deadline.at)
    }

    fn on_timeout(&mut self, now: Instant) {
        self.with(now, |engine, cx| engine.on_timeout(cx));
    }

    fn limits_by_time(&self) -> bool {
        false
    }

    fn open(&mut self, now: Instant, spec: &Spec) -> u16 {
        let max_retransmits = if let Limit::Retransmits(count) = spec.limit { Some(count) } else { None };
        let (label, ordered) = (spec.label.clone(), spec.is_ordered);
        let spec = ChannelSpec { label, ordered, max_retransmits, negotiated: None };
        let place = self.with(now, |engine, cx| engine.open_channel(cx, spec)).expect("it can be opened");
        u16::try_from(place).expect("few channels")
    }

    fn close(&mut self, now: Instant, channel: u16) {
        self.with(now, |engine, cx| engine.close_channel(cx, channel.into()));
    }

    fn write(&mut self, now: Instant, channel: u16, is_binary: bool, message: &[u8]) -> bool {
        self.with(now, |engine, cx| {
            engine.room() >= message.len().min(UNSENT / 2) && engine.write(cx, channel.into(), is_binary, message)
        })
    }

    fn shutdown(&mut self, now: Instant) {
        self.with(now, |engine, cx| engine.close(cx));
    }

    fn abort(&mut self, now: Instant) {
        self.shutdown(now);
    }

    fn poll(&mut self, now: Instant) -> Option<Happened> {
        while let Some(event) = self.engine.poll_event() {
            if let Some(happened) = told(event) {
                return Some(happened);
            }
        }
        self.with(now, |engine, cx| {
            let message = engine.poll_message(cx)?;
            let channel = u16::try_from(message.channel).expect("few channels");
            Some(Happened::Message { channel, is_binary: message.is_binary, bytes: message.bytes.to_vec() })
        })
    }

    fn counters(&self) -> String {
        format!("own: {} datagrams dropped, pair {:?}", self.engine.dropped(), self.engine.pair())
    }
}

fn told(event: Event) -> Option<Happened> {
    let name = |place: usize| u16::try_from(place).expect("few channels");
    Some(match event {
        Event::Connected => Happened::Connected,
        Event::Open(place, label) => Happened::Open { channel: name(place), label, spec: None },
        Event::ChannelClosed(place) => Happened::Closed(name(place)),
        Event::Over(over) => Happened::Over(over.to_string()),
        Event::Ice(_) | Event::Writable => return None,
    })
}
