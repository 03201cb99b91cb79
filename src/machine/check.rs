//! Asserts the laws of the contract around any machine, and around whoever drives it.
//!
//! [`Checked`] keeps a ledger of what crossed the contract: which ports live, which are paused, which were
//! filled to `Done`, and what the last `Wait` promised. Laws 1 to 3 and 8 to 11 follow from it. Law 9 needs a
//! probe: at each `Wait` one port that had said `Done` is asked again, and must still have nothing.

use super::buf::Buf;
use super::ids::{PortId, Table};
use super::port::{PortChange, PortRequest};
use super::time::Instant;
use super::{Cx, Deadline, Fill, Input, Machine, Output};

/// A broken law: a defect of the machine or of its owner, never of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("law {law} broken at {at}: {what}")]
pub struct Breach {
    /// The number of the law, as listed in [`crate::machine`].
    pub law: u8,
    /// What happened.
    pub what: String,
    /// When.
    pub at: Instant,
}

/// What a [`Checked`] does with a breach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBreach {
    /// Panics: for drivers in debug builds.
    Panic,
    /// Keeps the first breach for [`Checked::breach`]: for worlds.
    Record,
    /// Checks nothing and costs a branch: for drivers in release builds.
    Ignore,
}

/// A machine whose laws are asserted.
#[derive(Debug)]
pub struct Checked<M> {
    machine: M,
    on_breach: OnBreach,
    breach: Option<Breach>,
    ledger: Ledger,
}

#[derive(Debug, Default)]
struct Ledger {
    now: Instant,
    drained: bool,
    rank: Rank,
    deadline: Option<Deadline>,
    early: bool,
    ports: Table<PortId, Port>,
    probe: Option<PortId>,
}

#[derive(Debug, Default)]
struct Port {
    open: bool,
    paused: bool,
    ready: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    #[default]
    Request,
    Event,
    Ready,
    Wait,
}

impl<M> Checked<M> {
    /// Wraps a machine that has seen no input yet.
    pub fn new(machine: M, on_breach: OnBreach) -> Self {
        Self { machine, on_breach, breach: None, ledger: Ledger::default() }
    }

    /// The machine, to be read.
    pub const fn get(&self) -> &M {
        &self.machine
    }

    /// The machine, for a call: it must be drained anew.
    pub fn call(&mut self) -> &mut M {
        self.ledger.drained = false;
        self.ledger.rank = Rank::Request;
        self.ledger.early = false;
        &mut self.machine
    }

    /// The first broken law, if any was recorded.
    pub const fn breach(&self) -> Option<&Breach> {
        self.breach.as_ref()
    }

    const fn is_off(&self) -> bool {
        matches!(self.on_breach, OnBreach::Ignore)
    }

    fn require(&mut self, law: u8, holds: bool, what: impl FnOnce() -> String) {
        if holds || self.breach.is_some() {
            return;
        }
        let breach = Breach { law, what: what(), at: self.ledger.now };
        assert!(self.on_breach != OnBreach::Panic, "{breach}");
        self.breach = Some(breach);
    }

    fn before_input<C>(&mut self, now: Instant, input: &Input<'_, C>) {
        let drained = self.ledger.drained;
        self.require(1, drained, || "an input came before the machine was polled to `Wait`".into());
        let last = self.ledger.now;
        self.require(3, now >= last, || format!("time ran back from {last} to {now}"));
        self.ledger.now = now;
        self.ledger.drained = false;
        self.ledger.rank = Rank::Request;
        if let Input::Timeout = input {
            self.ledger.early = self.ledger.deadline.is_none_or(|deadline| deadline.at > now);
            self.ledger.deadline = self.ledger.deadline.filter(|deadline| deadline.at > now);
        } else {
            self.ledger.early = false;
        }
        match input {
            Input::Receive(port, _) | Input::Datagrams(port, _) => self.before_receive(*port),
            Input::Port(port, change) => self.before_change(*port, change),
            Input::Timeout | Input::Command(_) => {}
        }
    }

    fn before_receive(&mut self, port: PortId) {
        let state = self.ledger.ports.get(port);
        let (known, paused) = (state.is_some(), state.is_some_and(|state| state.paused));
        self.require(11, known, || format!("bytes came for {port}, which is dead"));
        self.require(10, !paused, || format!("bytes came for {port}, which is paused"));
    }

    fn before_change(&mut self, port: PortId, change: &PortChange) {
        let known = self.ledger.ports.contains(port);
        self.require(11, known, || format!("{change:?} came for {port}, which is dead"));
        match change {
            PortChange::Opened { .. } => self.update(port, |state| state.open = true),
            PortChange::Accepted { port, .. } => {
                self.ledger.ports.insert(*port, Port { open: true, ..Port::default() });
            }
            PortChange::Resolved(_) | PortChange::Failed(_) | PortChange::Closed => {
                self.ledger.ports.remove(port);
            }
            PortChange::Eof | PortChange::Addresses(_) => {}
        }
    }

    fn update(&mut self, port: PortId, change: impl FnOnce(&mut Port)) {
        if let Some(state) = self.ledger.ports.get_mut(port) {
            change(state);
        }
    }

    fn after_poll<E>(&mut self, now: Instant, output: &Output<E>) {
        let rank = match output {
            Output::Port(..) => Rank::Request,
            Output::Event(_) => Rank::Event,
            Output::Ready(_) => Rank::Ready,
            Output::Wait(_) => Rank::Wait,
        };
        let last = std::mem::replace(&mut self.ledger.rank, rank);
        self.require(8, rank >= last, || format!("`poll` gave a {rank:?} after a {last:?}"));
        let early = self.ledger.early;
        self.require(3, !early || rank == Rank::Wait, || format!("an early timeout led to a {rank:?}"));
        match output {
            Output::Port(port, request) => self.after_request(*port, request),
            Output::Ready(port) => self.after_ready(*port),
            Output::Event(_) => {}
            Output::Wait(deadline) => self.after_wait(now, *deadline),
        }
    }

    fn after_request(&mut self, port: PortId, request: &PortRequest) {
        let known = self.ledger.ports.contains(port);
        if request.is_first() {
            self.require(11, !known, || format!("{request:?} names {port}, which is in use"));
            self.ledger.ports.insert(port, Port::default());
            return;
        }
        self.require(11, known, || format!("{request:?} names {port}, which is dead"));
        match request {
            PortRequest::Pause => self.update(port, |state| state.paused = true),
            PortRequest::Resume => self.update(port, |state| state.paused = false),
            PortRequest::Abort => _ = self.ledger.ports.remove(port),
            _ => {}
        }
    }

    fn after_ready(&mut self, port: PortId) {
        let known = self.ledger.ports.contains(port);
        self.require(11, known, || format!("`Ready` names {port}, which is dead"));
        self.update(port, |state| state.ready = true);
    }

    fn after_wait(&mut self, now: Instant, deadline: Option<Deadline>) {
        let (early, before) = (self.ledger.early, self.ledger.deadline);
        if let Some(deadline) = deadline {
            let Deadline { at, why } = deadline;
            // A call may come between a deadline and its timeout, and take away what that was for: then one after it, which
            // nobody was told of, has passed too.
            let honest = at > now || before.is_some_and(|before| before.at <= at);
            self.require(2, honest, || format!("`Wait` until {at} for {why}, but it is {now}"));
        }
        self.require(3, !early || deadline == before, || {
            format!("an early timeout moved the deadline from {before:?} to {deadline:?}")
        });
        self.ledger.deadline = deadline;
        self.ledger.drained = true;
        self.ledger.early = false;
    }
}

impl<M: Machine> Checked<M> {
    fn probe(&mut self, cx: &mut Cx<'_>) {
        let Some(port) = self.ledger.probe.take() else { return };
        if !self.ledger.ports.get(port).is_some_and(|state| state.open && !state.ready) {
            return;
        }
        let mut buf = Buf::new(1024);
        let fill = self.machine.fill(cx, port, &mut buf);
        let quiet = fill == Fill::Done && buf.is_empty();
        self.require(9, quiet, || format!("{port} had something to send and did not say `Ready`"));
    }
}

impl<M: Machine> Machine for Checked<M> {
    type Command = M::Command;
    type Event = M::Event;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Self::Command>) {
        if !self.is_off() {
            self.before_input(cx.now, &input);
            if let Input::Receive(port, _) | Input::Datagrams(port, _) | Input::Port(port, _) = input {
                self.ledger.probe = Some(port);
            }
        }
        self.machine.handle(cx, input);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Self::Event> {
        let output = self.machine.poll(cx);
        if !self.is_off() {
            self.after_poll(cx.now, &output);
            if let Output::Wait(_) = output {
                self.probe(cx);
            }
        }
        output
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        if self.is_off() {
            return self.machine.fill(cx, port, buf);
        }
        let ready = self.ledger.ports.get(port).is_some_and(|state| state.ready);
        self.require(9, ready, || format!("{port} was filled after `Done` and before the next `Ready`"));
        let fill = self.machine.fill(cx, port, buf);
        self.update(port, |state| state.ready = fill != Fill::Done);
        self.ledger.drained = false;
        self.ledger.rank = Rank::Request;
        self.ledger.early = false;
        self.ledger.probe = Some(port);
        fill
    }
}

#[cfg(test)]
mod tests;
