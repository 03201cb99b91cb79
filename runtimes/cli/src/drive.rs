//! A session on tokio or on mio, and the signals that end it.
//!
//! Both loops are the same: step, then wait for an event, for a thread that wakes the loop, or for the session's
//! deadline.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Instant;

use switchboard_mio::Driver;
use tokio::runtime::Builder;
use tokio::sync::Notify;

use crate::args::Runtime;
use crate::outcome::{Code, Failure};
use crate::session::{Links, Session};
use crate::signals::Signals;

/// Runs a session to its end; `begin` is told by what to wake it and what says that a signal asks it to stop.
pub(crate) fn run(
    runtime: Runtime,
    links: Links,
    begin: impl FnOnce(Waker, Arc<AtomicBool>) -> Session,
) -> Result<(), Failure> {
    let driven = match runtime {
        Runtime::Tokio => on_tokio(links, begin),
        Runtime::Mio => on_mio(links, begin),
    };
    driven.map_err(|error| Failure::new(Code::Failed, format!("the event loop has failed: {error}")))?
}

fn on_tokio(links: Links, begin: impl FnOnce(Waker, Arc<AtomicBool>) -> Session) -> io::Result<Result<(), Failure>> {
    let tokio = Builder::new_current_thread().enable_all().build()?;
    let bell = Arc::new(Bell(Notify::new()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut session = begin(waker.clone(), watch_signals(waker)?);
    let end = tokio.block_on(tend(links, &mut session, &bell));
    let written = session.finish();
    Ok(end.and(written))
}

async fn tend(links: Links, session: &mut Session, bell: &Bell) -> Result<(), Failure> {
    let links = switchboard_tokio::spawn(links);
    links.act(|links, cx| links.start(cx));
    loop {
        if let Some(end) = links.act(|links, cx| session.step(links, cx)) {
            return end;
        }
        let deadline = session.deadline();
        let pause = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = links.next() => match event {
                Some(event) => session.on_event(event),
                None => return Err(Failure::new(Code::Failed, "the task of the links has ended")),
            },
            () = bell.0.notified() => {}
            () = pause => {}
        }
    }
}

fn on_mio(links: Links, begin: impl FnOnce(Waker, Arc<AtomicBool>) -> Session) -> io::Result<Result<(), Failure>> {
    let mut driver = Driver::new(links)?;
    let waker = driver.waker();
    let mut session = begin(waker.clone(), watch_signals(waker)?);
    driver.act(|links, cx| links.start(cx));
    loop {
        if let Some(end) = driver.act(|links, cx| session.step(links, cx)) {
            let written = session.finish();
            return Ok(end.and(written));
        }
        let wait = session.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if let Some(event) = driver.turn(wait)? {
            session.on_event(event);
        }
    }
}

/// Wakes the loop on tokio.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Answers what says that SIGINT or SIGTERM has come; the second one ends the process at once.
fn watch_signals(waker: Waker) -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    let tokio = Builder::new_current_thread().enable_all().build()?;
    let mut signals = Signals::new_in(&tokio)?;
    let told = Arc::clone(&asked);
    thread::spawn(move || {
        tokio.block_on(signals.next());
        told.store(true, Ordering::Release);
        waker.wake();
        tokio.block_on(signals.next());
        std::process::exit(130);
    });
    Ok(asked)
}
