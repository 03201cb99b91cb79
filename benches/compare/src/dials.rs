//! Our client that dials again and again: one connection at a time, one message to and fro on each.

use switchboard::connect::{AnyTransport, Options, Registry};
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::transport::{TransportCommand, TransportEvent};

/// Dials one server as often as it is told.
pub struct Dials {
    registry: Registry,
    url: String,
    transport: AnyTransport,
    left: usize,
    message: Message,
}

/// All connections that were asked for have been made and closed.
pub struct Done;

#[derive(Default)]
struct Message {
    payload: Vec<u8>,
    unsent: bool,
    came_back: bool,
}

impl Dials {
    pub fn new(url: &str, payload: Vec<u8>) -> Self {
        let registry = Registry::new();
        let transport = dial(&registry, url);
        Self { registry, url: url.to_owned(), transport, left: 0, message: Message { payload, ..Message::default() } }
    }

    /// Makes so many connections, one after the other.
    pub fn start(&mut self, cx: &mut Cx<'_>, connections: usize) {
        self.left = connections;
        self.dial(cx);
    }

    fn dial(&mut self, cx: &mut Cx<'_>) {
        self.transport = dial(&self.registry, &self.url);
        self.command(cx, TransportCommand::Start);
    }

    fn up(&mut self, cx: &mut Cx<'_>, link: LinkId) {
        self.message.unsent = true;
        self.command(cx, TransportCommand::Wake(link));
    }

    fn command(&mut self, cx: &mut Cx<'_>, command: TransportCommand) {
        self.transport.handle(cx, Input::Command(command), &mut self.message);
    }

    fn on_stopped(&mut self, cx: &mut Cx<'_>) -> Option<Done> {
        self.left -= 1;
        if self.left == 0 {
            return Some(Done);
        }
        self.dial(cx);
        None
    }
}

impl Machine for Dials {
    type Command = TransportCommand;
    type Event = Done;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>) {
        self.transport.handle(cx, input, &mut self.message);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Done> {
        loop {
            if std::mem::take(&mut self.message.came_back) {
                self.command(cx, TransportCommand::Stop);
            }
            match self.transport.poll(cx) {
                Output::Event(TransportEvent::Up(link, _)) => self.up(cx, link),
                Output::Event(TransportEvent::Stopped) => {
                    if let Some(done) = self.on_stopped(cx) {
                        return Output::Event(done);
                    }
                }
                Output::Event(TransportEvent::Failed(reason)) => panic!("a dial has failed: {reason}"),
                Output::Event(_) => {}
                Output::Port(port, request) => return Output::Port(port, request),
                Output::Ready(port) => return Output::Ready(port),
                Output::Wait(deadline) => return Output::Wait(deadline),
            }
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.transport.fill(cx, port, buf, &mut self.message)
    }
}

impl Upper for Message {
    fn deliver(&mut self, _: LinkId, _: Kind, message: Payload<'_>) -> Flow {
        assert_eq!(message.as_slice(), self.payload, "a message has changed under way");
        self.came_back = true;
        Flow::Go
    }

    fn supply(&mut self, _: LinkId, out: &mut dyn Framer) -> bool {
        let unsent = std::mem::take(&mut self.unsent);
        if unsent {
            out.message(Kind::Binary, &[], &self.payload);
        }
        unsent
    }
}

fn dial(registry: &Registry, url: &str) -> AnyTransport {
    registry.dial(url, &Options::default()).expect("the server's string can be dialled")
}
