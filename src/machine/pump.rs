//! The loop that drives one machine over one set of sockets: the same in every driver and in the simulator.
//!
//! A driver tells the pump what the sockets did ([`Pump::ready`], [`Pump::change`]) and calls [`Pump::turn`]
//! until it says [`Turn::Wait`]. The pump turns edge-triggered readiness into levels, so a driver registers each
//! socket once. In each turn timers come first, then what ports became, then receiving and sending by turns:
//! everything that is to be sent leaves after each 64 KiB received, which coalesces small messages and keeps
//! large ones in the cache.
//!
//! Buffers follow traffic: one chunk to receive into and one buffer to send from serve all ports; only a port
//! whose peer takes no more owns what it could not send.

mod datagrams;
mod inbound;
mod port;
mod sockets;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use inbound::Inbound;
use port::{Finish, Opens, Phase, Port};
pub use sockets::{Readiness, Sockets};

use super::buf::Buf;
use super::ids::{Ids, PortId, Table};
use super::port::{PortChange, PortError, PortRequest, PortSpec};
use super::queue::ReadyList;
use super::rng::Rng;
use super::time::Instant;
use super::{Cx, Deadline, Fill, Input, Machine, Output};

/// Received before everything that is ready to be sent is sent.
const SEND_AFTER: usize = 64 * 1024;
/// Asked of one `fill`.
const FILL: usize = 64 * 1024;
/// What the send buffer keeps between uses.
const KEEP: usize = 2 * FILL;
/// See [`mid_page`].
const PAGE: usize = 4096;

/// How much one [`Pump::turn`] does before it answers [`Turn::More`], so that a flood starves nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Receives (192 KiB each at most), sends (64 KiB and one message each at most), accepts, timeouts and changes of
    /// ports.
    pub steps: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: 64 }
    }
}

/// What a turn ended with.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<E> {
    /// Something that the owner should know; turn again.
    Event(E),
    /// The budget is spent: look at the sockets, then turn again at once.
    More,
    /// Nothing to do until a socket is ready or the deadline.
    Wait(Option<Deadline>),
}

/// Drives one machine over one set of sockets.
#[derive(Debug)]
pub struct Pump<M, S> {
    machine: M,
    sockets: S,
    world: World,
    ports: Table<PortId, Port>,
    receivable: ReadyList<PortId>,
    sendable: ReadyList<PortId>,
    starved: Vec<PortId>,
    changes: VecDeque<(PortId, PortChange)>,
    deadline: Option<Deadline>,
    undrained: bool,
    spent: usize,
    received: usize,
    chunk: Vec<u8>,
    out: Buf,
    inbound: Inbound,
    unsendable: u64,
}

#[derive(Debug)]
struct World {
    now: Instant,
    unix_at_origin: Duration,
    rng: Rng,
    ids: Ids,
}

impl World {
    fn cx(&mut self) -> Cx<'_> {
        let unix = self.unix_at_origin + self.now.since(Instant::ZERO);
        Cx { now: self.now, unix, rng: &mut self.rng, ids: &mut self.ids }
    }
}

impl<M: Machine, S: Sockets> Pump<M, S> {
    /// A pump at the origin of time, when the wall clock showed `unix_at_origin` since the Unix epoch.
    pub fn new(machine: M, sockets: S, seed: [u8; 32], unix_at_origin: Duration) -> Self {
        let world = World { now: Instant::ZERO, unix_at_origin, rng: Rng::from_seed(seed), ids: Ids::new() };
        Self {
            machine,
            sockets,
            world,
            ports: Table::new(),
            receivable: ReadyList::new(),
            sendable: ReadyList::new(),
            starved: Vec::new(),
            changes: VecDeque::new(),
            deadline: None,
            undrained: true,
            spent: 0,
            received: 0,
            chunk: Vec::new(),
            out: Buf::new(FILL),
            inbound: Inbound::default(),
            unsendable: 0,
        }
    }

    /// Lets the owner change the machine; the next [`Self::turn`] drains what follows from it.
    pub fn act<R>(&mut self, now: Instant, change: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R {
        self.advance(now);
        self.undrained = true;
        change(&mut self.machine, &mut self.world.cx())
    }

    /// The machine, to be read.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// The sockets, for the driver.
    pub const fn sockets(&mut self) -> &mut S {
        &mut self.sockets
    }

    /// How many ports there are, look-ups included.
    pub const fn ports(&self) -> usize {
        self.ports.len()
    }

    /// Batches of datagrams that the sockets refused for good: too large, or without a way to go.
    pub const fn unsendable(&self) -> u64 {
        self.unsendable
    }

    /// From now on `Cx::unix` is what a wall clock shows that showed `unix` at the origin of time.
    pub const fn set_unix_at_origin(&mut self, unix: Duration) {
        self.world.unix_at_origin = unix;
    }

    /// The driver's word that a socket is ready; a stale port is ignored.
    pub fn ready(&mut self, port: PortId, readiness: Readiness) {
        let Some(state) = self.ports.get_mut(port) else { return };
        state.readable |= readiness.readable || readiness.read_closed;
        state.writable |= readiness.writable;
        state.read_closed |= readiness.read_closed;
        self.list(port);
    }

    /// The driver's word on what became of a port: `Opened`, `Addresses`, `Resolved` or `Failed`; a stale
    /// port is ignored.
    pub fn change(&mut self, port: PortId, change: PortChange) {
        if self.ports.contains(port) {
            self.changes.push_back((port, change));
        }
    }

    /// Works until there is an event, nothing to do, or the budget is spent.
    pub fn turn(&mut self, now: Instant, budget: Budget) -> Turn<M::Event> {
        self.advance(now);
        loop {
            if let Some(event) = self.drain() {
                return Turn::Event(event);
            }
            if self.hand_over_datagrams() {
                continue;
            }
            if self.spent >= budget.steps {
                self.spent = 0;
                return Turn::More;
            }
            self.spent += 1;
            if self.deadline.is_some_and(|deadline| deadline.at <= self.world.now) {
                self.handle(Input::Timeout);
            } else if let Some((port, change)) = self.changes.pop_front() {
                self.on_change(port, change);
            } else if !self.step() {
                self.spent = 0;
                return Turn::Wait(self.deadline);
            }
        }
    }

    fn advance(&mut self, now: Instant) {
        self.world.now = self.world.now.max(now);
    }

    fn handle(&mut self, input: Input<'_, M::Command>) {
        self.undrained = true;
        self.machine.handle(&mut self.world.cx(), input);
    }

    fn drain(&mut self) -> Option<M::Event> {
        while self.undrained {
            match self.machine.poll(&mut self.world.cx()) {
                Output::Port(port, request) => self.request(port, request),
                Output::Event(event) => return Some(event),
                Output::Ready(port) => self.start_filling(port),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    self.undrained = false;
                }
            }
        }
        None
    }

    fn start_filling(&mut self, port: PortId) {
        let Some(state) = self.ports.get_mut(port) else { return };
        state.filling = true;
        self.list(port);
    }

    fn request(&mut self, port: PortId, request: PortRequest) {
        match request {
            PortRequest::Open(spec) => self.open(port, spec),
            PortRequest::Resolve(name) => self.begin(port, Opens::Answer, |sockets| sockets.resolve(port, name)),
            PortRequest::Pause => self.update(port, |state| state.paused = true),
            PortRequest::Resume => self.update(port, |state| state.paused = false),
            PortRequest::Finish => self.update(port, |state| state.finish = state.finish.max(Finish::Asked)),
            PortRequest::Abort => self.remove(port, true),
        }
    }

    fn open(&mut self, port: PortId, spec: PortSpec) {
        let opens = match spec {
            PortSpec::Listen(_) => Opens::Listener,
            PortSpec::Bind(_) => Opens::Datagrams,
            PortSpec::Addresses => Opens::Addresses,
            PortSpec::Dial(_) | PortSpec::Host(_) => Opens::Stream,
        };
        self.begin(port, opens, |sockets| sockets.open(port, spec));
    }

    fn begin(&mut self, port: PortId, opens: Opens, begin: impl FnOnce(&mut S) -> Result<(), PortError>) {
        self.ports.insert(port, Port::new(Phase::Opening(opens)));
        if let Err(error) = begin(&mut self.sockets) {
            self.changes.push_back((port, PortChange::Failed(error)));
        }
    }

    fn update(&mut self, port: PortId, change: impl FnOnce(&mut Port)) {
        let Some(state) = self.ports.get_mut(port) else { return };
        change(state);
        self.list(port);
    }

    fn list(&mut self, port: PortId) {
        let Some(state) = self.ports.get(port) else { return };
        if state.can_receive() {
            self.receivable.push(port);
        }
        if state.can_send() {
            self.sendable.push(port);
        }
    }

    fn on_change(&mut self, port: PortId, change: PortChange) {
        let Some(state) = self.ports.get_mut(port) else { return };
        match state.phase {
            Phase::Opening(Opens::Listener) => state.phase = Phase::Listening,
            Phase::Opening(Opens::Stream) => state.phase = Phase::Open,
            Phase::Opening(Opens::Datagrams) => state.phase = Phase::Bound,
            Phase::Opening(Opens::Addresses) => state.phase = Phase::Listing,
            _ => {}
        }
        let dead = matches!(change, PortChange::Resolved(_) | PortChange::Failed(_) | PortChange::Closed);
        let abort = matches!(change, PortChange::Failed(_));
        self.handle(Input::Port(port, change));
        if dead {
            self.remove(port, abort);
        }
        self.list(port);
    }

    fn remove(&mut self, port: PortId, abort: bool) {
        if self.ports.remove(port).is_none() {
            return;
        }
        self.sockets.close(port, abort);
        self.world.ids.release_port(port);
        for listener in std::mem::take(&mut self.starved) {
            self.list(listener);
        }
    }

    /// One receive, accept or send. False: there is nothing to do.
    fn step(&mut self) -> bool {
        if self.received < SEND_AFTER
            && let Some(port) = self.receivable.pop()
        {
            self.receive_or_accept(port);
            return true;
        }
        if let Some(port) = self.sendable.pop() {
            self.send(port);
            return true;
        }
        let more = self.received > 0;
        self.received = 0;
        more
    }

    fn receive_or_accept(&mut self, port: PortId) {
        match self.ports.get(port) {
            Some(state) if !state.can_receive() => {}
            Some(state) if state.phase == Phase::Listening => self.accept(port),
            Some(state) if state.phase == Phase::Bound => self.receive_datagrams(port),
            Some(_) => self.receive(port),
            None => {}
        }
    }

    fn accept(&mut self, listener: PortId) {
        let port = self.world.ids.port();
        let refused = match self.sockets.accept(listener, port) {
            Ok(peer) => {
                self.ports.insert(port, Port::new(Phase::Open));
                self.handle(Input::Port(listener, PortChange::Accepted { port, peer }));
                return self.list(listener);
            }
            Err(error) => error.kind(),
        };
        self.world.ids.release_port(port);
        match refused {
            io::ErrorKind::WouldBlock => self.update(listener, |state| state.readable = false),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => self.list(listener),
            // Descriptors have run out: the next port that ends makes room.
            _ => self.starved.push(listener),
        }
    }

    fn receive(&mut self, port: PortId) {
        let mut whole = std::mem::take(&mut self.chunk);
        whole.resize(self.sockets.chunk() + PAGE, 0);
        let start = mid_page(&whole);
        let chunk = &mut whole[start..start + self.sockets.chunk()];
        match self.sockets.try_recv(port, chunk) {
            Ok(0) => self.on_eof(port),
            Ok(n) => {
                let emptied = n < chunk.len() && self.sockets.short_read_is_empty();
                self.update(port, |state| state.readable = !emptied || state.read_closed);
                self.received += n;
                self.handle(Input::Receive(port, &mut chunk[..n]));
            }
            Err(error) => self.on_receive_error(port, error.kind()),
        }
        self.chunk = whole;
    }

    fn on_receive_error(&mut self, port: PortId, error: io::ErrorKind) {
        match error {
            io::ErrorKind::WouldBlock => self.update(port, |state| {
                state.readable = false;
                state.read_closed = false;
            }),
            io::ErrorKind::Interrupted => self.list(port),
            error => self.on_change(port, PortChange::Failed(error.into())),
        }
    }

    fn on_eof(&mut self, port: PortId) {
        let Some(state) = self.ports.get_mut(port) else { return };
        state.eof = true;
        let change = if state.finish == Finish::Sent { PortChange::Closed } else { PortChange::Eof };
        self.on_change(port, change);
    }

    fn send(&mut self, port: PortId) {
        let Some(state) = self.ports.get_mut(port) else { return };
        if !state.can_send() {
            return;
        }
        if !state.unsent.is_empty() {
            return self.send_unsent(port);
        }
        if state.filling {
            return self.fill_and_send(port);
        }
        self.send_finish(port);
    }

    fn send_unsent(&mut self, port: PortId) {
        let Some(state) = self.ports.get_mut(port) else { return };
        if let Some(transmit) = state.transmit {
            let result = self.sockets.try_send_datagrams(port, &transmit, &state.unsent);
            return self.on_datagrams(port, result);
        }
        match self.sockets.try_send(port, &state.unsent[state.sent..]) {
            Ok(n) => state.sent += n,
            Err(error) => return self.on_send_error(port, error.kind()),
        }
        if state.sent >= state.unsent.len() {
            (state.unsent, state.sent) = (Vec::new(), 0);
        }
        self.list(port);
    }

    fn fill_and_send(&mut self, port: PortId) {
        let mut out = std::mem::take(&mut self.out);
        let fill = self.machine.fill(&mut self.world.cx(), port, &mut out);
        self.undrained = true;
        if let Fill::Datagrams(transmit) = fill {
            self.send_datagrams(port, transmit, &out);
            out.trim(KEEP);
            self.out = out;
            return;
        }
        let sent = if out.is_empty() { Ok(0) } else { self.sockets.try_send(port, out.as_slice()) };
        let error = sent.as_ref().err().map(io::Error::kind);
        let unsent = &out.as_slice()[sent.unwrap_or(0)..];
        if let Some(state) = self.ports.get_mut(port) {
            // Before the next drain, whose `Ready` must win over this `Done`.
            state.filling = fill == Fill::More;
            state.unsent = unsent.to_vec();
        }
        out.trim(KEEP);
        self.out = out;
        match error {
            Some(error) => self.on_send_error(port, error),
            None => self.list(port),
        }
    }

    fn on_send_error(&mut self, port: PortId, error: io::ErrorKind) {
        match error {
            io::ErrorKind::WouldBlock => self.update(port, |state| state.writable = false),
            io::ErrorKind::Interrupted => self.list(port),
            // What the peer sent before it broke the connection is still to be read.
            _ if self.ports.get(port).is_some_and(|state| state.readable && !state.eof && !state.paused) => {
                self.update(port, |state| state.writable = false);
            }
            // Later: what the fill led to is still to be drained (law 1).
            error => self.changes.push_back((port, PortChange::Failed(error.into()))),
        }
    }

    fn send_finish(&mut self, port: PortId) {
        if self.ports.get(port).is_some_and(|state| matches!(state.phase, Phase::Bound | Phase::Listing)) {
            return self.on_change(port, PortChange::Closed);
        }
        let result = self.sockets.finish(port);
        let Some(state) = self.ports.get_mut(port) else { return };
        state.finish = Finish::Sent;
        let eof = state.eof;
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                self.on_change(port, PortChange::Failed(error.into()));
            }
            _ if eof => self.on_change(port, PortChange::Closed),
            _ => {}
        }
    }
}

/// Where in `memory` the first page reaches its middle.
///
/// Systems copy to us by `rep movsb`, which on AMD's Zen 3 and 4 is several times slower when the destination lies
/// less than a cache line above the source, both taken modulo a page. Large allocations and the system's own buffers
/// both begin just there.
fn mid_page(memory: &[u8]) -> usize {
    (PAGE + PAGE / 2 - memory.as_ptr().addr() % PAGE) % PAGE
}
