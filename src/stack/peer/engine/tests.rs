use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::machine::ids::Ids;
use crate::machine::rng::Rng;
use crate::machine::time::{Epoch, Instant};
use crate::wire::candidate::CandidateKind;

const FIRST: &str = "192.0.2.1:1000";
const SECOND: &str = "192.0.2.2:2000";

/// Two peers with a wire between them.
struct Pair {
    now: Instant,
    rng: Rng,
    ids: Ids,
    peers: [Engine; 2],
    delay: Duration,
    loss: f64,
    wire: VecDeque<(Instant, usize, Sent, Vec<u8>)>,
    seen: [Vec<Event>; 2],
    heard: [Vec<Vec<u8>>; 2],
    log: Vec<(Instant, usize, usize)>,
    /// The largest message that each says it takes.
    takes: [Option<u64>; 2],
}

/// Which engines meet.
const MEETINGS: &[[EngineKind; 2]] = &[
    [EngineKind::Data; 2],
    #[cfg(feature = "str0m")]
    [EngineKind::Str0m; 2],
    #[cfg(feature = "str0m")]
    [EngineKind::Data, EngineKind::Str0m],
    #[cfg(feature = "str0m")]
    [EngineKind::Str0m, EngineKind::Data],
];

#[allow(clippy::disallowed_methods, reason = "any moment will do; nothing depends on it")]
fn epoch() -> Epoch {
    Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000))
}

fn real() -> Crypto {
    Crypto::new(epoch(), &mut Rng::from_u64(1)).unwrap()
}

impl Pair {
    fn new(kinds: [EngineKind; 2], crypto: [&Crypto; 2], partner: Partner, seed: u64) -> Self {
        let (now, mut rng, mut ids) = (Instant::from_nanos(1_000_000_000), Rng::from_u64(seed), Ids::new());
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
        let peers = [0, 1].map(|n| {
            let config = EngineConfig { kind: kinds[n], inbox: 1 << 20, ..EngineConfig::new(partner, n == 0) };
            Engine::new(&mut cx, crypto[n], config).unwrap()
        });
        let (delay, wire, seen) = (Duration::from_millis(25), VecDeque::new(), [Vec::new(), Vec::new()]);
        let (heard, takes) = ([Vec::new(), Vec::new()], [Some(MOST_MESSAGE); 2]);
        Self { now, rng, ids, peers, delay, loss: 0.0, wire, seen, heard, log: Vec::new(), takes }
    }

    fn with<R>(&mut self, n: usize, act: impl FnOnce(&mut Engine, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let result = act(&mut self.peers[n], &mut cx);
        loop {
            if let Some(event) = self.peers[n].poll_event() {
                self.seen[n].push(event);
            } else if let Some(message) = self.peers[n].poll_message(&mut cx) {
                self.heard[n].push(message.bytes.to_vec());
            } else {
                break;
            }
        }
        let mut batch = Vec::new();
        while let Some(sent) = self.peers[n].poll_transmit(&mut cx, &mut batch, 16_000) {
            for datagram in batch.chunks(sent.segment) {
                self.log.push((self.now, n, datagram.len()));
                if !cx.rng.chance(self.loss) {
                    self.wire.push_back((self.now + self.delay, 1 - n, sent, datagram.to_vec()));
                }
            }
            batch.clear();
        }
        result
    }

    fn connect(&mut self) {
        self.connect_as([None; 2]);
    }

    /// Connects, with fingerprints announced other than the own ones.
    fn connect_as(&mut self, announced: [Option<[u8; 32]>; 2]) {
        let local = [0, 1].map(|n| self.peers[n].local().clone());
        for n in [0, 1] {
            let Local { ufrag, password, fingerprint, sctp_init } = local[1 - n].clone();
            let fingerprint = announced[1 - n].unwrap_or(fingerprint);
            let remote = Remote { ufrag, password, fingerprint, sctp_init, max_message: self.takes[1 - n] };
            self.with(n, |engine, cx| {
                let [ours, theirs] = if n == 0 { [FIRST, SECOND] } else { [SECOND, FIRST] };
                let host = |address: &str| Candidate::new(CandidateKind::Host, address.parse().unwrap(), None);
                assert!(engine.add_local(cx, &host(ours)));
                engine.start(cx, &remote, n == 0).unwrap();
                assert!(engine.add_remote(cx, &host(theirs)));
                engine.check(cx);
            });
        }
    }

    fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Option<Duration> {
        let start = self.now;
        while !done(self) {
            let timers = self.peers.iter().filter_map(|peer| Some(peer.deadline()?.at));
            let next = timers.chain(self.wire.front().map(|(at, ..)| *at)).min()?.max(self.now);
            if next > start + limit {
                return None;
            }
            self.now = next;
            while self.wire.front().is_some_and(|(at, ..)| *at <= next) {
                let (_, n, Sent { local, to, ecn, .. }, mut data) = self.wire.pop_front()?;
                self.with(n, |engine, cx| engine.receive(cx, to, local, ecn, &mut data));
            }
            for n in [0, 1] {
                self.with(n, |engine, cx| engine.on_timeout(cx));
            }
        }
        Some(self.now - start)
    }

    fn is_up(&self, n: usize) -> bool {
        let opened = self.seen[n].iter().filter(|event| matches!(event, Event::Open(..))).count();
        self.seen[n].contains(&Event::Connected) && opened == 2
    }

    fn messages(&self, n: usize) -> Vec<Vec<u8>> {
        self.heard[n].clone()
    }

    /// The time until the first message of each side has arrived, written as soon as that side is up.
    fn first_messages(&mut self) -> Option<Duration> {
        self.connect();
        let mut sent = [false; 2];
        self.run_until(Duration::from_secs(60), |pair| {
            for n in [0, 1] {
                if !sent[n] && pair.is_up(n) {
                    sent[n] = pair.with(n, |engine, cx| engine.write(cx, BULK, true, b"first"));
                }
            }
            [0, 1].iter().any(|n| pair.messages(*n) == [b"first"])
        })
    }
}

#[test]
fn the_first_message_arrives_after_two_and_a_half_round_trips() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = real();
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        assert_eq!(pair.first_messages(), Some(Duration::from_millis(125)), "{kinds:?}");
    }
}

#[test]
fn with_one_percent_of_loss_99_of_100_first_messages_arrive_within_450_ms() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = Crypto::seeded(epoch());
        let mut times: Vec<_> = (0..200)
            .map(|seed| {
                let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, seed);
                pair.loss = 0.01;
                pair.first_messages().unwrap_or_else(|| panic!("seed {seed}: no message"))
            })
            .collect();
        times.sort_unstable();
        println!("p50 {:?}, p90 {:?}, p99 {:?}, most {:?}", times[100], times[180], times[198], times[199]);
        assert!(times[198] <= Duration::from_millis(450), "{:?}", times[198]);
    }
}

#[test]
fn every_bad_connection_comes_up_in_the_end() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = Crypto::seeded(epoch());
        for seed in 0..40 {
            let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, seed);
            (pair.loss, pair.delay) = (0.2, Duration::from_millis(150));
            pair.first_messages().unwrap_or_else(|| panic!("seed {seed}: no message"));
        }
    }
}

#[test]
fn worlds_repeat_and_other_peers_do_not() {
    for kinds in MEETINGS.iter().copied() {
        let run = |crypto: &Crypto, seed| {
            let mut pair = Pair::new(kinds, [crypto, crypto], Partner::Own, seed);
            pair.loss = 0.3;
            pair.first_messages();
            pair.log
        };
        let seeded = Crypto::seeded(epoch());
        assert_eq!(run(&seeded, 7), run(&seeded, 7));
        assert_ne!(run(&seeded, 7), run(&seeded, 8));
        let (one, other) = (real(), Crypto::new(epoch(), &mut Rng::from_u64(1)).unwrap());
        assert_ne!(one.fingerprint(), other.fingerprint(), "two processes with one certificate");
    }
}

#[test]
fn another_certificate_than_the_announced_one_ends_the_peer() {
    for kinds in MEETINGS.iter().copied() {
        let (one, other) = (real(), Crypto::new(epoch(), &mut Rng::from_u64(2)).unwrap());
        let mut pair = Pair::new(kinds, [&one, &other], Partner::Own, 1);
        pair.connect_as([None, Some([7; 32])]);
        let failed = |pair: &mut Pair| pair.seen[0].iter().any(|event| matches!(event, Event::Over(Over::Failed(_))));
        pair.run_until(Duration::from_secs(60), failed).unwrap();
        assert!(!pair.is_up(0));
    }
}

#[test]
fn channels_of_foreign_peers_open_in_band() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = real();
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Foreign, 1);
        pair.connect();
        let spec = ChannelSpec { label: "chat".to_owned(), ordered: true, max_retransmits: None, negotiated: None };
        let place = pair.with(0, |engine, cx| engine.open_channel(cx, spec)).unwrap();
        let open = |pair: &mut Pair| (0..2).all(|n| pair.seen[n].contains(&Event::Open(0, "chat".to_owned())));
        let time = pair.run_until(Duration::from_secs(10), open).unwrap();
        assert!(time <= Duration::from_millis(400), "{time:?}");
        assert!(pair.with(0, |engine, cx| engine.write(cx, place, false, b"hello")));
        pair.run_until(Duration::from_secs(10), |pair| pair.messages(1) == [b"hello"]).unwrap();
    }
}

#[test]
fn what_waits_is_bounded_and_room_comes_back() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = real();
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        pair.first_messages().unwrap();
        let packet = vec![7; 16 * 1024 + 64];
        let mut written = 0;
        while pair.with(0, |engine, _| engine.room()) >= packet.len() {
            assert!(pair.with(0, |engine, cx| engine.write(cx, BULK, true, &packet)));
            written += 1;
        }
        assert!((3..=12).contains(&written), "{written}");
        pair.peers[0].want_room();
        pair.run_until(Duration::from_secs(10), |pair| pair.seen[0].contains(&Event::Writable)).unwrap();
        let room = pair.with(0, |engine, _| engine.room());
        assert!(room >= packet.len(), "{room}");
        pair.run_until(Duration::from_secs(10), |pair| pair.messages(1).len() >= written).unwrap();
    }
}

#[test]
fn a_close_is_heard_by_the_other_side() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = real();
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        pair.first_messages().unwrap();
        pair.with(0, |engine, cx| engine.close(cx));
        pair.run_until(Duration::from_secs(10), |pair| pair.seen[1].contains(&Event::Over(Over::Closed))).unwrap();
    }
}

#[test]
fn datagrams_that_are_no_good_change_nothing() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = real();
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        pair.first_messages().unwrap();
        let (to, from) = (FIRST.parse().unwrap(), SECOND.parse().unwrap());
        for seed in 0..2_000 {
            let mut junk = vec![0; 1 + Rng::from_u64(seed).below(200) as usize];
            Rng::from_u64(seed).fill(&mut junk);
            junk[0] = [0, 1, 20, 22, 23, 25, 63, 128][seed as usize % 8];
            pair.with(0, |engine, cx| engine.receive(cx, to, from, None, &mut junk));
        }
        assert!(pair.with(1, |engine, cx| engine.write(cx, BULK, true, b"still here")));
        pair.run_until(Duration::from_secs(10), |pair| {
            pair.messages(0).last().is_some_and(|last| last == b"still here")
        })
        .unwrap();
    }
}

#[test]
fn a_held_channel_waits_and_others_pass() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = real();
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        pair.first_messages().unwrap();
        pair.run_until(Duration::from_secs(2), |pair| pair.is_up(0) && pair.is_up(1)).unwrap();
        pair.with(1, |engine, _| engine.hold(BULK, true));
        let before = pair.messages(1).len();
        for (channel, word) in [(BULK, b"later"), (QUICK, b"first")] {
            assert!(pair.with(0, |engine, cx| engine.write(cx, channel, true, word)));
        }
        pair.run_until(Duration::from_secs(2), |pair| pair.messages(1).len() > before).unwrap();
        pair.run_until(Duration::from_secs(1), |_| false);
        assert_eq!(pair.messages(1)[before..], [b"first".to_vec()], "{kinds:?}");
        pair.with(1, |engine, _| engine.hold(BULK, false));
        assert_eq!(pair.messages(1)[before + 1..], [b"later".to_vec()], "{kinds:?}");
    }
}

#[test]
fn what_was_written_before_a_close_is_taken_before_the_end_is_told() {
    let crypto = real();
    for kinds in MEETINGS.iter().copied().filter(|kinds| kinds[0] == EngineKind::Data) {
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        pair.first_messages().unwrap();
        pair.with(0, |engine, cx| {
            for word in [b"one", b"two"] {
                assert!(engine.write(cx, BULK, true, word));
            }
            engine.close(cx);
        });
        pair.run_until(Duration::from_secs(2), |pair| pair.seen[1].contains(&Event::Over(Over::Closed))).unwrap();
        assert_eq!(pair.messages(1)[pair.messages(1).len() - 2..], [b"one".to_vec(), b"two".to_vec()], "{kinds:?}");
    }
}

#[test]
fn a_bad_wire_loses_and_repeats_nothing_of_a_reliable_channel() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = real();
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        pair.first_messages().unwrap();
        pair.run_until(Duration::from_secs(2), |_| false);
        pair.loss = 0.03;
        let before = [0, 1].map(|n| pair.messages(n).len());
        let mut next = [0u32; 2];
        let filled = |number: u32| [number.to_be_bytes().to_vec(), vec![number as u8; number as usize * 37]].concat();
        pair.run_until(Duration::from_secs(120), |pair| {
            for n in [0, 1] {
                while next[n] < 200 && pair.with(n, |engine, _| engine.room()) >= 8_000 {
                    assert!(pair.with(n, |engine, cx| engine.write(cx, BULK, true, &filled(next[n]))));
                    next[n] += 1;
                }
            }
            (0..2).all(|n| pair.heard[n].len() - before[n] >= 200)
        })
        .unwrap_or_else(|| panic!("{kinds:?}"));
        for n in [0, 1] {
            let mut heard = pair.messages(n).split_off(before[n]);
            heard.sort_unstable_by_key(|message| u32::from_be_bytes(message[..4].try_into().unwrap()));
            assert!(heard == (0..200).map(filled).collect::<Vec<_>>(), "{kinds:?}: side {n}");
        }
    }
}

#[test]
fn channels_of_foreign_peers_close_from_both_sides() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = real();
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Foreign, 1);
        pair.connect();
        let spec = |label: &str| ChannelSpec {
            label: label.to_owned(),
            ordered: true,
            max_retransmits: None,
            negotiated: None,
        };
        let places = [0, 1].map(|n| pair.with(n, |engine, cx| engine.open_channel(cx, spec("own"))).unwrap());
        let opened = |pair: &Pair, n: usize| {
            pair.seen[n].iter().filter(|event| matches!(event, Event::Open(_, label) if label == "own")).count()
        };
        pair.run_until(Duration::from_secs(5), |pair| (0..2).all(|n| opened(pair, n) == 2)).unwrap();
        for n in [0, 1] {
            pair.with(n, |engine, cx| engine.close_channel(cx, places[n]));
        }
        let closed = |pair: &Pair, n: usize| {
            pair.seen[n].iter().filter(|event| matches!(event, Event::ChannelClosed(_))).count()
        };
        let time = pair.run_until(Duration::from_secs(5), |pair| (0..2).all(|n| closed(pair, n) == 2));
        time.unwrap_or_else(|| panic!("{kinds:?}: {:?}", pair.seen));
    }
}

#[test]
fn a_withdrawn_address_moves_the_peer_to_another_and_nothing_is_lost() {
    const OTHER: &str = "198.51.100.1:3000";
    let crypto = real();
    for kinds in MEETINGS.iter().copied().filter(|kinds| kinds[0] == EngineKind::Data) {
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        pair.first_messages().unwrap();
        let host = |address: &str| Candidate::new(CandidateKind::Host, address.parse().unwrap(), None);
        pair.with(0, |engine, cx| _ = engine.add_local(cx, &host(OTHER)));
        pair.with(1, |engine, cx| _ = engine.add_remote(cx, &host(OTHER)));
        pair.run_until(Duration::from_secs(2), |_| false);
        pair.with(0, |engine, cx| engine.remove_local(cx, &host(FIRST)));
        pair.wire.retain(|(_, _, sent, _)| sent.local != FIRST.parse().unwrap());
        assert_eq!(pair.peers[0].pair(), Some((OTHER.parse().unwrap(), SECOND.parse().unwrap())));
        assert!(pair.with(0, |engine, cx| engine.write(cx, BULK, true, b"from elsewhere")));
        let heard = |pair: &mut Pair| pair.messages(1).last().is_some_and(|last| last == b"from elsewhere");
        let time = pair.run_until(Duration::from_secs(5), heard).unwrap();
        assert!(time <= Duration::from_millis(100), "{kinds:?}: {time:?}");
    }
}

#[test]
fn small_messages_now_and_then_take_one_way_each() {
    for kinds in MEETINGS.iter().copied() {
        let crypto = real();
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        pair.first_messages().unwrap();
        pair.run_until(Duration::from_secs(1), |_| false);
        let mut longest = Duration::ZERO;
        for number in 0..200 {
            let before = [0, 1].map(|n| pair.messages(n).len());
            for n in [0, 1] {
                assert!(pair.with(n, |engine, cx| engine.write(cx, BULK, true, &[number; 64])));
            }
            let heard = |pair: &mut Pair| (0..2).all(|n| pair.heard[n].len() > before[n]);
            longest = longest.max(pair.run_until(Duration::from_secs(10), heard).unwrap());
            let pause = pair.now + Duration::from_millis(u64::from(number) % 7 * 20);
            pair.run_until(Duration::from_millis(u64::from(number) % 7 * 20), |_| false);
            pair.now = pair.now.max(pause);
        }
        assert!(longest <= Duration::from_millis(26), "{kinds:?}: {longest:?}");
    }
}

#[test]
fn a_larger_message_than_the_other_side_takes_is_not_sent() {
    let crypto = real();
    for kinds in MEETINGS.iter().copied() {
        // `str0m` has that bound of its own.
        let large = if kinds[0] == EngineKind::Data { (64 << 10) + 1 } else { 64 << 10 };
        for (takes, len, is_taken) in [
            (None, 64 << 10, true),
            (None, (64 << 10) + 1, false),
            (Some(1_000), 1_000, true),
            (Some(1_000), 1_001, false),
            (Some(0), large, true),
        ] {
            let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
            pair.takes[1] = takes;
            pair.first_messages().unwrap();
            let written = pair.with(0, |engine, cx| engine.write(cx, BULK, true, &vec![7; len]));
            assert_eq!(written, is_taken, "{kinds:?}, {takes:?}: {len} bytes");
        }
    }
}

#[test]
fn an_empty_message_is_sent_by_whoever_can() {
    let crypto = real();
    for kinds in MEETINGS.iter().copied() {
        let mut pair = Pair::new(kinds, [&crypto, &crypto], Partner::Own, 1);
        pair.first_messages().unwrap();
        let before = pair.messages(1).len();
        let written = pair.with(0, |engine, cx| engine.write(cx, BULK, true, b""));
        assert_eq!(written, kinds[0] == EngineKind::Data, "{kinds:?}");
        if kinds == [EngineKind::Data; 2] {
            pair.run_until(Duration::from_secs(1), |pair| pair.messages(1).len() > before).unwrap();
            assert_eq!(pair.messages(1)[before..], [Vec::<u8>::new()]);
        }
    }
}

#[test]
fn passwords_of_descriptions_are_not_shown() {
    let crypto = real();
    let pair = Pair::new([EngineKind::Data; 2], [&crypto, &crypto], Partner::Own, 1);
    let local = pair.peers[0].local();
    let shown = format!("{local:?} {:?} {:?}", Remote::from(local), pair.peers[0]);
    assert!(shown.contains(&local.ufrag) && !shown.contains(&local.password), "{shown}");
}
