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
    /// Largest body of a run.
    pub(super) run: usize,
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

    /// Whether the peer should hear of the grant before it runs dry: when there is much more than it knows, or when
    /// what it knows of may not do for another run.
    pub(super) const fn should_tell(&self, bounds: Bounds) -> bool {
        let more = self.granted - self.told;
        let is_scarce = self.told.saturating_sub(self.arrived) < bounds.run as u64 + RUN_COST;
        self.reliable && (more >= bounds.window as u64 / 4 || (more > 0 && is_scarce))
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

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { message: 100_000, run: 9000, window: 10_000, too_large: Misbehaved::MessageTooLarge };

    struct Receiver {
        incoming: Incoming,
        inbox: Inbox,
        reliable: bool,
    }

    impl Receiver {
        fn new(ordered: bool, reliable: bool) -> Self {
            Self { incoming: Incoming::new(1, ordered, reliable, BOUNDS), inbox: Inbox::default(), reliable }
        }

        /// A run with one message of one byte.
        fn arrive(&mut self, number: u64, alive: u64) -> Result<Arrival, Misbehaved> {
            self.arrive_as(number, alive, Form::Messages, &[1, number as u8])
        }

        fn arrive_as(&mut self, number: u64, alive: u64, form: Form, body: &[u8]) -> Result<Arrival, Misbehaved> {
            let alive = (!self.reliable).then_some(alive);
            self.incoming.arrive(Run { channel: 1, number, form, alive }, body, BOUNDS, &mut self.inbox)
        }

        /// The first bytes of what may be taken.
        fn take(&mut self) -> Vec<u8> {
            let mut taken = Vec::new();
            loop {
                if let Some(credit) = self.inbox.retire() {
                    self.incoming.credit(credit, BOUNDS);
                }
                let Some((_, message)) = self.inbox.take() else { return taken };
                taken.push(message.as_slice()[0]);
            }
        }
    }

    #[test]
    fn an_ordered_channel_holds_what_comes_too_early() {
        let mut receiver = Receiver::new(true, true);
        for number in [2, 1, 4] {
            assert_eq!(receiver.arrive(number, 0), Ok(Arrival::New));
        }
        assert!(receiver.take().is_empty());
        assert_eq!(receiver.arrive(2, 0), Ok(Arrival::Old));
        assert_eq!(receiver.arrive(0, 0), Ok(Arrival::New));
        assert_eq!(receiver.take(), [0, 1, 2]);
        receiver.arrive(3, 0).unwrap();
        assert_eq!(receiver.take(), [3, 4]);
    }

    #[test]
    fn an_unordered_channel_passes_everything_on_at_once_and_once() {
        let mut receiver = Receiver::new(false, true);
        for number in [2, 0, 2, 1, 0] {
            receiver.arrive(number, 0).unwrap();
        }
        assert_eq!(receiver.take(), [2, 0, 1]);
    }

    #[test]
    fn runs_given_up_hold_up_nobody() {
        let mut receiver = Receiver::new(true, false);
        receiver.arrive(0, 0).unwrap();
        receiver.arrive(3, 0).unwrap();
        assert_eq!(receiver.take(), [0]);
        receiver.arrive(5, 3).unwrap();
        assert_eq!(receiver.take(), [3]);
        receiver.incoming.forward(6, BOUNDS, &mut receiver.inbox).unwrap();
        assert_eq!(receiver.take(), [5]);
        assert_eq!(receiver.arrive(4, 0), Ok(Arrival::Old));
    }

    #[test]
    fn a_message_that_lost_a_fragment_is_forgotten() {
        let fragment = |begin, end| Form::Fragment { begin, end };
        for ordered in [true, false] {
            let mut receiver = Receiver::new(ordered, false);
            receiver.arrive_as(0, 0, fragment(true, false), b"a").unwrap();
            receiver.arrive_as(2, 0, fragment(false, true), b"c").unwrap();
            receiver.arrive_as(3, 3, fragment(true, true), b"d").unwrap();
            assert_eq!(receiver.take(), b"d", "ordered: {ordered}");
            assert_eq!(receiver.incoming.assembly.bytes(), 0);
        }
    }

    #[test]
    fn a_grant_follows_what_is_taken_and_a_breach_is_named() {
        let mut receiver = Receiver::new(true, true);
        assert_eq!(receiver.incoming.tell_grant(), Some(INITIAL_GRANT));
        let body = [&[0xff, 0x3f][..], &[9; 8191]].concat();
        let mut sent = 0;
        while (sent + 1) * (body.len() as u64 + RUN_COST) <= INITIAL_GRANT {
            receiver.arrive_as(sent, 0, Form::Messages, &body).unwrap();
            sent += 1;
        }
        assert_eq!(receiver.arrive_as(sent, 0, Form::Messages, &body), Err(Misbehaved::BeyondGrant));
        assert!(!receiver.incoming.should_tell(BOUNDS));
        assert_eq!(receiver.take().len() as u64, sent);
        assert!(receiver.incoming.should_tell(BOUNDS));
        let granted = receiver.incoming.tell_grant().unwrap();
        assert_eq!(granted, sent * (body.len() as u64 + RUN_COST) + BOUNDS.window as u64);
    }

    #[test]
    fn an_incomplete_message_is_granted_its_continuation_up_to_the_largest() {
        let mut receiver = Receiver::new(true, true);
        let piece = [1; 9000];
        for number in 0..11 {
            let form = Form::Fragment { begin: number == 0, end: false };
            assert_eq!(receiver.arrive_as(number, 0, form, &piece), Ok(Arrival::New), "{number}");
        }
        let more = Form::Fragment { begin: false, end: false };
        assert_eq!(receiver.arrive_as(11, 0, more, &piece), Err(Misbehaved::MessageTooLarge));
    }

    #[test]
    fn without_grants_the_newest_are_dropped_and_counted_as_received() {
        let mut receiver = Receiver::new(true, false);
        let body = [&[0xff, 0x0f][..], &[9; 2047]].concat();
        let arrivals: Vec<_> = (0..8).map(|n| receiver.arrive_as(n, 0, Form::Messages, &body).unwrap()).collect();
        assert_eq!(arrivals[..5], [Arrival::New; 5]);
        assert_eq!(arrivals[5..], [Arrival::Dropped; 3]);
        assert_eq!(receiver.incoming.numbers().next(), 8);
        assert_eq!(receiver.take().len(), 5);
        assert_eq!(receiver.arrive(8, 0), Ok(Arrival::New));
        assert_eq!(receiver.take(), [8]);
    }

    #[test]
    fn gaps_are_bounded_where_runs_may_be_given_up() {
        let mut receiver = Receiver::new(true, false);
        for number in 0..2000 {
            receiver.arrive(2 * number + 1, 0).unwrap();
            receiver.take();
        }
        assert_eq!(receiver.incoming.numbers().ranges().len(), MOST_GAPS);
        assert!(receiver.incoming.held.len() <= MOST_GAPS);
    }
}
