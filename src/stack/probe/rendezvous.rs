//! Where two probes meet: a TCP server that pairs those that say the same word, and passes each the other's line.
//!
//! Who comes first waits; the second gets the first's line and the first the second's, and both connections end. A
//! third with the same word waits anew. It keeps nothing but those who wait, of which there are a stated number.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::introduction::{Introduction, LONGEST_LINE};
use crate::machine::buf::Buf;
use crate::machine::ids::{PortId, Table};
use crate::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use crate::machine::queue::ReadyList;
use crate::machine::timers::DeadlineHeap;
use crate::machine::{Cx, Deadline, Fill, Input, Machine, Output};

/// How a [`Rendezvous`] receives its guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RendezvousConfig {
    /// Where it listens, by TCP.
    pub listen: SocketAddr,
    /// The most connections at once; who comes then is hung up on. 1,024 by default.
    pub guests: usize,
    /// How long a guest may take to say its line, and to take the other's: 10 s by default.
    pub haste: Duration,
    /// How long a guest may wait for another: 5 min by default.
    pub patience: Duration,
}

impl RendezvousConfig {
    /// The defaults, on that address.
    pub const fn new(listen: SocketAddr) -> Self {
        Self { listen, guests: 1024, haste: Duration::from_secs(10), patience: Duration::from_secs(300) }
    }
}

/// What a [`Rendezvous`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RendezvousEvent {
    /// It listens there.
    Listening(SocketAddr),
    /// It cannot listen.
    Failed(PortError),
    /// Two have met.
    Paired,
}

/// What a rendezvous has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RendezvousCounters {
    /// Pairs that met.
    pub pairs: u64,
    /// Guests who said something else than a line.
    pub malformed: u64,
    /// Guests who came when there were too many.
    pub refused: u64,
    /// Guests who were too slow, or waited in vain.
    pub timed_out: u64,
}

/// A server that pairs probes. It takes no commands.
#[derive(Debug)]
pub struct Rendezvous {
    config: RendezvousConfig,
    listener: Option<PortId>,
    guests: Table<PortId, Guest>,
    waiting: BTreeMap<String, PortId>,
    deadlines: DeadlineHeap<PortId>,
    deadline: Option<Deadline>,
    counters: RendezvousCounters,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<RendezvousEvent>,
    ready: ReadyList<PortId>,
}

#[derive(Debug)]
enum Guest {
    /// Says its line; this is what came of it.
    Speaking(Vec<u8>),
    /// Has said this line, with this word.
    Waiting { word: String, line: String },
    /// Gets this line, then the end.
    Leaving(Option<String>),
}

impl Rendezvous {
    /// A server that listens as soon as it runs.
    pub fn new(config: RendezvousConfig) -> Self {
        Self {
            config,
            listener: None,
            guests: Table::new(),
            waiting: BTreeMap::new(),
            deadlines: DeadlineHeap::default(),
            deadline: None,
            counters: RendezvousCounters::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            ready: ReadyList::new(),
        }
    }

    /// What it has seen.
    pub const fn counters(&self) -> RendezvousCounters {
        self.counters
    }

    /// How many guests there are.
    pub const fn guests(&self) -> usize {
        self.guests.len()
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let port = cx.ids.port();
        self.listener = Some(port);
        self.requests.push_back((port, PortRequest::Open(PortSpec::Listen(self.config.listen))));
    }

    fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: PortChange) {
        match change {
            PortChange::Opened { local, .. } => {
                self.events.push_back(RendezvousEvent::Listening(local.unwrap_or(self.config.listen)));
            }
            PortChange::Accepted { port, .. } => self.welcome(cx, port),
            PortChange::Failed(error) if self.listener == Some(port) => {
                self.events.push_back(RendezvousEvent::Failed(error));
            }
            PortChange::Failed(_) | PortChange::Closed => self.forget(port),
            // Who ends its side before it has met somebody does not wait any more.
            PortChange::Eof if !matches!(self.guests.get(port), Some(Guest::Leaving(_))) => self.expel(port),
            PortChange::Eof | PortChange::Resolved(_) | PortChange::Addresses(_) => {}
        }
    }

    fn welcome(&mut self, cx: &mut Cx<'_>, port: PortId) {
        if self.guests.len() >= self.config.guests {
            self.counters.refused += 1;
            self.requests.push_back((port, PortRequest::Abort));
            return;
        }
        self.guests.insert(port, Guest::Speaking(Vec::new()));
        self.give(port, Deadline::new(cx.now + self.config.haste, "a guest's line"));
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, port: PortId, data: &[u8]) {
        // Whoever has said its line has nothing more to say.
        let Some(Guest::Speaking(said)) = self.guests.get_mut(port) else { return };
        said.extend_from_slice(&data[..data.len().min(LONGEST_LINE)]);
        let line = match said.iter().position(|byte| *byte == b'\n') {
            Some(end) => Introduction::parse(&said[..end]).ok(),
            None if said.len() < LONGEST_LINE => return,
            None => None,
        };
        let Some((word, line)) = line.map(|(word, introduction)| (word.to_owned(), introduction.line(word))) else {
            self.counters.malformed += 1;
            return self.expel(port);
        };
        match self.waiting.remove(&word) {
            Some(other) => self.pair(cx, port, line, other),
            None => self.wait(cx, port, word, line),
        }
    }

    fn wait(&mut self, cx: &mut Cx<'_>, port: PortId, word: String, line: String) {
        self.waiting.insert(word.clone(), port);
        self.guests.insert(port, Guest::Waiting { word, line });
        self.give(port, Deadline::new(cx.now + self.config.patience, "the second of a pair"));
    }

    fn pair(&mut self, cx: &mut Cx<'_>, second: PortId, said: String, first: PortId) {
        let Some(Guest::Waiting { line, .. }) = self.guests.remove(first) else { return };
        self.counters.pairs += 1;
        self.events.push_back(RendezvousEvent::Paired);
        for (port, line) in [(first, said), (second, line)] {
            self.guests.insert(port, Guest::Leaving(Some(line)));
            self.ready.push(port);
            self.give(port, Deadline::new(cx.now + self.config.haste, "the end of a guest"));
        }
    }

    fn give(&mut self, port: PortId, deadline: Deadline) {
        self.deadlines.set(port, Some(deadline));
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        while let Some(port) = self.deadlines.take_due(cx.now) {
            self.counters.timed_out += 1;
            self.expel(port);
        }
    }

    fn expel(&mut self, port: PortId) {
        if self.guests.contains(port) {
            self.requests.push_back((port, PortRequest::Abort));
            self.forget(port);
        }
    }

    fn forget(&mut self, port: PortId) {
        self.ready.remove(port);
        self.deadlines.set(port, None);
        if let Some(Guest::Waiting { word, .. }) = self.guests.remove(port) {
            self.waiting.remove(&word);
        }
    }
}

impl Machine for Rendezvous {
    type Command = ();
    type Event = RendezvousEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Port(port, change) => self.on_port(cx, port, change),
            Input::Receive(port, data) => self.on_bytes(cx, port, data),
            Input::Timeout => self.on_timeout(cx),
            Input::Datagrams(..) | Input::Command(()) => {}
        }
        self.deadline = self.deadlines.earliest();
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<RendezvousEvent> {
        if self.listener.is_none() {
            self.start(cx);
        }
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        self.ready.pop().map_or(Output::Wait(self.deadline), Output::Ready)
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        if let Some(Guest::Leaving(line)) = self.guests.get_mut(port)
            && let Some(line) = line.take()
        {
            buf.extend(line.as_bytes());
            self.requests.push_back((port, PortRequest::Finish));
        }
        Fill::Done
    }
}
