//! A machine that does what a test tells it, and tells the test what it saw.
#![allow(dead_code)]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use switchboard_tokio::Handle;

/// What a [`Party`] tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Port(PortId, PortChange),
    Bytes(PortId, Vec<u8>),
    Said(usize),
    Tick,
}

/// What a [`Party`] does with its ports by itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Tell,
    Echo,
    Swallow,
    Panic,
}

#[derive(Debug, Default)]
pub(crate) struct Party {
    pub(crate) manner: Manner,
    pub(crate) received: usize,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<Event>,
    ready: VecDeque<PortId>,
    outboxes: BTreeMap<PortId, Vec<u8>>,
    tick: Option<(Duration, Instant)>,
}

impl Party {
    pub(crate) fn new(manner: Manner) -> Self {
        Self { manner, ..Self::default() }
    }

    pub(crate) fn open(&mut self, cx: &mut Cx<'_>, spec: PortSpec) -> PortId {
        let port = cx.ids.port();
        self.ask(port, PortRequest::Open(spec));
        port
    }

    pub(crate) fn resolve(&mut self, cx: &mut Cx<'_>, name: &str) -> PortId {
        let port = cx.ids.port();
        self.ask(port, PortRequest::Resolve(name.into()));
        port
    }

    pub(crate) fn ask(&mut self, port: PortId, request: PortRequest) {
        self.requests.push_back((port, request));
    }

    pub(crate) fn send(&mut self, port: PortId, bytes: &[u8]) {
        self.outboxes.entry(port).or_default().extend_from_slice(bytes);
        self.ready.push_back(port);
    }

    pub(crate) fn say(&mut self, n: usize) {
        self.events.push_back(Event::Said(n));
    }

    pub(crate) fn tick(&mut self, cx: &Cx<'_>, every: Duration) {
        self.tick = Some((every, cx.now + every));
    }

    fn on_bytes(&mut self, port: PortId, bytes: &[u8]) {
        self.received += bytes.len();
        match self.manner {
            Manner::Tell => self.events.push_back(Event::Bytes(port, bytes.to_vec())),
            Manner::Echo => self.send(port, bytes),
            Manner::Panic => panic!("the machine was told to"),
            Manner::Swallow => {}
        }
    }

    fn on_change(&mut self, port: PortId, change: PortChange) {
        match change {
            PortChange::Eof if self.manner == Manner::Echo => self.ask(port, PortRequest::Finish),
            PortChange::Failed(_) | PortChange::Closed => {
                self.outboxes.remove(&port);
                self.ready.retain(|ready| *ready != port);
            }
            _ => {}
        }
        self.events.push_back(Event::Port(port, change));
    }

    fn on_timeout(&mut self, now: Instant) {
        let Some((every, at)) = self.tick.filter(|(_, at)| *at <= now) else { return };
        self.tick = Some((every, at.max(now) + every));
        self.events.push_back(Event::Tick);
    }
}

impl Machine for Party {
    type Command = ();
    type Event = Event;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Receive(port, bytes) => self.on_bytes(port, bytes),
            Input::Port(port, change) => self.on_change(port, change),
            Input::Timeout => self.on_timeout(cx.now),
            Input::Datagrams(..) | Input::Command(()) => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<Event> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        if let Some(port) = self.ready.pop_front() {
            return Output::Ready(port);
        }
        Output::Wait(self.tick.map(|(_, at)| Deadline::new(at, "tick")))
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        buf.extend(&self.outboxes.remove(&port).unwrap_or_default());
        Fill::Done
    }
}

pub(crate) fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Opens a listener and answers its address.
pub(crate) async fn listen(handle: &Handle<Party>) -> SocketAddr {
    let listener = handle.act(|party, cx| party.open(cx, PortSpec::Listen(loopback())));
    match next(handle).await {
        Event::Port(port, PortChange::Opened { local: Some(local), peer: None }) if port == listener => local,
        other => panic!("{other:?} instead of a listener"),
    }
}

/// Opens a stream.
pub(crate) async fn open(handle: &Handle<Party>, spec: PortSpec) -> PortId {
    let port = handle.act(|party, cx| party.open(cx, spec));
    match next(handle).await {
        Event::Port(opened, PortChange::Opened { .. }) if opened == port => port,
        other => panic!("{other:?} instead of an open port"),
    }
}

/// The next event, which must come.
pub(crate) async fn next(handle: &Handle<Party>) -> Event {
    soon(handle.next()).await.expect("the driver runs")
}

/// Collects `len` bytes of a port.
pub(crate) async fn bytes(handle: &Handle<Party>, port: PortId, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        match next(handle).await {
            Event::Bytes(from, bytes) if from == port => all.extend(bytes),
            other => panic!("{other:?} instead of bytes"),
        }
    }
    all
}

/// What a future answers, which it must do soon.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("an answer within 30 seconds")
}
