#![allow(clippy::disallowed_methods, reason = "any moment will do; nothing depends on it")]

mod channels;
mod loss;
mod mutated;
mod world;

use std::time::Duration;

use super::*;
use crate::machine::ids::Ids;
use crate::machine::rng::Rng;
use crate::machine::time::Epoch;
use crate::stack::peer::engine::{BULK, QUICK, Sent};
use crate::wire::candidate::CandidateKind;

/// Two peers whose datagrams arrive at once.
struct Pair {
    now: Instant,
    rng: Rng,
    ids: Ids,
    peers: [Box<Data>; 2],
    heard: [usize; 2],
    batches: Vec<(Sent, usize)>,
}

fn address(n: usize) -> SocketAddr {
    ([192, 0, 2, 1 + n as u8], 5_000).into()
}

impl Pair {
    fn connected() -> Self {
        Self::connected_by(CandidateKind::Host)
    }

    /// Where the second has that kind of candidate.
    #[allow(clippy::disallowed_methods, reason = "any moment will do; nothing depends on it")]
    fn connected_by(second: CandidateKind) -> Self {
        let epoch = Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000));
        let (now, mut rng, mut ids) = (Instant::from_nanos(1_000_000_000), Rng::from_u64(1), Ids::new());
        let crypto = Crypto::new(epoch, &mut rng).unwrap();
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
        let peers = [true, false]
            .map(|controls| Box::new(Data::new(&mut cx, &crypto, EngineConfig::new(Partner::Own, controls))));
        let mut pair = Self { now, rng, ids, peers, heard: [0; 2], batches: Vec::new() };
        let remotes = [1, 0].map(|n: usize| Remote::from(pair.peers[n].local()));
        for n in [0, 1] {
            pair.with(n, |peer, cx| {
                let kinds = [CandidateKind::Host, second];
                peer.add_local(cx, &Candidate::new(kinds[n], address(n), None));
                peer.start(cx, &remotes[n], n == 0).unwrap();
                peer.add_remote(cx, &Candidate::new(kinds[1 - n], address(1 - n), None));
            });
        }
        pair.run_for(Duration::from_secs(1));
        assert!(pair.peers.iter().all(|peer| peer.dtls().is_some_and(Dtls::is_connected)));
        pair
    }

    fn with<R>(&mut self, n: usize, act: impl FnOnce(&mut Data, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        act(&mut self.peers[n], &mut cx)
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            for n in [0, 1] {
                self.with(n, |peer, cx| peer.on_timeout(cx));
                self.drain(n);
            }
            self.now = self.now + Duration::from_millis(1);
        }
    }

    fn drain(&mut self, n: usize) {
        while self.peers[n].poll_event().is_some() {}
        while let Some(len) = self.with(n, |peer, cx| peer.poll_message(cx).map(|message| message.bytes.len())) {
            self.heard[n] += len;
        }
        let mut batch = Vec::new();
        while let Some(sent) = self.with(n, |peer, cx| peer.poll_transmit(cx, &mut batch, 64_000)) {
            self.batches.push((sent, batch.len()));
            for data in batch.chunks_mut(sent.segment) {
                self.with(1 - n, |peer, cx| peer.receive(cx, sent.to, sent.local, None, data));
            }
            batch.clear();
        }
    }

    /// Sends so many messages of that many bytes.
    fn send(&mut self, count: usize, bytes: usize) {
        let message = vec![7; bytes];
        for _ in 0..count {
            while self.peers[0].room() < bytes {
                self.run_for(Duration::from_millis(1));
            }
            assert!(self.with(0, |peer, cx| peer.write(cx, BULK, true, &message)));
        }
        self.run_for(Duration::from_millis(500));
    }
}

#[test]
fn bulk_goes_in_batches_of_equal_datagrams() {
    let mut pair = Pair::connected();
    pair.send(50, 16_000);
    pair.batches.clear();
    pair.send(500, 16_000);
    assert_eq!(pair.heard[1], 550 * 16_000);
    let bulk: Vec<_> = pair.batches.iter().filter(|(sent, _)| sent.local == address(0)).collect();
    let bytes: usize = bulk.iter().map(|(_, len)| len).sum();
    assert!(bulk.len() * 8_000 < bytes, "{} batches of {bytes} bytes", bulk.len());
}

#[test]
fn an_idle_connected_peer_holds_at_most_16_kib() {
    let mut kept = None;
    Pair::connected();
    let heap = allocation_counter::measure(|| {
        let mut pair = Pair::connected();
        pair.send(20, 16_000);
        pair.with(1, |peer, cx| assert!(peer.write(cx, QUICK, true, b"so that both have own records")));
        pair.run_for(Duration::from_secs(10));
        assert!(pair.peers.iter().all(|peer| peer.dtls().is_some_and(Dtls::has_own_records)));
        pair.batches = Vec::new();
        kept = Some(pair);
    });
    drop(kept);
    println!("{} bytes for two", heap.bytes_current);
    assert!(heap.bytes_current <= 2 * 16 * 1024, "{}", heap.bytes_current);
}

#[test]
fn the_path_is_used_up_to_what_it_carries() {
    let mut pair = Pair::connected();
    pair.send(50, 16_000);
    let packet = pair.peers[0].association().statistics().packet;
    assert!(packet > MOST_DATAGRAM - OVERHEAD - 64, "{packet}");
    assert!(pair.batches.iter().all(|(sent, _)| sent.segment <= MOST_DATAGRAM));
}

#[test]
fn over_a_relay_packets_stay_as_they_are() {
    let mut pair = Pair::connected_by(CandidateKind::Relayed);
    pair.run_for(Duration::from_secs(5));
    for peer in &pair.peers {
        assert_eq!(peer.association().statistics().packet, DATAGRAM - OVERHEAD);
    }
    assert!(pair.batches.iter().all(|(sent, _)| sent.segment <= DATAGRAM));
}

#[test]
fn a_steady_transfer_allocates_next_to_nothing() {
    let mut pair = Pair::connected();
    pair.send(400, 16_000);
    let (message, mut batch) = (vec![7; 16_000], Vec::with_capacity(1 << 17));
    let counted = allocation_counter::measure(|| {
        for _ in 0..400 {
            assert!(pair.with(0, |peer, cx| peer.write(cx, BULK, true, &message)));
            for n in [0, 1, 0] {
                while let Some(sent) = pair.with(n, |peer, cx| peer.poll_transmit(cx, &mut batch, 64_000)) {
                    for data in batch.chunks_mut(sent.segment) {
                        pair.with(1 - n, |peer, cx| peer.receive(cx, sent.to, sent.local, None, data));
                    }
                    batch.clear();
                }
                while pair.with(n, |peer, cx| peer.poll_message(cx).is_some()) {}
                pair.now = pair.now + Duration::from_millis(1);
                pair.with(n, |peer, cx| peer.on_timeout(cx));
            }
        }
    });
    println!("{} allocations for 400 messages", counted.count_total);
    assert!(counted.count_total < 40, "{}", counted.count_total);
}
