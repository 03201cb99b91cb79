use std::time::Duration;

use super::*;
use crate::machine::ids::Ids;
use crate::machine::rng::Rng;
use crate::machine::time::Epoch;

/// Those that there are.
const ENGINES: &[EngineKind] = &[
    EngineKind::Data,
    #[cfg(feature = "str0m")]
    EngineKind::Str0m,
];

/// Two peers in one moment after another; what they send and signal arrives at once.
struct Pair {
    now: Instant,
    rng: Rng,
    ids: Ids,
    peers: [Peer; 2],
    heard: [Vec<Vec<u8>>; 2],
}

impl Pair {
    fn new(engine: EngineKind) -> Self {
        #[allow(clippy::disallowed_methods, reason = "any moment will do; nothing depends on it")]
        let epoch = Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000));
        let (now, mut rng, mut ids) = (Instant::from_nanos(1_000_000_000), Rng::from_u64(1), Ids::new());
        let crypto = Crypto::new(epoch, &mut rng).unwrap();
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
        let peers = [0, 1].map(|n| {
            let host = Candidate::new(CandidateKind::Host, ([192, 0, 2, 1 + n], 5000).into(), None);
            let config = PeerConfig { engine, ..PeerConfig::new(Partner::Own, n == 0) };
            Peer::new(&mut cx, &crypto, 1, config, [&host].into_iter()).unwrap()
        });
        Self { now, rng, ids, peers, heard: [Vec::new(), Vec::new()] }
    }

    fn with<R>(&mut self, n: usize, act: impl FnOnce(&mut Peer, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        act(&mut self.peers[n], &mut cx)
    }

    fn transmit(&mut self, n: usize) -> Option<(Sent, Vec<u8>)> {
        let mut batch = Vec::new();
        let sent = self.with(n, |peer, cx| peer.poll_transmit(cx, &mut batch, 16_000))?;
        Some((sent, batch))
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            for n in [0, 1] {
                while let Some((Sent { local, to, segment, ecn }, mut batch)) = self.transmit(n) {
                    for data in batch.chunks_mut(segment) {
                        self.with(1 - n, |peer, cx| peer.receive(cx, to, local, ecn, data));
                    }
                }
                while let Some(event) = self.with(n, |peer, cx| peer.poll_event(cx)) {
                    self.on_event(n, event);
                }
                while let Some(bytes) =
                    self.with(n, |peer, cx| peer.poll_message(cx).map(|message| message.bytes.to_vec()))
                {
                    self.heard[n].push(bytes);
                }
                self.with(n, |peer, cx| peer.on_timeout(cx));
            }
            self.now = self.now + Duration::from_millis(1);
        }
    }

    fn on_event(&mut self, n: usize, event: Event) {
        if let Event::Signal(bytes) = event {
            let signal = Signal::decode(&bytes, 64 * 1024).unwrap();
            self.with(1 - n, |peer, cx| peer.signal(cx, &signal));
        }
    }

    fn say(&mut self, word: &[u8]) {
        for n in [0, 1] {
            self.with(n, |peer, cx| assert!(peer.write(cx, BULK, true, word)));
        }
        self.run_for(Duration::from_secs(3));
    }
}

#[test]
fn an_offer_with_other_credentials_is_answered_by_others_and_nothing_is_lost() {
    for engine in ENGINES.iter().copied() {
        let mut pair = Pair::new(engine);
        pair.run_for(Duration::from_secs(2));
        pair.say(b"before");
        let before = [0, 1].map(|n| pair.peers[n].ufrag().to_owned());
        pair.with(0, |peer, cx| peer.signal(cx, &Signal::Restart { attempt: 1 }));
        pair.run_for(Duration::from_secs(3));
        for n in [0, 1] {
            assert_ne!(pair.peers[n].ufrag(), before[n], "side {n}");
        }
        pair.say(b"after");
        assert_eq!(pair.heard, [[b"before".to_vec(), b"after".to_vec()], [b"before".to_vec(), b"after".to_vec()]]);
        assert_eq!(pair.peers.each_ref().map(Peer::state), [State::Connected; 2]);
    }
}

fn host(last: u16) -> Candidate {
    Candidate::new(CandidateKind::Host, ([198, 51, 100, 1], 1_000 + last).into(), None)
}

#[test]
fn restarts_with_other_addresses_each_are_connected_over_those() {
    for engine in ENGINES.iter().copied() {
        let mut pair = Pair::new(engine);
        pair.run_for(Duration::from_secs(2));
        for round in 0..12 {
            let before = pair.peers[1].candidates().to_vec();
            for last in 0..6 {
                pair.with(1, |peer, cx| peer.add_local(cx, &host(6 * round + last)));
            }
            before.iter().for_each(|candidate| pair.with(1, |peer, cx| peer.remove_local(cx, candidate)));
            pair.with(0, |peer, cx| peer.signal(cx, &Signal::Restart { attempt: 1 }));
            pair.run_for(Duration::from_secs(2));
            for last in 0..6 {
                let address = host(6 * round + last).address;
                let is_known = pair.peers[0].remotes().iter().any(|remote| remote.address == address);
                assert!(is_known, "{engine:?}, restart {round}: {address}");
            }
        }
        pair.say(b"here");
        assert_eq!(pair.heard, [[b"here".to_vec()], [b"here".to_vec()]], "{engine:?}");
    }
}

#[test]
fn an_engine_hears_of_no_more_candidates_than_the_bound_says() {
    let mut pair = Pair::new(EngineKind::Data);
    pair.run_for(Duration::from_secs(2));
    let ufrag = pair.peers[1].ufrag().to_owned();
    for _ in 0..40 {
        // Offers of the same credentials, which are no restarts.
        let mut offer = pair.peers[1].describe();
        offer.candidates = (0..32).map(host).collect();
        let sdp = offer.to_sdp(1, 9);
        let kind = crate::wire::signal::DescriptionKind::Offer;
        pair.with(0, |peer, cx| peer.signal(cx, &Signal::Description { attempt: 1, kind, sdp: &sdp }));
    }
    let peer = &pair.peers[0];
    assert_eq!((peer.theirs.as_ref(), peer.tellings), (Some(&ufrag), MOST_TELLINGS));
}

#[test]
fn what_has_failed_after_it_was_connected_says_why() {
    let mut pair = Pair::new(EngineKind::Data);
    pair.run_for(Duration::from_secs(2));
    pair.with(0, |peer, cx| {
        let why = "the peer does not answer".to_owned();
        peer.on_engine(cx, engine::Event::Over(Over::Failed(why.clone())));
        let told: Vec<_> = std::iter::from_fn(|| peer.poll_event(cx)).collect();
        assert!(told.contains(&Event::Over(End::Failed(why.clone()))), "{told:?}");
        let signals = told.iter().filter_map(|event| if let Event::Signal(bytes) = event { Some(bytes) } else { None });
        let texts: Vec<_> = signals.map(|bytes| format!("{:?}", Signal::decode(bytes, 1_024))).collect();
        assert!(texts.iter().any(|text| text.contains(&why)), "{texts:?}");
    });
}
