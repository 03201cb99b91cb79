//! The timers of an association's own; its halves, resets and probes keep their deadlines themselves.

use crate::machine::timers::Timer as IsTimer;

/// Timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// T1: INIT or COOKIE ECHO is sent again, after twice the time each (RFC 9260, section 5.1).
    Setup,
    /// T2: SHUTDOWN or SHUTDOWN ACK is sent again, after the retransmission timeout (RFC 9260, section 9.2).
    Shutdown,
    /// T5: a shutdown ends by force (RFC 9260, section 9.2).
    Guard,
    /// The peer is asked for a sign of life after silence, if that is wished, or has not answered.
    Heartbeat,
    /// Stores are trimmed after rest.
    Trim,
}

impl Timer {
    /// How many there are.
    pub(super) const COUNT: usize = 5;
}

impl IsTimer for Timer {
    const ALL: &'static [Self] = &[Self::Setup, Self::Shutdown, Self::Guard, Self::Heartbeat, Self::Trim];

    fn index(self) -> usize {
        self as usize
    }

    fn why(self) -> &'static str {
        match self {
            Self::Setup => "the set-up is repeated",
            Self::Shutdown => "the shutdown is repeated",
            Self::Guard => "the shutdown has taken too long",
            Self::Heartbeat => "the peer is asked for a sign of life",
            Self::Trim => "stores are trimmed",
        }
    }
}
