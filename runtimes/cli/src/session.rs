//! What `dial` and `listen` do, whatever drives them: standard input to the links, the links to standard output.
//!
//! [`Session::step`] does all that can be done at once; it is called after each event, when a thread of input or
//! output has news, and at [`Session::deadline`]. What is taken from input is held until every link that is up has
//! taken it, so a link that does not read holds up the input and is held up by nobody. With `--echo` the links
//! themselves are the input.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use switchboard::connect::{AnyTransport, Role};
use switchboard::machine::Cx;
use switchboard::machine::ids::LinkId;
use switchboard::transport::alone::{AloneEvent, SendError};
use switchboard::transport::{Alone, DownReason, Reconnect, TransportEvent};

use crate::args::{Linger, PeerArgs};
use crate::messages::{Fed, Message, Output};
use crate::outcome::{Code, Failure};
use crate::report::Report;

/// What a session runs on.
pub(crate) type Links = Alone<AnyTransport>;

/// One `dial` or `listen`.
pub(crate) struct Session {
    report: Report,
    plan: Plan,
    stop: Arc<AtomicBool>,
    input: Option<Receiver<Fed>>,
    queue: VecDeque<Message>,
    held: Option<Held>,
    output: Output,
    /// How many messages are still to come before the end.
    wanted: Option<u64>,
    quiet_since: Instant,
    established: bool,
    stopping: Option<Stopping>,
    end: Option<Result<(), Failure>>,
}

/// What the command line asks of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) echo: bool,
    pub(crate) count: Option<u64>,
    pub(crate) linger: Linger,
    pub(crate) reconnect: Reconnect,
}

impl Plan {
    pub(crate) const fn of(args: &PeerArgs, linger: Linger, reconnect: Reconnect) -> Self {
        Self { echo: args.echo, count: args.count, linger, reconnect }
    }
}

/// Why a session ends by itself.
#[derive(Debug)]
enum Stopping {
    Asked,
    Silence,
    Broken(Failure),
}

/// A message that is not with all its links yet.
struct Held {
    message: Message,
    /// The links that are to take it; before there is any, none.
    to: Vec<LinkId>,
    /// Whether it is for whoever is up when it is sent, and has not been taken by anybody.
    open: bool,
}

impl Session {
    pub(crate) fn new(
        report: Report,
        plan: Plan,
        stop: Arc<AtomicBool>,
        input: Option<Receiver<Fed>>,
        output: Output,
    ) -> Self {
        Self {
            report,
            plan,
            stop,
            input,
            queue: VecDeque::new(),
            held: None,
            output,
            wanted: plan.count,
            quiet_since: Instant::now(),
            established: false,
            stopping: None,
            end: None,
        }
    }

    /// Takes note of what the links tell; a step follows.
    pub(crate) fn on_event(&mut self, event: AloneEvent) {
        match event {
            AloneEvent::Transport(event) => self.on_transport(event),
            AloneEvent::Readable | AloneEvent::Writable(_) => {}
        }
    }

    /// Does all that can be done at once; answers how the session ended, once it has.
    pub(crate) fn step(&mut self, links: &mut Links, cx: &mut Cx<'_>) -> Option<Result<(), Failure>> {
        if self.stop.load(Ordering::Acquire) || self.output.is_gone() {
            self.stop(links, cx, Stopping::Asked);
        }
        self.send(links, cx);
        let drained = self.receive(links, cx);
        self.output.pass();
        self.look_for_the_end(links, cx);
        if self.end.is_some() && drained && self.output.is_passed() { self.end.take() } else { None }
    }

    /// When to step again if nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let Linger::For(linger) = self.plan.linger else { return None };
        let waits = self.established && self.input.is_none() && !self.plan.echo && self.is_sent();
        (waits && self.stopping.is_none()).then(|| self.quiet_since + linger)
    }

    /// Waits until all received messages are written.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let written = self.output.finish();
        written.map_err(|error| Failure::new(Code::Failed, format!("standard output: {error}")))
    }

    fn on_transport(&mut self, event: TransportEvent) {
        match event {
            TransportEvent::Listening(address) => {
                self.established = true;
                self.report.listening(address);
            }
            TransportEvent::Up(link, info) => {
                self.established = true;
                self.quiet_since = Instant::now();
                self.report.up(link, &info);
            }
            TransportEvent::Down(link, reason) => self.report.down(link, &reason),
            TransportEvent::Refused(peer, reason) => {
                // Without a further try the same is about to be told as the end.
                if self.report.role == Role::Listen || self.plan.reconnect != Reconnect::Never {
                    self.report.refused(peer, &self.failure(Code::Unreachable, reason.to_string(), &reason));
                }
            }
            TransportEvent::Retrying(pause) => self.report.retrying(pause),
            TransportEvent::Failed(reason) => self.end = Some(self.verdict(&reason)),
            TransportEvent::Stopped => self.end = Some(self.stopped()),
        }
    }

    fn failure(&self, code: Code, text: String, reason: &DownReason) -> Failure {
        Failure::of(code, text, reason, self.report.role, &self.report.string.to_string())
    }

    /// What it means that the transport can't go on.
    fn verdict(&self, reason: &DownReason) -> Result<(), Failure> {
        let string = &self.report.string;
        let (code, text) = match (self.report.role, self.established) {
            (Role::Listen, false) => (Code::Unreachable, format!("could not listen on {string}: {reason}")),
            (Role::Listen, true) => (Code::Failed, format!("{string} has ceased to listen: {reason}")),
            (Role::Dial, false) => (Code::Unreachable, format!("could not connect to {string}: {reason}")),
            (Role::Dial, true) if is_proper(reason) => return self.complete(),
            (Role::Dial, true) => (Code::Lost, format!("the link to {string} was lost: {reason}")),
        };
        Err(self.failure(code, text, reason))
    }

    /// Whether all was done when the peer closed the link, or fell silent.
    fn complete(&self) -> Result<(), Failure> {
        if let Some(missing) = self.wanted.filter(|missing| *missing > 0) {
            let text = format!("the link has ended and {missing} of the messages that --count asks for did not come");
            return Err(Failure::new(Code::Lost, text));
        }
        if !self.is_sent() {
            return Err(Failure::new(Code::Lost, "the peer closed the link before all input was sent"));
        }
        Ok(())
    }

    fn stopped(&mut self) -> Result<(), Failure> {
        match self.stopping.take() {
            Some(Stopping::Silence) => self.complete(),
            Some(Stopping::Broken(failure)) => Err(failure),
            Some(Stopping::Asked) | None => Ok(()),
        }
    }

    fn is_sent(&self) -> bool {
        self.held.is_none() && self.queue.is_empty()
    }

    fn stop(&mut self, links: &mut Links, cx: &mut Cx<'_>, why: Stopping) {
        if self.stopping.is_some() || self.end.is_some() {
            return;
        }
        self.stopping = Some(why);
        (self.input, self.held) = (None, None);
        self.queue.clear();
        links.stop(cx);
    }

    fn send(&mut self, links: &mut Links, cx: &mut Cx<'_>) {
        while let Some(held) = self.held.take().or_else(|| self.next_input(links, cx)) {
            self.held = offer(links, cx, held);
            if self.held.is_some() {
                return;
            }
        }
    }

    fn next_input(&mut self, links: &mut Links, cx: &mut Cx<'_>) -> Option<Held> {
        if self.queue.is_empty() {
            match self.input.as_ref()?.try_recv() {
                Ok(Fed::Messages(batch)) => self.queue.extend(batch),
                Ok(Fed::Broken(error)) => {
                    let failure = Failure::new(Code::Failed, error.to_string());
                    self.stop(links, cx, Stopping::Broken(failure));
                }
                Err(TryRecvError::Disconnected) => {
                    self.input = None;
                    self.quiet_since = Instant::now();
                }
                Err(TryRecvError::Empty) => {}
            }
        }
        self.queue.pop_front().map(|message| Held { message, to: Vec::new(), open: true })
    }

    /// Whether there is nothing more to receive.
    fn receive(&mut self, links: &mut Links, cx: &mut Cx<'_>) -> bool {
        while self.output.has_room() && !(self.plan.echo && self.held.is_some()) {
            let Some(message) = links.recv(cx) else { return true };
            if self.wanted == Some(0) {
                continue;
            }
            self.quiet_since = Instant::now();
            self.wanted = self.wanted.map(|wanted| wanted - 1);
            if self.plan.echo {
                let held = Held { message: (message.kind, message.bytes), to: vec![message.link], open: false };
                self.held = offer(links, cx, held);
            } else {
                self.output.push(&message.bytes);
            }
            if !self.output.has_room() {
                self.output.pass();
            }
        }
        false
    }

    fn look_for_the_end(&mut self, links: &mut Links, cx: &mut Cx<'_>) {
        let counted = self.wanted == Some(0) && !(self.plan.echo && self.held.is_some());
        if counted {
            return self.stop(links, cx, Stopping::Asked);
        }
        let now = Instant::now();
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        if links.links().any(|link| links.queued(link) > 0) {
            self.quiet_since = now;
        } else {
            self.stop(links, cx, Stopping::Silence);
        }
    }
}

/// Gives a message to the links that have room; what is left of the errand is held.
fn offer(links: &mut Links, cx: &mut Cx<'_>, mut held: Held) -> Option<Held> {
    if held.open && held.to.is_empty() {
        held.to = links.links().collect();
    }
    let (kind, bytes) = &held.message;
    let open = &mut held.open;
    held.to.retain(|link| {
        let sent = links.send(cx, *link, *kind, bytes);
        *open &= sent.is_err();
        sent == Err(SendError::Blocked)
    });
    (held.open || !held.to.is_empty()).then_some(held)
}

/// Whether a peer has closed a link because it was done with it.
fn is_proper(reason: &DownReason) -> bool {
    match reason {
        DownReason::Closed(close) => close.code.is_none_or(|code| [1000, 1001, 1005].contains(&code)),
        DownReason::Requested => true,
        _ => false,
    }
}
