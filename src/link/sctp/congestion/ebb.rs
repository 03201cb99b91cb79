//! Ebb: full on lossy paths, short queues, even with CUBIC.
//!
//! A law of the window, not of the rate. While nobody else fills the bottleneck's queue, the flow lets it rise to a
//! threshold and then drains it, hence the name; beside others it is CUBIC.
//!
//! # How it works
//!
//! *The queue* is what a round trip takes longer than the least one of the last minute ([`delay`]). It is *high* near the
//! greatest height of the last 20 seconds.
//!
//! *Losses* are congestion only while the queue is high, and only where there are more of them in a round than the random
//! losses learned at low queue explain; or where there are so many that nothing explains them ([`losses`]). All others are
//! only repeated.
//!
//! *Drains.* On reaching a threshold of 0.45 least round-trip times, and after congestion, the window falls to 0.9 of the
//! flow's own share of the pipe, for about one round trip ([`drain`]). That is a test for company:
//!
//! - If the queue vanishes, all who fill it behave alike, so the flow is *alone*. The window goes back to the flow's share
//!   and climbs by a function of time only ([`growth`]). As this is the same for all flows, they become equal.
//! - If it stays, somebody else fills it. The window is restored, and after two such tests in a row, or one that a loss
//!   began, the flow *competes*: it is CUBIC until a later drain finds it alone.
//!
//! Flows of this kind see the same queue, drain in the same instant, and so recognise each other. One that competes drains
//! on its own account only after 15 seconds without losses, and joins the deep drain of another when it sees one.
//!
//! *Startup* lets the window grow by what is acknowledged, up to twice the measured pipe. It ends early, at half the
//! threshold, with a drain, so that a newcomer costs the others no losses; or where the rate has stopped growing. It never
//! paces below the first window per round trip: who says little at first has measured nothing but itself.
//!
//! *Pacing* is 1.5 windows per round trip, in drains too: the window does the draining. A flow that competes paces loosely,
//! for flows clocked by acknowledgements send into the very gap that they have left in the queue, and who doesn't bears
//! their losses: at 1.05 its share beside CUBIC is 38 % where it is 48 % at 2.
//!
//! *Bursts.* Acknowledgements may come in bursts, as radio links send them. The gaps between them widen the filter of the
//! queue and the idea of the pipe. They are learned while nothing drains, so a queue that seems to be back within six round
//! trips from a drain that emptied it is not believed.
//!
//! *Silence.* After a pause of a second the window is at most what the pipe is known to hold. A single timeout changes
//! nothing, for it is a probe; the third in a row starts anew. Another path starts anew at once.
//!
//! # Where it is weak
//!
//! In queues of less than half a bandwidth-delay product the drain empties the queue whoever else is there: Ebb takes more
//! than its half beside CUBIC. Who joins late has less than its half for a minute where queues are deep, as with CUBIC.
//! Beside Reno with deep queues it takes nearly as much as CUBIC would. Where a path becomes longer for good without
//! anybody's telling, the old least round-trip time is believed for a minute: the path is full after some seconds, but its
//! queue is as long as CUBIC's.

mod delay;
mod drain;
mod growth;
mod losses;
mod rate;

use super::curve::BETA;
use super::episode::Episode;
use super::fullness::Fullness;
use super::{Ack, CongestionCounters, IDLE, MOST_WINDOW};
use crate::machine::time::Instant;
use delay::Delay;
use drain::{Drain, Verdict};
use growth::Growth;
use losses::Losses;
use rate::Rate;
use std::time::Duration;

/// The first window, in packets.
const INITIAL: f64 = 14.0;
/// The least window, in packets.
const LEAST: f64 = 4.0;
/// Startup's window in pipes.
const STARTUP_WINDOW: f64 = 2.0;
/// Startup's pacing rate in delivery rates (2 / ln 2).
const STARTUP_RATE: f64 = 2.885;
/// The pacing rate in windows per round trip.
const RATE: f64 = 1.5;
/// The same beside others: little more than a bound on bursts, for who paces beside flows that don't bears the losses.
const COMPETING_RATE: f64 = 2.0;
/// What a drain leaves of the pipe.
const DRAINED: f64 = 0.9;
/// The share of random losses from which on half a window is not given up.
const LOSSY: f64 = 0.003;
/// Round trips in which a queue that has vanished does not come back: what seems so are bursts of acknowledgements.
const RISE: f64 = 6.0;
/// Losses so long ago don't slow the climb.
const LOSS_MEMORY: Duration = Duration::from_secs(4);
/// A flow that competes looks for the end of the competition after so long without losses and tests.
const TEST_EVERY: Duration = Duration::from_secs(15);
/// How long after joining a drain in vain another may be joined, doubled with each up to sixteen times.
const JOIN_EVERY: Duration = Duration::from_secs(2);
/// The timeout in a row that starts anew.
const LAST_TIMEOUT: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Looking for the size of the pipe.
    Startup,
    /// Alone, or thought to be.
    Delay,
    /// Beside others that fill the queue.
    Compete,
}

#[derive(Debug)]
pub(in super::super) struct Ebb {
    packet: f64,
    mode: Mode,
    /// The window but for drains.
    window: f64,
    drain: Option<Drain>,
    delay: Delay,
    rate: Rate,
    losses: Losses,
    growth: Growth,
    episode: Episode,
    fullness: Fullness,
    /// The window before the latest reduction.
    before: f64,
    /// Drains in a row that did not empty the queue.
    fails: u32,
    last: Instant,
    last_loss: Option<Instant>,
    last_test: Instant,
    joins: u32,
    last_join: Option<Instant>,
    timeouts: u32,
    counters: CongestionCounters,
}

impl Ebb {
    pub(super) fn new(packet: f64) -> Self {
        Self {
            packet,
            mode: Mode::Startup,
            window: INITIAL * packet,
            drain: None,
            delay: Delay::new(),
            rate: Rate::new(),
            losses: Losses::new(),
            growth: Growth::new(),
            episode: Episode::default(),
            fullness: Fullness::new(),
            before: 0.0,
            fails: 0,
            last: Instant::ZERO,
            last_loss: None,
            last_test: Instant::ZERO,
            joins: 0,
            last_join: None,
            timeouts: 0,
            counters: CongestionCounters::default(),
        }
    }

    pub(super) fn on_ack(&mut self, ack: &Ack) {
        let ack = Ack { now: self.last.max(ack.now), ..*ack };
        let pause = ack.now.since(self.last);
        self.last = ack.now;
        self.timeouts = 0;
        self.delay.on_ack(ack.now, pause, ack.seconds(), self.is_steady(ack.now));
        self.losses.on_acked(ack.acked_within(MOST_WINDOW) / self.packet, self.delay.is_high());
        let is_full = self.fullness.on_ack(&ack, self.window, self.packet);
        if self.rate.on_ack(&ack, self.drain.is_some()) {
            self.end_round(ack.now, is_full);
        }
        match &mut self.drain {
            Some(drain) => {
                if let Some(verdict) = drain.on_ack(&ack, &self.delay, self.packet) {
                    self.settle(ack.now, verdict);
                }
            }
            None => self.look_for_drain(ack.now),
        }
        self.grow(&ack, pause, is_full);
    }

    /// Whether silence between acknowledgements tells how they are sent: not around a drain, which makes silence itself.
    fn is_steady(&self, now: Instant) -> bool {
        self.drain.is_none() && now.since(self.last_test).as_secs_f64() > 2.0 * self.delay.smoothed()
    }

    fn end_round(&mut self, now: Instant, is_full: bool) {
        if self.drain.is_none() && is_full && self.delay.was_empty() {
            self.growth.on_empty_round(now, self.window, self.mode == Mode::Delay);
        }
        self.losses.end_round();
        self.delay.end_round();
    }

    fn look_for_drain(&mut self, now: Instant) {
        let is_due = match self.mode {
            Mode::Startup => self.is_risen(now, 0.5) || self.rate.is_full(),
            Mode::Delay => self.is_risen(now, 1.0 + 0.5 * f64::from(self.fails)),
            Mode::Compete => self.is_test_due(now) || self.joins_drain(now),
        };
        if is_due {
            self.start_drain(now, false);
        }
    }

    /// Whether the queue has reached so many thresholds, long enough after the last test.
    fn is_risen(&self, now: Instant, thresholds: f64) -> bool {
        let pause = if self.mode == Mode::Delay && self.fails == 0 { RISE } else { 1.0 };
        self.delay.queue() > thresholds * self.delay.threshold()
            && now.since(self.last_test).as_secs_f64() > pause * self.delay.smoothed()
    }

    fn is_test_due(&self, now: Instant) -> bool {
        let is_quiet = |last: Instant| now.since(last) >= TEST_EVERY;
        is_quiet(self.last_test) && self.last_loss.is_none_or(is_quiet) && self.delay.is_worth_a_test()
    }

    /// Whether somebody else drains the queue deeply; says so at most once in a while.
    fn joins_drain(&mut self, now: Instant) -> bool {
        let since_test = now.since(self.last_test).as_secs_f64();
        let wait = JOIN_EVERY * (1 << self.joins.min(4));
        let may_join = since_test > 3.0 * self.delay.smoothed()
            && self.last_join.is_none_or(|last| now.since(last) > wait)
            && self.delay.is_falling();
        if may_join {
            self.last_join = Some(now);
            self.joins += 1;
        }
        may_join
    }

    fn start_drain(&mut self, now: Instant, is_by_loss: bool) {
        self.last_test = now;
        let target = (DRAINED * self.pipe()).max(LEAST * self.packet).min(self.window);
        self.drain = Some(Drain::new(now, target, self.window, self.delay.queue(), is_by_loss));
    }

    /// The flow's own share of the pipe, in bytes.
    fn pipe(&self) -> f64 {
        self.rate.recent() * self.delay.least()
    }

    fn settle(&mut self, now: Instant, verdict: Verdict) {
        let Some(drain) = self.drain.take() else { return };
        self.last_test = now;
        match verdict {
            Verdict::Alone => self.settle_alone(now, &drain),
            Verdict::InCompany => self.settle_in_company(&drain),
        }
        self.window = self.window.max(LEAST * self.packet);
    }

    fn settle_alone(&mut self, now: Instant, drain: &Drain) {
        self.counters.verdicts_alone += 1;
        let pipe = drain.target / DRAINED * self.delay.allowance_for_bursts();
        let plateau = match self.mode {
            Mode::Startup => pipe * (1.0 + self.delay.threshold() / self.delay.least()),
            Mode::Delay | Mode::Compete => drain.saved,
        };
        self.window = self.window_alone(drain, pipe);
        let is_quick = !drain.is_by_loss && self.last_loss.is_none_or(|last| now.since(last) >= LOSS_MEMORY);
        self.growth.begin(self.window, plateau, is_quick);
        self.mode = Mode::Delay;
        self.fails = 0;
        self.joins = 0;
    }

    fn window_alone(&self, drain: &Drain, pipe: f64) -> f64 {
        let reduced = BETA * drain.saved;
        match drain.is_by_loss {
            true if self.losses.chance() < LOSSY => reduced,
            true => drain.saved.min(pipe.max(reduced)),
            false => drain.saved.min(pipe),
        }
    }

    fn settle_in_company(&mut self, drain: &Drain) {
        self.counters.verdicts_in_company += 1;
        self.fails = self.fails.saturating_add(1);
        self.window = drain.saved;
        match self.mode {
            _ if drain.is_by_loss => {
                self.compete();
                self.window = BETA * drain.saved;
                self.growth.compete_after_loss(drain.began, drain.saved, self.window, self.packet);
            }
            Mode::Compete => {}
            Mode::Startup => {
                self.mode = Mode::Delay;
                self.growth.begin(self.window, self.window, false);
            }
            Mode::Delay => {
                self.growth.slow_down(self.window);
                if self.fails >= 2 {
                    self.compete();
                }
            }
        }
    }

    fn compete(&mut self) {
        self.counters.competitions += u64::from(self.mode != Mode::Compete);
        self.mode = Mode::Compete;
    }

    fn grow(&mut self, ack: &Ack, pause: Duration, is_full: bool) {
        let may_grow = self.drain.is_none() && !self.episode.covers(ack.top);
        if !(may_grow && is_full) {
            if ack.is_app_limited {
                self.growth.rest(pause);
            }
            return;
        }
        let acked = ack.acked_within(self.window);
        self.window = match self.mode {
            Mode::Startup => {
                let most = (STARTUP_WINDOW * self.rate.best() * self.delay.least()).max(INITIAL * self.packet);
                self.window.max(most.min(self.window + acked))
            }
            Mode::Delay | Mode::Compete => {
                self.growth.grow(ack.now, self.window, acked, self.delay.smoothed(), self.packet)
            }
        };
        self.window = self.window.min(MOST_WINDOW);
    }

    pub(super) fn on_lost(&mut self, now: Instant, number: u64, next: u64) {
        let is_high = self.delay.is_high();
        self.losses.count(is_high);
        if self.episode.covers(number) {
            self.counters.congestion_losses += 1;
            self.episode.add();
        } else if self.losses.are_congestion(is_high, self.window / self.packet) {
            self.counters.congestion_losses += 1;
            self.before = self.window;
            self.episode.begin(next);
            self.reduce(now);
        } else {
            self.counters.random_losses += 1;
        }
    }

    /// Congestion: a drain decides what of the window remains.
    fn reduce(&mut self, now: Instant) {
        self.counters.reductions += 1;
        self.last_loss = Some(now);
        match &mut self.drain {
            Some(drain) => drain.is_by_loss = true,
            None => {
                self.compete();
                self.start_drain(now, true);
            }
        }
    }

    pub(super) fn on_spurious(&mut self, number: u64) {
        self.counters.spurious += 1;
        self.losses.take_back();
        if self.episode.take_back(number) {
            match &mut self.drain {
                Some(drain) => drain.is_by_loss = false,
                None => self.window = self.window.max(self.before),
            }
        }
    }

    pub(super) fn on_timeout(&mut self, _now: Instant, _next: u64) {
        self.counters.timeouts += 1;
        self.timeouts = self.timeouts.saturating_add(1);
        if self.timeouts == LAST_TIMEOUT {
            self.mode = Mode::Startup;
            self.drain = None;
            self.window = INITIAL * self.packet;
            self.rate = Rate::new();
        }
    }

    pub(super) fn on_idle(&mut self, now: Instant) {
        if now.since(self.last) < IDLE {
            return;
        }
        self.counters.idle_restarts += 1;
        self.last = now;
        self.drain = None;
        self.window = self.window.min(self.pipe().max(INITIAL * self.packet));
        self.growth.restart(self.window);
    }

    pub(super) fn on_path(&mut self, now: Instant) {
        let (episode, counters) = (self.episode.clone(), self.counters);
        *self = Self { episode, counters, last: now, last_test: now, ..Self::new(self.packet) };
    }

    pub(super) fn on_packet_size(&mut self, packet: f64) {
        self.packet = packet;
        self.window = self.window.max(LEAST * packet);
    }

    pub(super) fn window(&self) -> f64 {
        self.drain.as_ref().map_or(self.window, |drain| drain.target)
    }

    /// Bytes per second at which packets leave.
    pub(super) fn rate(&self) -> f64 {
        match self.mode {
            Mode::Startup => self.startup_rate(),
            Mode::Delay if self.growth.is_quick() => RATE * self.window / self.delay.smoothed(),
            Mode::Delay | Mode::Compete => COMPETING_RATE * self.window / self.delay.smoothed(),
        }
    }

    fn startup_rate(&self) -> f64 {
        let first = self.window.min(INITIAL * self.packet) / self.delay.smoothed();
        if self.rate.best() > 0.0 { first.max(STARTUP_RATE * self.rate.best()) } else { 2.0 * first }
    }

    pub(super) fn counters(&self) -> CongestionCounters {
        let least_rtt = self.delay.is_known().then(|| Duration::from_secs_f64(self.delay.least()));
        CongestionCounters { least_rtt, random_loss: self.losses.chance(), ..self.counters }
    }
}
