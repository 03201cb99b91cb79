//! A probe's side of the rendezvous: one TCP connection, one line each way.

use std::net::SocketAddr;
use std::time::Duration;

use super::introduction::{BadLine, Introduction, LONGEST_LINE};
use crate::machine::buf::Buf;
use crate::machine::ids::PortId;
use crate::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline, Fill};

/// Where two probes meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingConfig {
    /// The [`Rendezvous`](super::Rendezvous), by TCP; port 443 is let out by most firewalls.
    pub rendezvous: SocketAddr,
    /// The word that both say: 1 to 64 printable ASCII characters without spaces.
    pub word: String,
    /// How long to wait for the other.
    pub patience: Duration,
}

/// Why two probes did not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMet {
    /// The word is none.
    #[error("the word is not 1 to 64 printable characters")]
    Word,
    /// The rendezvous cannot be reached, or its connection broke.
    #[error("no connection to the rendezvous: {0}")]
    Port(#[from] PortError),
    /// The rendezvous hung up: it has too many guests, or waited too long.
    #[error("the rendezvous hung up")]
    HungUp,
    /// It said something else than the other's introduction.
    #[error("the rendezvous is not understood: {0}")]
    BadLine(#[from] BadLine),
    /// Nobody came in time.
    #[error("nobody came in time")]
    TimedOut,
}

/// The connection.
#[derive(Debug)]
pub(super) struct Meeting {
    port: PortId,
    line: Option<String>,
    incoming: Vec<u8>,
    until: Instant,
}

impl Meeting {
    /// Dials; the request is for the caller to pass on.
    pub(super) fn open(cx: &mut Cx<'_>, config: &MeetingConfig, line: String) -> (Self, (PortId, PortRequest)) {
        let port = cx.ids.port();
        let until = cx.now + config.patience;
        let request = (port, PortRequest::Open(PortSpec::Dial(config.rendezvous)));
        (Self { port, line: Some(line), incoming: Vec::new(), until }, request)
    }

    pub(super) const fn port(&self) -> PortId {
        self.port
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline::new(self.until, "the other probe")
    }

    /// What became of the port, if that ends it. True with `Ok`: the line can be sent.
    pub(super) const fn on_port(&self, change: &PortChange) -> Result<bool, NotMet> {
        match change {
            PortChange::Opened { .. } => Ok(true),
            PortChange::Failed(error) => Err(NotMet::Port(*error)),
            PortChange::Eof | PortChange::Closed => Err(NotMet::HungUp),
            PortChange::Accepted { .. } | PortChange::Resolved(_) | PortChange::Addresses(_) => Ok(false),
        }
    }

    /// Takes bytes in; the other, once its line is complete.
    pub(super) fn receive(&mut self, data: &[u8]) -> Result<Option<Introduction>, NotMet> {
        self.incoming.extend_from_slice(&data[..data.len().min(LONGEST_LINE)]);
        match self.incoming.iter().position(|byte| *byte == b'\n') {
            Some(end) => Ok(Some(Introduction::parse(&self.incoming[..end])?.1)),
            None if self.incoming.len() >= LONGEST_LINE => Err(BadLine::TooLong.into()),
            None => Ok(None),
        }
    }

    pub(super) fn fill(&mut self, buf: &mut Buf) -> Fill {
        if let Some(line) = self.line.take() {
            buf.extend(line.as_bytes());
        }
        Fill::Done
    }
}
