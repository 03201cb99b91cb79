//! The timers of a session and of each of its paths; the documentation of each is its specification.

use crate::machine::timers::Timer;

/// Timers of the session as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionTimer {
    /// From the first run that arrived unacknowledged: 20 ms.
    /// Then acknowledgements go without waiting for data to ride on.
    Ack,
    /// While a grant is missing that something waits for, or a peer has not confirmed that runs were given up: a probe
    /// time-out, doubling up to 5 s. Then it is said again.
    Repeat,
    /// When the oldest waiting run of a channel with a lifetime is too old.
    Lifetime,
    /// From a goodbye: 500 ms, doubling. Then it goes again.
    Bye,
    /// From the first goodbye: `close_time`. Then the session ends without the peer's word. While what was accepted
    /// is still being sent: `resume_time` without progress.
    Close,
    /// From when no path was left: `resume_time`. Then the session ends.
    Resume,
    /// One second after traffic. Then buffers are given back; it runs no more
    /// until there is traffic.
    Trim,
}

/// Number of [`SessionTimer`]s.
pub(super) const SESSION_TIMERS: usize = SessionTimer::ALL.len();

impl Timer for SessionTimer {
    const ALL: &'static [Self] =
        &[Self::Ack, Self::Repeat, Self::Lifetime, Self::Bye, Self::Close, Self::Resume, Self::Trim];

    fn index(self) -> usize {
        self as usize
    }

    fn why(self) -> &'static str {
        match self {
            Self::Ack => "session acknowledgement",
            Self::Repeat => "session repeat",
            Self::Lifetime => "session message lifetime",
            Self::Bye => "session goodbye",
            Self::Close => "session close",
            Self::Resume => "session resume",
            Self::Trim => "session trim",
        }
    }
}

/// Timers of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathTimer {
    /// On lossy paths, while a run is in the air that was sent before one that has been acknowledged: when it was sent
    /// plus 9/8 of the smoothed round trip (RFC 9002, section 6.1.2). Then it is lost.
    Loss,
    /// On lossy paths, while runs are in the air: the later of the last sending and the last progress, plus 1.5
    /// smoothed round trips and 20 ms, doubling with each (after RFC 9002, section 6.2). Then the oldest goes again,
    /// whatever the window says.
    Probe,
    /// While runs are in the air: the last progress plus the greater of three smoothed round trips and `suspicion`.
    /// While none is, but a grant or the answer to a goodbye was asked for in vain: the same from the ping that goes
    /// with the second question. Then the path is suspect.
    Suspect,
    /// While a ping is unanswered that something depends on: two smoothed round trips but at least 250 ms, doubling
    /// up to 1 s. Then another goes.
    Ping,
    /// While an answer is owed: `path_silence` after the later of the question and the last sign of life. Then the
    /// path is closed.
    Silence,
}

/// Number of [`PathTimer`]s.
pub(super) const PATH_TIMERS: usize = PathTimer::ALL.len();

impl Timer for PathTimer {
    const ALL: &'static [Self] = &[Self::Loss, Self::Probe, Self::Suspect, Self::Ping, Self::Silence];

    fn index(self) -> usize {
        self as usize
    }

    fn why(self) -> &'static str {
        match self {
            Self::Loss => "path loss",
            Self::Probe => "path probe",
            Self::Suspect => "path suspicion",
            Self::Ping => "path ping",
            Self::Silence => "path silence",
        }
    }
}
