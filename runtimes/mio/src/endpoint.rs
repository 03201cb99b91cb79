//! An endpoint on the caller's own thread.

use std::io;
use std::task::Waker;
use std::time::{Duration, Instant};

use switchboard::connect::{Builder, ConnectError, Endpoint as Machine};
use switchboard::hub::channel::ChannelId;
use switchboard::hub::{BroadcastError, Event, JoinError, Member, RoomId, SendError, SessionId};
use switchboard::machine::Cx;
use switchboard::machine::rng::Rng;
use switchboard::wire::identity::Address;

use crate::Driver;

/// An endpoint that runs while it is turned.
pub struct Endpoint {
    driver: Driver<Machine>,
}

/// Why an endpoint does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A connection string is none.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The system gives no event queue, or no randomness.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Endpoint {
    /// Starts an endpoint: once it is turned, it dials its relays and opens its listeners.
    ///
    /// [`crate::environment::builder`] has key and relays of the user's environment.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(builder: Builder) -> Result<Self, StartError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::from)?;
        let mut driver = Driver::new(builder.build(&mut Rng::from_seed(seed))?)?;
        driver.act(|endpoint, cx| endpoint.start(cx));
        Ok(Self { driver })
    }

    /// Who this endpoint is.
    pub fn address(&self) -> Address {
        self.driver.machine().address()
    }

    /// Works until there is an event or a message, `max_wait` has passed, or [`Self::waker`] is woken; the latter two
    /// are `None`. See [`Driver::turn`].
    ///
    /// # Errors
    /// Those of the system's event queue.
    pub fn turn(&mut self, max_wait: Option<Duration>) -> io::Result<Option<Event>> {
        let until = max_wait.and_then(|max| Instant::now().checked_add(max));
        loop {
            if let Some(event) = self.act(|endpoint, cx| endpoint.next(cx)) {
                return Ok(Some(event));
            }
            let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
            if self.driver.turn(rest)?.is_none() {
                return Ok(self.act(|endpoint, cx| endpoint.next(cx)));
            }
        }
    }

    /// The next event or message, if there is one without waiting: [`Self::turn`] by zero.
    ///
    /// # Errors
    /// Those of the system's event queue.
    pub fn next_now(&mut self) -> io::Result<Option<Event>> {
        self.turn(Some(Duration::ZERO))
    }

    /// Opens a session with the channels that the builder was given; [`Event::Opened`] or [`Event::Closed`] follows.
    pub fn open(&mut self, to: impl Into<Address>) -> SessionId {
        self.act(|endpoint, cx| endpoint.open_session(cx, to))
    }

    /// Accepts what [`Event::Incoming`] has told of; [`Event::Opened`] follows.
    pub fn accept(&mut self, session: SessionId) {
        self.act(|endpoint, cx| endpoint.accept(cx, session));
    }

    /// Refuses it, with a code and words of the application's own.
    pub fn refuse(&mut self, session: SessionId, code: u8, text: &str) {
        self.act(|endpoint, cx| endpoint.refuse(cx, session, code, text));
    }

    /// Sends a message if the channel has room.
    ///
    /// # Errors
    /// [`SendError::Blocked`] until [`Event::Writable`]; the others say what is wrong with the call.
    pub fn send(&mut self, session: SessionId, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        self.act(|endpoint, cx| endpoint.send(cx, session, channel, message))
    }

    /// Ends a session once all that was sent on reliable channels has arrived; [`Event::Closed`] follows.
    pub fn close(&mut self, session: SessionId, code: u8, text: &str) {
        self.act(|endpoint, cx| endpoint.close(cx, session, code, text));
    }

    /// Wants to be in a room, under a display name; [`Event::Room`] tells what comes of it. With a secret, only with
    /// those who know it too.
    ///
    /// # Errors
    /// A display name that is none.
    pub fn join(&mut self, room: &str, name: &str, secret: Option<&str>) -> Result<RoomId, JoinError> {
        self.act(|endpoint, cx| endpoint.join(cx, room, name, secret))
    }

    /// Leaves a room; its id is dead.
    pub fn leave(&mut self, room: RoomId) {
        self.act(|endpoint, cx| endpoint.leave(cx, room));
    }

    /// Says something to all others in a room.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn broadcast(&mut self, room: RoomId, bytes: &[u8]) -> Result<(), BroadcastError> {
        self.act(|endpoint, cx| endpoint.broadcast(cx, room, bytes))
    }

    /// The others in a room, as far as they are known.
    pub fn members(&self, room: RoomId) -> impl Iterator<Item = Member> {
        self.driver.machine().members(room)
    }

    /// Says goodbye to all neighbours; [`Event::Stopped`] follows.
    pub fn stop(&mut self) {
        self.act(|endpoint, cx| endpoint.stop(cx));
    }

    /// Calls the endpoint for what is not listed here; the next turn does what follows from it.
    pub fn act<R>(&mut self, f: impl FnOnce(&mut Machine, &mut Cx<'_>) -> R) -> R {
        self.driver.act(f)
    }

    /// Interrupts the turn under way, or else the next one, from any thread.
    pub fn waker(&mut self) -> Waker {
        self.driver.waker()
    }
}
