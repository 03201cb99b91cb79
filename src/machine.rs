//! The contract: three verbs, the types that cross them, and the loop that drives them.
//!
//! A [`Machine`] is pure and synchronous. It owns no socket, clock, thread or source of entropy: time and
//! randomness arrive in a [`Cx`], bytes arrive in an [`Input`], and everything it wants from the world leaves
//! as an [`Output`] or is pulled by [`Machine::fill`]. A [`Pump`](pump::Pump) drives one machine over a set of
//! [`Sockets`](pump::Sockets); drivers and the simulator differ in the sockets only, so the loop that ships is
//! the loop that is tested.
//!
//! # Laws
//!
//! [`Checked`](check::Checked) asserts laws 1 to 3 and 8 to 11 around any machine. Twin runs show 7 and 13, a
//! counting allocator 4 and 12, fuzzing 5 and 14, the layer rule 6.
//!
//! 1. *One in, then drain.* After an input or a call, poll to `Wait` before the next input and before sleeping.
//!    Calls between events are allowed.
//! 2. *Honest wait.* `Wait(Some(deadline))` lies after `cx.now`, unless it, or one before it, has passed already and
//!    the timeout is just to come; "never" is `None`.
//! 3. *Early timeouts are no-ops.* Time never runs backwards: the owner clamps.
//! 4. *Bounded.* Every queue names its limit in [`Limits`](limits::Limits) and its overflow policy.
//!    Announced lengths are never reserved: buffers grow with arrival.
//! 5. *Total.* No input from a peer can panic, loop or allocate beyond the limits.
//! 6. *Iterate, never recurse*, across layers.
//! 7. *No hidden inputs.* The same seed and inputs give the same outputs.
//! 8. *Order in `poll`:* port requests, events, `Ready`, `Wait`.
//! 9. *Done is not for ever.* After `Fill::Done` nothing more until the next `Ready`; new work must lead to a
//!    `Ready`.
//! 10. *A paused port is quiet*: at most the chunk in hand is still delivered.
//! 11. *Ids die once.* After `Abort`, `Failed` or `Closed` no input and no request names that id.
//! 12. *Idle is free*: no buffer, no timer but keep-alive, no cost in another link's wake-up.
//! 13. *Chunking is invisible*: any split of the same bytes and any buffer limits give the same messages.
//! 14. *Pull what you can send*: no layer takes a message from above that it cannot write at once.

pub mod bucket;
pub mod buf;
#[cfg(all(test, feature = "webrtc"))]
pub(crate) mod campaign;
pub mod check;
pub mod conformance;
pub mod datagram;
pub mod ids;
pub mod kept;
pub mod lane;
pub mod limits;
pub mod outbox;
pub mod payload;
pub mod pipe;
pub mod port;
pub mod pump;
pub mod queue;
pub mod rng;
pub mod time;
pub mod timers;

use std::time::Duration;

use buf::Buf;
use datagram::{Datagrams, Transmit};
use ids::{Ids, PortId};
use port::{PortChange, PortRequest};
use rng::Rng;
use time::Instant;

/// A deterministic state machine: what a [`Pump`](pump::Pump) drives.
///
/// The traits exist only where ports are. Inner layers (TLS, WebSocket, framing) are plain structs with
/// inherent `receive` and `fill`.
pub trait Machine {
    /// What the layer above asks for.
    type Command;
    /// What the layer above is told: small, never payload.
    type Event;

    /// Takes exactly one thing in. Never fails: what a peer sends wrong is counted or becomes an event.
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Self::Command>);

    /// Takes exactly one thing out. After `Wait` nothing more comes until an input, a call, or the deadline.
    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Self::Event>;

    /// Pulls payload for one port into memory that the caller owns.
    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill;
}

impl<M: Machine + ?Sized> Machine for Box<M> {
    type Command = M::Command;
    type Event = M::Event;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Self::Command>) {
        (**self).handle(cx, input);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Self::Event> {
        (**self).poll(cx)
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        (**self).fill(cx, port, buf)
    }
}

/// What a machine may know of the world during one call.
#[derive(Debug)]
pub struct Cx<'a> {
    /// Monotonic time; never runs backwards.
    pub now: Instant,
    /// Time since the Unix epoch, for certificates; may jump.
    pub unix: Duration,
    /// The only source of randomness.
    pub rng: &'a mut Rng,
    /// The slabs that ports and links are named from.
    pub ids: &'a mut Ids,
}

/// The one thing that [`Machine::handle`] takes in.
#[derive(Debug)]
pub enum Input<'a, C> {
    /// Time has passed; may come early.
    Timeout,
    /// Bytes have come on a port. They are lent mutably, to be unmasked and decrypted in place.
    Receive(PortId, &'a mut [u8]),
    /// Datagrams have come on a port that was bound, all at once from one source.
    Datagrams(PortId, Datagrams<'a>),
    /// A port has changed.
    Port(PortId, PortChange),
    /// The layer above asks for something.
    Command(C),
}

/// The one thing that [`Machine::poll`] gives out.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<E> {
    /// The machine wants something of a port.
    Port(PortId, PortRequest),
    /// Something that the layer above should know.
    Event(E),
    /// [`Machine::fill`] has something for this port.
    Ready(PortId),
    /// Nothing more until an input, a call, or the deadline.
    Wait(Option<Deadline>),
}

/// What [`Machine::fill`] left behind; what it wrote is in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Nothing more for this port until the next `Ready`.
    Done,
    /// The buffer's limit was reached; ask again once it has been sent.
    More,
    /// For a port that was bound: the buffer holds datagrams to one destination, at least one byte in all; ask again
    /// once they have been sent. Such a port says `Done` with an empty buffer.
    Datagrams(Transmit),
}

/// When a machine wants to be woken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The moment.
    pub at: Instant,
    /// The reason, for traces and for people.
    pub why: &'static str,
}

impl Deadline {
    /// A deadline with its reason.
    pub const fn new(at: Instant, why: &'static str) -> Self {
        Self { at, why }
    }
}
