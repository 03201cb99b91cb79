//! Drives Switchboard's machines by mio: one thread, no runtime.
//!
//! A [`Driver`] is a [`Pump`] over [`MioSockets`] with the system's clock and entropy. [`Driver::turn`] is the whole
//! event loop: a game calls it with a wait of zero once per frame, a server calls [`Driver::run`]. Everything
//! happens on the calling thread, but for name look-ups, which the system offers only as a blocking call.
//!
//! In debug builds the laws of the contract are asserted around the machine, and a breach panics.

#[path = "../../addresses.rs"]
mod addresses;
mod endpoint;
#[path = "../../environment.rs"]
pub mod environment;
mod resolver;
mod sockets;
#[path = "../../udp.rs"]
mod udp;

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use switchboard::machine::check::{Checked, OnBreach};
use switchboard::machine::conformance::Happening;
use switchboard::machine::ids::PortId;
use switchboard::machine::pump::{Budget, Pump, Turn};
use switchboard::machine::time::Epoch;
use switchboard::machine::{Cx, Machine};

pub use endpoint::{Endpoint, StartError};
pub use sockets::MioSockets;

const ON_BREACH: OnBreach = if cfg!(debug_assertions) { OnBreach::Panic } else { OnBreach::Ignore };

/// One machine on the system's sockets.
pub struct Driver<M> {
    pump: Pump<Checked<M>, MioSockets>,
    epoch: Epoch,
    news: Vec<(PortId, Happening)>,
}

impl<M: Machine> Driver<M> {
    /// A driver whose time begins now, seeded by the system.
    pub fn new(machine: M) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = Epoch::new(Instant::now(), unix);
        let pump = Pump::new(Checked::new(machine, ON_BREACH), MioSockets::new()?, seed, unix);
        Ok(Self { pump, epoch, news: Vec::new() })
    }

    /// What machines are told of std's clock by.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The machine, to be read.
    pub const fn machine(&self) -> &M {
        self.pump.machine().get()
    }

    /// Lets the caller change the machine; the next [`Self::turn`] does what follows from it.
    pub fn act<R>(&mut self, change: impl FnOnce(&mut M, &mut Cx<'_>) -> R) -> R {
        self.pump.act(self.epoch.instant(Instant::now()), |machine, cx| change(machine.call(), cx))
    }

    /// Works until there is an event, `max_wait` has passed, or [`Self::waker`] is woken; the latter two are `None`.
    ///
    /// Zero never blocks: it does what can be done at once, within one [`Budget`] if no event comes. `None` waits
    /// as long as it takes.
    pub fn turn(&mut self, max_wait: Option<Duration>) -> io::Result<Option<M::Event>> {
        let until = max_wait.and_then(|max| Instant::now().checked_add(max));
        let mut polled = false;
        loop {
            let std_now = Instant::now();
            let now = self.epoch.instant(std_now);
            let wait = match self.pump.turn(now, Budget::default()) {
                Turn::Event(event) => return Ok(Some(event)),
                Turn::More => Some(Duration::ZERO),
                Turn::Wait(deadline) => deadline.map(|deadline| deadline.at - now),
            };
            let rest = until.map(|until| until.saturating_duration_since(std_now));
            if self.pump.sockets().take_interruption() || polled && rest == Some(Duration::ZERO) {
                return Ok(None);
            }
            self.poll(wait.into_iter().chain(rest).min())?;
            polled = true;
        }
    }

    /// The next event, if there is one without waiting: [`Self::turn`] by zero.
    pub fn next_now(&mut self) -> io::Result<Option<M::Event>> {
        self.turn(Some(Duration::ZERO))
    }

    /// Turns until `on_event` breaks; interruptions are passed over.
    pub fn run<R>(&mut self, mut on_event: impl FnMut(&mut Self, M::Event) -> ControlFlow<R>) -> io::Result<R> {
        loop {
            if let Some(event) = self.turn(None)?
                && let ControlFlow::Break(result) = on_event(self, event)
            {
                return Ok(result);
            }
        }
    }

    /// Interrupts the turn under way, or else the next one, from any thread.
    pub fn waker(&mut self) -> Waker {
        self.pump.sockets().waker()
    }

    /// Lets `stream`, which must not block, answer the next opening of `PortSpec::Host(name)`, before the pipes of
    /// the process do. A second stream of that name replaces one that nobody has opened.
    ///
    /// What its `write` takes must leave without `flush`. It has no half-close: to finish it is to flush and drop
    /// it, once all that was owed has been written.
    pub fn provide(&mut self, name: &str, stream: impl Read + Write + mio::event::Source + 'static) {
        self.pump.sockets().provide(name, Box::new(stream));
    }

    fn poll(&mut self, max: Option<Duration>) -> io::Result<()> {
        self.pump.sockets().poll(max, &mut self.news)?;
        for (port, happening) in self.news.drain(..) {
            match happening {
                Happening::Ready(readiness) => self.pump.ready(port, readiness),
                Happening::Change(change) => self.pump.change(port, change),
            }
        }
        Ok(())
    }
}

/// The certificates of the authorities that this system trusts, in DER; those that cannot be read are left out.
pub fn system_roots() -> Vec<Vec<u8>> {
    rustls_native_certs::load_native_certs().certs.iter().map(|root| root.to_vec()).collect()
}
