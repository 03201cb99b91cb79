//! An endpoint that is awaited.
//!
//! What the hub has to say is taken by whoever waits for anything, and kept for [`Endpoint::next`] up to
//! [`MAX_KEPT_EVENTS`] and [`MAX_KEPT_BYTES`]; then those who wait for something else wait for it to be taken. So one
//! task may await a session while another reads, and a program of one task needs to think of neither.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use switchboard::connect::{Builder, ConnectError, Endpoint as Machine};
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::{BroadcastError, Closed, Event, JoinError, Member, PathPolicy, RoomId, SendError, SessionId};
use switchboard::machine::Cx;
use switchboard::machine::rng::Rng;
use switchboard::wire::identity::Address;
use tokio::sync::Notify;

use crate::{Handle, spawn};

/// Events that are kept for [`Endpoint::next`] while nothing calls it.
pub const MAX_KEPT_EVENTS: usize = 1024;

/// Bytes of messages that are kept for [`Endpoint::next`] while nothing calls it.
pub const MAX_KEPT_BYTES: usize = 1024 * 1024;

/// An endpoint that runs in a task; clones are handles to the same one, and the task ends with the last.
#[derive(Clone)]
pub struct Endpoint {
    handle: Handle<Machine>,
    inbox: Arc<Inbox>,
}

#[derive(Default)]
struct Inbox {
    state: Mutex<State>,
    arrivals: Notify,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    /// Sessions that somebody waits for, and what has become of them.
    opening: BTreeMap<SessionId, Option<Result<(), Closed>>>,
    /// Channels that somebody waits to write to, and how many do.
    blocked: BTreeMap<(SessionId, ChannelId), usize>,
    stopping: bool,
    stopped: bool,
}

impl Endpoint {
    /// Starts an endpoint: it dials its relays and opens its listeners.
    ///
    /// [`crate::environment::builder`] has key and relays of the user's environment.
    ///
    /// # Errors
    /// A connection string that is none.
    ///
    /// # Panics
    /// Outside a runtime with I/O and time enabled, and when the system has no randomness to give.
    pub fn start(builder: Builder) -> Result<Self, ConnectError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the system gives randomness");
        let handle = spawn(builder.build(&mut Rng::from_seed(seed))?);
        handle.act(|endpoint, cx| endpoint.start(cx));
        Ok(Self { handle, inbox: Arc::default() })
    }

    /// Who this endpoint is.
    pub fn address(&self) -> Address {
        self.act(|endpoint, _| endpoint.address())
    }

    /// Calls the endpoint for what this handle has no method for; see [`Handle::act`].
    pub fn act<R>(&self, f: impl FnOnce(&mut Machine, &mut Cx<'_>) -> R) -> R {
        self.handle.act(f)
    }

    /// The next event or message; `None` once the endpoint has stopped. Cancellation-safe.
    pub async fn next(&self) -> Option<Event> {
        self.wait(State::take).await
    }

    /// The next event or message, if there is one already.
    pub fn try_next(&self) -> Option<Event> {
        self.pull();
        self.inbox.lock().take()
    }

    /// Opens a session with the channels that the builder was given, and waits until it stands.
    ///
    /// Dropping the future gives the session up.
    ///
    /// # Errors
    /// Why it does not stand.
    pub async fn open(&self, to: impl Into<Address>) -> Result<SessionId, Closed> {
        self.opened(|endpoint, cx| endpoint.open_session(cx, to)).await
    }

    /// The same with channels, and a wish for its paths.
    ///
    /// # Errors
    /// Why it does not stand.
    pub async fn open_by(
        &self,
        to: impl Into<Address>,
        channels: Vec<Channel>,
        policy: PathPolicy,
    ) -> Result<SessionId, Closed> {
        self.opened(|endpoint, cx| endpoint.open_by(cx, to, channels, policy)).await
    }

    /// Accepts what [`Event::Incoming`] has told of; [`Event::Opened`] follows.
    pub fn accept(&self, session: SessionId) {
        self.act(|endpoint, cx| endpoint.accept(cx, session));
    }

    /// Refuses it, with a code and words of the application's own.
    pub fn refuse(&self, session: SessionId, code: u8, text: &str) {
        self.act(|endpoint, cx| endpoint.refuse(cx, session, code, text));
    }

    /// Sends a message, waiting while the channel is full. Cancellation-safe: it is sent when the future is ready.
    ///
    /// # Errors
    /// What is wrong with the call, or that the session has ended.
    pub async fn send(&self, session: SessionId, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        match self.try_send(session, channel, message) {
            Err(SendError::Blocked) => {}
            sent => return sent,
        }
        let _claim = Blocked::claim(self, session, channel);
        let sent = self.wait(|_| match self.try_send(session, channel, message) {
            Err(SendError::Blocked) => None,
            sent => Some(sent),
        });
        sent.await.unwrap_or(Err(SendError::NotOpen))
    }

    /// Sends a message if the channel has room.
    ///
    /// # Errors
    /// [`SendError::Blocked`] until [`Event::Writable`]; the others say what is wrong with the call.
    pub fn try_send(&self, session: SessionId, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        self.act(|endpoint, cx| endpoint.send(cx, session, channel, message))
    }

    /// Ends a session once all that was sent on reliable channels has arrived; [`Event::Closed`] follows.
    pub fn close(&self, session: SessionId, code: u8, text: &str) {
        self.act(|endpoint, cx| endpoint.close(cx, session, code, text));
    }

    /// Wants to be in a room, under a display name; [`Event::Room`] tells what comes of it. With a secret, only with
    /// those who know it too.
    ///
    /// # Errors
    /// A display name that is none.
    pub fn join(&self, room: &str, name: &str, secret: Option<&str>) -> Result<RoomId, JoinError> {
        self.act(|endpoint, cx| endpoint.join(cx, room, name, secret))
    }

    /// Leaves a room; its id is dead.
    pub fn leave(&self, room: RoomId) {
        self.act(|endpoint, cx| endpoint.leave(cx, room));
    }

    /// Says something to all others in a room.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn broadcast(&self, room: RoomId, bytes: &[u8]) -> Result<(), BroadcastError> {
        self.act(|endpoint, cx| endpoint.broadcast(cx, room, bytes))
    }

    /// The others in a room, as far as they are known.
    pub fn members(&self, room: RoomId) -> Vec<Member> {
        self.act(|endpoint, _| endpoint.members(room).collect())
    }

    /// Says goodbye to all neighbours and ends; messages that were not taken are dropped.
    pub async fn stop(&self) {
        self.inbox.lock().stopping = true;
        self.act(|endpoint, cx| endpoint.stop(cx));
        self.wait(|state| state.stopped.then_some(())).await;
        self.handle.shutdown();
    }

    async fn opened(&self, open: impl FnOnce(&mut Machine, &mut Cx<'_>) -> SessionId) -> Result<SessionId, Closed> {
        let mut opening = Opening::claim(self, open);
        let opened = self.wait(|state| state.opening.get_mut(&opening.session)?.take());
        let opened = opened.await.unwrap_or(Err(Closed::Abandoned));
        opening.decided = true;
        opened.map(|()| opening.session)
    }

    /// Looks for something among what has come, and again after each arrival; `None` once nothing can arrive.
    async fn wait<R>(&self, mut look: impl FnMut(&mut State) -> Option<R>) -> Option<R> {
        loop {
            let mut arrivals = pin!(self.inbox.arrivals.notified());
            arrivals.as_mut().enable();
            if let Some(found) = look(&mut self.inbox.lock()) {
                self.inbox.arrivals.notify_waiters();
                return Some(found);
            }
            if self.pull() {
                continue;
            }
            let mut news = pin!(self.handle.next());
            let arrived = poll_fn(|cx| match arrivals.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => news.as_mut().poll(cx).map(|news| news.is_some()),
            });
            if !arrived.await {
                return look(&mut self.inbox.lock());
            }
        }
    }

    /// Takes one thing that the hub has to say; false: there is nothing, or no room for it.
    fn pull(&self) -> bool {
        let mut state = self.inbox.lock();
        if state.is_full() {
            return false;
        }
        let Some(event) = self.act(|endpoint, cx| endpoint.next(cx)) else { return false };
        state.file(event);
        drop(state);
        self.inbox.arrivals.notify_waiters();
        true
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self) -> bool {
        !self.stopping && (self.events.len() >= MAX_KEPT_EVENTS || self.bytes >= MAX_KEPT_BYTES)
    }

    fn take(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= weight(&event);
        Some(event)
    }

    /// Gives an event to who waits for it, or keeps it.
    fn file(&mut self, event: Event) {
        match event {
            Event::Opened { session, .. } if self.opening.contains_key(&session) => {
                self.opening.insert(session, Some(Ok(())));
            }
            Event::Closed { session, reason, .. } if self.opening.contains_key(&session) => {
                self.opening.insert(session, Some(Err(reason)));
            }
            Event::Writable { session, channel } if self.blocked.contains_key(&(session, channel)) => {}
            Event::Message { .. } if self.stopping => {}
            Event::Stopped => self.stopped = true,
            event => {
                self.bytes += weight(&event);
                self.events.push_back(event);
            }
        }
    }
}

const fn weight(event: &Event) -> usize {
    match event {
        Event::Message { bytes, .. } => bytes.len(),
        _ => 0,
    }
}

/// Whoever waits for a session has its first event.
struct Opening<'a> {
    endpoint: &'a Endpoint,
    session: SessionId,
    decided: bool,
}

impl<'a> Opening<'a> {
    /// Claims it before anybody can take that event.
    fn claim(endpoint: &'a Endpoint, open: impl FnOnce(&mut Machine, &mut Cx<'_>) -> SessionId) -> Self {
        let mut state = endpoint.inbox.lock();
        let session = endpoint.act(open);
        state.opening.insert(session, None);
        Self { endpoint, session, decided: false }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.endpoint.inbox.lock().opening.remove(&self.session);
        if !self.decided {
            self.endpoint.close(self.session, 0, "");
        }
    }
}

/// Whoever waits to write hears of room alone.
struct Blocked<'a> {
    endpoint: &'a Endpoint,
    of: (SessionId, ChannelId),
}

impl<'a> Blocked<'a> {
    fn claim(endpoint: &'a Endpoint, session: SessionId, channel: ChannelId) -> Self {
        let of = (session, channel);
        *endpoint.inbox.lock().blocked.entry(of).or_default() += 1;
        Self { endpoint, of }
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        let mut state = self.endpoint.inbox.lock();
        let Some(count) = state.blocked.get_mut(&self.of) else { return };
        *count -= 1;
        if *count == 0 {
            state.blocked.remove(&self.of);
        }
    }
}
