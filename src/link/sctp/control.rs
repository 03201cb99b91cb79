//! Answers that wait for a packet: few, small, and dropped when there are too many, as the network might have done.

use std::collections::VecDeque;

use super::cookie::COOKIE;
use crate::wire::sctp::{Cause, Packet, kind};

/// Packets with one chunk only, that wait.
const MOST_ALONE: usize = 4;
/// Chunks that wait for the next packet.
const MOST_ANSWERS: usize = 8;
/// Bytes of a value that is sent back: a heartbeat's, or what was not understood. Each answer fits into a packet of the
/// least size.
pub(super) const MOST_VALUE: usize = 256;

/// A chunk that has a packet for itself, with a tag of its own.
#[derive(Debug)]
pub(super) enum Alone {
    /// Answers an INIT.
    InitAck {
        /// The tag that it gave.
        tag: u32,
        /// All that is remembered of it.
        cookie: Box<[u8; COOKIE]>,
        /// Parameters that were not known.
        unrecognized: Vec<Vec<u8>>,
    },
    /// Ends an association.
    Abort {
        /// The tag of its receiver.
        tag: u32,
        /// The cause.
        code: u16,
        /// What belongs to it.
        value: Vec<u8>,
    },
    /// Complains to who is not associated.
    Error {
        /// The tag of its receiver.
        tag: u32,
        /// The cause.
        code: u16,
        /// What belongs to it.
        value: Vec<u8>,
    },
    /// Ends a shutdown.
    ShutdownComplete {
        /// The tag of its receiver.
        tag: u32,
    },
}

/// A chunk that rides with others.
#[derive(Debug)]
pub(super) enum Answer {
    /// The cookie was right.
    CookieAck,
    /// Answers a HEARTBEAT, with its bytes.
    HeartbeatAck(Vec<u8>),
    /// Something was wrong.
    Error(u16, Vec<u8>),
}

impl Alone {
    /// The tag of its receiver.
    pub(super) const fn tag(&self) -> u32 {
        match self {
            Self::InitAck { tag, .. }
            | Self::Abort { tag, .. }
            | Self::Error { tag, .. }
            | Self::ShutdownComplete { tag } => *tag,
        }
    }
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Control {
    alone: VecDeque<Alone>,
    answers: VecDeque<Answer>,
}

impl Control {
    pub(super) fn has_alone(&self) -> bool {
        !self.alone.is_empty()
    }

    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// `false`: there are too many.
    pub(super) fn send_alone(&mut self, alone: Alone) -> bool {
        let has_room = self.alone.len() < MOST_ALONE;
        if has_room {
            self.alone.push_back(alone);
        }
        has_room
    }

    /// `false`: there are too many, or it is too large.
    pub(super) fn answer(&mut self, answer: Answer) -> bool {
        let len = match &answer {
            Answer::CookieAck => 0,
            Answer::HeartbeatAck(value) | Answer::Error(_, value) => value.len(),
        };
        let is_taken = self.answers.len() < MOST_ANSWERS && len <= MOST_VALUE;
        if is_taken {
            self.answers.push_back(answer);
        }
        is_taken
    }

    /// COOKIE ACK goes before all else, and is never dropped (RFC 9260, section 5.1).
    pub(super) fn acknowledge_cookie(&mut self) {
        if !self.answers.iter().any(|answer| matches!(answer, Answer::CookieAck)) {
            self.answers.push_front(Answer::CookieAck);
        }
    }

    pub(super) fn take_alone(&mut self) -> Option<Alone> {
        self.alone.pop_front()
    }

    /// Writes as many answers as there is room for.
    pub(super) fn fill(&mut self, packet: &mut Packet<'_>) {
        while let Some(answer) = self.answers.front() {
            let is_written = match answer {
                Answer::CookieAck => packet.chunk(kind::COOKIE_ACK, 0, &[]),
                Answer::HeartbeatAck(value) => packet.chunk(kind::HEARTBEAT_ACK, 0, value),
                Answer::Error(code, value) => packet.error(&[Cause { code: *code, value }]),
            };
            if !is_written {
                return;
            }
            self.answers.pop_front();
        }
    }

    /// Forgets all that would ride with others.
    pub(super) fn clear(&mut self) {
        self.answers = VecDeque::new();
    }
}
