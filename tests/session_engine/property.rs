//! Random traffic over random faults: what each kind of channel promises holds for every seed.

use std::collections::BTreeMap;
use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId, Reliability};
use switchboard::hub::session::event::{PathId, PathInfo, PathPolicy, SendError, SessionEvent, SessionStatistics};
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;

use super::net::{Counts, DIRECT, Net, PRIVATE, Quality, RELAYED, SPLIT};

const SEEDS: u64 = 100;

#[test]
fn every_channel_keeps_its_promise_whatever_happens_to_the_paths() {
    let seeds = option_env!("SESSION_SEEDS").and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let mut totals = BTreeMap::new();
    for seed in 0..seeds {
        let run = std::panic::catch_unwind(|| Scenario::new(seed).run());
        let counts = run.unwrap_or_else(|_| panic!("seed {seed} fails, as the lines above say"));
        for (name, count) in counts {
            let entry = totals.entry(name).or_insert((0u64, 0u64));
            *entry = (entry.0 + count, entry.1 + u64::from(count > 0));
        }
    }
    println!("{:<20} {:>10} {:>6} of {seeds} seeds", "what happened", "times", "in");
    for (name, (count, seeds)) in &totals {
        println!("{name:<20} {count:>10} {seeds:>6}");
    }
    for (name, (count, _)) in totals {
        assert!(count >= 50, "{name}: {count}");
    }
}

struct Scenario {
    net: Net,
    rng: Rng,
    channels: Vec<Channel>,
    /// What each end has sent on each channel, as hashes.
    sent: [Vec<Vec<u64>>; 2],
    cuts: u64,
    blocked: u64,
}

impl Scenario {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_u64(seed ^ 0x5e55);
        let limits = limits(&mut rng);
        let channels = channels(&mut rng);
        let mut net = Net::new(seed, &limits, &channels);
        let (info, quality) = random_path(&mut rng);
        net.first_path(info, quality);
        let sent = [vec![Vec::new(); channels.len()], vec![Vec::new(); channels.len()]];
        Self { net, rng, channels, sent, cuts: 0, blocked: 0 }
    }

    fn run(mut self) -> Vec<(&'static str, u64)> {
        for _ in 0..200 {
            self.act();
            let longest = if self.rng.chance(0.01) { 12_000 } else { 60 };
            let pause = Duration::from_millis(self.rng.below(longest));
            self.net.run_for(pause);
        }
        self.converge();
        self.check();
        self.part();
        self.counts()
    }

    fn act(&mut self) {
        match self.rng.below(24) {
            0 => self.cut(),
            1 | 2 => self.heal_one(),
            4 if self.net.wires.len() < 4 => self.open(),
            5 if self.rng.chance(0.3) => self.remove(),
            6 => self.net.reads[self.rng.below(2) as usize] ^= true,
            7 => self.change_policy(),
            _ => self.send_some(),
        }
    }

    fn send_some(&mut self) {
        let from = self.rng.below(2) as usize;
        for _ in 0..1 + self.rng.below(12) {
            let n = self.rng.below(self.channels.len() as u64) as usize;
            let message = self.message();
            let channel = ChannelId::declared(n);
            let now = self.net.now;
            match self.net.ends[from].send(now, channel, &message) {
                Ok(()) => self.sent[from][n].push(hash(&message)),
                Err(SendError::Blocked) => self.blocked += 1,
                Err(error) => panic!("{error}"),
            }
            if self.rng.chance(0.3) {
                self.net.settle();
            }
        }
        self.net.settle();
    }

    fn message(&mut self) -> Vec<u8> {
        let len = match self.rng.below(20) {
            0 => 0,
            1 => self.rng.below(300_000),
            2..=4 => self.rng.below(40_000),
            _ => self.rng.below(300),
        };
        let mut message = vec![0; len as usize];
        self.rng.fill(&mut message);
        message
    }

    fn cut(&mut self) {
        let Some(n) = self.any_wire() else { return };
        let directions = [[true, false], [false, true], [true, true]];
        self.net.wires[n].cut = directions[self.rng.below(3) as usize];
        self.cuts += 1;
    }

    fn heal_one(&mut self) {
        let Some(n) = self.any_wire() else { return };
        let id = self.net.wires[n].id;
        self.net.heal(id);
    }

    fn open(&mut self) {
        let end = self.rng.below(2) as usize;
        let (info, quality) = random_path(&mut self.rng);
        self.net.open_path(end, info, quality);
    }

    fn remove(&mut self) {
        let Some(n) = self.any_wire() else { return };
        let id = self.net.wires[n].id;
        self.net.remove(id);
    }

    fn change_policy(&mut self) {
        let policies = [PathPolicy::PreferDirect, PathPolicy::RelayOnly, PathPolicy::DirectOnly];
        let policy = policies[self.rng.below(3) as usize];
        let now = self.net.now;
        self.net.ends[self.rng.below(2) as usize].set_policy(now, policy);
        self.net.settle();
    }

    fn any_wire(&mut self) -> Option<usize> {
        let wires = self.net.wires.len() as u64;
        (wires > 0).then(|| self.rng.below(wires) as usize)
    }

    /// All faults end; within a minute everything has arrived.
    fn converge(&mut self) {
        let now = self.net.now;
        self.net.ends.iter_mut().for_each(|end| end.set_policy(now, PathPolicy::PreferDirect));
        self.net.reads = [true; 2];
        let ids: Vec<PathId> = self.net.wires.iter().map(|wire| wire.id).collect();
        ids.into_iter().for_each(|id| self.net.heal(id));
        self.net.wires.iter_mut().for_each(|wire| wire.quality.loss /= 4.0);
        self.net.settle();
        if self.net.wires.len() < 2 || self.net.ends.iter().any(|end| end.path().is_none()) {
            self.net.open_path(0, RELAYED, Quality::clean(20));
        }
        let until = self.net.now + Duration::from_secs(60);
        let expected: Vec<_> = self.reliable_counts();
        let is_complete = |net: &Net| expected.iter().all(|(end, id, count)| arrived(net, *end, *id) >= *count);
        if !self.net.run_until(until, is_complete) {
            for (end, id, count) in &expected {
                println!("{id} to {end}: {} of {count}", arrived(&self.net, *end, *id));
            }
            println!("{:#?}", self.net.ends);
            panic!("not all has arrived");
        }
        self.net.run_for(Duration::from_secs(1));
    }

    fn reliable_counts(&self) -> Vec<(usize, ChannelId, usize)> {
        let reliable = |n: &usize| self.channels[*n].is_reliable();
        let of_end = |end: usize| {
            let channels = (0..self.channels.len()).filter(reliable);
            channels.map(move |n| (1 - end, ChannelId::declared(n), self.sent[end][n].len()))
        };
        of_end(0).chain(of_end(1)).collect()
    }

    fn check(&self) {
        for from in 0..2 {
            for (n, channel) in self.channels.iter().enumerate() {
                let id = ChannelId::declared(n);
                let received = self.net.received[1 - from].iter().filter(|(_, channel, _)| *channel == id);
                let received: Vec<_> = received.map(|(_, _, message)| hash(message)).collect();
                check_channel(channel, &self.sent[from][n], &received);
            }
        }
    }

    /// Both close, and both hear that everything has arrived.
    fn part(&mut self) {
        let now = self.net.now;
        self.net.ends[0].close(now, 1, "done");
        if self.rng.chance(0.5) {
            self.net.ends[1].close(now, 2, "done too");
        }
        let closed = |net: &Net| net.events.iter().all(|events| events.iter().any(|(_, event)| is_closed(event)));
        let until = self.net.now + Duration::from_secs(30);
        assert!(self.net.run_until(until, closed), "{:#?}", self.net.ends);
        assert!(self.net.ends.iter().all(|end| end.deadline().is_none()));
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let Counts { packets, dropped, repeated, reordered, closed_paths } = self.net.counts;
        let both =
            |count: fn(&SessionStatistics) -> u64| self.net.ends.iter().map(|end| count(&end.statistics())).sum();
        let split = |lane: usize| {
            self.net.wires.iter().filter(|wire| wire.info.split).map(|wire| wire.carried[lane] as u64).sum()
        };
        vec![
            ("packets", packets),
            ("packets by bulk", split(0)),
            ("packets by quick", split(1)),
            ("dropped", dropped),
            ("repeated", repeated),
            ("reordered", reordered),
            ("paths cut", self.cuts),
            ("paths closed", closed_paths),
            ("sends blocked", self.blocked),
            ("messages", both(|s| s.messages_received)),
            ("path changes", both(|s| s.path_changes)),
            ("disconnects", both(|s| s.disconnects)),
            ("suspicions", both(|s| s.suspicions)),
            ("runs lost", both(|s| s.lost)),
            ("runs resent", both(|s| s.runs_resent)),
            ("runs abandoned", both(|s| s.abandoned)),
            ("runs dropped", both(|s| s.dropped)),
            ("duplicates", both(|s| s.duplicates)),
            ("probes", both(|s| s.probes)),
        ]
    }
}

fn is_closed(event: &SessionEvent) -> bool {
    matches!(event, SessionEvent::Closed(_))
}

fn arrived(net: &Net, end: usize, id: ChannelId) -> usize {
    net.received[end].iter().filter(|(_, channel, _)| *channel == id).count()
}

fn check_channel(channel: &Channel, sent: &[u64], received: &[u64]) {
    if channel.ordered {
        let mut rest = sent.iter();
        for message in received {
            assert!(rest.any(|other| other == message), "{channel:?}: out of order, repeated or never sent");
        }
    }
    let mut counts: BTreeMap<u64, i64> = BTreeMap::new();
    sent.iter().for_each(|message| *counts.entry(*message).or_default() += 1);
    for message in received {
        let count = counts.entry(*message).or_default();
        *count -= 1;
        assert!(*count >= 0, "{channel:?}: repeated or never sent");
    }
    assert!(!channel.is_reliable() || sent.len() == received.len(), "{channel:?}: lost");
}

fn limits(rng: &mut Rng) -> Limits {
    let mut limits = Limits::default();
    if rng.chance(0.5) {
        limits.session_receive = 20_000 + rng.below(200_000) as usize;
    }
    if rng.chance(0.5) {
        limits.session_send = 20_000 + rng.below(400_000) as usize;
    }
    limits
}

fn channels(rng: &mut Rng) -> Vec<Channel> {
    let retransmits = Reliability::MaxRetransmits(rng.below(3) as u16);
    let lifetime = Reliability::MaxLifetime(Duration::from_millis(20 + rng.below(300)));
    let named = |name: &str, reliability| Channel::reliable(name).with(reliability);
    let mut channels = vec![
        named("a", Reliability::Reliable),
        named("b", Reliability::Reliable).unordered(),
        named("c", retransmits),
        named("d", retransmits).unordered(),
        named("e", lifetime),
        named("f", lifetime).unordered(),
    ];
    channels.iter_mut().for_each(|channel| channel.priority = rng.below(3) as u8);
    channels
}

fn random_path(rng: &mut Rng) -> (PathInfo, Quality) {
    let info = [RELAYED, RELAYED, DIRECT, PRIVATE, SPLIT, SPLIT][rng.below(6) as usize];
    let part = |rng: &mut Rng, most: f64| if rng.chance(0.5) { 0.0 } else { rng.below(100) as f64 / 100.0 * most };
    let quality = Quality {
        delay: Duration::from_millis(1 + rng.below(80)),
        loss: part(rng, 0.05),
        repeat: part(rng, 0.05),
        reorder: part(rng, 0.1),
    };
    (info, quality)
}

/// FNV-1a.
fn hash(message: &[u8]) -> u64 {
    message.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
