//! Who lives in a world: programs that know what memory they hold, and raw peers.

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::payload::Kind;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::transport::TransportCommand;
use switchboard::transport::alone::{AloneEvent, Message, SendError};

use crate::common::{Inhabitant, Node};
use crate::program::Program;
use crate::raw::Raw;

pub(crate) enum Party {
    Ours(Measured),
    Raw(Raw),
}

/// A program, and the bytes that it has allocated and not given back since it was made.
///
/// Each call is measured by a counting allocator, so that neither the simulator nor a peer is counted. What a program
/// gives away is not its own any more: messages, events, and what it writes into the caller's buffer.
pub(crate) struct Measured {
    program: Program,
    pub(crate) held: i64,
    pub(crate) peak: i64,
}

impl Measured {
    /// Begins to look for a new peak; answers what is held now.
    pub(crate) const fn begin(&mut self) -> i64 {
        self.peak = self.held;
        self.held
    }

    /// Starts one more node.
    pub(crate) fn add(&mut self, cx: &mut Cx<'_>, node: Node) {
        self.call(|program| program.add(cx, node));
    }

    fn call<R>(&mut self, call: impl FnOnce(&mut Program) -> R) -> R {
        let (program, mut result) = (&mut self.program, None);
        let info = allocation_counter::measure(|| result = Some(call(program)));
        self.peak = self.peak.max(self.held + info.bytes_max as i64);
        self.held += info.bytes_current;
        result.expect("measured")
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<AloneEvent> {
        let output = self.call(|program| program.poll(cx));
        if let Output::Event(event) = &output {
            self.held -= allocation_counter::measure(|| drop(event.clone())).bytes_max as i64;
        }
        output
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        let (peak, before) = (self.peak, buf.vec().capacity());
        let fill = self.call(|program| program.fill(cx, port, buf));
        self.held -= (buf.vec().capacity() - before) as i64;
        self.peak = peak.max(self.held);
        fill
    }

    fn recv(&mut self, cx: &mut Cx<'_>) -> Option<Message> {
        let message = self.call(|program| program.recv(cx))?;
        self.held -= message.bytes.capacity() as i64;
        Some(message)
    }
}

impl Party {
    pub(crate) const fn program() -> Self {
        Self::Ours(Measured { program: Program::new(), held: 0, peak: 0 })
    }

    pub(crate) fn raw(&mut self) -> &mut Raw {
        let Self::Raw(raw) = self else { panic!("a program") };
        raw
    }

    pub(crate) fn as_raw(&self) -> &Raw {
        let Self::Raw(raw) = self else { panic!("a program") };
        raw
    }

    pub(crate) fn ours(&mut self) -> &mut Measured {
        let Self::Ours(ours) = self else { panic!("a raw peer") };
        ours
    }
}

impl Machine for Party {
    type Command = TransportCommand;
    type Event = AloneEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>) {
        match (self, input) {
            (Self::Ours(ours), input) => ours.call(|program| program.handle(cx, input)),
            (Self::Raw(raw), Input::Receive(port, data)) => raw.handle(cx, port, data),
            (Self::Raw(raw), Input::Port(port, change)) => raw.on_port(cx, port, &change),
            (Self::Raw(_), Input::Datagrams(..) | Input::Timeout | Input::Command(_)) => {}
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<AloneEvent> {
        match self {
            Self::Ours(ours) => ours.poll(cx),
            Self::Raw(raw) => match raw.next_request() {
                Some((port, request)) => Output::Port(port, request),
                None => raw.next_ready().map_or(Output::Wait(None), Output::Ready),
            },
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        match self {
            Self::Ours(ours) => ours.fill(cx, port, buf),
            Self::Raw(raw) => raw.fill(port, buf),
        }
    }
}

impl Inhabitant for Party {
    /// Its nodes start when they are added.
    fn start(&mut self, _: &mut Cx<'_>) {}

    fn send(&mut self, cx: &mut Cx<'_>, link: LinkId, kind: Kind, bytes: &[u8]) -> Result<(), SendError> {
        self.ours().call(|program| program.send(cx, link, kind, bytes))
    }

    fn recv(&mut self, cx: &mut Cx<'_>) -> Option<Message> {
        self.ours().recv(cx)
    }
}
