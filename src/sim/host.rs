//! One host: a pump over virtual sockets.

use std::time::Duration;

use super::guard::Guard;
use super::packet::Key;
use super::sockets::VirtualSockets;
use crate::machine::conformance::Happening;
use crate::machine::pump::{Budget, Pump, Turn};
use crate::machine::time::Instant;
use crate::machine::{Deadline, Machine};

/// The wall clock at the origin of every world: the start of 2026.
const UNIX: Duration = Duration::from_secs(1_767_225_600);

pub(super) struct Host<M: Machine> {
    pub(super) name: String,
    pub(super) pump: Pump<Guard<M>, VirtualSockets>,
    pub(super) events: Vec<(Instant, M::Event)>,
    pub(super) waits: Option<Deadline>,
    /// When the world will wake it.
    pub(super) armed: Option<Instant>,
    pub(super) up: bool,
}

impl<M: Machine> Host<M> {
    pub(super) fn new(name: &str, machine: M, sockets: VirtualSockets, seed: [u8; 32]) -> Self {
        Self {
            name: name.to_owned(),
            pump: Pump::new(Guard::new(machine), sockets, seed, UNIX),
            events: Vec::new(),
            waits: None,
            armed: None,
            up: true,
        }
    }

    /// Starts anew; what the old machine said remains.
    pub(super) fn reboot(&mut self, machine: M, sockets: VirtualSockets, seed: [u8; 32]) {
        self.pump = Pump::new(Guard::new(machine), sockets, seed, UNIX);
        self.waits = None;
        self.up = true;
    }

    /// Turns the pump until there is nothing to do at this moment; answers how many events there were.
    pub(super) fn settle(&mut self, now: Instant) -> usize {
        let before = self.events.len();
        self.pump.sockets().advance(now);
        self.feed();
        loop {
            match self.pump.turn(now, Budget::default()) {
                Turn::Event(event) => self.events.push((now, event)),
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

    /// When it wants to be woken.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        let sockets = self.pump.sockets().deadline();
        let machine = self.waits.map(|deadline| deadline.at);
        sockets.into_iter().chain(machine).min().filter(|_| self.up)
    }

    pub(super) fn has(&mut self, key: Key) -> bool {
        self.up && self.pump.sockets().has(key)
    }

    fn feed(&mut self) -> bool {
        let happenings = self.pump.sockets().take_happenings();
        let any = !happenings.is_empty();
        for (port, happening) in happenings {
            match happening {
                Happening::Ready(readiness) => self.pump.ready(port, readiness),
                Happening::Change(change) => self.pump.change(port, change),
            }
        }
        any
    }
}
