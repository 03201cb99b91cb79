//! Two ends and the link between them.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use dimpl::crypto::aws_lc_rs::default_provider;

use super::super::{Context, Dtls, Event, Provider, Version};
use crate::machine::rng::Rng;
use crate::machine::time::{Epoch, Instant};

/// The way from one end to the other.
const WAY: Duration = Duration::from_millis(25);

/// Contexts of both ends.
pub(super) static CONTEXTS: LazyLock<[Context; 2]> = LazyLock::new(|| {
    let provider = Provider::new(&default_provider()).unwrap();
    [context(provider.clone()), context(provider)]
});

#[allow(clippy::disallowed_methods)]
pub(super) fn context(provider: Provider) -> Context {
    static EPOCH: LazyLock<Epoch> = LazyLock::new(|| Epoch::new(std::time::Instant::now(), Duration::ZERO));
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    Context::new(provider, certificate.der().to_vec(), key.serialize_der(), *EPOCH).unwrap()
}

type Mutate = Box<dyn FnMut(&mut Vec<u8>)>;

/// Two ends: 0 is the client.
pub(super) struct Pair {
    pub(super) ends: [Dtls; 2],
    pub(super) now: Instant,
    /// What was delivered to each.
    pub(super) received: [Vec<Vec<u8>>; 2],
    pub(super) events: [Vec<Event>; 2],
    /// How many datagrams each has sent.
    pub(super) sent: [usize; 2],
    under_way: BTreeMap<(Instant, usize), (usize, Vec<u8>)>,
    /// Bytes of all datagrams.
    pub(super) wire: Vec<Vec<u8>>,
    /// Changes datagrams under way.
    pub(super) mutate: Option<Mutate>,
    /// Delays each datagram by up to 40 ms, and repeats some.
    pub(super) jitter: Option<Rng>,
}

impl Pair {
    pub(super) fn new(versions: [Version; 2]) -> Self {
        Self::between([&CONTEXTS[0], &CONTEXTS[1]], versions, [None; 2])
    }

    pub(super) fn between(contexts: [&Context; 2], versions: [Version; 2], seeds: [Option<u64>; 2]) -> Self {
        let end = |n: usize| {
            let fingerprint = contexts[1 - n].fingerprint();
            Dtls::new(contexts[n], Instant::ZERO, versions[n], n == 0, fingerprint, seeds[n])
        };
        Self::of([end(0), end(1)])
    }

    /// One end was told another certificate.
    pub(super) fn cheated(version: Version, cheated: usize) -> Self {
        let end = |n: usize| {
            let told = CONTEXTS[if n == cheated { n } else { 1 - n }].fingerprint();
            Dtls::new(&CONTEXTS[n], Instant::ZERO, version, n == 0, told, None)
        };
        Self::of([end(0), end(1)])
    }

    fn of(ends: [Dtls; 2]) -> Self {
        Self {
            ends,
            now: Instant::ZERO,
            received: Default::default(),
            events: Default::default(),
            sent: [0; 2],
            under_way: BTreeMap::new(),
            wire: Vec::new(),
            mutate: None,
            jitter: None,
        }
    }

    /// A connected pair whose ends have both taken over.
    pub(super) fn established(version: Version) -> Self {
        let mut pair = Self::new([version; 2]);
        pair.run(Duration::from_secs(1), |_, _| false);
        assert!(pair.ends.iter().all(Dtls::has_own_records), "{version:?}: {:?}", pair.events);
        pair
    }

    /// Lets both ends talk: each says something every 50 ms. `lose` decides over the n-th datagram of an end.
    pub(super) fn run(&mut self, long: Duration, mut lose: impl FnMut(usize, usize) -> bool) {
        let end = self.now + long;
        let (mut talk, mut stuck) = (self.now, 0);
        loop {
            self.flush(&mut lose);
            let arrival = self.under_way.keys().next().map(|(at, _)| *at);
            let timer = self.ends.iter().filter_map(|end| end.deadline()).map(|deadline| deadline.at).min();
            let next = [arrival, timer, Some(talk)].into_iter().flatten().min().unwrap().max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            stuck = if next == self.now { stuck + 1 } else { 0 };
            assert!(stuck < 100, "a deadline stands: {:?}, {:?}", self.ends, self.ends.each_ref().map(Dtls::deadline));
            self.now = next;
            self.ends
                .iter_mut()
                .filter(|end| end.deadline().is_some_and(|deadline| deadline.at <= next))
                .for_each(|end| end.on_timeout(next));
            self.arrive();
            if talk <= self.now {
                self.talk(&mut lose);
                talk = self.now + Duration::from_millis(50);
            }
        }
    }

    /// Runs until nothing is under way, and says nothing.
    pub(super) fn settle(&mut self) {
        loop {
            self.flush(&mut |_, _| false);
            let Some(((at, _), _)) = self.under_way.first_key_value() else { return };
            self.now = *at;
            self.arrive();
        }
    }

    fn arrive(&mut self) {
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, mut datagram) = entry.remove();
            self.give(to, &mut datagram);
        }
    }

    /// Gives a datagram to an end.
    pub(super) fn give(&mut self, to: usize, datagram: &mut [u8]) {
        let received = &mut self.received[to];
        self.ends[to].receive(self.now, datagram, |data| received.push(data.to_vec()));
        self.events[to].extend(std::iter::from_fn(|| self.ends[to].poll_event()));
    }

    fn flush(&mut self, lose: &mut impl FnMut(usize, usize) -> bool) {
        for from in 0..2 {
            let mut datagram = Vec::new();
            while self.ends[from].fill(self.now, &mut datagram) {
                self.send(from, std::mem::take(&mut datagram), lose);
            }
            assert!(datagram.is_empty());
            self.events[from].extend(std::iter::from_fn(|| self.ends[from].poll_event()));
        }
    }

    fn talk(&mut self, lose: &mut impl FnMut(usize, usize) -> bool) {
        for from in 0..2 {
            if let Some(datagram) = self.say(from, b"something") {
                self.send(from, datagram, lose);
            }
        }
    }

    /// Seals a datagram.
    pub(super) fn say(&mut self, from: usize, text: &[u8]) -> Option<Vec<u8>> {
        let mut datagram = Vec::new();
        let start = self.ends[from].begin(&mut datagram);
        datagram.extend_from_slice(text);
        self.ends[from].seal(self.now, &mut datagram, start).then_some(datagram)
    }

    fn send(&mut self, from: usize, mut datagram: Vec<u8>, lose: &mut impl FnMut(usize, usize) -> bool) {
        let number = self.sent[from];
        self.sent[from] += 1;
        self.wire.push(datagram.clone());
        self.mutate.iter_mut().for_each(|mutate| mutate(&mut datagram));
        if let Some(rng) = &mut self.jitter {
            let late = self.now + WAY + Duration::from_millis(rng.below(40));
            self.under_way.insert((late, self.sent[0] + self.sent[1]), (1 - from, datagram.clone()));
        }
        if self.jitter.as_mut().is_none_or(|rng| rng.chance(0.2)) && !lose(from, number) {
            self.under_way.insert((self.now + WAY, self.sent[0] + self.sent[1]), (1 - from, datagram));
        }
    }
}
