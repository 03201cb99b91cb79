//! The links of one stream transport, dialled or accepted: each a port, a stream and its timers.
//!
//! A link is *opening* until its handshakes are done, then *up*. One that has ended for the layer above may
//! *linger*: its goodbye, or the answer to a broken rule, is still to leave and the peer to end its side, until
//! the close timer. Work is found by lists: ports with something to send, and one heap of deadlines; no call
//! looks at a link that has nothing to do.

use std::net::{IpAddr, SocketAddr};

use crate::machine::buf::Buf;
use crate::machine::ids::{LinkId, PortId, Table};
use crate::machine::limits::Limits;
use crate::machine::payload::{Flow, Framer, Payload, Upper};
use crate::machine::port::{PortChange, PortError, PortRequest};
use crate::machine::time::Instant;
use crate::machine::timers::{DeadlineHeap, Timer, TimerTable};
use crate::machine::{Cx, Fill, Output};
use crate::stack::stream::{Stream, Tools};

use super::super::{DownReason, LinkInfo, Outbox, PeerClose, Side, TransportEvent};

/// The links and what they owe their transport's owner.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) limits: Limits,
    pub(super) outbox: Outbox,
    side: Side,
    table: Table<LinkId, Link>,
    by_port: Table<PortId, LinkId>,
    deadlines: DeadlineHeap<LinkId>,
    tools: Tools,
    opening: usize,
    lingering: usize,
    ended: Option<Ended>,
}

/// How the last connection ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) was_up: bool,
    pub(super) reason: DownReason,
}

#[derive(Debug)]
struct Link {
    port: PortId,
    stream: Stream,
    state: State,
    timers: TimerTable<3>,
    heard: Instant,
    paused: bool,
    finishing: bool,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Up,
    /// The layer above has asked for the end; it is told when the port has ended.
    Closing,
    /// The layer above has been told of the end; the port is still to be.
    Lingering,
}

/// The timers of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkTimer {
    /// Gives up a connection that is not up after `handshake_time`, and ends by force one that is not closed
    /// after `close_time`.
    Patience,
    /// Asks a peer for a sign of life that has been silent for `ping_after`.
    Silence,
    /// Gives up a link whose peer has not answered that within `pong_time`.
    Pong,
}

impl Timer for LinkTimer {
    const ALL: &'static [Self] = &[Self::Patience, Self::Silence, Self::Pong];

    fn index(self) -> usize {
        self as usize
    }

    fn why(self) -> &'static str {
        match self {
            Self::Patience => "handshake or close",
            Self::Silence => "keep-alive",
            Self::Pong => "answer to a ping",
        }
    }
}

impl Links {
    pub(super) fn new(limits: Limits, side: Side) -> Self {
        Self {
            limits,
            side,
            outbox: Outbox::new(),
            table: Table::new(),
            by_port: Table::new(),
            deadlines: DeadlineHeap::default(),
            tools: Tools::default(),
            opening: 0,
            lingering: 0,
            ended: None,
        }
    }

    /// A connection has been made on an open port; it has until `patience` to become a link.
    pub(super) fn add(
        &mut self,
        cx: &mut Cx<'_>,
        port: PortId,
        stream: Stream,
        patience: Instant,
        (local, peer): (Option<SocketAddr>, Option<SocketAddr>),
    ) {
        let mut timers = TimerTable::default();
        timers.set(LinkTimer::Patience, patience);
        let (state, heard) = (State::Opening, cx.now);
        let link = Link { port, stream, state, timers, heard, paused: false, finishing: false, local, peer };
        let id = cx.ids.link();
        self.table.insert(id, link);
        self.by_port.insert(port, id);
        self.opening += 1;
        self.after(cx.now, id);
    }

    /// How many connections are not up yet.
    pub(super) const fn opening(&self) -> usize {
        self.opening
    }

    /// How many there are, lingering ones included.
    pub(super) const fn len(&self) -> usize {
        self.table.len()
    }

    /// How many there are of which the layer above has not been told the end.
    pub(super) const fn live(&self) -> usize {
        self.table.len() - self.lingering
    }

    /// A connection ended before there was anything of it to keep.
    pub(super) fn refuse(&mut self, peer: Option<SocketAddr>, reason: DownReason) {
        self.outbox.event(TransportEvent::Refused(peer, reason.clone()));
        self.ended = Some(Ended { was_up: false, reason });
    }

    /// How the last connection ended, answered once.
    pub(super) const fn take_ended(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    pub(super) fn receive(&mut self, cx: &mut Cx<'_>, port: PortId, data: &mut [u8], upper: &mut dyn Upper) {
        let Some(&id) = self.by_port.get(port) else { return };
        self.deliver(cx, id, data, upper);
        self.after(cx.now, id);
    }

    pub(super) fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: PortChange) {
        let Some(&id) = self.by_port.get(port) else { return };
        match change {
            PortChange::Eof => self.on_eof(cx.now, id),
            PortChange::Failed(error) => self.remove(cx, id, DownReason::Port(error)),
            PortChange::Closed => self.remove(cx, id, DownReason::Requested),
            PortChange::Opened { .. }
            | PortChange::Accepted { .. }
            | PortChange::Resolved(_)
            | PortChange::Addresses(_) => {}
        }
    }

    pub(super) fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        let Some(&id) = self.by_port.get(port) else { return Fill::Done };
        let Some(link) = self.table.get_mut(id) else { return Fill::Done };
        let supplies = link.state != State::Lingering;
        let mut supply = |out: &mut dyn Framer| supplies && upper.supply(id, out);
        let filled = link.stream.fill(cx, &mut self.tools, buf, &mut supply);
        let fill = filled.unwrap_or_else(|error| {
            self.end(cx.now, id, DownReason::Stream(error));
            Fill::Done
        });
        if fill == Fill::Done {
            self.after(cx.now, id);
        }
        fill
    }

    /// The layer above has something to send.
    pub(super) fn wake(&mut self, link: LinkId) {
        if let Some(link) = self.table.get(link).filter(|link| matches!(link.state, State::Up | State::Closing)) {
            self.outbox.ready(link.port);
        }
    }

    /// The receiver that said `Stop` goes on.
    pub(super) fn resume(&mut self, cx: &mut Cx<'_>, id: LinkId, upper: &mut dyn Upper) {
        let Some(link) = self.table.get_mut(id).filter(|link| link.paused) else { return };
        link.heard = cx.now;
        let port = link.port;
        if self.deliver(cx, id, &mut [], upper) == Flow::Go {
            self.outbox.request(port, PortRequest::Resume);
        }
        self.after(cx.now, id);
    }

    /// Closes a link once what the layer above supplies has left.
    pub(super) fn close(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let Some(link) = self.table.get_mut(id) else { return };
        match link.state {
            State::Opening => self.abort(cx, id, DownReason::Requested),
            State::Up => {
                link.state = State::Closing;
                link.stream.close();
                link.timers.clear();
                link.timers.set(LinkTimer::Patience, cx.now + self.limits.close_time);
                self.after(cx.now, id);
            }
            State::Closing | State::Lingering => {}
        }
    }

    /// Closes all links.
    pub(super) fn close_all(&mut self, cx: &mut Cx<'_>) {
        for id in self.table.keys().collect::<Vec<_>>() {
            self.close(cx, id);
        }
    }

    /// Ends what was connected from one of these addresses: this host has them no longer.
    pub(super) fn lose(&mut self, cx: &mut Cx<'_>, addresses: &[IpAddr]) {
        let lost = |link: &Link| link.local.is_some_and(|local| addresses.contains(&local.ip()));
        let lost: Vec<_> = self.table.iter().filter(|(_, link)| lost(link)).map(|(id, _)| id).collect();
        for id in lost {
            self.abort(cx, id, DownReason::Port(PortError::AddressNotAvailable));
        }
    }

    pub(super) fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        while let Some(id) = self.deadlines.take_due(cx.now) {
            while let Some(timer) = self.table.get_mut(id).and_then(|link| link.timers.take_due(cx.now)) {
                self.on_timer(cx, id, timer);
            }
            self.after(cx.now, id);
        }
    }

    /// The next thing to say; the deadline is that of the links.
    pub(super) fn poll(&mut self) -> Output<TransportEvent> {
        let deadline = self.deadlines.earliest();
        self.outbox.poll(deadline)
    }

    fn deliver(&mut self, cx: &mut Cx<'_>, id: LinkId, data: &mut [u8], upper: &mut dyn Upper) -> Flow {
        let Some(link) = self.table.get_mut(id) else { return Flow::Stop };
        link.heard = cx.now;
        let hears = matches!(link.state, State::Opening | State::Up | State::Closing);
        let mut up = |kind, message: Payload<'_>| {
            if hears { upper.deliver(id, kind, message) } else { Flow::Go }
        };
        let result = link.stream.receive(cx, &mut self.tools, data, &mut up);
        // The same bytes may bring it up, carry messages and break it: it must be told in that order.
        self.come_up(cx.now, id);
        let Some(link) = self.table.get_mut(id) else { return Flow::Stop };
        match result {
            Ok(Flow::Go) => {
                link.paused = false;
                Flow::Go
            }
            Ok(Flow::Stop) => {
                if !std::mem::replace(&mut link.paused, true) {
                    self.outbox.request(link.port, PortRequest::Pause);
                }
                Flow::Stop
            }
            Err(error) => {
                self.end(cx.now, id, DownReason::Stream(error));
                Flow::Stop
            }
        }
    }

    fn on_eof(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.table.get_mut(id) else { return };
        let requested = link.state == State::Closing;
        let reason = match link.stream.eof() {
            Ok(_) if requested => DownReason::Requested,
            Ok(goodbye) => DownReason::Closed(PeerClose { code: goodbye.code, reason: goodbye.reason }),
            Err(error) => DownReason::Stream(error),
        };
        self.end(now, id, reason);
        self.after(now, id);
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, id: LinkId, timer: LinkTimer) {
        let Some(link) = self.table.get_mut(id) else { return };
        match timer {
            LinkTimer::Patience if link.state == State::Opening => self.abort(cx, id, DownReason::HandshakeTimeout),
            LinkTimer::Patience => self.abort(cx, id, DownReason::CloseTimeout),
            LinkTimer::Silence => self.on_silence(cx.now, id),
            LinkTimer::Pong => self.abort(cx, id, DownReason::Silent),
        }
    }

    /// The keep-alive is not moved by each message: when it comes, it looks how long ago the last one was.
    fn on_silence(&mut self, now: Instant, id: LinkId) {
        let (Some(link), Some(ping_after)) = (self.table.get_mut(id), self.limits.ping_after) else { return };
        let due = if link.paused { now + ping_after } else { link.heard + ping_after };
        if due > now {
            link.timers.set(LinkTimer::Silence, due);
        } else if link.stream.ping() {
            link.timers.set(LinkTimer::Pong, now + self.limits.pong_time);
        }
    }

    /// What follows for a link from anything that touched it.
    fn after(&mut self, now: Instant, id: LinkId) {
        self.come_up(now, id);
        let Some(link) = self.table.get_mut(id) else { return };
        if link.timers.runs(LinkTimer::Pong) && link.heard == now {
            link.timers.stop(LinkTimer::Pong);
            link.timers.set(LinkTimer::Silence, now);
            self.on_silence(now, id);
        }
        let Some(link) = self.table.get_mut(id) else { return };
        if link.stream.wants_fill() {
            self.outbox.ready(link.port);
        }
        let said_goodbye = link.state == State::Up && link.stream.goodbye().is_some();
        if said_goodbye {
            let goodbye = link.stream.goodbye().unwrap_or_default();
            self.end(now, id, DownReason::Closed(PeerClose { code: goodbye.code, reason: goodbye.reason }));
        }
        let Some(link) = self.table.get_mut(id) else { return };
        if link.stream.is_finished() {
            self.finish(id);
        }
        let Some(link) = self.table.get(id) else { return };
        self.deadlines.set(id, link.timers.earliest::<LinkTimer>());
    }

    fn come_up(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.table.get_mut(id).filter(|link| link.state == State::Opening) else { return };
        let Some(opened) = link.stream.take_opened() else { return };
        link.state = State::Up;
        link.timers.clear();
        if let Some(ping_after) = self.limits.ping_after {
            link.timers.set(LinkTimer::Silence, now + ping_after);
        }
        self.opening -= 1;
        self.outbox.ready(link.port);
        let info = LinkInfo { side: self.side, local: link.local, peer: link.peer, opened };
        self.outbox.event(TransportEvent::Up(id, info));
    }

    /// Ends a link for the layer above; its port lingers until all is said, or until `close_time`.
    fn end(&mut self, now: Instant, id: LinkId, reason: DownReason) {
        let Some(link) = self.table.get_mut(id) else { return };
        let state = std::mem::replace(&mut link.state, State::Lingering);
        // Both have said goodbye: what the port does afterwards loses nothing.
        let complete = state == State::Closing && link.stream.goodbye().is_some();
        let reason = if complete { DownReason::Requested } else { reason };
        let event = match state {
            State::Lingering => return,
            State::Opening => TransportEvent::Refused(link.peer, reason.clone()),
            State::Up | State::Closing => TransportEvent::Down(id, reason.clone()),
        };
        self.opening -= usize::from(state == State::Opening);
        self.lingering += 1;
        self.outbox.event(event);
        self.ended = Some(Ended { was_up: state != State::Opening, reason });
        link.timers.clear();
        link.timers.set(LinkTimer::Patience, now + self.limits.close_time);
        if std::mem::take(&mut link.paused) {
            self.outbox.request(link.port, PortRequest::Resume);
        }
    }

    fn finish(&mut self, id: LinkId) {
        let Some(link) = self.table.get_mut(id) else { return };
        if !std::mem::replace(&mut link.finishing, true) {
            self.outbox.request(link.port, PortRequest::Finish);
        }
    }

    fn abort(&mut self, cx: &mut Cx<'_>, id: LinkId, reason: DownReason) {
        let Some(port) = self.table.get(id).map(|link| link.port) else { return };
        self.remove(cx, id, reason);
        self.outbox.request(port, PortRequest::Abort);
    }

    /// The port is dead.
    fn remove(&mut self, cx: &mut Cx<'_>, id: LinkId, reason: DownReason) {
        self.end(cx.now, id, reason);
        let Some(link) = self.table.remove(id) else { return };
        self.lingering -= 1;
        self.by_port.remove(link.port);
        self.deadlines.set(id, None);
        self.outbox.forget(link.port);
        cx.ids.release_link(id);
    }
}
