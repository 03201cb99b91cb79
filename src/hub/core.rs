//! Everything of a hub but its transports: what is lent to them as the layer above.
//!
//! Data is handled where it comes: opened, looked up by its route, and given to its session or put into the queue of
//! the link that it leaves on. All else (frames of the hub, proofs, first packets of routes) needs randomness and
//! touches other links, so it waits in one inbox until the transport's call is over; [`Core::settle`] works it off.
//! A full inbox stops the links that fill it, and each is resumed once it is half empty.

use std::collections::{BTreeMap, VecDeque};

use super::event::{Event, LinkEnd, Misbehaved};
use super::memberships::Rooms;
use super::neighbour::{Link, State, Supplied};
use super::policy::{Accounts, Policy};
use super::presence::Watchers;
use super::routes::Target;
use super::servers::Servers;
use super::sessions::Sessions;
use super::statistics::Statistics;
use super::{Config, SessionId, TransportId};
use crate::link::noise::{Identity, Token};
use crate::machine::Cx;
use crate::machine::ids::{LinkId, Table};
use crate::machine::limits::Limits;
use crate::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use crate::machine::time::Instant;
use crate::machine::timers::DeadlineHeap;
use crate::transport::TransportCommand;
use crate::wire::frame::{DATA_HEAD, Farewell, Frame, Unreachable};
use crate::wire::identity::{Address, EndpointId};

/// What a hub is without its transports.
pub(super) struct Core {
    pub(super) limits: Limits,
    pub(super) identity: Identity,
    pub(super) policy: Policy,
    pub(super) token: Option<Token>,
    pub(super) links: Table<LinkId, Link>,
    /// Who is there, the newest link last.
    pub(super) neighbours: BTreeMap<EndpointId, Vec<LinkId>>,
    pub(super) accounts: Accounts,
    pub(super) watchers: Watchers,
    pub(super) sessions: Sessions,
    pub(super) rooms: Rooms,
    pub(super) servers: Servers,
    pub(super) priorities: Table<TransportId, Option<u8>>,
    pub(super) link_deadlines: DeadlineHeap<LinkId>,
    pub(super) statistics: Statistics,
    /// What the transports shall do.
    pub(super) commands: VecDeque<(TransportId, TransportCommand)>,
    /// Transports whose first link has been proved since this was last looked at.
    pub(super) proved: Vec<TransportId>,
    /// Links to neighbours that have gone; what is about rooms follows once all else does.
    pub(super) gone: Vec<LinkId>,
    events: VecDeque<Event>,
    told: bool,
    inbox: VecDeque<(LinkId, Vec<u8>)>,
    inbox_bytes: usize,
    stopped: Vec<LinkId>,
    scratch: Vec<u8>,
}

impl Core {
    pub(super) fn new(identity: Identity, config: Config) -> Self {
        Self {
            rooms: Rooms::new(&config.limits, config.quotas.rooms),
            accounts: Accounts::new(config.quotas),
            servers: Servers::new(config.servers_for, config.wants_servers),
            sessions: Sessions::new(),
            limits: config.limits,
            policy: config.policy,
            token: config.token,
            identity,
            links: Table::new(),
            neighbours: BTreeMap::new(),
            watchers: Watchers::default(),
            priorities: Table::new(),
            link_deadlines: DeadlineHeap::default(),
            statistics: Statistics::default(),
            commands: VecDeque::new(),
            proved: Vec::new(),
            gone: Vec::new(),
            events: VecDeque::new(),
            told: false,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            stopped: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn address(&self) -> Address {
        self.identity.address()
    }

    /// Tells the application something. What a stranger can make happen any number of times does not wait for it in
    /// any number.
    pub(super) fn event(&mut self, event: Event) {
        if matches!(event, Event::Refused { .. }) && self.events.len() >= self.limits.events {
            self.statistics.dropped_events += 1;
            return;
        }
        self.events.push_back(event);
    }

    /// Whether there is something to take that was not told of yet.
    pub(super) fn take_news(&mut self) -> bool {
        let some = !self.events.is_empty() || !self.sessions.readable.is_empty();
        some && !std::mem::replace(&mut self.told, true)
    }

    /// The next event, then the next message.
    pub(super) fn next(&mut self, now: Instant) -> Option<Event> {
        let event = self.events.pop_front().or_else(|| self.next_message(now));
        if event.is_none() {
            self.told = false;
            self.events = VecDeque::new();
        }
        event
    }

    /// Works off what came in while the transports had us.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>) {
        while self.events.len() < self.limits.events {
            let Some((link, message)) = self.inbox.pop_front() else { break };
            self.inbox_bytes -= cost(&message);
            self.on_message(cx, link, message);
        }
        for link in std::mem::take(&mut self.gone) {
            self.rooms_link_down(cx.now, link);
        }
        if self.inbox.is_empty() {
            self.inbox = VecDeque::new();
        }
        if self.inbox_bytes <= self.limits.inbox / 2 {
            self.resume();
        }
    }

    /// Works off what came on one link, which has ended: its goodbye may be among it.
    pub(super) fn settle_link(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        for (link, message) in std::mem::take(&mut self.inbox) {
            if link == id {
                self.inbox_bytes -= cost(&message);
                self.on_message(cx, id, message);
            } else {
                self.inbox.push_back((link, message));
            }
        }
    }

    fn resume(&mut self) {
        for id in std::mem::take(&mut self.stopped) {
            let Some(link) = self.links.get_mut(id) else { continue };
            link.stopped = false;
            self.commands.push_back((link.transport, TransportCommand::Resume(id)));
        }
    }

    /// Lets the link's messages wait until it is resumed.
    pub(super) fn stop(&mut self, id: LinkId) -> Flow {
        if let Some(link) = self.links.get_mut(id)
            && !std::mem::replace(&mut link.stopped, true)
        {
            self.stopped.push(id);
        }
        Flow::Stop
    }

    fn keep(&mut self, id: LinkId, message: Vec<u8>) -> Flow {
        self.inbox_bytes += cost(&message);
        self.inbox.push_back((id, message));
        let proved = self.links.get(id).is_some_and(|link| matches!(link.state, State::Proved(_)));
        if proved && self.inbox_bytes < self.limits.inbox { Flow::Go } else { self.stop(id) }
    }

    fn on_message(&mut self, cx: &mut Cx<'_>, id: LinkId, message: Vec<u8>) {
        let Some(link) = self.links.get(id).filter(|link| link.end.is_none()) else { return };
        match link.state {
            State::Proving(_) => self.on_proof(cx, id, &message),
            State::Greeting => self.on_greeting(cx, id, &message),
            State::Proved(_) => self.on_frame(cx, id, message),
        }
    }

    fn on_frame(&mut self, cx: &mut Cx<'_>, id: LinkId, mut message: Vec<u8>) {
        if let Some(route) = Frame::data_route(&message) {
            return self.on_data(cx, id, route, &mut message[DATA_HEAD..]);
        }
        match Frame::decode(&message) {
            Ok(frame) => self.on_control(cx, id, frame),
            Err(error) => self.misbehaved(cx.now, id, error.into()),
        }
    }

    fn on_control(&mut self, cx: &mut Cx<'_>, id: LinkId, frame: Frame<'_>) {
        match frame {
            Frame::Data { .. } => {}
            Frame::Open { route, to, from, hops } => self.on_open(cx, id, route, to, from, hops),
            Frame::Opened { route, yours, from } => self.on_opened(cx, id, route, yours, from),
            Frame::Unreachable { route, reason } | Frame::CloseRoute { route, reason } => {
                self.close_route(cx.now, id, route, reason);
            }
            Frame::Ping(nonce) => self.push(id, &Frame::Pong(nonce)),
            Frame::Pong(nonce) => self.on_pong(cx.now, id, nonce),
            Frame::Goodbye { reason, text } => self.on_goodbye(id, reason, text),
            Frame::Watch(who) => self.on_watch(id, who),
            Frame::Unwatch(who) => self.watchers.remove(who, id),
            Frame::Presence(address) => self.on_presence(id, address),
            Frame::Room(message) => self.on_room_frame(cx.now, id, message),
            Frame::WantServers => self.on_want_servers(cx, id),
            Frame::Servers(list) => self.on_servers(cx.now, id, list),
            Frame::Hello { .. } => self.misbehaved(cx.now, id, Misbehaved::Hello),
        }
    }

    /// Data that could not be handled where it came: the first packets of a route, and all of a handshake.
    fn on_data(&mut self, cx: &mut Cx<'_>, id: LinkId, route: u32, packet: &mut [u8]) {
        let Some(link) = self.links.get(id) else { return };
        match link.routes.get(route) {
            Some(Target::Fresh { from, theirs }) => self.on_first_packet(cx, id, route, (from, theirs), packet),
            Some(Target::Path(session, path)) => self.on_session_packet(cx, session, path, packet),
            _ => self.statistics.dropped_route += 1,
        }
    }

    /// Queues a frame of the hub on a link.
    pub(super) fn push(&mut self, id: LinkId, frame: &Frame<'_>) {
        let Some(link) = self.links.get_mut(id) else { return };
        if !link.push(frame) {
            self.statistics.dropped_frames += 1;
        }
        self.wake(id);
    }

    /// Tells the transport that there is something to send, unless it knows.
    pub(super) fn wake(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if !std::mem::replace(&mut link.woken, true) {
            self.commands.push_back((link.transport, TransportCommand::Wake(id)));
        }
    }

    /// Leaves a neighbour: it is told, and the link closes once that has been sent.
    pub(super) fn leave(&mut self, now: Instant, id: LinkId, farewell: Farewell, end: LinkEnd) {
        let Some(link) = self.links.get_mut(id).filter(|link| link.end.is_none()) else { return };
        let address = link.address();
        if address.is_some() {
            self.push(id, &Frame::Goodbye { reason: farewell, text: "" });
        }
        self.forget_neighbour(now, id, address);
        let Some(link) = self.links.get_mut(id) else { return };
        link.end = Some(end);
        self.commands.push_back((link.transport, TransportCommand::Close(id)));
    }

    /// The neighbour broke a rule of the link.
    pub(super) fn misbehaved(&mut self, now: Instant, id: LinkId, rule: Misbehaved) {
        self.statistics.misbehaved_links += 1;
        self.leave(now, id, Farewell::Misbehaved, rule.into());
    }

    fn receive(&mut self, now: Instant, id: LinkId, message: Payload<'_>) -> Flow {
        let Some(link) = self.links.get_mut(id) else {
            // Told of before its `Up`: the same bytes have brought the link up.
            return self.keep(id, message.into_vec());
        };
        if link.end.is_some() {
            return Flow::Go;
        }
        link.heard = now;
        if message.as_slice().len() > self.limits.packet + 256 {
            self.misbehaved(now, id, Misbehaved::TooLarge);
            return Flow::Go;
        }
        if !matches!(link.state, State::Proved(_)) {
            return self.keep(id, message.into_vec());
        }
        if let Some(forward) = link.forward_of(message.as_slice()) {
            self.forward(now, id, forward, &message.as_slice()[DATA_HEAD..]);
            return Flow::Go;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(message.as_slice());
        let flow = match link.open(&mut scratch) {
            Ok(()) => self.on_opened_message(now, id, &mut scratch),
            Err(rule) => {
                self.misbehaved(now, id, rule);
                Flow::Go
            }
        };
        self.scratch = scratch;
        flow
    }

    fn on_opened_message(&mut self, now: Instant, id: LinkId, message: &mut [u8]) -> Flow {
        let Some(route) = Frame::data_route(message) else { return self.keep(id, message.to_vec()) };
        let Some(link) = self.links.get(id) else { return Flow::Go };
        match link.routes.get(route) {
            Some(Target::Forward(forward)) => self.forward(now, id, forward, &message[DATA_HEAD..]),
            // Where too many events wait, what could bring more waits too.
            Some(Target::Path(session, path))
                if self.sessions.is_live(session) && self.events.len() < self.limits.events =>
            {
                self.receive_packet(now, session, path, &mut message[DATA_HEAD..]);
            }
            Some(Target::Path(..) | Target::Fresh { .. }) => return self.keep(id, message.to_vec()),
            Some(Target::Asked(..) | Target::Opening(_)) | None => self.statistics.dropped_route += 1,
        }
        Flow::Go
    }

    fn supply(&mut self, now: Instant, id: LinkId, out: &mut dyn Framer) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        let supplied = self.supply_with(now, id, &mut scratch, out);
        self.scratch = scratch;
        supplied
    }

    fn supply_with(&mut self, now: Instant, id: LinkId, scratch: &mut Vec<u8>, out: &mut dyn Framer) -> bool {
        loop {
            let Some(link) = self.links.get_mut(id) else { return false };
            match link.supply(out) {
                Supplied::Written => return true,
                Supplied::Turn(session) => {
                    if self.supply_session(now, id, session, scratch, out) {
                        return true;
                    }
                }
                Supplied::Nothing => {
                    link.woken = false;
                    return false;
                }
            }
        }
    }

    /// One packet of a session, if it has one; then it waits for its next turn.
    fn supply_session(
        &mut self,
        now: Instant,
        id: LinkId,
        session: SessionId,
        scratch: &mut Vec<u8>,
        out: &mut dyn Framer,
    ) -> bool {
        scratch.clear();
        let supplied = self.sessions.supply(now, session, id, scratch);
        if supplied && let Some(link) = self.links.get_mut(id) {
            link.queue.push_back(session);
            link.emit(scratch, out);
        }
        self.after_session(now, session);
        supplied
    }

    /// Refuses what a neighbour has asked for.
    pub(super) fn refuse_route(&mut self, id: LinkId, route: u32, reason: Unreachable) {
        self.statistics.refused_routes += 1;
        self.push(id, &Frame::Unreachable { route, reason });
    }
}

const fn cost(message: &[u8]) -> usize {
    message.len() + size_of::<(LinkId, Vec<u8>)>()
}

/// The core, lent to a transport for one call.
pub(super) struct Lent<'a> {
    pub(super) core: &'a mut Core,
    pub(super) now: Instant,
}

impl Upper for Lent<'_> {
    fn deliver(&mut self, link: LinkId, kind: Kind, message: Payload<'_>) -> Flow {
        if kind == Kind::Text {
            self.core.misbehaved(self.now, link, Misbehaved::Text);
            return Flow::Go;
        }
        self.core.receive(self.now, link, message)
    }

    fn supply(&mut self, link: LinkId, out: &mut dyn Framer) -> bool {
        self.core.supply(self.now, link, out)
    }
}
