//! A transport of one's own: messages as lines of text over any pipe, dialled as `lines:NAME`. Here the pipe is
//! tokio's; two halves, as a child process has them, are made one by `tokio::io::join`.
use std::{collections::VecDeque, mem::take};
use switchboard::connect::{ConnectError, Options, Registry};
use switchboard::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use switchboard::machine::port::{PortChange as Change, PortRequest as Request, PortSpec};
use switchboard::machine::{Cx, Fill, Input, Output, buf::Buf, ids::LinkId, ids::PortId};
use switchboard::transport::{Alone, DownReason, Transport, TransportCommand as Command, TransportEvent as Event};
use switchboard::transport::{LinkInfo, alone::AloneEvent};

#[derive(Default)]
struct Lines {
    pipe: String,
    ids: Option<(PortId, LinkId)>,
    came: Vec<u8>, // and not delivered: part of a line, or what waits after a `Stop`
    closing: bool,
    requests: VecDeque<(PortId, Request)>, // these three are what `poll` says, in this order
    events: VecDeque<Event>,
    ready: bool,
}

impl Transport for Lines {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Command>, upper: &mut dyn Upper) {
        if let Input::Command(Command::Start) = input {
            let (port, _) = *self.ids.insert((cx.ids.port(), cx.ids.link()));
            return self.requests.push_back((port, Request::Open(PortSpec::Host(self.pipe.clone()))));
        }
        let Some((port, link)) = self.ids else { return };
        match input {
            Input::Receive(_, data) => self.came.extend_from_slice(data),
            Input::Command(Command::Resume(_)) => self.requests.push_back((port, Request::Resume)),
            Input::Command(Command::Wake(_)) => return self.ready = true,
            Input::Command(_) => return (self.closing, self.ready) = (true, true), // once all is sent: see `fill`
            Input::Port(_, Change::Opened { .. }) => {
                return self.events.push_back(Event::Up(link, LinkInfo::default()));
            }
            Input::Port(_, Change::Eof) => return self.requests.push_back((port, Request::Finish)),
            Input::Port(_, Change::Failed(error)) => return self.end(cx, error.into()),
            Input::Port(..) if self.closing => return self.end(cx, DownReason::Requested),
            Input::Port(..) => return self.end(cx, DownReason::Closed(Default::default())),
            Input::Timeout => return,
        }
        while let Some(end) = self.came.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.came.drain(..=end).collect();
            if upper.deliver(link, Kind::Text, Payload::Borrowed(&line[..end])) == Flow::Stop {
                return self.requests.push_back((port, Request::Pause)); // the rest waits for `Resume`
            }
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<Event> {
        let request = self.requests.pop_front().map(|(port, request)| Output::Port(port, request));
        let said = request.or_else(|| self.events.pop_front().map(Output::Event));
        said.or_else(|| take(&mut self.ready).then_some(Output::Ready(self.ids?.0))).unwrap_or(Output::Wait(None))
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        while !buf.is_full() {
            if !self.ids.is_some_and(|(_, link)| upper.supply(link, &mut Line(buf))) {
                self.requests.extend(self.closing.then_some((port, Request::Finish)));
                return Fill::Done;
            }
        }
        Fill::More
    }
}

impl Lines {
    /// The port is dead: nothing may name it any more.
    fn end(&mut self, cx: &mut Cx<'_>, reason: DownReason) {
        let Some((_, link)) = self.ids.take() else { return };
        cx.ids.release_link(link);
        self.requests.clear();
        self.events.extend([Event::Down(link, reason), Event::Stopped]);
    }
}

struct Line<'a>(&'a mut Buf);

impl Framer for Line<'_> {
    fn message(&mut self, _: Kind, head: &[u8], body: &[u8]) {
        [head, body, b"\n"].iter().for_each(|part| self.0.extend(part));
    }

    fn room(&self) -> usize {
        self.0.room()
    }
}

/// One program's end: says its lines, closes when it hears "bye", and answers what it heard.
async fn talk(pipe: tokio::io::DuplexStream, lines: &[&str]) -> Result<Vec<String>, ConnectError> {
    let (mut registry, options, mut heard) = (Registry::new(), Options::default(), Vec::new());
    registry.register("lines", |string, _, _| {
        Ok(Box::new(Lines { pipe: string.parameters().to_owned(), ..Lines::default() }))
    });
    let node = switchboard_tokio::spawn(Alone::new(registry.dial("lines:pipe", &options)?, options.limits));
    node.provide("pipe", pipe);
    node.act(|node, cx| node.start(cx));
    while let Some(event) = node.next().await {
        match event {
            AloneEvent::Transport(Event::Up(link, _)) => node.act(|node, cx| {
                lines.iter().for_each(|line| node.send(cx, link, Kind::Text, line.as_bytes()).expect("room"));
            }),
            AloneEvent::Transport(Event::Down(_, reason)) => heard.push(reason.to_string()),
            AloneEvent::Transport(Event::Stopped) => break,
            _ => node.act(|node, cx| {
                while let Some(message) = node.recv(cx) {
                    heard.push(String::from_utf8_lossy(&message.bytes).into_owned());
                    if message.bytes == b"bye" {
                        node.close(cx, message.link);
                    }
                }
            }),
        }
    }
    Ok(heard)
}

/// Both ends; what they heard.
pub async fn converse() -> Result<[Vec<String>; 2], ConnectError> {
    let (here, there) = tokio::io::duplex(16);
    let (client, server) = tokio::join!(talk(here, &["hello", "how are you?"]), talk(there, &["fine", "bye"]));
    Ok([client?, server?])
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ConnectError> {
    let [client, server] = converse().await?;
    println!("the client heard {client:?}\nthe server heard {server:?}");
    Ok(())
}
