//! A transport of whole messages: links come and go, and messages pass, as the owner of its one port says.

use std::collections::{BTreeSet, VecDeque};

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use switchboard::machine::port::{PortRequest, PortSpec};
use switchboard::machine::{Cx, Fill, Input, Output};
use switchboard::transport::{DownReason, LinkInfo, PeerClose, Side, Transport, TransportCommand, TransportEvent};

/// Links at a time.
pub(crate) const PLACES: usize = 4;

/// What happens to a place, as bytes: the verb, the place, then what the verb needs.
pub(crate) mod verb {
    /// A link that we have accepted comes up; what follows comes before that is told.
    pub(crate) const ACCEPT: u8 = 0;
    /// A link that we have dialled comes up.
    pub(crate) const DIAL: u8 = 1;
    pub(crate) const DOWN: u8 = 2;
    pub(crate) const BINARY: u8 = 3;
    pub(crate) const TEXT: u8 = 4;
}

#[derive(Default)]
pub(crate) struct Cable {
    port: Option<PortId>,
    links: [Option<Line>; PLACES],
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<TransportEvent>,
    waking: BTreeSet<usize>,
    ready: bool,
    stopping: bool,
}

struct Line {
    id: LinkId,
    held: VecDeque<(Kind, Vec<u8>)>,
    stopped: bool,
    closing: bool,
}

impl Cable {
    fn place(&self, link: LinkId) -> Option<usize> {
        self.links.iter().position(|line| line.as_ref().is_some_and(|line| line.id == link))
    }

    fn command(&mut self, cx: &mut Cx<'_>, command: TransportCommand, upper: &mut dyn Upper) {
        match command {
            TransportCommand::Start => {
                let port = cx.ids.port();
                self.port = Some(port);
                self.requests.push_back((port, PortRequest::Open(PortSpec::Host("cable".to_owned()))));
            }
            TransportCommand::Wake(link) => self.wake(link),
            TransportCommand::Resume(link) => {
                let Some(place) = self.place(link) else { return };
                if let Some(line) = &mut self.links[place] {
                    line.stopped = false;
                }
                self.deliver(place, upper);
            }
            TransportCommand::Close(link) => self.close(link),
            TransportCommand::Stop => {
                self.stopping = true;
                self.links
                    .iter()
                    .flatten()
                    .map(|line| line.id)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .for_each(|id| self.close(id));
                self.finish();
            }
        }
    }

    fn wake(&mut self, link: LinkId) {
        if let Some(place) = self.place(link) {
            self.waking.insert(place);
            self.ready = true;
        }
    }

    fn close(&mut self, link: LinkId) {
        self.wake(link);
        if let Some(place) = self.place(link)
            && let Some(line) = &mut self.links[place]
        {
            line.closing = true;
        }
    }

    fn receive(&mut self, cx: &mut Cx<'_>, data: &[u8], upper: &mut dyn Upper) {
        let [verb, place, rest @ ..] = data else { return };
        let place = usize::from(*place) % PLACES;
        match *verb {
            verb::ACCEPT => self.up(cx, place, Side::Accepted, rest, upper),
            verb::DIAL => self.up(cx, place, Side::Dialled, rest, upper),
            verb::DOWN => self.down(cx, place, DownReason::Closed(PeerClose::default())),
            kind => {
                let Some(line) = &mut self.links[place] else { return };
                let kind = if kind == verb::TEXT { Kind::Text } else { Kind::Binary };
                line.held.push_back((kind, rest.to_vec()));
                self.deliver(place, upper);
            }
        }
    }

    fn up(&mut self, cx: &mut Cx<'_>, place: usize, side: Side, early: &[u8], upper: &mut dyn Upper) {
        if self.links[place].is_some() || self.stopping {
            return;
        }
        let id = cx.ids.link();
        let held = (!early.is_empty()).then(|| (Kind::Binary, early.to_vec())).into_iter().collect();
        self.links[place] = Some(Line { id, held, stopped: false, closing: false });
        self.events.push_back(TransportEvent::Up(id, LinkInfo { side, ..LinkInfo::default() }));
        self.deliver(place, upper);
    }

    fn deliver(&mut self, place: usize, upper: &mut dyn Upper) {
        let Some(line) = &mut self.links[place] else { return };
        while !line.stopped
            && let Some((kind, message)) = line.held.pop_front()
        {
            line.stopped = upper.deliver(line.id, kind, Payload::Owned(message)) == Flow::Stop;
        }
    }

    fn down(&mut self, cx: &mut Cx<'_>, place: usize, reason: DownReason) {
        let Some(line) = self.links[place].take() else { return };
        self.waking.remove(&place);
        cx.ids.release_link(line.id);
        self.events.push_back(TransportEvent::Down(line.id, reason));
        self.finish();
    }

    fn finish(&mut self) {
        if self.stopping
            && self.links.iter().all(Option::is_none)
            && let Some(port) = self.port.take()
        {
            self.requests.push_back((port, PortRequest::Abort));
            self.events.push_back(TransportEvent::Stopped);
        }
    }
}

impl Transport for Cable {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        match input {
            Input::Command(command) => self.command(cx, command, upper),
            Input::Receive(_, data) => self.receive(cx, data, upper),
            Input::Port(..) | Input::Datagrams(..) | Input::Timeout => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<TransportEvent> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        match self.port.filter(|_| std::mem::take(&mut self.ready)) {
            Some(port) => Output::Ready(port),
            None => Output::Wait(None),
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, _: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        while let Some(place) = self.waking.first().copied() {
            let Some(line) = &self.links[place] else { continue };
            let (id, closing) = (line.id, line.closing);
            while upper.supply(id, &mut Writer { buf, place }) {
                if buf.is_full() {
                    return Fill::More;
                }
            }
            self.waking.remove(&place);
            if closing {
                self.down(cx, place, DownReason::Requested);
            }
        }
        Fill::Done
    }
}

/// Writes messages with their places and lengths.
struct Writer<'a> {
    buf: &'a mut Buf,
    place: usize,
}

impl Framer for Writer<'_> {
    fn message(&mut self, kind: Kind, head: &[u8], body: &[u8]) {
        assert_eq!(kind, Kind::Binary);
        self.buf.extend(&[self.place as u8]);
        self.buf.extend(&((head.len() + body.len()) as u32).to_be_bytes());
        self.buf.extend(head);
        self.buf.extend(body);
    }

    fn room(&self) -> usize {
        self.buf.room()
    }
}

/// The messages of what was filled, with their places.
pub(crate) fn messages(mut bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut out = Vec::new();
    while let [place, a, b, c, d, rest @ ..] = bytes {
        let (message, rest) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        out.push((usize::from(*place), message.to_vec()));
        bytes = rest;
    }
    out
}
