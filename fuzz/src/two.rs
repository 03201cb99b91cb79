//! Two peers, of whichever engine, and an attacker on the wire between them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::ids::Ids;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline};
use switchboard::stack::peer::data::Data;
use switchboard::stack::peer::{Peer, Sent};

use crate::script::Script;

/// What waits on the wire and with a carrier of signals, at most; more is dropped.
pub(crate) const WAITING: usize = 256;
/// Bytes of a batch.
const MOST_BATCH: usize = 16_000;

/// A datagram on its way.
#[derive(Clone)]
pub(crate) struct Outgoing {
    local: SocketAddr,
    to: SocketAddr,
    pub(crate) data: Vec<u8>,
}

/// What both kinds of peers do.
pub(crate) trait End {
    fn receive(&mut self, cx: &mut Cx<'_>, local: SocketAddr, source: SocketAddr, data: &mut [u8]);
    fn transmit(&mut self, cx: &mut Cx<'_>, out: &mut Vec<u8>, most: usize) -> Option<Sent>;
    fn deadline(&self) -> Option<Deadline>;
    fn on_timeout(&mut self, cx: &mut Cx<'_>);
}

macro_rules! ends {
    ($($peer:ty),*) => {$(
        impl End for $peer {
            fn receive(&mut self, cx: &mut Cx<'_>, local: SocketAddr, source: SocketAddr, data: &mut [u8]) {
                self.receive(cx, local, source, None, data);
            }

            fn transmit(&mut self, cx: &mut Cx<'_>, out: &mut Vec<u8>, most: usize) -> Option<Sent> {
                self.poll_transmit(cx, out, most)
            }

            fn deadline(&self) -> Option<Deadline> {
                self.deadline()
            }

            fn on_timeout(&mut self, cx: &mut Cx<'_>) {
                self.on_timeout(cx);
            }
        }
    )*};
}

ends!(Data, Peer);

/// Two peers, and what is on its way to each.
pub(crate) struct Two<P> {
    pub(crate) now: Instant,
    rng: Rng,
    ids: Ids,
    pub(crate) peers: [P; 2],
    pub(crate) wire: [VecDeque<Outgoing>; 2],
}

impl<P> Two<P> {
    /// The first is made with `true`.
    pub(crate) fn new(mut peer: impl FnMut(&mut Cx<'_>, bool) -> P) -> Self {
        let (now, mut rng, mut ids) = (Instant::from_nanos(1_000_000_000), Rng::from_u64(1), Ids::new());
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
        let peers = [true, false].map(|is_first| peer(&mut cx, is_first));
        Self { now, rng, ids, peers, wire: Default::default() }
    }

    /// One of the peers, with what its calls need.
    pub(crate) fn peer(&mut self, n: usize) -> (&mut P, Cx<'_>) {
        let cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        (&mut self.peers[n], cx)
    }
}

/// Two peers with somebody who takes what they say, and what anybody may do to them.
pub(crate) trait Stage: Sized {
    type Peer: End;

    fn two(&mut self) -> &mut Two<Self::Peer>;

    /// Takes what happened to a peer and what came to it.
    fn take(&mut self, n: usize);

    fn with<R>(&mut self, n: usize, act: impl FnOnce(&mut Self::Peer, &mut Cx<'_>) -> R) -> R {
        let two = self.two();
        let (peer, mut cx) = two.peer(n);
        let result = act(peer, &mut cx);
        let mut batch = Vec::new();
        loop {
            let (peer, mut cx) = two.peer(n);
            let Some(sent) = peer.transmit(&mut cx, &mut batch, MOST_BATCH) else { break };
            let room = WAITING - two.wire[1 - n].len();
            let datagrams = batch.chunks(sent.segment);
            let outgoing = datagrams.map(|data| Outgoing { local: sent.local, to: sent.to, data: data.to_vec() });
            two.wire[1 - n].extend(outgoing.take(room));
            batch.clear();
        }
        self.take(n);
        result
    }

    fn deliver(&mut self, n: usize) {
        let Some(Outgoing { local, to, mut data }) = self.two().wire[n].pop_front() else { return };
        self.with(n, |peer, cx| peer.receive(cx, to, local, &mut data));
    }

    fn tamper(&mut self, n: usize, script: &mut Script<'_>) {
        let (at, bits) = (script.word(), script.byte());
        let Some(Outgoing { data, .. }) = self.two().wire[n].front_mut() else { return };
        let len = data.len();
        data.iter_mut().skip(at % len.max(1)).take(1).for_each(|byte| *byte ^= bits);
    }

    fn inject(&mut self, n: usize, script: &mut Script<'_>) {
        let source = if script.byte() & 1 == 0 { address(1 - n) } else { ([192, 0, 2, 66], 666).into() };
        let mut bytes = script.bytes().to_vec();
        self.with(n, |peer, cx| peer.receive(cx, address(n), source, &mut bytes));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.two().now + time;
        for _ in 0..64 {
            let next = self.two().peers.iter().filter_map(|peer| Some(peer.deadline()?.at)).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            let two = self.two();
            two.now = next.max(two.now);
            for n in 0..2 {
                self.with(n, |peer, cx| peer.on_timeout(cx));
            }
        }
        self.two().now = end;
    }
}

/// Where a peer is.
pub(crate) fn address(n: usize) -> SocketAddr {
    ([192, 0, 2, 1 + n as u8], 5000).into()
}
