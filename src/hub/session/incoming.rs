//! The receiving side of one channel: duplicates, order, and how much the sender may send.
//!
//! *Order.* A run of an ordered channel that comes too early is held until those before it have come, or, on a
//! channel that gives runs up, until the sender has said that they will not.
//!
//! *Memory.* A run costs the bytes of its body plus [`RUN_COST`], for what is kept besides. The sender of a reliable
//! channel is *granted* a cost, counted from the channel's start: what was taken by the application, plus the window,
//! plus what lies in incomplete messages (at most the largest message), so that a message larger than the window
//! arrives. A grant never shrinks, and is told again whenever the peer seems not to know it. The other channels have
//! no grants: beyond the window the newest run is dropped.

use std::collections::BTreeMap;

use super::assembly::{Assembly, Fragment, Whole};
use super::event::Misbehaved;
use super::inbox::{Credit, Inbox};
use super::numbers::Numbers;
use super::{INITIAL_GRANT, RUN_COST};
use crate::wire::cursor::Cursor;
use crate::wire::session::{Form, Run};

/// Most gaps that a channel which gives runs up keeps open.
const MOST_GAPS: usize = 256;
/// No session counts as far; a number beyond would only overflow.
const LARGEST_NUMBER: u64 = 1 << 62;

/// What bounds a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Largest message, in bytes.
    pub(super) message: usize,
    /// Cost that waits untaken.
    pub(super) window: usize,
    /// What is wrong with a larger message.
    pub(super) too_large: Misbehaved,
}

/// The receiving side of one channel.
#[derive(Debug)]
pub(super) struct Incoming {
    channel: u16,
    ordered: bool,
    reliable: bool,
    numbers: Numbers,
    /// Of an ordered channel: the next run to be passed on.
    next: u64,
    held: BTreeMap<u64, Held>,
    held_cost: u64,
    assembly: Assembly,
    /// Cost of all that arrived.
    arrived: u64,
    /// Cost of what waits in the inbox.
    waiting: u64,
    /// Cost of what was taken out of it.
    credited: u64,
    granted: u64,
    told: u64,
    /// Whether an acknowledgement is owed.
    pub(super) owes_ack: bool,
}

#[derive(Debug)]
struct Held {
    form: Form,
    body: Vec<u8>,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It came for the first time.
    New,
    /// The same, but there was no room for it.
    Dropped,
    /// It had come before, or was given up.
    Old,
}

impl Incoming {
    pub(super) fn new(channel: u16, ordered: bool, reliable: bool, bounds: Bounds) -> Self {
        let mut incoming = Self {
            channel,
            ordered,
            reliable,
            numbers: Numbers::default(),
            next: 0,
            held: BTreeMap::new(),
            held_cost: 0,
            assembly: Assembly::default(),
            arrived: 0,
            waiting: 0,
            credited: 0,
            granted: INITIAL_GRANT,
            told: INITIAL_GRANT,
            owes_ack: false,
        };
        incoming.grant(bounds);
        incoming
    }

    pub(super) const fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// The grant for the peer, if the channel has one; from now on it counts as told.
    pub(super) fn tell_grant(&mut self) -> Option<u64> {
        self.told = self.granted;
        self.reliable.then_some(self.granted)
    }

    /// Whether the peer should hear of the grant before it runs dry.
    pub(super) const fn should_tell(&self, bounds: Bounds) -> bool {
        self.reliable && self.granted - self.told >= bounds.window as u64 / 4
    }

    /// Takes a run in and passes on what has become deliverable.
    pub(super) fn arrive(
        &mut self,
        run: Run,
        body: &[u8],
        bounds: Bounds,
        inbox: &mut Inbox,
    ) -> Result<Arrival, Misbehaved> {
        self.check(run, body, bounds)?;
        if let Some(alive) = run.alive {
            self.forward(alive, bounds, inbox)?;
        }
        if self.numbers.contains(run.number) {
            return Ok(Arrival::Old);
        }
        let cost = body.len() as u64 + RUN_COST;
        if self.reliable && self.arrived + cost > self.granted {
            return Err(Misbehaved::BeyondGrant);
        }
        self.numbers.insert(run.number);
        self.arrived += cost;
        let fits = self.reliable || self.fits(run.form, body, bounds);
        if fits {
            self.place(run, body, bounds, inbox)?;
        }
        if !self.reliable {
            self.numbers.bound(MOST_GAPS);
            self.catch_up(bounds, inbox)?;
        }
        self.grant(bounds);
        Ok(if fits { Arrival::New } else { Arrival::Dropped })
    }

    /// Runs below `oldest` will not come any more.
    pub(super) fn forward(&mut self, oldest: u64, bounds: Bounds, inbox: &mut Inbox) -> Result<(), Misbehaved> {
        if self.reliable {
            return Err(Misbehaved::ForwardOnReliable);
        }
        if oldest > LARGEST_NUMBER {
            return Err(Misbehaved::TooFarAhead);
        }
        if oldest <= self.numbers.next() {
            return Ok(());
        }
        self.numbers.forward(oldest);
        self.catch_up(bounds, inbox)
    }

    /// The application has taken something.
    pub(super) fn credit(&mut self, credit: Credit, bounds: Bounds) {
        self.waiting -= credit.cost;
        self.credited += credit.cost;
        self.grant(bounds);
    }

    fn check(&self, run: Run, body: &[u8], bounds: Bounds) -> Result<(), Misbehaved> {
        if body.is_empty() {
            return Err(Misbehaved::EmptyRun);
        }
        if run.number > LARGEST_NUMBER {
            return Err(Misbehaved::TooFarAhead);
        }
        if self.reliable && (run.number + 1).saturating_mul(RUN_COST + 1) > self.granted {
            return Err(Misbehaved::BeyondGrant);
        }
        match run.form {
            Form::Messages => check_messages(body, bounds),
            Form::Fragment { .. } => Ok(()),
        }
    }

    /// Whether an unreliable channel has room. An incomplete message may be as large as a message may be.
    fn fits(&self, form: Form, body: &[u8], bounds: Bounds) -> bool {
        let room = self.waiting + self.held_cost <= bounds.window as u64;
        match form {
            Form::Messages => room,
            Form::Fragment { .. } => room && self.assembly.bytes() + body.len() <= bounds.message + bounds.window,
        }
    }

    fn place(&mut self, run: Run, body: &[u8], bounds: Bounds, inbox: &mut Inbox) -> Result<(), Misbehaved> {
        if !self.ordered {
            return self.pass(run.number, run.form, body, bounds, inbox);
        }
        if run.number == self.next {
            self.next += 1;
            self.pass(run.number, run.form, body, bounds, inbox)?;
            return self.catch_up(bounds, inbox);
        }
        self.held.insert(run.number, Held { form: run.form, body: body.to_vec() });
        self.held_cost += body.len() as u64 + RUN_COST;
        Ok(())
    }

    /// Passes on what was held for runs that have come by now, or never will.
    fn catch_up(&mut self, bounds: Bounds, inbox: &mut Inbox) -> Result<(), Misbehaved> {
        let next = self.numbers.next();
        while let Some(first) = self.held.first_entry().filter(|first| *first.key() < next) {
            let (number, held) = first.remove_entry();
            self.held_cost -= held.body.len() as u64 + RUN_COST;
            if number != self.next {
                self.assembly.break_off();
            }
            self.next = number + 1;
            self.pass(number, held.form, &held.body, bounds, inbox)?;
        }
        if self.reliable {
            return Ok(());
        }
        if self.ordered && self.next < next {
            self.next = next;
            self.assembly.break_off();
        } else {
            self.assembly.forget_below(next);
        }
        Ok(())
    }

    fn pass(
        &mut self,
        number: u64,
        form: Form,
        body: &[u8],
        bounds: Bounds,
        inbox: &mut Inbox,
    ) -> Result<(), Misbehaved> {
        let Form::Fragment { begin, end } = form else {
            return self.pass_messages(body, inbox);
        };
        if self.ordered && !begin && !self.assembly.has_head() {
            return if self.reliable { Err(Misbehaved::FragmentOutOfPlace) } else { Ok(()) };
        }
        let whole = self.assembly.add(Fragment { number, begin, end, body }, bounds.message);
        let whole =
            whole.map_err(|error| if error == Misbehaved::MessageTooLarge { bounds.too_large } else { error })?;
        if let Some(Whole { message, runs }) = whole {
            self.waiting += message.len() as u64 + u64::from(runs) * RUN_COST;
            inbox.push_whole(self.channel, message, runs);
        }
        Ok(())
    }

    fn pass_messages(&mut self, body: &[u8], inbox: &mut Inbox) -> Result<(), Misbehaved> {
        if self.ordered && self.assembly.has_head() {
            return Err(Misbehaved::FragmentOutOfPlace);
        }
        self.waiting += body.len() as u64 + RUN_COST;
        inbox.push_run(self.channel, body);
        Ok(())
    }

    /// The cost of the runs of an incomplete message counts, too, but only as far as an honest sender's runs have it.
    fn grant(&mut self, bounds: Bounds) {
        let bytes = self.assembly.bytes().min(bounds.message) as u64;
        let incomplete = bytes + (self.assembly.runs() * RUN_COST).min(bytes / 4);
        self.granted = self.granted.max(self.credited + bounds.window as u64 + incomplete);
    }
}

fn check_messages(body: &[u8], bounds: Bounds) -> Result<(), Misbehaved> {
    let mut cursor = Cursor::new(body);
    while !cursor.is_empty() {
        let message = cursor.prefixed().map_err(|_| Misbehaved::BadRun)?;
        if message.len() > bounds.message {
            return Err(bounds.too_large);
        }
    }
    Ok(())
}
