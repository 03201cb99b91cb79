//! What a world is made of and what happens in it, from a seed.

use std::fmt;
use std::time::Duration;

use switchboard::hub::PathPolicy;
use switchboard::hub::channel::{Channel, Reliability};
use switchboard::machine::rng::Rng;

/// Kinds of channels.
pub(super) const KINDS: usize = 6;

/// One of the two endpoints: A opens the sessions, B accepts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    A,
    B,
}

impl End {
    pub(super) const BOTH: [Self; 2] = [Self::A, Self::B];

    pub(super) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// What lies between two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    ToRelay(End, usize),
    Direct,
}

impl Line {
    pub(super) const ALL: [Self; 5] = [
        Self::ToRelay(End::A, 0),
        Self::ToRelay(End::B, 0),
        Self::ToRelay(End::A, 1),
        Self::ToRelay(End::B, 1),
        Self::Direct,
    ];

    pub(super) fn touches(self, end: End) -> bool {
        match self {
            Self::ToRelay(of, _) => of == end,
            Self::Direct => true,
        }
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Pass(Duration),
    Send {
        from: End,
        channel: usize,
        count: usize,
        size: usize,
    },
    Cut(Line),
    Heal(Line),
    /// All lines of one end are cut for that long.
    Outage(End, Duration),
    /// An end sends the neighbour of one of its links away.
    Dismiss(End, usize),
    /// An application takes nothing for that long, while the other one sends more than is granted.
    Stall(End, Duration),
    Wish(End, PathPolicy),
    KillRelay(usize),
    RebootRelay(usize),
    Restart(End),
}

/// Everything about one world.
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Which ends have a second transport, by WebSocket, to the first relay.
    pub(super) twice: [bool; 2],
    pub(super) second_relay: bool,
    pub(super) direct: bool,
    /// What the relays pass on for each key, in bytes per second.
    pub(super) quota: Option<u64>,
    /// What may wait for one link of a relay, in bytes.
    pub(super) forward: usize,
    /// How fast the lines to B are, in bytes per second.
    pub(super) rate: Option<u64>,
    pub(super) delay: Duration,
    pub(super) channels: Vec<Channel>,
    pub(super) steps: Vec<Step>,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Rng::from_u64(seed ^ 0x5eed);
        let slow = dice.chance(0.35);
        Self {
            seed,
            twice: [dice.chance(0.4), dice.chance(0.4)],
            second_relay: dice.chance(0.5),
            direct: dice.chance(0.4),
            quota: dice.chance(0.35).then(|| 40_000 + dice.below(100_000)),
            forward: if slow { 24 * 1024 + dice.below(16 * 1024) as usize } else { 1024 * 1024 },
            rate: slow.then(|| 150_000 + dice.below(250_000)),
            delay: millis(&mut dice, 1, 40),
            channels: channels(&mut dice),
            steps: (0..20 + dice.below(20)).flat_map(|_| steps(&mut dice)).collect(),
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, twice, second_relay, direct, quota, forward, rate, delay, channels, .. } = self;
        write!(f, "seed {seed}: twice {twice:?}, second relay {second_relay}, direct {direct}, quota {quota:?}, ")?;
        write!(f, "forward {forward}, rate {rate:?}, delay {delay:?}, {channels:?}")
    }
}

fn millis(dice: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(least + dice.below(most - least))
}

fn channels(dice: &mut Rng) -> Vec<Channel> {
    let times = Reliability::MaxRetransmits(dice.below(4) as u16);
    let time = Reliability::MaxLifetime(millis(dice, 30, 400));
    let kinds = [Reliability::Reliable, times, time].into_iter().enumerate();
    let both = kinds.flat_map(|(n, reliability)| {
        let ordered = Channel::reliable(&format!("ordered {n}")).with(reliability);
        let unordered = Channel::reliable(&format!("unordered {n}")).with(reliability).unordered();
        [ordered, unordered]
    });
    both.map(|channel| channel.priority(dice.below(3) as u8)).collect()
}

/// One or two things that belong together, and some time.
fn steps(dice: &mut Rng) -> Vec<Step> {
    let (line, end) = (Line::ALL[dice.below(5) as usize], End::BOTH[dice.below(2) as usize]);
    let relay = dice.below(2) as usize;
    let pass = Step::Pass(millis(dice, 1, 800));
    let what = match dice.below(100) {
        0..48 => vec![send(dice, end), send(dice, end.other())],
        48..58 => vec![Step::Cut(line), pass, send(dice, end)],
        58..68 => vec![Step::Heal(line)],
        68..73 => vec![send(dice, end), Step::Outage(end, millis(dice, 100, 9_000))],
        73..79 => vec![send(dice, end), Step::Dismiss(end, dice.below(3) as usize)],
        79..84 => vec![flood(dice, end.other()), Step::Stall(end, millis(dice, 50, 3_000))],
        84..89 => vec![Step::Wish(end, wish(dice))],
        89..94 => vec![send(dice, end), Step::KillRelay(relay), pass],
        94..98 => vec![send(dice, end), Step::RebootRelay(relay)],
        _ => vec![send(dice, end), send(dice, end.other()), Step::Restart(end)],
    };
    what.into_iter().chain([pass]).collect()
}

fn send(dice: &mut Rng, from: End) -> Step {
    let channel = dice.below(KINDS as u64) as usize;
    let (count, size) = match dice.below(10) {
        0..6 => (1 + dice.below(60), 10 + dice.below(200)),
        6..9 => (1 + dice.below(20), 10 + dice.below(3_000)),
        _ => (1 + dice.below(2), 10 + dice.below(60_000)),
    };
    Step::Send { from, channel, count: count as usize, size: size as usize }
}

/// More than a receiver grants.
fn flood(dice: &mut Rng, from: End) -> Step {
    Step::Send { from, channel: dice.below(2) as usize, count: 60, size: 2_000 + dice.below(2_000) as usize }
}

fn wish(dice: &mut Rng) -> PathPolicy {
    match dice.below(5) {
        0..2 => PathPolicy::RelayOnly,
        2 => PathPolicy::DirectOnly,
        _ => PathPolicy::PreferDirect,
    }
}
