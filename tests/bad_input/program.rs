//! Several nodes in one program, as one machine: each has the ports that it opened or accepted.

use std::collections::{BTreeMap, VecDeque};

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::payload::Kind;
use switchboard::machine::port::{PortChange, PortRequest};
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use switchboard::transport::TransportCommand;
use switchboard::transport::alone::{AloneEvent, Message, SendError};

use crate::common::Node;

pub(crate) struct Program {
    nodes: Vec<Node>,
    owners: BTreeMap<PortId, usize>,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<AloneEvent>,
    ready: VecDeque<PortId>,
}

impl Program {
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            owners: BTreeMap::new(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    pub(crate) fn add(&mut self, cx: &mut Cx<'_>, mut node: Node) {
        node.start(cx);
        self.nodes.push(node);
    }

    pub(crate) fn send(&mut self, cx: &mut Cx<'_>, link: LinkId, kind: Kind, bytes: &[u8]) -> Result<(), SendError> {
        let owner = self.nodes.iter_mut().find(|node| node.links().any(|own| own == link));
        owner.ok_or(SendError::NoLink)?.send(cx, link, kind, bytes)
    }

    pub(crate) fn recv(&mut self, cx: &mut Cx<'_>) -> Option<Message> {
        self.nodes.iter_mut().find_map(|node| node.recv(cx))
    }

    fn owner(&mut self, port: PortId) -> Option<&mut Node> {
        self.nodes.get_mut(*self.owners.get(&port)?)
    }

    /// Takes out all that a node has to say; the order of outputs holds for all nodes together.
    fn drain(&mut self, cx: &mut Cx<'_>, index: usize) -> Option<Deadline> {
        loop {
            match self.nodes[index].poll(cx) {
                Output::Port(port, request) => {
                    match &request {
                        PortRequest::Open(_) | PortRequest::Resolve(_) => _ = self.owners.insert(port, index),
                        PortRequest::Abort => _ = self.owners.remove(&port),
                        _ => {}
                    }
                    self.requests.push_back((port, request));
                }
                Output::Event(event) => self.events.push_back(event),
                Output::Ready(port) => self.ready.push_back(port),
                Output::Wait(deadline) => return deadline,
            }
        }
    }
}

impl Machine for Program {
    type Command = TransportCommand;
    type Event = AloneEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>) {
        match input {
            Input::Timeout => self.nodes.iter_mut().for_each(|node| node.handle(cx, Input::Timeout)),
            Input::Datagrams(..) | Input::Command(_) => {}
            Input::Receive(port, data) => {
                if let Some(node) = self.owner(port) {
                    node.handle(cx, Input::Receive(port, data));
                }
            }
            Input::Port(port, change) => {
                let Some(index) = self.owners.get(&port).copied() else { return };
                match change {
                    PortChange::Accepted { port, .. } => _ = self.owners.insert(port, index),
                    PortChange::Failed(_) | PortChange::Closed | PortChange::Resolved(_) => {
                        self.owners.remove(&port);
                    }
                    _ => {}
                }
                self.nodes[index].handle(cx, Input::Port(port, change));
            }
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<AloneEvent> {
        let deadlines: Vec<_> = (0..self.nodes.len()).filter_map(|index| self.drain(cx, index)).collect();
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        let first = deadlines.into_iter().min_by_key(|deadline| deadline.at);
        self.ready.pop_front().map_or(Output::Wait(first), Output::Ready)
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.owner(port).map_or(Fill::Done, |node| node.fill(cx, port, buf))
    }
}
