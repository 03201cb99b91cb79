//! Keeps a defect of one machine from hanging or twisting a run.
//!
//! After its first broken law, or when it is polled without end at one moment of virtual time, a machine is cut
//! off: it takes nothing in and says that it waits. The world then ends the run with an error value.

use crate::machine::buf::Buf;
use crate::machine::check::{Breach, Checked, OnBreach};
use crate::machine::ids::PortId;
use crate::machine::time::Instant;
use crate::machine::{Cx, Fill, Input, Machine, Output};

/// Polls of one machine at one moment; a real one sleeps long before.
const POLLS: u32 = 1 << 20;

#[derive(Debug)]
pub(super) struct Guard<M> {
    checked: Checked<M>,
    now: Instant,
    polls: u32,
}

impl<M: Machine> Guard<M> {
    pub(super) fn new(machine: M) -> Self {
        Self { checked: Checked::new(machine, OnBreach::Record), now: Instant::ZERO, polls: 0 }
    }

    pub(super) const fn get(&self) -> &M {
        self.checked.get()
    }

    pub(super) fn call(&mut self) -> &mut M {
        self.checked.call()
    }

    pub(super) const fn breach(&self) -> Option<&Breach> {
        self.checked.breach()
    }

    /// Whether it was polled without end.
    pub(super) const fn is_endless(&self) -> bool {
        self.polls >= POLLS
    }

    const fn is_off(&self) -> bool {
        self.is_endless() || self.breach().is_some()
    }

    fn count(&mut self, now: Instant) {
        if self.now != now {
            (self.now, self.polls) = (now, 0);
        }
        self.polls += 1;
    }
}

impl<M: Machine> Machine for Guard<M> {
    type Command = M::Command;
    type Event = M::Event;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Self::Command>) {
        if !self.is_off() {
            self.checked.handle(cx, input);
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Self::Event> {
        if self.is_off() {
            return Output::Wait(None);
        }
        self.count(cx.now);
        let output = self.checked.poll(cx);
        if self.is_off() { Output::Wait(None) } else { output }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        if self.is_off() {
            return Fill::Done;
        }
        self.checked.fill(cx, port, buf)
    }
}
