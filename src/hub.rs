//! Endpoints that have keys, sessions that outlive their paths, relays, and rooms: a [`Hub`] joins many transports.
//!
//! A hub is a machine like any other. It owns transports, and lends itself to them as the layer above; what it knows
//! beside them is in `core`. Seen from below:
//!
//! - *Links* (`links`). Each side of a link proves its key before anything else passes
//!   ([`Proof`](crate::link::noise::Proof)); then the two are neighbours and exchange
//!   [frames](crate::wire::frame).
//! - *Routes* (`routes`, `relay`). A route leads over one link, or through relays over several, to another
//!   endpoint; a number of 32 bits stands for it on each link.
//! - *Sessions* ([`session`], [`opening`], `sessions`). What two endpoints share: channels, over any number of routes,
//!   sealed end to end wherever a route is not private by itself. A relay reads nothing.
//! - *Direct paths* (`upgrades`, [`explain`]). A session that stands gets a path without a relay where one can be had,
//!   and the hub says why not where not.
//! - *Servers* ([`servers`]). What relays hand out so that endpoints find direct paths.
//! - *Relays* ([`policy`]). A hub with a [`Policy`] passes on what is for others, within [`Quotas`], and drops what
//!   exceeds them; it never makes one neighbour wait for another.
//!
//! The application talks to a hub by calls, and takes what it has to say by [`Hub::next`]: events, then messages.
//! What is not taken is not acknowledged as read, so an application that falls behind slows its peers down and loses
//! nothing. [`News`] tells a driver that there is something to take.

mod calls;
pub mod channel;
mod core;
pub mod event;
pub mod explain;
mod links;
mod memberships;
mod neighbour;
pub mod opening;
mod packets;
pub mod policy;
mod presence;
mod relay;
pub mod rooms;
mod routes;
pub mod servers;
pub mod session;
mod sessions;
pub mod statistics;
mod transports;
mod upgrades;

use std::collections::VecDeque;
use std::convert::Infallible;

use channel::{Channel, ChannelId};
use core::Core;
pub use event::{Closed, Event, News};
use opening::{Decision, Purpose};
pub use policy::{Policy, Quotas};
pub use rooms::{BroadcastError, JoinError, Member, RoomEvent};
pub use servers::{RelayServers, ServersFor};
pub use session::event::{PathPolicy, PathReport, SendError};
pub use statistics::{PathStatistics, Statistics};
use transports::Slot;

use crate::link::noise::{Identity, Token};
use crate::machine::buf::Buf;
use crate::machine::ids::{LinkId, PortId, Slab, Table, id};
use crate::machine::limits::Limits;
use crate::machine::port::PortRequest;
use crate::machine::queue::ReadyList;
use crate::machine::timers::DeadlineHeap;
use crate::machine::{Cx, Fill, Input, Machine, Output};
use crate::transport::{Transport, TransportCommand};
use crate::wire::frame::Farewell;
use crate::wire::identity::{Address, EndpointId};

id!(TransportId, "transport", "A transport of a hub.");
id!(SessionId, "session", "A session of a hub.");
id!(RoomId, "room", "A room that a hub is in, or wants to be in.");

/// What a hub is made from, beside its identity.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Every bound.
    pub limits: Limits,
    /// Whom it passes messages on for.
    pub policy: Policy,
    /// What each of those may have.
    pub quotas: Quotas,
    /// The word that it shows to relays that want one.
    pub token: Option<Token>,
    /// As a relay: the STUN and TURN servers that a neighbour is given which asks.
    pub servers_for: Option<ServersFor>,
    /// As an endpoint: whether its relays are asked for servers.
    pub wants_servers: bool,
}

/// An endpoint with its transports, links and sessions.
pub struct Hub {
    core: Core,
    slots: Table<TransportId, Slot>,
    transport_ids: Slab,
    owners: Table<PortId, TransportId>,
    deadlines: DeadlineHeap<TransportId>,
    touched: ReadyList<TransportId>,
    requests: VecDeque<(PortId, PortRequest)>,
    ready: ReadyList<PortId>,
    stopping: bool,
}

impl Hub {
    /// A hub without transports.
    pub fn new(identity: Identity, config: Config) -> Self {
        Self {
            core: Core::new(identity, config),
            slots: Table::new(),
            transport_ids: Slab::default(),
            owners: Table::new(),
            deadlines: DeadlineHeap::default(),
            touched: ReadyList::new(),
            requests: VecDeque::new(),
            ready: ReadyList::new(),
            stopping: false,
        }
    }

    /// Who this hub is.
    pub fn address(&self) -> Address {
        self.core.address()
    }

    /// Adds a transport and starts it. There follows one [`Event::Up`] or one [`Event::Failed`].
    ///
    /// What is for endpoints that are not neighbours goes to a relay over the transport of the highest priority that
    /// is up; `None` is never used for that.
    pub fn add(&mut self, cx: &mut Cx<'_>, transport: Box<dyn Transport + Send>, priority: Option<u8>) -> TransportId {
        let id = self.transport_ids.take();
        self.slots.insert(id, Slot::new(transport));
        self.core.priorities.insert(id, priority);
        self.command(cx, id, TransportCommand::Start);
        id
    }

    /// Removes a transport: its neighbours are told, what waits to be sent is sent, and sessions move to other paths.
    /// [`Event::Removed`] follows.
    pub fn remove(&mut self, cx: &mut Cx<'_>, transport: TransportId) {
        self.remove_transport(cx, transport);
    }

    /// Removes all transports; [`Event::Stopped`] follows. Sessions are not closed in the way of [`Self::close`]: to
    /// their peers they are disconnected.
    pub fn stop(&mut self, cx: &mut Cx<'_>) {
        self.stopping = true;
        for id in self.slots.keys().collect::<Vec<_>>() {
            self.remove_transport(cx, id);
        }
        if self.slots.is_empty() {
            self.stopping = false;
            self.core.event(Event::Stopped);
        }
    }

    /// The next thing that the application should know: events, then messages. Taking a message opens its sender's
    /// window.
    pub fn next(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        self.core.next(cx.now)
    }

    /// Lends the next message of one session to `take`; false: there is none. As [`Self::next`], without a copy.
    pub fn recv_with(&mut self, cx: &mut Cx<'_>, session: SessionId, take: impl FnOnce(ChannelId, &[u8])) -> bool {
        self.core.recv_with(cx.now, session, take)
    }

    /// Opens a session to an endpoint, with the channels that both sides shall have. [`Event::Opened`] follows, or
    /// [`Event::Closed`] with the reason.
    pub fn open(&mut self, cx: &mut Cx<'_>, to: impl Into<Address>, channels: Vec<Channel>) -> SessionId {
        self.open_by(cx, to, channels, PathPolicy::PreferDirect)
    }

    /// As [`Self::open`], with a wish for its paths.
    pub fn open_by(
        &mut self,
        cx: &mut Cx<'_>,
        to: impl Into<Address>,
        channels: Vec<Channel>,
        policy: PathPolicy,
    ) -> SessionId {
        self.core.open(cx.now, to.into(), channels, policy, Purpose::Application)
    }

    /// Accepts what [`Event::Incoming`] has told of; [`Event::Opened`] follows.
    pub fn accept(&mut self, cx: &mut Cx<'_>, session: SessionId) {
        self.core.decide(cx.now, session, Decision::Accept);
    }

    /// Refuses it, with a code and words of the application's own.
    pub fn refuse(&mut self, cx: &mut Cx<'_>, session: SessionId, code: u8, text: &str) {
        self.core.decide(cx.now, session, Decision::Refuse { code, text: text.to_owned() });
    }

    /// Sends a message on a channel of a session.
    ///
    /// # Errors
    /// [`SendError::Blocked`] until [`Event::Writable`]; the others say what is wrong with the call.
    pub fn send(
        &mut self,
        cx: &mut Cx<'_>,
        session: SessionId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError> {
        self.core.send(cx.now, session, channel, message)
    }

    /// Ends a session once all that was sent on reliable channels has arrived; [`Event::Closed`] follows.
    pub fn close(&mut self, cx: &mut Cx<'_>, session: SessionId, code: u8, text: &str) {
        self.core.close(cx.now, session, code, text);
    }

    /// Says which paths a session may use.
    pub fn set_path_policy(&mut self, cx: &mut Cx<'_>, session: SessionId, policy: PathPolicy) {
        self.core.set_policy(cx, session, policy);
    }

    /// With whom a session is.
    pub fn peer(&self, session: SessionId) -> Option<Address> {
        self.core.sessions.get(session).map(|entry| entry.peer)
    }

    /// The path that a session uses.
    pub fn path(&self, session: SessionId) -> Option<PathReport> {
        self.core.sessions.live(session)?.path()
    }

    /// Every path of a session, and what it has carried.
    pub fn path_statistics(&self, session: SessionId) -> Vec<PathStatistics> {
        let Some(live) = self.core.sessions.live(session) else { return Vec::new() };
        let peer = |path| self.core.direct_links(session, path).and_then(|_| self.peer_report(session));
        live.paths().map(|counts| PathStatistics { counts, peer: peer(counts.path) }).collect()
    }

    /// The channel of that label.
    pub fn channel(&self, session: SessionId, label: &str) -> Option<ChannelId> {
        self.core.sessions.channel(session, label)
    }

    /// The neighbours, each with its link.
    pub fn neighbours(&self) -> impl Iterator<Item = (LinkId, Address)> {
        self.core.links.iter().filter_map(|(id, link)| Some((id, link.neighbour()?.address)))
    }

    /// Wants to be in the room of that name, under a display name, at the relay of the highest priority; with a
    /// secret, only with those who know it too. [`Event::Room`] tells what comes of it. A room that we are in already
    /// is the same room.
    ///
    /// # Errors
    /// A display name that is none.
    pub fn join(&mut self, cx: &mut Cx<'_>, room: &str, name: &str, secret: Option<&str>) -> Result<RoomId, JoinError> {
        self.core.join(cx, room, name, secret)
    }

    /// Leaves a room; its id is dead.
    pub fn leave(&mut self, cx: &mut Cx<'_>, room: RoomId) {
        self.core.leave_room(cx.now, room);
    }

    /// Says something to all others in a room: sealed for them and signed by us. It is passed on once, so whoever the
    /// relay can't reach at that moment misses it, and is told how many it has missed.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn broadcast(&mut self, cx: &mut Cx<'_>, room: RoomId, bytes: &[u8]) -> Result<(), BroadcastError> {
        self.core.broadcast(cx.now, room, bytes)
    }

    /// The others in a room, as far as they are known.
    pub fn members(&self, room: RoomId) -> impl Iterator<Item = Member> {
        self.core.rooms.members(room)
    }

    /// The STUN and TURN servers that relays have given, by relay; the newest of each.
    pub fn servers(&self) -> impl Iterator<Item = (EndpointId, &RelayServers)> {
        self.core.servers.given()
    }

    /// Asks to be told when an endpoint comes to the relay, and when it goes; [`Event::Presence`] follows at once and
    /// with each change.
    pub fn watch(&mut self, _: &mut Cx<'_>, id: EndpointId) {
        self.core.watch(id);
    }

    /// Takes that back.
    pub fn unwatch(&mut self, _: &mut Cx<'_>, id: EndpointId) {
        self.core.unwatch(id);
    }

    /// Measures the round trip to a neighbour; [`Event::Pong`] follows.
    pub fn ping(&mut self, cx: &mut Cx<'_>, link: LinkId) {
        self.core.ping(cx, link);
    }

    /// What the hub has done so far.
    pub fn statistics(&self) -> Statistics {
        self.core.statistics()
    }

    /// Sends a neighbour away.
    pub fn dismiss(&mut self, cx: &mut Cx<'_>, link: LinkId) {
        let farewell = Farewell::Removed;
        self.core.leave(cx.now, link, farewell, event::LinkEnd::Left(farewell));
    }
}

impl Machine for Hub {
    type Command = Infallible;
    type Event = News;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Infallible>) {
        match input {
            Input::Timeout => self.on_timeout(cx),
            Input::Receive(port, data) => {
                let Some(&owner) = self.owners.get(port) else { return };
                self.give(cx, owner, Input::Receive(port, data));
            }
            Input::Datagrams(port, datagrams) => {
                let Some(&owner) = self.owners.get(port) else { return };
                self.give(cx, owner, Input::Datagrams(port, datagrams));
            }
            Input::Port(port, change) => self.on_port(cx, port, change),
            Input::Command(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<News> {
        self.settle(cx);
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if self.core.take_news() {
            return Output::Event(News);
        }
        if let Some(port) = self.ready.pop() {
            return Output::Ready(port);
        }
        let deadlines = [self.deadlines.earliest(), self.core.deadline()];
        Output::Wait(deadlines.into_iter().flatten().min_by_key(|deadline| deadline.at))
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.fill_port(cx, port, buf)
    }
}
