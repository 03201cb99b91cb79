//! What every implementation of [`Sockets`] must do: a suite that a driver's own tests run.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::ids::PortId;
use super::port::PortChange;
use super::pump::{Readiness, Sockets};

/// What happened to a port, as a driver would tell its pump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// For [`Pump::ready`](super::pump::Pump::ready).
    Ready(Readiness),
    /// For [`Pump::change`](super::pump::Pump::change).
    Change(PortChange),
}

/// A driver's sockets without its pump: one event loop that the suite turns by hand.
pub trait Harness {
    /// What is tested.
    type Sockets: Sockets;

    /// The sockets.
    fn sockets(&mut self) -> &mut Self::Sockets;

    /// Waits until something happens, at most `max`, and answers all that happened since the last call.
    fn wait(&mut self, max: Duration) -> Vec<(PortId, Happening)>;

    /// An address of this host.
    fn host(&self) -> IpAddr;

    /// An address on which a dial is neither accepted nor refused.
    fn silent(&mut self) -> SocketAddr;

    /// A name that resolves to [`Self::host`], and one that has no address.
    fn names(&self) -> (String, String);
}
