//! A machine small enough to be read: it sends what it is given and echoes if told to.

#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};

pub(crate) const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[derive(Default)]
pub(crate) struct Node {
    echoes: bool,
    alarm: Option<Instant>,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<Told>,
    owed: BTreeMap<PortId, VecDeque<u8>>,
    ready: BTreeSet<PortId>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Change(PortId, PortChange),
    Bytes(PortId, Vec<u8>),
    Alarm,
}

impl Node {
    pub(crate) fn echo() -> Self {
        Self { echoes: true, ..Self::default() }
    }

    pub(crate) fn open(&mut self, cx: &mut Cx<'_>, spec: PortSpec) -> PortId {
        self.begin(cx, PortRequest::Open(spec))
    }

    pub(crate) fn resolve(&mut self, cx: &mut Cx<'_>, name: &str) -> PortId {
        self.begin(cx, PortRequest::Resolve(name.into()))
    }

    pub(crate) fn send(&mut self, port: PortId, bytes: &[u8]) {
        self.owed.entry(port).or_default().extend(bytes);
        self.ready.insert(port);
    }

    pub(crate) fn finish(&mut self, port: PortId) {
        self.requests.push_back((port, PortRequest::Finish));
    }

    pub(crate) fn set_alarm(&mut self, cx: &Cx<'_>, after: Duration) {
        self.alarm = Some(cx.now + after);
    }

    fn begin(&mut self, cx: &mut Cx<'_>, request: PortRequest) -> PortId {
        let port = cx.ids.port();
        self.requests.push_back((port, request));
        port
    }

    fn on_bytes(&mut self, port: PortId, bytes: &[u8]) {
        if self.echoes {
            self.send(port, bytes);
        } else {
            self.events.push_back(Told::Bytes(port, bytes.to_vec()));
        }
    }

    fn on_change(&mut self, port: PortId, change: PortChange) {
        match change {
            PortChange::Eof if self.echoes => self.finish(port),
            PortChange::Failed(_) | PortChange::Closed => {
                self.owed.remove(&port);
                self.ready.remove(&port);
            }
            _ => {}
        }
        self.events.push_back(Told::Change(port, change));
    }

    fn on_timeout(&mut self, now: Instant) {
        if self.alarm.is_some_and(|alarm| alarm <= now) {
            self.alarm = None;
            self.events.push_back(Told::Alarm);
        }
    }
}

impl Machine for Node {
    type Command = ();
    type Event = Told;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Timeout => self.on_timeout(cx.now),
            Input::Receive(port, bytes) => self.on_bytes(port, bytes),
            Input::Port(port, change) => self.on_change(port, change),
            Input::Datagrams(..) | Input::Command(()) => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<Told> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        if let Some(port) = self.ready.pop_first() {
            return Output::Ready(port);
        }
        Output::Wait(self.alarm.map(|at| Deadline::new(at, "alarm")))
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        let Some(owed) = self.owed.get_mut(&port) else { return Fill::Done };
        let n = owed.len().min(buf.room());
        buf.vec().extend(owed.drain(..n));
        if owed.is_empty() { Fill::Done } else { Fill::More }
    }
}
