//! Bound ports: batches of datagrams, handed over and sent whole.

use std::io;

use super::{Pump, SEND_AFTER, Sockets};
use crate::machine::buf::Buf;
use crate::machine::datagram::Transmit;
use crate::machine::ids::PortId;
use crate::machine::{Input, Machine};

impl<M: Machine, S: Sockets> Pump<M, S> {
    pub(super) fn receive_datagrams(&mut self, port: PortId) {
        let size = self.sockets.datagram_chunk();
        let sockets = &mut self.sockets;
        match self.inbound.receive(port, size, |buf, received| sockets.try_recv_datagrams(port, buf, received)) {
            Ok(()) => self.list(port),
            // An answer to something that we sent: nobody is there. It says nothing about this port.
            Err(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused) => self.list(port),
            Err(error) => self.on_receive_error(port, error),
        }
    }

    /// False: there is none in hand, or what is ready to be sent goes first. A port that was paused or ended meanwhile
    /// loses what is in hand.
    pub(super) fn hand_over_datagrams(&mut self) -> bool {
        if self.received >= SEND_AFTER {
            return false;
        }
        let Some((port, datagrams)) = self.inbound.next() else { return false };
        self.received += datagrams.len();
        if self.ports.get(port).is_some_and(|state| !state.paused) {
            self.undrained = true;
            self.machine.handle(&mut self.world.cx(), Input::Datagrams(port, datagrams));
        }
        true
    }

    pub(super) fn send_datagrams(&mut self, port: PortId, transmit: Transmit, out: &Buf) {
        let result = self.sockets.try_send_datagrams(port, &transmit, out.as_slice());
        let again = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
        let comes_again = result.as_ref().is_err_and(|error| again.contains(&error.kind()));
        if comes_again && let Some(state) = self.ports.get_mut(port) {
            (state.unsent, state.transmit) = (out.as_slice().to_vec(), Some(transmit));
        }
        self.on_datagrams(port, result);
    }

    pub(super) fn on_datagrams(&mut self, port: PortId, result: io::Result<()>) {
        match result.map_err(|error| error.kind()) {
            Err(io::ErrorKind::WouldBlock) => return self.update(port, |state| state.writable = false),
            Err(io::ErrorKind::Interrupted) => return self.list(port),
            Err(_) => self.unsendable += 1,
            Ok(()) => {}
        }
        self.update(port, |state| (state.unsent, state.transmit) = (Vec::new(), None));
    }
}
