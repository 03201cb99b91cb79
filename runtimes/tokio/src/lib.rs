//! Drives a [`Machine`] under tokio: one task per machine, and handles to talk to it.
//!
//! ```no_run
//! # use switchboard::machine::{Cx, Fill, Input, Machine, Output, buf::Buf, ids::PortId};
//! # struct Chat;
//! # impl Machine for Chat {
//! #     type Command = ();
//! #     type Event = String;
//! #     fn handle(&mut self, _: &mut Cx<'_>, _: Input<'_, ()>) {}
//! #     fn poll(&mut self, _: &mut Cx<'_>) -> Output<String> { Output::Wait(None) }
//! #     fn fill(&mut self, _: &mut Cx<'_>, _: PortId, _: &mut Buf) -> Fill { Fill::Done }
//! # }
//! # impl Chat { fn say(&mut self, _: &mut Cx<'_>, _: &str) {} }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let chat = switchboard_tokio::spawn(Chat);
//! chat.act(|chat, cx| chat.say(cx, "hello"));
//! while let Some(event) = chat.next().await {
//!     println!("{event}");
//! }
//! # }
//! ```
//!
//! The task turns the [`Pump`] until it waits, then sleeps until the deadline, a socket's waker or a handle. The
//! clock is read before each turn, so timers of the machine do not depend on those of the runtime, and it is
//! tokio's, so that time can be paused. A spent budget gives way to the runtime, which looks at its sockets
//! before it comes back. Machine, sockets and events lie under one lock, which is never held across an `await`.
//!
//! The task ends with its last handle, and its sockets with it: nothing is left behind.

#[path = "../../addresses.rs"]
mod addresses;
mod endpoint;
#[path = "../../environment.rs"]
pub mod environment;
mod sockets;
#[path = "../../udp.rs"]
mod udp;
mod wakeups;

/// The examples of the README, run with this crate's tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use switchboard::machine::check::{Checked, OnBreach};
use switchboard::machine::conformance::Happening;
use switchboard::machine::pump::{Budget, Pump, Turn};
use switchboard::machine::queue::Bounded;
use switchboard::machine::time::{Epoch, Instant};
use switchboard::machine::{Cx, Deadline, Machine};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Sleep;

pub use endpoint::{Endpoint, MAX_KEPT_BYTES, MAX_KEPT_EVENTS};
pub use sockets::TokioSockets;
use wakeups::Wakeups;

/// Events that wait to be taken; when there are so many, the machine rests until one is.
pub const MAX_EVENTS: usize = 1024;

/// Starts a task on the current runtime that drives `machine`.
///
/// # Panics
///
/// Outside a runtime with I/O and time enabled, and when the system has no randomness to give.
pub fn spawn<M>(machine: M) -> Handle<M>
where
    M: Machine + Send + 'static,
    M::Event: Send,
{
    let driver = Arc::new(Driver::new(machine));
    tokio::spawn(tokio::task::unconstrained(drive(Ending(driver.clone()))));
    Handle { ending: Arc::new(Ending(driver)) }
}

/// The system's root certificates in DER, as far as they can be read.
pub fn system_roots() -> Vec<Vec<u8>> {
    rustls_native_certs::load_native_certs().certs.iter().map(|root| root.to_vec()).collect()
}

/// A machine that runs in a task; clones are handles to the same machine.
pub struct Handle<M: Machine> {
    ending: Arc<Ending<M>>,
}

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { ending: self.ending.clone() }
    }
}

impl<M: Machine> Handle<M> {
    /// Calls the machine and wakes its task, which does what follows from the call.
    ///
    /// It never awaits, so it is cancellation-safe. The driver's lock is held meanwhile: `f` must be short and must
    /// not use a handle to the same machine. Once the driver has ended, nothing follows from a call.
    pub fn act<R>(&self, f: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R {
        let result = self.driver().lock().act(self.driver().now(), f);
        self.driver().wakeups.wake();
        result
    }

    /// The next event; `None` once the driver has ended and all events are taken.
    ///
    /// Cancellation-safe: an event is taken or stays. Several handles share one queue of [`MAX_EVENTS`].
    pub async fn next(&self) -> Option<M::Event> {
        loop {
            let news = self.driver().news.notified();
            let ended = self.driver().lock().ended;
            match self.try_next() {
                None if !ended => news.await,
                event => return event,
            }
        }
    }

    /// The next event, if there is one already.
    pub fn try_next(&self) -> Option<M::Event> {
        let mut state = self.driver().lock();
        let rested = state.events.is_full();
        let event = state.events.pop();
        drop(state);
        if rested {
            self.driver().wakeups.wake();
        }
        event
    }

    /// Hands a stream over: it answers the next [`PortSpec::Host`] of that name, before the pipes of the process do.
    ///
    /// It is polled under the driver's lock. `tokio::io::join` makes one stream of a reader and a writer.
    ///
    /// [`PortSpec::Host`]: switchboard::machine::port::PortSpec::Host
    pub fn provide(&self, name: &str, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        self.driver().lock().pump.sockets().provide(name, stream);
    }

    /// Ends the task and closes all its sockets, as dropping the last handle does.
    pub fn shutdown(&self) {
        self.driver().end();
    }

    fn driver(&self) -> &Driver<M> {
        &self.ending.0
    }
}

/// Ends the driver when the last handle goes, or when its task does, by a panic or with its runtime.
struct Ending<M: Machine>(Arc<Driver<M>>);

impl<M: Machine> Drop for Ending<M> {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct Driver<M: Machine> {
    state: Mutex<State<M>>,
    wakeups: Arc<Wakeups>,
    news: Notify,
    epoch: Epoch,
}

struct State<M: Machine> {
    pump: Pump<Checked<M>, TokioSockets>,
    events: Bounded<M::Event>,
    ended: bool,
}

enum Turned {
    Ended,
    Spent,
    Wait(Option<Deadline>),
}

async fn drive<M: Machine>(ending: Ending<M>) {
    let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
    while poll_fn(|cx| ending.0.poll(cx, sleep.as_mut())).await.is_continue() {
        tokio::task::yield_now().await;
    }
}

impl<M: Machine> Driver<M> {
    fn new(machine: M) -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the system gives randomness");
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let on_breach = if cfg!(debug_assertions) { OnBreach::Panic } else { OnBreach::Ignore };
        let sockets = TokioSockets::new();
        let wakeups = sockets.wakeups();
        let pump = Pump::new(Checked::new(machine, on_breach), sockets, seed, unix);
        Self {
            state: Mutex::new(State { pump, events: Bounded::new(MAX_EVENTS), ended: false }),
            wakeups,
            news: Notify::new(),
            epoch: Epoch::new(tokio::time::Instant::now().into_std(), unix),
        }
    }

    fn now(&self) -> Instant {
        self.epoch.instant(tokio::time::Instant::now().into_std())
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<ControlFlow<()>> {
        let deadline = match self.turn(cx) {
            Turned::Ended => return Poll::Ready(ControlFlow::Break(())),
            Turned::Spent => return Poll::Ready(ControlFlow::Continue(())),
            Turned::Wait(deadline) => deadline.and_then(|deadline| self.epoch.std(deadline.at)),
        };
        let Some(at) = deadline.map(tokio::time::Instant::from_std) else { return Poll::Pending };
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        ready!(sleep.poll(cx));
        Poll::Ready(ControlFlow::Continue(()))
    }

    fn turn(&self, cx: &mut Context<'_>) -> Turned {
        let mut state = self.lock();
        let before = state.events.len();
        let turned = state.turn(self.now(), cx);
        let news = state.events.len() > before;
        drop(state);
        if news {
            self.news.notify_waiters();
        }
        turned
    }

    fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let sockets = std::mem::take(state.pump.sockets());
        drop(state);
        drop(sockets);
        self.wakeups.wake();
        self.news.notify_waiters();
    }
}

impl<M: Machine> State<M> {
    fn act<R>(&mut self, now: Instant, f: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R {
        self.pump.act(now, |machine, cx| f(machine.call(), cx))
    }

    fn turn(&mut self, now: Instant, cx: &mut Context<'_>) -> Turned {
        if self.ended {
            return Turned::Ended;
        }
        while let Poll::Ready((port, happening)) = self.pump.sockets().poll(cx) {
            match happening {
                Happening::Ready(readiness) => self.pump.ready(port, readiness),
                Happening::Change(change) => self.pump.change(port, change),
            }
        }
        while !self.events.is_full() {
            match self.pump.turn(now, Budget::default()) {
                Turn::Event(event) => _ = self.events.push(event),
                Turn::More => return Turned::Spent,
                Turn::Wait(deadline) => return Turned::Wait(deadline),
            }
        }
        Turned::Wait(None)
    }
}
