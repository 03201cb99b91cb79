//! A whole network in virtual time, from one seed.
//!
//! A [`World`] runs any number of hosts, each the same [`Pump`](crate::machine::pump::Pump) that drivers ship,
//! over [`VirtualSockets`]. Nothing waits: time jumps to the next thing that is due, so an hour of silence costs
//! nothing and every run with the same seed and the same calls is the same run. Each machine is
//! [`Checked`](crate::machine::check::Checked); the first broken law ends the run as an error value.
//!
//! *Hosts* pass packets and share nothing. After each turn of a pump the world takes what the host has sent, puts
//! it on one queue ordered by time and then by order of sending, and hands it over when it is due. What is due at
//! one moment at one host in a row is handed over at once, before that host turns. Each host has a clock of its own,
//! which may drift, be off, or stand still while the host sleeps. It tells its machine of its own addresses as drivers do:
//! a change half a second later; a host that is unplugged has none but its loopback's.
//!
//! *Networks* form a tree: the Internet, and what lies behind [`Gateway`]s, which translate (RFC 4787) and filter.
//! [`NatKind`] names the thirteen ways to be attached that occur in the world. IPv6 is never translated. Between a
//! host or gateway and its network lies a [`Link`] with delay, jitter, loss, reordering, rate, queue and MTU;
//! [`Profile`] names the links that people have.
//!
//! *Streams* behave as TCP's do where an application can tell: a round trip until they are open, segments, a window
//! that only reading opens, half-close, resets, refused and silent dials, backlogs, the timers of Linux, and on links
//! that lose packets the waits and the slowness that follow. They differ in one thing: a stream goes on as soon as a
//! cut is healed, without the wait of a retransmission timer; a dial does wait for its next SYN.
//!
//! *Machines of several kinds* live in one world as `Box<dyn Machine<Command = C, Event = E>>`, which is a machine
//! itself; a world of one kind needs no box and lets [`World::act`] call its own methods.
//!
//! *Evidence* of a run is a [`Timeline`], which can be written as JSON Lines, as a capture that Wireshark opens, and as
//! a picture; a [`Matrix`] is the picture of a table of verdicts.
//!
//! # A machine of one's own
//!
//! Whoever has a sans-IO program of their own wraps it in the three verbs and asks whether it bears the world. Here is
//! one that asks every 200 ms until it is answered; whoever was given nobody to ask answers.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::time::Duration;
//! use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
//! use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
//! use switchboard::machine::{buf::Buf, datagram::Transmit, ids::PortId, time::Instant};
//! use switchboard::sim::{Conditions, Link, Loss, NatKind, World};
//!
//! #[derive(Default)]
//! struct Asker { ask: Option<(SocketAddr, Instant)>, port: Option<PortId>, out: Vec<SocketAddr>, ready: bool, heard: u32 }
//!
//! impl Machine for Asker {
//!     type Command = ();
//!     type Event = ();
//!
//!     fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
//!         match (input, &mut self.ask) {
//!             (Input::Datagrams(_, datagrams), None) => self.out.push(datagrams.source()),
//!             (Input::Datagrams(..), answered) => (*answered, self.heard) = (None, self.heard + 1),
//!             (Input::Port(_, PortChange::Opened { .. }), Some((_, next))) => *next = cx.now + Duration::from_millis(1),
//!             (Input::Timeout, Some((to, next))) if *next <= cx.now => {
//!                 self.out.push(*to);
//!                 *next = cx.now + Duration::from_millis(200);
//!             }
//!             _ => return,
//!         }
//!         self.ready = !self.out.is_empty();
//!     }
//!
//!     fn poll(&mut self, cx: &mut Cx<'_>) -> Output<()> {
//!         match self.port {
//!             None => Output::Port(*self.port.insert(cx.ids.port()), PortRequest::Open(PortSpec::Bind(([0; 4], 9000).into()))),
//!             Some(port) if std::mem::take(&mut self.ready) => Output::Ready(port),
//!             _ => Output::Wait(self.ask.filter(|(_, next)| *next > cx.now).map(|(_, next)| Deadline::new(next, "ask"))),
//!         }
//!     }
//!
//!     fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf) -> Fill {
//!         let Some(to) = self.out.pop() else { return Fill::Done };
//!         buf.extend(b"hello");
//!         Fill::Datagrams(Transmit::to(to, 5))
//!     }
//! }
//!
//! // From here on it is the test: behind a NAT, and half of all packets are lost.
//! for seed in 0..100 {
//!     let mut world = World::new(seed);
//!     let server = world.host("server", Asker::default());
//!     let home = world.behind("home", NatKind::ALL[3]);
//!     let ask = Some((SocketAddr::new(world.address(server), 9000), Instant::ZERO));
//!     let client = world.host_in(home, "client", Asker { ask, ..Asker::default() });
//!     world.link(client, Link::symmetric(Conditions { loss: Loss::Independent(0.5), ..Conditions::default() }));
//!     world.run_until(|world| world.machine(client).heard == 1, Duration::from_secs(20))?;
//! }
//! # Ok::<(), switchboard::sim::Failure>(())
//! ```
//!
//! What breaks a law of the contract, hangs or does not come to its end in time is an error that names the seed. With
//! [`World::record`] the run can be shown; with a [`Scenario`] it can be written down and made smaller.
//!
//! # Determinism
//!
//! The same seed, the same calls and the same machines give the same [`World::transcript_hash`] in every process and
//! every build. It covers times, nodes, kinds, sizes, drops, and what packets carry, byte by byte. What could break it lies
//! outside:
//!
//! - a machine that reads a clock, draws entropy, or iterates a hash table. The first two do not compile in this crate
//!   (`clippy.toml`); for machines of others [`World::transcript_hash`] of two runs is the test.
//! - TLS, TURN servers, and peers of the engine `str0m`: they draw randomness of their own. Sizes and times do not depend
//!   on it; their contents are to be left out of the hash ([`World::leave_contents_out`]).
//! - draws from a generator that belongs to the thread, as the ICE agent's are: it is seeded from the world before each
//!   call that may draw. So worlds that take turns on a thread do not disturb each other. A world stays on its thread.
//! - floating point: losses and delays are drawn by additions, multiplications and comparisons, which every platform
//!   rounds alike; no logarithm, root or sine is taken.
//! - addresses of memory and the order of threads: a world has one thread and looks at no address.

mod addresses;
mod clock;
mod datagrams;
mod evidence;
mod failure;
mod filter;
mod firewall;
mod guard;
mod harness;
mod host;
mod kind;
mod link;
mod names;
mod nat;
mod network;
mod observer;
pub mod oracle;
mod packet;
mod profile;
mod queue;
pub mod scenario;
mod sockets;
mod stream;
pub mod timeline;
mod topology;
mod transcript;
mod woken;
mod world;

pub use clock::Clock;
pub use evidence::{Cell, Class, Matrix, Picture};
pub use failure::{Failure, Stuck, Waiting};
pub use filter::{Dependence, Refresh};
pub use firewall::{FirewallConfig, Inward, Outward};
pub use harness::Harness;
pub use kind::{Gateway, NatKind, UnknownKind};
pub use link::{Conditions, Delay, Link, Loss};
pub use nat::{NatConfig, PortChoice};
pub use profile::{NoSuchProfile, Profile};
pub use scenario::Scenario;
pub use sockets::VirtualSockets;
pub use stream::Streams;
pub use timeline::{DropReason, NodeId, Recording, Timeline};
pub use topology::{INTERNET, NetId};
pub use world::{GatewayId, Happened, HostId, OldStreams, Sleep, Target, World};
