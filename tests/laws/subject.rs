//! What a campaign asks of a machine: the calls of `Alone`, however it is wrapped.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use switchboard::connect::AnyTransport;
use switchboard::machine::buf::Buf;
use switchboard::machine::check::{Checked, OnBreach};
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::transport::alone::{Alone, AloneEvent, Message, SendError};

pub(crate) enum Order<'a> {
    Start,
    Send(LinkId, Kind, &'a [u8]),
    Recv,
    Close(LinkId),
    Stop,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    Sent(Result<(), SendError>),
    Received(Option<Message>),
}

/// A transport standing alone, bare or wrapped.
pub(crate) trait Subject: Machine<Event = AloneEvent> + Sized {
    fn made(transport: AnyTransport, limits: Limits) -> Self;
    fn order(&mut self, cx: &mut Cx<'_>, order: Order<'_>) -> Answer;
}

impl Subject for Alone<AnyTransport> {
    fn made(transport: AnyTransport, limits: Limits) -> Self {
        Self::new(transport, limits)
    }

    fn order(&mut self, cx: &mut Cx<'_>, order: Order<'_>) -> Answer {
        match order {
            Order::Start => self.start(cx),
            Order::Send(link, kind, bytes) => return Answer::Sent(self.send(cx, link, kind, bytes)),
            Order::Recv => return Answer::Received(self.recv(cx)),
            Order::Close(link) => self.close(cx, link),
            Order::Stop => self.stop(cx),
        }
        Answer::Done
    }
}

impl Subject for Checked<Alone<AnyTransport>> {
    fn made(transport: AnyTransport, limits: Limits) -> Self {
        // The world's own check asks a port that has said `Done` once more; one inside it would call that a breach.
        Self::new(Alone::made(transport, limits), OnBreach::Ignore)
    }

    fn order(&mut self, cx: &mut Cx<'_>, order: Order<'_>) -> Answer {
        self.call().order(cx, order)
    }
}

/// A machine of which only the trait is known: it is given orders as commands, and keeps the answer for whoever
/// asks.
pub(crate) type Boxed = Box<dyn Asked<Command = Errand, Event = AloneEvent>>;

pub(crate) trait Asked: Machine {
    fn answer(&mut self) -> Answer;
}

/// An order that owns what it sends.
pub(crate) enum Errand {
    Start,
    Send(LinkId, Kind, Vec<u8>),
    Recv,
    Close(LinkId),
    Stop,
}

struct Clerk {
    machine: Alone<AnyTransport>,
    answer: Answer,
}

impl Asked for Clerk {
    fn answer(&mut self) -> Answer {
        std::mem::replace(&mut self.answer, Answer::Done)
    }
}

impl Machine for Clerk {
    type Command = Errand;
    type Event = AloneEvent;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Errand>) {
        self.answer = match input {
            Input::Timeout => return self.machine.handle(cx, Input::Timeout),
            Input::Receive(port, data) => return self.machine.handle(cx, Input::Receive(port, data)),
            Input::Datagrams(port, datagrams) => return self.machine.handle(cx, Input::Datagrams(port, datagrams)),
            Input::Port(port, change) => return self.machine.handle(cx, Input::Port(port, change)),
            Input::Command(Errand::Start) => self.machine.order(cx, Order::Start),
            Input::Command(Errand::Send(link, kind, bytes)) => self.machine.order(cx, Order::Send(link, kind, &bytes)),
            Input::Command(Errand::Recv) => self.machine.order(cx, Order::Recv),
            Input::Command(Errand::Close(link)) => self.machine.order(cx, Order::Close(link)),
            Input::Command(Errand::Stop) => self.machine.order(cx, Order::Stop),
        };
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<AloneEvent> {
        self.machine.poll(cx)
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.machine.fill(cx, port, buf)
    }
}

impl Subject for Boxed {
    fn made(transport: AnyTransport, limits: Limits) -> Self {
        Box::new(Clerk { machine: Alone::new(transport, limits), answer: Answer::Done })
    }

    fn order(&mut self, cx: &mut Cx<'_>, order: Order<'_>) -> Answer {
        let errand = match order {
            Order::Start => Errand::Start,
            Order::Send(link, kind, bytes) => Errand::Send(link, kind, bytes.to_vec()),
            Order::Recv => Errand::Recv,
            Order::Close(link) => Errand::Close(link),
            Order::Stop => Errand::Stop,
        };
        self.handle(cx, Input::Command(errand));
        self.answer()
    }
}
