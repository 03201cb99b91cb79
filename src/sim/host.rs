//! One host: a pump over virtual sockets, with clocks of its own.

use std::time::Duration;

use super::clock::{Clock, Monotonic};
use super::guard::Guard;
use super::packet::Key;
use super::sockets::VirtualSockets;
use crate::machine::conformance::Happening;
use crate::machine::pump::{Budget, Pump, Turn};
use crate::machine::time::Instant;
use crate::machine::{Deadline, Machine};

/// The wall clock at the origin of every world: the start of 2026.
pub(super) const UNIX: Duration = Duration::from_secs(1_767_225_600);

pub(super) struct Host<M: Machine> {
    pub(super) pump: Pump<Guard<M>, VirtualSockets>,
    pub(super) events: Vec<(Instant, M::Event)>,
    pub(super) waits: Option<Deadline>,
    /// When the world will wake it.
    pub(super) armed: Option<Instant>,
    pub(super) up: bool,
    /// Since when, in the world's time.
    pub(super) asleep: Option<Instant>,
    pub(super) clock: Monotonic,
    skew: Clock,
    slept: Duration,
}

impl<M: Machine> Host<M> {
    pub(super) fn new(machine: M, sockets: VirtualSockets, seed: [u8; 32]) -> Self {
        Self {
            pump: Pump::new(Guard::new(machine), sockets, seed, UNIX),
            events: Vec::new(),
            waits: None,
            armed: None,
            up: true,
            asleep: None,
            clock: Monotonic::default(),
            skew: Clock::default(),
            slept: Duration::ZERO,
        }
    }

    /// Starts anew; what the old machine said remains.
    pub(super) fn reboot(&mut self, machine: M, sockets: VirtualSockets, seed: [u8; 32]) {
        self.pump = Pump::new(Guard::new(machine), sockets, seed, UNIX);
        self.set_wall_clock();
        self.waits = None;
        self.up = true;
        self.asleep = None;
    }

    pub(super) const fn is_awake(&self) -> bool {
        self.up && self.asleep.is_none()
    }

    pub(super) fn set_clock(&mut self, now: Instant, clock: Clock) {
        self.clock.set_drift(now, clock.drift);
        self.skew = clock;
        self.set_wall_clock();
    }

    /// Its monotonic clock did not go on since `then`.
    pub(super) fn stand_still(&mut self, then: Instant, now: Instant) {
        self.clock.stand_still(then, now);
        self.slept += now - then;
        self.set_wall_clock();
    }

    fn set_wall_clock(&mut self) {
        let unix = (UNIX + self.slept + self.skew.ahead).saturating_sub(self.skew.behind);
        self.pump.set_unix_at_origin(unix);
    }

    /// Turns the pump until there is nothing to do at this moment; answers how many events there were.
    pub(super) fn settle(&mut self, world: Instant) -> usize {
        let before = self.events.len();
        let now = self.clock.local(world);
        self.pump.sockets().advance(now);
        self.feed();
        loop {
            match self.pump.turn(now, Budget::default()) {
                Turn::Event(event) => self.events.push((world, event)),
                Turn::More => {}
                Turn::Wait(deadline) => {
                    self.waits = deadline;
                    if !self.feed() {
                        return self.events.len() - before;
                    }
                }
            }
        }
    }

    /// When it wants to be woken, in the world's time.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        let sockets = self.pump.sockets().deadline();
        let machine = self.waits.map(|deadline| deadline.at);
        let local = sockets.into_iter().chain(machine).min().filter(|_| self.is_awake())?;
        Some(self.clock.world(local))
    }

    pub(super) fn has(&mut self, key: Key) -> bool {
        self.up && self.pump.sockets().has(key)
    }

    fn feed(&mut self) -> bool {
        let mut any = false;
        while let Some((port, happening)) = self.pump.sockets().next_happening() {
            any = true;
            match happening {
                Happening::Ready(readiness) => self.pump.ready(port, readiness),
                Happening::Change(change) => self.pump.change(port, change),
            }
        }
        any
    }
}
