//! A transport of one's own, `lines:NAME`: one text message a line, over a pipe handed to the driver as NAME.

use switchboard::prelude::{PortRequest as Ask, TransportCommand as Command, TransportEvent as Event, *};

#[derive(Default)]
struct Lines {
    pipe: String,
    ids: Option<(PortId, LinkId)>,
    begun: Vec<u8>,
    outbox: Outbox,
}

impl Lines {
    fn deliver(&mut self, link: LinkId, upper: &mut dyn Upper) -> Flow {
        let mut flow = Flow::Go;
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n').filter(|_| flow == Flow::Go) {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            flow = upper.deliver(link, Kind::Text, Payload::Borrowed(&line[..end]));
        }
        flow
    }
}

impl Transport for Lines {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Command>, upper: &mut dyn Upper) {
        let (port, link) = *self.ids.get_or_insert_with(|| (cx.ids.port(), cx.ids.link()));
        if let Input::Receive(_, bytes) = &input {
            self.begun.extend_from_slice(bytes);
        }
        let ask = match input {
            Input::Command(Command::Start) => {
                self.outbox.event(Event::Up(link, LinkInfo::default()));
                Ask::Open(PortSpec::Host(self.pipe.clone()))
            }
            Input::Command(Command::Close(_) | Command::Stop) | Input::Port(_, PortChange::Eof) => Ask::Finish,
            Input::Command(Command::Resume(_)) if self.deliver(link, upper) == Flow::Go => Ask::Resume,
            Input::Receive(..) if self.deliver(link, upper) == Flow::Stop => Ask::Pause,
            Input::Command(Command::Wake(_)) => return self.outbox.ready(port),
            Input::Port(_, PortChange::Closed) => return self.outbox.event(Event::Down(link, DownReason::Requested)),
            Input::Port(_, PortChange::Failed(why)) => return self.outbox.event(Event::Down(link, why.into())),
            _ => return,
        };
        self.outbox.request(port, ask);
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<Event> {
        self.outbox.poll(None)
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        let Some((_, link)) = self.ids else { return Fill::Done };
        while upper.supply(link, buf) {
            buf.extend(b"\n");
            if buf.is_full() {
                return Fill::More;
            }
        }
        Fill::Done
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (mut registry, options) = (Registry::new(), Options::default());
    registry.register("lines", |it, _, _| Ok(Box::new(Lines { pipe: it.parameters().into(), ..Lines::default() })));
    let (here, there) = tokio::io::duplex(16);
    let [here, there] = [here, there].map(|pipe| {
        let transport = registry.dial("lines:pipe", &options).expect("a type that is known");
        let node = switchboard_tokio::spawn(Alone::new(transport, options.limits.clone()));
        node.provide("pipe", pipe);
        node.act(|node, cx| node.start(cx));
        node
    });
    if let Some(AloneEvent::Transport(Event::Up(link, _))) = here.next().await {
        here.act(|node, cx| node.send(cx, link, Kind::Text, b"hello")).expect("an empty lane has room");
    }
    while there.next().await != Some(AloneEvent::Readable) {}
    let message = there.act(|node, cx| node.recv(cx)).expect("it is readable");
    println!("{}", String::from_utf8_lossy(&message.bytes));
}
