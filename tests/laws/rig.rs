//! A driver of the tests' own: one machine by hand, with every freedom that the contract gives an owner.
//!
//! Where a pump has habits (whole chunks, one limit, timers first) the rig does what it is told. It keeps law 1
//! and writes a transcript of all that the machine said.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::check::{Breach, Checked, OnBreach};
use switchboard::machine::ids::{Ids, PortId};
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};

/// The start of 2026, for certificates.
const UNIX: Duration = Duration::from_secs(1_767_225_600);
/// More than any machine says at one moment.
const ENDLESS: usize = 100_000;
/// Bytes that a port takes before the other side has them.
const WINDOW: usize = 256 * 1024;
/// Room for what one `fill` may write beyond its limit, so that the machine never grows the owner's buffer.
const SLACK: usize = 256 * 1024;

/// A port as its owner sees it.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) asked: Asked,
    pub(crate) open: bool,
    pub(crate) paused: bool,
    pub(crate) ready: bool,
    pub(crate) finish: bool,
    /// Our side has ended: nothing is left to be filled after `Finish`.
    pub(crate) finished: bool,
    pub(crate) ended: bool,
    /// Written by the machine, not taken yet.
    pub(crate) out: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Name(String),
    Open(PortSpec),
    Accepted,
}

/// How much of what the machine wrote goes into the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    Bytes,
    Sizes,
}

pub(crate) struct Rig<M: Machine> {
    checked: Checked<M>,
    now: Instant,
    rng: Rng,
    ids: Ids,
    deadline: Option<Deadline>,
    log: Log,
    pub(crate) ports: BTreeMap<PortId, Port>,
    pub(crate) events: Vec<M::Event>,
    pub(crate) transcript: Vec<String>,
}

impl<M: Machine> Rig<M>
where
    M::Event: std::fmt::Debug,
{
    pub(crate) fn new(machine: M, seed: u64, log: Log) -> Self {
        let mut rig = Self {
            checked: Checked::new(machine, OnBreach::Record),
            now: Instant::from_nanos(1),
            rng: Rng::from_u64(seed),
            ids: Ids::new(),
            deadline: None,
            log,
            ports: BTreeMap::new(),
            events: Vec::new(),
            transcript: Vec::new(),
        };
        rig.drain();
        rig
    }

    pub(crate) const fn breach(&self) -> Option<&Breach> {
        self.checked.breach()
    }

    pub(crate) const fn machine(&self) -> &M {
        self.checked.get()
    }

    pub(crate) fn call<R>(&mut self, call: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R {
        let (checked, mut cx) = self.split();
        let result = call(checked.call(), &mut cx);
        self.drain();
        result
    }

    pub(crate) fn input(&mut self, input: Input<'_, M::Command>) {
        let (checked, mut cx) = self.split();
        checked.handle(&mut cx, input);
        self.drain();
    }

    /// Lets time pass, and lets the deadline come if it is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        if self.deadline.is_some_and(|deadline| deadline.at <= self.now) {
            self.input(Input::Timeout);
        }
    }

    /// Lets time pass until the deadline, if there is one.
    pub(crate) fn pass_to_deadline(&mut self) {
        if let Some(deadline) = self.deadline {
            self.pass(deadline.at - self.now);
        }
    }

    /// Tells what became of a port.
    pub(crate) fn change(&mut self, port: PortId, change: PortChange) {
        let Some(state) = self.ports.get_mut(&port) else { return };
        match change {
            PortChange::Opened { .. } => state.open = true,
            PortChange::Eof => state.ended = true,
            PortChange::Resolved(_) | PortChange::Failed(_) | PortChange::Closed => _ = self.ports.remove(&port),
            PortChange::Accepted { .. } | PortChange::Addresses(_) => {}
        }
        self.input(Input::Port(port, change));
    }

    /// Lets a listener accept.
    pub(crate) fn accept(&mut self, listener: PortId, peer: SocketAddr) -> PortId {
        let port = self.ids.port();
        self.ports.insert(port, Port { open: true, ..Port::new(Asked::Accepted) });
        self.change(listener, PortChange::Accepted { port, peer });
        port
    }

    /// Asks for what a ready port has to send. False: the port is not ready, or takes no more.
    pub(crate) fn fill(&mut self, port: PortId, limit: usize) -> bool {
        if !self.ports.get(&port).is_some_and(|state| state.open && state.ready && state.out.len() < WINDOW) {
            return false;
        }
        let mut buf = Buf::new(limit);
        buf.vec().reserve(limit + SLACK);
        let (checked, mut cx) = self.split();
        let fill = checked.fill(&mut cx, port, &mut buf);
        self.note_fill(port, fill, buf.as_slice());
        if let Some(state) = self.ports.get_mut(&port) {
            state.ready = fill == Fill::More;
            state.out.extend_from_slice(buf.as_slice());
        }
        self.drain();
        self.finish(port);
        true
    }

    /// The streams that are open.
    pub(crate) fn streams(&self) -> Vec<PortId> {
        let stream = |state: &Port| match &state.asked {
            Asked::Accepted | Asked::Open(PortSpec::Dial(_) | PortSpec::Host(_)) => state.open,
            _ => false,
        };
        self.ports.iter().filter(|(_, state)| stream(state)).map(|(port, _)| *port).collect()
    }

    /// The ports that wait for an answer, with what was asked.
    pub(crate) fn questions(&self) -> Vec<(PortId, Asked)> {
        self.ports.iter().filter(|(_, state)| !state.open).map(|(port, state)| (*port, state.asked.clone())).collect()
    }

    fn split(&mut self) -> (&mut Checked<M>, Cx<'_>) {
        let unix = UNIX + self.now.since(Instant::ZERO);
        (&mut self.checked, Cx { now: self.now, unix, rng: &mut self.rng, ids: &mut self.ids })
    }

    fn drain(&mut self) {
        for _ in 0..ENDLESS {
            let (checked, mut cx) = self.split();
            let output = checked.poll(&mut cx);
            self.transcript.push(format!("{} {output:?}", self.now));
            match output {
                Output::Port(port, request) => self.request(port, request),
                Output::Event(event) => self.events.push(event),
                Output::Ready(port) => self.on_ready(port),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
        panic!("the machine never waits: {:?}", self.transcript.last());
    }

    fn on_ready(&mut self, port: PortId) {
        if let Some(state) = self.ports.get_mut(&port) {
            state.ready = true;
        }
    }

    fn request(&mut self, port: PortId, request: PortRequest) {
        let mut update = |change: fn(&mut Port)| {
            if let Some(state) = self.ports.get_mut(&port) {
                change(state);
            }
        };
        match request {
            PortRequest::Open(spec) => _ = self.ports.insert(port, Port::new(Asked::Open(spec))),
            PortRequest::Resolve(name) => _ = self.ports.insert(port, Port::new(Asked::Name(name))),
            PortRequest::Pause => update(|state| state.paused = true),
            PortRequest::Resume => update(|state| state.paused = false),
            PortRequest::Finish => {
                update(|state| state.finish = true);
                self.finish(port);
            }
            PortRequest::Abort => _ = self.ports.remove(&port),
        }
    }

    fn finish(&mut self, port: PortId) {
        if let Some(state) = self.ports.get_mut(&port) {
            state.finished = state.finish && !state.ready;
        }
    }

    fn note_fill(&mut self, port: PortId, fill: Fill, bytes: &[u8]) {
        let what = match self.log {
            Log::Bytes => format!("{bytes:?}"),
            Log::Sizes => format!("{} bytes", bytes.len()),
        };
        self.transcript.push(format!("{} {port} {fill:?} {what}", self.now));
    }
}

impl Port {
    const fn new(asked: Asked) -> Self {
        Self {
            asked,
            open: false,
            paused: false,
            ready: false,
            finish: false,
            finished: false,
            ended: false,
            out: Vec::new(),
        }
    }
}
