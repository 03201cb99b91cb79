//! The server: passes each message from one of its two links to the other, on a thread driven by mio.

use std::ops::ControlFlow;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use switchboard::connect::{ConnectionString, Options, Registry};
use switchboard::machine::Cx;
use switchboard::transport::alone::{AloneEvent, Message, SendError};
use switchboard::transport::{Alone, TransportEvent};
use switchboard_mio::Driver;

use crate::outcome::{Code, Failure};
use crate::report::connectable;
use crate::session::Links;

/// A relay that runs.
pub(super) struct Relay {
    /// How to dial it.
    pub(super) string: String,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Relay {
    /// Listens on a port of the system's choice.
    pub(super) fn start(kind: &str, options: &Options) -> Result<Self, Failure> {
        let string =
            if kind.starts_with("ws") { format!("{kind}://127.0.0.1:0/") } else { format!("{kind}:127.0.0.1:0") };
        let links = Alone::new(Registry::new().listen(&string, options)?, options.limits.clone());
        let parsed = ConnectionString::parse(&string)?;
        let (told, addresses) = channel();
        let thread = thread::spawn(move || serve(links, &parsed, told));
        match addresses.recv() {
            Ok(string) => Ok(Self { string, thread }),
            Err(_) => Err(joined(thread).err().unwrap_or_else(|| failed("it ended at once"))),
        }
    }

    /// Waits for its end, which follows that of both clients.
    pub(super) fn finish(self) -> Result<(), Failure> {
        joined(self.thread)
    }
}

fn joined(thread: JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    thread.join().unwrap_or_else(|_| Err(failed("its thread has panicked")))
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Failed, format!("the relay has failed: {why}"))
}

fn serve(links: Links, string: &ConnectionString, told: Sender<String>) -> Result<(), Failure> {
    let mut driver = Driver::new(links).map_err(failed)?;
    let mut passing = Passing::default();
    driver.act(|links, cx| links.start(cx));
    let served = driver.run(|driver, event| {
        match event {
            AloneEvent::Transport(TransportEvent::Listening(address)) => _ = told.send(connectable(string, address)),
            AloneEvent::Transport(TransportEvent::Failed(reason)) => return ControlFlow::Break(Err(failed(reason))),
            AloneEvent::Transport(TransportEvent::Stopped) => return ControlFlow::Break(Ok(())),
            AloneEvent::Transport(TransportEvent::Down(..)) => passing.downs += 1,
            _ => {}
        }
        driver.act(|links, cx| passing.pass(links, cx));
        ControlFlow::Continue(())
    });
    served.map_err(failed)?
}

/// What is under way from one link to the other.
#[derive(Default)]
struct Passing {
    held: Option<Message>,
    downs: u32,
}

impl Passing {
    fn pass(&mut self, links: &mut Links, cx: &mut Cx<'_>) {
        while let Some(message) = self.held.take().or_else(|| links.recv(cx)) {
            let other = links.links().find(|link| *link != message.link);
            let waits = match other {
                Some(link) => links.send(cx, link, message.kind, &message.bytes) == Err(SendError::Blocked),
                None => self.downs == 0,
            };
            if waits {
                self.held = Some(message);
                return;
            }
        }
        if self.downs == 2 {
            links.stop(cx);
        }
    }
}
