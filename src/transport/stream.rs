//! Messages on byte streams: `tcp:`, `tls:`, `ws:`, `wss:` and `pair:` differ in their recipe only.
//!
//! [`Dialling`] keeps one link to one target, dialled again as its [`Reconnect`] policy says; [`Listening`]
//! accepts links from whoever comes, up to its [`Limits`]. What the two share is in `links`.
//!
//! *A change of network* is heard of, not waited out. A dialling transport asks for the host's own addresses
//! (`network`). A link whose address has gone ends at once, as [`PortError::AddressNotAvailable`], where keep-alive or
//! TCP would take 40 s or many minutes; under [`Reconnect::Backoff`] the dial after it begins at once too. A dial under
//! way begins anew when an address has gone, or when the first one has come: its look-up or its SYN may have left on a
//! way that leads nowhere any more. A new address ends the pause between two dials, and with it the memory of those
//! that failed. Listeners do not ask: an accepted link's other end is the one that moves, or comes again. Nor do
//! streams of the environment, which have no address.

mod links;
mod network;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use links::{Ended, Links};
use network::Network;

use super::{DownReason, Reconnect, Side, Transport, TransportCommand, TransportEvent};
use crate::machine::buf::Buf;
use crate::machine::ids::PortId;
use crate::machine::limits::Limits;
use crate::machine::payload::Upper;
use crate::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline, Fill, Input, Output};
use crate::stack::dial::{DialError, Dialer, Dialled, Target};
use crate::stack::stream::{AcceptRecipe, DialRecipe, Stream};

/// One link to one target.
#[derive(Debug)]
pub struct Dialling {
    target: Target,
    recipe: DialRecipe,
    reconnect: Reconnect,
    links: Links,
    network: Network,
    state: DialState,
    failures: u32,
}

#[derive(Debug)]
enum DialState {
    Idle,
    Dialling(Dialer, Instant),
    Linked,
    Pausing(Instant),
    /// There is no further try. It is told when the last port has ended, so that whoever then lets go of all has
    /// not cut off the answer to the peer's close, or the alert that tells it what it did wrong.
    Failing(DownReason),
    Stopping,
}

impl Dialling {
    /// A transport that will dial `target`; [`TransportCommand::Start`] sets it going.
    pub fn new(target: Target, recipe: DialRecipe, reconnect: Reconnect, limits: Limits) -> Self {
        let side = if matches!(target, Target::Host(_)) { Side::InProcess } else { Side::Dialled };
        let links = Links::new(limits, side);
        Self { target, recipe, reconnect, links, network: Network::default(), state: DialState::Idle, failures: 0 }
    }

    fn command(&mut self, cx: &mut Cx<'_>, command: TransportCommand, upper: &mut dyn Upper) {
        match command {
            TransportCommand::Start => self.start(cx),
            TransportCommand::Wake(link) => self.links.wake(link),
            TransportCommand::Resume(link) => self.links.resume(cx, link, upper),
            TransportCommand::Close(link) => self.links.close(cx, link),
            TransportCommand::Stop => self.stop(cx),
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        self.dial(cx);
        if let Target::Tcp { .. } = self.target {
            self.network.start(cx, &mut self.links.outbox);
        }
    }

    fn dial(&mut self, cx: &mut Cx<'_>) {
        let patience = cx.now + self.links.limits.handshake_time;
        let dialer = Dialer::start(cx, &self.links.limits, &self.target, &mut self.links.outbox.requests);
        self.state = DialState::Dialling(dialer, patience);
    }

    fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: PortChange) {
        if self.network.owns(port) {
            return self.on_network(cx, change);
        }
        let DialState::Dialling(dialer, patience) = &mut self.state else {
            return self.links.on_port(cx, port, change);
        };
        if !dialer.owns(port) {
            return self.links.on_port(cx, port, change);
        }
        let patience = *patience;
        match dialer.on_port(cx, &self.links.limits, port, change, &mut self.links.outbox.requests) {
            Dialled::Pending => {}
            Dialled::Open { port, local, peer } => self.on_open(cx, port, patience, (local, peer)),
            Dialled::Failed(error) => self.refused(DownReason::Dial(error)),
        }
    }

    fn on_open(
        &mut self,
        cx: &mut Cx<'_>,
        port: PortId,
        patience: Instant,
        addresses: (Option<SocketAddr>, Option<SocketAddr>),
    ) {
        self.state = DialState::Linked;
        match Stream::dialled(cx, &self.recipe, &self.links.limits) {
            Ok(stream) => self.links.add(cx, port, stream, patience, addresses),
            Err(error) => {
                self.links.outbox.request(port, PortRequest::Abort);
                self.refused(DownReason::Stream(error));
            }
        }
    }

    fn on_network(&mut self, cx: &mut Cx<'_>, change: PortChange) {
        let Some(moved) = self.network.on_port(change) else { return };
        self.links.lose(cx, &moved.lost);
        match &mut self.state {
            DialState::Dialling(dialer, _) if moved.overtakes_dials() => {
                dialer.abort(&mut self.links.outbox.requests);
                self.dial(cx);
            }
            DialState::Pausing(_) if moved.gained => {
                self.failures = 0;
                self.dial(cx);
            }
            _ => {}
        }
    }

    fn refused(&mut self, reason: DownReason) {
        self.state = DialState::Linked;
        self.links.refuse(None, reason);
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        self.links.on_timeout(cx);
        match &mut self.state {
            DialState::Dialling(dialer, patience) if *patience <= cx.now => {
                dialer.abort(&mut self.links.outbox.requests);
                self.refused(DownReason::HandshakeTimeout);
            }
            DialState::Dialling(dialer, _) => {
                dialer.on_timeout(cx, &self.links.limits, &mut self.links.outbox.requests)
            }
            DialState::Pausing(at) if *at <= cx.now => self.dial(cx),
            _ => {}
        }
    }

    fn stop(&mut self, cx: &mut Cx<'_>) {
        if let DialState::Dialling(dialer, _) = &mut self.state {
            dialer.abort(&mut self.links.outbox.requests);
        }
        self.links.close_all(cx);
        self.state = DialState::Stopping;
    }

    /// What follows once there is no live link: a pause, the next dial, or the end once there is no port either.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.state, DialState::Linked) && self.links.live() == 0 {
            self.plan(cx);
        }
        if self.links.len() > 0 {
            return;
        }
        let last = match &self.state {
            DialState::Failing(reason) => TransportEvent::Failed(reason.clone()),
            DialState::Stopping => TransportEvent::Stopped,
            _ => return,
        };
        self.state = DialState::Idle;
        self.network.stop(&mut self.links.outbox);
        self.links.outbox.event(last);
    }

    fn plan(&mut self, cx: &mut Cx<'_>) {
        let Some(Ended { was_up, reason }) = self.links.take_ended() else { return };
        self.failures = if was_up { 0 } else { self.failures.saturating_add(1) };
        let Some(pause) = self.pause(cx, &reason) else {
            self.state = DialState::Failing(reason);
            return;
        };
        self.links.outbox.event(TransportEvent::Retrying(pause));
        if pause.is_zero() {
            return self.dial(cx);
        }
        self.state = DialState::Pausing(cx.now + pause);
    }

    fn pause(&self, cx: &mut Cx<'_>, reason: &DownReason) -> Option<Duration> {
        let pause = self.reconnect.pause(self.failures, cx.rng)?;
        let moved = matches!(reason, DownReason::Port(PortError::AddressNotAvailable));
        let at_once = moved && matches!(self.reconnect, Reconnect::Backoff { .. });
        Some(if at_once { Duration::ZERO } else { pause })
    }

    fn deadline(&self) -> Option<Deadline> {
        match &self.state {
            DialState::Dialling(dialer, patience) => {
                let patience = Deadline::new(*patience, "dial");
                Some(dialer.deadline().filter(|next| next.at < patience.at).unwrap_or(patience))
            }
            DialState::Pausing(at) => Some(Deadline::new(*at, "reconnect")),
            _ => None,
        }
    }
}

impl Transport for Dialling {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        match input {
            Input::Timeout => self.on_timeout(cx),
            Input::Receive(port, data) => self.links.receive(cx, port, data, upper),
            // It binds no port.
            Input::Datagrams(..) => {}
            Input::Port(port, change) => self.on_port(cx, port, change),
            Input::Command(command) => self.command(cx, command, upper),
        }
        self.settle(cx);
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<TransportEvent> {
        match self.links.poll() {
            Output::Wait(deadline) => Output::Wait(earlier(deadline, self.deadline())),
            output => output,
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        let fill = self.links.fill(cx, port, buf, upper);
        self.settle(cx);
        fill
    }
}

/// Links from whoever comes.
#[derive(Debug)]
pub struct Listening {
    host: String,
    port: u16,
    recipe: AcceptRecipe,
    links: Links,
    state: ListenState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListenState {
    Idle,
    Resolving(PortId),
    Opening(PortId),
    Open(PortId),
    Stopping,
}

impl Listening {
    /// A transport that will listen on `host`, a name or an address of this host, and a TCP port, 0 for any;
    /// [`TransportCommand::Start`] sets it going.
    pub fn new(host: &str, port: u16, recipe: AcceptRecipe, limits: Limits) -> Self {
        Self {
            host: host.to_owned(),
            port,
            recipe,
            links: Links::new(limits, Side::Accepted),
            state: ListenState::Idle,
        }
    }

    fn command(&mut self, cx: &mut Cx<'_>, command: TransportCommand, upper: &mut dyn Upper) {
        match command {
            TransportCommand::Start => self.start(cx),
            TransportCommand::Wake(link) => self.links.wake(link),
            TransportCommand::Resume(link) => self.links.resume(cx, link, upper),
            TransportCommand::Close(link) => self.links.close(cx, link),
            TransportCommand::Stop => self.stop(cx),
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        if let Ok(address) = self.host.parse() {
            return self.listen(cx, address);
        }
        let question = cx.ids.port();
        self.state = ListenState::Resolving(question);
        self.links.outbox.request(question, PortRequest::Resolve(self.host.clone()));
    }

    fn listen(&mut self, cx: &mut Cx<'_>, address: IpAddr) {
        let listener = cx.ids.port();
        self.state = ListenState::Opening(listener);
        let spec = PortSpec::Listen(SocketAddr::new(address, self.port));
        self.links.outbox.request(listener, PortRequest::Open(spec));
    }

    fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: PortChange) {
        match (self.state, change) {
            (ListenState::Resolving(question), change) if question == port => self.on_answer(cx, change),
            (ListenState::Opening(listener) | ListenState::Open(listener), change) if listener == port => {
                self.on_listener(cx, listener, change);
            }
            (_, change) => self.links.on_port(cx, port, change),
        }
    }

    fn on_answer(&mut self, cx: &mut Cx<'_>, change: PortChange) {
        match change {
            PortChange::Resolved(addresses) => {
                if let Some(address) = addresses.first() {
                    self.listen(cx, *address);
                }
            }
            PortChange::Failed(error) => self.failed(DownReason::Dial(DialError::Resolve(error))),
            _ => {}
        }
    }

    fn on_listener(&mut self, cx: &mut Cx<'_>, listener: PortId, change: PortChange) {
        match change {
            PortChange::Opened { local, .. } => {
                self.state = ListenState::Open(listener);
                self.links.outbox.events.extend(local.map(TransportEvent::Listening));
            }
            PortChange::Accepted { port, peer } => self.on_accepted(cx, port, peer),
            PortChange::Failed(error) => self.failed(DownReason::Port(error)),
            _ => {}
        }
    }

    fn on_accepted(&mut self, cx: &mut Cx<'_>, port: PortId, peer: SocketAddr) {
        let limits = &self.links.limits;
        if self.links.opening() >= limits.handshakes || self.links.len() >= limits.links {
            return self.refuse(port, peer, DownReason::TooMany);
        }
        let patience = cx.now + limits.handshake_time;
        match Stream::accepted(&self.recipe, limits) {
            Ok(stream) => self.links.add(cx, port, stream, patience, (None, Some(peer))),
            Err(error) => self.refuse(port, peer, DownReason::Stream(error)),
        }
    }

    fn refuse(&mut self, port: PortId, peer: SocketAddr, reason: DownReason) {
        self.links.outbox.request(port, PortRequest::Abort);
        self.links.refuse(Some(peer), reason);
    }

    fn failed(&mut self, reason: DownReason) {
        self.state = ListenState::Idle;
        self.links.outbox.event(TransportEvent::Failed(reason));
    }

    fn stop(&mut self, cx: &mut Cx<'_>) {
        if let ListenState::Resolving(port) | ListenState::Opening(port) | ListenState::Open(port) = self.state {
            self.links.outbox.request(port, PortRequest::Abort);
        }
        self.links.close_all(cx);
        self.state = ListenState::Stopping;
    }

    fn settle(&mut self) {
        if self.state == ListenState::Stopping && self.links.len() == 0 {
            self.links.outbox.event(TransportEvent::Stopped);
            self.state = ListenState::Idle;
        }
    }
}

impl Transport for Listening {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        match input {
            Input::Timeout => self.links.on_timeout(cx),
            Input::Receive(port, data) => self.links.receive(cx, port, data, upper),
            // It binds no port.
            Input::Datagrams(..) => {}
            Input::Port(port, change) => self.on_port(cx, port, change),
            Input::Command(command) => self.command(cx, command, upper),
        }
        self.settle();
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<TransportEvent> {
        self.links.poll()
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        let fill = self.links.fill(cx, port, buf, upper);
        self.settle();
        fill
    }
}

fn earlier(a: Option<Deadline>, b: Option<Deadline>) -> Option<Deadline> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
        (a, b) => a.or(b),
    }
}
