//! What a session costs: messages from one to another in memory, on one core, sealed and not, against sealing alone.
//!
//! Both ends run on the same thread, so a figure holds accepting, packing, sealing, opening, unpacking, taking and
//! acknowledging.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::fs;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant as Clock};

use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::Session;
use switchboard::hub::session::event::{PathId, PathInfo};
use switchboard::link::noise::{Opener, Sealer, TAG};
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;
use switchboard::wire::session::SessionKey;

const PATH: PathId = PathId(0);
const CHANNEL: ChannelId = ChannelId(1);
const SLICE: Duration = Duration::from_millis(300);
const ROUNDS: usize = 7;

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        Pair::new(true).exchange(64, 1000);
        return;
    }
    for (name, sealed, size, batch) in [
        ("session-64B-unsealed", false, 64, 250),
        ("session-64B-sealed", true, 64, 250),
        ("session-64B-unpacked-sealed", true, 64, 1),
        ("session-256B-sealed", true, 256, 64),
        ("session-1KiB-sealed", true, 1024, 16),
        ("session-16KiB-unsealed", false, 16 * 1024, 8),
        ("session-16KiB-sealed", true, 16 * 1024, 8),
        ("session-256KiB-sealed", true, 256 * 1024, 1),
    ] {
        let mut pair = Pair::new(sealed);
        report(name, size, &mut || pair.exchange(size, batch));
    }
    against_sealing_alone();
}

/// In turns, so that what else the machine does falls on both.
fn against_sealing_alone() {
    let (mut pair, mut alone) = (Pair::new(true), Alone::new());
    let mut ratios: Vec<f64> =
        (0..ROUNDS).map(|_| rate(&mut || alone.exchange()) / rate(&mut || pair.exchange(16 * 1024, 8))).collect();
    ratios.sort_by(f64::total_cmp);
    report("sealing-alone-16KiB", 16 * 1024, &mut || alone.exchange());
    let [least, .., most] = ratios[..] else { return };
    println!(
        "session-16KiB-sealed takes {:.2} times the CPU of sealing alone [{least:.2}..{most:.2}]",
        ratios[ROUNDS / 2]
    );
}

/// Prints the median of some slices; `exchange` answers how many messages it moved.
fn report(name: &str, size: usize, exchange: &mut dyn FnMut() -> u64) {
    let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(exchange)).collect();
    rates.sort_by(f64::total_cmp);
    let rate = rates[ROUNDS / 2];
    let (nanos, megabytes) = (1e9 / rate, rate * size as f64 / 1e6);
    println!(
        "{name:<28} {rate:>12.0} messages/s  {nanos:>9.1} ns each  {megabytes:>7.0} MB/s  [{:.0}..{:.0}]",
        rates[0],
        rates[ROUNDS - 1]
    );
}

fn rate(exchange: &mut dyn FnMut() -> u64) -> f64 {
    let start = time();
    let mut messages = 0;
    loop {
        for _ in 0..64 {
            messages += exchange();
        }
        let time = time() - start;
        if time >= SLICE {
            return messages as f64 / time.as_secs_f64();
        }
    }
}

/// What this thread has used of a core, where Linux says it, so that others on it do not count; else the clock.
fn time() -> Duration {
    static START: OnceLock<Clock> = OnceLock::new();
    let used = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let used = used.and_then(|text| text.split(' ').next()?.parse().ok()).map(Duration::from_nanos);
    used.unwrap_or_else(|| START.get_or_init(Clock::now).elapsed())
}

struct Pair {
    ends: [Session; 2],
    now: Instant,
    packet: Vec<u8>,
    message: Vec<u8>,
}

impl Pair {
    fn new(sealed: bool) -> Self {
        let (limits, now) = (Limits::default(), Instant::from_nanos(1));
        let info = PathInfo { direct: true, lossy: false, private: !sealed, split: false };
        let ends = [true, false].map(|initiator| {
            let (ours, theirs) = if initiator { ([1; 32], [2; 32]) } else { ([2; 32], [1; 32]) };
            let keys = (Sealer::new(&ours), Opener::new(&theirs));
            let channels = vec![Channel::reliable("bench")];
            let mut session = Session::new(now, &limits, SessionKey([0; 16]), initiator, keys, channels);
            session.add_path(now, PATH, info);
            session
        });
        Self { ends, now, packet: Vec::new(), message: Vec::new() }
    }

    /// Sends a batch of messages from the first to the second and takes them there.
    fn exchange(&mut self, size: usize, batch: u64) -> u64 {
        self.message.resize(size, 7);
        self.now = self.now + Duration::from_micros(batch / 10 + 1);
        for _ in 0..batch {
            self.ends[0].send(self.now, CHANNEL, &self.message).expect("it is taken as fast");
        }
        let mut taken = 0;
        while self.move_packets(0) {
            while let Some((_, message)) = self.ends[1].recv() {
                black_box(message.as_slice());
                taken += 1;
            }
            self.move_packets(1);
        }
        for end in &mut self.ends {
            while end.poll_event().is_some() {}
            if end.deadline().is_some_and(|deadline| deadline.at <= self.now) {
                end.on_timeout(self.now);
            }
        }
        assert_eq!(taken, batch);
        taken
    }

    fn move_packets(&mut self, from: usize) -> bool {
        let mut any = false;
        while self.ends[from].pop_ready().is_some() {
            loop {
                self.packet.clear();
                if !self.ends[from].supply(self.now, PATH, &mut self.packet) {
                    break;
                }
                self.ends[1 - from].receive(self.now, PATH, &mut self.packet).expect("no rule is broken");
                any = true;
            }
        }
        any
    }
}

/// Sealing and opening without a session.
struct Alone {
    sealer: Sealer,
    opener: Opener,
    packet: Vec<u8>,
}

impl Alone {
    fn new() -> Self {
        Self { sealer: Sealer::new(&[1; 32]), opener: Opener::new(&[1; 32]), packet: vec![7; 16 * 1024 + TAG] }
    }

    fn exchange(&mut self) -> u64 {
        let (text, room) = self.packet.split_at_mut(16 * 1024);
        let (counter, tag) = self.sealer.seal(b"aad", text);
        room.copy_from_slice(&tag);
        let opened = self.opener.open(counter, b"aad", &mut self.packet);
        assert_eq!(opened, Ok(16 * 1024));
        1
    }
}
