//! What a driver, or the simulator, supplies.

use std::io;
use std::net::SocketAddr;

#[cfg(doc)]
use super::Pump;
use crate::machine::datagram::{Received, Transmit};
use crate::machine::ids::PortId;
use crate::machine::port::{Name, PortError, PortSpec};

/// Everything an event loop supplies: non-blocking sockets that say [`io::ErrorKind::WouldBlock`].
///
/// What happens later is told to the pump: readiness by [`Pump::ready`], the rest by [`Pump::change`].
pub trait Sockets {
    /// Begins to open a port; `Opened` or `Failed` follows unless this fails at once. For
    /// [`PortSpec::Addresses`] the list follows `Opened` at once, and again within a second of each change.
    fn open(&mut self, port: PortId, spec: PortSpec) -> Result<(), PortError>;

    /// Begins to look up a name; `Resolved` or `Failed` follows unless this fails at once.
    fn resolve(&mut self, port: PortId, name: Name) -> Result<(), PortError>;

    /// Takes one connection from a listener and calls it `port`.
    fn accept(&mut self, listener: PortId, port: PortId) -> io::Result<SocketAddr>;

    /// Sends some of `bytes`, at least one.
    fn try_send(&mut self, port: PortId, bytes: &[u8]) -> io::Result<usize>;

    /// Receives into `buf`; 0 is the end of the stream.
    fn try_recv(&mut self, port: PortId, buf: &mut [u8]) -> io::Result<usize>;

    /// Sends a batch of datagrams, whole: `bytes` is cut into pieces of `transmit.segment` bytes. On any error but
    /// [`io::ErrorKind::WouldBlock`] and [`io::ErrorKind::Interrupted`] the batch is dropped and the port lives on;
    /// after one of these two the same batch comes again before any other, and what of it has left must not leave twice.
    fn try_send_datagrams(&mut self, port: PortId, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        _ = (port, transmit, bytes);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Receives datagrams into `buf` and appends to `received` where each batch lies; at least one. None is cut off.
    fn try_recv_datagrams(&mut self, port: PortId, buf: &mut [u8], received: &mut Vec<Received>) -> io::Result<()> {
        _ = (port, buf, received);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends our side of the stream; what was sent still arrives.
    fn finish(&mut self, port: PortId) -> io::Result<()>;

    /// Forgets a port, whatever it is; nothing about it follows. `abort`: the peer of a stream shall notice at
    /// once (TCP: reset), unsent bytes are dropped.
    fn close(&mut self, port: PortId, abort: bool);

    /// Whether a read that filled less than the buffer means that readiness will be reported anew (epoll).
    fn short_read_is_empty(&self) -> bool;

    /// Received at once, at most. Several times a WebSocket message of 64 KiB with its header, so that most such
    /// messages lie whole in one chunk, and not so much that what is made of it leaves the processor's cache.
    fn chunk(&self) -> usize {
        192 * 1024
    }

    /// The size of the buffer that datagrams are received into: so much that the largest batch is not cut off, times
    /// the batches received at once.
    fn datagram_chunk(&self) -> usize {
        512 * 1024
    }
}

/// What a driver learned of one port; edges are enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There may be something to receive or accept.
    pub readable: bool,
    /// There may be room to send.
    pub writable: bool,
    /// The end of the stream is known to be ahead: short reads prove nothing any more.
    pub read_closed: bool,
}
