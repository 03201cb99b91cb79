//! What the pump knows of one port.

use crate::machine::datagram::Transmit;

/// Levels made of edges, and what is owed.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) phase: Phase,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) read_closed: bool,
    pub(super) paused: bool,
    pub(super) filling: bool,
    pub(super) finish: Finish,
    pub(super) eof: bool,
    pub(super) unsent: Vec<u8>,
    /// Where `unsent` goes, if it is datagrams.
    pub(super) transmit: Option<Transmit>,
    pub(super) sent: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Opening(Opens),
    Listening,
    Open,
    Bound,
    /// It is told the host's addresses, and nothing else.
    Listing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    Stream,
    Listener,
    Datagrams,
    Addresses,
    Answer,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Finish {
    #[default]
    No,
    Asked,
    Sent,
}

impl Port {
    pub(super) const fn new(phase: Phase) -> Self {
        Self {
            phase,
            readable: false,
            writable: true,
            read_closed: false,
            paused: false,
            filling: false,
            finish: Finish::No,
            eof: false,
            unsent: Vec::new(),
            transmit: None,
            sent: 0,
        }
    }

    pub(super) const fn can_receive(&self) -> bool {
        !matches!(self.phase, Phase::Opening(_)) && self.readable && !self.paused && !self.eof
    }

    pub(super) fn can_send(&self) -> bool {
        let owes = self.filling || !self.unsent.is_empty() || self.finish == Finish::Asked;
        matches!(self.phase, Phase::Open | Phase::Bound | Phase::Listing) && self.writable && owes
    }
}
