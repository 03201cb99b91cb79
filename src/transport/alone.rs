//! A transport without a hub: a machine with two bounded queues, `send` and `recv`.
//!
//! What is sent waits in a lane per link ([`Limits::lane`]); a full lane hands the message back, and
//! [`AloneEvent::Writable`] follows. What is received waits in one inbox ([`Limits::inbox`]); a full inbox stops
//! the links that fill it, each remembered and resumed once the inbox is half empty.

use std::collections::VecDeque;

use super::{Transport, TransportCommand, TransportEvent};
use crate::machine::buf::Buf;
use crate::machine::ids::{LinkId, PortId, Table};
use crate::machine::lane::Lane;
use crate::machine::limits::Limits;
use crate::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use crate::machine::{Cx, Deadline, Fill, Input, Machine, Output};

/// A transport standing alone.
#[derive(Debug)]
pub struct Alone<T> {
    transport: T,
    queues: Queues,
}

/// What an [`Alone`] tells its owner.
#[allow(clippy::large_enum_variant, reason = "links come up seldom")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AloneEvent {
    /// Something of the transport.
    Transport(TransportEvent),
    /// There is something to [`recv`](Alone::recv); said once until the inbox has been emptied.
    Readable,
    /// A link whose lane was full has room again.
    Writable(LinkId),
}

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The link it came on.
    pub link: LinkId,
    /// Bytes or text.
    pub kind: Kind,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The link is not up.
    #[error("there is no such link, or it is not up any more")]
    NoLink,
    /// The lane is full; wait for [`AloneEvent::Writable`].
    #[error("the link's queue is full: wait until it is writable")]
    Blocked,
    /// The message is larger than [`Limits::message`].
    #[error("the message has {len} bytes, the limit is {limit}")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
}

#[derive(Debug)]
struct Queues {
    limits: Limits,
    lanes: Table<LinkId, Outgoing>,
    inbox: VecDeque<Message>,
    inbox_bytes: usize,
    stopped: Vec<LinkId>,
    writable: VecDeque<LinkId>,
    ready: VecDeque<PortId>,
    told_readable: bool,
}

#[derive(Debug)]
struct Outgoing {
    lane: Lane,
    blocked: bool,
}

impl<T: Transport> Alone<T> {
    /// A transport with its queues; [`Self::start`] sets it going.
    pub fn new(transport: T, limits: Limits) -> Self {
        let queues = Queues {
            limits,
            lanes: Table::new(),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            stopped: Vec::new(),
            writable: VecDeque::new(),
            ready: VecDeque::new(),
            told_readable: false,
        };
        Self { transport, queues }
    }

    /// Dials or listens.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        self.command(cx, TransportCommand::Start);
    }

    /// Sends one message.
    pub fn send(&mut self, cx: &mut Cx<'_>, link: LinkId, kind: Kind, message: &[u8]) -> Result<(), SendError> {
        let limit = self.queues.limits.message;
        if message.len() > limit {
            return Err(SendError::TooLarge { len: message.len(), limit });
        }
        let outgoing = self.queues.lanes.get_mut(link).ok_or(SendError::NoLink)?;
        if outgoing.lane.is_full() {
            outgoing.blocked = true;
            return Err(SendError::Blocked);
        }
        let idle = outgoing.lane.is_empty();
        outgoing.lane.push(kind, Payload::Borrowed(message));
        if idle {
            self.command(cx, TransportCommand::Wake(link));
        }
        Ok(())
    }

    /// Takes the oldest received message.
    pub fn recv(&mut self, cx: &mut Cx<'_>) -> Option<Message> {
        let message = self.queues.take();
        if self.queues.inbox_bytes <= self.queues.limits.inbox / 2 {
            for link in std::mem::take(&mut self.queues.stopped) {
                self.command(cx, TransportCommand::Resume(link));
            }
        }
        message
    }

    /// Closes a link once all that was sent on it has left.
    pub fn close(&mut self, cx: &mut Cx<'_>, link: LinkId) {
        self.command(cx, TransportCommand::Close(link));
    }

    /// Closes all links and ends the transport; [`TransportEvent::Stopped`] follows.
    pub fn stop(&mut self, cx: &mut Cx<'_>) {
        self.command(cx, TransportCommand::Stop);
    }

    /// The links that are up.
    pub fn links(&self) -> impl Iterator<Item = LinkId> {
        self.queues.lanes.keys()
    }

    /// Bytes that wait to be sent on a link.
    pub fn queued(&self, link: LinkId) -> usize {
        self.queues.lanes.get(link).map_or(0, |outgoing| outgoing.lane.bytes())
    }

    /// The transport, to be read.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// The transport, for calls of its own.
    pub const fn transport_mut(&mut self) -> &mut T {
        &mut self.transport
    }

    fn command(&mut self, cx: &mut Cx<'_>, command: TransportCommand) {
        self.transport.handle(cx, Input::Command(command), &mut self.queues);
    }
}

impl<T: Transport> Machine for Alone<T> {
    type Command = TransportCommand;
    type Event = AloneEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>) {
        self.transport.handle(cx, input, &mut self.queues);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<AloneEvent> {
        loop {
            match self.transport.poll(cx) {
                Output::Port(port, request) => {
                    self.queues.ready.retain(|ready| *ready != port);
                    return Output::Port(port, request);
                }
                Output::Event(event) => {
                    self.queues.note(&event);
                    return Output::Event(AloneEvent::Transport(event));
                }
                Output::Ready(port) => self.queues.ready.push_back(port),
                Output::Wait(deadline) => return self.queues.next(deadline),
            }
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.transport.fill(cx, port, buf, &mut self.queues)
    }
}

impl Queues {
    /// Our own events come after the transport's, so that no message is told of before its link, and before
    /// `Ready`, as the order of `poll` demands.
    fn next(&mut self, deadline: Option<Deadline>) -> Output<AloneEvent> {
        if !self.told_readable && !self.inbox.is_empty() {
            self.told_readable = true;
            return Output::Event(AloneEvent::Readable);
        }
        if let Some(link) = self.writable.pop_front() {
            return Output::Event(AloneEvent::Writable(link));
        }
        self.ready.pop_front().map_or(Output::Wait(deadline), Output::Ready)
    }

    fn note(&mut self, event: &TransportEvent) {
        match event {
            TransportEvent::Up(link, _) => {
                let lane = Lane::new(self.limits.lane);
                self.lanes.insert(*link, Outgoing { lane, blocked: false });
            }
            TransportEvent::Down(link, _) => {
                self.lanes.remove(*link);
                self.stopped.retain(|stopped| stopped != link);
                self.writable.retain(|writable| writable != link);
            }
            _ => {}
        }
    }

    fn take(&mut self) -> Option<Message> {
        let message = self.inbox.pop_front();
        self.inbox_bytes -= message.as_ref().map_or(0, cost);
        if self.inbox.is_empty() {
            self.inbox = VecDeque::new();
            self.told_readable = false;
        }
        message
    }
}

impl Upper for Queues {
    fn deliver(&mut self, link: LinkId, kind: Kind, message: Payload<'_>) -> Flow {
        let message = Message { link, kind, bytes: message.into_vec() };
        self.inbox_bytes += cost(&message);
        self.inbox.push_back(message);
        if self.inbox_bytes < self.limits.inbox {
            return Flow::Go;
        }
        self.stopped.push(link);
        Flow::Stop
    }

    fn supply(&mut self, link: LinkId, out: &mut dyn Framer) -> bool {
        let Some(outgoing) = self.lanes.get_mut(link) else { return false };
        let supplied = outgoing.lane.pop(out);
        if outgoing.blocked && outgoing.lane.load() <= self.limits.lane / 2 {
            outgoing.blocked = false;
            self.writable.push_back(link);
        }
        supplied
    }
}

/// What a waiting message costs: its bytes and its place, so that empty messages are bounded too.
const fn cost(message: &Message) -> usize {
    message.bytes.len() + size_of::<Message>()
}
