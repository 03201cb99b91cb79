//! One wake-up of a pump without a system beneath: what the contract itself costs.
//!
//! A port becomes readable; the pump receives 64 bytes, hands them to a machine that echoes, drains it, fills, sends
//! and drains again. The sockets are vectors.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{Name, PortChange, PortError, PortRequest, PortSpec};
use switchboard::machine::pump::{Budget, Pump, Readiness, Sockets, Turn};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};

const MESSAGE: [u8; 64] = [7; 64];

/// A pump with one open port.
pub(crate) struct WakeUps {
    pump: Pump<Echo, Vectors>,
    port: PortId,
    nanos: u64,
}

impl WakeUps {
    pub(crate) fn new() -> Self {
        let mut pump = Pump::new(Echo::default(), Vectors::default(), [1; 32], Duration::ZERO);
        assert_eq!(pump.turn(Instant::ZERO, Budget::default()), Turn::Wait(None));
        let port = pump.sockets().opened.expect("the machine opens a port");
        pump.change(port, PortChange::Opened { local: None, peer: None });
        Self { pump, port, nanos: 0 }
    }

    /// One message in, the same message out.
    pub(crate) fn wake_up(&mut self) {
        self.nanos += 1;
        self.pump.sockets().inbox.extend_from_slice(&MESSAGE);
        self.pump.ready(self.port, Readiness { readable: true, ..Readiness::default() });
        let turn = self.pump.turn(Instant::from_nanos(self.nanos), Budget::default());
        let outbox = &mut self.pump.sockets().outbox;
        assert!(turn == Turn::Wait(None) && *outbox == MESSAGE, "the message has not come back");
        outbox.clear();
    }
}

/// Sends back what comes.
#[derive(Default)]
struct Echo {
    port: Option<PortId>,
    owed: Vec<u8>,
    ready: bool,
}

impl Machine for Echo {
    type Command = ();
    type Event = ();

    fn handle(&mut self, _: &mut Cx<'_>, input: Input<'_, ()>) {
        if let Input::Receive(_, bytes) = input {
            self.owed.extend_from_slice(bytes);
            self.ready = true;
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<()> {
        let Some(port) = self.port else {
            let port = cx.ids.port();
            self.port = Some(port);
            return Output::Port(port, PortRequest::Open(PortSpec::Host(String::new())));
        };
        if std::mem::take(&mut self.ready) {
            return Output::Ready(port);
        }
        Output::Wait(None)
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf) -> Fill {
        buf.extend(&self.owed);
        self.owed.clear();
        Fill::Done
    }
}

/// One port that is two vectors.
#[derive(Default)]
struct Vectors {
    opened: Option<PortId>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

impl Sockets for Vectors {
    fn open(&mut self, port: PortId, _: PortSpec) -> Result<(), PortError> {
        self.opened = Some(port);
        Ok(())
    }

    fn resolve(&mut self, _: PortId, _: Name) -> Result<(), PortError> {
        Err(PortError::Unsupported)
    }

    fn accept(&mut self, _: PortId, _: PortId) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn try_send(&mut self, _: PortId, bytes: &[u8]) -> io::Result<usize> {
        self.outbox.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn try_recv(&mut self, _: PortId, buf: &mut [u8]) -> io::Result<usize> {
        let size = self.inbox.len();
        buf[..size].copy_from_slice(&self.inbox);
        self.inbox.clear();
        Ok(size)
    }

    fn finish(&mut self, _: PortId) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _: PortId, _: bool) {}

    fn short_read_is_empty(&self) -> bool {
        true
    }
}
