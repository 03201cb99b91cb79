//! Our forwarder: links are paired as they come up, and each message goes to the partner.

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId, Table};
use switchboard::machine::lane::Lane;
use switchboard::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::transport::{Transport, TransportCommand, TransportEvent};

/// Bytes that wait for one link before its partner is stopped.
const LANE: usize = 256 * 1024;

/// A transport whose links are paired.
pub struct Forwarder<T> {
    transport: T,
    pairs: Pairs,
}

#[derive(Default)]
struct Pairs {
    links: Table<LinkId, Link>,
    single: Option<LinkId>,
    commands: Vec<TransportCommand>,
}

struct Link {
    partner: LinkId,
    lane: Lane,
    stopped: bool,
}

impl<T: Transport> Forwarder<T> {
    /// A forwarder over the links of a transport that was not started.
    pub fn new(transport: T) -> Self {
        let pairs = Pairs { commands: vec![TransportCommand::Start], ..Pairs::default() };
        Self { transport, pairs }
    }
}

impl<T: Transport> Machine for Forwarder<T> {
    type Command = TransportCommand;
    type Event = TransportEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>) {
        self.transport.handle(cx, input, &mut self.pairs);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<TransportEvent> {
        while let Some(command) = self.pairs.commands.pop() {
            self.transport.handle(cx, Input::Command(command), &mut self.pairs);
        }
        let output = self.transport.poll(cx);
        match &output {
            Output::Event(TransportEvent::Up(link, _)) => self.pairs.up(*link),
            Output::Event(TransportEvent::Down(link, _)) => self.pairs.down(*link),
            _ => {}
        }
        output
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.transport.fill(cx, port, buf, &mut self.pairs)
    }
}

impl Pairs {
    fn up(&mut self, link: LinkId) {
        let Some(partner) = self.single.take() else {
            self.single = Some(link);
            return;
        };
        for (link, partner) in [(link, partner), (partner, link)] {
            self.links.insert(link, Link { partner, lane: Lane::new(LANE), stopped: false });
        }
    }

    fn down(&mut self, link: LinkId) {
        self.single = self.single.filter(|single| *single != link);
        let Some(Link { partner, .. }) = self.links.remove(link) else { return };
        if self.links.remove(partner).is_some() {
            self.commands.push(TransportCommand::Close(partner));
        }
    }
}

impl Upper for Pairs {
    fn deliver(&mut self, link: LinkId, kind: Kind, message: Payload<'_>) -> Flow {
        let Some(&Link { partner, .. }) = self.links.get(link) else { return Flow::Go };
        let Some(Link { lane, stopped, .. }) = self.links.get_mut(partner) else { return Flow::Go };
        if lane.is_empty() {
            self.commands.push(TransportCommand::Wake(partner));
        }
        let flow = lane.push(kind, message);
        *stopped = flow == Flow::Stop;
        flow
    }

    fn supply(&mut self, link: LinkId, out: &mut dyn Framer) -> bool {
        let Some(Link { partner, lane, stopped }) = self.links.get_mut(link) else { return false };
        let supplied = lane.pop(out);
        if *stopped && lane.bytes() <= LANE / 2 {
            *stopped = false;
            self.commands.push(TransportCommand::Resume(*partner));
        }
        supplied
    }
}
